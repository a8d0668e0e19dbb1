/**
 * Statistics of many metrics at once, for the places where there are a great many of them: an aggregator and a root
 * work on columns of numbers, not on objects.
 *
 * - Values of ranks are rows: rank `r` has the value `values[r * keys + k]` for key `k`. What is said of a key is a state
 *   (see states.ts), key after key.
 * - The results are those of `Moments.Accumulator`, `Moments.mean` and `Moments.std` for the same values in the same
 *   order, bit for bit.
 * - Nothing is allocated. Columns that fit a block and have finite values alone take a shorter way.
 *
 * @since 0.3.0
 */
import { clear, mergeState, settle, stateSize } from "./states.ts"
import { blockInto, blockSize, mergeSums, quotientOf, sumsInto, unscaled } from "./sums.ts"

/**
 * How many numbers {@link describeMoments} says of a key: mean, std, min, max, and the ranks of the last two as one, see
 * {@link leastIn} and {@link greatestIn}.
 *
 * @category constants
 * @since 0.3.0
 */
export const descriptionSize = 5

/**
 * The moments of each column, over the rows `ranks[0]` to `ranks[n - 1]`, ascending.
 *
 * @category kernels
 * @since 0.3.0
 */
export const momentsOfColumns = (
  values: Float64Array,
  keys: number,
  ranks: Int32Array,
  n: number,
  out: Float64Array
): void => {
  const short = n > 0 && n <= blockSize && keys > 1
  for (let next = 0; next < keys; next += 2) {
    // The last of an odd number comes with the one before it, once more.
    const k = short ? Math.min(next, keys - 2) : next
    if (short && twoColumns(values, keys, k, ranks, n, out)) continue
    anyColumn(values, keys, k, ranks, n, out)
    if (k + 1 < keys) anyColumn(values, keys, k + 1, ranks, n, out)
  }
}

/**
 * Merges the moments of each key.
 *
 * @category kernels
 * @since 0.3.0
 */
export const mergeMoments = (into: Float64Array, from: Float64Array, keys: number): void => {
  for (let at = 0, end = keys * stateSize; at < end; at += stateSize) mergeState(into, at, from, at)
}

/**
 * What is told of each key, written from `to` on, and to `counts` how many values it has, and how many that are not finite.
 * Of no values NaN is told, and the ranks mean nothing. Where `places` are given, key `k` is column `places[k]`. True: each
 * key has `count` values, and all are finite.
 *
 * @category kernels
 * @since 0.3.0
 */
export const describeMoments = (
  moments: Float64Array,
  keys: number,
  count: number,
  out: Float64Array,
  to: number,
  counts: Float64Array,
  places?: Int32Array
): boolean => {
  let isEven = true
  for (let k = 0; k < keys; k++, to += descriptionSize) {
    const at = (places === undefined ? k : places[k]!) * stateSize
    const n = moments[at]!
    const min = moments[at + 2]!
    const max = moments[at + 3]!
    counts[2 * k] = n
    counts[2 * k + 1] = moments[at + 1]!
    if (n !== count || moments[at + 1] !== 0) isEven = false
    out[to + 2] = min
    out[to + 3] = max
    out[to + 4] = moments[at + 4]! * rankShift + moments[at + 5]!
    if (n === 0) {
      out[to] = NaN
      out[to + 1] = NaN
      continue
    }
    const scale = moments[at + 6]!
    const inverse = 1 / n
    const mean = quotientOf(moments[at + 7]!, moments[at + 8]!, n, inverse)
    const variance = quotientOf(moments[at + 9]!, moments[at + 10]!, n, inverse)
    out[to] = Math.min(max, Math.max(min, unscaled(mean, scale)))
    out[to + 1] = unscaled(Math.sqrt(variance), scale)
  }
  return isEven
}

const rankShift = 2 ** 26

/**
 * The rank that has the least value.
 *
 * @category reading
 * @since 0.5.2
 */
export const leastIn = (ranks: number): number => Math.floor(ranks / rankShift)

/**
 * The rank that has the greatest.
 *
 * @category reading
 * @since 0.5.2
 */
export const greatestIn = (ranks: number): number => ranks % rankShift

/**
 * Rows to ranks, in what is told of each key: row `i` is rank `ranks[i]`.
 *
 * @category kernels
 * @since 0.5.2
 */
export const nameRanks = (out: Float64Array, to: number, keys: number, ranks: Int32Array): void => {
  for (let k = 0, at = to + 4; k < keys; k++, at += descriptionSize) {
    if (out[at]! >= 0) out[at] = ranks[leastIn(out[at]!)]! * rankShift + ranks[greatestIn(out[at]!)]!
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const block = new Float64Array(blockSize)
const otherBlock = new Float64Array(blockSize)
const blockState = new Float64Array(stateSize)

/** Two columns that fit blocks, in one go, which saves a tenth; false where a value, or their sum, is not finite. */
const twoColumns = (
  values: Float64Array,
  keys: number,
  k: number,
  ranks: Int32Array,
  n: number,
  out: Float64Array
): boolean => {
  const first = ranks[0]!
  let from = Math.imul(first, keys) + k
  let argmin = first
  let argmax = first
  let min = values[from]!
  let max = min
  let sum = min
  block[0] = min
  let otherArgmin = first
  let otherArgmax = first
  let otherMin = values[from + 1]!
  let otherMax = otherMin
  let otherSum = otherMin
  otherBlock[0] = otherMin
  for (let i = 1; i < n; i++) {
    const rank = ranks[i]!
    from = Math.imul(rank, keys) + k
    const value = values[from]!
    const other = values[from + 1]!
    block[i] = value
    otherBlock[i] = other
    sum += value
    otherSum += other
    if (value < min) {
      min = value
      argmin = rank
    } else if (value > max) {
      max = value
      argmax = rank
    }
    if (other < otherMin) {
      otherMin = other
      otherArgmin = rank
    } else if (other > otherMax) {
      otherMax = other
      otherArgmax = rank
    }
  }
  if (sum - sum !== 0 || otherSum - otherSum !== 0) return false
  const at = k * stateSize
  out[at + 1] = 0
  out[at + 2] = min
  out[at + 3] = max
  out[at + 4] = argmin
  out[at + 5] = argmax
  sumsInto(out, at, block, n)
  const next = at + stateSize
  out[next + 1] = 0
  out[next + 2] = otherMin
  out[next + 3] = otherMax
  out[next + 4] = otherArgmin
  out[next + 5] = otherArgmax
  sumsInto(out, next, otherBlock, n)
  return true
}

/** Any column, the way an accumulator takes it. */
const anyColumn = (
  values: Float64Array,
  keys: number,
  k: number,
  ranks: Int32Array,
  n: number,
  out: Float64Array
): void => {
  const at = k * stateSize
  clear(out, at)
  let min = NaN
  let max = NaN
  let pending = 0
  for (let i = 0; i < n; i++) {
    const rank = ranks[i]!
    const value = values[rank * keys + k]!
    if (value - value !== 0) {
      out[at + 1]!++
      continue
    }
    // Not below the least: also true of the NaN that stands for none.
    if (!(value >= min)) {
      min = value
      out[at + 4] = rank
    }
    if (!(value <= max)) {
      max = value
      out[at + 5] = rank
    }
    block[pending++] = value
    if (pending === blockSize) {
      blockInto(blockState, 0, block, pending)
      mergeSums(out, at, blockState, 0)
      pending = 0
    }
  }
  if (pending > 0) {
    blockInto(blockState, 0, block, pending)
    mergeSums(out, at, blockState, 0)
  }
  out[at + 2] = min
  out[at + 3] = max
  settle(out, at)
}
