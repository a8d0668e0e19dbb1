/**
 * The curves of a report as they travel in its data, for who writes it and for the script that draws them.
 *
 * Places on the axis ascend: they are the first one, a unit, and how many units each is further than the one before.
 * Several lines may share them. Values are rounded to what can be seen of them; null is a gap.
 *
 * @since 0.5.0
 */

/**
 * A line: which of the places it has, and its values there.
 *
 * @category models
 * @since 0.5.0
 */
export interface Line {
  readonly x: number
  readonly y: ReadonlyArray<number | null>
}

/**
 * A number, also one that JSON has no word for.
 *
 * @category models
 * @since 0.5.1
 */
export type Value = number | "NaN" | "Infinity" | "-Infinity"

/**
 * What is drawn of one metric: its own values, or what ranks or chains had. `last` is the run's last value as it is,
 * which no point of a thinned line need be; of a band the last mean, and what belongs to it.
 *
 * @category models
 * @since 0.5.0
 */
export interface Curve {
  readonly key: string
  readonly axis: "step" | "draw"
  readonly points: number
  readonly last?: {
    readonly x: number
    readonly y: Value
    readonly spread: { readonly std: Value; readonly low: Value; readonly high: Value } | null
  }
  readonly values?: Line
  readonly trend?: Line
  readonly band?: {
    readonly across: "ranks" | "chains"
    readonly x: number
    readonly mean: ReadonlyArray<number | null>
    readonly std: ReadonlyArray<number | null>
    readonly low: ReadonlyArray<number | null>
    readonly high: ReadonlyArray<number | null>
  }
}

/**
 * The data of a report. `curves` by the number of their chart.
 *
 * @category models
 * @since 0.5.0
 */
export interface Data {
  readonly places: ReadonlyArray<ReadonlyArray<number>>
  readonly curves: Readonly<Record<string, Curve>>
}

/**
 * Places as they travel: ascending ones.
 *
 * @category places
 * @since 0.5.0
 */
export const pack = (x: ArrayLike<number>): ReadonlyArray<number> => {
  const first = x[0]
  const last = x[x.length - 1]
  // Beyond what doubles can tell apart there is nothing to be drawn.
  if (first === undefined || last === undefined || !Number.isFinite(last - first)) return []
  const unit = unitOf(x, last - first)
  const out = [first, unit]
  let before = 0
  for (let i = 1; i < x.length; i++) {
    const units = Math.round((x[i]! - first) / unit)
    out.push(units - before)
    before = units
  }
  return out
}

/** Integers where there are such or where there is room between them; else a millionth of the range or less. */
const unitOf = (x: ArrayLike<number>, range: number): number => {
  if (!(range > 0)) return 1
  if (range > 4 * x.length && Number.isInteger(x[0])) return 1
  for (let i = 0; i < x.length; i++) {
    if (!Number.isInteger(x[i])) return 10 ** Math.max(-300, Math.floor(Math.log10(range)) - 6)
  }
  return 1
}

/**
 * The places again.
 *
 * @category places
 * @since 0.5.0
 */
export const unpack = (packed: ReadonlyArray<number>): Array<number> => {
  const [first, unit = 1, ...steps] = packed
  if (first === undefined) return []
  let units = 0
  return [first, ...steps.map((step) => first + (units += step) * unit)]
}
