/**
 * How series are looked at: smoothed, on a scale of powers of ten, and only those whose names match.
 *
 * @since 0.5.0
 */
import * as Vm from "node:vm"
import { type Bins, mean } from "./series/Bins.ts"

// -----------------------------------------------------------------------------
// Smoothing
// -----------------------------------------------------------------------------

/**
 * The exponential moving average of numbers, without the pull of its start to zero: each is the mean of all up to it,
 * weighted by `weight` to the power of how long ago they were. What is not finite has no weight, and is a gap.
 *
 * @category smoothing
 * @since 0.5.0
 */
export const smooth = (values: ArrayLike<number>, weight: number): Float64Array => {
  const out = new Float64Array(values.length)
  let sum = 0
  let weights = 0
  for (let nth = 0; nth < values.length; nth++) {
    const value = values[nth]!
    if (value - value !== 0) {
      out[nth] = NaN
      continue
    }
    weights = weights * weight + 1
    // A running mean: a sum of large numbers might overflow.
    sum += (value - sum) / weights
    out[nth] = sum
  }
  return out
}

/**
 * The means of bins, smoothed by a weight per point.
 *
 * @category smoothing
 * @since 0.5.0
 */
export const smoothBins = (bins: Bins, weight: number): Float64Array => {
  const means = new Float64Array(bins.length)
  for (let bin = 0; bin < bins.length; bin++) means[bin] = mean(bins, bin)
  return smooth(means, weight ** bins.span)
}

// -----------------------------------------------------------------------------
// Scales
// -----------------------------------------------------------------------------

/**
 * Numbers on a scale of powers of ten. What has no place there, 0 and below, is a gap.
 *
 * @category scales
 * @since 0.5.0
 */
export const logarithms = (values: Float64Array): Float64Array =>
  values.map((value) => value > 0 ? Math.log10(value) : NaN)

// -----------------------------------------------------------------------------
// Filtering
// -----------------------------------------------------------------------------

/**
 * The names a pattern matches, or why it cannot be used.
 *
 * @category models
 * @since 0.5.0
 */
export type Filtered =
  | { readonly _tag: "Matched"; readonly names: ReadonlyArray<string> }
  | { readonly _tag: "BadPattern"; readonly reason: string }

/**
 * The longest pattern, and how long matching may take: some patterns take for ever on names made for it.
 *
 * @category filtering
 * @since 0.5.0
 */
export const longestPattern = 200
const patienceMillis = 100

/**
 * The names that a regular expression finds something in; all, if it is empty. Capitals count only if it has some.
 *
 * @category filtering
 * @since 0.5.0
 */
export const filter = (names: ReadonlyArray<string>, pattern: string): Filtered => {
  if (pattern === "") return { _tag: "Matched", names }
  if (pattern.length > longestPattern) return { _tag: "BadPattern", reason: "too long" }
  let expression: RegExp
  try {
    // Capitals in `\S` and `\W` say something else.
    expression = new RegExp(pattern, /\p{Lu}/u.test(pattern.replaceAll(/\\[^]/g, "")) ? "u" : "iu")
  } catch (error) {
    return { _tag: "BadPattern", reason: reasonOf(error) }
  }
  const matched: Array<boolean> = []
  try {
    // Only in a context of its own does an expression stop when time is up.
    matching ??= new Vm.Script("for (const name of names) matched.push(expression.test(name))")
    matching.runInNewContext({ names, matched, expression }, { timeout: patienceMillis })
  } catch {
    return { _tag: "BadPattern", reason: "takes too long" }
  }
  return { _tag: "Matched", names: names.filter((_, nth) => matched[nth] === true) }
}

let matching: Vm.Script | undefined

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error)
