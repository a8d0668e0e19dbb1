/**
 * Records that every rank is at: the first in the lane of each is of the same step and has the same keys. Their statistics
 * are made from what lies there; no slot is needed, nor anything remembered: nothing is missing that could come later.
 *
 * @since 0.5.2
 */
import { Rows } from "../../../internal/rows.ts"
import type { Reading, Shape } from "./Columns.ts"
import type { Intake } from "./Intake.ts"

/** What is to be known of a record of the root: its numbers begin at `at`. */
export interface OfRoot {
  readonly step: number
  readonly shape: Shape
  readonly numbers: Float64Array
  readonly at: number
}

export class Together {
  readonly #intake: Intake
  readonly #rows = new Rows()

  constructor(intake: Intake) {
    this.#intake = intake
  }

  /** Whether a rank is at a record. */
  isAt({ shape, step }: OfRoot, rank: number): boolean {
    const lane = this.#intake.lanes.of[rank]
    return lane !== undefined && lane.step === step && lane.reading?.columns === shape.columns
  }

  /** Takes the record of each rank; false where one is not at it. */
  take(record: OfRoot): boolean {
    const { columns } = record.shape
    const { lanes, ranks } = this.#intake
    const worldSize = ranks.length
    const width = columns.keys.length
    this.#rows.open(worldSize, width)
    const { first, numbers } = this.#rows
    copyRow(record.numbers, record.at, undefined, numbers, first, width)
    for (let rank = 1, to = first + width; rank < worldSize; rank++, to += width) {
      if (!this.isAt(record, rank)) return false
      const { at, reading, values } = lanes.of[rank]!
      copyRow(values, at, reading!.from, numbers, to, width)
    }
    for (let rank = 1; rank < worldSize; rank++) lanes.take(lanes.of[rank]!)
    return true
  }

  /** What is told of what was taken, to `out` from `to` on: see `describeMoments`. */
  describe({ inOrder, places }: Shape, out: Float64Array, to: number, counts: Float64Array): boolean {
    return this.#rows.describe(this.#intake.ranks.length, out, to, counts, undefined, inOrder ? undefined : places)
  }
}

const copyRow = (
  values: Float64Array,
  at: number,
  from: Reading["from"],
  to: Float64Array,
  first: number,
  width: number
): void => {
  if (from === undefined) { for (let k = 0; k < width; k++) to[first + k] = values[at + k]! }
  else for (let k = 0; k < width; k++) to[first + k] = values[at + from[k]!]!
}
