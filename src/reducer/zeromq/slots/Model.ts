/** What the root knows of ranks, steps and its own records. */
import type { Value } from "../../../Metrics.ts"
import * as Moments from "../../../Moments.ts"
import type { Row } from "../../../Row.ts"
import type { Leaf } from "../Frame.ts"
import { Window } from "../Schema.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  readonly worldSize: number
  readonly deadlineMillis: number
  /** Ranks that have not joined are waited for until then. */
  readonly joinUntil: number
  /** So long after all have joined a rank is waited for that has said nothing yet. A deadline unless said. */
  readonly startMillis?: number
  /** So long a record waits for ranks that go on, but not to where it is. 30 deadlines unless said. */
  readonly patienceMillis?: number
  /** So many closed records are remembered, to be amended. */
  readonly remembered?: number
  /** So many records may wait; beyond, the oldest closes with what there is. */
  readonly waiting?: number
}

export interface Slots {
  /** A rank is there. Gives the last frame of it that was accepted: 0 for an incarnation that is new. */
  readonly join: (rank: number, incarnation: number, now: number) => number
  /** A rank is gone, and not waited for. */
  readonly leave: (rank: number) => void
  /** A sign of life that brings nothing. */
  readonly alive: (rank: number, now: number) => void
  readonly schema: (rank: number, id: number, keys: ReadonlyArray<string>, bytes: number) => void
  /** False: one before it is missing, or its schema was never told. It is to be sent again. */
  readonly leaf: (rank: number, seq: number, schema: number, records: Leaf, now: number) => boolean
  /** Frames up to this number will not come (again): what is missing of them is lost. */
  readonly floor: (rank: number, seq: number) => void
  /** A record of the root itself. */
  readonly root: (row: Row, now: number) => void
  /** What is complete by now, in order; and what came too late for its record, again. */
  readonly close: (now: number) => ReadonlyArray<Row>
  /** Closes everything with what there is. */
  readonly flush: () => ReadonlyArray<Row>
  /** The frames that need not be kept any more, since it was asked last. */
  readonly acks: () => ReadonlyArray<{ readonly rank: number; readonly seq: number }>
  /** When `close` might give something although nothing arrives; undefined: not before something does. */
  readonly nextDeadline: (now: number) => number | undefined
  readonly counts: () => Counts
}

export interface Counts {
  readonly joined: number
  readonly live: number
  readonly waiting: number
  /** Records that closed without all live ranks. */
  readonly partial: number
  readonly amended: number
  /** Frames that a sender lost before they got here. */
  readonly lost: number
}

export interface Rank {
  live: boolean
  joined: boolean
  /** It has said something, in whatever life. */
  begun: boolean
  incarnation: number
  seq: number
  /** Its latest step in each domain. */
  readonly latest: [number, number]
  /** How often it went back to an earlier step. */
  wentBack: number
  counted: number
  /** When it last said something in each domain. */
  readonly progressAt: [number, number]
  readonly schemas: Window<Int32Array>
  /** Frames that are not acknowledged: what they are about. */
  readonly frames: Array<{ readonly seq: number; readonly slots: ReadonlyArray<Slot> }>
}

/** The n-th value of a key at a step, of each rank. */
export interface Occurrence {
  readonly has: Uint8Array
  readonly values: Float64Array
  /** Whether something came since its record closed. */
  late: boolean
}

/** What is known of one step. */
export interface Slot {
  readonly domain: number
  readonly step: number
  readonly keys: Map<number, Array<Occurrence>>
  /** Records of the root that wait for it. */
  open: number
}

/** A record of the root. */
export interface Pending {
  readonly row: Row
  readonly slot: Slot
  readonly keys: ReadonlyArray<string>
  readonly occurrences: ReadonlyArray<Occurrence>
  readonly since: number
  readonly wentBack: number
  /** Ranks below have been found done. */
  next: number
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** A rank that has not been heard of. */
export const unknownRank = (): Rank => ({
  live: false,
  joined: false,
  begun: false,
  incarnation: 0,
  seq: 0,
  latest: [-Infinity, -Infinity],
  wentBack: 0,
  counted: 0,
  progressAt: [-Infinity, -Infinity],
  schemas: new Window(),
  frames: []
})

// -----------------------------------------------------------------------------
// Statistics
// -----------------------------------------------------------------------------

/** The statistics of a key; those of no finite value are only counted. */
export const describe = (values: Record<string, Value>, key: string, moments: Moments.Moments): void => {
  if (moments.nonFinite > 0) values[`${key}/nonfinite`] = moments.nonFinite
  if (moments.count === 0) return
  values[`${key}/mean`] = Moments.mean(moments)
  values[`${key}/min`] = moments.min
  values[`${key}/max`] = moments.max
  values[`${key}/std`] = Moments.std(moments)
  values[`${key}/argmin`] = moments.argmin
  values[`${key}/argmax`] = moments.argmax
}
