/**
 * What a series is: a metric reduced to the points, histograms and numbers that plots and the report show.
 *
 * @since 0.1.0
 */
import type * as Census from "../../Census.ts"
import * as Metrics from "../../Metrics.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Into how many stretches a series is cut at most.
 *
 * @category models
 * @since 0.1.0
 */
export const buckets = 800

/**
 * One metric, ready to be drawn.
 *
 * `spread` says across what `mean`, `min`, `max` and `std` were taken: ranks, chains, or nothing (then the four are
 * absent). `raw` are the metric's own values; of a vector metric those of its first chain. `trend` is the mean of
 * coarser stretches, present where `raw` is noisy. Stretches have no end of their own: `last` is what came last.
 *
 * `drawn` is false for a counter and for a metric beyond the limits of {@link fold}: then `summary` is all there is, and
 * points and histograms are empty.
 *
 * @category models
 * @since 0.1.0
 */
export interface Series {
  readonly group: Census.Group
  readonly variable: Census.Variable
  readonly axis: "step" | "draw"
  readonly drawn: boolean
  readonly raw: Points
  readonly trend: Points | undefined
  readonly spread: "ranks" | "chains" | undefined
  readonly mean: Points | undefined
  readonly min: Points | undefined
  readonly max: Points | undefined
  readonly std: Points | undefined
  readonly histograms: Histograms
  readonly ridges: Ridges | undefined
  readonly last: Last | undefined
  readonly summary: Summary
}

/**
 * What came last, and where on the axis it did: a metric's own value, or the mean of what it was taken across, and its
 * deviation and range. Without a deviation 0, and without a range the mean, as they are drawn.
 *
 * @category models
 * @since 0.5.1
 */
export interface Last {
  readonly x: number
  readonly y: number
  readonly spread: { readonly std: number; readonly min: number; readonly max: number } | undefined
}

/**
 * Points in drawing order. NaN in `y` is a gap.
 *
 * @category models
 * @since 0.1.0
 */
export interface Points {
  readonly x: Float64Array
  readonly y: Float64Array
}

/**
 * How often values fell into equal bins from `from` to `to`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Histogram {
  readonly from: number
  readonly to: number
  readonly counts: Float64Array
}

/**
 * The histograms of a metric's values and, with a spread, of its statistics.
 *
 * @category models
 * @since 0.1.0
 */
export interface Histograms {
  readonly raw: Histogram
  readonly mean: Histogram | undefined
  readonly min: Histogram | undefined
  readonly max: Histogram | undefined
  readonly std: Histogram | undefined
}

/**
 * The distribution of a vector metric's values over its chains, from the first rows (the run's start, or the first
 * leapfrog step) to the last. `chains` says how many, the first of the metric's, were counted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ridges {
  readonly by: "draw" | "leapfrog"
  readonly chains: number
  readonly rows: ReadonlyArray<{ readonly label: string; readonly histogram: Histogram }>
}

/**
 * Numbers for the report: over the draws that are left after warm-up. `count` is of finite values, `nonFinite` of NaN
 * and infinities, absent draws not among them. `std` is that of the population; without finite values all are NaN.
 *
 * Of a vector metric all elements count, and `latest` is the mean across chains. Columns cannot tell an absent value
 * from NaN: `nonFinite` is too small by the NaNs of a vector metric, and by up to as many as warm-up dropped where some
 * draws lack the metric.
 *
 * @category models
 * @since 0.1.0
 */
export interface Summary {
  readonly latest: number
  readonly mean: number
  readonly min: number
  readonly max: number
  readonly std: number
  readonly count: number
  readonly nonFinite: number
}

// -----------------------------------------------------------------------------
// Queries
// -----------------------------------------------------------------------------

const counterName = /^(?:iter|iteration|epoch|step|global_step|batch|idx|bidx)$/i
const counterEnding = /_(?:iter|iteration|epoch|step|batch|idx|bidx)$/i
const rateEnding = /(?:^|_)per_[a-z]+$/i

/**
 * Whether a metric only counts (`epoch`, `train/iter`, `data_idx`): a plot of it says nothing. A name that merely ends
 * like a counter's has to hold integers, and a rate (`ms_per_step`) is none.
 *
 * @category queries
 * @since 0.1.0
 */
export const isCounter = (variable: Census.Variable): boolean => {
  const leaf = Metrics.leaf(variable.statistic?.of ?? variable.key)
  return counterName.test(leaf) || (variable.integer && counterEnding.test(leaf) && !rateEnding.test(leaf))
}

const time = /^(dt[a-z]?|time|times|duration|elapsed|latency|seconds|secs|ms)$/

/**
 * Whether a key names a time (`dt`, `train/dtf`, `step_time`, `latency_ms`): a word of it is one.
 *
 * @category queries
 * @since 0.3.0
 */
export const isTime = (key: string): boolean =>
  key.replaceAll(/([a-z])([A-Z])/g, "$1_$2").toLowerCase().split(/[^a-z0-9]+/).some((part) => time.test(part))
