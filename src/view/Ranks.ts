/**
 * Which ranks are slow, and which stand out, while a run goes on: counted as artifact/Ranks.ts counts them at its end, in
 * the same bounded memory, without knowing beforehand which metrics there are.
 *
 * @since 0.5.0
 */
import { type End, type Extreme, type Metric, speedOf, standsOut } from "../artifact/Ranks.ts"
import * as Extremes from "../artifact/ranks/Extremes.ts"
import type { Statistics } from "../Row.ts"
import type { Entry } from "../runlog/Entry.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A rank at one end of a metric. `share` is how often it was there, `chance` how often it would be if all ranks were
 * alike. `is` says what that means: of a time or a rate, the slowest or the fastest.
 *
 * @category models
 * @since 0.5.0
 */
export interface Found {
  readonly key: string
  readonly rank: number
  readonly is: "slowest" | "fastest" | "least" | "greatest"
  readonly count: number
  readonly share: number
  readonly chance: number
  readonly deviation: number
  readonly relative: number
  readonly outstanding: boolean
}

/**
 * Ranks under way. `records` had statistics of several ranks; `partial` of them lacked some.
 *
 * @category models
 * @since 0.5.0
 */
export interface Ranks {
  readonly members: Map<string, Member>
  worldSize: number
  records: number
  partial: number
  version: number
}

/** A metric under way. */
interface Member {
  readonly key: string
  readonly speed: Metric["speed"]
  readonly extremes: Extremes.Extremes
}

/** So many metrics are counted, and so many of them beyond times and rates. */
const mostMetrics = 1000

// -----------------------------------------------------------------------------
// Folding
// -----------------------------------------------------------------------------

/**
 * Nobody yet.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (): Ranks => ({ members: new Map(), worldSize: 1, records: 0, partial: 0, version: 0 })

/**
 * Counts the statistics among lines of a log.
 *
 * @category folding
 * @since 0.5.0
 */
export const push = (self: Ranks, entries: ReadonlyArray<Entry>): void => {
  for (const { statistics } of entries) {
    if (statistics === undefined) continue
    self.worldSize = Math.max(self.worldSize, statistics.count, statistics.expected)
    if (self.worldSize < 2) continue
    self.records++
    self.version++
    if (statistics.count > 1 && statistics.count < statistics.expected) self.partial++
    for (const key in statistics.values) if (key.endsWith("/argmax")) add(self, key, statistics)
  }
}

const add = (self: Ranks, argmaxKey: string, statistics: Statistics): void => {
  const member = self.members.get(argmaxKey) ?? enter(self, argmaxKey)
  if (member !== undefined) Extremes.add(member.extremes, statistics)
}

const enter = (self: Ranks, argmaxKey: string): Member | undefined => {
  const key = argmaxKey.slice(0, -"/argmax".length)
  const speed = speedOf(key)
  if (self.members.size >= mostMetrics && speed === undefined || self.members.size >= 2 * mostMetrics) return undefined
  const member: Member = { key, speed, extremes: Extremes.make(key) }
  self.members.set(argmaxKey, member)
  return member
}

// -----------------------------------------------------------------------------
// Queries
// -----------------------------------------------------------------------------

/** At each end of a metric so many ranks are looked at. */
const mostRanks = 3

/**
 * The ranks to look at: of every time and rate the slowest, and whoever stands out; those that stand out first, the slow
 * ones before the fast ones.
 *
 * @category queries
 * @since 0.5.0
 */
export const table = (self: Ranks): ReadonlyArray<Found> => {
  const found: Array<Found> = []
  for (const { extremes, key, speed } of self.members.values()) {
    if (extremes.varied === 0) continue
    const metric: Metric = { key, speed, ...Extremes.end(extremes), nonFinite: { records: 0, most: 0 } }
    for (const end of ["least", "greatest"] as const) found.push(...atEnd(metric, end))
  }
  return found.sort((a, b) =>
    Number(b.outstanding) - Number(a.outstanding) || Number(isSpeed(b)) - Number(isSpeed(a)) ||
    Number(b.is === "slowest") - Number(a.is === "slowest") ||
    (b.share - b.chance) - (a.share - a.chance)
  )
}

const isSpeed = ({ is }: Found): boolean => is === "slowest" || is === "fastest"

const atEnd = (metric: Metric, end: "least" | "greatest"): ReadonlyArray<Found> => {
  const slow = metric.speed !== undefined && (metric.speed === "rate" ? "least" : "greatest") === end
  const is = metric.speed === undefined ? end : slow ? "slowest" : "fastest"
  const ends: End = metric[end]
  return ends.ranks.slice(0, mostRanks).map((extreme: Extreme): Found => ({
    key: metric.key,
    rank: extreme.rank,
    is,
    count: extreme.count,
    share: extreme.count / metric.records,
    chance: metric.chance / metric.records,
    deviation: extreme.deviation,
    relative: extreme.relative,
    outstanding: standsOut(metric, extreme)
  })).filter(({ outstanding }, nth) => outstanding || (nth === 0 && slow))
}
