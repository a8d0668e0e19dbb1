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
import { find, type Shown } from "./Metrics.ts"
import { number, several } from "./Numbers.ts"
import * as Summary from "./Summary.ts"

/** So many metrics have a line. */
const mostLines = 1000
const sparkColumns = 16

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
  const rows = names.flatMap((name) => {
    const found = find(live, name)
    return found === undefined ? [] : [[name === "" ? "(empty)" : Text.label(name), ...cells(found.series)]]
  })
  const head = ["metric", "last", "min", "max", ""]
  const widths = [1, 2, 3].map((nth) => Math.max(...[head, ...rows].map((row) => Text.width(row[nth] ?? ""))))
  const rest = widths.reduce((sum, width) => sum + width + 2, sparkColumns + 2)
  const first = Math.max(8, Math.min(columns - rest, Math.max(6, ...rows.map(([name = ""]) => Text.width(name)))))
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

const cells = (series: Series): ReadonlyArray<string> => {
  const { across, last, lastSpread, spread, values } = series
  const bins = across === "ranks" && spread !== undefined ? spread : values
  let [low, high] = [Infinity, -Infinity]
  for (let bin = 0; bin < bins.length; bin++) {
    if (bins.count[bin] === 0) continue
    low = Math.min(low, bins.low[bin]!)
    high = Math.max(high, bins.high[bin]!)
  }
  const latest = across === "ranks" && lastSpread !== undefined
    ? `${number(lastSpread.mean)}${lastSpread.std > 0 ? ` ±${number(lastSpread.std)}` : ""}`
    : number(last)
  return [latest, low <= high ? number(low) : "-", low <= high ? number(high) : "-", spark(series)]
}

const spark = ({ across, spread, values }: Series): string => {
  const bins = across === "ranks" && spread !== undefined ? spread : values
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
