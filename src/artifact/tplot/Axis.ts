/**
 * Axes: from a range of numbers to places on a canvas, and to round ticks whose labels are as short as they can be.
 *
 * The rules. Ticks are multiples of 1, 2 or 5 times a power of ten, inside the range, and exact: a tick is the number
 * its label says. Labels have as many digits as it takes to tell them apart: `0.60 0.65`; from six characters on the
 * shortest of plain digits, SI prefixes (`200k`) and powers of ten (`1.5e-4`); where a large number hides a small
 * change, the change alone (`+0.002`), and the number once, as `offset`. A range without extent is widened, and its
 * only tick is the value.
 *
 * @since 0.1.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A range with extent: finite, `low < high`. `constant` is the value where there was but one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Range {
  readonly low: number
  readonly high: number
  readonly constant: number | undefined
}

/**
 * Ticks from low to high. A label says the tick's value, or what it adds to `offset` where there is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ticks {
  readonly values: ReadonlyArray<number>
  readonly labels: ReadonlyArray<string>
  readonly offset: string | undefined
}

/**
 * What ticks are wanted: about `ideal`, at most `most`, only integers where `integer`, labels that are changes where
 * `offset` allows it, and such as `fits` accepts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Wanted {
  readonly ideal: number
  readonly most: number
  readonly integer?: boolean
  readonly offset?: boolean
  readonly fits?: (ticks: Ticks) => boolean
}

// -----------------------------------------------------------------------------
// Ranges
// -----------------------------------------------------------------------------

/** Below this fraction of the values, a difference is rounding; below this size it is nothing. */
const rounding = 1e-12
const nothing = 1e-300

/**
 * The range from the smallest to the largest of some finite numbers; undefined where `low > high`, that is for none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const range = (low: number, high: number): Range | undefined => {
  if (!(low <= high) || !Number.isFinite(low) || !Number.isFinite(high)) return undefined
  const size = Math.max(Math.abs(low), Math.abs(high))
  if (high - low > rounding * size && high - low > nothing) return { low, high, constant: undefined }
  const margin = size > nothing ? size / 10 : 1
  const most = Number.MAX_VALUE
  return { low: Math.max(-most, low - margin), high: Math.min(most, high + margin), constant: low }
}

/**
 * Where a value stands in a range: 0 at its low end, 1 at its high end.
 *
 * @category queries
 * @since 0.1.0
 */
export const fraction = ({ high, low }: Range, value: number): number => {
  const span = high - low
  return span < Infinity ? (value - low) / span : (value / 2 - low / 2) / (high / 2 - low / 2)
}

// -----------------------------------------------------------------------------
// Ticks
// -----------------------------------------------------------------------------

const none: Ticks = { values: [], labels: [], offset: undefined }

/**
 * The round ticks of a range. There are none where none fit.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ticks = (of: Range, wanted: Wanted): Ticks => {
  const fits = wanted.fits ?? (() => true)
  if (wanted.most < 1) return none
  if (of.constant !== undefined) {
    const only = single(of.constant)
    return fits(only) ? only : none
  }
  let best = none
  for (const candidate of steps(of, wanted)) {
    if (candidate.digits.length > wanted.most) continue
    const ticks = labelled(candidate, wanted.offset === true)
    if (!fits(ticks)) continue
    if (badness(ticks, wanted) < badness(best, wanted)) best = ticks
  }
  return best
}

/** One tick tells where, but not how much; of the rest the one nearest to what is wanted. */
const badness = ({ values }: Ticks, wanted: Wanted): number =>
  Math.abs(values.length - wanted.ideal) + (values.length < 2 ? 1000 - values.length : 0)

/** Ticks as decimal integers in units of ten to the `exponent`. */
interface Decimal {
  readonly digits: ReadonlyArray<number>
  readonly exponent: number
}

const steps = function*(of: Range, wanted: Wanted): Generator<Decimal> {
  const span = Math.min(of.high - of.low, Number.MAX_VALUE)
  const first = Math.floor(Math.log10(span / wanted.most)) - 1
  for (let exponent = wanted.integer === true ? Math.max(0, first) : first; exponent <= first + 4; exponent++) {
    for (const mantissa of [1, 2, 5]) {
      const step = Number(`${mantissa}e${exponent}`)
      if (step === 0 || step === Infinity) continue
      const at = (nth: number): number => Number(`${nth * mantissa}e${exponent}`)
      let from = Math.ceil(of.low / step) - 1
      while (at(from) < of.low) from++
      let to = Math.floor(of.high / step) + 1
      while (at(to) > of.high) to--
      // The finest steps are far too many: they are not made.
      if (to - from >= wanted.most) continue
      yield {
        digits: Array.from({ length: Math.max(0, to - from + 1) }, (_, nth) => (from + nth) * mantissa),
        exponent
      }
    }
  }
}

const single = (value: number): Ticks => {
  const [digits = "0", exponent = "0"] = value.toExponential(5).split("e")
  const ticks = labelled({ digits: [Math.round(Number(digits) * 1e5)], exponent: Number(exponent) - 5 }, false)
  return { ...ticks, values: [value] }
}

// -----------------------------------------------------------------------------
// Labels
// -----------------------------------------------------------------------------

/** Up to here plain digits are best, and from here on they hide what changes. The sign does not count. */
const short = 5
const long = 9

const labelled = (exact: Decimal, offset: boolean): Ticks => {
  const values = exact.digits.map((digits) => Number(`${digits}e${exact.exponent}`))
  const decimal = trim(exact)
  const labels = shortest(decimal)
  const plain = { values, labels, offset: undefined }
  if (!offset || longest(labels) <= long || decimal.digits.length < 2) return plain
  const lowest = decimal.digits[0] ?? 0
  const change = (decimal.digits[decimal.digits.length - 1] ?? 0) - lowest
  const unit = 10 ** (Math.floor(Math.log10(change)) + 1)
  const base = Math.floor(lowest / unit) * unit
  if (base === 0) return plain
  const changes = shortest(trim({ ...decimal, digits: decimal.digits.map((digits) => digits - base) }))
  return {
    values,
    labels: changes.map((label) => `+${label}`),
    offset: shortest(trim({ ...decimal, digits: [base] }))[0]
  }
}

/** The same numbers, without the zeros that all of them end in. */
const trim = ({ digits, exponent }: Decimal): Decimal => {
  if (digits.every((each) => each === 0)) return { digits: digits.map(() => 0), exponent: 0 }
  let shared = 0
  let unit = 10
  while (digits.every((each) => each % unit === 0)) {
    shared++
    unit *= 10
  }
  return { digits: digits.map((each) => Math.round(each / (unit / 10))), exponent: exponent + shared }
}

const prefixes: ReadonlyArray<readonly [exponent: number, suffix: string]> = [[3, "k"], [6, "M"], [9, "G"], [12, "T"]]

const shortest = (decimal: Decimal): ReadonlyArray<string> => {
  const largest = Math.max(...decimal.digits.map(Math.abs))
  const magnitude = largest === 0 ? 0 : String(largest).length - 1 + decimal.exponent
  const candidates: Array<ReadonlyArray<string>> = []
  if (Math.abs(decimal.exponent) <= 20 && magnitude <= 20) candidates.push(positional(decimal))
  if (candidates[0] !== undefined && longest(candidates[0]) <= short) return candidates[0]
  for (const [exponent, suffix] of prefixes) {
    if (magnitude >= exponent && magnitude < exponent + 3) candidates.push(scaled(decimal, exponent, suffix))
  }
  candidates.push(scaled(decimal, magnitude, `e${magnitude}`))
  return candidates.reduce((best, each) => longest(each) < longest(best) ? each : best)
}

const scaled = ({ digits, exponent }: Decimal, power: number, suffix: string): ReadonlyArray<string> =>
  positional({ digits, exponent: exponent - power }).map((label, nth) => digits[nth] === 0 ? "0" : label + suffix)

const positional = ({ digits, exponent }: Decimal): ReadonlyArray<string> =>
  digits.map((each) => {
    const sign = each < 0 ? "-" : ""
    const text = String(Math.abs(each))
    if (exponent >= 0) return each === 0 ? "0" : sign + text + "0".repeat(exponent)
    const padded = text.padStart(1 - exponent, "0")
    return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`
  })

const longest = (labels: ReadonlyArray<string>): number =>
  Math.max(...labels.map((label) => label.startsWith("-") ? label.length - 1 : label.length))
