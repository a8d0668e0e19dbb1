/**
 * Where the marks of an axis stand and what they say, for a range and a length in pixels. Nothing here needs a page.
 */
import * as Axis from "../../artifact/tplot/Axis.ts"
import * as Format from "./format.ts"

export interface Marks {
  readonly values: ReadonlyArray<number>
  readonly labels: ReadonlyArray<string>
}

/** About so much room a label takes: a character, and what is between it and the next. */
export const character = 7
export const gap = { x: 16, y: 30 } as const

export const longest = (labels: ReadonlyArray<string>): number =>
  labels.reduce((most, { length }) => Math.max(most, length), 0)

const beside = (labels: ReadonlyArray<string>, pixels: number): boolean =>
  labels.length * (longest(labels) * character + gap.x) <= pixels

const most = (pixels: number): number => Math.max(2, Math.floor(pixels / gap.y))

const ideal = (pixels: number): number => Math.max(2, Math.round(pixels / 42))

/** Whole steps below a chart. */
export const steps = (low: number, high: number, pixels: number): Marks =>
  Axis.ticks({ low, high, constant: undefined }, {
    ideal: Math.max(2, Math.round(pixels / 90)),
    most: Math.max(2, Math.floor(pixels / 40)),
    integer: true,
    fits: ({ labels }) => beside(labels, pixels)
  })

/** Round numbers beside a chart, with as many digits as it takes to tell them apart. */
export const linear = (low: number, high: number, pixels: number): Marks =>
  Axis.ticks({ low, high, constant: undefined }, { ideal: ideal(pixels), most: most(pixels) })

/** Whole decades; where there is none or but one, 1, 2 and 5 of each, or round numbers where that is too few, too. */
export const logarithmic = (low: number, high: number, pixels: number): Marks => {
  const exponents: Array<number> = []
  for (let e = Math.floor(Math.log10(low)) - 1; e <= Math.log10(high) + 1; e++) exponents.push(e)
  const inside = (value: number): boolean => value > 0 && value >= low && value <= high
  const whole = exponents.filter((e) => inside(Number(`1e${e}`)))
  if (whole.length >= 2) {
    const stride = [1, 2, 3, 5, 10, 20, 50, 100].find((n) => whole.length / n < pixels / 20) ?? 200
    const even = whole.filter((e) => e % stride === 0)
    // Of exponents as even as that there may be one alone.
    return powers((even.length >= 2 ? even : [whole[0] ?? 0, whole.at(-1) ?? 0]).map((e) => Number(`1e${e}`)))
  }
  const some = exponents.flatMap((e) => [1, 2, 5].map((digit) => Number(`${digit}e${e}`))).filter(inside)
  if (some.length >= 3) return powers(some)
  // They stand closer to each other the larger they are.
  const apart = (one: number, next: number): number => pixels * Math.log(next / one) / Math.log(high / low)
  const round = (most: number): Marks =>
    Axis.ticks({ low, high, constant: undefined }, {
      ideal: ideal(pixels),
      most,
      fits: ({ values }) => values.every((value, i) => i === 0 || apart(values[i - 1] ?? value, value) >= 16)
    })
  const few = round(most(pixels))
  // One mark tells where, but not how much.
  if (few.values.length >= 2) return few
  return some.length >= 2 ? powers(some) : round(2 * most(pixels))
}

const powers = (values: ReadonlyArray<number>): Marks => ({ values, labels: values.map(Format.power) })

const minute = 60
const hour = 3600
const day = 86_400

/** Lengths of time that are round for who reads a clock. */
const lengths: ReadonlyArray<number> = [
  ...[-6, -5, -4, -3, -2, -1].flatMap((e) => [1, 2, 5].map((digit) => Number(`${digit}e${e}`))),
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * minute),
  ...[1, 2, 3, 6, 12].map((n) => n * hour),
  ...[0, 1, 2, 3, 4, 5].flatMap((e) => [1, 2, 5].map((digit) => digit * 10 ** e * day))
]

/** Lengths of time below a chart. */
export const lapses = (low: number, high: number, pixels: number): Marks => {
  for (const apart of lengths) {
    // The finest are far too many: they are not made.
    if ((high - low) / apart > pixels / gap.x) continue
    const first = Math.ceil(low / apart)
    const count = Math.max(0, Math.floor(high / apart) - first + 1)
    const values = Array.from({ length: count }, (_, i) => Number(((first + i) * apart).toPrecision(15)))
    const labels = values.map((value) => Format.lapse(value, apart))
    const room = apart / (high - low) * pixels
    // Next to a short one a long one has more room.
    const fits = labels.every((label, i) => {
      const before = labels[i - 1]
      return before === undefined || (before.length + label.length) / 2 * character + gap.x <= room
    })
    if (fits) return { values, labels }
  }
  return { values: [], labels: [] }
}
