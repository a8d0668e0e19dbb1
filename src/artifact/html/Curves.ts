/**
 * The data of a report: each metric's curve, thinned so that all of them stay within a size, as JSON text.
 *
 * The size is shared evenly, and what a curve does not need is for those after it. A number takes about ten characters,
 * so it is known beforehand how many points a curve may have. If it was too many after all, the last curves are thinned
 * further, or have no data and stay the pictures they are.
 *
 * @since 0.5.0
 */
import type { Last, Points, Series } from "../Series.ts"
import { type Curve, pack, type Value } from "./Codec.ts"
import { json } from "./Html.ts"
import * as Thin from "./Thin.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * `text` is the JSON of a {@link Data}; `stretches` is into how many pieces the longest curves were cut, `curves` how
 * many have data.
 *
 * @category models
 * @since 0.5.0
 */
export interface Encoded {
  readonly text: string
  readonly stretches: number
  readonly curves: number
}

/**
 * What ranks or chains had, where all of it is there, at the same places.
 *
 * @category models
 * @since 0.5.0
 */
export interface Band {
  readonly across: "ranks" | "chains"
  readonly mean: Points
  readonly std: Points
  readonly low: Points
  readonly high: Points
}

/** Characters of a number with its comma, and of a step from one place to the next. */
const valueSize = 10
const placeSize = 3
/** As many as a series has: it is thinned already. */
const mostStretches = 800
const fewestStretches = 8

// -----------------------------------------------------------------------------
// Bands
// -----------------------------------------------------------------------------

/**
 * The band of a series, thinned.
 *
 * @category constructors
 * @since 0.5.0
 */
export const bandOf = ({ max, mean, min, spread, std }: Series, stretches: number): Band | undefined => {
  if (spread === undefined || mean === undefined || mean.x.length === 0) return undefined
  const aligned = (other: Points | undefined): Points => at(other ?? mean, mean.x)
  return {
    across: spread,
    mean: Thin.line(mean, stretches, "mean"),
    std: std === undefined
      ? Thin.line({ x: mean.x, y: new Float64Array(mean.x.length) }, stretches, "mean")
      : Thin.line(aligned(std), stretches, "mean"),
    low: Thin.line(aligned(min), stretches, "min"),
    high: Thin.line(aligned(max), stretches, "max")
  }
}

/** The values of a line at other places of the same run; gaps where it has none. */
const at = (line: Points, x: Float64Array): Points => {
  if (line.x.length === x.length && line.x.every((place, i) => place === x[i])) return line
  const known = new Map(Array.from(line.x, (place, i) => [place, line.y[i]!]))
  return { x, y: x.map((place) => known.get(place) ?? NaN) }
}

// -----------------------------------------------------------------------------
// Encoding
// -----------------------------------------------------------------------------

/**
 * The curves of these series, by their place among them, in at most `size` bytes.
 *
 * @category encoding
 * @since 0.5.0
 */
export const encode = (all: ReadonlyArray<Series>, size: number): Encoded => {
  const places = new Map<string, number>()
  const curves: Array<string> = []
  let left = size - 100
  let widest = 0
  const place = (x: Float64Array): number => {
    const packed = JSON.stringify(pack(x))
    const known = places.get(packed)
    if (known !== undefined) return known
    places.set(packed, places.size)
    left -= packed.length + 1
    return places.size - 1
  }
  for (const [nth, series] of all.entries()) {
    const name = JSON.stringify(series.variable.key.slice(0, 200).toWellFormed())
    const perStretch = isBanded(series) ? placeSize + 4 * valueSize : 2 * (placeSize + valueSize)
    const wanted = Math.floor((left / (all.length - nth) - 2 * name.length - 300) / perStretch)
    let stretches = Math.max(fewestStretches, Math.min(mostStretches, wanted))
    for (; stretches >= fewestStretches; stretches = Math.floor(stretches / 2)) {
      const known = places.size
      const before = left
      const curve = json(`"${nth}":${curveOf(series, name, stretches, place)}`)
      left -= Buffer.byteLength(curve) + 1
      if (left >= 0) {
        curves.push(curve)
        break
      }
      // Its places go with it.
      for (const packed of [...places.keys()].slice(known)) places.delete(packed)
      left = before
    }
    const had = Math.max(Math.ceil(series.raw.x.length / 2), series.mean?.x.length ?? 0)
    widest = Math.max(widest, Math.min(stretches, had))
  }
  return {
    text: `{"places":[${[...places.keys()].join()}],"curves":{${curves.join()}}}`,
    stretches: widest,
    curves: curves.length
  }
}

const isBanded = ({ mean, spread }: Series): boolean => spread !== undefined && mean !== undefined && mean.x.length > 0

/** Built as text: numbers are rounded as they are written. */
const curveOf = (series: Series, name: string, stretches: number, place: (x: Float64Array) => number): string => {
  const { axis, last, raw, trend, variable } = series
  const parts = [`"key":${name}`, `"axis":"${axis}"`, `"points":${variable.count}`]
  if (last !== undefined) parts.push(`"last":${JSON.stringify(lastOf(last))}`)
  const band = bandOf(series, stretches)
  if (band !== undefined) {
    const { across, high, low, mean, std } = band
    parts.push(
      `"band":{"across":"${across}","x":${place(mean.x)},"mean":${values(mean)},"std":${values(std)},` +
        `"low":${values(low)},"high":${values(high)}}`
    )
    return `{${parts.join()}}`
  }
  const shown = Thin.extremes(raw, stretches)
  parts.push(`"values":{"x":${place(shown.x)},"y":${values(shown)}}`)
  if (trend !== undefined) parts.push(`"trend":{"x":${place(trend.x)},"y":${values(trend)}}`)
  return `{${parts.join()}}`
}

const lastOf = ({ spread, x, y }: Last): NonNullable<Curve["last"]> => ({
  x,
  y: valueOf(y),
  spread: spread === undefined
    ? null
    : { std: valueOf(spread.std), low: valueOf(spread.min), high: valueOf(spread.max) }
})

const valueOf = (value: number): Value =>
  Number.isFinite(value) ? value : Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity"

/** With six digits, and as many more as it takes to see a thousandth of their range. */
const values = ({ y }: Points): string => {
  let [min, max] = [Infinity, -Infinity]
  for (const value of y) {
    if (value < min) min = value
    if (value > max) max = value
  }
  const size = Math.max(Math.abs(min), Math.abs(max))
  const range = max / 2 - min / 2
  const wanted = range > 0 ? Math.ceil(Math.log10(size) - Math.log10(range)) + 4 : 0
  const digits = Math.min(17, Math.max(6, wanted))
  const out: Array<string> = []
  for (const value of y) {
    // The largest doubles would round to what is none.
    out.push(
      value - value !== 0
        ? "null"
        : Number.isInteger(value) || Math.abs(value) > 1e308
        ? String(value)
        : String(Number(value.toPrecision(digits)))
    )
  }
  return `[${out.join()}]`
}
