/**
 * Rows of numbers, one of each rank, and what they say column by column: what `momentsOfColumns` and `describeMoments` say,
 * bit for bit, at a third of the time, since a WebAssembly kernel works on two columns at once.
 *
 * - Rows are written to {@link Rows.numbers}, which is the kernel's memory: `keys` numbers each, from {@link Rows.first}
 *   on. They are ranks in their order; which ones is told when they are not the first.
 * - Columns that are more than the kernel can do take the ordinary way; so do all where there are more rows than a block
 *   has, a single key, or no WebAssembly.
 *
 * @since 0.5.2
 */
import { describeMoments, descriptionSize, momentsOfColumns } from "./columns.ts"
import { load } from "./kernel/load.ts"
import { stateSize } from "./states.ts"
import { blockSize } from "./sums.ts"

/**
 * Made once and used again and again.
 *
 * @category models
 * @since 0.5.2
 */
export class Rows {
  /** Where rows are written to: {@link first} is where the first begins. Another after each {@link open}. */
  numbers: Float64Array
  first = 0
  readonly #kernel = load()
  #keys = -1
  /** What the kernel says of this many keys: its memory before the first row. */
  #described: Float64Array
  #states: Float64Array
  #moments = new Float64Array(0)
  #some = new Float64Array(0)
  #identity = new Int32Array(0)

  constructor() {
    this.numbers = this.#kernel?.memory() ?? new Float64Array(0)
    this.#described = this.numbers
    this.#states = this.numbers
  }

  /** Makes room for so many rows of so many numbers; what was there is gone. */
  open(rows: number, keys: number): void {
    if (keys !== this.#keys) this.#layOut(keys)
    const end = this.first + rows * keys
    if (end > this.numbers.length) this.#grow(2 * end)
    if (rows > this.#identity.length) this.#identity = Int32Array.from({ length: 2 * rows }, (_, row) => row)
  }

  /**
   * What is told of each column of the first `n` rows, to `out` from `to` on: see `describeMoments`. `ranks` are those of
   * the rows, ascending, where they are not 0 to n - 1. Where `places` are given, key `k` is column `places[k]`.
   */
  describe(n: number, out: Float64Array, to: number, ranks?: Int32Array, places?: Int32Array): void {
    const keys = this.#keys
    if (this.#kernel === undefined || !isShort(n, keys)) {
      this.#slowly(n)
      describeMoments(this.#moments, keys, out, to, places)
    } else {
      const left = this.#kernel.describe(this.first * 8, n, keys, this.#described.byteOffset)
      if (left > 0) this.#describeLeft(n)
      if (places === undefined) out.set(this.#described, to)
      else for (let k = 0; k < keys; k++) copy(this.#described, places[k]!, out, to, k, descriptionSize)
    }
    if (ranks !== undefined) name(ranks, out, to + 6, to + keys * descriptionSize, descriptionSize)
  }

  /** The moments of each column of the first `n` rows: see `momentsOfColumns`. */
  moments(n: number, out: Float64Array, ranks?: Int32Array): void {
    const keys = this.#keys
    if (this.#kernel === undefined || !isShort(n, keys)) {
      momentsOfColumns(this.#values(), keys, this.#identity, n, out)
    } else {
      const left = this.#kernel.moments(this.first * 8, n, keys, this.#states.byteOffset)
      out.set(this.#states)
      if (left > 0) {
        this.#slowly(n)
        for (let k = 0; k < keys; k++) if (out[k * stateSize]! < 0) copy(this.#moments, k, out, 0, k, stateSize)
      }
    }
    if (ranks !== undefined) name(ranks, out, 4, keys * stateSize, stateSize)
  }

  // Internal -------------------------------------------------------------------

  #describeLeft(n: number): void {
    const { length } = this.#described
    this.#slowly(n)
    if (this.#some.length < length) this.#some = new Float64Array(length)
    describeMoments(this.#moments, this.#keys, this.#some)
    for (let at = 0, k = 0; at < length; at += descriptionSize, k++) {
      if (this.#described[at]! < 0) copy(this.#some, k, this.#described, 0, k, descriptionSize)
    }
  }

  #slowly(n: number): void {
    const { length } = this.#states
    if (this.#moments.length < length) this.#moments = new Float64Array(length)
    momentsOfColumns(this.#values(), this.#keys, this.#identity, n, this.#moments)
  }

  #values(): Float64Array {
    return this.numbers.subarray(this.first)
  }

  /** What the kernel says stands before the rows. */
  #layOut(keys: number): void {
    this.#keys = keys
    const start = this.#kernel?.start ?? 0
    this.first = start + keys * stateSize
    if (this.first > this.numbers.length) this.#grow(2 * this.first)
    this.#view()
  }

  #view(): void {
    const { buffer } = this.numbers
    const start = 8 * (this.#kernel?.start ?? 0)
    this.#described = new Float64Array(buffer, start, this.#keys * descriptionSize)
    this.#states = new Float64Array(buffer, start, this.#keys * stateSize)
  }

  #grow(length: number): void {
    this.numbers = this.#kernel === undefined ? new Float64Array(length) : this.#kernel.grow(length)
    this.#view()
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** What the kernel can do. */
const isShort = (n: number, keys: number): boolean => n > 0 && n <= blockSize && keys > 1

const copy = (from: Float64Array, of: number, out: Float64Array, to: number, k: number, size: number): void => {
  const source = of * size
  const target = to + k * size
  for (let i = 0; i < size; i++) out[target + i] = from[source + i]!
}

/** Rows to ranks: of the least and the greatest, which stand side by side. */
const name = (ranks: Int32Array, out: Float64Array, from: number, end: number, size: number): void => {
  for (let at = from; at < end; at += size) {
    if (out[at]! < 0) continue
    out[at] = ranks[out[at]!]!
    out[at + 1] = ranks[out[at + 1]!]!
  }
}
