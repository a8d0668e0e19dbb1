/**
 * As many points as can be seen: bins reduced to the columns of a picture.
 *
 * The rules. Of all that falls into a column the least and the greatest value stay, in the order they came, where they
 * came, and nothing else: no value is made up, and no extreme is hidden. What was not finite breaks the line where it
 * stood (NaN). So there are at most three entries a column. Where x goes back and forth so much that this would not
 * bound them, a column's extent is drawn once, from left to right.
 *
 * @since 0.5.0
 */
import type { Bins } from "./series/Bins.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What x is: the step, the time in seconds since 1970, or the seconds since `origin`.
 *
 * @category models
 * @since 0.5.0
 */
export type Axis = "step" | "time" | "relative"

/**
 * A picture: what of x is in it, and in how many columns. `beyond` adds the point before and the one after, so that lines
 * reach the edges.
 *
 * @category models
 * @since 0.5.0
 */
export interface Window {
  readonly axis: Axis
  readonly from: number
  readonly to: number
  readonly columns: number
  readonly origin?: number
  readonly beyond?: boolean
}

/**
 * Points in drawing order. NaN in `y` is a gap.
 *
 * @category models
 * @since 0.5.0
 */
export interface Points {
  readonly x: Float64Array
  readonly y: Float64Array
}

/**
 * What several had, a point a column: the mean, the mean std, and the least and the greatest. NaN is a gap.
 *
 * @category models
 * @since 0.5.0
 */
export interface Band {
  readonly x: Float64Array
  readonly mean: Float64Array
  readonly std: Float64Array
  readonly low: Float64Array
  readonly high: Float64Array
}

// -----------------------------------------------------------------------------
// Queries
// -----------------------------------------------------------------------------

/**
 * The extent of x; undefined where there are no bins.
 *
 * @category queries
 * @since 0.5.0
 */
export const extent = (
  bins: Bins,
  axis: Axis,
  origin = 0
): { readonly from: number; readonly to: number } | undefined => {
  const [from, to] = axis === "step" ? [bins.fromStep, bins.toStep] : [bins.fromTime, bins.toTime]
  const shift = axis === "relative" ? origin : 0
  return from <= to ? { from: from - shift, to: to - shift } : undefined
}

/**
 * Whether the bins are too coarse for a picture: it has fewer of them than it has columns, though there were more points.
 * Then the log has more to show, see Live.detail.
 *
 * @category queries
 * @since 0.5.0
 */
export const isCoarse = (bins: Bins, window: Window): boolean => {
  if (bins.span === 1) return false
  const { high, low, shift } = edges(bins, window)
  let inside = 0
  for (let bin = 0; bin < bins.length; bin++) {
    if (high[bin]! - shift >= window.from && low[bin]! - shift <= window.to) inside++
  }
  return inside < window.columns
}

/**
 * The values.
 *
 * @category reducing
 * @since 0.5.0
 */
export const points = (bins: Bins, window: Window): Points => reduce(bins, window, bins.low, bins.high)

/**
 * A line that has one value a bin (smoothed, say) instead of the bins' own.
 *
 * @category reducing
 * @since 0.5.0
 */
export const line = (bins: Bins, window: Window, values: Float64Array): Points => reduce(bins, window, values, values)

/**
 * Mean, std and range across ranks or chains: of the bins of a column the mean of the means and stds, the least and the
 * greatest of all. A column without a finite value is a gap where the one before it has one.
 *
 * @category reducing
 * @since 0.5.0
 */
export const band = (bins: Bins, window: Window): Band => {
  const { high, low, shift } = edges(bins, window)
  const { columns, from } = window
  const size = Math.min(bins.length, columns + 2) + 1
  const out = {
    x: new Float64Array(size),
    mean: new Float64Array(size),
    std: new Float64Array(size),
    low: new Float64Array(size),
    high: new Float64Array(size)
  }
  const scale = scaleOf(window)
  const { beyond, first, inside, last } = within(bins, window)
  let length = 0
  let column = -2
  let [count, sum, deviation, least, greatest, at, end] = [0, 0, 0, Infinity, -Infinity, NaN, NaN]
  for (let bin = first; bin <= last + 1; bin++) {
    if (bin <= last && !inside(bin) && !beyond(bin)) continue
    const x = bin > last ? NaN : low[bin]! - shift
    const here = bin > last ? -3 : placeOf(x - from, scale, columns)
    if (here !== column) {
      const isGap = count === 0
      if (column !== -2 && !(isGap && (length === 0 || Number.isNaN(out.mean[length - 1])))) {
        if (length >= size) return outlinedBand(bins, window)
        out.x[length] = middle(window, at, end)
        out.mean[length] = isGap ? NaN : sum / count
        out.std[length] = isGap ? NaN : deviation / count
        out.low[length] = isGap ? NaN : least
        out.high[length++] = isGap ? NaN : greatest
      }
      column = here
      count = sum = deviation = 0
      least = Infinity
      greatest = -Infinity
      at = x
    }
    if (bin > last) break
    end = high[bin]! - shift
    const points = bins.count[bin]!
    if (points === 0) continue
    count += points
    sum += bins.sum[bin]!
    if (bins.spread) deviation += bins.deviation[bin]!
    if (bins.low[bin]! < least) least = bins.low[bin]!
    if (bins.high[bin]! > greatest) greatest = bins.high[bin]!
  }
  return {
    x: out.x.subarray(0, length),
    mean: out.mean.subarray(0, length),
    std: out.std.subarray(0, length),
    low: out.low.subarray(0, length),
    high: out.high.subarray(0, length)
  }
}

/**
 * The bin that lies nearest to an x; undefined where there are none.
 *
 * @category queries
 * @since 0.5.0
 */
export const nearest = (bins: Bins, axis: Axis, x: number, origin = 0): number | undefined => {
  const [low, high] = axis === "step" ? [bins.stepLow, bins.stepHigh] : [bins.timeLow, bins.timeHigh]
  const shift = axis === "relative" ? origin : 0
  let found: number | undefined
  let best = Infinity
  for (let bin = 0; bin < bins.length; bin++) {
    const from = low[bin]! - shift
    const to = high[bin]! - shift
    const distance = x < from ? from - x : x > to ? x - to : 0
    // Of several, the one that came last.
    if (distance <= best) {
      best = distance
      found = bin
    }
  }
  return found
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const edges = (bins: Bins, { axis, origin = 0 }: Window) => ({
  low: axis === "step" ? bins.stepLow : bins.timeLow,
  high: axis === "step" ? bins.stepHigh : bins.timeHigh,
  shift: axis === "relative" ? origin : 0
})

/** Which bins are in a window, and which are next to one that is, where those are asked for. */
const within = (bins: Bins, window: Window) => {
  const { high, low, shift } = edges(bins, window)
  const from = window.from + shift
  const to = window.to + shift
  const last = bins.length - 1
  const inside = (bin: number): boolean => high[bin]! >= from && low[bin]! <= to
  const beyond = window.beyond === true
    ? (bin: number): boolean => (bin > 0 && inside(bin - 1)) || (bin < last && inside(bin + 1))
    : () => false
  return { first: 0, last, inside, beyond }
}

/** Between whole steps a whole one, there is no step 2.5: the nearest, of two the first. */
const wholeOf = (at: number): number => Math.ceil(at - 0.5)

const middle = ({ axis }: Window, low: number, high: number): number => {
  const half = low + (high - low) / 2
  return axis === "step" && Number.isInteger(low) && Number.isInteger(high) ? wholeOf(half) : half
}

/** Columns per unit of x; in a window without extent all is in the first. */
const scaleOf = ({ columns, from, to }: Window): number => to > from ? columns / (to - from) : 0

/** -1 and `columns` are what lies beyond. */
const placeOf = (offset: number, scale: number, columns: number): number =>
  offset < 0 ? -1 : Math.min(columns - 1, Math.floor(offset * scale)) + (offset * scale > columns * (1 + 1e-9) ? 1 : 0)

const reduce = (bins: Bins, window: Window, lows: Float64Array, highs: Float64Array): Points => {
  const { high, low, shift } = edges(bins, window)
  const { columns, from } = window
  const scale = scaleOf(window)
  const most = 3 * columns + 8
  const x: Array<number> = []
  const y: Array<number> = []
  let column = -2
  let [least, leastAt, greatest, greatestAt] = [Infinity, NaN, -Infinity, NaN]
  let leastFirst = true
  let gap = false
  const flush = (): void => {
    if (!Number.isNaN(leastAt)) {
      if (least === greatest) {
        x.push(leastAt)
        y.push(least)
      } else if (leastFirst) {
        x.push(leastAt, greatestAt)
        y.push(least, greatest)
      } else {
        x.push(greatestAt, leastAt)
        y.push(greatest, least)
      }
    }
    if (gap && y.length > 0 && !Number.isNaN(y.at(-1))) {
      x.push(x.at(-1) ?? NaN)
      y.push(NaN)
    }
    ;[least, leastAt, greatest, greatestAt] = [Infinity, NaN, -Infinity, NaN]
    gap = false
  }
  const { beyond, first, inside, last } = within(bins, window)
  for (let bin = first; bin <= last; bin++) {
    if (!inside(bin) && !beyond(bin)) continue
    const left = low[bin]! - shift
    const right = high[bin]! - shift
    const here = placeOf(left - from, scale, columns)
    if (here !== column) {
      flush()
      column = here
      if (x.length > most) return outlines(bins, window, lows, highs)
    }
    if (bins.gaps[bin]! > 0) gap = true
    if (bins.count[bin] === 0 || Number.isNaN(lows[bin])) continue
    const lower = lows[bin]! < least
    const higher = highs[bin]! > greatest
    // Where in a bin the two came is not known: the first stands at its start, the last at its end.
    const flipped = bins.highFirst[bin] === 1
    if (lower && higher) leastFirst = !flipped
    else if (lower) leastFirst = false
    else if (higher) leastFirst = true
    if (lower) {
      least = lows[bin]!
      leastAt = flipped ? right : left
    }
    if (higher) {
      greatest = highs[bin]!
      greatestAt = flipped || lows[bin] === highs[bin] ? left : right
    }
  }
  flush()
  return { x: Float64Array.from(x), y: Float64Array.from(y) }
}

/** Where a column is drawn of which there is one point. */
const centerOf = (bins: Bins, window: Window): (nth: number) => number => {
  const { columns, from, to } = window
  const { first, inside, last } = within(bins, window)
  let whole = window.axis === "step"
  for (let bin = first; bin <= last && whole; bin++) {
    whole = !inside(bin) || Number.isInteger(bins.stepLow[bin]) && Number.isInteger(bins.stepHigh[bin])
  }
  return (nth) => {
    const at = from + (to - from) * (nth + 0.5) / columns
    return whole ? wholeOf(at) : at
  }
}

/** A band whose columns come again and again, as x goes back and forth: each once. */
const outlinedBand = (bins: Bins, window: Window): Band => {
  const { low, shift } = edges(bins, window)
  const { columns, from } = window
  const all = Array.from(
    { length: columns },
    () => ({ count: 0, sum: 0, deviation: 0, low: Infinity, high: -Infinity })
  )
  const { inside, last } = within(bins, window)
  const center = centerOf(bins, window)
  for (let bin = 0; bin <= last; bin++) {
    if (!inside(bin) || bins.count[bin] === 0) continue
    const place = placeOf(low[bin]! - shift - from, scaleOf(window), columns)
    const column = all[Math.max(0, Math.min(columns - 1, place))]!
    column.count += bins.count[bin]!
    column.sum += bins.sum[bin]!
    column.deviation += bins.spread ? bins.deviation[bin]! : 0
    column.low = Math.min(column.low, bins.low[bin]!)
    column.high = Math.max(column.high, bins.high[bin]!)
  }
  const places = all.flatMap((column, nth) => column.count === 0 ? [] : [{ ...column, x: center(nth) }])
  return {
    x: Float64Array.from(places, ({ x }) => x),
    mean: Float64Array.from(places, ({ count, sum }) => sum / count),
    std: Float64Array.from(places, ({ count, deviation }) => deviation / count),
    low: Float64Array.from(places, (place) => place.low),
    high: Float64Array.from(places, (place) => place.high)
  }
}

/** A column's extent, once. */
const outlines = (bins: Bins, window: Window, lows: Float64Array, highs: Float64Array): Points => {
  const { low, shift } = edges(bins, window)
  const { columns, from } = window
  const center = centerOf(bins, window)
  const least = new Float64Array(columns).fill(Infinity)
  const greatest = new Float64Array(columns).fill(-Infinity)
  const { beyond, first, inside, last } = within(bins, window)
  for (let bin = first; bin <= last; bin++) {
    if ((!inside(bin) && !beyond(bin)) || bins.count[bin] === 0 || Number.isNaN(lows[bin])) continue
    const place = placeOf(low[bin]! - shift - from, scaleOf(window), columns)
    const column = Math.max(0, Math.min(columns - 1, place))
    if (lows[bin]! < least[column]!) least[column] = lows[bin]!
    if (highs[bin]! > greatest[column]!) greatest[column] = highs[bin]!
  }
  const x: Array<number> = []
  const y: Array<number> = []
  for (let column = 0; column < columns; column++) {
    if (least[column] === Infinity) continue
    const at = center(column)
    x.push(at)
    y.push(least[column]!)
    if (least[column] !== greatest[column]) {
      x.push(at)
      y.push(greatest[column]!)
    }
  }
  return { x: Float64Array.from(x), y: Float64Array.from(y) }
}
