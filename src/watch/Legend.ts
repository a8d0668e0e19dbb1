/**
 * The lines under a zoomed chart: what its colours mean, or what stands under the cursor.
 *
 * The rules. A line says whole parts or nothing of them. Where there is no room for all, they are said shorter; where
 * there is none for that either, what weighs least goes.
 *
 * @since 0.5.1
 */
import * as Text from "../artifact/tplot/Text.ts"
import * as Decimate from "../view/Decimate.ts"
import type { Series } from "../view/Series.ts"
import { mean, std } from "../view/Series.ts"
import type { State } from "./App.ts"
import type { Options } from "./Chart.ts"
import { rangeOf } from "./Metrics.ts"
import { apart, count, duration, number, several } from "./Numbers.ts"

// -----------------------------------------------------------------------------
// Parts
// -----------------------------------------------------------------------------

/** Something that is said, and shorter each time; the less it weighs the sooner there is no room for it. */
interface Part {
  readonly texts: readonly [string, ...ReadonlyArray<string>]
  readonly weight: number
}

const part = (weight: number, ...texts: Part["texts"]): Part => ({ texts, weight })

/** How often a part can be said shorter; the first time what is between parts is shorter, too. */
const levels = [0, 1, 2, 3]

/** Parts in at most so many rows, as many of them as there is room for. */
const fit = (parts: ReadonlyArray<Part>, width: number, rows: number): ReadonlyArray<string> => {
  let shown = parts
  for (;;) {
    for (const level of levels) {
      const texts = shown.map(({ texts }) => texts[Math.min(level, texts.length - 1)] ?? "")
      const lines = wrap(texts, level === 0 ? "   " : "  ", width)
      if (lines.length <= rows && lines.every((line) => Text.width(line) <= width)) return lines
      if (shown.length <= 1 && level === levels.length - 1) return lines.slice(0, rows)
    }
    const least = Math.min(...shown.map(({ weight }) => weight))
    shown = shown.filter(({ weight }) => weight !== least)
  }
}

const wrap = (texts: ReadonlyArray<string>, between: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const text of texts) {
    const longer = `${lines.at(-1) ?? ""}${between}${text}`
    if (lines.length > 0 && Text.width(longer) <= width) lines[lines.length - 1] = longer
    else lines.push(text)
  }
  return lines
}

// -----------------------------------------------------------------------------
// Lines
// -----------------------------------------------------------------------------

/**
 * What the colours mean, and what keys do.
 *
 * @category queries
 * @since 0.5.1
 */
export const colors = (
  { across, spread, values }: Series,
  { band, smoothing }: Pick<State, "band" | "smoothing">,
  width: number
): ReadonlyArray<string> => {
  const what = [
    across === "ranks"
      ? part(4, "blue: rank 0")
      : across === "chains"
      ? part(4, "blue: mean of the chains", "blue: mean")
      : part(4, "blue: value"),
    ...(across === "ranks" ? [part(3, "yellow: mean of the ranks", "yellow: mean")] : []),
    ...(across === undefined || band === "off"
      ? []
      : band === "std"
      ? [part(1, `grey: mean ± std of the ${across}`, "grey: mean ± std", "grey: ± std")]
      : [part(1, `grey: min..max of the ${across}`, "grey: min..max")]),
    ...(smoothing > 0 ? [part(2, `magenta: smoothed by ${smoothing}`, "magenta: smoothed", "magenta: smooth")] : [])
  ]
  const total = Math.max(values.total, spread?.total ?? 0)
  const keys = [part(4, several(total, "point")), part(3, "←/→ cursor"), part(2, "+/- zoom"), part(1, "0 all")]
  return [...fit(what, width, 1), ...fit(keys, width, 1)]
}

/**
 * What there is at an x, in at most so many rows: of several points their range.
 *
 * @category queries
 * @since 0.5.1
 */
export const cursor = (
  { across, spread, values }: Series,
  options: Pick<Options, "axis" | "origin">,
  x: number,
  width: number,
  rows: number
): ReadonlyArray<string> => {
  const parts: Array<Part> = []
  const own = Decimate.nearest(values, options.axis, x, options.origin)
  const place = own === undefined || spread === undefined || values.length > 0
    ? { bins: values, bin: own }
    : { bins: spread, bin: Decimate.nearest(spread, options.axis, x, options.origin) }
  const { bin, bins } = place
  if (bin !== undefined) {
    const range = rangeOf(bins)
    const points = bins.count[bin]! + bins.gaps[bin]!
    const [from, to] = [bins.stepLow[bin]!, bins.stepHigh[bin]!]
    parts.push(part(6, `step ${from === to ? count(from) : `${count(from)}..${count(to)}`}`))
    parts.push(part(2, `after ${duration(bins.timeLow[bin]! - options.origin)}`))
    if (points > 1) parts.push(part(1, several(points, "point")))
    const [low, high] = [bins.low[bin]!, bins.high[bin]!]
    const shown = bins.count[bin] === 0
      ? "not finite"
      : bins.count[bin] === 1
      ? exact(low, range)
      : `${apart(low, range)}..${apart(high, range)}`
    parts.push(part(5, `${across === "ranks" ? "rank 0" : across === "chains" ? "mean" : "value"} ${shown}`))
    if (bins.count[bin]! > 1) parts.push(part(3, `mean ${apart(mean(bins, bin), range)}`))
    if (bins.gaps[bin]! > 0 && bins.count[bin]! > 0) parts.push(part(4, `${count(bins.gaps[bin]!)} not finite`))
  }
  const all = spread === undefined ? undefined : Decimate.nearest(spread, options.axis, x, options.origin)
  if (spread === undefined || all === undefined || !(spread.count[all]! > 0)) return fit(parts, width, rows)
  const range = rangeOf(spread)
  const average = `mean ${apart(mean(spread, all), range)}`
  const whole = `${across ?? ""}: ${average} ± ${number(std(spread, all))}`
  const extreme = (weight: number, name: string, value: number, rank: number): Part => {
    const text = `${name} ${apart(value, range)}`
    return rank < 0 ? part(weight, text) : part(weight, `${text} (rank ${rank})`, `${text} (${rank})`)
  }
  // Who stands out is told nowhere else.
  const second = [
    part(1, whole, whole, `${across ?? ""}: ${average}`, average),
    extreme(2, "min", spread.low[all]!, spread.argLow[all]!),
    extreme(3, "max", spread.high[all]!, spread.argHigh[all]!)
  ]
  return [...fit(parts, width, 1), ...fit(second, width, 1)]
}

/** As it was logged, or nine digits of it, or as many as it takes to tell it from others. */
const exact = (value: number, range: number): string => {
  const text = String(value)
  return text.length <= 14 ? text : apart(value, Math.min(range > 0 ? range : Infinity, 1e-6 * Math.abs(value)))
}
