/**
 * Who had the least and the greatest value of one metric, from the statistics of its records.
 *
 * @since 0.5.1
 */
import { type StatisticKeys, statisticKeys } from "../../internal/statisticKeys.ts"
import type { Statistics } from "../../Row.ts"
import * as Tally from "./Tally.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * `records` had statistics of the metric from several ranks; in `varied` of them the ranks differed. `chance`: how often a
 * rank would be extreme in those if all were alike. `integer`: no extreme was a fraction.
 *
 * @category models
 * @since 0.5.1
 */
export interface Extremes {
  readonly keys: StatisticKeys
  readonly least: Tally.Tally
  readonly greatest: Tally.Tally
  records: number
  varied: number
  chance: number
  integer: boolean
}

/**
 * The same at the end.
 *
 * @category models
 * @since 0.5.1
 */
export interface Counted {
  readonly records: number
  readonly varied: number
  readonly chance: number
  readonly integer: boolean
  readonly least: Tally.End
  readonly greatest: Tally.End
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Nothing yet, of a metric.
 *
 * @category constructors
 * @since 0.5.1
 */
export const make = (metric: string): Extremes => ({
  keys: statisticKeys(metric),
  least: Tally.make(),
  greatest: Tally.make(),
  records: 0,
  varied: 0,
  chance: 0,
  integer: true
})

// -----------------------------------------------------------------------------
// Folding
// -----------------------------------------------------------------------------

/**
 * Counts a record, if several ranks had a finite value.
 *
 * @category folding
 * @since 0.5.1
 */
export const add = (self: Extremes, { count, values }: Pick<Statistics, "count" | "values">): void => {
  const { keys } = self
  const argmin = values[keys.argmin]
  const argmax = values[keys.argmax]
  const mean = values[keys.mean]
  const min = values[keys.min]
  const max = values[keys.max]
  const std = values[keys.std]
  if (
    typeof argmin !== "number" || typeof argmax !== "number" || typeof mean !== "number" || typeof min !== "number" ||
    typeof max !== "number" || typeof std !== "number"
  ) return
  const nonFinite = values[keys.nonFinite]
  const ranks = count - (typeof nonFinite === "number" ? nonFinite : 0)
  if (ranks < 2) return
  self.records++
  self.integer &&= Number.isInteger(min) && Number.isInteger(max)
  if (!(std > 0 && max > min)) return
  self.varied++
  self.chance += 1 / ranks
  // In halves: the difference of two doubles may be none.
  const size = Math.abs(mean) / 2
  const below = mean / 2 - min / 2
  const above = max / 2 - mean / 2
  Tally.add(self.least, argmin, below / std * 2, below / size)
  Tally.add(self.greatest, argmax, above / std * 2, above / size)
}

// -----------------------------------------------------------------------------
// Queries
// -----------------------------------------------------------------------------

/**
 * What was counted.
 *
 * @category queries
 * @since 0.5.1
 */
export const end = ({ chance, greatest, integer, least, records, varied }: Extremes): Counted => ({
  records,
  varied,
  chance,
  integer,
  least: Tally.end(least),
  greatest: Tally.end(greatest)
})
