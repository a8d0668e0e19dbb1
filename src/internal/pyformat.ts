/**
 * Numbers as Python's `format` prints them.
 *
 * `toFixed` differs from `f"{x:.6f}"` in four places only: a tie goes to the larger magnitude instead of the even
 * digit, `-0` loses its sign, from 1e21 up the text turns scientific, and non-finite numbers have other names. Everything
 * else both round exactly, from the binary value.
 *
 * A tie at p digits is a double x for which 2 * 10^p * x is an odd integer. That is 5^p * y with y = x * 2^(p+1); 5^p is
 * odd and y is a binary fraction, so the product is an odd integer if and only if y is one. Scaling by a power of two is
 * exact, so the test costs one multiplication for nearly every number.
 *
 * @since 0.1.0
 */

/** The parts of a number in front of its point, up to the 1000 that 999.9999999 rounds to, and behind it. */
const whole3 = Array.from({ length: 1001 }, (_, n) => String(n))
const digits3 = whole3.map((text) => text.padStart(3, "0"))
const point3 = digits3.map((text) => `.${text}`)

const powers = Array.from({ length: 102 }, (_, n) => 2 ** n)

/**
 * `f"{value:.{digits}f}"`. `digits` is an integer from 0 to 100.
 *
 * @category formatting
 * @since 0.1.0
 */
export const fixed = (value: number, digits: number): string => {
  const magnitude = Math.abs(value)
  if (digits === 6 && magnitude < 1000) {
    // Below 1000 the product is exact to 1e-7, so away from the ties by 1e-4 its rounding is that of the exact value,
    // and fits in 30 bits: less than half the time of toFixed.
    const scaled = magnitude * 1e6
    const n = (scaled + 0.5) | 0
    const margin = scaled - n + 0.5
    if (margin > 1e-4 && margin < 0.9999) {
      const thousands = (n / 1000) | 0
      const whole = (thousands / 1000) | 0
      const text = whole3[whole]! + point3[thousands - whole * 1000]! + digits3[n - thousands * 1000]!
      return value < 0 || Object.is(value, -0) ? "-" + text : text
    }
  }
  return exact(value, digits)
}

const exact = (value: number, digits: number): string => {
  if (value - value !== 0) return nonFinite(value)
  if (value >= 1e21 || value <= -1e21) {
    const whole = String(BigInt(value))
    return digits === 0 ? whole : `${whole}.${"0".repeat(digits)}`
  }
  const text = value.toFixed(digits)
  if (value === 0) return Object.is(value, -0) ? `-${text}` : text
  const y = value * powers[digits + 1]!
  if (Math.floor(y) !== y || y % 2 === 0) return text
  // An odd last digit was rounded up from the even one below it: no carry to undo.
  const last = text.charCodeAt(text.length - 1) - 0x30
  return last % 2 === 0 ? text : text.slice(0, -1) + String(last - 1)
}

/**
 * `str(int(value))`: all digits, however many. `value` is an integer.
 *
 * @category formatting
 * @since 0.1.0
 */
export const integer = (value: number): string =>
  // Beyond 2^53 String gives the shortest digits that lead back to the double, and noughts behind them.
  value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER ? String(value) : String(BigInt(value))

/**
 * The names of what is no finite number: `nan`, `inf`, `-inf`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const nonFinite = (value: number): string => value === Infinity ? "inf" : value === -Infinity ? "-inf" : "nan"
