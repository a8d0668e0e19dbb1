/**
 * Where the ticks of an axis stand and what they say: multiples of 1, 2 or 5 times a power of ten, all labels of an
 * axis in one form, short enough to be read.
 *
 * From 1e-3 to 1e5 numbers are written out, up to 1e15 with one of k, M, G, T for the whole axis, beyond that with an
 * exponent. Where neighbours differ only in a far digit, labels count from an offset that the axis' title names.
 *
 * @since 0.1.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * An axis: the range it shows, the ticks in it and their labels, and what is to be added to each label's number (text,
 * empty for nothing).
 *
 * @category models
 * @since 0.1.0
 */
export interface Ticks {
  readonly domain: readonly [number, number]
  readonly values: ReadonlyArray<number>
  readonly labels: ReadonlyArray<string>
  readonly offset: string
}

/** More significant digits than this, and labels count from an offset. */
const maxDigits = 6

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Ticks for a domain, about `count` of them. The true numbers are those of the domain times ten to the `shift`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  domain: readonly [number, number],
  count: number,
  options: { readonly integer?: boolean; readonly shift?: number } = {}
): Ticks => {
  const [from, to] = domain
  const shift = options.shift ?? 0
  const exponent = Math.floor(Math.log10((to - from) / count))
  const base = (to - from) / count / power(exponent)
  const factor = base <= 1.5 ? 1 : base <= 3.2 ? 2 : base <= 7 ? 5 : 10
  const [mantissa, decimal] = factor === 10 ? [1, exponent + 1] : [factor, exponent]
  const whole = options.integer === true && decimal < 0
  const step = whole ? 1 : mantissa * power(decimal)
  const place = whole ? 0 : decimal
  const values: Array<number> = []
  const first = Math.ceil(from / step - 1e-9)
  const last = Math.floor(to / step + 1e-9)
  // Multiples of an integer by a power of ten, so that 3 x 0.1 is 0.3.
  for (let nth = first; nth <= last && values.length < 100; nth++) {
    values.push(whole ? nth : place < 0 ? nth * mantissa / power(-place) : nth * mantissa * power(place))
  }
  const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
  if (largest === 0) return { domain, values, labels: values.map(() => "0"), offset: "" }
  const digits = Math.floor(Math.log10(largest)) - place + 1
  const origin = values[0]!
  if (digits > maxDigits && values.length > 1 && origin !== 0) {
    const span = values.at(-1)! - origin
    const label = labeller(span, place, shift)
    return {
      domain,
      values,
      labels: values.map((value) => value === origin ? "0" : `+${label(value - origin)}`),
      offset: full(origin, place, shift)
    }
  }
  return { domain, values, labels: values.map(labeller(largest, place, shift)), offset: "" }
}

/**
 * An axis without ticks.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: Ticks = { domain: [0, 1], values: [], labels: [], offset: "" }

// -----------------------------------------------------------------------------
// Labels
// -----------------------------------------------------------------------------

const power = (exponent: number): number => Number(`1e${exponent}`)

const units = [[3, "k"], [6, "M"], [9, "G"], [12, "T"]] as const

/** How numbers up to `largest` whose last digit stands at ten to the `place` are written. */
const labeller = (largest: number, place: number, shift: number): (value: number) => string => {
  const exponent = Math.floor(Math.log10(largest) + 1e-12)
  const size = exponent + shift
  if (size < -3 || size >= 15) {
    const decimals = Math.max(0, exponent - place)
    return (value) => {
      if (value === 0) return "0"
      return `${minus((value / power(exponent)).toFixed(Math.min(20, decimals)))}e${size}`
    }
  }
  if (size >= 5) {
    const [unit, name] = units[Math.min(units.length - 1, Math.floor(size / 3) - 1)]!
    return (value) => value === 0 ? "0" : minus(fixed(value / power(unit - shift), unit - shift - place)) + name
  }
  return (value) => minus(grouped(fixed(value * power(shift), -place - shift)))
}

/** Every digit of a number down to ten to the `place`. */
const full = (value: number, place: number, shift: number): string => {
  const size = Math.floor(Math.log10(Math.abs(value))) + shift
  if (size < -6 || size >= 18) {
    const text = value.toExponential(Math.max(0, Math.min(15, size - shift - place)))
    return minus(text.replace(/e.*$/, `e${size}`))
  }
  return minus(grouped(fixed(value * power(shift), -place - shift)))
}

const fixed = (value: number, decimals: number): string => value.toFixed(Math.max(0, Math.min(20, decimals)))

const grouped = (text: string): string => {
  const [whole = "", ...fraction] = text.split(".")
  const size = whole.replace("-", "").length
  return [size > 3 ? whole.replaceAll(/\B(?=(?:\d{3})+$)/g, ",") : whole, ...fraction].join(".")
}

/** The sign as typography has it, as wide as a digit. */
const minus = (text: string): string => text.replace(/^-/, "−")

/**
 * A count in full, with separators: 100,000.
 *
 * @category labels
 * @since 0.1.0
 */
export const count = (value: number): string => grouped(String(value))
