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
import * as Gathering from "./series/Gathering.ts"
import { buckets, isCounter, type Series } from "./series/Model.ts"

export * from "./series/Model.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

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
