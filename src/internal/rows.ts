/**
 * Rows of numbers, one of each rank, and what they say column by column: what `momentsOfColumns` and `describeMoments` say,
 * bit for bit, at a third of the time, since a WebAssembly kernel works on two columns at once.
 *
 * - Rows are written to {@link Rows.numbers}, which is the kernel's memory: `keys` numbers each, from {@link Rows.first}
 *   on. They are ranks in their order; which ones is told when they are not the first.
 * - Where a column is more than the kernel can do, all take the slow way; so do those of more rows than a block has, of a
 *   single key, and where there is no WebAssembly.
 *
 * @since 0.5.2
 */
import { describeMoments, descriptionSize, momentsOfColumns, nameRanks } from "./columns.ts"
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
   * What is told of each column of the first `n` rows, to `out` from `to` on. False: `counts` say how many values each has,
   * and how many that are not finite. See `describeMoments`. `ranks` are those of the rows, ascending, where they are not
   * 0 to n - 1.
   */
  describe(
    n: number,
    out: Float64Array,
    to: number,
    counts: Float64Array,
    ranks?: Int32Array,
    places?: Int32Array
  ): boolean {
    const keys = this.#keys
    let isEven = this.#kernel !== undefined && isShort(n, keys) &&
      this.#kernel.describe(this.first * 8, n, keys, this.#described.byteOffset) !== 0
    if (!isEven) {
      const { length } = this.#states
      if (this.#moments.length < length) this.#moments = new Float64Array(length)
      momentsOfColumns(this.#values(), keys, this.#identity, n, this.#moments)
      isEven = describeMoments(this.#moments, keys, n, out, to, counts, places)
    } else if (places === undefined) out.set(this.#described, to)
    else {
      for (let k = 0, at = to; k < keys; k++) {
        const from = places[k]! * descriptionSize
        for (let i = 0; i < descriptionSize; i++) out[at++] = this.#described[from + i]!
      }
    }
    if (ranks !== undefined) nameRanks(out, to, keys, ranks)
    return isEven
  }

  /** The moments of each column of the first `n` rows: see `momentsOfColumns`. */
  moments(n: number, out: Float64Array, ranks?: Int32Array): void {
    const keys = this.#keys
    const isDone = this.#kernel !== undefined && isShort(n, keys) &&
      this.#kernel.moments(this.first * 8, n, keys, this.#states.byteOffset) !== 0
    if (isDone) out.set(this.#states)
    else momentsOfColumns(this.#values(), keys, this.#identity, n, out)
    if (ranks === undefined) return
    for (let at = 4, end = keys * stateSize; at < end; at += stateSize) {
      if (out[at]! < 0) continue
      out[at] = ranks[out[at]!]!
      out[at + 1] = ranks[out[at + 1]!]!
    }
  }

  // Internal -------------------------------------------------------------------

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
