import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Moments from "../src/Moments.ts"
import { exact, nearest, ulps } from "./support/exact.ts"

/** Both ways of adding things up agree with the exact reference. */
const check = (values: ReadonlyArray<number>): void => {
  const reference = exact(values)
  const one = Moments.fromValues(values)
  const many = values.reduce<Moments.Moments>(
    (all, value, rank) => Moments.merge(all, Moments.of(value, rank)),
    Moments.empty
  )
  for (const moments of [one, many]) {
    assert.isAtMost(
      ulps(Moments.mean(moments), reference.mean),
      1,
      `mean ${Moments.mean(moments)} of ${values.slice(0, 9)}`
    )
    const std = Moments.std(moments)
    assert.isAtMost(ulps(std, reference.std), 1, `std ${std}, not ${reference.std}, of ${values.slice(0, 9)}`)
  }
}

/** A small generator of its own, so that the cases are the same ones every time. */
const random = (seed: number): () => number => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Value after value, their ranks counting from `first`. */
const of = (values: ReadonlyArray<number>, first: number): Moments.Moments =>
  values.reduce<Moments.Moments>((all, x, i) => Moments.add(all, x, first + i), Moments.empty)

const split = (values: ReadonlyArray<number>, at: number): readonly [Moments.Moments, Moments.Moments] => [
  of(values.slice(0, at), 0),
  of(values.slice(at), at)
]

/** Numbers as they come in runs, and as they do not. */
const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ min: -1e3, max: 1e3, noNaN: true }),
  fc.integer({ min: -5, max: 5 }),
  fc.double({ min: 1.7e9, max: 1.7e9 + 1, noNaN: true }),
  fc.constantFrom(0, -0, 5e-324, 2 ** -1022, 1e308, -1e308, 2 ** 53 + 2, 1e39)
)
const anyValue = fc.oneof({ weight: 9, arbitrary: value }, {
  weight: 1,
  arbitrary: fc.constantFrom(NaN, Infinity, -Infinity)
})

// -----------------------------------------------------------------------------

describe("Moments: hard cases against exact arithmetic", () => {
  const ranks = (n: number, f: (rank: number) => number): ReadonlyArray<number> =>
    Array.from({ length: n }, (_, r) => f(r))
  const noise = random(7)
  const cases: { readonly [name: string]: ReadonlyArray<number> } = {
    "1e9 + 8r, eight ranks": ranks(8, (r) => 1e9 + 8 * r),
    "unix time, one millisecond of spread": ranks(8, (r) => 1.7e9 + r * 3e-4),
    "unix time, a million ranks' worth of jitter": ranks(5000, () => 1.7e9 + noise() * 1e-3),
    "bytes, 8e10 ± 1e3": ranks(8, (r) => 8e10 + (r % 2 === 0 ? 1 : -1) * 1e3 * (r / 7)),
    "2^24 + 1": ranks(8, (r) => 2 ** 24 + 1 + (r % 3)),
    "beyond float32": ranks(8, (r) => 1e39 * (1 + r / 8)),
    "neighbouring doubles": [1, 1 + 2 ** -52, 1, 1, 1 - 2 ** -53],
    "the largest doubles": ranks(6, (r) => 1.7e308 - r * 1e300),
    "the largest doubles of both signs": [1.7e308, -1.7e308, 1.5e308, -1.2e308, 1e300],
    "subnormals": ranks(9, (r) => 5e-324 * (1000 + r * r)),
    "around the smallest normal double": ranks(9, (r) => 2 ** -1022 * (1 + r / 3)),
    "both ends of the range": [1e-320, 1e-200, 1, 1e200, 1.1e200],
    "across a scale": ranks(40, (r) => 2 ** (280 + r)),
    "across the other scale": ranks(40, (r) => 3 ** 0.5 * 2 ** (-280 - r)),
    "sums that cancel": [1e16, 1, -1e16, 2.5],
    "one outlier first": [1e15, ...ranks(200, (r) => r / 10)],
    "one outlier last": [...ranks(200, (r) => r / 10), 1e15],
    "a normal loss": ranks(3000, (r) => 2 / (1 + r) + noise())
  }
  for (const [name, values] of Object.entries(cases)) {
    it(name, () => check(values))
  }

  it("agrees on any list of doubles of one magnitude", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.5, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 300 }),
        fc.integer({ min: -1000, max: 1000 }),
        (values, power) => {
          const scaled = values.map((x) => x * 2 ** power)
          if (scaled.every((x) => x === 0 || (Math.abs(x) > 1e-290 && Number.isFinite(x)))) check(scaled)
        }
      ),
      { numRuns: 60 }
    )
  })

  it("gives equal values a std of exactly 0 and their own mean", () => {
    for (const x of [0.1, -0.3, 1 / 3, 1e9 + 0.1, 1.7e308, 5e-324, 3e-310, 2 ** 24 + 1, 0]) {
      for (const n of [1, 2, 3, 7, 127, 128, 129, 1000]) {
        const values = Array.from({ length: n }, () => x)
        for (const moments of [Moments.fromValues(values), Moments.merge(...split(values, n >> 1))]) {
          assert.strictEqual(Moments.std(moments), 0)
          assert.strictEqual(Moments.variance(moments), 0)
          assert.strictEqual(Moments.mean(moments), x)
        }
      }
    }
  })

  it("keeps the std where the variance is beyond every double", () => {
    const moments = Moments.fromValues([1e308, -1e308])
    assert.strictEqual(Moments.std(moments), 1e308)
    assert.strictEqual(Moments.variance(moments), Infinity)
    assert.strictEqual(Moments.mean(moments), 0)
    assert.strictEqual(Moments.std(Moments.fromValues([1e-308, 3e-308])), 1e-308)
  })

  it("gives the textbook numbers", () => {
    const moments = Moments.fromValues([2, 4, 4, 4, 5, 5, 7, 9])
    assert.strictEqual(moments.count, 8)
    assert.strictEqual(Moments.mean(moments), 5)
    assert.strictEqual(Moments.m2(moments), 32)
    assert.strictEqual(Moments.variance(moments), 4)
    assert.strictEqual(Moments.std(moments), 2)
  })

  it("stays exact over counts whose product is no integer of a double", () => {
    let moments = Moments.fromValues([1, 3])
    // Doubling forty times: 2^41 values, half of them 1, half 3.
    for (let i = 0; i < 40; i++) moments = Moments.merge(moments, moments)
    assert.strictEqual(moments.count, 2 ** 41)
    assert.strictEqual(Moments.mean(moments), 2)
    assert.strictEqual(Moments.std(moments), 1)
    const uneven = Moments.merge(moments, Moments.of(2 + 2 ** 41, 5))
    assert.strictEqual(Moments.mean(uneven), (2 ** 42 + 2 + 2 ** 41) / (2 ** 41 + 1))
    // M2 = 2^41 * 1 + (2^41)^2 * 2^41 / (2^41 + 1)
    assert.strictEqual(
      Moments.m2(uneven),
      nearest((1n << 41n) * ((1n << 41n) + 1n) + (1n << 123n), (1n << 41n) + 1n, 0)
    )
  })
})

describe("Moments: laws", () => {
  it("empty is the identity", () => {
    fc.assert(fc.property(fc.array(anyValue, { maxLength: 20 }), (values) => {
      const moments = of(values, 0)
      assert.deepStrictEqual(Moments.merge(moments, Moments.empty), moments)
      assert.deepStrictEqual(Moments.merge(Moments.empty, moments), moments)
    }))
  })

  it("merge is commutative, to the bit", () => {
    fc.assert(
      fc.property(fc.array(anyValue, { maxLength: 20 }), fc.array(anyValue, { maxLength: 20 }), (left, right) => {
        const a = of(left, 0)
        const b = of(right, left.length)
        assert.deepStrictEqual(Moments.merge(a, b), Moments.merge(b, a))
      }),
      { numRuns: 500 }
    )
  })

  it("merge is associative but for the last places of a double-double", () => {
    fc.assert(
      fc.property(
        fc.tuple(...[0, 1, 2].map(() => fc.array(anyValue, { maxLength: 12 }))),
        ([x = [], y = [], z = []]) => {
          const a = of(x, 0)
          const b = of(y, x.length)
          const c = of(z, x.length + y.length)
          const left = Moments.merge(Moments.merge(a, b), c)
          const right = Moments.merge(a, Moments.merge(b, c))
          const { count, nonFinite, min, max, argmin, argmax, scale } = left
          assert.deepInclude(right, { count, nonFinite, min, max, argmin, argmax, scale })
          // Relative to the largest magnitude, which is what rounding is relative to.
          const size = (Math.abs(left.sumHigh) + Math.sqrt(left.m2High * Math.max(1, count))) || 1
          assert.isAtMost(Math.abs(left.sumHigh - right.sumHigh + (left.sumLow - right.sumLow)) / size, 2 ** -90)
          assert.isAtMost(Math.abs(left.m2High - right.m2High + (left.m2Low - right.m2Low)), left.m2High * 2 ** -90)
        }
      ),
      { numRuns: 500 }
    )
  })

  it("the merge of any split shows the same mean and std as the whole, to the bit", () => {
    const next = random(11)
    const values = Array.from({ length: 700 }, (_, i) => 1e3 * next() + 1e6 + (i % 7))
    const whole = Moments.fromValues(values)
    for (const at of [0, 1, 2, 127, 128, 129, 350, 699, 700]) {
      const merged = Moments.merge(...split(values, at))
      assert.strictEqual(Moments.mean(merged), Moments.mean(whole))
      assert.strictEqual(Moments.std(merged), Moments.std(whole))
      assert.deepInclude(merged, {
        count: 700,
        min: whole.min,
        argmin: whole.argmin,
        max: whole.max,
        argmax: whole.argmax
      })
    }
  })

  it("merged in rank order, gives the same bits whatever the arrival order", () => {
    fc.assert(
      fc.property(
        fc.array(anyValue, { minLength: 1, maxLength: 40 }).chain((values) =>
          fc.tuple(
            fc.constant(values),
            fc.shuffledSubarray(values.map((_, i) => i), { minLength: values.length, maxLength: values.length })
          )
        ),
        ([values, arrivals]) => {
          const slots: Array<Moments.Moments> = []
          for (const rank of arrivals) slots[rank] = Moments.of(values[rank]!, rank)
          const arrived = slots.reduce<Moments.Moments>((a, b) => Moments.merge(a, b), Moments.empty)
          assert.deepStrictEqual(arrived, of(values, 0))
        }
      )
    )
  })

  it("merged in any order, shows the same mean and std", () => {
    const next = random(3)
    const values = Array.from({ length: 64 }, () => 1.7e9 + next())
    const expected = Moments.fromValues(values)
    for (let shuffle = 0; shuffle < 50; shuffle++) {
      const order = values.map((x, rank) => ({ x, rank, key: next() })).toSorted((a, b) => a.key - b.key)
      const moments = order.reduce<Moments.Moments>((all, { rank, x }) => Moments.add(all, x, rank), Moments.empty)
      assert.strictEqual(Moments.mean(moments), Moments.mean(expected))
      assert.strictEqual(Moments.std(moments), Moments.std(expected))
      assert.strictEqual(moments.argmin, expected.argmin)
    }
  })

  it("is data-first and data-last", () => {
    const a = Moments.of(1, 0)
    const b = Moments.of(5, 1)
    assert.deepStrictEqual(Moments.merge(b)(a), Moments.merge(a, b))
    assert.deepStrictEqual(Moments.add(5, 1)(a), Moments.add(a, 5, 1))
  })
})

describe("Moments: extremes and what is not finite", () => {
  it("knows on which rank the least and the greatest value were; the lowest rank wins ties", () => {
    const moments = [3, 1, 4, 1, 4].map((x, rank) => Moments.of(x, rank))
    for (const order of [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 4, 1, 0, 2]]) {
      const merged = order.map((i) => moments[i]!).reduce<Moments.Moments>((a, b) => Moments.merge(a, b), Moments.empty)
      assert.deepInclude(merged, { min: 1, argmin: 1, max: 4, argmax: 2 })
    }
    const accumulator = new Moments.Accumulator()
    for (const rank of [3, 4, 1, 0, 2]) accumulator.add([3, 1, 4, 1, 4][rank]!, rank)
    assert.deepInclude(accumulator.result(), { min: 1, argmin: 1, max: 4, argmax: 2 })
  })

  it("counts NaN and the infinities, and leaves them out of everything else", () => {
    const moments = Moments.fromValues([NaN, 2, Infinity, 4, -Infinity])
    assert.deepInclude(moments, { count: 2, nonFinite: 3, min: 2, argmin: 1, max: 4, argmax: 3 })
    assert.strictEqual(Moments.mean(moments), 3)
    assert.strictEqual(Moments.std(moments), 1)
    assert.deepInclude(Moments.merge(moments, Moments.of(NaN)), { count: 2, nonFinite: 4, min: 2 })
  })

  it("has no mean, std, least or greatest of nothing", () => {
    for (const moments of [Moments.empty, Moments.fromValues([]), Moments.fromValues([NaN, NaN])]) {
      assert.isNaN(Moments.mean(moments))
      assert.isNaN(Moments.std(moments))
      assert.isNaN(Moments.variance(moments))
      assert.isNaN(moments.min)
      assert.isNaN(moments.max)
      assert.deepInclude(moments, { count: 0, argmin: -1, argmax: -1 })
    }
  })

  it("has a std of 0 and its own mean, least and greatest of one value", () => {
    fc.assert(fc.property(value, (x) => {
      const moments = Moments.of(x, 4)
      assert.strictEqual(Moments.mean(moments), x)
      assert.strictEqual(Moments.std(moments), 0)
      assert.deepInclude(moments, { min: x, max: x, argmin: 4, argmax: 4, count: 1 })
    }))
  })
})

describe("Moments.Accumulator", () => {
  it("gives the same bits however the values are cut into ranges and whenever the result is asked for", () => {
    fc.assert(
      fc.property(
        fc.array(anyValue, { maxLength: 400 }),
        fc.array(fc.nat({ max: 150 }), { minLength: 1, maxLength: 10 }),
        fc.boolean(),
        (values, cuts, ask) => {
          const data = Float64Array.from(values)
          const accumulator = new Moments.Accumulator()
          let from = 0
          for (const cut of cuts) {
            const to = Math.min(data.length, from + cut)
            if (cut % 3 === 0) { for (let i = from; i < to; i++) accumulator.add(data[i]!) }
            else accumulator.addRange(data, from, to)
            if (ask) accumulator.result()
            from = to
          }
          accumulator.addRange(data, from)
          assert.deepStrictEqual(accumulator.result(), Moments.fromValues(values))
        }
      )
    )
  })

  it("agrees with merging value by value, and with the exact reference, on every kind of block", () => {
    const next = random(23)
    for (const scale of [1, 1e-320, 1e300, 2 ** -301, 2 ** 301]) {
      check(Array.from({ length: 300 }, (_, i) => (next() - 0.3) * scale * (i % 100 === 0 ? 7 : 1)))
    }
  })

  it("carries the rounding of sums and squares along: blocks and single merges agree beyond 80 bits", () => {
    const next = random(31)
    const values = Array.from({ length: 128 }, () => 1 + next())
    const block = Moments.fromValues(values)
    const single = of(values, 0)
    assert.isAtMost(Math.abs(block.sumHigh - single.sumHigh + (block.sumLow - single.sumLow)), block.sumHigh * 2 ** -90)
    assert.isAtMost(Math.abs(block.m2High - single.m2High + (block.m2Low - single.m2Low)), block.m2High * 2 ** -85)
  })

  it("merges what was worked out elsewhere and goes on", () => {
    const next = random(5)
    const values = Array.from({ length: 500 }, () => next() * 1e4)
    const accumulator = new Moments.Accumulator()
    accumulator.addRange(values, 0, 200)
    accumulator.merge(
      of(values.slice(200, 340), 200)
    )
    accumulator.addRange(values, 340)
    const whole = Moments.fromValues(values)
    const merged = accumulator.result()
    assert.strictEqual(Moments.mean(merged), Moments.mean(whole))
    assert.strictEqual(Moments.std(merged), Moments.std(whole))
    const { argmax, argmin, count, max, min } = whole
    assert.deepInclude(merged, { argmax, argmin, count, max, min })
  })

  it("forgets everything on reset", () => {
    const accumulator = new Moments.Accumulator()
    accumulator.addRange([1e300, NaN, -4])
    accumulator.reset()
    assert.deepStrictEqual(accumulator.result(), Moments.empty)
    accumulator.add(2)
    assert.deepStrictEqual(accumulator.result(), Moments.of(2, 0))
  })
})
