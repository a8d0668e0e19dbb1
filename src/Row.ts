/**
 * One record of a run, as everything downstream of the log sees it: backends, folds, the console.
 *
 * @since 0.1.0
 */
import type { Metrics } from "./Metrics.ts"

/**
 * A record with its place in the run, and the statistics across ranks once its step has closed.
 *
 * `seq` counts the records of a run from 1 and never repeats; `step` is what the job said (it may jump, repeat or go
 * back) and undefined where it said nothing; `timestamp` is seconds since 1970, taken when the record arrived.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row {
  readonly seq: number
  readonly step: number | undefined
  readonly timestamp: number
  readonly rank: number
  readonly metrics: Metrics
  readonly statistics: Statistics | undefined
}

/**
 * What the ranks said about one step: `values` holds `loss/mean`, `loss/min`, `loss/max`, `loss/std` for each metric
 * `loss`, `count` how many ranks are in it, `expected` how many there should have been.
 *
 * @category models
 * @since 0.1.0
 */
export interface Statistics {
  readonly values: Metrics
  readonly count: number
  readonly expected: number
}
