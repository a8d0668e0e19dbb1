/** What a root's slots can do, and what they need to know. */
import type { Row } from "../../../Row.ts"
import type { Below } from "../Below.ts"

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

export interface Slots extends Below {
  readonly join: (rank: number, incarnation: number, now: number, via?: number) => number
  /** A record of the root itself. */
  readonly root: (row: Row, now: number) => void
  /** What is complete by now, in order; and what came too late for its record, again. */
  readonly close: (now: number) => ReadonlyArray<Row>
  /** Closes everything with what there is. */
  readonly flush: () => ReadonlyArray<Row>
  /** When `close` might give something although nothing arrives; undefined: not before something does. */
  readonly nextDeadline: (now: number) => number | undefined
  /** The ranks that have never come. */
  readonly absent: () => ReadonlyArray<number>
  readonly counts: () => Counts
}

export interface Counts {
  readonly joined: number
  readonly live: number
  readonly waiting: number
  /** Records that were told without ranks that were there, and are not complete by now; without what rank 0 alone records. */
  readonly partial: number
  readonly amended: number
  /** Frames that a sender lost before they got here. */
  readonly lost: number
  /** Parts and frames that were not taken: of ranks that are there already, or without sense. */
  readonly dropped: number
  /** Steps that ranks came to so long before the root that what they said of them could not be kept. */
  readonly overflowed: number
}
