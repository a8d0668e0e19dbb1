/**
 * The arithmetic of sums.ts for two columns side by side in a vector, operation by operation: so it is the same bit for
 * bit, in less than half the time. AssemblyScript; `npm run kernel` compiles it to binary.ts.
 *
 * Rows lie one after the other, `keys` doubles each, two at least; ranks are counted by row. What is more than ordinary is
 * left to the caller: values that are not finite, or that differ and are very large or very small.
 */

const rowBytes: usize = 8
const descriptionBytes: usize = 5 * 8
const stateBytes: usize = 11 * 8

/** What describeMoments says of each column, where all are ordinary; false: some are not. */
export function describe(rows: usize, n: i32, keys: i32, out: usize): bool {
  return n == 2 ? pairs(rows, keys, out) : columns(rows, n, keys, out, false)
}

/** The state of each column, where all are ordinary; false: some are not. */
export function moments(rows: usize, n: i32, keys: i32, out: usize): bool {
  return columns(rows, n, keys, out, true)
}

/** Of two rows: a division by two is exact, and so is much of what follows. */
function pairs(rows: usize, keys: i32, out: usize): bool {
  const zero = f64x2.splat(0)
  const stride = <usize> keys * rowBytes
  let ordinary = f64x2.eq(zero, zero)
  for (let next = 0; next < keys; next += 2) {
    const k = next + 1 < keys ? next : next - 1
    const from = rows + <usize> k * rowBytes
    const a = v128.load(from)
    const b = v128.load(from + stride)
    const min = f64x2.pmin(a, b)
    const max = f64x2.pmax(a, b)
    const sum = add(a, b)
    const equal = f64x2.eq(min, max)
    ordinary = v128.and(ordinary, isOrdinary(min, max, sum, equal))

    // What was rounded off the sum is too small to change a half of it.
    const mean = mul(sum, half())
    const d = sub(max, min)
    const dLow = sumError(max, f64x2.neg(min), d)
    let std = mul(d, half())
    // The root of a rounded square is what was squared: all this is only needed where the distance itself was rounded.
    if (v128.any_true(f64x2.ne(dLow, zero))) {
      const square = mul(d, d)
      const high = mul(square, half())
      const low = mul(add(squareError(d, square), mul(mul(two(), d), dLow)), half())
      const m2 = add(high, low)
      std = f64x2.sqrt(add(mul(m2, half()), mul(sub(low, sub(m2, high)), half())))
    }
    const ranks = add(v128.and(shift(), f64x2.lt(b, a)), v128.and(one(), f64x2.gt(b, a)))
    tell(out + <usize> k * descriptionBytes, v128.bitselect(min, mean, equal), std, min, max, ranks)
  }
  return i64x2.all_true(ordinary)
}

function columns(rows: usize, n: i32, keys: i32, out: usize, states: bool): bool {
  const zero = f64x2.splat(0)
  const stride = <usize> keys * rowBytes
  const count = f64x2.splat(<f64> n)
  const inverse = f64x2.div(one(), count)
  let ordinary = f64x2.eq(zero, zero)
  for (let next = 0; next < keys; next += 2) {
    // The last of an odd number comes with the one before it, once more.
    const k = next + 1 < keys ? next : next - 1
    const from = rows + <usize> k * rowBytes

    let min = v128.load(from)
    let max = min
    let argmin = zero
    let argmax = zero
    let total = min
    let index = zero
    let at = from
    for (let i = 1; i < n; i++) {
      at += stride
      index = add(index, one())
      const value = v128.load(at)
      argmin = v128.bitselect(index, argmin, f64x2.lt(value, min))
      argmax = v128.bitselect(index, argmax, f64x2.gt(value, max))
      min = f64x2.pmin(min, value)
      max = f64x2.pmax(max, value)
      total = add(total, value)
    }
    const magnitude = f64x2.max(f64x2.neg(min), max)
    const equal = f64x2.eq(min, max)
    const apart = states ? zero : equal
    ordinary = v128.and(ordinary, isOrdinary(min, max, total, apart))

    let sum: v128
    let sumLow: v128
    let m2: v128
    let m2Low: v128
    if (n == 2) {
      // M2 = (max - min)^2 / 2
      sum = add(min, max)
      sumLow = sumError(min, max, sum)
      const d = sub(max, min)
      const square = mul(d, d)
      const high = mul(square, half())
      const rest = mul(mul(two(), d), sumError(max, f64x2.neg(min), d))
      const low = mul(add(squareError(d, square), rest), half())
      m2 = add(high, low)
      m2Low = sub(low, sub(m2, high))
    } else {
      const spread = sub(max, min)
      const near = f64x2.le(spread, mul(magnitude, half()))
      const pivot = v128.and(v128.load(from), near)
      const reach = v128.bitselect(spread, magnitude, near)
      const fine = mul(reach, f64x2.splat(256))
      const coarse = mul(reach, f64x2.splat(1073741824))
      let whole = zero
      let rests = zero
      let squares = zero
      let between = zero
      let squaresLow = zero
      let squaresRest = zero
      at = from
      for (let i = 0; i < n; i++) {
        const d = sub(v128.load(at), pivot)
        const h = sub(add(d, fine), fine)
        const q = sub(add(h, coarse), coarse)
        const r = sub(h, q)
        const rest = sub(d, h)
        whole = add(whole, h)
        rests = add(rests, rest)
        squares = add(squares, mul(q, q))
        between = add(between, mul(q, r))
        squaresLow = add(squaresLow, mul(r, r))
        squaresRest = add(squaresRest, mul(rest, add(d, h)))
        at += stride
      }
      const distance = add(whole, rests)
      const distanceLow = sumError(whole, rests, distance)
      const base = mul(count, pivot)
      const upper = add(base, distance)
      const lower = add(sumError(base, distance, upper), add(timesError(count, pivot, base), distanceLow))
      sum = add(upper, lower)
      sumLow = sub(lower, sub(sum, upper))

      // M2 = squares - distance^2 / n
      between = mul(between, two())
      const all = add(squares, between)
      const allLow = add(sumError(squares, between, all), add(squaresLow, squaresRest))
      const square = mul(distance, distance)
      const squareLow = add(squareError(distance, square), mul(mul(two(), distance), distanceLow))
      const quotient = mul(square, inverse)
      const left = sub(all, quotient)
      const restLow = mul(restOf(square, squareLow, count, quotient), inverse)
      const leftLow = add(sumError(all, f64x2.neg(quotient), left), sub(allLow, restLow))
      m2 = add(left, leftLow)
      m2Low = sub(leftLow, sub(m2, left))
    }

    if (states) {
      const whole = mul(count, min)
      const to = out + <usize> k * stateBytes
      put(to, 0, count)
      put(to, 8, zero)
      put(to, 16, min)
      put(to, 24, max)
      put(to, 32, argmin)
      put(to, 40, argmax)
      put(to, 48, zero)
      put(to, 56, v128.bitselect(whole, sum, equal))
      put(to, 64, v128.bitselect(timesError(count, min, whole), sumLow, equal))
      put(to, 72, v128.andnot(m2, equal))
      put(to, 80, v128.andnot(m2Low, equal))
    } else {
      const mean = f64x2.min(max, f64x2.max(min, quotientOf(sum, sumLow, count, inverse)))
      const std = f64x2.sqrt(quotientOf(m2, m2Low, count, inverse))
      const ranks = add(mul(argmin, shift()), argmax)
      const to = out + <usize> k * descriptionBytes
      tell(to, v128.bitselect(min, mean, equal), v128.andnot(std, equal), min, max, ranks)
    }
  }
  return i64x2.all_true(ordinary)
}

/** Whether values are finite, and, unless they are `apart` from that, neither very large nor very small. */
function isOrdinary(min: v128, max: v128, total: v128, apart: v128): v128 {
  const magnitude = f64x2.max(f64x2.neg(min), max)
  const ordinary = v128.and(f64x2.lt(magnitude, large()), f64x2.ge(magnitude, small()))
  const finite = f64x2.eq(sub(total, total), f64x2.splat(0))
  return v128.and(finite, v128.or(ordinary, apart))
}

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/** A number of the state of two columns. */
function put(to: usize, offset: usize, value: v128): void {
  v128.store_lane<f64>(to + offset, value, 0)
  v128.store_lane<f64>(to + stateBytes + offset, value, 1)
}

/** The description of two columns. */
function tell(to: usize, mean: v128, std: v128, min: v128, max: v128, ranks: v128): void {
  v128.store(to, v128.shuffle<f64>(mean, std, 0, 2))
  v128.store(to + 16, v128.shuffle<f64>(min, max, 0, 2))
  v128.store_lane<f64>(to + 32, ranks, 0)
  v128.store(to + descriptionBytes, v128.shuffle<f64>(mean, std, 1, 3))
  v128.store(to + descriptionBytes + 16, v128.shuffle<f64>(min, max, 1, 3))
  v128.store_lane<f64>(to + descriptionBytes + 32, ranks, 1)
}

// -----------------------------------------------------------------------------
// Arithmetic
// -----------------------------------------------------------------------------

/** Loaded: written out where they are used they make two rows take a tenth longer. */
const constants = memory.data<f64>([0.5, 1, 2, 2.037035976334486e90, 4.909093465297727e-91, 134217729, 67108864])

function half(): v128 {
  return v128.load64_splat(constants, 0)
}

function one(): v128 {
  return v128.load64_splat(constants, 8)
}

function two(): v128 {
  return v128.load64_splat(constants, 16)
}

/** 2^300. */
function large(): v128 {
  return v128.load64_splat(constants, 24)
}

/** 2^-300. */
function small(): v128 {
  return v128.load64_splat(constants, 32)
}

/** 2^27 + 1, which cuts a double in two. */
function cut(): v128 {
  return v128.load64_splat(constants, 40)
}

/** 2^26: two ranks are one number. */
function shift(): v128 {
  return v128.load64_splat(constants, 48)
}

function add(a: v128, b: v128): v128 {
  return f64x2.add(a, b)
}

function sub(a: v128, b: v128): v128 {
  return f64x2.sub(a, b)
}

function mul(a: v128, b: v128): v128 {
  return f64x2.mul(a, b)
}

function sumError(a: v128, b: v128, sum: v128): v128 {
  const b2 = sub(sum, a)
  return add(sub(a, sub(sum, b2)), sub(b, b2))
}

function squareError(a: v128, square: v128): v128 {
  const split = mul(cut(), a)
  const high = sub(split, sub(split, a))
  const low = sub(a, high)
  return sub(mul(low, low), sub(sub(square, mul(high, high)), mul(mul(two(), high), low)))
}

function timesError(n: v128, a: v128, product: v128): v128 {
  const split = mul(cut(), a)
  const high = sub(split, sub(split, a))
  return sub(mul(n, sub(a, high)), sub(product, mul(n, high)))
}

function restOf(high: v128, low: v128, divisor: v128, quotient: v128): v128 {
  const product = mul(quotient, divisor)
  return add(sub(sub(high, product), timesError(divisor, quotient, product)), low)
}

function quotientOf(high: v128, low: v128, count: v128, inverse: v128): v128 {
  const quotient = mul(high, inverse)
  return add(quotient, mul(restOf(high, low, count, quotient), inverse))
}
