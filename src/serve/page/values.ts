/** What a chart shows, and the same in words and as a table, for who does not see it. */
import type { Axis, Curve } from "../Api.ts"
import type { Extent } from "./axes.ts"
import { h } from "./dom.ts"
import * as Format from "./format.ts"
import { merge } from "./merge.ts"
import type { Band } from "./state.ts"

export interface Shown {
  readonly label: string
  readonly color: string
  readonly curve: Curve
}

export interface Look extends Extent {
  readonly axis: Axis
  /** What a place on the axis of steps is called, where it is none. */
  readonly place?: string
  readonly log: boolean
  readonly band: Band
}

export const xText = (axis: Axis, x: number, place = "step"): string =>
  axis === "time" ? Format.moment(x) : axis === "relative" ? Format.duration(x) : `${place} ${Format.number(x)}`

/** The line of a curve: its own values, or the means of what ranks or chains had. */
export const lineOf = ({ band, x, y }: Curve): { readonly x: Curve["x"]; readonly y: Curve["y"] } =>
  band === null ? { x, y } : { x: band.x, y: band.mean }

export const described = (metric: string, shown: ReadonlyArray<Shown>, { axis, place }: Look): string => {
  const runs = shown.map(({ curve, label }) => {
    const { x, y } = lineOf(curve)
    const values = y.filter((one) => one !== null)
    if (values.length === 0) return `${label}: no values`
    let [low, high] = [Infinity, -Infinity]
    for (const one of values) {
      low = Math.min(low, one)
      high = Math.max(high, one)
    }
    const digits = Math.max(6, Format.digits(values))
    return `${label}: ${curve.points} points to ${xText(axis, x.at(-1) ?? 0, place)}, ` +
      `from ${Format.number(low, digits)} to ${Format.number(high, digits)}, ` +
      `last ${Format.number(values.at(-1), digits)}`
  })
  return `${Format.name(metric)}. ${runs.join("; ")}. Arrows move the cursor, plus and minus zoom, 0 shows all.`
}

const mostRows = 500

/** The values as a table; of many, every so manyth. Below it, of how many they are. */
export const table = (shown: ReadonlyArray<Shown>, { axis, place = axis, range }: Look): HTMLElement => {
  const { columns, x } = merge(shown.map(({ curve }) => {
    const line = lineOf(curve)
    return { x: line.x, columns: [line.y] }
  }))
  const digits = columns.map((column) => Math.max(6, Format.digits(column)))
  const stride = Math.ceil(x.length / mostRows)
  const head = [place, ...shown.map((one) => one.label)].map((name) => h("th", { scope: "col" }, name))
  const told = shown.map(() => 0)
  const rows: Array<HTMLElement> = []
  for (let i = 0; i < x.length; i += stride) {
    const at = x[i] ?? 0
    const cells = columns.map((column, nth) => {
      if (column[i] !== undefined) told[nth] = (told[nth] ?? 0) + 1
      return h("td", {}, Format.number(column[i], digits[nth]))
    })
    rows.push(h("tr", {}, h("th", { scope: "row" }, axis === "time" ? Format.moment(at) : Format.number(at)), ...cells))
  }
  const notes = shown.flatMap(({ curve, label }, nth) => {
    const note = thinned(curve, told[nth] ?? 0, stride, range !== undefined)
    return note === undefined ? [] : [h("p", { class: "note" }, shown.length > 1 ? `${label}: ${note}` : note)]
  })
  return h(
    "div",
    {},
    h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows)),
    ...notes
  )
}

/** How many rows stand for how many values, where it is not one for each. */
const thinned = (curve: Curve, told: number, stride: number, part: boolean): string | undefined => {
  if (told >= curve.points) return undefined
  const rows = Format.number(told)
  const all = `${Format.number(curve.points)} values`
  // It is not known how many are in a part.
  if (part) return `${rows} rows of the range that is shown; there are ${all} in all.`
  const how = [
    lineOf(curve).x.length < curve.points
      ? curve.band === null ? "the smallest and the largest of neighbours" : "means of neighbours"
      : "",
    stride > 1 ? `one row of ${stride}` : ""
  ]
  return `${rows} of ${all}: ${how.filter((one) => one !== "").join(", ")}.`
}
