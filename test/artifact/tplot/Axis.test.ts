import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Axis from "../../../src/artifact/tplot/Axis.ts"

const ticks = (low: number, high: number, wanted: Partial<Axis.Wanted> = {}): Axis.Ticks => {
  const range = Axis.range(low, high)
  assert(range !== undefined)
  return Axis.ticks(range, { ideal: 5, most: 9, ...wanted })
}

const finite = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  fc.integer({ min: -1000, max: 100_000 }),
  fc.constantFrom(0, 1e-300, -1e-300, 1e300, -1e300, Number.MAX_VALUE, -Number.MAX_VALUE, 5e-324)
)

/** What a label says, as a number. */
const said = (label: string, offset: string | undefined): number => {
  const factors: Readonly<Record<string, string>> = { k: "e3", M: "e6", G: "e9", T: "e12" }
  const number = (text: string): number => Number(text.replace(/[kMGT]$/, (suffix) => factors[suffix] ?? ""))
  return number(label) + (offset === undefined ? 0 : number(offset))
}

describe("Axis", () => {
  it("ticks lie inside the range, ascend, and are no more than wanted", () => {
    fc.assert(fc.property(finite, finite, fc.integer({ min: 1, max: 20 }), (a, b, most) => {
      const low = Math.min(a, b)
      const high = Math.max(a, b)
      const range = Axis.range(low, high)
      assert(range !== undefined)
      const { labels, values } = Axis.ticks(range, { ideal: Math.ceil(most / 2), most, offset: true })
      assert.isAtMost(values.length, most)
      assert.strictEqual(labels.length, values.length)
      for (const [nth, value] of values.entries()) {
        assert(value >= range.low && value <= range.high)
        if (nth > 0) assert(value > (values[nth - 1] ?? NaN))
      }
      assert.strictEqual(new Set(labels).size, labels.length)
    }))
  })

  it("ticks are multiples of one round step", () => {
    fc.assert(fc.property(finite, finite, (a, b) => {
      const { values } = ticks(Math.min(a, b), Math.max(a, b))
      if (values.length < 3) return
      const steps = values.slice(1).map((value, nth) => value / 4 - (values[nth] ?? NaN) / 4)
      const step = steps[0] ?? NaN
      const size = Math.max(...values.map(Math.abs))
      for (const each of steps) assert.closeTo(each / step, 1, 1e-6 + (4e-16 * size) / step)
      if (size / step > 1e6) return
      const mantissa = Number((step * 4).toExponential(6).split("e")[0])
      assert.include([1, 2, 5, 10], mantissa)
      for (const value of values) assert.closeTo(value / 4 / step, Math.round(value / 4 / step), 1e-6)
    }))
  })

  it("a label says its tick's value", () => {
    fc.assert(fc.property(finite, finite, fc.boolean(), (a, b, offset) => {
      const { labels, offset: base, values } = ticks(Math.min(a, b), Math.max(a, b), { offset })
      if (values.length < 2) return
      for (const [nth, label] of labels.entries()) {
        const value = values[nth] ?? NaN
        assert.closeTo(said(label, base) / (value === 0 ? 1 : value), value === 0 ? 0 : 1, 1e-12, `${label} ${base}`)
      }
    }))
  })

  it("there are two ticks at least where two fit", () => {
    fc.assert(fc.property(finite, finite, fc.integer({ min: 4, max: 20 }), (a, b, most) => {
      const range = Axis.range(Math.min(a, b), Math.max(a, b))
      if (range === undefined || range.constant !== undefined) return
      assert.isAtLeast(Axis.ticks(range, { ideal: 2, most }).values.length, 2)
    }))
  })

  it("labels have as few digits as tell them apart", () => {
    assert.deepStrictEqual(ticks(0.602, 0.984, { ideal: 4 }).labels, ["0.7", "0.8", "0.9"])
    assert.deepStrictEqual(ticks(0.602, 0.984, { ideal: 8 }).labels, "0.65 0.70 0.75 0.80 0.85 0.90 0.95".split(" "))
    assert.deepStrictEqual(ticks(1, 194).labels, ["50", "100", "150"])
    assert.deepStrictEqual(ticks(-1234, 236).labels, ["-1000", "-500", "0"])
  })

  it("large numbers have SI prefixes, tiny ones a power of ten, short ones neither", () => {
    assert.deepStrictEqual(ticks(0, 1_000_000).labels, ["0", "0.2M", "0.4M", "0.6M", "0.8M", "1.0M"])
    assert.deepStrictEqual(ticks(0, 90_000).labels, ["0", "20000", "40000", "60000", "80000"])
    assert.deepStrictEqual(ticks(0, 3e-4).labels, ["0", "1e-4", "2e-4", "3e-4"])
    assert.deepStrictEqual(ticks(0, 3e300).labels, ["0", "1e300", "2e300", "3e300"])
    assert.deepStrictEqual(ticks(-1e300, 1e300, { ideal: 3 }).labels, ["-1e300", "0", "1e300"])
  })

  it("a small change of a large number is labelled by the change", () => {
    assert.deepStrictEqual(ticks(1234567.001, 1234567.0059, { offset: true }).labels, [
      "+0.001",
      "+0.002",
      "+0.003",
      "+0.004",
      "+0.005"
    ])
    assert.strictEqual(ticks(1234567.001, 1234567.0059, { offset: true }).offset, "1234567")
    assert.strictEqual(ticks(1234567.001, 1234567.0059).offset, undefined)
  })

  it("integers have no ticks between them", () => {
    assert.deepStrictEqual(ticks(0, 2, { integer: true }).labels, ["0", "1", "2"])
    assert.deepStrictEqual(ticks(0, 1, { integer: true }).labels, ["0", "1"])
  })

  it("one value is widened to a range, and is its only tick", () => {
    const constant = ticks(0.000234, 0.000234)
    assert.deepStrictEqual(constant.labels, ["2.34e-4"])
    assert.deepStrictEqual(constant.values, [0.000234])
    assert.deepStrictEqual(ticks(0, 0).labels, ["0"])
    assert.deepStrictEqual(ticks(1, 1 + 2 * Number.EPSILON).labels, ["1"])
    assert.strictEqual(Axis.range(Infinity, -Infinity), undefined)
  })

  it("a place in a range is found even where the range's width overflows", () => {
    const range = Axis.range(-Number.MAX_VALUE, Number.MAX_VALUE)
    assert(range !== undefined)
    assert.deepStrictEqual([range.low, 0, range.high].map((value) => Axis.fraction(range, value)), [0, 0.5, 1])
  })
})
