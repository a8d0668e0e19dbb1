/** Numbers, times and sizes as a person reads them. */

/** So many digits, with an exponent where it would be long; unless it is to be short, a large number has all before its point. */
export const number = (value: number | string | null | undefined, digits = 6): string => {
  if (value === null || value === undefined) return "–"
  if (typeof value === "string") return value
  const size = Math.abs(value)
  if (Number.isInteger(value) && size < (digits < 6 ? 1e9 : 1e15)) return value.toLocaleString("en")
  if (digits >= 6 && size >= 1e6 && size < 1e15) return Math.round(value).toLocaleString("en")
  if (size >= 1e6 || size < 1e-4) {
    return value.toExponential(Math.min(4, digits - 1)).replace(/\.?0+e/, "e").replace("e+", "e")
  }
  return String(Number(value.toPrecision(digits)))
}

const units: ReadonlyArray<readonly [number, string]> = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]]

/** A length of time by its largest unit or two. */
export const duration = (seconds: number): string => {
  if (Math.abs(seconds) < 1) return `${number(seconds)} s`
  const i = Math.max(0, units.findIndex(([unit]) => Math.abs(seconds) >= unit))
  const [unit, name] = units[i] ?? [1, "s"]
  const whole = Math.trunc(seconds / unit)
  const [below, belowName] = units[i + 1] ?? [0, ""]
  const rest = below === 0 ? 0 : Math.floor(Math.abs(seconds - whole * unit) / below)
  return rest === 0 ? `${whole} ${name}` : `${whole} ${name} ${rest} ${belowName}`
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
  const date = new Date(time * 1000)
  const two = (n: number): string => String(n).padStart(2, "0")
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** A time on an axis whose marks are so many seconds apart; with its date where that is another than before. */
export const clock = (time: number, apart: number, before: number | undefined): string => {
  const text = moment(time)
  const date = before === undefined || moment(before).slice(0, 10) !== text.slice(0, 10) ? text.slice(5, 10) : ""
  return apart >= 86_400 ? date : `${date} ${text.slice(11, apart < 60 ? 19 : 16)}`.trim()
}

export const bytes = (size: number): string =>
  size < 1000
    ? `${size} B`
    : size < 1e6
    ? `${(size / 1e3).toFixed(1)} kB`
    : size < 1e9
    ? `${(size / 1e6).toFixed(1)} MB`
    : `${(size / 1e9).toFixed(2)} GB`
