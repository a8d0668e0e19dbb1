/**
 * Ticks of a logarithmic scale: its range and its ticks are exponents of ten, the labels say the numbers.
 *
 * The rules. From two decades on ticks are whole decades: each, or each second, third, fifth and so on. Over less they
 * are 1, 2 and 5 times a power of ten, or some of these; within one decade round numbers as on a linear scale, if they
 * fit better.
 *
 * @since 0.5.1
 */
import * as Axis from "../artifact/tplot/Axis.ts"
import { number } from "./Numbers.ts"

/** The exponent of a power of ten may be beside it by rounding. */
const rounding = 1e-9

/** Which decades are marked, counted from 1. */
const steps = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300]

/** What of 1, 2 and 5 is marked in each decade: the more the better. */
const mantissas = [[1, 2, 5], [1, 5], [1], [2], [5]]

/**
 * The ticks of a range of exponents. There are none where none fit.
 *
 * @category constructors
 * @since 0.5.1
 */
export const ticks = (of: Axis.Range, wanted: Axis.Wanted): Axis.Ticks => {
  if (of.constant !== undefined) {
    return { values: [of.constant], labels: [number(10 ** of.constant)], offset: undefined }
  }
  const span = of.high - of.low
  let best: Axis.Ticks = { values: [], labels: [], offset: undefined }
  const take = (candidate: Axis.Ticks): void => {
    const { length } = candidate.values
    if (length === 0 || length > wanted.most || badness(candidate, wanted) >= badness(best, wanted)) return
    if (wanted.fits?.(candidate) !== false) best = candidate
  }
  const [first, last] = [Math.ceil(of.low - rounding), Math.floor(of.high + rounding)]
  if (span >= 2) {
    for (const step of steps) take(decades(Math.ceil(first / step) * step, last, step))
    // On a canvas of few rows the lowest and the highest, or one of them.
    for (const step of [last - first, last - first + 1]) take(decades(first, last, step))
    return best
  }
  for (const each of mantissas) take(multiples(of, each, first, last))
  if (span < 1 || best.values.length === 0) take(linear(of, wanted))
  return best
}

/** One tick tells where, but not how much; of the rest the one nearest to what is wanted. */
const badness = ({ values }: Axis.Ticks, wanted: Axis.Wanted): number =>
  Math.abs(values.length - wanted.ideal) + (values.length < 2 ? 1000 - values.length : 0)

const decades = (from: number, last: number, step: number): Axis.Ticks => {
  const values = Array.from(
    { length: Math.max(0, Math.floor((last - from) / step) + 1) },
    (_, nth) => from + nth * step
  )
  return { values, labels: values.map((exponent) => number(Number(`1e${exponent}`))), offset: undefined }
}

const multiples = (of: Axis.Range, mantissas: ReadonlyArray<number>, first: number, last: number): Axis.Ticks => {
  const marks = Array.from({ length: last - first + 2 }, (_, nth) => first - 1 + nth)
    .flatMap((exponent) => mantissas.map((mantissa) => Number(`${mantissa}e${exponent}`)))
    .filter((mark) => Math.log10(mark) >= of.low - rounding && Math.log10(mark) <= of.high + rounding)
  return { values: marks.map(Math.log10), labels: marks.map((mark) => number(mark)), offset: undefined }
}

const linear = (of: Axis.Range, wanted: Axis.Wanted): Axis.Ticks => {
  const range = {
    low: Math.max(Number.MIN_VALUE, 10 ** of.low),
    high: Math.min(Number.MAX_VALUE, 10 ** of.high),
    constant: undefined
  }
  const scaled = (made: Axis.Ticks): Axis.Ticks => ({ ...made, values: made.values.map(Math.log10) })
  return scaled(Axis.ticks(range, { ...wanted, fits: (made) => wanted.fits?.(scaled(made)) !== false }))
}
