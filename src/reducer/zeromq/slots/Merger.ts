/**
 * The moments of what is in sheets: rows and parts, merged in the order of ranks, so that it makes no difference to a single
 * bit who came first.
 *
 * @since 0.3.0
 */
import { mergeMoments, momentsOfColumns } from "../../../internal/columns.ts"
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
  readonly #ranks: Int32Array
  #piece = new Float64Array(0)

  constructor(worldSize: number) {
    this.#ranks = new Int32Array(worldSize)
  }

  /** The moments of each column, to `out`. */
  merge(of: Mergeable, out: Float64Array): void {
    const { base, has, parts, values, width } = of
    const end = width === 0 ? base : Math.min(has.length, base + values.length / width)
    if (parts.length === 0) {
      this.#rows(of, base, end, out)
      return
    }
    if (this.#piece.length < width * momentFields) this.#piece = new Float64Array(width * momentFields)
    momentsOfColumns(values, width, this.#ranks, 0, out)
    let from = base
    for (let i = 0; i <= parts.length; i++) {
      const part = parts[i]
      const to = part === undefined ? end : Math.max(from, Math.min(end, RankSet.first(part.ranks)))
      if (this.#rows(of, from, to, this.#piece)) mergeMoments(out, this.#piece, width)
      from = to
      if (part !== undefined) mergeMoments(out, part.moments, width)
    }
  }

  /** The moments of the rows of some ranks in a row; false where there are none. */
  #rows({ base, has, values, width }: Mergeable, from: number, to: number, out: Float64Array): boolean {
    let n = 0
    for (let rank = from; rank < to; rank++) if (has[rank] === by.row) this.#ranks[n++] = rank - base
    momentsOfColumns(values, width, this.#ranks, n, out)
    if (base > 0 && n > 0) {
      for (let at = 0; at < width * momentFields; at += momentFields) {
        for (const field of [at + argmin, at + argmax]) if (out[field]! >= 0) out[field]! += base
      }
    }
    return n > 0
  }
}

/** Where the ranks of the least and the greatest value are among the moments of a key. */
const [argmin, argmax] = [4, 5]
