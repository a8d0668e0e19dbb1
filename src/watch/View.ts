/**
 * The screen of a state: a pure function of what is known of a run, of what keys have chosen, and of the time.
 *
 * @since 0.5.0
 */
import * as Text from "../artifact/tplot/Text.ts"
import * as Decimate from "../view/Decimate.ts"
import type { Live } from "../view/Live.ts"
import { table } from "../view/Ranks.ts"
import type { Series } from "../view/Series.ts"
import type { Context, State } from "./App.ts"
import * as Chart from "./Chart.ts"
import * as Frame from "./Frame.ts"
import * as Layout from "./Layout.ts"
import * as Legend from "./Legend.ts"
import type { Shown } from "./Metrics.ts"
import { find } from "./Metrics.ts"
import { count, several } from "./Numbers.ts"
import * as Summary from "./Summary.ts"

const { styles } = Frame

/**
 * All a screen is made of. `fine` is the selected metric as finely as its window needs, where the log was read for it.
 *
 * @category models
 * @since 0.5.0
 */
export interface Input {
  readonly live: Live
  readonly state: State
  readonly shown: Shown
  readonly now: number
  readonly total: number | undefined
  readonly fine: Series | undefined
}

// -----------------------------------------------------------------------------
// Screens
// -----------------------------------------------------------------------------

/** Where the selected metric stands among those shown. */
const selectedIn = ({ shown, state }: Pick<Input, "shown" | "state">): number =>
  state.selected === undefined ? 0 : Math.max(0, shown.names.indexOf(state.selected))

/** The machine's samples have no steps. */
const optionsFor = ({ live, state }: Pick<Input, "live" | "state">, system: boolean): Chart.Options => ({
  axis: system ? "relative" : state.axis,
  origin: Number.isNaN(live.store.firstTime) ? live.system.firstTime : live.store.firstTime,
  log: state.log,
  smoothing: state.smoothing,
  band: state.band
})

const layoutOf = ({ shown, state }: Pick<Input, "shown" | "state">): Layout.Layout =>
  Layout.make(state, shown.names.length, shown.groups.length > 1)

/**
 * What keys need to know of a screen.
 *
 * @category queries
 * @since 0.5.0
 */
export const contextOf = (input: Pick<Input, "live" | "state" | "shown">): Context => {
  const { across, charts } = layoutOf(input)
  const found = find(input.live, input.shown.names[selectedIn(input)] ?? "")
  return {
    names: input.shown.names,
    groups: input.shown.groups,
    across,
    page: charts.length,
    extent: found === undefined ? undefined : Chart.extentOf(found.series, optionsFor(input, found.system))
  }
}

/**
 * What of the log the selected metric's chart would need, where its bins are too coarse for the window.
 *
 * @category queries
 * @since 0.5.0
 */
export const finer = (
  input: Pick<Input, "live" | "state" | "shown">
): { readonly key: string; readonly window: Decimate.Window } | undefined => {
  const { state } = input
  const key = input.shown.names[selectedIn(input)]
  const found = key === undefined ? undefined : find(input.live, key)
  if (key === undefined || found === undefined || found.system) return undefined
  if (state.view !== "detail" || state.window === undefined) return undefined
  const { axis, origin } = optionsFor(input, false)
  const window = { axis, origin, ...state.window, columns: 2 * state.columns }
  const { spread, values } = found.series
  const coarse = Decimate.isCoarse(values, window) || (spread !== undefined && Decimate.isCoarse(spread, window))
  return coarse ? { key, window } : undefined
}

/**
 * Draws the screen.
 *
 * @category drawing
 * @since 0.5.0
 */
export const draw = (input: Input): Frame.Frame => {
  const { live, state } = input
  const frame = Frame.make(Math.max(1, state.columns), Math.max(1, state.rows))
  const layout = layoutOf(input)
  Summary.draw(frame, layout.header, live, Summary.progress(live, input.now, input.total))
  tabs(frame, layout.tabs, input)
  if (state.view === "detail") detail(frame, layout.main, input)
  else grid(frame, layout, input)
  if (state.ranks) ranks(frame, layout.ranks, live)
  footer(frame, layout.footer, input, layout)
  if (state.help) help(frame)
  return frame
}

const tabs = (frame: Frame.Frame, { height, left, top, width }: Frame.Box, { shown, state }: Input): void => {
  if (height < 1) return
  const right = choices(state)
  const end = left + width - (Text.width(right) < width / 2 ? Text.width(right) + 2 : 0)
  if (end < left + width) Frame.write(frame, top, end + 2, right, styles.grey)
  const all = [undefined, ...shown.groups]
  // The group that is shown has to be seen: those before it go where there is no room.
  const chosen = Math.max(0, all.indexOf(state.group))
  const label = (group: string | undefined): string =>
    Text.fit(Text.label(group === undefined ? "all" : group === "" ? "(none)" : group), 24)
  let from = 0
  const widthOf = (to: number): number =>
    all.slice(from, to + 1).reduce((sum, group) => sum + Text.width(label(group)) + 3, 0)
  while (from < chosen && widthOf(chosen) > end - left) from++
  let at = left
  for (const [nth, group] of all.entries()) {
    if (nth < from || at >= end) continue
    const text = ` ${label(group)} `
    if (at + Text.width(text) > end && nth !== chosen) break
    at += 1 + Frame.write(frame, top, at, text, nth === chosen ? styles.inverse : styles.plain, end - at)
  }
}

const choices = ({ axis, band, log, smoothing }: State): string =>
  [
    ...(log ? ["log"] : []),
    ...(smoothing > 0 ? [`smooth ${smoothing}`] : []),
    ...(band === "std" ? [] : [band === "off" ? "no band" : "min..max"]),
    ...(axis === "step" ? [] : ["x: time"])
  ].join(" · ")

const grid = (frame: Frame.Frame, { charts, main }: Layout.Layout, input: Input): void => {
  const { live, shown, state } = input
  if (shown.names.length === 0) {
    const text = shown.all === 0 ? "" : "no metric matches"
    Frame.write(
      frame,
      main.top + Math.floor(main.height / 2),
      Math.max(0, Math.floor((main.width - text.length) / 2)),
      text
    )
    return
  }
  const selected = selectedIn(input)
  const first = Math.floor(selected / charts.length) * charts.length
  charts.forEach((box, nth) => {
    const name = shown.names[first + nth]
    const found = name === undefined ? undefined : find(live, name)
    if (name === undefined || found === undefined) return
    Chart.draw(frame, box, {
      title: name,
      series: found.series,
      options: optionsFor({ live, state }, found.system),
      selected: first + nth === selected
    })
  })
}

// -----------------------------------------------------------------------------
// One metric
// -----------------------------------------------------------------------------

const detail = (frame: Frame.Frame, box: Frame.Box, input: Input): void => {
  const { live, shown, state } = input
  const name = shown.names[selectedIn(input)]
  const found = name === undefined ? undefined : find(live, name)
  if (name === undefined || found === undefined) {
    Frame.write(frame, box.top, box.left, shown.all === 0 ? "" : "no metric matches")
    return
  }
  const options = optionsFor(input, found.system)
  const series = input.fine ?? found.series
  const told = box.height >= 8 ? 2 : box.height >= 5 ? 1 : 0
  Chart.draw(frame, { ...box, height: box.height - told }, {
    title: name,
    series,
    whole: found.series,
    options,
    window: state.window ?? Chart.extentOf(found.series, options),
    cursor: state.cursor
  })
  if (told === 0) return
  const lines = state.cursor === undefined
    ? Legend.colors(series, state, box.width)
    : Legend.cursor(series, options, state.cursor, box.width, told)
  for (const [nth, line] of lines.slice(0, told).entries()) {
    Frame.write(frame, box.top + box.height - told + nth, box.left, line, styles.plain, box.width)
  }
}

// -----------------------------------------------------------------------------
// Ranks, footer, help
// -----------------------------------------------------------------------------

const percent = (share: number): string => `${share < 0.0995 ? (100 * share).toPrecision(2) : Math.round(100 * share)}%`

const ranks = (frame: Frame.Frame, box: Frame.Box, live: Live): void => {
  if (box.height < 1) return
  const { partial, records, worldSize } = live.ranks
  const head = worldSize < 2
    ? "Ranks: this run has one"
    : `Ranks: ${count(worldSize)} in ${several(records, "record")}${
      partial === 0 ? "" : `, ${count(partial)} without all`
    }`
  Frame.paint(frame, box.top, box.left, box.width, styles.inverse)
  Frame.write(frame, box.top, box.left, ` ${head}`, styles.inverse, box.width)
  const found = table(live.ranks)
  const keys = Math.max(6, box.width - 44)
  const row = (nth: number, cells: ReadonlyArray<string>, style: Frame.Style): void => {
    const [key = "", rank = "", is = "", share = "", chance = "", far = ""] = cells
    const top = box.top + 1 + nth
    Frame.write(frame, top, box.left, key, style, keys)
    Frame.write(
      frame,
      top,
      box.left + keys + 1,
      `${rank.padStart(5)} ${is.padEnd(8)} ${share.padStart(6)} ${chance.padStart(6)} ${far.padStart(9)}`,
      style,
      Math.max(0, box.width - keys - 1)
    )
  }
  if (box.height < 3) return
  if (found.length === 0) {
    Frame.write(frame, box.top + 1, box.left, worldSize < 2 ? "" : "No rank stands out.", styles.plain, box.width)
    return
  }
  row(0, ["metric", "rank", "is", "share", "chance", "from mean"], styles.grey)
  for (const [nth, one] of found.slice(0, box.height - 2).entries()) {
    const sign = one.is === "least" || (one.relative < 0) ? "-" : "+"
    const far = one.is === "slowest" || one.is === "fastest"
      ? Number.isFinite(one.relative) ? percent(one.relative) : "-"
      : `${sign}${one.deviation.toFixed(1)} std`
    row(
      nth + 1,
      [one.key, String(one.rank), one.is, percent(one.share), percent(one.chance), far],
      one.outstanding ? styles.yellow | styles.bold : styles.plain
    )
  }
}

const footer = (
  frame: Frame.Frame,
  { height, left, top, width }: Frame.Box,
  input: Input,
  layout: Layout.Layout
): void => {
  if (height < 1) return
  const { shown, state } = input
  if (state.typed !== undefined) {
    const at = Frame.write(frame, top, left, "/", styles.bold)
    const typed = at + Frame.write(frame, top, left + at, state.typed, styles.plain, Math.max(1, width - 30))
    Frame.write(frame, top, left + typed, " ", styles.inverse)
    const told = shown.problem ?? `${count(shown.names.length)} of ${count(shown.all)}`
    const style = shown.problem === undefined ? styles.grey : styles.red
    Frame.write(frame, top, left + typed + 3, told, style, Math.max(0, width - typed - 3))
    return
  }
  const at = selectedIn(input)
  const first = Math.floor(at / Math.max(1, layout.charts.length)) * layout.charts.length
  const many = state.view === "detail"
    ? `${count(at + 1)} of ${count(shown.names.length)}`
    : shown.names.length <= layout.charts.length
    ? several(shown.names.length, "metric")
    : `${count(first + 1)}-${count(Math.min(shown.names.length, first + layout.charts.length))} of ${
      count(shown.names.length)
    }`
  const pattern = state.pattern === "" ? "" : `/${Text.label(state.pattern)}  `
  const left_ = `${pattern}${many}${
    input.live.store.left > 0 ? ` (${count(input.live.store.left)} more not kept)` : ""
  }`
  const keys = state.view === "detail"
    ? "←/→ cursor  +/- zoom  ↑/↓ other metric  enter back  ? help  q quit"
    : "←↑↓→ select  enter zoom  / filter  tab group  r ranks  ? help  q quit"
  const problem = shown.problem === undefined ? "" : `  ${shown.problem}`
  Frame.write(frame, top, left, left_ + problem, shown.problem === undefined ? styles.plain : styles.red, width)
  const room = width - Text.width(left_ + problem) - 2
  const fitting = keys.length <= room ? keys : room >= 14 ? "? help  q quit" : ""
  Frame.write(frame, top, left + width - fitting.length, fitting, styles.grey)
}

const helpLines: ReadonlyArray<readonly [keys: string, what: string]> = [
  ["arrows, hjkl", "select a metric"],
  ["page up/down", "page; g, G: first, last"],
  ["enter", "zoom into it, and back"],
  ["/", "filter by a regular expression; esc: all"],
  ["tab", "next group; shift-tab: the one before"],
  ["+ -", "larger, smaller charts"],
  ["y", "logarithmic scale"],
  ["s S", "smooth more, less"],
  ["b", "band: mean ± std, min..max, none"],
  ["x", "x: step, time"],
  ["r", "slow ranks"],
  ["In a zoomed chart", ""],
  ["left, right", "cursor; H, L: further"],
  ["+ - 0", "zoom in, out, all"],
  ["up, down", "other metric"],
  ["q, ctrl-c", "quit"]
]

const help = (frame: Frame.Frame): void => {
  const width = Math.min(frame.columns, 62)
  const height = Math.min(frame.rows, helpLines.length + 4)
  const box = {
    left: Math.floor((frame.columns - width) / 2),
    top: Math.floor((frame.rows - height) / 2),
    width,
    height
  }
  Frame.clear(frame, box)
  const edge = (row: number, left: string, right: string): void => {
    Frame.write(frame, row, box.left, `${left}${"─".repeat(Math.max(0, width - 2))}${right}`, styles.grey)
  }
  edge(box.top, "┌", "┐")
  Frame.write(frame, box.top, box.left + 2, " ezpz-stream watch ", styles.bold, Math.max(0, width - 4))
  for (let row = 1; row < height - 1; row++) {
    Frame.write(frame, box.top + row, box.left, "│", styles.grey)
    Frame.write(frame, box.top + row, box.left + width - 1, "│", styles.grey)
    const line = helpLines[row - 1]
    if (line === undefined) continue
    Frame.write(frame, box.top + row, box.left + 2, line[0], styles.bold, width - 4)
    Frame.write(frame, box.top + row, box.left + 17, line[1], styles.plain, Math.max(0, width - 19))
  }
  if (height >= 4) {
    const colors = "blue: value  yellow: mean  grey: band  magenta: smoothed"
    Frame.write(frame, box.top + height - 2, box.left + 2, colors, styles.grey, width - 4)
  }
  edge(box.top + height - 1, "└", "┘")
}
