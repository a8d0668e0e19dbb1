import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  describeMoments,
  descriptionSize,
  greatestIn,
  leastIn,
  mergeMoments,
  momentsOfColumns
} from "../../src/internal/columns.ts"
import { Rows as Kernel } from "../../src/internal/rows.ts"
import { setState, stateSize } from "../../src/internal/states.ts"
import * as Moments from "../../src/Moments.ts"

// -----------------------------------------------------------------------------
// The reference: an accumulator for each column
// -----------------------------------------------------------------------------

type Rows = ReadonlyArray<ReadonlyArray<number>>

const accumulated = (rows: Rows, k: number, ranks: ArrayLike<number>): Moments.Moments => {
  const accumulator = new Moments.Accumulator()
  for (let i = 0; i < ranks.length; i++) accumulator.add(rows[ranks[i]!]![k]!, ranks[i]!)
  return accumulator.result()
}

const stateOf = (moments: Moments.Moments): ReadonlyArray<number> => {
  const state = new Float64Array(stateSize)
  setState(state, 0, moments)
  return [...state]
}

const described = (moments: Moments.Moments): ReadonlyArray<number> => {
  const { argmax, argmin, count, max, min, nonFinite } = moments
  return [count, nonFinite, Moments.mean(moments), Moments.std(moments), min, max, argmin, argmax]
}

/** The same of what is told of each key, from `at` on. */
const told = (description: Float64Array, at: number, counts: ArrayLike<number>): Float64Array => {
  const all: Array<number> = []
  for (let k = 0; k < counts.length / 2; k++, at += descriptionSize) {
    const [mean, std, min, max, ranks] = description.subarray(at, at + descriptionSize)
    const extremes = counts[2 * k] === 0 ? [-1, -1] : [leastIn(ranks!), greatestIn(ranks!)]
    all.push(counts[2 * k]!, counts[2 * k + 1]!, mean!, std!, min!, max!, ...extremes)
  }
  return Float64Array.from(all)
}

/** The same doubles: -0 is not 0. */
const same = (actual: Float64Array, expected: ReadonlyArray<number>, what: string): void => {
  assert.strictEqual(actual.length, expected.length)
  for (let i = 0; i < actual.length; i++) {
    if (!Object.is(actual[i], expected[i])) assert.fail(`${what}: ${actual[i]} at ${i}, not ${expected[i]}`)
  }
}

/** What columns give, checked against the reference. */
const check = (rows: Rows, ranks: ReadonlyArray<number> = rows.map((_, rank) => rank)): Float64Array => {
  const keys = rows[0]!.length
  const moments = new Float64Array(keys * stateSize).fill(7)
  momentsOfColumns(Float64Array.from(rows.flat()), keys, Int32Array.from([...ranks, 5]), ranks.length, moments)
  const references = Array.from({ length: keys }, (_, k) => accumulated(rows, k, ranks))
  same(moments, references.flatMap(stateOf), "moments")
  checkDescribed(moments, references)
  checkKernel(rows, ranks, references)
  return moments
}

const checkDescribed = (moments: Float64Array, references: ReadonlyArray<Moments.Moments>): void => {
  const keys = references.length
  const description = new Float64Array(keys * descriptionSize).fill(7)
  const counts = new Float64Array(2 * keys)
  const count = Math.max(...references.map(({ count }) => count))
  const isEven = describeMoments(moments, keys, count, description, 0, counts)
  same(told(description, 0, counts), references.flatMap(described), "description")
  assert.strictEqual(isEven, references.every((one) => one.count === count && one.nonFinite === 0))
}

const kernel = new Kernel()

/** The same of the kernel: moments, what is told, and that in another order of the keys. */
const checkKernel = (
  rows: Rows,
  ranks: ReadonlyArray<number>,
  references: ReadonlyArray<Moments.Moments>
): void => {
  const keys = references.length
  const n = ranks.length
  const named = Int32Array.from(ranks)
  kernel.open(n, keys)
  for (const [i, rank] of ranks.entries()) kernel.numbers.set(rows[rank]!, kernel.first + i * keys)
  const moments = new Float64Array(keys * stateSize).fill(7)
  kernel.moments(n, moments, named)
  same(moments, references.flatMap(stateOf), "the kernel's moments")
  const turned = Int32Array.from(references, (_, k) => keys - 1 - k)
  for (const places of [undefined, turned]) {
    const description = new Float64Array(keys * descriptionSize + 5).fill(7)
    const counts = new Float64Array(2 * keys)
    const isEven = kernel.describe(n, description, 3, counts, named, places)
    if (isEven) counts.set(references.flatMap(() => [n, 0]))
    const expected = places === undefined ? references : references.toReversed()
    same(told(description, 3, counts), expected.flatMap(described), "the kernel's description")
    same(description.subarray(0, 3), [7, 7, 7], "before it")
    same(description.subarray(-2), [7, 7], "behind it")
    assert.strictEqual(isEven, references.every((one) => one.count === n && one.nonFinite === 0))
  }
}

/** Numbers of a metric: its kind is the same on every rank, but for a few. */
const kinds = {
  loss: fc.double({ min: 0, max: 3, noNaN: true }),
  signed: fc.double({ min: -1e3, max: 1e3, noNaN: true }),
  float32: fc.float({ noNaN: true, noDefaultInfinity: true }),
  whole: fc.integer({ min: -3, max: 3 }),
  "1e9 + 8r": fc.nat({ max: 40 }).map((r) => 1e9 + 8 * r),
  "unix time, one millisecond of spread": fc.double({ min: 0, max: 1e-3, noNaN: true }).map((x) => 1.7e9 + x),
  "bytes, 8e10 ± 1e3": fc.integer({ min: -1000, max: 1000 }).map((x) => 8e10 + x),
  "2^24 + 1": fc.integer({ min: 0, max: 3 }).map((x) => 2 ** 24 + 1 + x),
  "beyond float32": fc.double({ min: 1, max: 2, noNaN: true }).map((x) => 1e39 * x),
  constant: fc.constant(0.1),
  zero: fc.constantFrom(0, -0),
  "subnormal": fc.integer({ min: -1000, max: 1000 }).map((x) => x * 5e-324),
  "around a scale": fc.integer({ min: 290, max: 310 }).map((power) => 2 ** power),
  "around the other scale": fc.integer({ min: 290, max: 310 }).map((power) => -3 * 2 ** -power),
  "the largest": fc.constantFrom(1.7e308, -1.7e308, 1e300),
  any: fc.double({ noNaN: true, noDefaultInfinity: true })
}

const odd = fc.constantFrom(NaN, Infinity, -Infinity, 0, -0, 5e-324, -1e308, 1e39, 2 ** 53 + 2)

const column = (n: number): fc.Arbitrary<ReadonlyArray<number>> =>
  fc.tuple(fc.constantFrom(...Object.values(kinds)), fc.constantFrom(0, 0, 0, 1, 9)).chain(([kind, odds]) =>
    fc.array(fc.oneof({ weight: 9, arbitrary: kind }, { weight: odds, arbitrary: odd }), {
      minLength: n,
      maxLength: n
    })
  )

const table = (most: number, keys: number): fc.Arbitrary<Rows> =>
  fc.integer({ min: 1, max: most }).chain((n) =>
    fc.array(column(n), { minLength: keys, maxLength: keys }).map((columns) =>
      Array.from({ length: n }, (_, rank) => columns.map((values) => values[rank]!))
    )
  )

// -----------------------------------------------------------------------------

describe("columns: the same bits as an accumulator", () => {
  for (const most of [1, 2, 3, 9, 40]) {
    it(`any columns of up to ${most} rows`, () => {
      fc.assert(fc.property(table(most, 6), (rows) => void check(rows)), { numRuns: 400 })
    })
  }

  it("any columns of up to 300 rows", () => {
    fc.assert(fc.property(table(300, 3), (rows) => void check(rows)), { numRuns: 100 })
  })

  it("blocks that are just full, and one more or less", () => {
    for (const n of [127, 128, 129, 256, 257, 300]) {
      check(Array.from({ length: n }, (_, r) => [Math.sin(r), 1e9 + 8 * r, r % 7 === 0 ? NaN : r, 1e39 * Math.cos(r)]))
    }
  })

  it("hard columns, on 2 to 32 ranks", () => {
    for (const n of [2, 3, 4, 7, 8, 16, 31, 32]) {
      check(Array.from({ length: n }, (_, r) => [
        1e9 + 8 * r,
        1.7e9 + r * 3e-4,
        8e10 + (r % 2 === 0 ? 1 : -1) * 1e3 * (r / 7),
        2 ** 24 + 1 + (r % 3),
        1e39 * (1 + r / 8),
        0.1,
        r === 1 ? NaN : r,
        r === 0 ? Infinity : 3,
        r % 2 === 0 ? -0 : 0,
        5e-324 * (1000 + r * r),
        r === 0 ? 1e16 : r,
        r === n - 1 ? -1e300 : 1e-300
      ]))
    }
  })

  it("some of the ranks: least and greatest are told by their numbers", () => {
    fc.assert(
      fc.property(
        table(30, 3).chain((rows) => fc.tuple(fc.constant(rows), fc.subarray(rows.map((_, rank) => rank)))),
        ([rows, ranks]) => void check(rows, ranks)
      )
    )
    const moments = check([[9], [3], [4], [1], [4]], [1, 2, 4])
    assert.deepStrictEqual([...moments.subarray(4, 6)], [1, 2])
  })

  it("says of no values that there are none", () => {
    const moments = new Float64Array(2 * stateSize)
    momentsOfColumns(Float64Array.of(1, 2), 2, new Int32Array(0), 0, moments)
    same(moments, [Moments.empty, Moments.empty].flatMap(stateOf), "moments")
    checkDescribed(moments, [Moments.empty, Moments.empty])
    check([[NaN], [Infinity]])
  })
})

describe("columns: merging", () => {
  it("merges what was worked out apart, to the bits of Moments.merge", () => {
    fc.assert(
      fc.property(table(60, 4), fc.nat(), (rows, cut) => {
        const ranks = rows.map((_, rank) => rank)
        const at = cut % (rows.length + 1)
        const parts = [ranks.slice(0, at), ranks.slice(at)]
        const [into, from] = parts.map((part) => check(rows, part))
        const references = rows[0]!.map((_, k) => {
          const [left, right] = parts.map((part) => accumulated(rows, k, part))
          return Moments.merge(left!, right!)
        })
        mergeMoments(into!, from!, references.length)
        same(into!, references.flatMap(stateOf), "merged")
        checkDescribed(into!, references)
      }),
      { numRuns: 500 }
    )
  })

  it("an accumulator merges as Moments.merge does", () => {
    fc.assert(
      fc.property(table(40, 1), table(40, 1), (left, right) => {
        const accumulator = new Moments.Accumulator()
        for (const [value] of left) accumulator.add(value!)
        const other = accumulated(right, 0, right.map((_, rank) => rank))
        const expected = Moments.merge(accumulator.result(), other)
        accumulator.merge(other)
        assert.deepStrictEqual(accumulator.result(), expected)
      })
    )
  })
})
