/** A chart's axes: from where to where they go, and what stands beside them. */
import type UPlot from "uplot"
import type * as Api from "../Api.ts"
import * as Format from "./format.ts"
import * as Ticks from "./ticks.ts"

export interface Extent {
  readonly range: readonly [number, number] | undefined
  /** The ends of all that there is. */
  readonly extent: readonly [number, number] | undefined
}

export const xRange = (look: Extent | undefined): [number, number] => {
  const [from, to] = look?.range ?? look?.extent ?? [0, 1]
  return from < to ? [from, to] : [from - 0.5, from + 0.5]
}

/** A part of all that there is, at least a step or a hundredth of a second wide; undefined where that would be all. */
export const zoomed = (
  [from, to]: readonly [number, number],
  axis: Api.Axis,
  extent: Extent["extent"]
): readonly [number, number] | undefined => {
  const [low, high] = xRange({ range: undefined, extent })
  const wide = Math.max(to - from, axis === "step" ? 1 : 0.01)
  if (!(wide < high - low)) return undefined
  const start = Math.min(Math.max(low, from + (to - from) / 2 - wide / 2), high - wide)
  return [start, start + wide]
}

const largest = Number.MAX_VALUE

export const yRange = (min: number | null, max: number | null): [number, number] => {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1]
  const margin = max > min ? max / 20 - min / 20 : Math.abs(max) / 20 || 0.5
  return [Math.max(-largest, min - margin), Math.min(largest, max + margin)]
}

/** Whole decades where the values span many, and a little more than them otherwise. */
export const logRange = (min: number | null, max: number | null): [number, number] => {
  if (min === null || max === null || !(min > 0) || !Number.isFinite(max)) return [0.1, 1]
  const [low, high] = max / min > 100
    ? [10 ** Math.floor(Math.log10(min)), 10 ** Math.ceil(Math.log10(max))]
    : [min / 1.1, max * 1.1]
  return [Math.max(Number.MIN_VALUE, low), Math.min(largest, high)]
}

export const yScale = (log: boolean): UPlot.Scale =>
  log
    // What is 0 or less lies on the bottom.
    ? { distr: 3, clamp: (_, __, low) => low, range: (_, min, max) => logRange(min, max) }
    : { range: (_, min, max) => yRange(min, max) }

/** What beside the canvas is taken by the axes, of short labels. */
export const room = { x: 28, y: 56 } as const

/** So much room a time takes, whose first one has its date: to the minute, to the second, and with thousandths. */
const clocks = { minute: 75, second: 90, fine: 112 } as const

/** Below and at the left. */
export const axes = (
  axis: Api.Axis,
  log: boolean,
  ink: Pick<UPlot.Axis, "stroke" | "grid" | "ticks">
): [UPlot.Axis, UPlot.Axis] => {
  const shared = { ...ink, font: "11px system-ui, sans-serif" }
  const x = { ...shared, size: room.x }
  const times: UPlot.Axis = {
    space: (_, __, low, high, pixels) => {
      const each = (high - low) / pixels
      return each * clocks.second < 1 ? clocks.fine : each * clocks.minute < 60 ? clocks.second : clocks.minute
    },
    values: (_, splits, __, ___, by) => splits.map((at, i) => Format.clock(at, by, splits[i - 1]))
  }
  return [
    { ...x, ...axis === "time" ? times : marks(axis === "relative" ? Ticks.lapses : Ticks.steps, "x") },
    { ...shared, size: widthOf, ...marks(log ? Ticks.logarithmic : Ticks.linear, "y") }
  ]
}

const marks = (
  make: (low: number, high: number, pixels: number) => Ticks.Marks,
  of: "x" | "y"
): Pick<UPlot.Axis, "incrs" | "splits" | "filter" | "values"> => {
  let labels = new Map<number, string>()
  return {
    // uPlot shows no marks where none of its own distances fits, and those end at 1e32.
    incrs: (_, __, low, high) => [Math.max(5, high - low)],
    splits: (plot, _, low, high) => {
      const made = make(low, high, of === "x" ? plot.width - room.y : plot.height - room.x)
      labels = new Map(made.values.map((value, i) => [value, made.labels[i] ?? ""]))
      return [...made.values]
    },
    filter: (_, splits) => splits,
    values: (_, splits) => splits.map((at) => labels.get(at) ?? "")
  }
}

const widthOf = (_: UPlot, values: ReadonlyArray<string> | null): number =>
  Math.max(room.y, Math.ceil(Ticks.longest(values ?? []) * Ticks.character) + 18)
