/**
 * Series as the page draws them: decimated to the width of the picture, in ascending order of x, gaps as null.
 *
 * @since 0.5.0
 */
import * as Decimate from "../view/Decimate.ts"
import type { Series } from "../view/Series.ts"
import * as Smooth from "../view/Smooth.ts"
import type * as Api from "./Api.ts"

/**
 * One metric's curve in a window. `weight` smooths, 0 does not. `whole` is all of a series that is a part, read again.
 *
 * @category constructors
 * @since 0.5.0
 */
export const curve = (
  series: Series,
  window: Decimate.Window,
  weight: number,
  whole: Series = series
): Api.Curve => {
  const { across, key, spread, values } = series
  const shown = spread ?? values
  const own = spread === undefined ? Decimate.points(values, window) : none
  const all = spread === undefined ? whole.values : whole.spread
  const smooth = weight > 0 ? Decimate.line(shown, window, Smooth.smoothBins(shown, weight, all)) : undefined
  return {
    key,
    points: shown.total,
    coarse: Decimate.isCoarse(shown, window),
    last: lastOf(series, window),
    ...line(own),
    smooth: smooth === undefined ? null : line(smooth),
    band: spread === undefined || across === undefined ? null : { across, ...band(Decimate.band(spread, window)) }
  }
}

const lastOf = ({ last, lastSpread, values }: Series, { axis, origin = 0 }: Decimate.Window): Api.Curve["last"] => {
  const x = (step: number, time: number): number => axis === "step" ? step : axis === "time" ? time : time - origin
  if (lastSpread !== undefined) {
    const { high, low, mean, std, step, time } = lastSpread
    return { x: x(step, time), y: value(mean), spread: { std: value(std), low: value(low), high: value(high) } }
  }
  const bin = values.length - 1
  return bin < 0 ? null : { x: x(values.stepHigh[bin]!, values.timeHigh[bin]!), y: value(last), spread: null }
}

/**
 * A number as the API tells a single one.
 *
 * @category encoding
 * @since 0.5.0
 */
export const value = (one: number): Api.Value =>
  Number.isFinite(one) ? one : Number.isNaN(one) ? "NaN" : one > 0 ? "Infinity" : "-Infinity"

const none: Decimate.Points = { x: new Float64Array(), y: new Float64Array() }

/** A picture reads from left to right: a run that went back in its steps is drawn over itself. */
const order = (x: Float64Array): Uint32Array | undefined => {
  for (let i = 1; i < x.length; i++) {
    if (x[i]! < x[i - 1]!) return Uint32Array.from(x.keys()).sort((a, b) => x[a]! - x[b]! || a - b)
  }
  return undefined
}

const numbers = (values: Float64Array, by: Uint32Array | undefined): Array<number | null> => {
  const out: Array<number | null> = []
  for (let i = 0; i < values.length; i++) {
    const value = values[by === undefined ? i : by[i]!]!
    out.push(value - value === 0 ? value : null)
  }
  return out
}

const xs = (values: Float64Array, by: Uint32Array | undefined): Array<number> =>
  Array.from(by === undefined ? values : by, (one) => by === undefined ? one : values[one]!)

const line = ({ x, y }: Decimate.Points): Api.Line => {
  const by = order(x)
  return { x: xs(x, by), y: numbers(y, by) }
}

const band = ({ high, low, mean, std, x }: Decimate.Band) => {
  const by = order(x)
  return {
    x: xs(x, by),
    mean: numbers(mean, by),
    std: numbers(std, by),
    low: numbers(low, by),
    high: numbers(high, by)
  }
}

/**
 * The ends of x over several series; undefined where there are no points.
 *
 * @category queries
 * @since 0.5.0
 */
export const extent = (
  all: ReadonlyArray<Series>,
  axis: Decimate.Axis,
  origin: number
): { readonly from: number; readonly to: number } | undefined => {
  let [from, to] = [Infinity, -Infinity]
  for (const { spread, values } of all) {
    const one = Decimate.extent(spread ?? values, axis, origin)
    if (one === undefined) continue
    if (one.from < from) from = one.from
    if (one.to > to) to = one.to
  }
  return from <= to ? { from, to } : undefined
}
