/**
 * What is said in sheets, worked out: rows and parts, merged in the order of ranks, so that it makes no difference to a
 * single bit who came first.
 *
 * @since 0.3.0
 */
import { describeMoments, mergeMoments } from "../../../internal/columns.ts"
import { Rows } from "../../../internal/rows.ts"
import { momentFields } from "../Frame.ts"
import * as RankSet from "../RankSet.ts"
import { by, type Part } from "./Sheets.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** Numbers that can be merged: rows of the ranks that `has` says, and parts, by their first rank. */
export interface Mergeable {
  readonly has: Uint8Array
  readonly width: number
  /** The rank of the first row. */
  readonly base: number
  readonly values: Float64Array
  readonly parts: ReadonlyArray<Part>
}

// -----------------------------------------------------------------------------
// Merging
// -----------------------------------------------------------------------------

/** Merges in the order of ranks. Used again and again: it holds what it needs on the way. */
export class Merger {
  readonly #rows = new Rows()
  readonly #ranks: Int32Array
  #piece = new Float64Array(0)
  #moments = new Float64Array(0)

  constructor(worldSize: number) {
    this.#ranks = new Int32Array(worldSize)
  }

  /** The moments of each column, to `out`. */
  merge(of: Mergeable, out: Float64Array): void {
    const { base, parts, width } = of
    const end = endOf(of)
    if (parts.length === 0) {
      this.#merge(of, base, end, out)
      return
    }
    if (this.#piece.length < width * momentFields) this.#piece = new Float64Array(width * momentFields)
    this.#merge(of, base, base, out)
    let from = base
    for (let i = 0; i <= parts.length; i++) {
      const part = parts[i]
      const to = part === undefined ? end : Math.max(from, Math.min(end, RankSet.first(part.ranks)))
      if (this.#merge(of, from, to, this.#piece)) mergeMoments(out, this.#piece, width)
      from = to
      if (part !== undefined) mergeMoments(out, part.moments, width)
    }
  }

  /**
   * What is told of each column (of those at `places`, where they are given), to `out` from `to` on: see `describeMoments`.
   * `count` ranks are in it.
   */
  describe(
    of: Mergeable,
    count: number,
    out: Float64Array,
    to: number,
    counts: Float64Array,
    places?: Int32Array
  ): boolean {
    const { base, parts, width } = of
    if (parts.length === 0) {
      const n = this.#gather(of, base, endOf(of))
      return this.#rows.describe(n, out, to, counts, this.#named(n), places)
    }
    if (this.#moments.length < width * momentFields) this.#moments = new Float64Array(width * momentFields)
    this.merge(of, this.#moments)
    return describeMoments(this.#moments, width, count, out, to, counts, places)
  }

  /** The moments of the rows of some ranks in a row; false where there are none. */
  #merge(of: Mergeable, from: number, to: number, out: Float64Array): boolean {
    const n = this.#gather(of, from, to)
    this.#rows.moments(n, out, this.#named(n))
    return n > 0
  }

  /** Hands over the rows of some ranks in a row: gives how many there are. */
  #gather({ base, has, values, width }: Mergeable, from: number, to: number): number {
    let n = 0
    for (let rank = from; rank < to; rank++) if (has[rank] === by.row) this.#ranks[n++] = rank
    this.#rows.open(n, width)
    const { first, numbers } = this.#rows
    if (n * width === values.length) numbers.set(values, first)
    else {
      for (let i = 0, at = first; i < n; i++) {
        const row = (this.#ranks[i]! - base) * width
        for (let k = 0; k < width; k++) numbers[at++] = values[row + k]!
      }
    }
    return n
  }

  /** Which ranks the first `n` rows are; undefined where they are the first. */
  #named(n: number): Int32Array | undefined {
    return n === 0 || this.#ranks[n - 1] === n - 1 ? undefined : this.#ranks
  }
}

/** The rank behind the last that has room for a row. */
const endOf = ({ base, has, values, width }: Mergeable): number =>
  width === 0 ? base : Math.min(has.length, base + values.length / width)
