import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Bins from "../../src/view/series/Bins.ts"
import * as Smooth from "../../src/view/Smooth.ts"

describe("Smooth", () => {
  it("is the mean of all values so far, weighted by how long ago they were", () => {
    fc.assert(fc.property(
      fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 }),
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      (values, weight) => {
        const smoothed = Smooth.smooth(values, weight)
        values.forEach((_, at) => {
          let [sum, weights] = [0, 0]
          for (let nth = 0; nth <= at; nth++) {
            sum += (values[nth] ?? NaN) * weight ** (at - nth)
            weights += weight ** (at - nth)
          }
          assert.closeTo(smoothed[at] ?? NaN, sum / weights, 1e-6)
        })
      }
    ))
  })

  it("leaves a constant what it is, a gap a gap, and goes on after it", () => {
    assert.deepStrictEqual(Array.from(Smooth.smooth([3, 3, NaN, 3], 0.9)), [3, 3, NaN, 3])
    assert.deepStrictEqual(Array.from(Smooth.smooth([1e308, 1e308], 0.5)), [1e308, 1e308])
    assert.deepStrictEqual(Array.from(Smooth.smooth([1, 2, 4], 0)), [1, 2, 4])
  })

  it("goes on in a part that was read again more finely as if all before it had been", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 300, max: 2000 }),
        fc.double({ min: 0.985, max: 0.999, noNaN: true }),
        (length, weight) => {
          const values = Array.from({ length }, (_, nth) => Math.sin(nth / 40) + (nth % 7) / 10)
          const bins = (from: number, capacity: number): Bins.Bins => {
            const bins = Bins.make(capacity, false)
            for (let nth = from; nth < length; nth++) {
              const value = values[nth] ?? NaN
              Bins.add(bins, {
                seq: nth + 1,
                step: nth,
                time: nth,
                low: value,
                mean: value,
                high: value,
                std: 0,
                argLow: -1,
                argHigh: -1
              })
            }
            return bins
          }
          const whole = bins(0, 128)
          const from = Math.floor(length / 2)
          const exact = Smooth.smooth(values, weight)
          const part = Smooth.smoothBins(bins(from, 1 << 14), weight, whole)
          // What is not known is how values were within a bin: without what came before it would be up to 1 off.
          part.forEach((value, nth) => assert.closeTo(value, exact[from + nth] ?? NaN, 0.3))
        }
      )
    )
  })

  it("has no place for 0 and below on a scale of powers of ten", () => {
    assert.deepStrictEqual(Array.from(Smooth.logarithms(Float64Array.of(100, 0, -1, NaN))), [2, NaN, NaN, NaN])
  })

  it("finds names by a regular expression, minding capitals only where there are some", () => {
    const names = ["train/Loss", "eval/loss", "acc"]
    const found = (pattern: string) => Smooth.filter(names, pattern)
    assert.deepStrictEqual(found("loss$"), { _tag: "Matched", names: ["train/Loss", "eval/loss"] })
    assert.deepStrictEqual(found("Loss|^acc"), { _tag: "Matched", names: ["train/Loss", "acc"] })
    assert.deepStrictEqual(found("^\\S+/loss"), { _tag: "Matched", names: ["train/Loss", "eval/loss"] })
    assert.deepStrictEqual(found(""), { _tag: "Matched", names })
  })

  it("says what is wrong with a pattern, and does not wait for one that takes for ever", () => {
    const bad = Smooth.filter(["a"], "(")
    assert.strictEqual(bad._tag, "BadPattern")
    assert.deepStrictEqual(Smooth.filter([`${"a".repeat(60)}!`], "^(a+)+$"), {
      _tag: "BadPattern",
      reason: "takes too long"
    })
    assert.strictEqual(Smooth.filter(["a"], "a".repeat(201))._tag, "BadPattern")
  })
})
