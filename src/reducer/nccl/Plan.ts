/**
 * What the root knows of what ranks have, and who is to send how much next. Pure; time is an argument.
 *
 * - A rank has one offer at a time: so many bytes. When a plan has asked for them it may make the next.
 * - A plan is due when every rank has an offer, or when the first one has waited for `waitMillis`: nobody waits for a rank
 *   that has nothing to say.
 * - A plan takes the offers in turn, beginning behind where the last one ended, up to `mostBytes` in all: an offer that does
 *   not fit waits, one that is larger goes alone.
 *
 * @since 0.4.0
 */

/**
 * @category models
 * @since 0.4.0
 */
export interface Plans {
  readonly offer: (rank: number, bytes: number, now: number) => void
  /** Nothing is asked of this rank any more. */
  readonly forget: (rank: number) => void
  /** When a plan is due; undefined: nobody has anything. */
  readonly dueAt: () => number | undefined
  /** How many bytes each rank is to send, by rank; empty where nobody has anything. */
  readonly next: () => ReadonlyArray<number>
}

/**
 * @category models
 * @since 0.4.0
 */
export interface Options {
  readonly worldSize: number
  readonly waitMillis: number
  readonly mostBytes: number
}

/**
 * @category constructors
 * @since 0.4.0
 */
export const make = ({ mostBytes, waitMillis, worldSize }: Options): Plans => {
  const offers = new Map<number, { readonly bytes: number; readonly since: number }>()
  let after = 0
  return {
    offer: (rank, bytes, now) => {
      if (isRank(rank, worldSize) && isSize(bytes)) offers.set(rank, { bytes, since: now })
    },
    forget: (rank) => void offers.delete(rank),
    dueAt: () => {
      if (offers.size === 0) return undefined
      if (offers.size >= worldSize - 1) return -Infinity
      let first = Infinity
      for (const { since } of offers.values()) first = Math.min(first, since)
      return first + waitMillis
    },
    next: () => {
      if (offers.size === 0) return []
      const sizes = Array.from({ length: worldSize }, () => 0)
      const from = after
      let total = 0
      for (let i = 1; i <= worldSize; i++) {
        const rank = (from + i) % worldSize
        const bytes = offers.get(rank)?.bytes
        if (bytes === undefined) continue
        if (total > 0 && total + bytes > mostBytes) break
        sizes[rank] = bytes
        total += bytes
        after = rank
        offers.delete(rank)
      }
      return sizes
    }
  }
}

const isRank = (rank: number, worldSize: number): boolean => Number.isInteger(rank) && rank > 0 && rank < worldSize

const isSize = (bytes: number): boolean =>
  Number.isSafeInteger(bytes) && bytes > 0 && bytes % 8 === 0 && bytes < 2 ** 31
