import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as Series from "../../src/artifact/Series.ts"
import * as Stretches from "../../src/artifact/series/Stretches.ts"
import * as Census from "../../src/Census.ts"
import * as Columns from "../../src/Columns.ts"
import * as Fold from "../../src/Fold.ts"
import type { Metrics } from "../../src/Metrics.ts"
import type { Row } from "../../src/Row.ts"

const row = (seq: number, metrics: Metrics, more: { readonly step?: number; readonly values?: Metrics } = {}): Row => ({
  seq,
  step: more.step ?? seq,
  timestamp: seq,
  rank: 0,
  metrics,
  statistics: more.values === undefined ? undefined : { values: more.values, count: 2, expected: 2 }
})

const fold = (rows: ReadonlyArray<Row>, options: Series.Options = {}) =>
  Effect.gen(function*() {
    const census = yield* Fold.run(Stream.fromIterable(rows), Census.fold)
    const series = Series.fold(census, options)
    return yield* Fold.run(Stream.fromIterable(rows), Columns.fromRows(series, census, options.warmup ?? 0))
  })

const seriesOf = (rows: ReadonlyArray<Row>, options?: Series.Options) =>
  Effect.map(fold(rows, options), (r) => r.series)

const only = (rows: ReadonlyArray<Row>, options?: Series.Options) =>
  Effect.map(seriesOf(rows, options), (series) => {
    assert.strictEqual(series.length, 1)
    return series[0]!
  })

const values = (count: number, f: (i: number) => number): ReadonlyArray<Row> =>
  Array.from({ length: count }, (_, i) => row(i, { loss: f(i) }))

const close = (actual: number, expected: number) =>
  assert.isTrue(Math.abs(actual - expected) <= 1e-12 * Math.abs(expected), `${actual} is not ${expected}`)

const plain = (numbers: ReadonlyArray<number>) => {
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length
  return { mean, std: Math.sqrt(numbers.reduce((a, b) => a + (b - mean) ** 2, 0) / numbers.length) }
}

const total = ({ counts }: Series.Histogram) => counts.reduce((a, b) => a + b, 0)

/** Noise without a random number: the same at every run. */
const noise = (i: number) => Math.sin(i * 12.9898) * 43758.5453 % 1

describe("decimation", () => {
  it.effect("keeps the least and the greatest value of every series, whatever its length", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.double(), { minLength: 1, maxLength: 40 }),
          fc.integer({ min: 1, max: 5000 }),
          async (pattern, length) => {
            const at = (i: number) => pattern[i % pattern.length]! + (Math.abs(pattern[0]!) < 1e6 ? i : 0) // adding 0 makes -0 a 0
            const series = await Effect.runPromise(only(values(length, at)))
            const finite = Array.from({ length }, (_, i) => at(i)).filter(Number.isFinite)
            const drawn = series.raw.y.filter(Number.isFinite)
            assert.isAtMost(series.raw.x.length, 2 * Series.buckets)
            assert.strictEqual(series.raw.x.length, series.raw.y.length)
            assert.strictEqual(drawn.length === 0, finite.length === 0)
            if (finite.length === 0) return
            const [min, max] = [Math.min(...finite), Math.max(...finite)]
            assert.deepStrictEqual([Math.min(...drawn), Math.max(...drawn)], [min, max])
            assert.deepStrictEqual([series.summary.min, series.summary.max], [min, max])
          }
        ),
        { numRuns: 60 }
      )
    ))

  it.effect("loses nothing while there is room for every value", () =>
    Effect.gen(function*() {
      const { raw } = yield* only(values(2 * Series.buckets, (i) => noise(i)))
      assert.deepStrictEqual(Array.from(raw.x), Array.from({ length: 1600 }, (_, i) => i))
      assert.deepStrictEqual(Array.from(raw.y), Array.from({ length: 1600 }, (_, i) => noise(i)))
    }))

  it.effect("shows one draw in a hundred thousand, at its own step", () =>
    Effect.gen(function*() {
      const { raw } = yield* only(values(100_000, (i) => i === 54_321 ? 1000 : noise(i)))
      const at = raw.y.indexOf(1000)
      assert.strictEqual(raw.x[at], 54_321)
    }))

  it.effect("keeps the points in the order of the run", () =>
    Effect.gen(function*() {
      const { raw } = yield* only(values(54_321, noise))
      assert.isTrue(raw.x.every((x, i) => i === 0 || x > raw.x[i - 1]!))
    }))

  it("cuts draws into stretches that cover each once, of lengths that differ by one at most", () => {
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 900 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }),
      (draws, most, lengths) => {
        const count = Math.min(draws, most)
        const sizes = Array.from({ length: count }, () => 0)
        let from = 0
        for (let nth = 0; from < draws; nth++) {
          const length = Math.min(lengths[nth % lengths.length]!, draws - from)
          const { bounds, first } = Stretches.cut(from, length, draws, count)
          assert.strictEqual(bounds[0], 0)
          assert.strictEqual(bounds.at(-1), length)
          for (let piece = 0; piece + 1 < bounds.length; piece++) {
            for (let i = bounds[piece]!; i < bounds[piece + 1]!; i++) {
              assert.strictEqual(Stretches.stretchOf(from + i, draws, count), first + piece)
              sizes[first + piece]!++
            }
          }
          from += length
        }
        assert.isAtMost(Math.max(...sizes) - Math.min(...sizes), 1)
        assert.isAtLeast(Math.min(...sizes), 1)
      }
    ))
  })
})

describe("summary", () => {
  it.effect("is that of a plain computation", () =>
    Effect.gen(function*() {
      const numbers = Array.from({ length: 20_000 }, (_, i) => 5 + noise(i))
      const { summary } = yield* only(values(20_000, (i) => numbers[i]!))
      const expected = plain(numbers)
      close(summary.mean, expected.mean)
      assert.isTrue(Math.abs(summary.std - expected.std) < 1e-12)
      assert.strictEqual(summary.latest, numbers.at(-1))
      assert.deepStrictEqual([summary.count, summary.nonFinite], [20_000, 0])
    }))

  it.effect("counts what is not finite and leaves it out of the rest", () =>
    Effect.gen(function*() {
      const { summary } = yield* only([1, NaN, 3, Infinity, -Infinity, NaN].map((loss, i) => row(i, { loss })))
      assert.deepStrictEqual({ ...summary }, {
        latest: NaN,
        mean: 2,
        min: 1,
        max: 3,
        std: 1,
        count: 2,
        nonFinite: 4
      })
    }))

  it.effect("does not take an absent value for one that is not finite", () =>
    Effect.gen(function*() {
      const rows = Array.from({ length: 100 }, (_, i) => row(i, i % 10 === 5 ? { loss: i, acc: i } : { loss: i }))
      const [, acc] = yield* seriesOf(rows)
      assert.deepStrictEqual([acc!.summary.count, acc!.summary.nonFinite, acc!.summary.latest], [10, 0, 95])
      assert.isTrue(acc!.raw.y.every(Number.isFinite), "no gaps between values that are logged every tenth draw")
    }))

  it.effect("is exact for constants, and at the ends of the doubles", () =>
    Effect.gen(function*() {
      const constant = yield* only(values(1000, () => 0.1))
      assert.deepStrictEqual([constant.summary.mean, constant.summary.std], [0.1, 0])
      const huge = yield* only(values(1000, (i) => i % 2 === 0 ? 1.7e308 : -1.7e308))
      assert.deepStrictEqual([huge.summary.mean, huge.summary.std], [0, 1.7e308])
      const tiny = yield* only(values(1000, (i) => i % 2 === 0 ? 1e-310 : 3e-310))
      close(tiny.summary.mean, 2e-310)
      assert.strictEqual(total(huge.histograms.raw), 1000)
      assert.strictEqual(total(tiny.histograms.raw), 1000)
    }))

  it.effect("is over the draws that warm-up leaves", () =>
    Effect.gen(function*() {
      const series = yield* only(values(1000, (i) => i < 100 ? 1e6 : i), { warmup: 0.1 })
      assert.deepStrictEqual([series.summary.count, series.summary.max, series.raw.x[0]], [900, 999, 100])
      // The histogram's range is that of what is left, although the census counted the warm-up.
      assert.isBelow(series.histograms.raw.to, 2000)
      assert.strictEqual(total(series.histograms.raw), 900)
    }))
})

describe("histograms", () => {
  it.effect("have equal bins from the least to the greatest value", () =>
    Effect.gen(function*() {
      const { histograms: { raw } } = yield* only(values(4000, (i) => i))
      assert.deepStrictEqual([raw.from, raw.to, raw.counts.length], [0, 3999, 40])
      assert.isTrue(raw.counts.every((count) => Math.abs(count - 100) <= 1))
      assert.strictEqual(raw.counts[39]! > 0, true)
    }))

  it.effect("hold a constant in one bin", () =>
    Effect.gen(function*() {
      const { histograms: { raw } } = yield* only(values(50, () => -7))
      assert.deepStrictEqual(Array.from(raw.counts).filter((count) => count > 0), [50])
      assert.isTrue(raw.from < -7 && raw.to > -7)
    }))
})

describe("axis", () => {
  it.effect("is the step while steps never go back, else the draw", () =>
    Effect.gen(function*() {
      const jumping = yield* only([0, 10, 10, 500].map((step, i) => row(i, { loss: i }, { step })))
      assert.deepStrictEqual([jumping.axis, Array.from(jumping.raw.x)], ["step", [0, 10, 10, 500]])
      const back = yield* only([0, 10, 5].map((step, i) => row(i, { loss: i }, { step })))
      assert.deepStrictEqual([back.axis, Array.from(back.raw.x)], ["draw", [0, 1, 2]])
    }))

  it.effect("keeps a gap where there was a value that is not finite", () =>
    Effect.gen(function*() {
      const { raw } = yield* only([1, NaN, NaN, 4].map((loss, i) => row(i, { loss })))
      assert.deepStrictEqual(Array.from(raw.y), [1, NaN, 4])
    }))
})

describe("statistics across ranks", () => {
  const rows = Array.from(
    { length: 3000 },
    (_, i) =>
      row(i, { loss: i }, { values: { "loss/mean": i + 0.5, "loss/std": 2, "loss/min": i - 1, "loss/max": i + 1 } })
  )

  it.effect("are folded into their metric and are no series of their own", () =>
    Effect.gen(function*() {
      const series = yield* only(rows)
      assert.deepStrictEqual([series.variable.key, series.spread], ["loss", "ranks"])
      const { max, mean, min, std } = series
      if (mean === undefined || min === undefined || max === undefined || std === undefined) return assert.fail()
      assert.strictEqual(mean.x.length, 800)
      // The first stretch is draws 0 to 3.
      assert.deepStrictEqual([mean.y[0], min.y[0], max.y[0], std.y[0]], [2, -1, 4, 2])
      assert.strictEqual(mean.x[0], 1.5)
      assert.strictEqual(max.y.at(-1), 3000)
      for (const name of ["raw", "mean", "min", "max", "std"] as const) {
        const histogram = series.histograms[name]
        assert.strictEqual(histogram === undefined ? 0 : total(histogram), 3000, name)
      }
    }))

  it.effect("a user's metric that is named like a statistic stays a metric", () =>
    Effect.gen(function*() {
      const series = yield* seriesOf([row(0, { "loss": 1, "loss/mean": 2 }), row(1, { "loss": 1, "loss/mean": 2 })])
      assert.deepStrictEqual(series.map(({ spread, variable }) => [variable.key, spread]), [
        ["loss", undefined],
        ["loss/mean", undefined]
      ])
    }))

  it.effect("of a metric that no record here holds stand under the first of them", () =>
    Effect.gen(function*() {
      const series = yield* only(
        [0, 1].map((i) =>
          row(i, { text: "x" }, { values: { "acc/mean": i, "acc/min": i, "acc/max": i, "acc/std": 0 } })
        )
      )
      assert.deepStrictEqual([series.variable.key, series.spread], ["acc/mean", "ranks"])
      assert.deepStrictEqual(Array.from(series.mean?.y ?? []), [0, 1])
    }))
})

describe("vector metrics", () => {
  it.effect("have their spread across chains, and ridges by stretches of the run", () =>
    Effect.gen(function*() {
      const rows = Array.from({ length: 240 }, (_, i) => row(i, { theta: [i, i + 2, i + 4, 1e9] }))
      const series = yield* only(rows, { numChains: 3 })
      assert.strictEqual(series.spread, "chains")
      assert.deepStrictEqual(Array.from(series.raw.y.slice(0, 3)), [0, 1, 2])
      assert.strictEqual(series.min?.y[7], 7)
      assert.strictEqual(series.max?.y[7], 1e9)
      close(series.mean?.y[7] ?? NaN, (7 + 9 + 11 + 1e9) / 4)
      close(series.std?.y[7] ?? NaN, plain([7, 9, 11, 1e9]).std)
      assert.deepStrictEqual(series.summary.count, 960)
      const { by, rows: ridges } = series.ridges!
      assert.deepStrictEqual([by, ridges.length, ridges[0]?.label], ["draw", 12, "step 0–19"])
      assert.isTrue(ridges.every(({ histogram }) => total(histogram) === 60), "the fourth chain is not among them")
    }))

  it.effect("with leapfrogs have ridges by leapfrog, at most twelve of them, first and last included", () =>
    Effect.gen(function*() {
      const rows = Array.from(
        { length: 5 },
        (_, i) =>
          row(i, { energy: [0, 1].map((chain) => Array.from({ length: 30 }, (_, leapfrog) => leapfrog + chain / 2)) })
      )
      const { ridges } = yield* only(rows)
      assert.deepStrictEqual([ridges?.by, ridges?.rows.length], ["leapfrog", 12])
      assert.deepStrictEqual([ridges?.rows[0]?.label, ridges?.rows[11]?.label], ["leapfrog 0", "leapfrog 29"])
      assert.strictEqual(total(ridges!.rows[3]!.histogram), 10)
    }))

  it.effect("of different lengths are what they hold", () =>
    Effect.gen(function*() {
      const { mean, summary } = yield* only([row(0, { theta: [1, 3] }), row(1, { theta: [5] }), row(2, { theta: [] })])
      assert.deepStrictEqual(Array.from(mean?.y ?? []), [2, 5, NaN])
      assert.deepStrictEqual([summary.count, summary.mean, summary.latest], [3, 3, 5])
    }))
})

describe("what is drawn", () => {
  it.effect("counters and texts are not; counters still have a summary", () =>
    Effect.gen(function*() {
      const metrics = {
        "iter": 1,
        "train/epoch": 0.5,
        "data_idx": 3,
        "ms_per_step": 12,
        "frac_epoch": 0.25,
        "note": "x",
        "loss": 2
      }
      const { notDrawn, series } = yield* fold([row(0, metrics), row(1, metrics)])
      const drawn = Object.fromEntries(series.map(({ drawn, variable }) => [variable.key, drawn]))
      assert.deepStrictEqual(drawn, {
        "iter": false,
        "train/epoch": false,
        "data_idx": false,
        "ms_per_step": true,
        "frac_epoch": true,
        "loss": true
      })
      assert.deepStrictEqual(notDrawn, [])
      const iter = series.find(({ variable }) => variable.key === "iter")!
      assert.deepStrictEqual([iter.summary.mean, iter.raw.x.length], [1, 0])
    }))

  it.effect("no more than the limits, and what is left out is counted by group", () =>
    Effect.gen(function*() {
      const metrics = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`${i % 2 === 0 ? "a" : "b"}/${i}`, i]))
      const rows = [row(0, metrics)]
      const perGroup = yield* fold(rows, { maxPerGroup: 10 })
      assert.deepStrictEqual(perGroup.notDrawn, [{ group: "a", count: 5 }, { group: "b", count: 5 }])
      assert.strictEqual(perGroup.series.length, 30)
      assert.strictEqual(perGroup.series.filter(({ drawn }) => drawn).length, 20)
      const inAll = yield* fold(rows, { maxTotal: 18 })
      assert.deepStrictEqual(inAll.notDrawn, [{ group: "b", count: 12 }])
    }))

  it.effect("a trend over what is noisy, its means those of the values, and none over what is smooth", () =>
    Effect.gen(function*() {
      const { trend } = yield* only(values(6400, (i) => i / 1000 + noise(i)))
      assert.strictEqual(trend?.x.length, 64)
      const first = Array.from({ length: 104 }, (_, i) => i / 1000 + noise(i))
      close(trend?.y[0] ?? NaN, plain(first).mean)
      assert.strictEqual((yield* only(values(6400, (i) => Math.exp(-i / 500)))).trend, undefined)
    }))
})
