/**
 * A small picture of a curve, as SVG in the page: for who reads the report without scripts, and on paper.
 *
 * Colours come from the page's style where there is one, else from attributes. Of a band the range is a surface and the
 * mean a line; of values the trend, where there is one, lies over them.
 *
 * @since 0.5.0
 */
import * as Ticks from "../plot/Ticks.ts"
import type { Points, Series } from "../Series.ts"
import { bandOf } from "./Curves.ts"
import { text } from "./Html.ts"
import * as Thin from "./Thin.ts"

// -----------------------------------------------------------------------------
// The picture
// -----------------------------------------------------------------------------

const width = 360
const height = 170
const left = 50
const right = 352
const top = 10
const bottom = 148

/** Characters of one point. */
const pointSize = 12

/**
 * The picture in about `size` characters, with `label` for who does not see it.
 *
 * @category drawing
 * @since 0.5.0
 */
export const draw = (series: Series, label: string, size: number): string => {
  const banded = bandOf(series, 1) !== undefined
  const wanted = Math.floor((size - 1200) / ((banded ? 3 : 2) * pointSize))
  const stretches = Math.max(12, Math.min(150, wanted))
  const band = bandOf(series, stretches)
  const shown = band === undefined ? [Thin.extremes(series.raw, stretches)] : [band.mean, band.low, band.high]
  const x = scale(shown.map((one) => one.x), left, right)
  const y = scale(shown.map((one) => one.y), bottom, top)
  const parts = [`<svg role="img" aria-label="${text(label, 400)}" viewBox="0 0 ${width} ${height}" width="${width}">`]
  if (x === undefined || y === undefined) {
    parts.push(
      `<text class="tick" x="${width / 2}" y="${height / 2}" ${ink} text-anchor="middle">no finite values</text>`
    )
    return `${parts.join("")}</svg>`
  }
  parts.push(axes(x, y))
  const main = shown[0]!
  if (band !== undefined) parts.push(surface(band.low, band.high, x, y))
  const faint = series.trend !== undefined && band === undefined
  parts.push(path(main, x, y, faint ? "faint" : ""))
  if (faint && series.trend !== undefined) parts.push(path(series.trend, x, y, ""))
  return `${parts.join("")}</svg>`
}

// -----------------------------------------------------------------------------
// Scales
// -----------------------------------------------------------------------------

interface Scale {
  readonly from: number
  readonly to: number
  readonly of: (value: number) => number
}

/** Numbers to pixels; undefined where there is none. Halves, since a range may be beyond the largest double. */
const scale = (all: ReadonlyArray<Float64Array>, start: number, end: number): Scale | undefined => {
  let [min, max] = [Infinity, -Infinity]
  for (const values of all) {
    for (const value of values) {
      if (value - value !== 0) continue
      if (value < min) min = value
      if (value > max) max = value
    }
  }
  if (min > max) return undefined
  const margin = min === max ? Math.abs(min) * 0.05 || 0.5 : 0
  const [from, to] = [min - margin, max + margin]
  const range = to / 2 - from / 2
  const middle = (start + end) / 2
  return { from, to, of: (value) => range > 0 ? start + (value / 2 - from / 2) / range * (end - start) : middle }
}

const ticksOf = ({ from, to }: Scale, count: number, integer: boolean): Ticks.Ticks => {
  const range = to - from
  return range > 1e-290 && range < 1e290 && Math.max(Math.abs(from), Math.abs(to)) < 1e290
    ? Ticks.make([from, to], count, { integer })
    : Ticks.none
}

// -----------------------------------------------------------------------------
// Parts
// -----------------------------------------------------------------------------

const ink = `fill="#525a65" font-size="11" font-family="sans-serif"`

const axes = (x: Scale, y: Scale): string => {
  const lines: Array<string> = []
  const labels: Array<string> = []
  const tick = (atX: number, atY: number, anchor: string, label: string): void => {
    labels.push(`<text class="tick" x="${px(atX)}" y="${px(atY)}" text-anchor="${anchor}">${text(label)}</text>`)
  }
  const vertical = ticksOf(y, 4, false)
  for (const [i, value] of vertical.values.entries()) {
    lines.push(`M${left} ${px(y.of(value))}H${right}`)
    tick(left - 5, y.of(value) + 4, "end", vertical.labels[i] ?? "")
  }
  const across = ticksOf(x, 4, true)
  for (const [i, value] of across.values.entries()) {
    lines.push(`M${px(x.of(value))} ${bottom}v4`)
    // The last label ends where the picture does.
    const atEnd = x.of(value) > right - 14
    tick(atEnd ? width - 1 : x.of(value), bottom + 16, atEnd ? "end" : "middle", across.labels[i] ?? "")
  }
  if (vertical.offset !== "") tick(left + 3, top + 2, "start", `${vertical.offset} +`)
  return `<path class="grid" d="${lines.join("")}" stroke="#e7eaee" fill="none"/><g ${ink}>${labels.join("")}</g>`
}

const path = (points: Points, x: Scale, y: Scale, kind: string): string =>
  `<path class="line ${kind}" d="${pieces(points, x, y).join("")}" stroke="#1f6fd0" stroke-width="1.5" fill="none"` +
  ` stroke-linejoin="round" stroke-linecap="round"${kind === "faint" ? ` opacity="0.4"` : ""}/>`

/** A piece for each stretch without a gap; a point that is alone is a dot. */
const pieces = (points: Points, x: Scale, y: Scale): ReadonlyArray<string> => {
  const out: Array<string> = []
  let open = false
  for (let i = 0; i < points.x.length; i++) {
    const value = points.y[i]!
    if (value - value !== 0) {
      open = false
      continue
    }
    out.push(`${open ? "L" : "M"}${px(x.of(points.x[i]!))} ${px(y.of(value))}`)
    const next = points.y[i + 1]
    if (!open && (next === undefined || next - next !== 0)) out.push("h0")
    open = true
  }
  return out
}

/** From the smallest to the largest; where there are none, the surface is as thin as the line. */
const surface = (low: Points, high: Points, x: Scale, y: Scale): string => {
  const upper: Array<string> = []
  const lower: Array<string> = []
  for (let i = 0; i < low.x.length; i++) {
    const [least, most] = [low.y[i]!, high.y[i]!]
    if (least - least !== 0 || most - most !== 0) continue
    upper.push(`${px(x.of(low.x[i]!))} ${px(y.of(most))}`)
    lower.unshift(`${px(x.of(low.x[i]!))} ${px(y.of(least))}`)
  }
  if (upper.length === 0) return ""
  return `<path class="band" d="M${[...upper, ...lower].join("L")}Z" fill="#1f6fd0" opacity="0.2"/>`
}

const px = (value: number): string => String(Math.round(value * 10) / 10)
