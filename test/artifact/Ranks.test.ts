import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as Ranks from "../../src/artifact/Ranks.ts"
import { markdown } from "../../src/artifact/report/Markdown.ts"
import * as Section from "../../src/artifact/report/Ranks.ts"
import * as Series from "../../src/artifact/Series.ts"
import * as Census from "../../src/Census.ts"
import * as Columns from "../../src/Columns.ts"
import * as Fold from "../../src/Fold.ts"
import type { Metrics, Value } from "../../src/Metrics.ts"
import * as Moments from "../../src/Moments.ts"
import type { Row } from "../../src/Row.ts"

/** What each rank said of each metric; a rank that said nothing has undefined. */
type Said = { readonly [key: string]: ReadonlyArray<number | undefined> }

/** A record of rank 0 with the statistics that a reducer would make of what all said. */
const row = (seq: number, said: Said, expected?: number): Row => {
  const metrics: Record<string, Value> = {}
  const values: Record<string, Value> = {}
  const present = new Set<number>()
  let worldSize = 0
  for (const [key, all] of Object.entries(said)) {
    worldSize = Math.max(worldSize, all.length)
    let moments = Moments.empty
    for (const [rank, value] of all.entries()) {
      if (value === undefined) continue
      present.add(rank)
      moments = Moments.merge(moments, Moments.of(value, rank))
    }
    metrics[key] = all[0] ?? null
    if (moments.nonFinite > 0) values[`${key}/nonfinite`] = moments.nonFinite
    if (moments.count === 0) continue
    values[`${key}/mean`] = Moments.mean(moments)
    values[`${key}/min`] = moments.min
    values[`${key}/max`] = moments.max
    values[`${key}/std`] = Moments.std(moments)
    values[`${key}/argmin`] = moments.argmin
    values[`${key}/argmax`] = moments.argmax
  }
  return {
    seq,
    step: seq,
    timestamp: seq,
    rank: 0,
    metrics,
    statistics: { values, count: present.size, expected: expected ?? worldSize }
  }
}

const fold = (rows: ReadonlyArray<Row>, warmup?: number) =>
  Effect.gen(function*() {
    const census = yield* Fold.run(Stream.fromIterable(rows), Census.fold)
    return yield* Fold.run(Stream.fromIterable(rows), Ranks.fold(census, { warmup }))
  })

const metricOf = (ranks: Ranks.Ranks | undefined, key: string): Ranks.Metric => {
  const found = ranks?.metrics.find((metric) => metric.key === key)
  if (found === undefined) throw new Error(`there is no ${key}`)
  return found
}

const rowsOf = (count: number, f: (n: number) => Said): ReadonlyArray<Row> =>
  Array.from({ length: count }, (_, n) => row(n + 1, f(n)))

const report = (rows: ReadonlyArray<Row>) =>
  Effect.map(fold(rows), (ranks) => Section.ranks(ranks, markdown(".")).join("\n"))

/** Noise without a random number: the same at every run. */
const noise = (i: number) => Math.abs(Math.sin(i * 12.9898) * 43758.5453) % 1

describe("the fold", () => {
  it.effect("counts how often each rank was extreme, and how far from the mean it was", () =>
    Effect.gen(function*() {
      const ranks = yield* fold([
        row(1, { "train/dt": [1, 1, 1, 5], loss: [1, 2, 3, 4] }),
        row(2, { "train/dt": [1, 1, 5, 1], loss: [4, 3, 2, 1] }),
        row(3, { "train/dt": [1, 1, 1, 5] })
      ])
      assert.strictEqual(ranks?.worldSize, 4)
      assert.strictEqual(ranks?.records, 3)
      assert.deepStrictEqual(ranks?.partial, { count: 0, silent: 0, fewest: 4 })
      assert.deepStrictEqual(ranks?.metrics.map(({ key, records, speed }) => [key, speed, records]), [
        ["train/dt", "time", 3],
        ["loss", undefined, 2]
      ])
      const dt = metricOf(ranks, "train/dt")
      assert.deepStrictEqual(dt.greatest.ranks.map(({ count, rank, relative }) => ({ rank, count, relative })), [
        { rank: 3, count: 2, relative: 1.5 },
        { rank: 2, count: 1, relative: 1.5 }
      ])
      for (const { deviation } of dt.greatest.ranks) assert.closeTo(deviation, Math.sqrt(3), 1e-15)
      assert.deepStrictEqual(dt.least.ranks.map(({ count, rank, relative }) => [rank, count, relative]), [[0, 3, 0.5]])
      assert.strictEqual(dt.chance, 0.75)
      assert.deepStrictEqual(metricOf(ranks, "loss").least.ranks.map(({ count, rank }) => [rank, count]), [[0, 1], [
        3,
        1
      ]])
    }))

  it.effect("gives nothing for one rank, or without statistics", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* fold([]))
      assert.isUndefined(yield* fold([{ ...row(1, { loss: [1] }), statistics: undefined }]))
      assert.isUndefined(yield* fold([row(1, { loss: [1] })]))
    }))

  it.effect("takes nobody for extreme where all say the same, or only one says anything", () =>
    Effect.gen(function*() {
      const ranks = yield* fold([row(1, { lr: [0.1, 0.1, 0.1] }), row(2, { lr: [0.1, undefined, undefined] }, 3)])
      const { least, records, varied } = metricOf(ranks, "lr")
      assert.deepStrictEqual({ least, records, varied }, { least: { ranks: [], short: 0 }, records: 1, varied: 0 })
    }))

  it.effect("counts the records that closed without all ranks, and values that were not finite", () =>
    Effect.gen(function*() {
      const ranks = yield* fold([
        row(1, { loss: [1, 2, 3, 4] }),
        row(2, { loss: [1, 2, undefined, 4] }, 4),
        row(3, { loss: [1, undefined, undefined, NaN], g: [NaN, Infinity] }, 4),
        row(4, { loss: [1, undefined, undefined, undefined] }, 4),
        row(5, { loss: [1, 2] }, 2)
      ])
      assert.deepStrictEqual([ranks?.records, ranks?.alone], [5, 1])
      assert.deepStrictEqual(ranks?.partial, { count: 3, silent: 2, fewest: 2 })
      assert.deepStrictEqual(metricOf(ranks, "loss").nonFinite, { records: 1, most: 1 })
      assert.deepStrictEqual(metricOf(ranks, "g").nonFinite, { records: 1, most: 2 })
      assert.strictEqual(metricOf(ranks, "loss").chance, 1 / 4 + 1 / 3 + 1 / 2)
    }))

  it.effect("leaves out what warm-up drops of a group", () =>
    Effect.gen(function*() {
      const rows = rowsOf(10, (n) => ({
        "train/dt": n < 5 ? [9, 1, 1] : [1, 1, 9],
        ...(n % 2 === 0 ? { "eval/dt": n < 4 ? [9, 1, 1] : [1, 1, 9] } : {})
      }))
      const extremes = (ranks: Ranks.Ranks | undefined, key: string) =>
        metricOf(ranks, key).greatest.ranks.map(({ count, rank }) => [rank, count])
      const warm = yield* fold(rows, 0.5)
      assert.deepStrictEqual(extremes(warm, "train/dt"), [[2, 5]])
      assert.deepStrictEqual(extremes(warm, "eval/dt"), [[2, 3]])
      assert.strictEqual(warm?.records, 10)
      const cold = yield* fold(rows)
      assert.deepStrictEqual(extremes(cold, "train/dt"), [[0, 5], [2, 5]])
    }))

  it.effect("knows statistics by what the reducer made, not by a name", () =>
    Effect.gen(function*() {
      const ranks = yield* fold([row(1, { a: [1, 2], "a/argmax": [5, 6] })])
      assert.deepStrictEqual(ranks?.metrics.map(({ key }) => key), ["a", "a/argmax"])
      assert.deepStrictEqual(metricOf(ranks, "a/argmax").greatest.ranks.map(({ rank }) => rank), [1])
      assert.isUndefined(yield* fold([{ ...row(1, { a: [1], "a/argmax": [3] }), statistics: undefined }]))
    }))

  it.effect("agrees with a naive count, whatever was said, whoever was missing", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 2, max: 6 }).chain((worldSize) =>
            fc.array(
              fc.dictionary(
                fc.constantFrom("loss", "train/dt", "x/y/z"),
                fc.array(
                  fc.oneof(
                    fc.constant(undefined),
                    fc.integer({ min: -1e9, max: 1e9 }).map((value) => value / 2 ** 20),
                    fc.constantFrom(1, 2, NaN, Infinity)
                  ),
                  { minLength: worldSize, maxLength: worldSize }
                )
              ),
              { minLength: 1, maxLength: 30 }
            )
          ),
          (said) =>
            Effect.runPromise(Effect.gen(function*() {
              const ranks = yield* fold(said.map((one, n) => row(n + 1, one)))
              const counts = new Map<string, number>()
              const add = (key: string, end: string, rank: number) => {
                const id = `${key} ${end} ${rank}`
                counts.set(id, (counts.get(id) ?? 0) + 1)
              }
              for (const one of said) {
                for (const [key, all] of Object.entries(one)) {
                  const finite = all.filter((value) => value !== undefined && Number.isFinite(value))
                  const least = finite.reduce((a, b) => Math.min(a!, b!), Infinity)!
                  const greatest = finite.reduce((a, b) => Math.max(a!, b!), -Infinity)!
                  if (finite.length < 2 || least === greatest) continue
                  add(key, "least", all.findIndex((value) => value === least))
                  add(key, "greatest", all.findIndex((value) => value === greatest))
                }
              }
              const found = (ranks?.metrics ?? []).flatMap(({ greatest, key, least }) => [
                ...least.ranks.map(({ count, rank }) => [`${key} least ${rank}`, count] as const),
                ...greatest.ranks.map(({ count, rank }) => [`${key} greatest ${rank}`, count] as const)
              ])
              assert.deepStrictEqual(new Map(found.sort()), new Map([...counts].sort()))
              for (const { greatest, least } of ranks?.metrics ?? []) {
                for (const { count, deviation } of [...greatest.ranks, ...least.ranks]) {
                  assert.isAbove(count, 0)
                  // No one of n is farther out than this.
                  assert.isTrue(deviation > 0 && deviation <= Math.sqrt(5) + 1e-9, String(deviation))
                }
              }
            }))
        )
      )
    ))

  it.effect("keeps the frequent ones of ten thousand ranks in bounded memory, and says how short a count may be", () =>
    Effect.gen(function*() {
      const records = 20_000
      const slow = (n: number) => n % 10 < 3 ? 7777 : (n * 7919) % 10_000
      const rows = Array.from({ length: records }, (_, n): Row => ({
        seq: n + 1,
        step: n,
        timestamp: n,
        rank: 0,
        metrics: { dt: 1 },
        statistics: {
          values: {
            "dt/mean": 1,
            "dt/min": 0.5,
            "dt/max": 4,
            "dt/std": 0.1,
            "dt/argmin": n % Ranks.mostRanks,
            "dt/argmax": slow(n)
          },
          count: 10_000,
          expected: 10_000
        }
      }))
      const { greatest, least } = metricOf(yield* fold(rows), "dt")
      assert.strictEqual(least.short, 0)
      assert.strictEqual(least.ranks.length, Ranks.mostRanks)
      assert.strictEqual(least.ranks.reduce((sum, { count }) => sum + count, 0), records)
      assert.isAtMost(greatest.ranks.length, Ranks.mostRanks)
      assert.isAbove(greatest.short, 0)
      assert.isAtMost(greatest.short, records / (Ranks.mostRanks + 1))
      const [first] = greatest.ranks
      const often = rows.filter((_, n) => slow(n) === 7777).length
      assert.strictEqual(first?.rank, 7777)
      assert.isAtMost(first?.count ?? Infinity, often)
      assert.isAtLeast(first?.count ?? 0, often - greatest.short)
    }))
})

describe("the report's section", () => {
  it.effect("is not there without several ranks", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* report([row(1, { loss: [1] })]), "")
    }))

  it.effect("tells the slowest rank of times and rates first, then who stands out", () =>
    Effect.gen(function*() {
      const text = yield* report(rowsOf(100, (n) => ({
        loss: [1, 1.1, 1.2, 3].map((value, rank) => value + noise(4 * n + rank) / 100),
        "train/dt": [1, 1, 1, 2].map((value, rank) => value + noise(4 * n + rank) / 100),
        tokens_per_sec: [100, 10, 100, 100].map((value, rank) => value + noise(4 * n + rank)),
        even: [0, 1, 2, 3].map((rank) => noise(4 * n + rank))
      })))
      assert.include(text, "Statistics across 4 ranks in 100 records.\n")
      const lines = text.split("\n").filter((line) => line.startsWith("|")).slice(2)
      assert.deepStrictEqual(lines.map((line) => line.split(" | ").slice(0, 6).join(" | ")), [
        "| `train/dt` | 3 | slowest | 100 | 100% | 25%",
        "| `tokens_per_sec` | 1 | slowest | 100 | 100% | 25%",
        "| `loss` | 3 | greatest | 100 | 100% | 25%",
        "| `loss` | 0 | least | 100 | 100% | 25%"
      ])
      assert.match(text, /25% \| \+60%, \+1\.73 std \|/)
      assert.match(text, /25% \| -87%, -1\.73 std \|/)
      assert.notInclude(text, "`even`")
    }))

  it.effect("tells the slowest rank where none stands out, too, and says that none does", () =>
    Effect.gen(function*() {
      const text = yield* report(rowsOf(200, (n) => ({ dt: [0, 1, 2, 3].map((rank) => 1 + noise(4 * n + rank)) })))
      assert.include(text, "in 200 records. No rank stands out.")
      assert.match(text, /\| `dt` \| \d \| slowest \| \d\d \| \d\d% \| 25% \|/)
      assert.notInclude(text, "fastest")
    }))

  it.effect("does not blame the lowest rank for a value that many share", () =>
    Effect.gen(function*() {
      const text = yield* report(rowsOf(100, (n) => ({
        skipped: [0, 0, 0, 0, 0, 0, 0, n + 1],
        correct: [0, 1, 2, 3, 4, 5, 6, 7].map((rank) => Math.floor(3 * noise(8 * n + rank)))
      })))
      assert.include(text, "| `skipped` | 7 | greatest | 100 | 100% | 13% | +2.65 std |")
      assert.notInclude(text, "least")
      assert.notInclude(text, "`correct`")
    }))

  it.effect("says how many records were partial, and what was not finite", () =>
    Effect.gen(function*() {
      const text = yield* report([
        ...rowsOf(8, () => ({ loss: [1, 2, NaN] })),
        row(9, { loss: [1, 2, undefined] }, 3),
        row(10, { "eval/loss": [1] }, 3),
        row(11, { loss: [1, 2] }, 2)
      ])
      assert.include(
        text,
        "across 3 ranks in 11 records, 1 of them from rank 0 alone, " +
          "2 of them without all ranks (at least 2 of 3; in 1 a rank that was there said nothing)."
      )
      assert.include(text, "- `loss` in 8 records, on up to 1 rank at once.")
    }))

  it.effect("stays short, whatever the number of metrics", () =>
    Effect.gen(function*() {
      const many = (name: string): Said =>
        Object.fromEntries(Array.from({ length: 900 }, (_, n) => [`${name}_${n}`, [1, NaN, 1, 5]]))
      const text = yield* report(rowsOf(30, () => ({ ...many("weird"), ...many("dt") })))
      assert.isBelow(text.split("\n").length, 70)
      assert.match(text, /\| `dt_0` \| 3 \| slowest \| 30 \|/)
      assert.include(text, "800 more metrics were not looked at.")
      assert.include(text, "990 more metrics have such values.")
      assert.match(text, /[\d,]+ more ranks are left out\./)
    }))
})

describe("names", () => {
  it("of times and rates are told by their words", () => {
    const known: ReadonlyArray<readonly [string, Ranks.Metric["speed"]]> = [
      ["dt", "time"],
      ["train/dtf", "time"],
      ["step_time", "time"],
      ["stepTime", "time"],
      ["time_per_step", "time"],
      ["latency_ms", "time"],
      ["tokens_per_second", "rate"],
      ["perf/samples_per_sec", "rate"],
      ["throughput", "rate"],
      ["mfu", "rate"],
      ["loss", undefined],
      ["timesteps", undefined],
      ["sentiment", undefined],
      ["loss_per_token", undefined]
    ]
    for (const [key, speed] of known) assert.strictEqual(Ranks.speedOf(key), speed, key)
  })
})

describe("ranks of extremes, and how many were not finite", () => {
  it.effect("are no metrics of their own: no series, so no plot and no line of the report", () =>
    Effect.gen(function*() {
      const rows = [row(1, { loss: [1, NaN, 3], x: [NaN, NaN] }), row(2, { loss: [2, 3, 4], x: [1, 2] })]
      // A record of which only the statistics are left: they stand for the metric, by a value.
      const lost: Metrics = { "gone/nonfinite": 1, "gone/argmin": 0, "gone/argmax": 1, "gone/mean": 2 }
      const [first] = rows
      const all: ReadonlyArray<Row> = [
        { ...first!, statistics: { values: { ...lost, ...first?.statistics?.values }, count: 3, expected: 3 } },
        ...rows.slice(1)
      ]
      const census = yield* Fold.run(Stream.fromIterable(all), Census.fold)
      const { series } = yield* Fold.run(Stream.fromIterable(all), Columns.fromRows(Series.fold(census), census))
      assert.deepStrictEqual(series.map(({ variable }) => variable.key), ["loss", "x", "gone/mean"])
    }))
})
