/**
 * The arithmetic under `Moments`, whose header says what it promises: the sum and the sum of squared deviations (M2) of
 * a number of values, held as double-doubles, and how two of them merge. They are fields of a state, which is eleven
 * doubles in an array (see states.ts).
 *
 * Everything stays in one range, so that no product overflows and no rounding error underflows: where the largest
 * magnitude is beyond 2^300 values are multiplied by 2^-700, below 2^-300 by 2^700, which is exact. What is then too
 * small to be held beside a large value is too small to matter for it.
 *
 * @since 0.1.0
 */

/**
 * How many values are worked out at once, before they are merged: enough to make the merge cheap, few enough for L1.
 *
 * @category constants
 * @since 0.3.0
 */
export const blockSize = 128

const large = 2 ** 300
const small = 2 ** -300
const unscale = 2 ** 700

// -----------------------------------------------------------------------------
// Kernels
// -----------------------------------------------------------------------------

/**
 * Merges count, scale, sum and M2 of one lot of values into another's.
 *
 * @category kernels
 * @since 0.1.0
 */
export const mergeSums = (self: Float64Array, at: number, that: Float64Array, from: number): void => {
  const n1 = self[at]!
  const n2 = that[from]!
  if (n2 === 0) return
  if (n1 === 0) {
    self[at] = n2
    for (let i = 6; i <= 10; i++) self[at + i] = that[from + i]!
    return
  }
  let sum1 = self[at + 7]!
  let sum1Low = self[at + 8]!
  let m1 = self[at + 9]!
  let m1Low = self[at + 10]!
  let sum2 = that[from + 7]!
  let sum2Low = that[from + 8]!
  let m2 = that[from + 9]!
  let m2Low = that[from + 10]!
  for (let scale = that[from + 6]!; scale < self[at + 6]!; scale++) {
    sum2 /= unscale
    sum2Low /= unscale
    m2 = m2 / unscale / unscale
    m2Low = m2Low / unscale / unscale
  }
  for (; that[from + 6]! > self[at + 6]!; self[at + 6]!++) {
    sum1 /= unscale
    sum1Low /= unscale
    m1 = m1 / unscale / unscale
    m1Low = m1Low / unscale / unscale
  }
  const n = n1 + n2

  // t = n1 * sum2 - n2 * sum1
  const p = n1 * sum2
  const q = n2 * sum1
  const pLow = timesError(n1, sum2, p) + n1 * sum2Low
  const qLow = timesError(n2, sum1, q) + n2 * sum1Low
  const t = p - q
  const tLow = sumError(p, -q, t) + (pLow - qLow)
  const tHigh = t + tLow
  // between = t^2 / (n1 * n2 * n)
  let high = tHigh * tHigh
  let low = squareError(tHigh, high) + 2 * tHigh * (tLow - (tHigh - t))
  const weight = n1 * n2 * n
  if (weight <= Number.MAX_SAFE_INTEGER) {
    const inverse = 1 / weight
    const quotient = high * inverse
    low = restOf(high, low, weight, quotient) * inverse
    high = quotient
  } else {
    // The product of the counts is no integer a double can hold: one after the other.
    const first = high / n1
    low = restOf(high, low, n1, first) / n1
    const second = first / n2
    low = restOf(first, low, n2, second) / n2
    high = second / n
    low = restOf(second, low, n, high) / n
  }

  self[at] = n
  // The M2s and what lies between them are not negative: nothing cancels, so the short form of addition will do.
  const inner = m1 + m2
  const innerLow = sumError(m1, m2, inner) + (m1Low + m2Low)
  const whole = inner + high
  const wholeLow = sumError(inner, high, whole) + (innerLow + low)
  const m = whole + wholeLow
  self[at + 9] = m
  self[at + 10] = wholeLow - (m - whole)
  // Sums may cancel.
  const sum = sum1 + sum2
  const sumRest = sum1Low + sum2Low
  const carry = sumError(sum1, sum2, sum) + sumRest
  const upper = sum + carry
  const lower = sumError(sum1Low, sum2Low, sumRest) + (carry - (upper - sum))
  const total = upper + lower
  self[at + 7] = total
  self[at + 8] = lower - (total - upper)
}

/**
 * Count, scale, sum and M2 of the first `n` values of a block, which are finite; the least and the greatest as well.
 *
 * @category kernels
 * @since 0.1.0
 */
export const blockInto = (self: Float64Array, at: number, block: Float64Array, n: number): void => {
  let min = block[0]!
  let max = min
  for (let i = 1; i < n; i++) {
    const value = block[i]!
    if (value < min) min = value
    else if (value > max) max = value
  }
  self[at + 2] = min
  self[at + 3] = max
  sumsInto(self, at, block, n)
}

/**
 * The same, where the least and the greatest are already there.
 *
 * @category kernels
 * @since 0.3.0
 */
export const sumsInto = (self: Float64Array, at: number, block: Float64Array, n: number): void => {
  const min = self[at + 2]!
  const max = self[at + 3]!
  const scale = scaleOf(Math.max(-min, max))
  self[at] = n
  self[at + 6] = scale
  if (scale !== 0) scaledInto(self, at, block, n, scale)
  else if (min === max) equalInto(self, at, n)
  else if (n === 2) pairInto(self, at)
  else ordinaryInto(self, at, block, n)
}

const scaledInto = (self: Float64Array, at: number, block: Float64Array, n: number, scale: number): void => {
  const min = self[at + 2]!
  const max = self[at + 3]!
  self[at + 2] = scaled(min, scale)
  self[at + 3] = scaled(max, scale)
  for (let i = 0; i < n; i++) fitting[i] = scaled(block[i]!, scale)
  if (min === max) equalInto(self, at, n)
  else ordinaryInto(self, at, fitting, n)
  self[at + 2] = min
  self[at + 3] = max
}

const fitting = new Float64Array(blockSize)

/**
 * Sum and M2 of values that are in the one range.
 *
 * - Values are taken as their distances from a pivot. Where they lie close together (the spread is at most half of the
 *   largest magnitude) that is the first of them, else 0: either way every distance is exact (Sterbenz), and moving the
 *   squares to the mean cancels a factor of 8n at most.
 * - Each distance is cut in three, `q + r + rest`, at the same binary places for all: `q` and `r` have 23 bits at most,
 *   so that `q^2`, `q * r`, `r^2` and the sums of a block of them are exact. What is rounded is at most 2^-45 of the
 *   spread. (Adding a large number and taking it away again cuts at the place that its last bit has.)
 */
const ordinaryInto = (self: Float64Array, at: number, block: Float64Array, n: number): void => {
  const min = self[at + 2]!
  const max = self[at + 3]!
  const magnitude = Math.max(-min, max)
  const near = max - min <= magnitude / 2
  const pivot = near ? block[0]! : 0
  const reach = near ? max - min : magnitude
  const fine = reach * 2 ** 8
  const coarse = reach * 2 ** 30
  let whole = 0
  let rests = 0
  let squares = 0
  let between = 0
  let squaresLow = 0
  let squaresRest = 0
  for (let i = 0; i < n; i++) {
    const d = block[i]! - pivot
    const h = d + fine - fine
    const q = h + coarse - coarse
    const r = h - q
    const rest = d - h
    whole += h
    rests += rest
    squares += q * q
    between += q * r
    squaresLow += r * r
    squaresRest += rest * (d + h)
  }
  const sum = whole + rests
  const sumLow = sumError(whole, rests, sum)

  const base = n * pivot
  const total = base + sum
  const totalLow = sumError(base, sum, total) + (timesError(n, pivot, base) + sumLow)
  const totalHigh = total + totalLow
  self[at + 7] = totalHigh
  self[at + 8] = totalLow - (totalHigh - total)

  // M2 = squares - sum^2 / n
  between *= 2
  const all = squares + between
  const allLow = sumError(squares, between, all) + (squaresLow + squaresRest)
  const square = sum * sum
  const squareLow = squareError(sum, square) + 2 * sum * sumLow
  const inverse = 1 / n
  const quotient = square * inverse
  const left = all - quotient
  const leftLow = sumError(all, -quotient, left) + (allLow - restOf(square, squareLow, n, quotient) * inverse)
  const m2 = left + leftLow
  self[at + 9] = m2
  self[at + 10] = leftLow - (m2 - left)
}

/** Two values: M2 = (b - a)^2 / 2. */
const pairInto = (self: Float64Array, at: number): void => {
  const a = self[at + 2]!
  const b = self[at + 3]!
  const sum = a + b
  self[at + 7] = sum
  self[at + 8] = sumError(a, b, sum)
  const d = b - a
  const square = d * d
  const high = square / 2
  const low = (squareError(d, square) + 2 * d * sumError(b, -a, d)) / 2
  const m2 = high + low
  self[at + 9] = m2
  self[at + 10] = low - (m2 - high)
}

const equalInto = (self: Float64Array, at: number, n: number): void => {
  const value = self[at + 2]!
  const sum = n * value
  self[at + 7] = sum
  self[at + 8] = timesError(n, value, sum)
  self[at + 9] = 0
  self[at + 10] = 0
}

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/**
 * A double-double divided by a count, rounded. `inverse` is 1 / count: what its rounding does to the quotient is in the
 * rest.
 *
 * @category reading
 * @since 0.3.0
 */
export const quotientOf = (high: number, low: number, count: number, inverse: number): number => {
  const quotient = high * inverse
  return quotient + restOf(high, low, count, quotient) * inverse
}

// -----------------------------------------------------------------------------
// Scaling
// -----------------------------------------------------------------------------

/**
 * -1, 0 or 1 for magnitudes that are small, ordinary or large.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleOf = (magnitude: number): number => magnitude >= large ? 1 : magnitude < small ? -1 : 0

/**
 * A value as it is held under a scale.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaled = (value: number, scale: number): number =>
  scale === 0 ? value : scale > 0 ? value / unscale : value * unscale

/**
 * A value held under a scale, as it is.
 *
 * @category scaling
 * @since 0.1.0
 */
export const unscaled = (value: number, scale: number): number =>
  scale === 0 ? value : scale > 0 ? value * unscale : value / unscale

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** The rounding error of `sum = a + b` (Knuth). */
const sumError = (a: number, b: number, sum: number): number => {
  const b2 = sum - a
  return (a - (sum - b2)) + (b - b2)
}

/** The rounding error of `product = a * b` (Dekker; there is no fused multiply-add here). */
const productError = (a: number, b: number, product: number): number => {
  const aSplit = 134217729 * a
  const aHigh = aSplit - (aSplit - a)
  const aLow = a - aHigh
  const bSplit = 134217729 * b
  const bHigh = bSplit - (bSplit - b)
  const bLow = b - bHigh
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow)
}

/** The rounding error of `square = a * a`. */
const squareError = (a: number, square: number): number => {
  const split = 134217729 * a
  const high = split - (split - a)
  const low = a - high
  return low * low - (square - high * high - 2 * high * low)
}

/** The rounding error of `product = n * a`, where n is an integer: those that are not large need no splitting. */
const timesError = (n: number, a: number, product: number): number => {
  if (n > 2 ** 26) return productError(n, a, product)
  const split = 134217729 * a
  const high = split - (split - a)
  return n * (a - high) - (product - n * high)
}

/** What is left of `high + low` beyond `quotient * divisor`, where the quotient is about right. */
const restOf = (high: number, low: number, divisor: number, quotient: number): number => {
  const product = quotient * divisor
  return high - product - timesError(divisor, quotient, product) + low
}
