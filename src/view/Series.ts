/**
 * What a run's log says of each metric, as columns that can be drawn: values, and what ranks or chains had.
 *
 * The rules. A metric's numbers and booleans (1 and 0) are its `values`. Of a vector, `values` has the mean of its finite
 * elements and `spread` their least, greatest and std (`across` is "chains"); where several ranks report, `spread` has
 * their statistics (`across` is "ranks"). Text is kept as it was last. A record without a step counts by its seq.
 * Statistics stand at the step their line names; a later line of the same seq amends them.
 *
 * Memory is bounded: all series share a number of bins (series/Bins.ts), and beyond {@link mostKeys} metrics are counted,
 * not kept.
 *
 * @since 0.5.0
 */
import * as Metrics from "../Metrics.ts"
import type { Statistics } from "../Row.ts"
import type { Entry } from "../runlog/Entry.ts"
import * as Bins from "./series/Bins.ts"

export type { Bins, Point } from "./series/Bins.ts"
export { mean, std } from "./series/Bins.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * One metric. `version` changes with every point. `last` is the last record's own value, `lastSpread` the statistics that
 * came last.
 *
 * @category models
 * @since 0.5.0
 */
export interface Series {
  readonly key: string
  readonly group: string
  readonly values: Bins.Bins
  readonly spread: Bins.Bins | undefined
  readonly across: "ranks" | "chains" | undefined
  readonly version: number
  readonly last: number
  readonly lastSpread: Bins.Point | undefined
}

/**
 * All metrics of a run so far, in the order they came. `left` counts metrics beyond {@link mostKeys}. `recent` has the
 * last records' steps and times, oldest first, for rates. `totalSteps` is what a metric `total_steps` last said.
 *
 * @category models
 * @since 0.5.0
 */
export interface Store {
  readonly series: ReadonlyMap<string, Series>
  readonly texts: ReadonlyMap<string, string>
  readonly left: number
  readonly rows: number
  readonly lastSeq: number
  readonly firstTime: number
  readonly lastTime: number
  readonly firstStep: number
  readonly lastStep: number
  readonly worldSize: number
  readonly totalSteps: number | undefined
  readonly version: number
  readonly recent: ReadonlyArray<{ readonly step: number; readonly time: number }>
  /** Takes in lines of the log, in their order. */
  readonly push: (entries: ReadonlyArray<Entry>) => void
}

/**
 * `bins`: how many bins all series may have together; `capacity`: how many one may have at most (a power of two).
 *
 * @category models
 * @since 0.5.0
 */
export interface Limits {
  readonly bins: number
  readonly capacity: number
}

/**
 * So many metrics are kept.
 *
 * @category models
 * @since 0.5.0
 */
export const mostKeys = 100_000

/** So many texts are kept, of so many characters. */
const mostTexts = 1000
const longestText = 200
const leastBins = 64
const recentRows = 128

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

interface Making {
  readonly key: string
  readonly group: string
  readonly values: Bins.Bins
  spread: Bins.Bins | undefined
  across: "ranks" | "chains" | undefined
  version: number
  last: number
  lastSpread: Bins.Point | undefined
  /** Statistics of the line at hand, by the place of their name in {@link names}. */
  readonly slots: Float64Array
  touched: number
}

const names = ["mean", "min", "max", "std", "argmin", "argmax", "nonfinite"]

type Mutable = { -readonly [K in keyof Store]: Store[K] }

interface Statistic {
  readonly of: string
  readonly slot: number
}

/**
 * A store without records.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (limits: Limits = { bins: 1 << 20, capacity: 1 << 14 }): Store => {
  const series = new Map<string, Making>()
  const texts = new Map<string, string>()
  const refused = new Set<string>()
  const statistics = new Map<string, Statistic | undefined>()
  const recent: Array<{ step: number; time: number }> = []
  let capacity = limits.capacity
  let entryId = 0

  const state: Mutable = {
    series,
    texts,
    left: 0,
    rows: 0,
    lastSeq: 0,
    firstTime: NaN,
    lastTime: NaN,
    firstStep: NaN,
    lastStep: NaN,
    worldSize: 1,
    totalSteps: undefined,
    version: 0,
    recent,
    push: (entries) => push(entries)
  }

  const seriesOf = (key: string): Making | undefined => {
    const found = series.get(key)
    if (found !== undefined) return found
    if (series.size >= mostKeys) {
      if (refused.size < mostKeys) refused.add(key)
      state.left = refused.size
      return undefined
    }
    while (capacity > leastBins && (series.size + 1) * capacity > limits.bins) {
      capacity /= 2
      for (const each of series.values()) {
        Bins.resize(each.values, capacity)
        if (each.spread !== undefined) Bins.resize(each.spread, capacity)
      }
    }
    const made: Making = {
      key,
      group: Metrics.group(key),
      values: Bins.make(capacity, false),
      spread: undefined,
      across: undefined,
      version: 0,
      last: NaN,
      lastSpread: undefined,
      slots: new Float64Array(names.length),
      touched: 0
    }
    series.set(key, made)
    return made
  }

  const addValue = (key: string, value: number, seq: number, step: number, time: number): void => {
    const one = seriesOf(key)
    if (one === undefined) return
    const { point } = scratch
    point.seq = seq
    point.step = step
    point.time = time
    point.low = point.mean = point.high = value
    point.std = 0
    Bins.add(one.values, point)
    one.last = value
    one.version++
  }

  const addSpread = (one: Making, across: "ranks" | "chains", point: Bins.Point): void => {
    if (one.across === undefined) {
      one.across = across
      one.spread = Bins.make(capacity, true)
    }
    // What ranks had counts for more than what the first one's chains had.
    if (one.spread === undefined || one.across !== across && across === "chains") return
    if (one.across !== across) {
      one.across = across
      one.spread = Bins.make(capacity, true)
    }
    if (across === "ranks") Bins.amend(one.spread, point)
    else Bins.add(one.spread, point)
    if (one.lastSpread === undefined || point.seq >= one.lastSpread.seq) one.lastSpread = { ...point }
    one.version++
  }

  const addVector = (key: string, value: ReadonlyArray<unknown>, seq: number, step: number, time: number): void => {
    const { count, high, low, mean, std } = ofVector(value)
    addValue(key, count === 0 ? NaN : mean, seq, step, time)
    const one = series.get(key)
    if (one !== undefined) addSpread(one, "chains", { seq, step, time, low, mean, high, std, argLow: -1, argHigh: -1 })
  }

  const addStatistics = ({ values }: Statistics, seq: number, step: number, time: number): void => {
    entryId++
    const touched: Array<Making> = []
    for (const key in values) {
      const value = values[key]
      if (typeof value !== "number") continue
      let statistic = statistics.get(key)
      if (statistic === undefined) {
        if (statistics.has(key)) continue
        statistic = statisticOf(key)
        if (statistics.size < mostKeys * names.length) statistics.set(key, statistic)
        if (statistic === undefined) continue
      }
      const one = seriesOf(statistic.of)
      if (one === undefined) continue
      if (one.touched !== entryId) {
        one.touched = entryId
        one.slots.fill(NaN)
        touched.push(one)
      }
      one.slots[statistic.slot] = value
    }
    const { point } = scratch
    for (const one of touched) {
      const [mean = NaN, min = NaN, max = NaN, std = NaN, argmin = NaN, argmax = NaN] = one.slots
      point.seq = seq
      point.step = step
      point.time = time
      point.mean = mean
      point.low = min
      point.high = max
      point.std = std - std === 0 ? std : 0
      point.argLow = argmin >= 0 ? argmin : -1
      point.argHigh = argmax >= 0 ? argmax : -1
      addSpread(one, "ranks", point)
    }
  }

  const push = (entries: ReadonlyArray<Entry>): void => {
    if (entries.length > 0) state.version++
    for (const entry of entries) {
      const { seq, timestamp } = entry
      const step = entry.step ?? seq
      if (entry.metrics !== undefined) {
        state.rows++
        if (seq > state.lastSeq) state.lastSeq = seq
        if (!(state.firstTime <= timestamp)) state.firstTime = timestamp
        if (Number.isNaN(state.firstStep)) state.firstStep = step
        state.lastTime = timestamp
        state.lastStep = step
        recent.push({ step, time: timestamp })
        if (recent.length > 2 * recentRows) recent.splice(0, recentRows)
        for (const key in entry.metrics) {
          const value = entry.metrics[key]
          if (typeof value === "number") {
            addValue(key, value, seq, step, timestamp)
            if (key.endsWith("total_steps") && value > 0 && Metrics.leaf(key) === "total_steps") {
              state.totalSteps = value
            }
          } else if (typeof value === "boolean") addValue(key, value ? 1 : 0, seq, step, timestamp)
          else if (typeof value === "string") {
            if (texts.size < mostTexts || texts.has(key)) texts.set(key, value.slice(0, longestText))
          } else if (Array.isArray(value)) addVector(key, value, seq, step, timestamp)
        }
      }
      if (entry.statistics !== undefined) {
        state.worldSize = Math.max(state.worldSize, entry.statistics.count, entry.statistics.expected)
        addStatistics(entry.statistics, seq, step, timestamp)
      }
    }
  }

  return state
}

/** One for all: a point is copied into its bin at once. */
const scratch: { readonly point: Bins.Point } = {
  point: { seq: 0, step: 0, time: 0, low: 0, mean: 0, high: 0, std: 0, argLow: -1, argHigh: -1 }
}

const statisticOf = (key: string): Statistic | undefined => {
  const slash = key.lastIndexOf("/")
  const slot = slash < 0 ? -1 : names.indexOf(key.slice(slash + 1))
  return slot < 0 ? undefined : { of: key.slice(0, slash), slot }
}

const ofVector = (value: ReadonlyArray<unknown>) => {
  let [count, sum, low, high] = [0, 0, Infinity, -Infinity]
  const each = (visit: (x: number) => void): void => {
    for (const element of value) {
      if (typeof element === "number") visit(element)
      else if (Array.isArray(element)) { for (const inner of element) if (typeof inner === "number") visit(inner) }
    }
  }
  each((x) => {
    if (x - x !== 0) return
    count++
    sum += x
    if (x < low) low = x
    if (x > high) high = x
  })
  const mean = count === 0 ? NaN : sum / count
  let squares = 0
  each((x) => {
    if (x - x === 0) squares += (x - mean) ** 2
  })
  return { count, mean, low, high, std: count === 0 ? 0 : Math.sqrt(squares / count) }
}
