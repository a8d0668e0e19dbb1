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

/** What went before: its average, and the weights that are in it. */
interface Average {
  readonly mean: number
  readonly weights: number
}

const nothing: Average = { mean: 0, weights: 0 }

/**
 * The exponential moving average of numbers, without the pull of its start to zero: each is the mean of all up to it,
 * weighted by `weight` to the power of how long ago they were. What is not finite has no weight, and is a gap.
 *
 * @category smoothing
 * @since 0.5.0
 */
export const smooth = (values: ArrayLike<number>, weight: number, after: Average = nothing): Float64Array => {
  const out = new Float64Array(values.length)
  let { mean: sum, weights } = after
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
 * The means of bins, smoothed by a weight per point. Where they are a part of a series, read again more finely, `whole` is
 * all of it: what comes before the part is in its averages, too.
 *
 * @category smoothing
 * @since 0.5.0
 */
export const smoothBins = (bins: Bins, weight: number, whole: Bins = bins): Float64Array => {
  const after = whole === bins || bins.length === 0 ? nothing : before(whole, bins.seq[0]!, weight, bins.span)
  return smooth(means(bins, bins.length), weight ** bins.span, after)
}

/** The average of the bins that are over before a record, for one that goes on with bins of another span. */
const before = (bins: Bins, seq: number, weight: number, span: number): Average => {
  let length = 0
  while (length + 1 < bins.length && bins.seq[length + 1]! <= seq) length++
  const smoothed = smooth(means(bins, length), weight ** bins.span)
  const gone = smoothed.findLastIndex((value) => !Number.isNaN(value))
  if (gone < 0 || weight === 0) return nothing
  // A bin weighs as much as the finer ones in its place.
  const each = weight === 1 ? bins.span / span : (1 - weight ** bins.span) / (1 - weight ** span)
  let weights = 0
  for (let bin = 0; bin < length; bin++) {
    if (!Number.isNaN(smoothed[bin]!)) weights = weights * weight ** bins.span + each
  }
  return { mean: smoothed[gone]!, weights }
}

const means = (bins: Bins, length: number): Float64Array => Float64Array.from({ length }, (_, bin) => mean(bins, bin))

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
