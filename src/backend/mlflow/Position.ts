/**
 * Where in MLflow a record's points stand: their step, an integer of 64 bits, and their time in milliseconds.
 *
 * A server tells the points of a metric apart by step, time and value, and takes the one it has already for the same:
 * so a batch that is sent again changes nothing, if its points come out the same again, and two records that are equal
 * in all three would become one. Therefore
 *
 * - a record without a step gets the one after the highest so far, from 0;
 * - a step that is no integer of 64 bits is rounded down into them (and its value kept as a metric, see Points.ts);
 * - a record whose step was there before gets a time after that of the one before, by a millisecond if need be.
 *
 * All that follows from the records in their order and from a position, which is small and goes into the checkpoint:
 * the highest step, the steps that came last with their times, and a time that no other step is later than.
 *
 * @since 0.2.0
 */
import type { Row } from "../../Row.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What was placed so far.
 *
 * @category models
 * @since 0.2.0
 */
export interface Position {
  /** Undefined until a record was placed. */
  highest: number | undefined
  /** The last steps and the latest time at each, the one longest unused first. */
  readonly recent: Map<number, number>
  /** The latest time of steps that are not among them any more. */
  forgotten: number
  /** The latest time there is. */
  latest: number
}

/**
 * A record's place. `exact` is its step where that is not the same.
 *
 * @category models
 * @since 0.2.0
 */
export interface Place {
  readonly step: number
  readonly millis: number
  readonly exact: number | undefined
}

/**
 * A position as JSON.
 *
 * @category models
 * @since 0.2.0
 */
export interface Kept {
  readonly highest: number | null
  readonly recent: ReadonlyArray<readonly [step: number, millis: number]>
  readonly forgotten: number
  readonly latest: number
}

const mostRecent = 64
const lowest = -(2 ** 63)
/** The largest double below 2^63. */
const largest = 2 ** 63 - 1024

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The position before the first record.
 *
 * @category constructors
 * @since 0.2.0
 */
export const start = (): Position => ({ highest: undefined, recent: new Map(), forgotten: -1, latest: 0 })

/**
 * Where a record would stand.
 *
 * @category placing
 * @since 0.2.0
 */
export const place = (position: Position, row: Row): Place => {
  const { highest, recent } = position
  const natural = Math.max(0, Math.round(row.timestamp * 1000))
  const asked = row.step ?? (highest === undefined ? 0 : Math.min(highest + 1, largest))
  // `+ 0`: there is no negative zero among the integers.
  const step = Math.min(Math.max(Math.floor(asked), lowest), largest) + 0
  const millis = highest === undefined || step > highest
    ? natural
    : Math.max(natural, (recent.get(step) ?? position.forgotten) + 1)
  return { step, millis, exact: step === asked ? undefined : asked }
}

/**
 * Moves a position beyond a record.
 *
 * @category placing
 * @since 0.2.0
 */
export const advance = (position: Position, { millis, step }: Place): void => {
  const { recent } = position
  if (position.highest === undefined || step > position.highest) position.highest = step
  position.latest = Math.max(position.latest, millis)
  recent.delete(step)
  recent.set(step, millis)
  if (recent.size <= mostRecent) return
  for (const [oldest, time] of recent) {
    recent.delete(oldest)
    position.forgotten = Math.max(position.forgotten, time)
    break
  }
}

/**
 * A position of its own.
 *
 * @category constructors
 * @since 0.2.0
 */
export const copy = (position: Position): Position => ({ ...position, recent: new Map(position.recent) })

/**
 * A position for a checkpoint.
 *
 * @category constructors
 * @since 0.2.0
 */
export const keep = ({ forgotten, highest, latest, recent }: Position): Kept => ({
  highest: highest ?? null,
  recent: [...recent],
  forgotten,
  latest
})

/**
 * The position that a checkpoint holds; the first one if it holds none.
 *
 * @category constructors
 * @since 0.2.0
 */
export const restore = (kept: Kept | undefined): Position =>
  kept === undefined
    ? start()
    : {
      highest: kept.highest ?? undefined,
      recent: new Map(kept.recent),
      forgotten: kept.forgotten,
      latest: kept.latest
    }
