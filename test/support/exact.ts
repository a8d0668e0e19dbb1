/**
 * An exact reference for means and standard deviations: doubles are integers times 2^-1074, so their sums and squares are
 * integers, too.
 */
const view = new DataView(new ArrayBuffer(8))

/** The value as a multiple of 2^-1074. */
const units = (value: number): bigint => {
  view.setFloat64(0, value)
  const bits = view.getBigUint64(0)
  const exponent = (bits >> 52n) & 0x7ffn
  const fraction = bits & 0xfffffffffffffn
  const magnitude = exponent === 0n ? fraction : (fraction | 0x10000000000000n) << (exponent - 1n)
  return bits >> 63n === 0n ? magnitude : -magnitude
}

/** The double nearest to n * 2^exponent / d, for a result that is not subnormal. */
export const nearest = (n: bigint, d: bigint, exponent: number): number => {
  if (n === 0n) return 0
  const negative = n < 0n
  const magnitude = negative ? -n : n
  const shift = Math.max(0, 70 + d.toString(2).length - magnitude.toString(2).length)
  const dividend = magnitude << BigInt(shift)
  const quotient = dividend / d
  // Only the first 64 bits matter, and whether there is anything behind them.
  const extra = BigInt(Math.max(0, quotient.toString(2).length - 64))
  const kept = quotient >> extra
  const sticky = (kept << extra) * d === dividend ? kept : kept | 1n
  const scaled = Number(sticky)
  const power = exponent - shift + Number(extra)
  const half = Math.trunc(power / 2)
  return (negative ? -1 : 1) * scaled * 2 ** half * 2 ** (power - half)
}

const sqrt = (n: bigint): bigint => {
  if (n < 2n) return n
  let x = 1n << BigInt((n.toString(2).length + 1) >> 1)
  for (;;) {
    const next = (x + n / x) >> 1n
    if (next >= x) return x
    x = next
  }
}

export const exact = (values: ReadonlyArray<number>): { readonly mean: number; readonly std: number } => {
  const numbers = values.map(units)
  const n = BigInt(values.length)
  const sum = numbers.reduce((total, x) => total + x, 0n)
  const squares = numbers.reduce((total, x) => total + x * x, 0n)
  const spread = n * squares - sum * sum
  return { mean: nearest(sum, n, -1074), std: nearest(sqrt(spread << 200n), n, -1174) }
}

const ordinal = (value: number): bigint => {
  view.setFloat64(0, value === 0 ? 0 : value)
  const bits = view.getBigInt64(0)
  return bits < 0n ? -(bits & 0x7fffffffffffffffn) : bits
}

export const ulps = (a: number, b: number): number => Math.abs(Number(ordinal(a) - ordinal(b)))
