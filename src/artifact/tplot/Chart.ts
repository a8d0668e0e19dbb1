/**
 * Charts: a title, a frame with ticks and labels, and in it lines or bars; and charts arranged in columns.
 *
 * A chart takes the size it is given, never more. What there is no room for is left out, the least telling first: the
 * name of the x axis, the title, the labels of the y axis. All framed lines of a chart are equally wide; no line ends
 * in blanks.
 *
 * @since 0.1.0
 */
import * as Axis from "./Axis.ts"
import * as Canvas from "./Canvas.ts"
import type { Marker } from "./Marker.ts"
import * as Text from "./Text.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is drawn with one marker. With `reduce` a column of cells shows one value of all that fall into it; `inside`
 * shows only in cells that the layers below have filled. Layers with a `label` are in the legend, but for these.
 *
 * @category models
 * @since 0.1.0
 */
export interface Layer {
  readonly points: Canvas.Points
  readonly marker: Marker
  readonly paint: Canvas.Paint
  readonly reduce?: Canvas.Reduction
  readonly inside?: boolean
  readonly label?: string
}

/**
 * Lines over a common x axis; a later layer covers an earlier one.
 *
 * @category models
 * @since 0.1.0
 */
export interface LineChart {
  readonly kind: "lines"
  readonly title: string
  readonly xLabel?: string | undefined
  readonly layers: ReadonlyArray<Layer>
}

/**
 * Bars over equal bins from `from` to `to`.
 *
 * @category models
 * @since 0.1.0
 */
export interface BarChart {
  readonly kind: "bars"
  readonly title: string
  readonly xLabel?: string | undefined
  readonly from: number
  readonly to: number
  readonly counts: ArrayLike<number>
  readonly paint: Canvas.Paint
}

/**
 * A chart.
 *
 * @category models
 * @since 0.1.0
 */
export type Chart = LineChart | BarChart

/**
 * In how many columns and rows, and whether in colour (ANSI).
 *
 * @category models
 * @since 0.1.0
 */
export interface Size {
  readonly width: number
  readonly height: number
  readonly color: boolean
}

/** Between charts side by side. */
const gap = 2

// -----------------------------------------------------------------------------
// Rendering
// -----------------------------------------------------------------------------

/**
 * A chart as lines of text.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (chart: Chart, size: Size): Array<Text.Line> => draw(plan(chart, size), size)

/**
 * Charts in columns side by side, in each of them one below the other with their frames aligned and the name of
 * the x axis under the last; the columns share the width, the charts of a column the height.
 *
 * @category rendering
 * @since 0.1.0
 */
export const grid = (columns: ReadonlyArray<ReadonlyArray<Chart>>, size: Size): Array<Text.Line> => {
  const width = Math.floor((size.width - gap * (columns.length - 1)) / columns.length)
  return Text.beside(columns.map((charts, column) => {
    const planned = charts.map((chart, row) => {
      const height = share(size.height, charts.length, row)
      const named = row === charts.length - 1 ? chart : { ...chart, xLabel: undefined }
      return { size: { ...size, width, height }, plan: plan(named, { ...size, width, height }) }
    })
    const gutter = Math.max(0, ...planned.map(({ plan }) => plan.gutter))
    return {
      at: column * (width + gap),
      lines: planned.flatMap(({ plan, size }) => {
        const lines = draw({ ...plan, gutter }, size)
        return [...lines, ...Array.from({ length: size.height - lines.length }, () => Text.empty)]
      })
    }
  }))
}

/** The first of several get what does not divide evenly. */
const share = (total: number, parts: number, part: number): number =>
  Math.floor(total / parts) + (part < total % parts ? 1 : 0)

// -----------------------------------------------------------------------------
// Planning: what there is room for
// -----------------------------------------------------------------------------

interface Plan {
  readonly chart: Chart
  readonly header: Text.Line | undefined
  readonly footer: ReadonlyArray<Text.Line>
  readonly rows: number
  /** Columns for the labels of the y axis. */
  readonly gutter: number
  readonly x: Axis.Range | undefined
  readonly y: Axis.Range | undefined
  readonly yTicks: Axis.Ticks
  readonly bins: ReadonlyArray<number>
}

const noTicks: Axis.Ticks = { values: [], labels: [], offset: undefined }

/** Frame and tick labels. */
const frameRows = 3
const leastColumns = 10

const plan = (chart: Chart, size: Size): Plan => {
  const { footer, header } = captions(chart, size)
  const rows = Math.max(1, size.height - frameRows - footer.length - (header === undefined ? 0 : 1))
  const { bins, x, y } = chart.kind === "lines" ? lineRanges(chart) : barRanges(chart, size.width - leastColumns)
  const yTicks = y === undefined ? noTicks : Axis.ticks(y, {
    ideal: Math.max(2, Math.round(rows / 2.8)),
    most: Math.max(1, Math.ceil(rows / 2)),
    integer: chart.kind === "bars" || chart.layers.every((layer) => allIntegers(layer.points.y)),
    offset: true,
    fits: (ticks) => new Set(ticks.values.map((value) => tickRow(chart, y, value, rows))).size === ticks.values.length
  })
  const labels = Math.max(0, ...yTicks.labels.map(Text.width))
  return {
    chart,
    header,
    footer,
    rows,
    gutter: size.width - labels - 2 < leastColumns ? 0 : labels,
    x,
    y,
    yTicks,
    bins
  }
}

/** Title and legend in one line where they fit, else the legend below the plot; then what the x axis is. */
const captions = (
  chart: Chart,
  { color, height, width }: Size
): { readonly header: Text.Line | undefined; readonly footer: ReadonlyArray<Text.Line> } => {
  const spare = height - frameRows - 1
  if (spare < 1) return { header: undefined, footer: [] }
  const title = Text.label(chart.title)
  const entries = chart.kind === "bars" ? [] : legend(chart.layers, width, color)
  const key = spaced(entries)
  const footer: Array<Text.Line> = []
  let header = Text.line(Text.fit(title, width))
  if (entries.length > 0) {
    if (Text.width(title) + 3 + key.width <= width) header = Text.concat(Text.line(`${title}   `), key)
    else footer.push(...wrapped(entries, width))
  }
  const xLabel = Text.fit(Text.label(chart.xLabel ?? ""), width)
  if (xLabel !== "" && spare >= 8) footer.unshift(Text.line(xLabel))
  return { header, footer: spare - footer.length >= 2 ? footer : [] }
}

const legend = (layers: ReadonlyArray<Layer>, width: number, color: boolean): ReadonlyArray<Text.Line> =>
  layers.flatMap(({ inside, label, marker, paint }) => {
    if (label === undefined || inside === true) return []
    const text = Text.line(Text.fit(`${marker.sample} ${Text.label(label)}`, width).trimEnd())
    return [color ? { text: Canvas.painted(text.text, paint), width: text.width } : text]
  })

const between = Text.line("   ")

const spaced = (entries: ReadonlyArray<Text.Line>): Text.Line =>
  entries.reduce((left, right) => left.width === 0 ? right : Text.concat(left, between, right), Text.empty)

const wrapped = (entries: ReadonlyArray<Text.Line>, width: number): ReadonlyArray<Text.Line> => {
  const lines: Array<Array<Text.Line>> = []
  for (const entry of entries) {
    const last = lines.at(-1)
    if (last !== undefined && spaced([...last, entry]).width <= width) last.push(entry)
    else lines.push([entry])
  }
  return lines.map(spaced)
}

interface Ranges {
  readonly x: Axis.Range | undefined
  readonly y: Axis.Range | undefined
  readonly bins: ReadonlyArray<number>
}

const lineRanges = ({ layers }: LineChart): Ranges => {
  let left = Infinity
  let right = -Infinity
  let bottom = Infinity
  let top = -Infinity
  for (const { points } of layers) {
    for (let nth = 0; nth < points.y.length; nth++) {
      const x = points.x[nth] ?? NaN
      const y = points.y[nth] ?? NaN
      if (!Number.isFinite(x) || !Number.isFinite(y)) continue
      if (x < left) left = x
      if (x > right) right = x
      if (y < bottom) bottom = y
      if (y > top) top = y
    }
  }
  return { x: Axis.range(left, right), y: Axis.range(bottom, top), bins: [] }
}

/**
 * Bins are joined until each has a column; the last of the joined ones may reach beyond the range. If all values are
 * one, so are the bins, and it stands in the middle.
 */
const barRanges = ({ counts, from, to }: BarChart, columns: number): Ranges => {
  const whole = Axis.range(from, to)
  const total = Array.from(counts).reduce((sum, count) => sum + count, 0)
  if (whole === undefined || !(total > 0)) return { x: undefined, y: undefined, bins: [] }
  if (whole.constant !== undefined) {
    return { x: whole, y: Axis.range(0, total), bins: Array.from({ length: 9 }, (_, nth) => nth === 4 ? total : 0) }
  }
  const joined = Math.ceil(counts.length / Math.max(1, columns))
  const bins: Array<number> = []
  for (let nth = 0; nth < counts.length; nth++) {
    const bin = Math.floor(nth / joined)
    bins[bin] = (bins[bin] ?? 0) + (counts[nth] ?? 0)
  }
  const end = from + (to - from) * ((bins.length * joined) / counts.length)
  return { x: Axis.range(from, Number.isFinite(end) ? end : to), y: Axis.range(0, Math.max(...bins)), bins }
}

const allIntegers = (numbers: Float64Array): boolean =>
  numbers.every((number) => !Number.isFinite(number) || Number.isInteger(number))

/** From the top. The tick of a count is where a bar of that height ends. */
const tickRow = (chart: Chart, y: Axis.Range, value: number, rows: number): number =>
  rows - 1 - (chart.kind === "lines"
    ? Canvas.place(y, value, rows)
    : Math.max(0, Math.ceil(Axis.fraction(y, value) * rows - 1e-9) - 1))

// -----------------------------------------------------------------------------
// Drawing
// -----------------------------------------------------------------------------

const draw = (plan: Plan, size: Size): Array<Text.Line> => {
  if (size.width < 3 || size.height < frameRows + 1) {
    return [Text.line(Text.fit(Text.label(plan.chart.title), size.width))].slice(0, size.height)
  }
  const { chart, gutter, rows, x, y } = plan
  const columns = Math.max(1, size.width - gutter - 2)
  const canvas = Canvas.make(columns, rows)
  if (x === undefined || y === undefined) Canvas.caption(canvas, "no finite values")
  else if (chart.kind === "lines") {
    for (const { inside, marker, paint, points, reduce } of chart.layers) {
      const shown = reduce === undefined ? points : Canvas.reduced(points, x, columns, reduce)
      Canvas.lines(canvas, shown, { x, y }, marker, paint, inside)
    }
  } else {
    Canvas.bars(canvas, plan.bins.map((count) => Axis.fraction(y, count) * rows), chart.paint)
  }

  const xTicks = x === undefined ? { line: Text.empty, columns: new Set<number>() } : tickLine(
    x,
    columns,
    gutter + 1,
    chart.kind === "lines" && chart.layers.every((layer) => allIntegers(layer.points.x))
  )
  const yLabels = new Map<number, string>()
  if (y !== undefined) {
    for (const [nth, value] of plan.yTicks.values.entries()) {
      yLabels.set(tickRow(chart, y, value, rows), plan.yTicks.labels[nth] ?? "")
    }
  }
  const blank = " ".repeat(gutter)
  const framed = Canvas.toLines(canvas, size.color).map((line, row) => {
    const label = yLabels.get(row)
    const edge = label === undefined ? `${blank}│` : `${label.length > gutter ? blank : label.padStart(gutter)}┤`
    return { text: `${edge}${line.text}│`, width: gutter + line.width + 2 }
  })
  const bottom = Array.from({ length: columns }, (_, column) => xTicks.columns.has(column) ? "┬" : "─").join("")
  const over = (line: Text.Line) => Text.indent(line, centred(line.width, gutter + 1, columns, size.width))
  return [
    ...(plan.header === undefined ? [] : [over(plan.header)]),
    Text.line(`${blank}┌${offsetIn(plan, columns)}┐`),
    ...framed,
    Text.line(`${blank}└${bottom}┘`),
    xTicks.line,
    ...plan.footer.map(over)
  ].slice(0, size.height)
}

/** Where something begins that is to stand over the middle of the canvas, as far as the width allows. */
const centred = (width: number, start: number, columns: number, all: number): number =>
  Math.max(0, Math.min(all - width, start + Math.floor((columns - width) / 2)))

/** What the labels of the y axis add to, in the top of the frame. */
const offsetIn = ({ gutter, yTicks: { offset } }: Plan, columns: number): string => {
  const text = offset === undefined || gutter === 0 ? "" : ` ${offset} + `
  return text.length > columns ? "─".repeat(columns) : text + "─".repeat(columns - text.length)
}

interface TickLine {
  readonly line: Text.Line
  readonly columns: ReadonlySet<number>
}

const tickLine = (x: Axis.Range, columns: number, start: number, integer: boolean): TickLine => {
  const width = start + columns + 1
  const ticks = Axis.ticks(x, {
    ideal: Math.max(2, Math.round(columns / 11)),
    most: Math.max(1, Math.floor(columns / 3)),
    integer,
    fits: (ticks) => labelLine(ticks, x, columns, start, width) !== undefined
  })
  return {
    line: Text.line(labelLine(ticks, x, columns, start, width) ?? ""),
    columns: new Set(ticks.values.map((value) => Canvas.place(x, value, columns)))
  }
}

/** Labels under their ticks, at least two blanks between them; undefined where there is no room for that. */
const labelLine = (
  { labels, values }: Axis.Ticks,
  x: Axis.Range,
  columns: number,
  start: number,
  width: number
): string | undefined => {
  let line = ""
  for (const [nth, label] of labels.entries()) {
    const middle = start + Canvas.place(x, values[nth] ?? 0, columns)
    const at = Math.max(0, Math.min(width - label.length, middle - Math.floor(label.length / 2)))
    if (at + label.length > width || (nth > 0 && at < line.length + 2)) return undefined
    line = line.padEnd(at) + label
  }
  return line
}
