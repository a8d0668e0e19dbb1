/**
 * What a picture shows, decided: which lines and bands, on which axes, in which colour, with which words. A figure is
 * plain data (it travels to a worker thread as it is), and nothing is decided after it.
 *
 * @since 0.1.0
 */
import type { Points, Series } from "../Series.ts"
import * as Text from "./Text.ts"
import * as Ticks from "./Ticks.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A picture of {@link width} x {@link height}. `plot` is where the data goes, everything else is placed around it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Figure {
  readonly kind: "lines" | "ridges"
  readonly title: string
  readonly subtitle: string
  readonly color: string
  readonly plot: { readonly left: number; readonly top: number; readonly width: number; readonly height: number }
  readonly x: Axis
  readonly y: Axis
  readonly legend: ReadonlyArray<Entry>
  readonly message: string
  readonly bands: ReadonlyArray<Band>
  readonly lines: ReadonlyArray<Line>
  readonly dots: Points
  readonly ridges: ReadonlyArray<Ridge>
}

/**
 * An axis: its ticks and its title.
 *
 * @category models
 * @since 0.1.0
 */
export interface Axis extends Ticks.Ticks {
  readonly title: string
}

/**
 * A legend's entry, `x` pixels from the left.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly x: number
  readonly label: string
  readonly mark: "line" | "band"
  readonly width: number
  readonly opacity: number
}

/**
 * A line; NaN in `y` is a gap.
 *
 * @category models
 * @since 0.1.0
 */
export interface Line extends Points {
  readonly width: number
  readonly opacity: number
}

/**
 * The area between `y` and `to`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Band extends Points {
  readonly to: Float64Array
  readonly opacity: number
}

/**
 * One row of a ridge plot: a density over a base line, both in rows from the top.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ridge extends Points {
  readonly base: number
  readonly opacity: number
}

/**
 * The size of a picture in CSS pixels.
 *
 * @category models
 * @since 0.1.0
 */
export const width = 800
export const height = 480

/**
 * Colours that are told apart by colour-blind eyes too (after Okabe & Ito), dark enough for a thin line on white.
 *
 * @category models
 * @since 0.1.0
 */
export const palette: ReadonlyArray<string> = [
  "#0072b2",
  "#d55e00",
  "#00876c",
  "#aa3377",
  "#b8860b",
  "#2f8fc9",
  "#5b4bb0"
]

// -----------------------------------------------------------------------------
// Lines
// -----------------------------------------------------------------------------

const margin = { left: 28, right: 28, top: 76, bottom: 54 }
const sizes = { title: 17, subtitle: 12, label: 11, axis: 12 }

/** With this many points or fewer each is shown as a dot, too. */
const fewPoints = 40

/**
 * The picture of a metric: its values, and over them what is known of its spread or its trend. `nth` picks the colour.
 *
 * @category constructors
 * @since 0.1.0
 */
export const lines = (series: Series, nth: number, runId?: string): Figure => {
  const { variable } = series
  const scale = scaleOf(series)
  const scaled = (points: Points): Points => scale.factor === 1 ? points : times(points, scale.factor)
  const over = series.mean ?? series.trend
  const raw: Line = over === undefined
    ? { ...scaled(series.raw), width: 1.6, opacity: 1 }
    : { ...scaled(series.raw), width: 1.25, opacity: 0.35 }
  const band = bandOf(series, scale.factor)
  const drawn: ReadonlyArray<Line> = over === undefined ? [raw] : [raw, { ...scaled(over), width: 2, opacity: 1 }]
  const bands = band === undefined ? [] : [band.band]
  const ys = rangeOf([...drawn.map(({ y }) => y), ...bands.flatMap(({ to, y }) => [y, to])])
  const xs = rangeOf(drawn.map(({ x }) => x))
  const empty = ys === undefined
  const entries: Array<Omit<Entry, "x">> = []
  if (over !== undefined) {
    const own = series.spread === "chains"
      ? "first chain"
      : variable.statistic?.name ?? (series.spread === "ranks" ? "rank 0" : "values")
    entries.push({ label: own, mark: "line", width: raw.width, opacity: raw.opacity })
    entries.push({
      label: series.mean === undefined ? "trend" : `mean of ${series.spread}`,
      mark: "line",
      width: 2,
      opacity: 1
    })
  } else if (band !== undefined) entries.push({ label: "values", mark: "line", width: raw.width, opacity: 1 })
  if (band !== undefined) entries.push({ label: band.label, mark: "band", width: 0, opacity: band.band.opacity })
  const yTicks = empty ? Ticks.none : Ticks.make(padded(ys, 0.05), 6, { shift: scale.shift })
  return {
    ...frame({
      title: variable.key,
      subtitle: subtitle(series, runId),
      x: empty ? Ticks.none : stepTicks(xs ?? [0, 0], drawn),
      xTitle: series.axis,
      y: yTicks,
      yTitle: shortKey(series),
      entries
    }),
    kind: "lines",
    color: palette[nth % palette.length]!,
    message: empty ? "no finite values" : "",
    bands,
    lines: drawn,
    dots: dotsOf(drawn),
    ridges: []
  }
}

/** A metric's key without its group, for the axis. */
const shortKey = ({ group, variable }: Series): string =>
  group.name === "" ? variable.key : variable.key.slice(group.name.length + 1)

const subtitle = (series: Series, runId: string | undefined): string => {
  const { count, nonFinite } = series.summary
  const parts = runId === undefined ? [] : [runId]
  parts.push(count + nonFinite === 1 ? "1 value" : `${Ticks.count(count + nonFinite)} values`)
  if (nonFinite > 0) parts.push(`${Ticks.count(nonFinite)} not finite`)
  if (series.spread !== "chains" && count > series.raw.x.length) parts.push("min–max decimated")
  return parts.join(" · ")
}

/** Numbers at the ends of the doubles are drawn as their multiples, and labelled as what they are. */
const scaleOf = (series: Series): { readonly factor: number; readonly shift: number } => {
  const lines = [series.raw, series.mean, series.min, series.max].filter((points) => points !== undefined)
  const largest = lines.reduce((max, { y }) => y.reduce((m, v) => v - v === 0 ? Math.max(m, Math.abs(v)) : m, max), 0)
  if (largest > 1e280) return { factor: 1e-100, shift: 100 }
  return largest > 0 && largest < 1e-280 ? { factor: 1e100, shift: -100 } : { factor: 1, shift: 0 }
}

const times = ({ x, y }: Points, factor: number): Points => ({ x, y: y.map((value) => value * factor) })

const bandOf = (
  series: Series,
  factor: number
): { readonly band: Band; readonly label: string } | undefined => {
  const { max, mean, min, std } = series
  if (mean !== undefined && std !== undefined) {
    const both = join(mean, std)
    const low = both.y.map((value, i) => (value - both.to[i]!) * factor)
    const high = both.y.map((value, i) => (value + both.to[i]!) * factor)
    return { band: { x: both.x, y: low, to: high, opacity: 0.2 }, label: "± std" }
  }
  if (min === undefined || max === undefined) return undefined
  const both = join(min, max)
  const band = { x: both.x, y: both.y.map((v) => v * factor), to: both.to.map((v) => v * factor), opacity: 0.15 }
  return { band, label: "min–max" }
}

/** The points that two lines have in common, as the edges of an area. */
const join = (
  a: Points,
  b: Points
): { readonly x: Float64Array; readonly y: Float64Array; readonly to: Float64Array } => {
  const x: Array<number> = []
  const y: Array<number> = []
  const to: Array<number> = []
  for (let i = 0, j = 0; i < a.x.length && j < b.x.length;) {
    if (a.x[i] === b.x[j]) {
      x.push(a.x[i]!)
      y.push(a.y[i]!)
      to.push(b.y[j]!)
      i++
      j++
    } else if (a.x[i]! < b.x[j]!) i++
    else j++
  }
  return { x: Float64Array.from(x), y: Float64Array.from(y), to: Float64Array.from(to) }
}

/** Points a line does not show: those without a neighbour; all of them where there are few. */
const dotsOf = (lines: ReadonlyArray<Line>): Points => {
  const x: Array<number> = []
  const y: Array<number> = []
  for (const [nth, line] of lines.entries()) {
    const all = nth === 0 && lines.length === 1 && line.y.length <= fewPoints
    line.y.forEach((value, i) => {
      const alone = !isFinite(line.y[i - 1] ?? NaN) && !isFinite(line.y[i + 1] ?? NaN)
      if (!isFinite(value) || !(all || alone)) return
      x.push(line.x[i]!)
      y.push(value)
    })
  }
  return { x: Float64Array.from(x), y: Float64Array.from(y) }
}

const rangeOf = (all: ReadonlyArray<Float64Array>): readonly [number, number] | undefined => {
  let min = Infinity
  let max = -Infinity
  for (const values of all) {
    for (const value of values) {
      if (value - value !== 0) continue
      if (value < min) min = value
      if (value > max) max = value
    }
  }
  return min <= max ? [min, max] : undefined
}

/** A range with some room around it; a single value gets room enough to be seen. */
const padded = ([min, max]: readonly [number, number], share: number): readonly [number, number] => {
  const size = Math.max(Math.abs(min), Math.abs(max))
  if (max - min > size * 1e-12) return [min - (max - min) * share, max + (max - min) * share]
  const half = size === 0 ? 1 : size * 0.1
  return [min - half, max + half]
}

const stepTicks = ([from, to]: readonly [number, number], lines: ReadonlyArray<Line>): Ticks.Ticks => {
  const integer = lines.every(({ x }, nth) => nth > 0 || x.every(Number.isInteger))
  return from === to ? Ticks.make([from - 1, to + 1], 2, { integer }) : Ticks.make([from, to], 8, { integer })
}

// -----------------------------------------------------------------------------
// Ridges
// -----------------------------------------------------------------------------

/** How many rows high the highest density is. */
const ridgeHeight = 1.7

/**
 * The picture of a vector metric's distribution over its chains, row by row; undefined where there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ridges = (series: Series, nth: number, runId?: string): Figure | undefined => {
  const { chains, rows } = series.ridges ?? { chains: 0, rows: [] }
  const first = rows[0]?.histogram
  if (first === undefined) return undefined
  const scale = scaleOf(series)
  const shares = rows.map(({ histogram: { counts } }) => {
    const total = counts.reduce((sum, count) => sum + count, 0)
    return counts.map((count) => total === 0 ? 0 : count / total)
  })
  const highest = Math.max(...shares.map((share) => Math.max(...share)))
  const from = first.from * scale.factor
  const to = first.to * scale.factor
  const size = (to - from) / first.counts.length
  const drawn: ReadonlyArray<Ridge> = shares.map((share, row) => {
    const base = row + 1
    const low = Math.max(0, share.findIndex((value) => value > 0))
    const inner = Array.from(
      share.subarray(low, share.findLastIndex((value) => value > 0) + 1),
      (value) => base - value / highest * ridgeHeight
    )
    const at = (bin: number): number => from + (low + bin + 0.5) * size
    return {
      base,
      opacity: rows.length === 1 ? 0.75 : 0.4 + 0.5 * row / (rows.length - 1),
      x: Float64Array.from([at(-1), ...inner.map((_, bin) => at(bin)), at(inner.length)]),
      y: Float64Array.from([base, ...inner, base])
    }
  })
  const all = series.variable.chains
  const parts = runId === undefined ? [] : [runId]
  parts.push(
    `distribution over ${chains < all ? `the first ${Ticks.count(chains)} of ` : ""}` +
      `${Ticks.count(all)} ${all === 1 ? "chain" : "chains"}`
  )
  return {
    ...frame({
      title: series.variable.key,
      subtitle: parts.join(" · "),
      x: Ticks.make([from - size / 2, to + size / 2], 8, { shift: scale.shift }),
      xTitle: shortKey(series),
      y: {
        domain: [rows.length + 0.15, 1 - ridgeHeight],
        values: drawn.map(({ base }) => base),
        labels: rows.map(({ label }) => label),
        offset: ""
      },
      yTitle: "",
      entries: []
    }),
    kind: "ridges",
    color: palette[nth % palette.length]!,
    message: highest === 0 ? "no finite values" : "",
    bands: [],
    lines: [],
    dots: { x: new Float64Array(0), y: new Float64Array(0) },
    ridges: drawn
  }
}

// -----------------------------------------------------------------------------
// What stands around the plot
// -----------------------------------------------------------------------------

interface Around {
  readonly title: string
  readonly subtitle: string
  readonly x: Ticks.Ticks
  readonly xTitle: string
  readonly y: Ticks.Ticks
  readonly yTitle: string
  readonly entries: ReadonlyArray<Omit<Entry, "x">>
}

/** Legend: a swatch, a gap, the label, a gap. */
const swatch = 22
const gaps = 6 + 18

const frame = (around: Around): Pick<Figure, "title" | "subtitle" | "plot" | "x" | "y" | "legend"> => {
  const labels = Math.max(12, ...around.y.labels.map((label) => Text.width(label, sizes.label)))
  const left = Math.round(margin.left + labels + (around.yTitle === "" ? 0 : 18))
  const plot = {
    left,
    top: margin.top,
    width: width - left - margin.right,
    height: height - margin.top - margin.bottom
  }
  const legend: Array<Entry> = []
  const entries = around.entries.map((entry) => ({ ...entry, label: Text.clean(entry.label) }))
  const legendWidth = entries.reduce((sum, { label }) => sum + swatch + gaps + Text.width(label, sizes.label), 0)
  let x = width - margin.right - Math.max(0, legendWidth - 18)
  for (const entry of entries) {
    legend.push({ ...entry, x })
    x += swatch + gaps + Text.width(entry.label, sizes.label)
  }
  const room = width - margin.left - margin.right
  return {
    title: Text.fit(Text.clean(around.title), room, sizes.title),
    subtitle: Text.fit(Text.clean(around.subtitle), room - (legendWidth === 0 ? 0 : legendWidth + 20), sizes.subtitle),
    plot,
    x: axis(around.x, around.xTitle, plot.width),
    y: axis(around.y, around.yTitle, plot.height),
    legend
  }
}

const axis = (ticks: Ticks.Ticks, title: string, room: number): Axis => {
  const offset = ticks.offset === "" ? "" : ` (from ${ticks.offset})`
  return { ...ticks, title: Text.fit(Text.clean(title), room - Text.width(offset, sizes.axis), sizes.axis) + offset }
}
