/**
 * A run as text, for where there is no terminal: the summary, and a line for each metric.
 *
 * @since 0.5.0
 */
import * as Axis from "../artifact/tplot/Axis.ts"
import * as Canvas from "../artifact/tplot/Canvas.ts"
import * as Marker from "../artifact/tplot/Marker.ts"
import * as Text from "../artifact/tplot/Text.ts"
import * as Decimate from "../view/Decimate.ts"
import type { Live } from "../view/Live.ts"
import { table } from "../view/Ranks.ts"
import type { Series } from "../view/Series.ts"
import * as Frame from "./Frame.ts"
import { extremes, find, main, type Shown } from "./Metrics.ts"
import { apart, number, several } from "./Numbers.ts"
import * as Summary from "./Summary.ts"

/** So many metrics have a line. */
const mostLines = 1000
const sparkColumns = 16
const gap = 2
const leastName = 12

/**
 * The text, `columns` wide at most.
 *
 * @category output
 * @since 0.5.0
 */
export const text = (
  live: Live,
  shown: Shown,
  options: { readonly columns: number; readonly now: number; readonly total: number | undefined }
): string => {
  const columns = Math.max(40, options.columns)
  const frame = Frame.make(columns, 2)
  const progress = Summary.progress(live, options.now, options.total)
  Summary.draw(frame, { left: 0, top: 0, width: columns, height: 2 }, live, progress)
  const names = shown.names.slice(0, mostLines)
  const all = names.flatMap((name) => {
    const found = find(live, name)
    return found === undefined ? [] : [{ name: name === "" ? "(empty)" : Text.label(name), ...told(found.series) }]
  })
  const head = ["metric", "last", "min", "max", ""]
  const longest = Math.max(6, ...all.map(({ name }) => Text.width(name)))
  // What many digits take is left by names that are cut, but so much of each stays.
  const taken = Math.min(leastName, longest) + Math.max(0, ...all.map(({ deviation }) => deviation.length))
  const room = Math.floor((columns - taken - sparkColumns - 4 * gap) / 3)
  const rows = all.map((one) => [one.name, ...cells(one, room)])
  const widths = [1, 2, 3].map((nth) => Math.max(...[head, ...rows].map((row) => Text.width(row[nth] ?? ""))))
  const rest = widths.reduce((sum, width) => sum + width + gap, sparkColumns + gap)
  const first = Math.max(8, Math.min(columns - rest, longest))
  const line = ([name = "", ...more]: ReadonlyArray<string>): string => {
    const label = Text.fit(name, first)
    const numbers = widths.map((width, nth) => `  ${(more[nth] ?? "").padStart(width)}`).join("")
    return `${label}${" ".repeat(Math.max(0, first - Text.width(label)))}${numbers}  ${more[3] ?? ""}`.trimEnd()
  }
  const left = shown.names.length - names.length
  const ranks = table(live.ranks).filter(({ outstanding }) => outstanding).slice(0, 5)
  return [
    ...Frame.toLines(frame, false),
    "",
    ...(rows.length === 0 ? [] : [line(head), ...rows.map(line)]),
    ...(left > 0 ? [`and ${several(left, "more metric")}; --filter chooses among them`] : []),
    ...(ranks.length === 0 ? [] : [
      "",
      ...ranks.map(({ is, key, rank, share }) =>
        `rank ${rank} is the ${is} of ${Text.label(key)} in ${Math.round(100 * share)}% of the records`
      )
    ])
  ].map((each) => `${each}\n`).join("")
}

/** What a line says of a metric. */
interface Told {
  readonly latest: number
  readonly deviation: string
  readonly range: { readonly low: number; readonly high: number } | undefined
  readonly spark: string
}

const told = (series: Series): Told => {
  const { across, last, lastSpread } = series
  const spread = across === "ranks" ? lastSpread : undefined
  return {
    latest: spread === undefined ? last : spread.mean,
    deviation: spread === undefined || !(spread.std > 0) ? "" : ` ±${number(spread.std)}`,
    range: extremes(main(series)),
    spark: spark(series)
  }
}

const cells = ({ deviation, latest, range, spark }: Told, room: number): ReadonlyArray<string> => {
  const text = (value: number): string =>
    range === undefined ? number(value) : apart(value, range.high - range.low, room)
  return [
    text(latest) + deviation,
    range === undefined ? "-" : text(range.low),
    range === undefined ? "-" : text(range.high),
    spark
  ]
}

const spark = (series: Series): string => {
  const bins = main(series)
  const extent = Decimate.extent(bins, "step")
  const x = extent === undefined ? undefined : Axis.range(extent.from, extent.to)
  if (x === undefined) return ""
  const { mean, x: places } = Decimate.band(bins, { axis: "step", from: x.low, to: x.high, columns: 2 * sparkColumns })
  const finite = mean.filter(Number.isFinite)
  const y = Axis.range(Math.min(...finite), Math.max(...finite))
  if (y === undefined) return ""
  const canvas = Canvas.make(sparkColumns, 1)
  Canvas.lines(canvas, { x: places, y: mean }, { x, y }, Marker.of("braille"))
  return Canvas.toLines(canvas, false)[0]?.text ?? ""
}
