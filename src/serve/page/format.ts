/** Names, numbers, times and sizes as a person reads them. */
import { escaped } from "../../internal/oneLine.ts"

/** A foreign name: nothing in it hides, or changes the direction of what follows. */
export const name = (text: string): string => text === "" ? "(empty)" : escaped(text.toWellFormed(), 200)

/** So many digits, with an exponent where it would be long; unless it is to be short, a large number has all before its point. */
export const number = (value: number | string | null | undefined, digits = 6): string => {
  if (value === null || value === undefined) return "–"
  if (typeof value === "string") return value
  const size = Math.abs(value)
  if (Number.isInteger(value) && size < (digits < 6 ? 1e9 : 1e15)) return value.toLocaleString("en")
  if (digits >= 6 && size >= 1e6 && size < 1e15) {
    const after = Math.max(0, digits - 1 - Math.floor(Math.log10(size)))
    return value.toLocaleString("en", { maximumFractionDigits: after })
  }
  if (size >= 1e6 || size < 1e-4) {
    const after = digits > 6 ? digits - 1 : Math.min(4, digits - 1)
    return value.toExponential(after).replace(/\.?0+e/, "e").replace("e+", "e")
  }
  return String(Number(value.toPrecision(digits)))
}

/** So many digits it takes to see a thousandth of the range of these values; 0 where there is none. */
export const digits = (values: ReadonlyArray<number | null | undefined>): number => {
  let [low, high] = [Infinity, -Infinity]
  for (const value of values) {
    if (value === null || value === undefined) continue
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  const range = high / 2 - low / 2
  const size = Math.max(Math.abs(low), Math.abs(high)) / 2
  // The last digits of a double are rounding.
  return range > 0 ? Math.min(15, Math.ceil(Math.log10(size) - Math.log10(range)) + 4) : 0
}

/** A mark of a scale of powers. */
export const power = (value: number): string => {
  const size = Math.abs(value)
  if (size >= 1e9 || size !== 0 && size < 1e-3) return value.toExponential(1).replace("e+", "e").replace(".0e", "e")
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`
  return String(Number(value.toPrecision(3)))
}

const units: ReadonlyArray<readonly [number, string]> = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]]

/** A length of time by its largest unit or two. */
export const duration = (seconds: number): string => {
  if (Math.abs(seconds) < 1) return `${number(seconds, 3)} s`
  const i = Math.max(0, units.findIndex(([unit]) => Math.abs(seconds) >= unit))
  const [unit, name] = units[i] ?? [1, "s"]
  const whole = Math.trunc(seconds / unit)
  const [below, belowName] = units[i + 1] ?? [0, ""]
  const rest = below === 0 ? 0 : Math.floor(Math.abs(seconds - whole * unit) / below)
  return rest === 0 ? `${whole} ${name}` : `${whole} ${name} ${rest} ${belowName}`
}

/** A length of time on an axis whose marks are so many seconds apart: in all units that there are. */
export const lapse = (seconds: number, apart: number): string => {
  const after = apart < 1 ? Math.ceil(-Math.log10(apart)) : 0
  let rest = Number(Math.abs(seconds).toFixed(after))
  const parts: Array<string> = []
  for (const [unit, name] of units) {
    const some = unit === 1 ? Number(rest.toFixed(after)) : Math.floor(rest / unit)
    if (some > 0) parts.push(`${some} ${name}`)
    rest -= some * unit
  }
  return parts.length === 0 ? "0 s" : `${seconds < 0 ? "-" : ""}${parts.join(" ")}`
}

/** How long ago a time was. */
export const ago = (time: number): string => {
  const seconds = Date.now() / 1000 - time
  if (!(time > 0)) return ""
  if (seconds < 5) return "now"
  const [unit, name] = units.find(([unit]) => seconds >= unit) ?? [1, "s"]
  return `${Math.floor(seconds / unit)} ${name} ago`
}

/** A time of day with its date. */
export const moment = (time: number): string => {
  const date = new Date(Math.round(time * 1000))
  const two = (n: number): string => String(n).padStart(2, "0")
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** A time on an axis whose marks are so many seconds apart; with its date where that is another than before. */
export const clock = (time: number, apart: number, before: number | undefined): string => {
  const text = moment(time)
  const date = before === undefined || moment(before).slice(0, 10) !== text.slice(0, 10) ? text.slice(5, 10) : ""
  if (apart >= 86_400) return date
  const after = apart < 1 ? `.${String(Math.round(time * 1000) % 1000).padStart(3, "0")}` : ""
  return `${date} ${text.slice(11, apart < 60 ? 19 : 16)}${after}`.trim()
}

export const bytes = (size: number): string =>
  size < 1000
    ? `${size} B`
    : size < 1e6
    ? `${(size / 1e3).toFixed(1)} kB`
    : size < 1e9
    ? `${(size / 1e6).toFixed(1)} MB`
    : `${(size / 1e9).toFixed(2)} GB`
