/**
 * Which ranks stand out: for each metric, how often each rank had the least and the greatest value, and how far from
 * the mean it was. A rank that is the slowest in nine records of ten is one to look at.
 *
 * The rules:
 *
 * - What counts is a record with statistics of several ranks (`X/argmin`, `X/argmax`, `X/std` of a metric `X`, as the
 *   census knows them). Where all ranks say the same, none is extreme. Where several share an extreme, the reducer has
 *   named the lowest of them.
 * - Draws that `warmup` drops are left out, as in plots and datasets. Partial records are counted over the whole run.
 * - `chance` is how often a rank would be extreme if all were alike: 1 / ranks, summed over the records in which they
 *   differed. What stands out is told from that by {@link standsOut}.
 * - Memory is bounded at any number of ranks: of each metric and end, {@link mostRanks} ranks are counted at a time, see
 *   ranks/Tally.ts. A rank that is extreme in more than one of 257 records is always there, and no count is short by more
 *   than `short` says.
 *
 * @since 0.3.0
 */
import * as Census from "../Census.ts"
import * as Fold from "../Fold.ts"
import * as Metrics from "../Metrics.ts"
import type { Row } from "../Row.ts"
import * as Extremes from "./ranks/Extremes.ts"
import type * as Tally from "./ranks/Tally.ts"
import { isTime } from "./series/Model.ts"

export { type End, type Extreme, mostRanks } from "./ranks/Tally.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The ranks of a run. `worldSize` is the most that were expected of a record, `records` counts those with statistics,
 * `alone` those that only the root had anything to say to (evaluation, say). `partial` counts those that closed with more
 * than the root but with fewer than `worldSize` ranks, `silent` those of them in which one that was expected said nothing
 * (in the others ranks were gone), `fewest` is how many ranks there were at least. `left` counts the metrics beyond
 * {@link mostMetrics}.
 *
 * @category models
 * @since 0.3.0
 */
export interface Ranks {
  readonly worldSize: number
  readonly records: number
  readonly alone: number
  readonly partial: { readonly count: number; readonly silent: number; readonly fewest: number }
  readonly metrics: ReadonlyArray<Metric>
  readonly left: number
}

/**
 * The ranks of one metric. `records` had statistics of it from several ranks; in `varied` of them the ranks differed.
 * `integer` says that its extremes were all integers: then ties are likely.
 *
 * @category models
 * @since 0.3.0
 */
export interface Metric {
  readonly key: string
  readonly speed: "time" | "rate" | undefined
  readonly integer: boolean
  readonly records: number
  readonly varied: number
  readonly chance: number
  readonly least: Tally.End
  readonly greatest: Tally.End
  readonly nonFinite: { readonly records: number; readonly most: number }
}

/**
 * So many metrics are looked at: times and rates first, then in the order of the census.
 *
 * @category models
 * @since 0.3.0
 */
export const mostMetrics = 1000

// -----------------------------------------------------------------------------
// Queries
// -----------------------------------------------------------------------------

const rate = /(?:^|_)(?:per_(?:s|sec|secs|second|seconds|ms|min|minute|hour)|throughput|tps|flops|tflops|mfu)(?:$|_)/

/**
 * What a metric's name says about speed: a time (`dt`, `train/dtf`, `step_time`, `latency_ms`), of which the greatest is
 * the slowest, or a rate (`tokens_per_second`, `throughput`, `mfu`), of which the least is.
 *
 * @category queries
 * @since 0.3.0
 */
export const speedOf = (key: string): Metric["speed"] => {
  const words = Metrics.leaf(key).replaceAll(/([a-z])([A-Z])/g, "$1_$2").toLowerCase().replaceAll(/[^a-z0-9]+/g, "_")
  return rate.test(words) ? "rate" : isTime(key) ? "time" : undefined
}

/**
 * Whether a rank is extreme more often than chance would have it: by four standard deviations of a fair draw, and by a
 * tenth of what chance leaves.
 *
 * Of a metric of integers, which ranks may well share, it must also be as far from the mean on average as only a rank
 * that is alone can be: of n values, k that are equal are at most sqrt((n - k) / k) standard deviations away.
 *
 * @category queries
 * @since 0.3.0
 */
export const standsOut = (metric: Metric, { count, deviation }: Tally.Extreme): boolean => {
  const { chance, integer, speed, varied } = metric
  const share = chance / varied
  const above = count - chance
  if (!(above > 4 * Math.sqrt(chance * (1 - share)) && above >= 0.1 * (varied - chance))) return false
  return !integer || speed !== undefined || deviation > Math.sqrt(Math.max(0, 1 / share - 2) / 2)
}

// -----------------------------------------------------------------------------
// The fold
// -----------------------------------------------------------------------------

/** A metric under way. */
interface Member {
  readonly key: string
  readonly group: GroupDraws
  readonly speed: Metric["speed"]
  readonly extremes: Extremes.Extremes
  nonFiniteRecords: number
  nonFiniteMost: number
}

/** The draws of a group, as long as warm-up may drop them. */
interface GroupDraws {
  readonly dropped: number
  seen: number
  lastRow: number
}

interface State {
  readonly groups: ReadonlyMap<string, GroupDraws>
  /** By `X/argmax` and by `X/nonfinite`. */
  readonly byKey: ReadonlyMap<string, Member>
  readonly members: ReadonlyArray<Member>
  readonly left: number
  readonly warms: boolean
  row: number
  worldSize: number
  records: number
  silent: number
  /** How many records had how many ranks. */
  readonly counts: Map<number, number>
}

/**
 * The fold that counts how often which rank was extreme; undefined where no record expected several ranks.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Census, Fold, Ranks } from "ezpz-stream"
 *
 * const values = { "dt/mean": 2, "dt/min": 1, "dt/max": 5, "dt/std": 1.5, "dt/argmin": 0, "dt/argmax": 3 }
 * const rows = Stream.range(1, 10).pipe(Stream.map((seq) => ({
 *   seq, step: seq, timestamp: seq, rank: 0, metrics: { dt: 1 }, statistics: { values, count: 4, expected: 4 }
 * })))
 * const census = Effect.runSync(Fold.run(rows, Census.fold))
 * const ranks = Effect.runSync(Fold.run(rows, Ranks.fold(census)))
 * assert.deepStrictEqual(ranks?.metrics[0]?.greatest.ranks, [{ rank: 3, count: 10, deviation: 2, relative: 1.5 }])
 * ```
 *
 * @category folds
 * @since 0.3.0
 */
export const fold = (
  census: Census.Census,
  options: { readonly warmup?: number | undefined } = {}
): Fold.Fold<Row, Ranks | undefined> => Fold.make(() => open(census, options.warmup ?? 0), step, finish)

const open = (census: Census.Census, warmup: number): State => {
  const groups = new Map<string, GroupDraws>()
  const found: Array<Member> = []
  for (const group of census.groups) {
    const draws: GroupDraws = { dropped: Census.dropped(group, warmup), seen: 0, lastRow: 0 }
    groups.set(group.name, draws)
    const keys = new Set(group.variables.map(({ key }) => key))
    for (const { statistic } of group.variables) {
      // A metric without a finite value has only this one.
      const isAlone = statistic?.name === "nonfinite" && !keys.has(`${statistic.of}/argmax`)
      if (statistic?.name === "argmax" || isAlone) found.push(member(statistic.of, draws))
    }
  }
  const members = [
    ...found.filter(({ speed }) => speed !== undefined),
    ...found.filter(({ speed }) => speed === undefined)
  ].slice(0, mostMetrics)
  return {
    groups,
    byKey: new Map(
      members.flatMap((each) => [[each.extremes.keys.argmax, each], [each.extremes.keys.nonFinite, each]] as const)
    ),
    members,
    left: found.length - members.length,
    warms: Array.from(groups.values()).some(({ dropped }) => dropped > 0),
    row: 0,
    worldSize: 0,
    records: 0,
    silent: 0,
    counts: new Map()
  }
}

const member = (key: string, group: GroupDraws): Member => ({
  key,
  group,
  speed: speedOf(key),
  extremes: Extremes.make(key),
  nonFiniteRecords: 0,
  nonFiniteMost: 0
})

const step = (state: State, row: Row): State => {
  state.row++
  if (state.warms) countDraws(state, row)
  if (row.statistics === undefined) return state
  const { count, expected, values } = row.statistics
  state.records++
  state.worldSize = Math.max(state.worldSize, count, expected)
  state.counts.set(count, (state.counts.get(count) ?? 0) + 1)
  if (count > 1 && count < expected) state.silent++
  for (const key in values) {
    const found = state.byKey.get(key)
    if (found === undefined || isDropped(found.group)) continue
    if (key === found.extremes.keys.argmax) Extremes.add(found.extremes, { count, values })
    else addNonFinite(found, values[key])
  }
  return state
}

const countDraws = (state: State, row: Row): void => {
  for (const key in row.metrics) {
    const draws = state.groups.get(Metrics.group(key))
    if (draws === undefined || draws.lastRow === state.row) continue
    draws.lastRow = state.row
    draws.seen++
  }
}

/** A record with statistics of a metric has the metric itself: it is a draw of the group, and has been counted. */
const isDropped = ({ dropped, seen }: GroupDraws): boolean => dropped > 0 && seen <= dropped

const addNonFinite = (self: Member, value: Metrics.Value | undefined): void => {
  if (typeof value !== "number" || value < 1) return
  self.nonFiniteRecords++
  if (value > self.nonFiniteMost) self.nonFiniteMost = value
}

const finish = (state: State): Ranks | undefined => {
  const { counts, records, silent, worldSize } = state
  if (worldSize < 2) return undefined
  const alone = counts.get(1) ?? 0
  return {
    worldSize,
    records,
    alone,
    partial: {
      count: records - alone - (counts.get(worldSize) ?? 0),
      silent,
      fewest: Array.from(counts.keys()).reduce((least, count) => count > 1 && count < least ? count : least, worldSize)
    },
    metrics: state.members.map(({ key, speed, extremes, nonFiniteMost, nonFiniteRecords }) => ({
      key,
      speed,
      ...Extremes.end(extremes),
      nonFinite: { records: nonFiniteRecords, most: nonFiniteMost }
    })),
    left: state.left
  }
}
