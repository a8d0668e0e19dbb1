import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as Census from "../src/Census.ts"
import * as Columns from "../src/Columns.ts"
import * as Fold from "../src/Fold.ts"
import { group as groupOf, type Metrics, type Value } from "../src/Metrics.ts"
import type { Row } from "../src/Row.ts"

// -----------------------------------------------------------------------------
// Batches, put together again
// -----------------------------------------------------------------------------

interface Rebuilt {
  readonly draws: Array<readonly [number, number]>
  readonly columns: Record<string, Array<number>>
  lasts: number
  longest: number
}

const rebuild: Fold.Fold<Columns.Batch, Record<string, Rebuilt>> = Fold.make(
  (): Record<string, Rebuilt> => ({}),
  (groups, batch) => {
    const group = groups[batch.group.name] ??= { draws: [], columns: {}, lasts: 0, longest: 0 }
    assert.strictEqual(batch.first, group.draws.length)
    assert.strictEqual(group.lasts, 0)
    assert.deepStrictEqual([batch.step.length, batch.timestamp.length], [batch.length, batch.length])
    batch.step.forEach((step, i) => group.draws.push([step, batch.timestamp[i]!]))
    for (const variable of batch.group.variables) {
      const width = Columns.width(variable)
      const column = batch.columns.get(variable.index) ?? new Float64Array(batch.length * width).fill(NaN)
      assert.strictEqual(column.length, batch.length * width)
      const whole = group.columns[nameOf(variable)] ??= []
      for (const number of column) whole.push(number)
    }
    if (batch.last) group.lasts++
    group.longest = Math.max(group.longest, batch.length)
    return groups
  },
  (groups) => groups
)

const nameOf = (variable: Census.Variable): string =>
  `${variable.statistic === undefined ? "metric" : "statistic"} ${variable.key}`

/** The same, said row by row. */
const model = (rows: ReadonlyArray<Row>, census: Census.Census, warmup: number): Record<string, Rebuilt> => {
  const groups: Record<string, Rebuilt> = {}
  for (const group of census.groups) {
    const all = rows.filter((row) => Object.keys(row.metrics).some((key) => groupOf(key) === group.name))
    const drop = warmup < 1 ? Math.floor(all.length * warmup) : warmup
    const draws = all.slice(Math.max(0, Math.min(drop, all.length - 1)))
    const columns: Record<string, Array<number>> = {}
    for (const variable of group.variables) {
      columns[nameOf(variable)] = draws.flatMap((row) => {
        const values = variable.statistic === undefined ? row.metrics : row.statistics?.values ?? {}
        return numbers(Object.hasOwn(values, variable.key) ? values[variable.key]! : null, variable)
      })
    }
    groups[group.name] = { draws: draws.map((row) => [row.step ?? NaN, row.timestamp]), columns, lasts: 1, longest: 0 }
  }
  return groups
}

const numbers = (value: Value, { chains, leapfrogs }: Census.Variable): ReadonlyArray<number> => {
  const at = (chain: number, leapfrog: number): number => {
    if (typeof value === "number" || typeof value === "boolean") {
      return chain === 0 && leapfrog === 0
        ? Number(value)
        : NaN
    }
    if (value === null || typeof value === "string") return NaN
    const item = value[chain]
    return typeof item === "number" ? (leapfrog === 0 ? item : NaN) : item?.[leapfrog] ?? NaN
  }
  return Array.from(
    { length: Math.max(1, chains) },
    (_, chain) => Array.from({ length: Math.max(1, leapfrogs) }, (__, leapfrog) => at(chain, leapfrog))
  ).flat()
}

const columnsOf = (rows: ReadonlyArray<Row>, warmup: number, cut = rows.length) =>
  Effect.gen(function*() {
    const census = yield* Fold.run(Stream.fromIterable(rows), Census.fold)
    const chunks = Array.from({ length: Math.ceil(rows.length / Math.max(1, cut)) }, (_, i) =>
      rows.slice(i * cut, (i + 1) * cut))
    const input = Stream.flatMap(Stream.fromIterable(chunks), (chunk) =>
      Stream.fromIterable(chunk))
    const found = yield* Fold.run(input, Columns.fromRows(rebuild, census, warmup))
    return { census, found }
  })

const withoutLongest = (groups: Record<string, Rebuilt>) =>
  Object.fromEntries(Object.entries(groups).map(([name, group]) => [name, { ...group, longest: 0 }]))

const row = (seq: number, metrics: Metrics, values?: Metrics): Row => ({
  seq,
  step: seq % 7 === 0 ? undefined : seq,
  timestamp: seq / 8,
  rank: 0,
  metrics,
  statistics: values === undefined ? undefined : { values, count: 2, expected: 2 }
})

describe("fromRows", () => {
  it.effect("keeps every value of every draw, whatever the chunks, the warm-up and the values are", () =>
    Effect.gen(function*() {
      const scalar: fc.Arbitrary<Value> = fc.oneof(
        fc.double(),
        fc.boolean(),
        fc.constantFrom<Value>(null, "text", NaN, -0),
        fc.array(fc.double(), { maxLength: 3 }),
        fc.array(fc.array(fc.double(), { maxLength: 3 }), { maxLength: 3 })
      )
      const key = fc.constantFrom("a", "b", "x/a", "x/b", "y/a", "__proto__", "constructor", "x//", "/")
      const rows = fc.array(
        fc.tuple(
          fc.dictionary(key, scalar, { maxKeys: 5 }),
          fc.option(fc.dictionary(fc.constantFrom("a/mean", "x/a/max", "z/b/std"), fc.double()))
        ),
        { maxLength: 25 }
      )
      const sample = fc.tuple(rows, fc.constantFrom(0, 0.05, 0.5, 0.99, 1, 3, 100), fc.integer({ min: 1, max: 30 }))
      for (const [generated, warmup, cut] of fc.sample(sample, { numRuns: 400, seed: 1 })) {
        const input = generated.map(([metrics, values], i) => row(i + 1, metrics, values ?? undefined))
        const { census, found } = yield* columnsOf(input, warmup, cut)
        assert.deepStrictEqual(withoutLongest(found), model(input, census, warmup))
      }
    }))

  it.effect("cuts long groups into batches, and joins them without a seam", () =>
    Effect.gen(function*() {
      const input = Array.from({ length: 10_000 }, (_, i) =>
        row(i + 1, i % 3 === 0 ? { a: i, "x/h": [i, -i] } : i % 2 === 0 ? { a: i } : { b: i }, { "a/mean": i / 2 }))
      for (const [warmup, cut] of [[0, 10_000], [0.05, 977], [5000, 4096]] as const) {
        const { census, found } = yield* columnsOf(input, warmup, cut)
        assert.deepStrictEqual(withoutLongest(found), model(input, census, warmup))
        assert.isAtMost(found[""]?.longest ?? Infinity, 4096)
      }
    }))

  it.effect("gives statistics no draw of their own", () =>
    Effect.gen(function*() {
      const { census, found } = yield* columnsOf([
        row(1, { a: 1 }, { "a/mean": 2, "x/b/mean": 3 }),
        row(2, { "x/b": 4 })
      ], 0)
      assert.deepStrictEqual(census.groups.map((group) => [group.name, group.draws]), [["", 1], ["x", 1]])
      assert.deepStrictEqual(found["x"]?.columns, { "statistic x/b/mean": [NaN], "metric x/b": [4] })
    }))

  it.effect("ends every group once, also one without draws", () =>
    Effect.gen(function*() {
      const census = yield* Fold.run(Stream.make(row(1, { a: 1 })), Census.foldKnowing(["x/never"]))
      const found = yield* Fold.run(Stream.make(row(1, { a: 1 })), Columns.fromRows(rebuild, census))
      assert.deepStrictEqual([found["x"]?.lasts, found["x"]?.draws.length, found[""]?.lasts], [1, 0, 1])
    }))

  it.effect("takes a bounded amount of memory, for many groups, many metrics and large matrices", () =>
    Effect.gen(function*() {
      const wide: Metrics = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`g${i}/a`, i]))
      const tall: Metrics = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, i]))
      const matrix: Metrics = { m: Array.from({ length: 100 }, () => Array.from({ length: 1000 }, () => 1)) }
      for (const metrics of [wide, tall, matrix]) {
        const draws = 5000
        const census = yield* Fold.run(Stream.make(row(1, metrics)), Census.fold)
        // As if there were thousands of draws: what counts is how much one batch of each group would take.
        const groups = census.groups.map((group) => ({ ...group, draws }))
        let numbers = 0
        const measure = Fold.make(() => 0, (_: number, batch: Columns.Batch) => {
          numbers += [...batch.columns.values()].reduce((sum, column) => sum + column.buffer.byteLength / 8, 0)
          numbers += (batch.step.buffer.byteLength + batch.timestamp.buffer.byteLength) / 8
          return 0
        }, () => undefined)
        yield* Fold.run(Stream.make(row(1, metrics)), Columns.fromRows(measure, { ...census, groups }))
        assert.isAtMost(numbers, 4_194_304 * 1.01)
        assert.isAtLeast(numbers, 100_000)
      }
    }))
})
