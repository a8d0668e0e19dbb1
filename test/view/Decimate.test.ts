import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Decimate from "../../src/view/Decimate.ts"
import * as Series from "../../src/view/Series.ts"

interface Case {
  readonly values: ReadonlyArray<number>
  readonly steps: ReadonlyArray<number>
  readonly columns: number
  readonly capacity: number
  readonly from: number
  readonly to: number
}

const value = fc.oneof(
  { weight: 12, arbitrary: fc.double({ min: -1e6, max: 1e6, noNaN: true }) },
  fc.constantFrom(NaN, Infinity)
)

/** Runs of any length, their steps rising by as much as they like, or going anywhere. */
const cases = (rising: boolean): fc.Arbitrary<Case> =>
  fc.record({
    pairs: fc.array(fc.tuple(value, fc.integer({ min: rising ? 1 : -50, max: 50 })), { minLength: 1, maxLength: 400 }),
    columns: fc.integer({ min: 1, max: 60 }),
    capacity: fc.constantFrom(16, 64, 512),
    part: fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }))
  }).map(({ capacity, columns, pairs, part: [a, b] }) => {
    let step = 0
    const steps = pairs.map(([, add]) => step += add)
    const [least, span] = [Math.min(...steps), Math.max(...steps) - Math.min(...steps)]
    return {
      values: pairs.map(([x]) => x),
      steps,
      columns,
      capacity,
      from: least + span * Math.min(a, b),
      to: least + span * Math.max(a, b)
    }
  })

const binsOf = ({ capacity, steps, values }: Case): Series.Bins => {
  const store = Series.make({ bins: 1 << 20, capacity })
  store.push(values.map((x, nth) => ({
    seq: nth + 1,
    step: steps[nth],
    timestamp: nth,
    rank: 0,
    metrics: { x },
    statistics: undefined
  })))
  const found = store.series.get("x")
  assert.isDefined(found)
  return found.values
}

const window = ({ columns, from, to }: Case): Decimate.Window => ({ axis: "step", from, to, columns })

const extremes = (values: Iterable<number>) => {
  let [low, high] = [Infinity, -Infinity]
  for (const x of values) {
    if (!Number.isFinite(x)) continue
    low = Math.min(low, x)
    high = Math.max(high, x)
  }
  return [low, high]
}

describe("Decimate", () => {
  it("never invents a value, and never hides an extreme of what is in the window", () => {
    for (const rising of [true, false]) {
      fc.assert(fc.property(cases(rising), (one) => {
        const { y } = Decimate.points(binsOf(one), window(one))
        const all = new Set(one.values)
        for (const shown of y) assert.isTrue(Number.isNaN(shown) || all.has(shown))
        const inside = one.values.filter((_, nth) => {
          const step = one.steps[nth] ?? NaN
          return step >= one.from && step <= one.to
        })
        const [low = NaN, high = NaN] = extremes(inside)
        const [shownLow = NaN, shownHigh = NaN] = extremes(y)
        assert.isAtMost(shownLow, low)
        assert.isAtLeast(shownHigh, high)
        // As long as nothing was joined, what is beyond the window is not in it.
        if (one.values.length <= one.capacity) assert.deepStrictEqual([shownLow, shownHigh], [low, high])
      }))
    }
  })

  it("has at most three entries a column, wherever x goes", () => {
    for (const rising of [true, false]) {
      fc.assert(fc.property(cases(rising), (one) => {
        const { x, y } = Decimate.points(binsOf(one), window(one))
        assert.strictEqual(x.length, y.length)
        assert.isAtMost(x.length, 3 * one.columns + 12)
      }))
    }
  })

  it("keeps the order of a rising x, and breaks the line where something was not finite", () => {
    fc.assert(fc.property(cases(true), (one) => {
      const { x, y } = Decimate.points(binsOf(one), {
        ...window(one),
        from: Math.min(...one.steps),
        to: Math.max(...one.steps)
      })
      if (one.values.length <= one.capacity) {
        for (let nth = 1; nth < x.length; nth++) assert.isAtLeast(x[nth] ?? NaN, x[nth - 1] ?? NaN)
      }
      const finite = one.values.findIndex(Number.isFinite)
      const gap = finite < 0 ? -1 : one.values.findIndex((value, nth) => nth > finite && !Number.isFinite(value))
      assert.strictEqual(y.some(Number.isNaN), gap >= 0 || y.some(Number.isNaN))
      if (gap >= 0) assert.isTrue(y.some(Number.isNaN))
      if (one.values.every(Number.isFinite)) assert.isFalse(y.some(Number.isNaN))
    }))
  })

  it("shows the same at any coarseness that columns cannot tell apart", () => {
    const values = Array.from({ length: 4096 }, (_, nth) => Math.sin(nth / 100) + (nth === 1234 ? 50 : 0))
    const base = { values, steps: values.map((_, nth) => nth), columns: 64, from: 0, to: 4095 }
    const fine = Decimate.band(binsOf({ ...base, capacity: 4096 }), { axis: "step", from: 0, to: 4096, columns: 64 })
    const coarse = Decimate.band(binsOf({ ...base, capacity: 256 }), { axis: "step", from: 0, to: 4096, columns: 64 })
    assert.deepStrictEqual(coarse.low, fine.low)
    assert.deepStrictEqual(coarse.high, fine.high)
    assert.strictEqual(fine.high[Math.floor(1234 / 64)], Math.max(...values))
    fine.mean.forEach((mean, nth) => assert.closeTo(coarse.mean[nth] ?? NaN, mean, 1e-9))
  })

  it("stands at whole steps where all steps are whole, and keeps their order", () => {
    for (const rising of [true, false]) {
      fc.assert(fc.property(cases(rising), (one) => {
        const { x } = Decimate.band(binsOf(one), window(one))
        const { x: own } = Decimate.points(binsOf(one), window(one))
        for (const at of [...x, ...own]) assert.isTrue(Number.isInteger(at), String(at))
        if (rising) { for (let nth = 1; nth < x.length; nth++) assert.isAtLeast(x[nth]!, x[nth - 1]!) }
      }))
    }
    const halves = { values: [1, 2], steps: [0.5, 2], columns: 1, capacity: 16, from: 0, to: 2 }
    assert.deepStrictEqual(Array.from(Decimate.band(binsOf(halves), window(halves)).x), [1.25])
    const wholes = { ...halves, steps: [1, 2] }
    assert.deepStrictEqual(Array.from(Decimate.band(binsOf(wholes), window(wholes)).x), [1])
  })

  it("reaches the edges with the points before and after the window where asked to", () => {
    const steps = [0, 10, 20, 30, 40]
    const bins = binsOf({ values: steps, steps, columns: 10, capacity: 16, from: 0, to: 40 })
    const inside = { axis: "step", from: 15, to: 25, columns: 10 } as const
    assert.deepStrictEqual(Array.from(Decimate.points(bins, inside).x), [20])
    assert.deepStrictEqual(Array.from(Decimate.points(bins, { ...inside, beyond: true }).x), [10, 20, 30])
    assert.deepStrictEqual([Decimate.nearest(bins, "step", 24), Decimate.nearest(bins, "step", 26)], [2, 3])
    assert.deepStrictEqual(Decimate.extent(bins, "step"), { from: 0, to: 40 })
    assert.deepStrictEqual(Decimate.extent(bins, "relative", 2), { from: -2, to: 2 })
  })

  it("says when the log has more to show than the bins", () => {
    const values = Array.from({ length: 1000 }, (_, nth) => nth)
    const bins = binsOf({ values, steps: values, columns: 10, capacity: 64, from: 0, to: 0 })
    assert.isFalse(Decimate.isCoarse(bins, { axis: "step", from: 0, to: 1000, columns: 40 }))
    assert.isTrue(Decimate.isCoarse(bins, { axis: "step", from: 0, to: 100, columns: 40 }))
  })
})
