/**
 * The sum and the sum of squared deviations (M2) of a number of values, held as double-doubles, and how two of them
 * merge: the arithmetic under `Moments`, whose header says what it promises.
 *
 * Everything stays in one range, so that no product overflows and no rounding error underflows: where the largest
 * magnitude is beyond 2^300 values are multiplied by 2^-700, below 2^-300 by 2^700, which is exact. What is then too
 * small to be held beside a large value is too small to matter for it.
 *
 * @since 0.1.0
 */

/**
 * Sums under a scale: `count` values, `sumHigh + sumLow` = their sum times 2^(-700 * scale), `m2High + m2Low` = their M2
 * times 2^(-1400 * scale).
 *
 * @category models
 * @since 0.1.0
 */
export interface Sums {
  count: number
  scale: number
  sumHigh: number
  sumLow: number
  m2High: number
  m2Low: number
}

const large = 2 ** 300
const small = 2 ** -300
const unscale = 2 ** 700

/**
 * Merges count, scale, sum and M2 of one lot of values into another's.
 *
 * @category kernels
 * @since 0.1.0
 */
export const mergeSums = (self: Sums, that: Readonly<Sums>): void => {
  if (that.count === 0) return
  if (self.count === 0) {
    self.count = that.count
    self.scale = that.scale
    self.sumHigh = that.sumHigh
    self.sumLow = that.sumLow
    self.m2High = that.m2High
    self.m2Low = that.m2Low
    return
  }
  let { m2High, m2Low, scale, sumHigh, sumLow } = that
  for (; scale < self.scale; scale++) {
    sumHigh /= unscale
    sumLow /= unscale
    m2High = m2High / unscale / unscale
    m2Low = m2Low / unscale / unscale
  }
  for (; scale > self.scale; self.scale++) {
    self.sumHigh /= unscale
    self.sumLow /= unscale
    self.m2High = self.m2High / unscale / unscale
    self.m2Low = self.m2Low / unscale / unscale
  }
  const n1 = self.count
  const n2 = that.count
  const n = n1 + n2

  // t = n1 * sum2 - n2 * sum1
  const p = n1 * sumHigh
  const q = n2 * self.sumHigh
  const pLow = productError(n1, sumHigh, p) + n1 * sumLow
  const qLow = productError(n2, self.sumHigh, q) + n2 * self.sumLow
  const t = p - q
  const tLow = sumError(p, -q, t) + (pLow - qLow)
  const tHigh = t + tLow
  // between = t^2 / (n1 * n2 * n)
  let high = tHigh * tHigh
  let low = squareError(tHigh, high) + 2 * tHigh * (tLow - (tHigh - t))
  const weight = n1 * n2 * n
  if (weight <= Number.MAX_SAFE_INTEGER) {
    const quotient = high / weight
    low = quotientLow(high, low, weight, quotient)
    high = quotient
  } else {
    // The product of the counts is no integer a double can hold: one after the other.
    const first = high / n1
    low = quotientLow(high, low, n1, first)
    const second = first / n2
    low = quotientLow(first, low, n2, second)
    high = second / n
    low = quotientLow(second, low, n, high)
  }

  self.count = n
  // The M2s and what lies between them are not negative: nothing cancels, so the short form of addition will do.
  const inner = self.m2High + m2High
  const innerLow = sumError(self.m2High, m2High, inner) + (self.m2Low + m2Low)
  const whole = inner + high
  const wholeLow = sumError(inner, high, whole) + (innerLow + low)
  self.m2High = whole + wholeLow
  self.m2Low = wholeLow - (self.m2High - whole)
  // Sums may cancel.
  const sum = self.sumHigh + sumHigh
  const sumRest = self.sumLow + sumLow
  const carry = sumError(self.sumHigh, sumHigh, sum) + sumRest
  const upper = sum + carry
  const lower = sumError(self.sumLow, sumLow, sumRest) + (carry - (upper - sum))
  self.sumHigh = upper + lower
  self.sumLow = lower - (self.sumHigh - upper)
}

/**
 * The sums of a block of finite values. One pass: deviations from the first value, their sum and the sum of their
 * squares, each with its rounding errors beside it. As that value is one of the n, moving the squares to the mean
 * cancels a factor of n at most.
 *
 * @category kernels
 * @since 0.1.0
 */
export const blockInto = (self: Sums, block: Float64Array, n: number, scale = 0): void => {
  const pivot = block[0]!
  let magnitude = Math.abs(pivot)
  let sum = 0
  let sumLow = 0
  let squares = 0
  let squaresLow = 0
  for (let i = 1; i < n; i++) {
    const value = block[i]!
    magnitude = Math.max(magnitude, Math.abs(value))
    const d = value - pivot
    const dLow = sumError(value, -pivot, d)
    const s = sum + d
    sumLow += sumError(sum, d, s) + dLow
    sum = s
    const square = d * d
    const q = squares + square
    squaresLow += sumError(squares, square, q) + (squareError(d, square) + 2 * d * dLow)
    squares = q
  }
  if (scale === 0 && scaleOf(magnitude) !== 0) {
    const fit = scaleOf(magnitude)
    return blockInto(self, block.slice(0, n).map((value) => scaled(value, fit)), n, fit)
  }
  self.count = n
  self.scale = scale

  const base = n * pivot
  const total = base + sum
  const totalLow = sumError(base, sum, total) + (productError(n, pivot, base) + sumLow)
  self.sumHigh = total + totalLow
  self.sumLow = totalLow - (self.sumHigh - total)

  // M2 = squares - sum^2 / n
  const high = sum + sumLow
  const square = high * high
  const squareLow = squareError(high, square) + 2 * high * (sumLow - (high - sum))
  const quotient = square / n
  const rest = squares - quotient
  const restLow = sumError(squares, -quotient, rest) + (squaresLow - quotientLow(square, squareLow, n, quotient))
  self.m2High = Math.max(0, rest + restLow)
  self.m2Low = self.m2High === 0 ? 0 : restLow - (self.m2High - rest)
}

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

/**
 * What is left of `(high + low) / divisor` beyond `quotient = high / divisor`.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const quotientLow = (high: number, low: number, divisor: number, quotient: number): number => {
  const product = quotient * divisor
  return (high - product - productError(quotient, divisor, product) + low) / divisor
}
