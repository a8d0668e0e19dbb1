/**
 * Mergeable statistics: count, mean, sum of squared deviations, least and greatest value and where they were.
 *
 * Plain sums of squares lose everything where the spread is small against the values (unix times a millisecond apart),
 * and plain Welford updates round at every step, so that each order of merging gives other bits. Here the sum and the
 * sum of squared deviations (M2) are held as double-doubles, pairs of doubles that together carry 106 bits:
 *
 * - Merging adds the sums, and adds to the M2s what the distance of the two means contributes,
 *   (n1 * sum2 - n2 * sum1)^2 / (n1 * n2 * (n1 + n2)) (Chan, Golub, LeVeque 1979). Nothing cancels but that difference,
 *   and it is exact as long as values and counts together fit 106 bits.
 * - What is rounded is rounded some 40 bits below what a double shows. So merging is commutative to the bit, associative
 *   to about 2^-90, and different groupings of the same values give the same mean and std, but for one time in a
 *   billion where the exact result lies on the border between two doubles. The same values merged in the same order
 *   (that is: in rank order, whatever order they arrived in) give the same bits always.
 * - The mean of finite values is within one ulp, as long as the values do not cancel to less than 2^-40 of their size,
 *   and so is the std. Where all values are equal it is exactly 0, and the mean exactly their value.
 * - Nothing overflows or underflows on the way: where the largest magnitude is beyond 2^300 or below 2^-300 sums are
 *   held multiplied by 2^-700 or 2^700 (`scale` 1 or -1). Only a variance that no double can hold is infinite or 0.
 *
 * NaN and the infinities are counted, and left out of everything else. Ties of the least and greatest value go to the
 * lowest rank. A state is eleven plain numbers: it can be sent as it is.
 *
 * @since 0.1.0
 */
import { dual } from "effect/Function"
import { mergeState, setState, settle, stateAt, stateSize } from "./internal/states.ts"
import { blockInto, blockSize, mergeSums, quotientOf, scaled, scaleOf, unscaled } from "./internal/sums.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is known of a number of values. Read it with {@link mean}, {@link std}, {@link variance} and {@link m2}; `min`,
 * `max`, `argmin` and `argmax` are NaN, NaN, -1 and -1 while `count` is 0.
 *
 * - `count`: the finite values; `nonFinite`: those that were NaN or infinite.
 * - `argmin`, `argmax`: the rank (or position, see {@link Accumulator}) of the least and the greatest value.
 * - `sumHigh + sumLow`: the sum, times 2^(-700 * scale).
 * - `m2High + m2Low`: the sum of squared deviations from the mean, times 2^(-1400 * scale).
 *
 * @category models
 * @since 0.1.0
 */
export interface Moments {
  readonly count: number
  readonly nonFinite: number
  readonly min: number
  readonly max: number
  readonly argmin: number
  readonly argmax: number
  readonly scale: number
  readonly sumHigh: number
  readonly sumLow: number
  readonly m2High: number
  readonly m2Low: number
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * No values: the identity of {@link merge}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: Moments = {
  count: 0,
  nonFinite: 0,
  min: NaN,
  max: NaN,
  argmin: -1,
  argmax: -1,
  scale: 0,
  sumHigh: 0,
  sumLow: 0,
  m2High: 0,
  m2Low: 0
}

/**
 * One value, of rank 0 unless said.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (value: number, rank = 0): Moments => {
  if (value - value !== 0) return { ...empty, nonFinite: 1 }
  const scale = scaleOf(Math.abs(value))
  return {
    count: 1,
    nonFinite: 0,
    min: value,
    max: value,
    argmin: rank,
    argmax: rank,
    scale,
    sumHigh: scaled(value, scale),
    sumLow: 0,
    m2High: 0,
    m2Low: 0
  }
}

/**
 * All values of a list; their ranks are their positions in it.
 *
 * @example
 * ```ts
 * import { Moments } from "ezpz-stream"
 *
 * const loss = Moments.fromValues([2, 4, NaN, 6])
 * assert.strictEqual(Moments.mean(loss), 4)
 * assert.strictEqual(Moments.std(loss), Math.sqrt(8 / 3))
 * assert.deepStrictEqual([loss.max, loss.argmax, loss.nonFinite], [6, 3, 1])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromValues = (values: ArrayLike<number>): Moments => {
  const accumulator = new Accumulator()
  accumulator.addRange(values)
  return accumulator.result()
}

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/**
 * The moments of the values of both. Commutative and, to rounding far below what shows, associative; where the bits must
 * not depend on who came first, merge in rank order.
 *
 * @example
 * ```ts
 * import { Moments } from "ezpz-stream"
 *
 * const ranks = [1e9, 1e9 + 8, 1e9 + 16].map((value, rank) => Moments.of(value, rank))
 * const all = ranks.reduce(Moments.merge, Moments.empty)
 * assert.strictEqual(Moments.mean(all), 1e9 + 8)
 * assert.strictEqual(Moments.variance(all), 128 / 3)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const merge: {
  (that: Moments): (self: Moments) => Moments
  (self: Moments, that: Moments): Moments
} = dual(2, (self: Moments, that: Moments): Moments => {
  if (that.count === 0 && that.nonFinite === 0) return self
  if (self.count === 0 && self.nonFinite === 0) return that
  setState(one, 0, self)
  setState(other, 0, that)
  mergeState(one, 0, other, 0)
  return stateAt(one, 0)
})

/**
 * Adds one value, of rank 0 unless said. To add many, use an {@link Accumulator}.
 *
 * @category combinators
 * @since 0.1.0
 */
export const add: {
  (value: number, rank?: number): (self: Moments) => Moments
  (self: Moments, value: number, rank?: number): Moments
} = dual(
  (args) => typeof args[0] === "object",
  (self: Moments, value: number, rank?: number): Moments => merge(self, of(value, rank))
)

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/**
 * The mean; NaN of no values.
 *
 * @category reading
 * @since 0.1.0
 */
export const mean = (self: Moments): number => {
  if (self.count === 0) return NaN
  const value = quotientOf(self.sumHigh, self.sumLow, self.count, 1 / self.count)
  // Rounding must not carry the mean beyond the values.
  return Math.min(self.max, Math.max(self.min, unscaled(value, self.scale)))
}

/**
 * The sum of squared deviations from the mean; infinite where it is beyond every double.
 *
 * @category reading
 * @since 0.1.0
 */
export const m2 = (self: Moments): number => unscaled(unscaled(self.m2High + self.m2Low, self.scale), self.scale)

/**
 * The population variance (M2 / count); NaN of no values, 0 of one.
 *
 * @category reading
 * @since 0.1.0
 */
export const variance = (self: Moments): number => unscaled(unscaled(scaledVariance(self), self.scale), self.scale)

/**
 * The population standard deviation; NaN of no values, 0 of one. Finite even where the variance is not.
 *
 * @category reading
 * @since 0.1.0
 */
export const std = (self: Moments): number => unscaled(Math.sqrt(scaledVariance(self)), self.scale)

const scaledVariance = (self: Moments): number =>
  self.count === 0 ? NaN : quotientOf(self.m2High, self.m2Low, self.count, 1 / self.count)

// -----------------------------------------------------------------------------
// Accumulator
// -----------------------------------------------------------------------------

/**
 * Mutable moments for hot loops: a few nanoseconds a value, no allocation. The rank of a value is its position among all
 * that was added, unless said.
 *
 * Values are gathered in blocks of a fixed size, so the result depends on the values and their order alone, not on how
 * they were cut into ranges nor on when `result` was asked for.
 *
 * @example
 * ```ts
 * import { Moments } from "ezpz-stream"
 *
 * const accumulator = new Moments.Accumulator()
 * accumulator.add(3)
 * accumulator.addRange(Float64Array.of(1, 2, 5), 0, 2)
 * const moments = accumulator.result()
 * assert.deepStrictEqual([moments.count, Moments.mean(moments), moments.argmin], [3, 2, 1])
 * ```
 *
 * @category accumulator
 * @since 0.1.0
 */
export class Accumulator {
  readonly #block = new Float64Array(blockSize)
  /** Count, scale and sums of what is not in the block. */
  readonly #sums = new Float64Array(stateSize)
  #pending = 0
  #seen = 0
  #nonFinite = 0
  #min = NaN
  #max = NaN
  #argmin = -1
  #argmax = -1

  /**
   * Adds one value.
   *
   * @category accumulator
   * @since 0.1.0
   */
  add(value: number, rank: number = this.#seen): void {
    this.#seen++
    if (value - value !== 0) {
      this.#nonFinite++
      return
    }
    // Not below the least: also true of the NaN that stands for none.
    if (!(value >= this.#min) || (value === this.#min && rank < this.#argmin)) {
      this.#min = value
      this.#argmin = rank
    }
    if (!(value <= this.#max) || (value === this.#max && rank < this.#argmax)) {
      this.#max = value
      this.#argmax = rank
    }
    this.#block[this.#pending++] = value
    if (this.#pending === blockSize) this.#flush(blockSize)
  }

  /**
   * Adds the values from index `from` up to but not including `to`: all of them unless said.
   *
   * @category accumulator
   * @since 0.1.0
   */
  addRange(values: ArrayLike<number>, from = 0, to: number = values.length): void {
    const block = this.#block
    const first = this.#seen - from
    let pending = this.#pending
    let min = this.#min
    let max = this.#max
    for (let i = from; i < to; i++) {
      const value = values[i]!
      if (value - value !== 0) {
        this.#nonFinite++
        continue
      }
      if (!(value >= min)) {
        min = value
        this.#argmin = first + i
      }
      if (!(value <= max)) {
        max = value
        this.#argmax = first + i
      }
      block[pending++] = value
      if (pending === blockSize) {
        this.#flush(pending)
        pending = 0
      }
    }
    this.#pending = pending
    this.#min = min
    this.#max = max
    if (to > from) this.#seen += to - from
  }

  /**
   * Merges moments that were worked out elsewhere.
   *
   * @category accumulator
   * @since 0.1.0
   */
  merge(that: Moments): void {
    if (this.#pending > 0) this.#flush(this.#pending)
    const sums = this.#sums
    this.#put(sums)
    setState(other, 0, that)
    mergeState(sums, 0, other, 0)
    this.#seen += that.count + that.nonFinite
    this.#nonFinite = sums[1]!
    this.#min = sums[2]!
    this.#max = sums[3]!
    this.#argmin = sums[4]!
    this.#argmax = sums[5]!
  }

  /**
   * The moments of all that was added. The accumulator can be added to further.
   *
   * @category accumulator
   * @since 0.1.0
   */
  result(): Moments {
    one.set(this.#sums)
    if (this.#pending > 0) {
      blockInto(other, 0, this.#block, this.#pending)
      mergeSums(one, 0, other, 0)
    }
    this.#put(one)
    return stateAt(one, 0)
  }

  /**
   * Forgets everything, for the next use.
   *
   * @category accumulator
   * @since 0.1.0
   */
  reset(): void {
    this.#sums.fill(0)
    this.#pending = 0
    this.#seen = 0
    this.#nonFinite = 0
    this.#min = NaN
    this.#max = NaN
    this.#argmin = -1
    this.#argmax = -1
  }

  #flush(n: number): void {
    blockInto(other, 0, this.#block, n)
    mergeSums(this.#sums, 0, other, 0)
    this.#pending = 0
  }

  /** What is kept beside the sums. */
  #put(state: Float64Array): void {
    state[1] = this.#nonFinite
    state[2] = this.#min
    state[3] = this.#max
    state[4] = this.#argmin
    state[5] = this.#argmax
    settle(state, 0)
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** Where states are worked on: nothing here waits while they are in use. */
const one = new Float64Array(stateSize)
const other = new Float64Array(stateSize)
