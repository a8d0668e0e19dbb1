/**
 * Rows of numbers, one of each rank, and what they say column by column: what `momentsOfColumns` and `describeMoments` say,
 * bit for bit, in less than half the time, since a WebAssembly kernel works on two columns at once.
 *
 * - Rows are written to {@link Rows.numbers}, the kernel's memory mostly: `keys` numbers each, from {@link Rows.first} on. They are ranks in their order; which ones is told when they are not the first.
 * - Where a column is more than the kernel can do, all take the slow way; so do more rows than a block has, a single key,
 *   and all where there is no WebAssembly. Such rows are in other memory.
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
  /** Where rows are written to: {@link first} is where the first begins. Others after each {@link open}. */
  numbers = none
  first = 0
  readonly #kernel = load()
  #keys = 0
  /** Whether the rows are the kernel's; it says of them what it says before the first row. */
  #isShort = false
  #memory = none
  #described = none
  #states = none
  /** Of others. */
  #plain = none
  #moments = none
  #identity = new Int32Array(0)

  /** Makes room for so many rows of so many numbers; what was there is gone. */
  open(rows: number, keys: number): void {
    this.#keys = keys
    this.#isShort = this.#kernel !== undefined && rows > 0 && rows <= blockSize && keys > 1
    if (this.#isShort) this.#openKernel(rows, keys)
    else {
      if (rows * keys > this.#plain.length) this.#plain = new Float64Array(rows * keys)
      this.numbers = this.#plain
      this.first = 0
    }
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
    let isEven = this.#isShort && this.#kernel!.describe(this.first * 8, n, keys, this.#described.byteOffset) !== 0
    if (!isEven) {
      if (this.#moments.length < keys * stateSize) this.#moments = new Float64Array(keys * stateSize)
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
    if (this.#isShort && this.#kernel!.moments(this.first * 8, n, keys, this.#states.byteOffset) !== 0) {
      out.set(this.#states)
    } else momentsOfColumns(this.#values(), keys, this.#identity, n, out)
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

  #openKernel(rows: number, keys: number): void {
    const { grow, start } = this.#kernel!
    this.first = start + keys * stateSize
    const end = this.first + rows * keys
    const isMore = end > this.#memory.length
    if (isMore) this.#memory = grow(end)
    if (isMore || this.#described.length !== keys * descriptionSize) {
      const { buffer } = this.#memory
      this.#described = new Float64Array(buffer, 8 * start, keys * descriptionSize)
      this.#states = new Float64Array(buffer, 8 * start, keys * stateSize)
    }
    this.numbers = this.#memory
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const none: Float64Array = new Float64Array(0)
