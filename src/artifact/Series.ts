/**
 * What plots are drawn from: each metric of a run reduced to as many points as a picture has room for, whatever the
 * length of the run.
 *
 * A group's draws are cut into at most {@link buckets} equal stretches, and of each stretch the smallest and the
 * largest value are kept in the order they came (so a spike of one draw in a million is seen), and the mean.
 * Statistics across ranks are folded into the series of their metric: `mean` and `std` as the stretch's mean, `min` and
 * `max` as its extremes. A vector metric has the same four across its chains, and ridges.
 *
 * The axis is the step where every draw has one and they never go back, else the number of the draw.
 *
 * @since 0.1.0
 */
import type * as Census from "../Census.ts"

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
 * absent). `trend` is the mean of each stretch, present where `raw` was decimated or is long enough to be noisy.
 *
 * @category models
 * @since 0.1.0
 */
export interface Series {
  readonly group: Census.Group
  readonly variable: Census.Variable
  readonly axis: "step" | "draw"
  readonly raw: Points
  readonly trend: Points | undefined
  readonly spread: "ranks" | "chains" | undefined
  readonly mean: Points | undefined
  readonly min: Points | undefined
  readonly max: Points | undefined
  readonly std: Points | undefined
  readonly histograms: Histograms
  readonly ridges: Ridges | undefined
  readonly summary: Summary
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
 * leapfrog step) to the last.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ridges {
  readonly by: "draw" | "leapfrog"
  readonly rows: ReadonlyArray<{ readonly label: string; readonly histogram: Histogram }>
}

/**
 * Numbers for the report: over the draws that are left after warm-up. `count` is of finite values, `nonFinite` of NaN
 * and infinities, absent draws not among them.
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
