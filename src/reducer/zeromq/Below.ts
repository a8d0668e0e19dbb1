/**
 * What takes in what those below say: the root's slots, or an aggregator.
 *
 * A sender is a rank's number, or that of an aggregator.
 *
 * @since 0.3.0
 */
import type { Aggregate, Leaf } from "./Frame.ts"

/**
 * @category models
 * @since 0.3.0
 */
export interface Below {
  /** The sender that is the aggregator whose first rank this is. */
  readonly aggregatorOf: (rank: number) => number
  /**
   * A rank is there, and heard through a sender: itself unless said. Gives the last frame of it that was taken, 0 of a new
   * one; undefined: what was taken in cannot be gone on with.
   */
  readonly join: (rank: number, incarnation: number, now: number, via?: number) => number | undefined
  /** The same of an aggregator. */
  readonly joinAggregator: (sender: number, incarnation: number) => number | undefined
  /** A rank is gone, and not waited for. */
  readonly leave: (rank: number) => void
  /** A sign of life that brings nothing. */
  readonly alive: (rank: number, now: number) => void
  readonly schema: (sender: number, id: number, keys: ReadonlyArray<string>, bytes: number) => void
  /** False: one before it is missing, or its schema was never told. It is to be sent again. */
  readonly leaf: (rank: number, seq: number, schema: number, records: Leaf, now: number) => boolean
  /** The same of an aggregator's. */
  readonly aggregate: (sender: number, seq: number, schema: number, entries: Aggregate, now: number) => boolean
  /** Frames up to this number will not come (again): what is missing of them is lost. */
  readonly floor: (sender: number, seq: number) => void
  /** The frames that need not be kept any more, since it was asked last. */
  readonly acks: () => ReadonlyArray<Acknowledgement>
}

/**
 * @category models
 * @since 0.3.0
 */
export interface Acknowledgement {
  readonly sender: number
  readonly seq: number
}
