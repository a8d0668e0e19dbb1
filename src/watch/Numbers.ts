/**
 * Numbers and times in few characters.
 *
 * @since 0.5.0
 */

/**
 * A number in about six characters: `0.4213`, `12.5`, `1.25e-7`, `3,200`, `1.2M`.
 *
 * @category formatting
 * @since 0.5.0
 */
export const number = (value: number): string => {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "inf" : "-inf"
  const size = Math.abs(value)
  if (size === 0) return "0"
  if (Number.isInteger(value) && size < 1e6) return count(value)
  if (size < 1e-4 || size >= 1e15) return exponential(value, 3)
  if (size >= 1e4) return scaled(value, 3)
  return trimmed(value.toPrecision(4))
}

/** The longest that more digits make of a number. */
const longest = 20

/**
 * A number with as many more digits as it takes to tell it from others that lie in a range with it, as far as there is
 * room: `1000000000.25` among such as differ by 0.1.
 *
 * @category formatting
 * @since 0.5.1
 */
export const apart = (value: number, range: number, room = longest): string => {
  const size = Math.abs(value)
  const short = number(value)
  if (!(range > 0) || !(size > 0) || !Number.isFinite(size) || (Number.isInteger(value) && size < 1e6)) return short
  const before = Math.floor(Math.log10(size)) + 1
  // A hundredth of the range is seen.
  const wanted = before - Math.floor(Math.log10(range)) + 2
  if (wanted <= (size < 1e-4 || size >= 1e4 ? 3 : 4)) return short
  // Digits before the point that nobody asks for are more than a unit.
  const isPlain = size >= 1e-4 && size < 1e16 && before <= wanted + 2
  for (let digits = Math.min(17, wanted); digits >= 4; digits--) {
    const text = isPlain
      ? String(Number(value.toPrecision(Math.max(before, digits))))
      : size >= 1e4 && size < 1e15
      ? scaled(value, digits)
      : exponential(value, digits)
    if (text.length <= Math.min(room, longest)) return text
  }
  return short
}

const scaled = (value: number, digits: number): string => {
  const size = Math.abs(value)
  const [unit, name] = size >= 999_500e6
    ? [1e12, "T"]
    : size >= 999_500e3
    ? [1e9, "G"]
    : size >= 999_500
    ? [1e6, "M"]
    : [1e3, "k"]
  return `${trimmed((value / Number(unit)).toPrecision(digits))}${name}`
}

const exponential = (value: number, digits: number): string =>
  value.toExponential(digits - 1).replace("e+", "e").replace(/\.?0+e/, "e")

const trimmed = (text: string): string => text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text

/**
 * A whole number with its thousands told apart.
 *
 * @category formatting
 * @since 0.5.0
 */
export const count = (value: number): string => {
  if (!Number.isFinite(value)) return "-"
  if (!Number.isInteger(value)) return number(value)
  if (Math.abs(value) >= 1e15) return value.toExponential(3)
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ",")
}

/**
 * So many of something: `1 metric`, `2,000 metrics`.
 *
 * @category formatting
 * @since 0.5.1
 */
export const several = (many: number, name: string): string => `${count(many)} ${name}${many === 1 ? "" : "s"}`

/**
 * A duration in seconds: `4.2s`, `3:07`, `1:02:03`, `2d 03:10`.
 *
 * @category formatting
 * @since 0.5.0
 */
export const duration = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return "-"
  if (seconds < 0) return `-${duration(-seconds)}`
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`
  const whole = Math.round(seconds)
  const two = (value: number): string => String(value).padStart(2, "0")
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor(whole / 60) % 60
  if (hours >= 24) return `${count(Math.floor(hours / 24))}d ${two(hours % 24)}:${two(minutes)}`
  if (hours > 0) return `${hours}:${two(minutes)}:${two(whole % 60)}`
  return whole < 60 ? `${whole}s` : `${minutes}:${two(whole % 60)}`
}
