/**
 * One metric's chart in a box of cells: its name and latest value, braille lines in a frame of ticks, and a cursor.
 *
 * Layers, from the back: the band of all ranks or chains, half-tone so that lines stay visible in it without colour, too;
 * the metric's own values; the mean across ranks; the smoothed line.
 *
 * @since 0.5.0
 */
import * as Axis from "../artifact/tplot/Axis.ts"
import * as Canvas from "../artifact/tplot/Canvas.ts"
import * as Marker from "../artifact/tplot/Marker.ts"
import * as Text from "../artifact/tplot/Text.ts"
import * as Decimate from "../view/Decimate.ts"
import type { Series } from "../view/Series.ts"
import * as Smooth from "../view/Smooth.ts"
import * as Decades from "./Decades.ts"
import * as Frame from "./Frame.ts"
import * as Metrics from "./Metrics.ts"
import { apart, number } from "./Numbers.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How charts are drawn. `smoothing` is a weight, 0 for none.
 *
 * @category models
 * @since 0.5.0
 */
export interface Options {
  readonly axis: Decimate.Axis
  readonly origin: number
  readonly log: boolean
  readonly smoothing: number
  readonly band: "std" | "range" | "off"
}

/**
 * A chart. `whole` is all of a series that is a part, read again; `window` is what of x is shown, all of it if undefined; `cursor` an x in it.
 *
 * @category models
 * @since 0.5.0
 */
export interface Chart {
  readonly title: string
  readonly series: Series
  readonly options: Options
  readonly whole?: Series
  readonly window?: { readonly from: number; readonly to: number } | undefined
  readonly cursor?: number | undefined
  readonly selected?: boolean
  readonly legend?: boolean
}

const braille = Marker.of("braille")
const colors = {
  band: Frame.styles.grey,
  raw: Frame.styles.blue,
  mean: Frame.styles.yellow,
  smooth: Frame.styles.magenta
} as const

/** Narrower, or lower, nothing is drawn but the name. */
const leastColumns = 8
const leastRows = 3

// -----------------------------------------------------------------------------
// Data
// -----------------------------------------------------------------------------

/**
 * The extent of a series on an axis; undefined where it has no points.
 *
 * @category queries
 * @since 0.5.0
 */
export const extentOf = (
  { spread, values }: Series,
  { axis, origin }: Pick<Options, "axis" | "origin">
): { readonly from: number; readonly to: number } | undefined => {
  const own = Decimate.extent(values, axis, origin)
  const all = spread === undefined ? undefined : Decimate.extent(spread, axis, origin)
  if (own === undefined || all === undefined) return own ?? all
  return { from: Math.min(own.from, all.from), to: Math.max(own.to, all.to) }
}

interface Data {
  readonly raw: Canvas.Points
  readonly mean: Canvas.Points | undefined
  readonly band: { readonly x: Float64Array; readonly low: Float64Array; readonly high: Float64Array } | undefined
  readonly smooth: Canvas.Points | undefined
}

const dataOf = ({ options, series, whole = series }: Chart, from: number, to: number, columns: number): Data => {
  const window: Decimate.Window = { axis: options.axis, from, to, columns, origin: options.origin }
  const scale = (values: Float64Array): Float64Array => options.log ? Smooth.logarithms(values) : values
  const points = ({ x, y }: Decimate.Points): Canvas.Points => ({ x, y: scale(y) })
  const { across, spread, values } = series
  const all = spread === undefined || spread.length === 0 ? undefined : Decimate.band(spread, window)
  const isAcross = across === "ranks" && spread !== undefined
  const smoothed = isAcross ? spread : values
  const before = isAcross ? whole.spread : whole.values
  const shown = options.band === "off" || all === undefined ? undefined : options.band === "range"
    ? { low: all.low, high: all.high }
    : {
      low: all.mean.map((mean, nth) => mean - all.std[nth]!),
      high: all.mean.map((mean, nth) => mean + all.std[nth]!)
    }
  return {
    raw: points(Decimate.points(values, window)),
    // Of a vector the values are the mean.
    mean: all === undefined || across === "chains" ? undefined : points({ x: all.x, y: all.mean }),
    band: shown === undefined || all === undefined
      ? undefined
      // Where a band reaches below 0, on a scale of powers of ten, it has no lower edge.
      : { x: all.x, low: options.log ? lowest(shown.low) : shown.low, high: scale(shown.high) },
    smooth: options.smoothing === 0
      ? undefined
      : points(Decimate.line(smoothed, window, Smooth.smoothBins(smoothed, options.smoothing, before)))
  }
}

const lowest = (values: Float64Array): Float64Array =>
  values.map((value) => value > 0 ? Math.log10(value) : Number.isNaN(value) ? NaN : -Infinity)

const rangeOf = ({ band, mean, raw, smooth }: Data): Axis.Range | undefined => {
  let low = Infinity
  let high = -Infinity
  for (const values of [raw.y, mean?.y, smooth?.y, band?.low, band?.high]) {
    if (values === undefined) continue
    for (const value of values) {
      if (value - value !== 0) continue
      if (value < low) low = value
      if (value > high) high = value
    }
  }
  return Axis.range(low, high)
}

// -----------------------------------------------------------------------------
// Drawing
// -----------------------------------------------------------------------------

/**
 * Draws a chart into a box.
 *
 * @category drawing
 * @since 0.5.0
 */
export const draw = (frame: Frame.Frame, box: Frame.Box, chart: Chart): void => {
  const { height, left, top, width } = box
  title(frame, box, chart)
  const axisRow = height >= leastRows + 2 ? 1 : 0
  const rows = height - 1 - axisRow
  if (rows < 1 || width < leastColumns) return
  const extent = chart.window ?? extentOf(chart.series, chart.options)
  const x = extent === undefined ? undefined : Axis.range(extent.from, extent.to)
  // The labels' width is not known before the values are; the canvas has all but them.
  const data = x === undefined ? undefined : dataOf(chart, x.low, x.high, 2 * (width - 2))
  const y = data === undefined ? undefined : rangeOf(data)
  if (data === undefined || x === undefined || y === undefined) {
    const nothing = chart.options.log && chart.series.values.total > 0 ? "nothing above 0" : "no finite values"
    Frame.write(frame, top + 1 + Math.floor(rows / 2), left + 2, nothing, Frame.styles.grey, width - 2)
    return
  }
  const { log } = chart.options
  const ticks = known(
    `${log ? "log" : "y"} ${y.low} ${y.high} ${y.constant} ${rows}`,
    () =>
      (log ? Decades : Axis).ticks(y, {
        ideal: Math.max(2, Math.round(rows / 2.8)),
        most: Math.max(2, Math.ceil(rows / 2)),
        offset: true,
        // Labels in rows side by side crowd each other, and look unevenly spaced.
        fits: ({ values }) =>
          values.every((value, nth) =>
            nth === 0 || tickRow(y, values[nth - 1]!, rows) - tickRow(y, value, rows) >= (rows < 5 ? 1 : 2)
          )
      })
  )
  const { labels } = ticks
  const longest = Math.max(0, ...labels.map(Text.width))
  const gutter = longest + 1 + leastColumns > width ? 0 : longest
  const columns = width - gutter - 1
  const start = left + gutter + 1
  for (let row = 0; row < rows; row++) Frame.write(frame, top + 1 + row, start - 1, "│", Frame.styles.grey)
  ticks.values.forEach((value, nth) => {
    const row = top + 1 + tickRow(y, value, rows)
    if (gutter > 0) Frame.write(frame, row, left, (labels[nth] ?? "").padStart(gutter), Frame.styles.grey, gutter)
    Frame.write(frame, row, start - 1, "┤", Frame.styles.grey)
  })
  const canvas = Canvas.make(columns, rows)
  const ranges = { x, y }
  if (data.band !== undefined) fill(canvas, data.band, ranges)
  const own = data.mean === undefined && data.smooth === undefined ? colors.raw : Frame.styles.blue
  Canvas.lines(canvas, data.raw, ranges, braille, own)
  if (data.mean !== undefined) Canvas.lines(canvas, data.mean, ranges, braille, colors.mean)
  if (data.smooth !== undefined) Canvas.lines(canvas, data.smooth, ranges, braille, colors.smooth)
  copy(frame, canvas, top + 1, start)
  if (chart.cursor !== undefined && chart.cursor >= x.low && chart.cursor <= x.high) {
    const column = start + Canvas.place(x, chart.cursor, columns)
    for (let row = 0; row < rows; row++) {
      const at = (top + 1 + row) * frame.columns + column
      if (frame.texts[at] === " ") Frame.write(frame, top + 1 + row, column, "│", Frame.styles.bold)
      else Frame.paint(frame, top + 1 + row, column, 1, Frame.styles.bold | Frame.styles.inverse)
    }
  }
  if (ticks.offset !== undefined && gutter > 0) {
    Frame.write(frame, top + 1, start, ` ${ticks.offset} + `, Frame.styles.grey, columns)
  }
  if (axisRow === 1) {
    xAxis(frame, { left: start, top: top + height - 1, width: columns, height: 1 }, x, chart.options.axis)
  }
}

/** Ticks take longer to find than a chart to draw, and are the same for its neighbours and from frame to frame. */
const known = (key: string, find: () => Axis.Ticks): Axis.Ticks => {
  const before = ticksOf.get(key)
  if (before !== undefined) return before
  if (ticksOf.size >= 512) ticksOf.clear()
  const found = find()
  ticksOf.set(key, found)
  return found
}

const ticksOf = new Map<string, Axis.Ticks>()

const tickRow = (y: Axis.Range, value: number, rows: number): number => rows - 1 - Canvas.place(y, value, rows)

/** What a metric is, and what it said last: the mean across ranks, if there are several. */
const title = (frame: Frame.Frame, { left, top, width }: Frame.Box, chart: Chart): void => {
  const { across, last, lastSpread } = chart.series
  const value = across === "ranks" && lastSpread !== undefined ? lastSpread.mean : last
  const deviation = across === "ranks" && lastSpread !== undefined && lastSpread.std > 0
    ? ` ±${number(lastSpread.std)}`
    : ""
  const name = Text.label(chart.title === "" ? "(empty)" : chart.title)
  const style = chart.selected === true ? Frame.styles.bold | Frame.styles.inverse : Frame.styles.bold
  // The name has half of the row at least.
  const latest = apart(value, Metrics.rangeOf(Metrics.main(chart.series)), Math.floor(width / 2))
  const full = latest + deviation
  const shown = Text.width(name) + 2 + full.length <= width ? full : latest
  const room = Math.max(4, width - shown.length - 1)
  if (chart.selected === true) Frame.paint(frame, top, left, width, style)
  Frame.write(frame, top, left, name, style, Math.min(width, room))
  if (Math.min(Text.width(name), room) + shown.length + 1 <= width) {
    Frame.write(frame, top, left + width - shown.length, shown, chart.selected === true ? style : Frame.styles.plain)
  }
}

/** Every other dot between two edges, from point to point. */
const fill = (
  canvas: Canvas.Canvas,
  band: NonNullable<Data["band"]>,
  ranges: { readonly x: Axis.Range; readonly y: Axis.Range }
): void => {
  const { across, down, glyphs } = braille
  const width = canvas.columns * across
  const height = canvas.rows * down
  const masks = new Uint8Array(canvas.columns * canvas.rows)
  const row = (value: number): number =>
    value === -Infinity ? height - 1 : height - 1 - Canvas.place(ranges.y, value, height)
  const column = (at: number, low: number, high: number): void => {
    for (let dot = row(high); dot <= row(low); dot++) {
      if ((at + dot) % 2 !== 0) continue
      const cell = Math.floor(dot / down) * canvas.columns + Math.floor(at / across)
      masks[cell] = masks[cell]! | (1 << ((dot % down) * across + at % across))
    }
  }
  let before = -1
  for (let nth = 0; nth < band.x.length; nth++) {
    const [low, high] = [band.low[nth]!, band.high[nth]!]
    if (Number.isNaN(low) || Number.isNaN(high)) {
      before = -1
      continue
    }
    const at = Canvas.place(ranges.x, band.x[nth]!, width)
    const from = before < 0 ? at : Canvas.place(ranges.x, band.x[before]!, width)
    if (from >= at) column(at, low, high)
    for (let next = from + 1; next <= at; next++) {
      const part = (next - from) / (at - from)
      const between = (a: number, b: number): number => part === 1 ? b : a * (1 - part) + b * part
      column(next, between(band.low[before]!, low), between(band.high[before]!, high))
    }
    before = nth
  }
  for (let cell = 0; cell < masks.length; cell++) {
    if (masks[cell] === 0) continue
    canvas.glyphs[cell] = glyphs[masks[cell]!]!
    canvas.paints[cell] = colors.band
  }
}

const copy = (frame: Frame.Frame, canvas: Canvas.Canvas, top: number, left: number): void => {
  for (let row = 0; row < canvas.rows && top + row < frame.rows; row++) {
    for (let column = 0; column < canvas.columns && left + column < frame.columns; column++) {
      const from = row * canvas.columns + column
      const to = (top + row) * frame.columns + left + column
      const glyph = canvas.glyphs[from]!
      frame.texts[to] = glyph === 0x20 ? " " : String.fromCodePoint(glyph)
      frame.styles[to] = canvas.paints[from]!
    }
  }
}

// -----------------------------------------------------------------------------
// The x axis
// -----------------------------------------------------------------------------

const units: ReadonlyArray<readonly [seconds: number, name: string]> = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"]
]

/** Labels where their places are, at least two blanks apart. Times are in the unit that suits their extent. */
const xAxis = (frame: Frame.Frame, { left, top, width }: Frame.Box, x: Axis.Range, axis: Decimate.Axis): void => {
  const [seconds, name] = axis === "step"
    ? [1, ""]
    : units.find(([size]) => Math.max(Math.abs(x.low), Math.abs(x.high)) >= 2 * size) ?? [1, "s"]
  const scaled = { low: x.low / seconds, high: x.high / seconds, constant: undefined }
  const range = x.constant === undefined ? scaled : { ...scaled, constant: x.constant / seconds }
  const places = (ticks: Axis.Ticks): ReadonlyArray<readonly [column: number, label: string]> | undefined => {
    let end = -2
    const found: Array<readonly [number, string]> = []
    for (const [nth, value] of ticks.values.entries()) {
      const label = `${ticks.labels[nth] ?? ""}${nth === ticks.values.length - 1 ? name : ""}`
      const middle = Canvas.place(range, value, width) - Math.floor(label.length / 2)
      const at = Math.max(0, Math.min(width - label.length, middle))
      if (at < end + 2) return undefined
      found.push([at, label])
      end = at + label.length
    }
    return end > width ? undefined : found
  }
  const ticks = known(`x ${range.low} ${range.high} ${range.constant} ${width} ${axis}`, () =>
    Axis.ticks(range, {
      ideal: Math.max(2, Math.round(width / 12)),
      most: Math.max(1, Math.floor(width / 3)),
      integer: axis === "step" && Number.isInteger(x.low) && Number.isInteger(x.high),
      fits: (candidate) => places(candidate) !== undefined
    }))
  for (const [at, label] of places(ticks) ?? []) Frame.write(frame, top, left + at, label, Frame.styles.grey)
}
