import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { decodeLine, type Entry, recordLine, statisticsLine } from "../../src/RunLog.ts"
import * as Series from "../../src/view/Series.ts"

const record = (seq: number, metrics: Entry["metrics"], step: number | undefined = seq): Entry => ({
  seq,
  step,
  timestamp: 1000 + seq,
  rank: 0,
  metrics: metrics ?? {},
  statistics: undefined
})

const statistics = (seq: number, mean: number, more: Record<string, number> = {}): Entry => ({
  seq,
  step: seq,
  timestamp: 1000 + seq,
  rank: 0,
  metrics: undefined,
  statistics: {
    values: {
      "loss/mean": mean,
      "loss/min": mean - 1,
      "loss/max": mean + 2,
      "loss/std": 0.5,
      "loss/argmin": 3,
      "loss/argmax": 1,
      ...more
    },
    count: 4,
    expected: 4
  }
})

const storeOf = (entries: ReadonlyArray<Entry>, limits?: Series.Limits): Series.Store => {
  const store = Series.make(limits)
  store.push(entries)
  return store
}

const get = (store: Series.Store, key: string): Series.Series => {
  const found = store.series.get(key)
  assert.isDefined(found)
  return found
}

const value = fc.oneof(
  { weight: 8, arbitrary: fc.double({ min: -1e9, max: 1e9, noNaN: true }) },
  fc.constantFrom(NaN, Infinity, -Infinity, 0)
)

describe("Series", () => {
  it("keeps every point as it was as long as there is room", () => {
    fc.assert(fc.property(fc.array(value, { maxLength: 64 }), (values) => {
      const one = storeOf(values.map((x, nth) => record(nth + 1, { x }, nth * 10))).series.get("x")
      const bins = one?.values
      assert.strictEqual(bins?.length ?? 0, values.length)
      values.forEach((x, nth) => {
        assert.strictEqual(bins?.stepLow[nth], nth * 10)
        assert.strictEqual(bins?.timeLow[nth], 1001 + nth)
        if (Number.isFinite(x)) assert.deepStrictEqual([bins?.low[nth], bins?.high[nth], bins?.gaps[nth]], [x, x, 0])
        else assert.deepStrictEqual([bins?.count[nth], bins?.gaps[nth]], [0, 1])
      })
    }))
  })

  it("holds any number of points in the bins it may have, and loses no extreme, count or mean", () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 500 }), fc.constantFrom(4, 16, 64), (all, capacity) => {
        const { values: bins } = get(
          storeOf(all.map((x, nth) => record(nth + 1, { x })), { bins: 1 << 20, capacity }),
          "x"
        )
        assert.isAtMost(bins.length, capacity)
        assert.strictEqual(bins.total, all.length)
        for (let bin = 0, at = 0; bin < bins.length; bin++) {
          const part = all.slice(at, at + bins.span)
          const finite = part.filter(Number.isFinite)
          assert.strictEqual(bins.seq[bin], at + 1)
          assert.deepStrictEqual([bins.stepLow[bin], bins.stepHigh[bin]], [at + 1, at + part.length])
          assert.deepStrictEqual([bins.count[bin], bins.gaps[bin]], [finite.length, part.length - finite.length])
          assert.deepStrictEqual([bins.low[bin], bins.high[bin]], [Math.min(...finite), Math.max(...finite)])
          const sum = finite.reduce((a, b) => a + b, 0)
          assert.isAtMost(Math.abs((bins.sum[bin] ?? NaN) - sum), 1e-3)
          if (finite.length > 0) {
            const [least, greatest] = [part.indexOf(Math.min(...finite)), part.indexOf(Math.max(...finite))]
            assert.strictEqual(bins.highFirst[bin], greatest < least ? 1 : 0)
          }
          at += part.length
        }
      })
    )
  })

  it("joins no two series, and shares its bins among them", () => {
    const keys = Array.from({ length: 100 }, (_, nth) => `m/${nth}`)
    const entries = Array.from(
      { length: 1000 },
      (_, row) => record(row + 1, Object.fromEntries(keys.map((key, nth) => [key, nth * 1000 + row])))
    )
    const store = storeOf(entries, { bins: 12_800, capacity: 1024 })
    assert.deepStrictEqual(Array.from(store.series.keys()), keys)
    keys.forEach((key, nth) => {
      const { values: bins } = get(store, key)
      assert.isAtMost(bins.length, 128)
      assert.deepStrictEqual([bins.low[0], bins.high[bins.length - 1]], [nth * 1000, nth * 1000 + 999])
    })
  })

  it("has what ranks said beside the root's own value, and a later line of a step in the place of the earlier", () => {
    const one = get(
      storeOf([record(1, { loss: 5 }), statistics(1, 4), record(2, { loss: 6 }), statistics(2, 5), statistics(1, 40)]),
      "loss"
    )
    assert.strictEqual(one.across, "ranks")
    const { spread } = one
    assert.deepStrictEqual(Array.from(spread?.low.subarray(0, 2) ?? []), [39, 4])
    assert.deepStrictEqual(Array.from(spread?.high.subarray(0, 2) ?? []), [42, 7])
    assert.deepStrictEqual([spread?.length, spread?.argLow[0], spread?.argHigh[0], spread?.deviation[0]], [
      2,
      3,
      1,
      0.5
    ])
    assert.deepStrictEqual(one.lastSpread?.mean, 5)
  })

  it("draws a vector as its mean and range, booleans as 0 and 1, and keeps the last of a text", () => {
    const store = storeOf([
      record(1, { v: [1, 2, 6], ok: true, note: "a" }),
      record(2, { v: [NaN, 2], ok: false, note: "b", gone: null })
    ])
    const v = get(store, "v")
    assert.deepStrictEqual(Array.from(v.values.low.subarray(0, 2)), [3, 2])
    assert.deepStrictEqual([v.across, v.spread?.low[0], v.spread?.high[0]], ["chains", 1, 6])
    assert.deepStrictEqual(Array.from(get(store, "ok").values.low.subarray(0, 2)), [1, 0])
    assert.strictEqual(store.texts.get("note"), "b")
    assert.isFalse(store.series.has("gone"))
  })

  it("takes a record's seq where it names no step, and knows the run's extent and total", () => {
    const store = storeOf([record(1, { x: 1 }, undefined), record(2, { x: 2, "train/total_steps": 500 }, undefined)])
    assert.deepStrictEqual([store.firstStep, store.lastStep, store.firstTime, store.lastTime], [1, 2, 1001, 1002])
    assert.strictEqual(store.totalSteps, 500)
  })

  it("keeps no key of a prototype, and none beyond its limit", () => {
    const line = decodeLine(recordLine(1, 1, 1, 0, "{\"__proto__\":1,\"constructor\":2}"))
    assert.isFalse("_tag" in line)
    if (!("_tag" in line)) {
      assert.deepStrictEqual(Array.from(storeOf([line]).series.keys()), ["__proto__", "constructor"])
    }
    const many = Object.fromEntries(Array.from({ length: Series.mostKeys + 5 }, (_, nth) => [`k${nth}`, nth]))
    const store = storeOf([record(1, many)])
    assert.deepStrictEqual([store.series.size, store.left], [Series.mostKeys, 5])
  })

  it("reads the lines it is given as the log has them", () => {
    const lines = [
      recordLine(1, 1, 1, 0, "{\"loss\":\"NaN\"}"),
      statisticsLine({
        seq: 1,
        step: 1,
        timestamp: 1,
        rank: 0,
        statistics: { values: { "loss/mean": 2 }, count: 2, expected: 2 }
      })
    ]
    const store = storeOf(lines.flatMap((line) => {
      const entry = decodeLine(line)
      return "_tag" in entry ? [] : [entry]
    }))
    assert.deepStrictEqual([get(store, "loss").values.gaps[0], get(store, "loss").lastSpread?.mean], [1, 2])
    assert.strictEqual(store.worldSize, 2)
  })
})
