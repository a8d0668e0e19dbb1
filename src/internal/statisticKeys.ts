/**
 * Under which names the statistics of a metric stand among the values of a record.
 *
 * @since 0.5.1
 */
export interface StatisticKeys {
  readonly mean: string
  readonly min: string
  readonly max: string
  readonly std: string
  readonly argmin: string
  readonly argmax: string
  readonly nonFinite: string
}

/** Those of a metric. */
export const statisticKeys = (metric: string): StatisticKeys => ({
  mean: `${metric}/mean`,
  min: `${metric}/min`,
  max: `${metric}/max`,
  std: `${metric}/std`,
  argmin: `${metric}/argmin`,
  argmax: `${metric}/argmax`,
  nonFinite: `${metric}/nonfinite`
})
