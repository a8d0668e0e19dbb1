/** A chart's axes: from where to where they go, and what stands beside them. */
import type UPlot from "uplot"
import * as Axis from "../../artifact/tplot/Axis.ts"
import type * as Api from "../Api.ts"
import * as Format from "./format.ts"

export interface Extent {
  readonly range: readonly [number, number] | undefined
  /** The ends of all that there is. */
  readonly extent: readonly [number, number] | undefined
}

export const xRange = (look: Extent | undefined): [number, number] => {
  const [from, to] = look?.range ?? look?.extent ?? [0, 1]
  return from < to ? [from, to] : [from - 0.5, from + 0.5]
}

export const yRange = (min: number | null, max: number | null): [number, number] => {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1]
  const margin = max > min ? (max - min) * 0.05 : Math.abs(max) * 0.05 || 0.5
  return [min - margin, max + margin]
}

/** Whole decades where the values span many, and a little more than them otherwise. */
export const logRange = (min: number | null, max: number | null): [number, number] => {
  if (min === null || max === null || !(min > 0) || !Number.isFinite(max)) return [0.1, 1]
  return max / min > 100
    ? [10 ** Math.floor(Math.log10(min)), 10 ** Math.ceil(Math.log10(max))]
    : [min / 1.1, max * 1.1]
}

/** What beside the canvas is taken by the axes, of short labels. */
export const room = { x: 28, y: 56 } as const

/** Below and at the left. */
export const axes = (
  axis: Api.Axis,
  log: boolean,
  ink: Pick<UPlot.Axis, "stroke" | "grid" | "ticks">
): [UPlot.Axis, UPlot.Axis] => {
  const shared = { ...ink, font: "11px system-ui, sans-serif" }
  const x = { ...shared, size: room.x, space: 60 }
  const y = { ...shared, size: widthOf }
  return [
    axis === "time"
      ? { ...x, values: (_, splits, __, ___, by) => splits.map((at, i) => Format.clock(at, by, splits[i - 1])) }
      : axis === "relative"
      ? { ...x, values: (_, splits) => splits.map(Format.duration) }
      : { ...x, ...ticks("x") },
    log ? { ...y, values: (_, splits) => splits.map((at) => at === null ? "" : power(at)) } : { ...y, ...ticks("y") }
  ]
}

/** About so much room a label takes: a character, and what is between it and the next. */
const character = 7
const gap = { x: 16, y: 30 } as const

/** Round numbers with as many digits as it takes to tell them apart; of steps, only whole ones. */
const ticks = (of: "x" | "y"): Pick<UPlot.Axis, "splits" | "values"> => {
  let labels = new Map<number, string>()
  return {
    splits: (plot, _, low, high) => {
      const pixels = of === "x" ? plot.width - room.y : plot.height - room.x
      const fits = (made: Axis.Ticks): boolean =>
        of === "y" || made.labels.length * (longest(made.labels) * character + gap.x) <= pixels
      const made = Axis.ticks({ low, high, constant: undefined }, {
        ideal: Math.max(2, Math.round(pixels / (of === "x" ? 90 : 42))),
        most: Math.max(2, Math.floor(pixels / (of === "x" ? 40 : gap.y))),
        integer: of === "x",
        fits
      })
      labels = new Map(made.values.map((value, i) => [value, made.labels[i] ?? ""]))
      return [...made.values]
    },
    values: (_, splits) => splits.map((at) => labels.get(at) ?? "")
  }
}

const widthOf = (_: UPlot, values: ReadonlyArray<string> | null): number =>
  Math.max(room.y, Math.ceil(longest(values ?? []) * character) + 18)

const longest = (labels: ReadonlyArray<string>): number =>
  labels.reduce((most, { length }) => Math.max(most, length), 0)

/** A mark of a scale of powers. */
const power = (value: number): string => {
  const size = Math.abs(value)
  if (size >= 1e9 || size !== 0 && size < 1e-3) return value.toExponential(1).replace("e+", "e").replace(".0e", "e")
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`
  return String(Number(value.toPrecision(3)))
}
