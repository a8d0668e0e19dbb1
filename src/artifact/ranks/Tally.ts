/**
 * Counting how often each of many ranks was extreme, in little memory.
 *
 * As long as there are at most {@link mostRanks} of them, counts are exact. When one more comes, it is not taken in; each
 * that is there loses a credit instead, and those without any are forgotten (Misra and Gries 1982). Each such round costs
 * as many credits as there are entries, so there are few, and a rank misses at most one record a round: who comes often
 * enough is never forgotten.
 *
 * @since 0.3.0
 */

/**
 * The ranks that were extreme at one end, the most frequent first. No count is short by more than `short`.
 *
 * @category models
 * @since 0.3.0
 */
export interface End {
  readonly ranks: ReadonlyArray<Extreme>
  readonly short: number
}

/**
 * How often a rank was extreme, and how far from the mean it was then on average: in standard deviations, and relative
 * to the mean's size (infinite or NaN where a mean was 0). Both are positive at either end.
 *
 * @category models
 * @since 0.3.0
 */
export interface Extreme {
  readonly rank: number
  readonly count: number
  readonly deviation: number
  readonly relative: number
}

/**
 * Of each metric and end, so many ranks are counted at a time.
 *
 * @category models
 * @since 0.3.0
 */
export const mostRanks = 256

/**
 * Ranks under way. `rounds` is how often all entries have lost a credit.
 *
 * @category models
 * @since 0.3.0
 */
export interface Tally {
  readonly entries: Map<number, Entry>
  rounds: number
}

/** What has been seen of a rank since it came in last. */
interface Entry {
  credit: number
  count: number
  deviations: number
  relatives: number
}

/**
 * Nobody yet.
 *
 * @category constructors
 * @since 0.3.0
 */
export const make = (): Tally => ({ entries: new Map(), rounds: 0 })

/**
 * Counts a rank, and how far from the mean it was: in standard deviations and relative to the mean.
 *
 * @category folding
 * @since 0.3.0
 */
export const add = (self: Tally, rank: number, deviation: number, relative: number): void => {
  const { entries } = self
  const entry = entries.get(rank)
  if (entry !== undefined) {
    entry.credit++
    entry.count++
    entry.deviations += deviation
    entry.relatives += relative
  } else if (entries.size < mostRanks) {
    entries.set(rank, { credit: 1, count: 1, deviations: deviation, relatives: relative })
  } else {
    self.rounds++
    for (const [other, held] of entries) if (--held.credit === 0) entries.delete(other)
  }
}

/**
 * Who was there.
 *
 * @category folding
 * @since 0.3.0
 */
export const end = ({ entries, rounds }: Tally): End => ({
  ranks: Array.from(entries, ([rank, { count, deviations, relatives }]) => ({
    rank,
    count,
    deviation: deviations / count,
    relative: relatives / count
  })).sort((a, b) => b.count - a.count || a.rank - b.rank),
  short: rounds
})
