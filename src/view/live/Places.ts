/**
 * Where in a log which steps and times are, to read a part of it again: stretches of the file with their extents, joined
 * in pairs when there are too many.
 *
 * @since 0.5.0
 */
import type { Entry } from "../../runlog/Entry.ts"
import type { Window } from "../Decimate.ts"

/** A stretch of the file, and what of step and time is in it. */
interface Place {
  readonly from: number
  readonly to: number
  readonly stepLow: number
  readonly stepHigh: number
  readonly timeLow: number
  readonly timeHigh: number
}

/**
 * Places under way.
 *
 * @category models
 * @since 0.5.0
 */
export interface Places {
  list: Array<Place>
  /** How many pages one place takes. */
  pages: number
}

const most = 4096

/**
 * None yet.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (): Places => ({ list: [], pages: 1 })

/**
 * Adds the entries that stand between two offsets; each call goes on where the one before has ended.
 *
 * @category folding
 * @since 0.5.0
 */
export const add = (self: Places, from: number, to: number, entries: ReadonlyArray<Entry>): void => {
  let [stepLow, stepHigh, timeLow, timeHigh] = [Infinity, -Infinity, Infinity, -Infinity]
  for (const { seq, step = seq, timestamp } of entries) {
    if (step < stepLow) stepLow = step
    if (step > stepHigh) stepHigh = step
    if (timestamp < timeLow) timeLow = timestamp
    if (timestamp > timeHigh) timeHigh = timestamp
  }
  const place = { from, to, stepLow, stepHigh, timeLow, timeHigh }
  const last = self.list.at(-1)
  // A live run brings a few lines at a time: together they are one place.
  if (last !== undefined && last.to - last.from < pageBytes * self.pages) {
    self.list[self.list.length - 1] = join(last, place)
  } else self.list.push(place)
  if (self.list.length > most) {
    self.list = self.list.flatMap((each, nth, all) => nth % 2 === 1 ? [] : [join(each, all[nth + 1] ?? each)])
    self.pages *= 2
  }
}

const pageBytes = 1024 * 1024

const join = (a: Place, b: Place): Place => ({
  from: a.from,
  to: b.to,
  stepLow: Math.min(a.stepLow, b.stepLow),
  stepHigh: Math.max(a.stepHigh, b.stepHigh),
  timeLow: Math.min(a.timeLow, b.timeLow),
  timeHigh: Math.max(a.timeHigh, b.timeHigh)
})

/**
 * The stretches of the file that have something of a window, those that touch as one.
 *
 * @category queries
 * @since 0.5.0
 */
export const within = (
  { list }: Places,
  { axis, from, origin = 0, to }: Window
): ReadonlyArray<{ readonly from: number; readonly to: number }> => {
  const shift = axis === "relative" ? origin : 0
  const found: Array<{ readonly from: number; readonly to: number }> = []
  for (const place of list) {
    const [low, high] = axis === "step" ? [place.stepLow, place.stepHigh] : [place.timeLow, place.timeHigh]
    if (high - shift < from || low - shift > to) continue
    const last = found.at(-1)
    if (last?.to === place.from) found[found.length - 1] = { from: last.from, to: place.to }
    else found.push({ from: place.from, to: place.to })
  }
  return found
}
