/**
 * What is kept of one column of numbers, stretch by stretch, while a run goes by: the loops that see every value.
 *
 * A stretch is a range of a group's draws; there are at most as many as a picture has columns, so the memory is the
 * same for a thousand draws and for a billion.
 *
 * @since 0.1.0
 */
import type * as Bins from "./Bins.ts"
import type { Points } from "./Model.ts"

// -----------------------------------------------------------------------------
// Which draw belongs where
// -----------------------------------------------------------------------------

/**
 * The pieces of a batch that lie in one stretch each: piece `i` is the draws from `bounds[i]` to `bounds[i + 1]` of the
 * batch, and lies in stretch `first + i`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pieces {
  readonly first: number
  readonly bounds: ReadonlyArray<number>
}

/**
 * The stretch of a draw, of `draws` cut into `count` stretches whose lengths differ by one at most.
 *
 * @category stretches
 * @since 0.1.0
 */
export const stretchOf = (draw: number, draws: number, count: number): number =>
  Math.min(count - 1, Math.floor(draw * count / draws))

/**
 * Cuts the draws `from` to `from + length` at the borders of the stretches.
 *
 * @category stretches
 * @since 0.1.0
 */
export const cut = (from: number, length: number, draws: number, count: number): Pieces => {
  const first = stretchOf(from, draws, count)
  const bounds = [0]
  for (let next = first + 1; next < count; next++) {
    const start = Math.ceil(next * draws / count) - from
    if (start >= length) break
    bounds.push(start)
  }
  bounds.push(length)
  return { first, bounds }
}

// -----------------------------------------------------------------------------
// A metric's own values
// -----------------------------------------------------------------------------

/**
 * Of each stretch: how many finite values, their sum (scaled), the smallest and the largest and where they stood.
 *
 * @category models
 * @since 0.1.0
 */
export interface Raw {
  readonly scale: number
  readonly count: Uint32Array
  readonly sum: Float64Array
  readonly min: Float64Array
  readonly minX: Float64Array
  readonly max: Float64Array
  readonly maxX: Float64Array
  readonly maxFirst: Uint8Array
}

/**
 * No values yet, for `stretches` stretches.
 *
 * @category raw
 * @since 0.1.0
 */
export const raw = (stretches: number, scale: number): Raw => ({
  scale,
  count: new Uint32Array(stretches),
  sum: new Float64Array(stretches),
  min: new Float64Array(stretches).fill(Infinity),
  minX: new Float64Array(stretches),
  max: new Float64Array(stretches).fill(-Infinity),
  maxX: new Float64Array(stretches),
  maxFirst: new Uint8Array(stretches)
})

/**
 * Adds a batch's column, one value per draw at the places `x`. With `histogram`, every value is counted there too.
 *
 * @category raw
 * @since 0.1.0
 */
export const addRaw = (
  self: Raw,
  values: Float64Array,
  x: Float64Array,
  pieces: Pieces,
  histogram: Bins.Bins | undefined
): void => {
  const { bounds, first } = pieces
  const { counts, perUnit, start } = histogram ?? unused
  const last = counts.length - 1
  const scale = self.scale
  for (let piece = 0; piece + 1 < bounds.length; piece++) {
    const stretch = first + piece
    const to = bounds[piece + 1]!
    let count = 0
    let sum = 0
    let min = self.min[stretch]!
    let max = self.max[stretch]!
    let minAt = -1
    let maxAt = -1
    for (let i = bounds[piece]!; i < to; i++) {
      const value = values[i]!
      if (value - value !== 0) continue
      const scaled = value * scale
      count++
      sum += scaled
      if (value < min) {
        min = value
        minAt = i
      }
      if (value > max) {
        max = value
        maxAt = i
      }
      const bin = ((scaled - start) * perUnit) | 0
      counts[bin > last ? last : bin < 0 ? 0 : bin]!++
    }
    self.count[stretch]! += count
    self.sum[stretch]! += sum
    if (minAt >= 0) {
      self.min[stretch] = min
      self.minX[stretch] = x[minAt]!
    }
    if (maxAt >= 0) {
      self.max[stretch] = max
      self.maxX[stretch] = x[maxAt]!
    }
    // What came later stands in the later piece: whichever extreme this piece moved is the later of the two.
    if (minAt >= 0 || maxAt >= 0) self.maxFirst[stretch] = maxAt < minAt ? 1 : 0
  }
}

const unused: Bins.Bins = { scale: 1, start: 0, perUnit: 0, counts: new Uint32Array(1) }

/**
 * The extremes of every stretch in the order they came. A stretch without a finite value is a gap (NaN) where `gaps`
 * says so, else the line goes on across it.
 *
 * @category raw
 * @since 0.1.0
 */
export const rawPoints = (self: Raw, centre: Float64Array, gaps: boolean): Points => {
  const x: Array<number> = []
  const y: Array<number> = []
  for (let stretch = 0; stretch < centre.length; stretch++) {
    if (self.count[stretch] === 0) {
      if (gaps && isFinite(centre[stretch]!) && !Number.isNaN(y.at(-1))) {
        x.push(centre[stretch]!)
        y.push(NaN)
      }
      continue
    }
    const one = self.min[stretch] === self.max[stretch]
    if (one || self.maxFirst[stretch] === 1) {
      x.push(self.maxX[stretch]!)
      y.push(self.max[stretch]!)
    }
    if (!one) {
      x.push(self.minX[stretch]!)
      y.push(self.min[stretch]!)
    }
    if (!one && self.maxFirst[stretch] === 0) {
      x.push(self.maxX[stretch]!)
      y.push(self.max[stretch]!)
    }
  }
  return { x: Float64Array.from(x), y: Float64Array.from(y) }
}

// -----------------------------------------------------------------------------
// A statistic of a metric
// -----------------------------------------------------------------------------

/**
 * Of each stretch one number: the mean of the values, or the smallest, or the largest.
 *
 * @category models
 * @since 0.1.0
 */
export interface Line {
  readonly keep: "mean" | "min" | "max"
  readonly scale: number
  readonly count: Uint32Array
  readonly value: Float64Array
}

/**
 * No values yet, for `stretches` stretches.
 *
 * @category lines
 * @since 0.1.0
 */
export const line = (stretches: number, scale: number, keep: Line["keep"]): Line => ({
  keep,
  scale,
  count: new Uint32Array(stretches),
  value: new Float64Array(stretches)
})

/**
 * Adds a batch's column, one value per draw, and counts the values.
 *
 * @category lines
 * @since 0.1.0
 */
export const addLine = (self: Line, values: Float64Array, pieces: Pieces, histogram: Bins.Bins): void => {
  const { bounds, first } = pieces
  const { counts, perUnit, scale: binScale, start } = histogram
  const last = counts.length - 1
  const { keep, scale } = self
  for (let piece = 0; piece + 1 < bounds.length; piece++) {
    const stretch = first + piece
    const to = bounds[piece + 1]!
    let count = 0
    let sum = 0
    let min = Infinity
    let max = -Infinity
    for (let i = bounds[piece]!; i < to; i++) {
      const value = values[i]!
      if (value - value !== 0) continue
      count++
      sum += value * scale
      if (value < min) min = value
      if (value > max) max = value
      const bin = ((value * binScale - start) * perUnit) | 0
      counts[bin > last ? last : bin < 0 ? 0 : bin]!++
    }
    if (count === 0) continue
    const before = self.value[stretch]!
    if (keep === "mean") self.value[stretch] = before + sum
    else if (self.count[stretch] === 0) self.value[stretch] = keep === "min" ? min : max
    else self.value[stretch] = keep === "min" ? Math.min(before, min) : Math.max(before, max)
    self.count[stretch]! += count
  }
}

/**
 * One point a stretch, in its middle.
 *
 * @category lines
 * @since 0.1.0
 */
export const linePoints = (self: Line, centre: Float64Array, gaps: boolean): Points => {
  const x: Array<number> = []
  const y: Array<number> = []
  for (let stretch = 0; stretch < centre.length; stretch++) {
    const count = self.count[stretch]!
    if (count > 0) {
      x.push(centre[stretch]!)
      y.push(self.keep === "mean" ? self.value[stretch]! / count / self.scale : self.value[stretch]!)
    } else if (gaps && isFinite(centre[stretch]!) && !Number.isNaN(y.at(-1))) {
      x.push(centre[stretch]!)
      y.push(NaN)
    }
  }
  return { x: Float64Array.from(x), y: Float64Array.from(y) }
}
