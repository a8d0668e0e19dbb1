/**
 * Plots as text: what a run's metrics looked like, in any terminal, editor or mail.
 *
 * Three of them for a metric with a spread (across ranks or chains): `X.txt` has a pane each for its values and their
 * mean, and for min, std and max; `X_summary.txt` lays them over one another, `+` the largest, `-` the smallest, `·` the
 * mean; `X_hist.txt` has their histograms. A metric without a spread has one pane, and a histogram if it is a time.
 * At most 120 columns by 40 rows, plain text, no colours.
 *
 * The default marker is `hd`: quadrants are heavy enough to follow, and more fonts have them, in the width of a letter,
 * than sextants or braille (DejaVu Sans Mono has no braille), which matters for a text that is read anywhere; `braille`
 * is twice as fine where the font is right.
 *
 * Files: a metric's `file` (unique in its group, letters, digits, `_` and `-`) names `<file>.txt`, and `_summary` and
 * `_hist` are added to it. Where the group has a metric of that very name, `loss_hist` beside `loss`, the file belongs
 * to the metric, and the histogram of `loss` is `loss.hist.txt`: no metric's file has a dot.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { join } from "node:path"
import type * as Census from "../Census.ts"
import type { ArtifactError } from "./ArtifactError.ts"
import { type Histogram, isTime, type Points, type Series } from "./Series.ts"
import { paints, type Reduction } from "./tplot/Canvas.ts"
import * as Chart from "./tplot/Chart.ts"
import * as Marker from "./tplot/Marker.ts"
import * as Text from "./tplot/Text.ts"
import { writeFile } from "./writeFile.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The markers: `hd`, `fhd` and `braille` split a cell into 2x2, 2x3 and 2x4 dots, the others are one character each.
 *
 * @category models
 * @since 0.1.0
 */
export const markers = Marker.names

/**
 * The name of a marker.
 *
 * @category models
 * @since 0.1.0
 */
export type MarkerName = Marker.Name

/**
 * The kinds of plot: lines over steps, or histograms in their place.
 *
 * @category models
 * @since 0.1.0
 */
export const types = ["line", "hist"] as const

/**
 * A kind of plot.
 *
 * @category models
 * @since 0.1.0
 */
export type Type = typeof types[number]

/**
 * How plots are drawn: `width` (120) columns by `height` (40) rows at most, with a `marker` ("hd") for the values,
 * "line" or "hist" as `type`, and in `color` (ANSI) only when asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly width?: number | undefined
  readonly height?: number | undefined
  readonly marker?: Marker.Name | undefined
  readonly type?: Type | undefined
  readonly color?: boolean | undefined
}

/**
 * The plots of one metric, each a text that ends with a line break.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plots {
  readonly main: string
  readonly summary: string | undefined
  readonly hist: string | undefined
}

/**
 * The paths of the files that were written for one metric.
 *
 * @category models
 * @since 0.1.0
 */
export interface TerminalPlotFiles {
  readonly main: string
  readonly summary: string | undefined
  readonly hist: string | undefined
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * What `EZPZ_TPLOT_MARKER` and `EZPZ_TPLOT_TYPE` ask for, and a note for each value that is not known.
 *
 * @example
 * ```ts
 * import { TerminalPlot } from "ezpz-stream"
 *
 * assert.deepStrictEqual(TerminalPlot.optionsFromEnv({ EZPZ_TPLOT_MARKER: "braille" }), {
 *   options: { marker: "braille", type: undefined },
 *   notes: []
 * })
 * assert.match(
 *   TerminalPlot.optionsFromEnv({ EZPZ_TPLOT_TYPE: "pie" }).notes.join(),
 *   /EZPZ_TPLOT_TYPE=pie is not known, taken as line; known are: line, hist/
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const optionsFromEnv = (
  env: Readonly<Record<string, string | undefined>>
): { readonly options: Pick<Options, "marker" | "type">; readonly notes: ReadonlyArray<string> } => {
  const notes: Array<string> = []
  const choose = <A extends string>(name: string, known: ReadonlyArray<A>): A | undefined => {
    const given = env[name]?.trim() ?? ""
    if (given === "") return undefined
    const found = known.find((each) => each === given.toLowerCase())
    if (found === undefined) {
      notes.push(`${name}=${Text.label(given)} is not known, taken as ${known[0]}; known are: ${known.join(", ")}`)
    }
    return found
  }
  return {
    options: { marker: choose("EZPZ_TPLOT_MARKER", Marker.names), type: choose("EZPZ_TPLOT_TYPE", types) },
    notes
  }
}

interface Look extends Chart.Size {
  readonly marker: Marker.Name
  readonly type: Type
}

const look = (options: Options, height: number): Look => ({
  width: Math.max(1, Math.floor(options.width ?? 120)),
  height: Math.max(1, Math.floor(options.height ?? height)),
  marker: options.marker ?? "hd",
  type: options.type ?? "line",
  color: options.color ?? false
})

// -----------------------------------------------------------------------------
// Rendering
// -----------------------------------------------------------------------------

/**
 * The plots of a metric as text. Where there is no room for panes side by side, the overlay stands for the main plot,
 * and the histogram of the mean for all of them.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (series: Series, options: Options = {}): Plots => {
  const size = look(options, 40)
  return {
    main: text(Chart.grid(mainCharts(series, size), size)),
    summary: hasSpread(series) ? text(Chart.render(layered(series, size), size)) : undefined,
    hist: hasSpread(series)
      ? text(Chart.grid(histogramCharts(series, size), size))
      : isTime(series.variable.key)
      ? text(Chart.render(histogramChart(series, "raw"), size))
      : undefined
  }
}

/**
 * The overlays of some metrics, for the end of a run: one below the other, or two side by side from 120 columns on.
 * Each is `height` (20) rows high.
 *
 * @category rendering
 * @since 0.1.0
 */
export const overlay = (list: ReadonlyArray<Series>, options: Options = {}): string => {
  const size = look(options, 20)
  const charts = list.map((series) =>
    size.type === "hist"
      ? histogramChart(series, "raw")
      : hasSpread(series)
      ? layered(series, size)
      : valuesChart(series, size)
  )
  const across = size.width >= 120 && charts.length > 1 ? 2 : 1
  const lines: Array<Text.Line> = []
  for (let nth = 0; nth < charts.length; nth += across) {
    const columns = Array.from({ length: across }, (_, column) => charts.slice(nth + column, nth + column + 1))
    lines.push(...Chart.grid(columns, size))
  }
  return text(lines)
}

const text = (lines: ReadonlyArray<Text.Line>): string => lines.map((line) => `${line.text}\n`).join("")

// -----------------------------------------------------------------------------
// Charts of a series
// -----------------------------------------------------------------------------

type Columns = ReadonlyArray<ReadonlyArray<Chart.Chart>>

type Part = "raw" | "mean" | "min" | "max" | "std"

const paintOf: Readonly<Record<Part, number>> = {
  raw: paints.blue,
  mean: paints.yellow,
  min: paints.cyan,
  max: paints.red,
  std: paints.magenta
}

const hasSpread = (series: Series): boolean => series.spread !== undefined

/** Two columns of panes take this much. */
const isRoomy = ({ height, width }: Look): boolean => width >= 48 && height >= 24

const mainCharts = (series: Series, size: Look): Columns => {
  const chart = (part: Part) => size.type === "hist" ? histogramChart(series, part) : lineChart(series, part, size)
  if (!hasSpread(series)) return [[size.type === "hist" ? chart("raw") : valuesChart(series, size)]]
  if (!isRoomy(size)) return [[size.type === "hist" ? chart("mean") : layered(series, size)]]
  return [[chart("raw"), chart("mean")], [chart("min"), chart("std"), chart("max")]]
}

const histogramCharts = (series: Series, size: Look): Columns => {
  const chart = (part: Part) => histogramChart(series, part)
  return isRoomy(size) ? [[chart("mean"), chart("min")], [chart("max"), chart("std")]] : [[chart("mean")]]
}

const lineChart = (series: Series, part: Part, { marker }: Look): Chart.LineChart => ({
  kind: "lines",
  title: titleOf(series, part),
  xLabel: axisLabel(series),
  layers: [{ points: series[part] ?? nothing, marker: Marker.of(marker), paint: paintOf[part] }]
})

const nothing: Points = { x: new Float64Array(0), y: new Float64Array(0) }

/** The values, and through their mass what they are on average. */
const valuesChart = (series: Series, size: Look): Chart.LineChart => {
  const { raw, trend, variable } = series
  if (trend === undefined) return lineChart(series, "raw", size)
  const values: Chart.Layer = {
    points: raw,
    marker: Marker.of(besides(size.marker, ["·"])),
    paint: paintOf.raw,
    label: "values"
  }
  const mean: Chart.Layer = {
    points: trend,
    marker: Marker.of("·"),
    paint: paintOf.mean,
    reduce: "mean",
    label: "mean"
  }
  return {
    kind: "lines",
    title: variable.key,
    xLabel: axisLabel(series),
    layers: [mean, values, { ...mean, inside: true }]
  }
}

/** The values lie on top, being a finer line than the others; where they are a solid mass the mean shows in it. */
const layered = (series: Series, { marker }: Look): Chart.LineChart => {
  const { max, mean, min, raw } = series
  const layer = (points: Points | undefined, label: Part, mark: Marker.Name, reduce?: Reduction): Array<Chart.Layer> =>
    points === undefined || !points.y.some((y) => Number.isFinite(y))
      ? []
      : [{ points, label, marker: Marker.of(mark), paint: paintOf[label], ...reduce !== undefined && { reduce } }]
  const means = layer(mean, "mean", "·", "mean")
  return {
    kind: "lines",
    title: series.variable.key,
    xLabel: axisLabel(series),
    layers: [
      ...layer(max, "max", "+", "max"),
      ...layer(min, "min", "-", "min"),
      ...means,
      ...layer(raw, "raw", besides(marker, ["+", "-", "·"])),
      ...means.map((mean) => ({ ...mean, inside: true }))
    ]
  }
}

/** The marker for values among layers that have theirs. */
const besides = (marker: Marker.Name, taken: ReadonlyArray<Marker.Name>): Marker.Name =>
  taken.includes(marker) ? "*" : marker

const histogramChart = (series: Series, part: Part): Chart.BarChart => {
  const { counts, from, to }: Histogram = series.histograms[part] ?? { counts: new Float64Array(0), from: 0, to: 0 }
  return { kind: "bars", title: `${titleOf(series, part)} hist`, from, to, counts, paint: paintOf[part] }
}

const titleOf = ({ variable }: Series, part: Part): string => part === "raw" ? variable.key : `${variable.key}/${part}`

/** The axis, how many values a plot stands for, and how many of them it cannot show. */
const axisLabel = ({ axis, summary: { count, nonFinite } }: Series): string => {
  const all = count + nonFinite
  return `${axis} (${all} ${all === 1 ? "value" : "values"}${nonFinite === 0 ? "" : `, ${nonFinite} not finite`})`
}

// -----------------------------------------------------------------------------
// Files
// -----------------------------------------------------------------------------

/**
 * Draws a metric's plots into files under `<directory>/plots/tplot/`, in a folder for its group if that has a name,
 * and says which. What is there already is replaced.
 *
 * @category files
 * @since 0.1.0
 */
export const draw = (
  series: Series,
  options: { readonly directory: string; readonly marker?: Marker.Name | undefined; readonly type?: Type | undefined }
): Effect.Effect<TerminalPlotFiles, ArtifactError> =>
  Effect.suspend(() => {
    const { group, variable } = series
    const plots = render(series, { marker: options.marker, type: options.type })
    const folder = join(options.directory, "plots", "tplot", group.name === "" ? "" : group.file)
    const main = join(folder, `${variable.file}.txt`)
    const summary = plots.summary === undefined ? undefined : join(folder, fileOf(group, variable, "summary"))
    const hist = plots.hist === undefined ? undefined : join(folder, fileOf(group, variable, "hist"))
    return Effect.gen(function*() {
      yield* writeFile("terminal plot", main, plots.main)
      if (summary !== undefined) yield* writeFile("terminal plot", summary, plots.summary ?? "")
      if (hist !== undefined) yield* writeFile("terminal plot", hist, plots.hist ?? "")
      return { main, summary, hist }
    })
  })

const fileOf = ({ variables }: Census.Group, { file }: Census.Variable, kind: "summary" | "hist"): string => {
  const stem = `${file}_${kind}`
  const folded = stem.toLowerCase()
  const taken = variables.some((other) => other.file.length === stem.length && other.file.toLowerCase() === folded)
  return `${taken ? `${file}.${kind}` : stem}.txt`
}
