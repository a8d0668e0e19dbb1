/**
 * The statistics of a record, as numbers; their names are given to them when somebody asks.
 *
 * Most of what a root does for a record would be making objects of six properties a metric. So a closed record holds
 * numbers by position, and names are made once for each set of keys.
 *
 * @since 0.3.0
 */
import { descriptionSize, greatestIn, leastIn } from "../../../internal/columns.ts"
import { type StatisticKeys, statisticKeys } from "../../../internal/statisticKeys.ts"
import type { Metrics, Value } from "../../../Metrics.ts"
import type { Statistics } from "../../../Row.ts"

/**
 * Made of the numbers that `describeMoments` says of each key: those of `numbers` from `from` on, and `counts` where not each
 * has `count` values. The same keys are the same list.
 */
export class Described implements Statistics {
  readonly count: number
  readonly expected: number
  private readonly keys: ReadonlyArray<string>
  private readonly numbers: Float64Array
  private readonly from: number
  private readonly counts: Float64Array | undefined
  private made: Metrics | undefined = undefined

  constructor(
    keys: ReadonlyArray<string>,
    numbers: Float64Array,
    from: number,
    counts: Float64Array | undefined,
    count: number,
    expected: number
  ) {
    this.keys = keys
    this.numbers = numbers
    this.from = from
    this.counts = counts
    this.count = count
    this.expected = expected
  }

  /** Those of no finite value are only counted. */
  get values(): Metrics {
    return this.made ??= valuesOf(namesOf(this.keys), this.numbers, this.from, this.counts)
  }

  /** Whether it says the same, bit for bit. */
  same(that: Described): boolean {
    if (this.count !== that.count) return false
    for (let i = this.keys.length * descriptionSize - 1; i >= 0; i--) {
      if (!Object.is(this.numbers[this.from + i], that.numbers[that.from + i])) return false
    }
    const { counts } = this
    if (counts === undefined || that.counts === undefined) return counts === that.counts
    return counts.every((n, i) => n === that.counts![i])
  }

  /** As others know it. */
  toJSON(): Statistics {
    return { values: this.values, count: this.count, expected: this.expected }
  }
}

/** Memory for numbers, in large pieces: an array for each record would cost more than its numbers do. */
export class Slab {
  numbers = new Float64Array(0)
  #used = 0

  /** Room for so many numbers in {@link numbers}: where it begins. */
  take(length: number): number {
    if (this.#used + length > this.numbers.length) {
      this.numbers = new Float64Array(Math.max(length, slabSize))
      this.#used = 0
    }
    this.#used += length
    return this.#used - length
  }
}

const slabSize = 16_384

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const known = new WeakMap<ReadonlyArray<string>, ReadonlyArray<StatisticKeys>>()

const namesOf = (keys: ReadonlyArray<string>): ReadonlyArray<StatisticKeys> => {
  let names = known.get(keys)
  if (names === undefined) known.set(keys, names = keys.map(statisticKeys))
  return names
}

const valuesOf = (
  names: ReadonlyArray<StatisticKeys>,
  numbers: Float64Array,
  from: number,
  counts: Float64Array | undefined
): Metrics => {
  const values: Record<string, Value> = {}
  for (let k = 0, at = from; k < names.length; k++, at += descriptionSize) {
    const name = names[k]!
    if (counts !== undefined) {
      if (counts[2 * k + 1]! > 0) values[name.nonFinite] = counts[2 * k + 1]!
      if (counts[2 * k] === 0) continue
    }
    const ranks = numbers[at + 4]!
    values[name.mean] = numbers[at]!
    values[name.min] = numbers[at + 2]!
    values[name.max] = numbers[at + 3]!
    values[name.std] = numbers[at + 1]!
    values[name.argmin] = leastIn(ranks)
    values[name.argmax] = greatestIn(ranks)
  }
  return values
}
