/**
 * What moves bytes between the bridges of all ranks, and reads numbers from a device's memory.
 *
 * Ranks send to the root, which receives from several at once; both sides have agreed before how many bytes each sends, and
 * in which order. So nobody waits for who has nothing to say. Operations of one engine do not overlap.
 *
 * An engine is plain code with promises: it lives in a process that does nothing else.
 *
 * @since 0.4.0
 */
import type { Handle } from "./Handle.ts"
import type { Failure } from "./Messages.ts"

/**
 * @category models
 * @since 0.4.0
 */
export interface Engine {
  /** For people: which libraries, which device. */
  readonly description: string
  /** Why it can bring nothing from rank to rank; undefined: it can. */
  readonly carries: string | undefined
  /** What all that are to join have to know; made by the root. */
  readonly uniqueId: () => Promise<Uint8Array>
  /** Ends when all have joined. */
  readonly join: (rank: number, worldSize: number, id: Uint8Array) => Promise<void>
  /** To the root. */
  readonly send: (bytes: Uint8Array) => Promise<void>
  /** At the root: so many bytes of each rank, one after the other. */
  readonly receive: (sizes: ReadonlyArray<number>) => Promise<Uint8Array>
  /** The numbers that a handle is of. */
  readonly read: (handle: Handle) => Promise<Float64Array>
  /** Gives up what it has joined; what is under way fails. It may join again. */
  readonly leave: () => void
}

/**
 * What an engine is opened for.
 *
 * @category models
 * @since 0.4.0
 */
export interface Opening {
  readonly rank: number
  readonly localRank: number
}

/**
 * Why an engine cannot.
 *
 * @category errors
 * @since 0.4.0
 */
export class EngineError extends Error implements Failure {
  override readonly name = "EngineError"
  readonly kind: Failure["kind"]
  readonly reason: string
  constructor(kind: Failure["kind"], reason: string) {
    super(reason)
    this.kind = kind
    this.reason = reason
  }
}
