/**
 * Sets of ranks, as aggregates carry them: who is in an entry.
 *
 * - A set is pairs of numbers, the first and the last rank of each of its runs: `[0, 63, 65, 65]` is 0 to 63, and 65. So
 *   the ranks of a node, or of many nodes side by side, are 8 bytes.
 * - There is one way to write each set: runs ascend, and neither overlap nor touch. What is made here is written so, and
 *   what comes from elsewhere is looked at with {@link isCanonical}.
 * - A set has at least one rank, where it is sent. The empty one is no pairs.
 * - Sets are not written to once they are made: they are shared.
 *
 * @since 0.3.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Pairs of first and last rank, both of them included.
 *
 * @category models
 * @since 0.3.0
 */
export type RankSet = Uint32Array

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Of ranks in ascending order, the first `n` of them: all unless said. Others are the caller's mistake, a RangeError.
 *
 * @category constructors
 * @since 0.3.0
 */
export const of = (ranks: ArrayLike<number>, n: number = ranks.length): RankSet => {
  let runs = n > 0 ? 1 : 0
  for (let i = 1; i < n; i++) {
    const step = ranks[i]! - ranks[i - 1]!
    if (!(step >= 0)) throw new RangeError(`ranks: ${ranks[i]} comes after ${ranks[i - 1]}`)
    if (step > 1) runs++
  }
  const set = new Uint32Array(2 * runs)
  let to = -1
  for (let i = 0; i < n; i++) {
    const rank = ranks[i]!
    if (to < 0 || rank - set[to]! > 1) {
      set[to + 1] = rank
      to += 2
    }
    set[to] = rank
  }
  return set
}

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/**
 * The ranks of either.
 *
 * @category combinators
 * @since 0.3.0
 */
export const union = (one: RankSet, other: RankSet): RankSet => {
  if (one.length === 0) return other
  if (other.length === 0) return one
  const all = new Uint32Array(one.length + other.length)
  let i = 0
  let j = 0
  let to = -1
  while (i < one.length || j < other.length) {
    const isFirst = j >= other.length || (i < one.length && one[i]! <= other[j]!)
    const first = isFirst ? one[i]! : other[j]!
    const last = isFirst ? one[i + 1]! : other[j + 1]!
    if (isFirst) i += 2
    else j += 2
    if (to < 0 || first > all[to]! + 1) {
      all[to + 1] = first
      to += 2
      all[to] = last
    } else if (last > all[to]!) all[to] = last
  }
  return to + 1 === all.length ? all : all.slice(0, to + 1)
}

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/**
 * How many ranks are in it.
 *
 * @category reading
 * @since 0.3.0
 */
export const size = (set: RankSet): number => {
  let ranks = 0
  for (let i = 0; i < set.length; i += 2) ranks += set[i + 1]! - set[i]! + 1
  return ranks
}

/**
 * The lowest rank; -1 of none.
 *
 * @category reading
 * @since 0.3.0
 */
export const first = (set: RankSet): number => set.length > 0 ? set[0]! : -1

/**
 * Calls `f` with each rank, in ascending order.
 *
 * @category reading
 * @since 0.3.0
 */
export const each = (set: RankSet, f: (rank: number) => void): void => {
  for (let i = 0; i < set.length; i += 2) {
    for (let rank = set[i]!, last = set[i + 1]!; rank <= last; rank++) f(rank)
  }
}

/**
 * Whether both have the same ranks.
 *
 * @category reading
 * @since 0.3.0
 */
export const equals = (one: RankSet, other: RankSet): boolean => {
  if (one === other) return true
  if (one.length !== other.length) return false
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false
  return true
}

/**
 * Whether numbers that came from elsewhere are a set of at least one rank, all of them below the world size, written in
 * the one way there is.
 *
 * @category guards
 * @since 0.3.0
 */
export const isCanonical = (set: RankSet, worldSize: number): boolean => {
  if (set.length === 0 || set.length % 2 !== 0 || set[set.length - 1]! >= worldSize) return false
  for (let i = 0, free = 0; i < set.length; i += 2) {
    if (set[i]! < free || set[i + 1]! < set[i]!) return false
    free = set[i + 1]! + 2
  }
  return true
}
