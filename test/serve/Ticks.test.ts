import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import { logRange, xRange, yRange, zoomed } from "../../src/serve/page/axes.ts"
import * as Format from "../../src/serve/page/format.ts"
import * as Ticks from "../../src/serve/page/ticks.ts"

const positive = FastCheck.double({ min: Number.MIN_VALUE, max: Number.MAX_VALUE, noNaN: true })
const isRising = (values: ReadonlyArray<number>): boolean => values.every((at, i) => i === 0 || at > values[i - 1]!)

describe("marks of a scale of powers", () => {
  it("are two or more, inside, told apart, and no more than there is room for, of values of any size", () => {
    FastCheck.assert(
      FastCheck.property(positive, positive, FastCheck.integer({ min: 90, max: 900 }), (a, b, pixels) => {
        const [low, high] = logRange(Math.min(a, b), Math.max(a, b))
        // Between the smallest doubles there is nothing.
        FastCheck.pre(low > 1e-300)
        const { labels, values } = Ticks.logarithmic(low, high, pixels)
        assert.isAtLeast(values.length, 2, `${low} ${high}`)
        assert.isAtMost(values.length, Math.max(3, pixels / 16))
        assert.isTrue(isRising(values) && values.every((at) => at >= low && at <= high), values.join())
        assert.strictEqual(new Set(labels).size, values.length, labels.join())
      })
    )
  })

  it("are whole decades, 1, 2 and 5 where there is but one, and round numbers where all is close together", () => {
    assert.deepStrictEqual(Ticks.logarithmic(0.001, 1000, 220).labels, [
      "0.001",
      "0.01",
      "0.1",
      "1",
      "10",
      "100",
      "1000"
    ])
    assert.deepStrictEqual(Ticks.logarithmic(1e-9, 1e9, 160).labels, [
      "1e-9",
      "1e-6",
      "0.001",
      "1",
      "1000",
      "1M",
      "1e9"
    ])
    assert.deepStrictEqual(Ticks.logarithmic(0.182 / 1.1, 3 * 1.1, 160).labels, ["0.2", "0.5", "1", "2"])
    const constant = Ticks.logarithmic(...logRange(2.73, 2.73), 160)
    assert.deepStrictEqual(constant.labels, ["2.6", "2.8", "3.0"])
  })
})

describe("marks beside a chart", () => {
  it("are two or more for values of any size, and for a single one", () => {
    const size = FastCheck.double({ min: 1e-290, max: Number.MAX_VALUE / 2, noNaN: true })
    FastCheck.assert(FastCheck.property(size, FastCheck.constantFrom(1, -1), (value, sign) => {
      const [low, high] = yRange(sign * value, sign * value)
      const { labels, values } = Ticks.linear(low, high, 160)
      assert.isAtLeast(values.length, 2)
      assert.isTrue(isRising(values) && values.every((at) => at >= low && at <= high))
      assert.strictEqual(new Set(labels).size, values.length)
    }))
    assert.deepStrictEqual(Ticks.linear(...yRange(2e302, 2.4e302), 160).labels, [
      "2.0e302",
      "2.1e302",
      "2.2e302",
      "2.3e302",
      "2.4e302"
    ])
  })
})

describe("marks of lengths of time", () => {
  it("are round for who reads a clock", () => {
    const labels = (to: number, pixels: number): ReadonlyArray<string> => Ticks.lapses(0, to, pixels).labels
    assert.deepStrictEqual(labels(3000, 400), ["0 s", "10 min", "20 min", "30 min", "40 min", "50 min"])
    assert.deepStrictEqual(labels(100, 330), ["0 s", "30 s", "1 min", "1 min 30 s"])
    assert.deepStrictEqual(labels(0.9, 330), ["0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s"])
    assert.deepStrictEqual(labels(90_000, 330), ["0 s", "6 h", "12 h", "18 h", "1 d"])
    assert.deepStrictEqual(labels(86_400 * 12, 330), ["0 s", "2 d", "4 d", "6 d", "8 d", "10 d", "12 d"])
  })

  it("say all that tells them apart, and do not overlap, wherever one zooms", () => {
    const seconds = FastCheck.double({ min: 0, max: 1e7, noNaN: true })
    const wide = FastCheck.double({ min: 0.01, max: 1e7, noNaN: true })
    FastCheck.assert(
      FastCheck.property(seconds, wide, FastCheck.integer({ min: 200, max: 900 }), (from, wide, pixels) => {
        const { labels, values } = Ticks.lapses(from, from + wide, pixels)
        assert.isTrue(isRising(values) && values.every((at) => at >= from - 1e-6 && at <= from + wide + 1e-6))
        assert.strictEqual(new Set(labels).size, labels.length, labels.join())
        const at = (i: number): number => (values[i]! - from) / wide * pixels
        for (let i = 1; i < labels.length; i++) {
          assert.isAtMost((labels[i - 1]!.length + labels[i]!.length) / 2 * 7, at(i) - at(i - 1), labels.join())
        }
      })
    )
  })
})

describe("a zoom", () => {
  it("stays within all that there is, and shows a step or more", () => {
    const place = FastCheck.double({ min: -1e6, max: 1e6, noNaN: true })
    FastCheck.assert(FastCheck.property(place, place, place, place, (a, b, c, d) => {
      const extent = [Math.min(a, b), Math.max(a, b)] as const
      const range = zoomed([Math.min(c, d), Math.max(c, d)], "step", extent)
      if (range === undefined) return
      assert.isTrue(range[0] >= extent[0] && range[1] <= extent[1] + 1e-6, range.join())
      assert.isAtLeast(range[1] - range[0], 1 - 1e-6)
    }))
  })

  it("further out than there is anything shows all", () => {
    assert.isUndefined(zoomed([-5937, 6058], "step", [1, 3000]))
    assert.isUndefined(zoomed([4.9, 5.1], "step", [5, 5]))
    assert.deepStrictEqual(zoomed([2900, 3100], "step", [1, 3000]), [2800, 3000])
    assert.deepStrictEqual(xRange({ range: undefined, extent: [1, 3000] }), [1, 3000])
  })
})

describe("what a person reads", () => {
  it("has as many digits as the range of a series takes", () => {
    const near = [1e9 + 0.2, 1e9 + 0.7, null, 1e9 + 1]
    assert.strictEqual(Format.number(1e9 + 0.2, Format.digits(near)), "1,000,000,000.2")
    assert.strictEqual(Format.number(1e9 + 0.2), "1,000,000,000")
    assert.strictEqual(Format.number(1.000_000_12, Format.digits([1.0000001, 1.0000002])), "1.00000012")
    assert.strictEqual(Format.digits([3, 3, null]), 0)
    assert.strictEqual(Format.digits([]), 0)
    assert.isAtMost(Format.digits([1, 1 + Number.EPSILON]), 15)
  })

  it("of a name hides nothing, and turns nothing round", () => {
    assert.strictEqual(Format.name("loss\u202egnp.exe"), "loss\\u202egnp.exe")
    assert.strictEqual(Format.name("a\u0007b\n"), "a\\x07b\\n")
    assert.strictEqual(Format.name(""), "(empty)")
    assert.strictEqual(Format.name("\ud800"), "\ufffd")
    assert.strictEqual(Format.name("train/loss µ 損失"), "train/loss µ 損失")
  })

  it("of times less than a second apart tells them apart", () => {
    const texts = [0.25, 0.5, 0.75].map((after) => Format.clock(1_795_445_508 + after, 0.25, 1_795_445_508))
    assert.deepStrictEqual(texts.map((text) => text.slice(-3)), ["250", "500", "750"])
    assert.strictEqual(Format.clock(1_795_445_508, 1, 1_795_445_507).length, "00:00:00".length)
    assert.strictEqual(Format.clock(1_795_445_508, 1, undefined).length, "11-29 00:00:00".length)
  })
})
