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
import * as Census from "../Census.ts"
import type * as Columns from "../Columns.ts"
import * as Fold from "../Fold.ts"
import * as Metrics from "../Metrics.ts"
import * as Gathering from "./series/Gathering.ts"

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
 * coarser stretches, present where `raw` is noisy.
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

/**
 * The series of a run, in the order of its census, and how many metrics of which groups were too many to be drawn
 * (counters are not among them).
 *
 * @category models
 * @since 0.1.0
 */
export interface Result {
  readonly series: ReadonlyArray<Series>
  readonly notDrawn: ReadonlyArray<{ readonly group: string; readonly count: number }>
}

/**
 * `warmup` is what {@link Columns.fromRows} was given; ridges are over the first `numChains` chains. At most
 * `maxPerGroup` metrics of a group are drawn, and `maxTotal` in all (each takes about 0.1 MB while the run goes by).
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly warmup?: number | undefined
  readonly numChains?: number | undefined
  readonly maxPerGroup?: number | undefined
  readonly maxTotal?: number | undefined
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

// -----------------------------------------------------------------------------
// The fold
// -----------------------------------------------------------------------------

/**
 * The fold that reduces a run to its series, in one pass and in memory that depends on the number of metrics alone.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Census, Columns, Fold, Series } from "ezpz-stream"
 *
 * const rows = Stream.range(1, 100_000).pipe(
 *   Stream.map((n) => ({ seq: n, step: n, timestamp: n, rank: 0, metrics: { loss: 1 / n }, statistics: undefined }))
 * )
 * const census = Effect.runSync(Fold.run(rows, Census.fold))
 * const { series } = Effect.runSync(Fold.run(rows, Columns.fromRows(Series.fold(census), census)))
 * assert.strictEqual(series[0]?.summary.max, 1)
 * assert.strictEqual(series[0]?.raw.x.length, 1600)
 * ```
 *
 * @category folds
 * @since 0.1.0
 */
export const fold = (census: Census.Census, options: Options = {}): Fold.Fold<Columns.Batch, Result> => {
  const { maxPerGroup = 500, maxTotal = 1000, numChains = Infinity, warmup = 0 } = options
  return Fold.make(
    () => {
      let left = maxTotal
      const notDrawn: Array<{ readonly group: string; readonly count: number }> = []
      const groups = new Map<Census.Group, Gathering.Gathering>()
      for (const group of census.groups) {
        const gathering = Gathering.open(group, {
          stretches: buckets,
          dropped: Census.dropped(group, warmup),
          numChains,
          limit: Math.max(0, Math.min(left, maxPerGroup)),
          isCounter
        })
        groups.set(group, gathering)
        left -= gathering.drawn
        if (gathering.tooMany > 0) notDrawn.push({ group: group.name, count: gathering.tooMany })
      }
      return { groups, notDrawn }
    },
    (state, batch: Columns.Batch) => {
      const gathering = state.groups.get(batch.group)
      if (gathering !== undefined && batch.length > 0) Gathering.add(gathering, batch)
      return state
    },
    (state) => ({ series: Array.from(state.groups.values()).flatMap(Gathering.finish), notDrawn: state.notDrawn })
  )
}
