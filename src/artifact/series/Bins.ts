/**
 * Histograms whose range is known before the first value comes: a range that may turn out too wide (the census counts
 * the warm-up too, a standard deviation is only bounded) is filled finely and cut to what was hit at the end.
 *
 * Values are scaled by a power of two before anything is computed with them, so that 1e-320 and 1e308 neither vanish
 * nor overflow; for ordinary values the scale is 1.
 *
 * @since 0.1.0
 */
import type { Histogram } from "./Model.ts"

/** How many bins a finished histogram has at most, and into how many each is divided while filling. */
export const bins = 40
const fine = 48

/**
 * A histogram being filled. The bin of a value `v` is `(v * scale - start) * perUnit`, cut off.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bins {
  readonly scale: number
  readonly start: number
  readonly perUnit: number
  readonly counts: Uint32Array
}

/**
 * The power of two that brings the larger of two numbers near 1 where it is extreme, else 1.
 *
 * @category constructors
 * @since 0.1.0
 */
export const scaleOf = (min: number, max: number): number => {
  const largest = Math.max(Math.abs(min), Math.abs(max))
  if (!(largest > 0 && largest < Infinity)) return 1
  const exponent = Math.floor(Math.log2(largest))
  return Math.abs(exponent) < 400 ? 1 : 2 ** Math.min(1000, -exponent)
}

/**
 * Empty bins from `min` to `max`. `exact` says that the range is that of the values: then nothing has to be cut.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (min: number, max: number, exact: boolean): Bins => {
  const known = min <= max
  const scale = known ? scaleOf(min, max) : 1
  let start = known ? min * scale : 0
  let end = known ? max * scale : 1
  const centre = (start + end) / 2
  // A constant, or a range too narrow for the doubles around it, gets a range of its own with the value in the middle.
  const least = Math.abs(centre) * 1e-12
  if (end - start <= least) {
    const half = centre === 0 ? 0.5 : Math.abs(centre) * 0.05
    start = centre - half
    end = centre + half
  }
  const count = exact ? bins : bins * fine
  return { scale, start, perUnit: count / (end - start), counts: new Uint32Array(count) }
}

/**
 * Counts one finite value.
 *
 * @category filling
 * @since 0.1.0
 */
export const add = (self: Bins, value: number): void => {
  const last = self.counts.length - 1
  const bin = ((value * self.scale - self.start) * self.perUnit) | 0
  self.counts[bin > last ? last : bin < 0 ? 0 : bin]!++
}

/**
 * The finished histograms of bins that were made alike, over the range that any of them has values in.
 *
 * @category finishing
 * @since 0.1.0
 */
export const finish = (all: ReadonlyArray<Bins>): ReadonlyArray<Histogram> => {
  const first = all[0]
  if (first === undefined) return []
  const size = first.counts.length
  let low = 0
  let high = size
  if (size > bins) {
    while (low < high && all.every(({ counts }) => counts[low] === 0)) low++
    while (high > low && all.every(({ counts }) => counts[high - 1] === 0)) high--
    if (low === high) {
      low = 0
      high = size
    }
  }
  const per = Math.ceil((high - low) / bins)
  const length = Math.ceil((high - low) / per)
  const edge = (bin: number): number => (first.start + bin / first.perUnit) / first.scale
  return all.map(({ counts }) => {
    const merged = new Float64Array(length)
    for (let bin = low; bin < high; bin++) merged[Math.floor((bin - low) / per)]! += counts[bin]!
    return { from: edge(low), to: edge(low + length * per), counts: merged }
  })
}
