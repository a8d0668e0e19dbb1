/**
 * A vector metric's numbers: draw by draw across its chains, and as ridges.
 *
 * @since 0.1.0
 */
import type * as Census from "../../Census.ts"
import * as Columns from "../../Columns.ts"
import * as Bins from "./Bins.ts"
import type { Ridges } from "./Model.ts"
import * as Stretches from "./Stretches.ts"

// -----------------------------------------------------------------------------
// Across chains
// -----------------------------------------------------------------------------

/**
 * One number per draw: the first chain (the mean of its leapfrogs), and the statistics of all numbers of the draw. NaN
 * where a draw has no finite number.
 *
 * @category models
 * @since 0.1.0
 */
export interface Across {
  readonly first: Float64Array
  readonly mean: Float64Array
  readonly min: Float64Array
  readonly max: Float64Array
  readonly std: Float64Array
}

/**
 * The statistics of every draw of a column. `scale` is that of the variable's range (see {@link Bins.scaleOf}).
 *
 * @category chains
 * @since 0.1.0
 */
export const across = (column: Float64Array, length: number, variable: Census.Variable, scale: number): Across => {
  const width = Columns.width(variable)
  const leapfrogs = Math.max(1, variable.leapfrogs)
  const result: Across = {
    first: new Float64Array(length),
    mean: new Float64Array(length),
    min: new Float64Array(length),
    max: new Float64Array(length),
    std: new Float64Array(length)
  }
  for (let draw = 0; draw < length; draw++) {
    const from = draw * width
    let count = 0
    let sum = 0
    let min = Infinity
    let max = -Infinity
    let first = NaN
    for (let i = from; i < from + width; i++) {
      const value = column[i]!
      if (value - value === 0) {
        count++
        sum += value * scale
        if (value < min) min = value
        if (value > max) max = value
      }
      if (i === from + leapfrogs - 1 && count > 0) first = sum / count / scale
    }
    const mean = sum / count
    let m2 = 0
    for (let i = from; i < from + width; i++) {
      const value = column[i]!
      if (value - value === 0) m2 += (value * scale - mean) ** 2
    }
    result.first[draw] = first
    // Rounding must not carry the mean beyond the values.
    result.mean[draw] = count === 0 ? NaN : Math.min(max, Math.max(min, mean / scale))
    result.min[draw] = count === 0 ? NaN : min
    result.max[draw] = count === 0 ? NaN : max
    result.std[draw] = min === max ? 0 : Math.sqrt(m2 / count) / scale
  }
  return result
}

// -----------------------------------------------------------------------------
// Ridges
// -----------------------------------------------------------------------------

/** How many rows ridges have at most. */
const maxRows = 12

/**
 * Ridges under way: a histogram a row, over the first `chains` chains. Rows are stretches of the `draws` of the run, and
 * `from` and `to` where they begin and end on the axis; with leapfrogs a row is one of those.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gathered {
  readonly variable: Census.Variable
  readonly chains: number
  readonly draws: number
  readonly rows: ReadonlyArray<Bins.Bins>
  readonly from: Float64Array
  readonly to: Float64Array
}

/**
 * Ridges of a metric of which nothing has been seen; undefined for a scalar.
 *
 * @category ridges
 * @since 0.1.0
 */
export const open = (variable: Census.Variable, numChains: number, draws: number): Gathered | undefined => {
  const chains = Math.min(variable.chains, Math.max(0, Math.floor(numChains)))
  if (chains === 0) return undefined
  const rows = Math.min(maxRows, variable.leapfrogs > 0 ? variable.leapfrogs : draws)
  return {
    variable,
    chains,
    draws,
    rows: Array.from({ length: rows }, () => Bins.make(variable.min, variable.max, false)),
    from: new Float64Array(rows).fill(NaN),
    to: new Float64Array(rows).fill(NaN)
  }
}

/**
 * Adds a batch's column.
 *
 * @category ridges
 * @since 0.1.0
 */
export const add = (self: Gathered, column: Float64Array, batch: Columns.Batch, x: Float64Array): void => {
  const { chains, draws, rows, variable } = self
  const width = Columns.width(variable)
  const leapfrogs = Math.max(1, variable.leapfrogs)
  for (let draw = 0; draw < batch.length; draw++) {
    const start = draw * width
    const end = start + chains * leapfrogs
    if (variable.leapfrogs > 0) {
      for (const [row, bins] of rows.entries()) {
        for (let at = start + leapfrogOf(row, rows.length, leapfrogs); at < end; at += leapfrogs) put(bins, column[at]!)
      }
    } else {
      const row = Stretches.stretchOf(batch.first + draw, draws, rows.length)
      if (Number.isNaN(self.from[row])) self.from[row] = x[draw]!
      self.to[row] = x[draw]!
      for (let at = start; at < end; at++) put(rows[row]!, column[at]!)
    }
  }
}

const put = (bins: Bins.Bins, value: number): void => {
  if (value - value === 0) Bins.add(bins, value)
}

/** Which leapfrog step a row shows: the first, the last, and evenly between. */
const leapfrogOf = (row: number, rows: number, leapfrogs: number): number =>
  rows === 1 ? 0 : Math.round(row * (leapfrogs - 1) / (rows - 1))

/**
 * The finished ridges.
 *
 * @category ridges
 * @since 0.1.0
 */
export const finish = ({ chains, from, rows, to, variable }: Gathered, axis: "step" | "draw"): Ridges => {
  const by = variable.leapfrogs > 0 ? "leapfrog" : "draw"
  const label = (row: number): string => {
    if (by === "leapfrog") return `leapfrog ${leapfrogOf(row, rows.length, variable.leapfrogs)}`
    const [start, end] = [compact(from[row]!), compact(to[row]!)]
    return start === end ? `${axis} ${start}` : `${axis} ${start}–${end}`
  }
  return { by, chains, rows: Bins.finish(rows).map((histogram, row) => ({ label: label(row), histogram })) }
}

/** A number for a label: below 10,000 in full, else three digits and `k`, `M`, `G`. */
const compact = (value: number): string => {
  const size = Math.abs(value)
  if (size < 10_000) return String(Number(value.toPrecision(4)))
  for (const [unit, name] of [[1e3, "k"], [1e6, "M"], [1e9, "G"]] as const) {
    if (size < unit * 999.5) return `${Number((value / unit).toPrecision(3))}${name}`
  }
  return value.toExponential(2)
}
