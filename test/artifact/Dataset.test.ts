import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as fs from "node:fs"
import { join, relative } from "node:path"
import * as Dataset from "../../src/artifact/Dataset.ts"
import * as Census from "../../src/Census.ts"
import * as Columns from "../../src/Columns.ts"
import * as Fold from "../../src/Fold.ts"
import type { Metrics, Value } from "../../src/Metrics.ts"
import type { Row } from "../../src/Row.ts"
import { snapshot, temporary } from "../support/directory.ts"

// -----------------------------------------------------------------------------
// Runs and what is expected of them
// -----------------------------------------------------------------------------

const rowsOf = (records: ReadonlyArray<Metrics>, statistics: ReadonlyArray<Metrics> = []): ReadonlyArray<Row> =>
  records.map((metrics, i) => ({
    seq: i + 1,
    step: i % 3 === 1 ? undefined : i * 10,
    timestamp: 1.7e9 + i / 3,
    rank: 0,
    metrics,
    statistics: statistics[i] === undefined ? undefined : { values: statistics[i], count: 2, expected: 2 }
  }))

/** Writes the datasets of a run. */
const write = (directory: string, rows: ReadonlyArray<Row>, warmup = 0, runId = "run") =>
  Effect.gen(function*() {
    const stream = Stream.fromIterable(rows)
    const census = yield* Fold.run(stream, Census.fold)
    return yield* Fold.run(
      stream,
      Columns.fromRows(Dataset.fold(census, { directory, runId, warmup }), census, warmup)
    )
  })

/** A metric's values in every draw of its group, worked out record by record. */
const expected = (
  rows: ReadonlyArray<Row>,
  group: string,
  metric: string,
  shape: ReadonlyArray<number>,
  warmup = 0
) => {
  const prefix = (key: string) => key.includes("/") ? key.slice(0, key.indexOf("/")) : ""
  const draws = rows.filter((row) => Object.keys(row.metrics).some((key) => prefix(key) === group)).slice(warmup)
  const [, chains = 1, leapfrogs = 1] = shape
  const cell = (value: unknown): number =>
    typeof value === "number" ? value : typeof value === "boolean" ? Number(value) : NaN
  const values = draws.flatMap((row) => {
    const value: Value | undefined = row.metrics[metric]
    return Array.from({ length: chains }, (_, chain) =>
      Array.from({ length: leapfrogs }, (_, leapfrog) => {
        const outer = shape.length > 1 ? (Array.isArray(value) ? value[chain] : undefined) : value
        return cell(shape.length > 2 ? (Array.isArray(outer) ? outer[leapfrog] : undefined) : outer)
      })).flat()
  })
  return Float64Array.from(values)
}

const hex = (values: Float64Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex")

const same = (actual: Float64Array, wanted: ReadonlyArray<number> | Float64Array, message?: string) =>
  assert.strictEqual(hex(actual), hex(Float64Array.from(wanted)), message)

const number = fc.oneof(
  fc.double(),
  fc.constantFrom(NaN, Infinity, -Infinity, 0, -0, Number.MIN_VALUE, Number.MAX_VALUE, 0.1 + 0.2)
)
const vector = (max: number) => fc.array(number, { minLength: 1, maxLength: max })

/** Records in which each key always has values of one kind, now and then missing. */
const records = fc.array(
  fc.record({
    "loss": fc.oneof(number, fc.boolean(), fc.constant(null)),
    "draw": number,
    "train/loss": number,
    "train/samples": vector(4),
    "train/layers": vector(2),
    "train/chain_2": number,
    "train/note": fc.string(),
    "eval/a/b": number,
    "eval/paths": fc.array(vector(3), { minLength: 1, maxLength: 3 })
  }, { requiredKeys: [] }),
  { minLength: 1, maxLength: 12 }
)

// -----------------------------------------------------------------------------
// Batches without a log
// -----------------------------------------------------------------------------

const variable = (index: number, name: string, chains = 0, leapfrogs = 0): Census.Variable => ({
  key: name,
  statistic: undefined,
  index,
  name,
  file: name,
  chains,
  leapfrogs,
  count: 1,
  texts: 0,
  integer: false,
  min: 0,
  max: 1
})

const groupOf = (name: string, draws: number, variables: ReadonlyArray<Census.Variable>): Census.Group => ({
  name,
  file: name,
  draws,
  orderedSteps: true,
  variables
})

const censusOf = (groups: ReadonlyArray<Census.Group>): Census.Census => ({
  rows: 0,
  groups,
  firstTimestamp: undefined,
  lastTimestamp: undefined,
  lastStep: undefined
})

const batchOf = (
  group: Census.Group,
  first: number,
  length: number,
  columns: ReadonlyMap<number, Float64Array>
): Columns.Batch => ({
  group,
  first,
  length,
  last: first + length === group.draws,
  step: Float64Array.from({ length }, (_, i) => first + i),
  timestamp: Float64Array.from({ length }, (_, i) => first + i + 0.5),
  columns
})

// -----------------------------------------------------------------------------

describe("Dataset", () => {
  it.effect("writes one file per group, a variable per metric, and says what is in them", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const rows = rowsOf(
        [{ "lr": 1, "train/loss": 2, "train/z": [[1, 2, 3], [4, 5, 6]], "train/text": "hello" }, { "train/step": 5 }],
        [{ "train/loss/mean": 2.5 }]
      )
      const files = yield* write(directory, rows)
      assert.deepStrictEqual(files, [
        {
          group: "",
          path: join(directory, "dataset.h5"),
          draws: 1,
          variables: [{ name: "lr", metric: "lr", dims: ["draw"], shape: [1] }]
        },
        {
          group: "train",
          path: join(directory, "train.h5"),
          draws: 2,
          variables: [
            { name: "loss", metric: "train/loss", dims: ["draw"], shape: [2] },
            { name: "z", metric: "train/z", dims: ["draw", "chain", "leapfrog"], shape: [2, 2, 3] },
            { name: "loss_mean", metric: "train/loss/mean", dims: ["draw"], shape: [2] },
            { name: "step_", metric: "train/step", dims: ["draw"], shape: [2] }
          ]
        }
      ])
      const train = yield* Dataset.open(join(directory, "train.h5"))
      assert.deepStrictEqual(train.attributes, { coordinates: "step timestamp", group: "train", run_id: "run" })
      assert.deepStrictEqual([...train.variables.keys()].sort(), [
        ...["chain", "draw", "leapfrog", "loss", "loss_mean", "step", "step_", "timestamp", "z"]
      ])
      assert.deepStrictEqual(train.variables.get("loss_mean"), {
        name: "loss_mean",
        dims: ["draw"],
        shape: [2],
        attributes: { coordinates: "step timestamp", metric: "train/loss/mean", of: "train/loss", statistic: "mean" }
      })
      assert.deepStrictEqual(train.variables.get("z")?.dims, ["draw", "chain", "leapfrog"])
      assert.deepStrictEqual(train.variables.get("timestamp")?.dims, ["draw"])
      assert.deepStrictEqual(train.variables.get("timestamp")?.attributes, {})
      same(yield* train.values("draw"), [0, 1])
      same(yield* train.values("leapfrog"), [0, 1, 2])
      same(yield* train.values("step"), [0, NaN])
      same(yield* train.values("loss_mean"), [2.5, NaN])
      same(yield* train.values("step_"), [NaN, 5])
    }))

  it.effect("holds the log's values to the last bit, whatever they are, after warm-up", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(records, fc.integer({ min: 0, max: 3 }), (records, warmup) =>
          Effect.gen(function*() {
            const directory = yield* temporary
            const rows = rowsOf(records)
            for (const file of yield* write(directory, rows, warmup)) {
              const all = expected(rows, file.group, "", [0]).length
              const dropped = Math.min(warmup, all - 1)
              assert.strictEqual(file.draws, all - dropped)
              for (const { metric, name, shape } of file.variables) {
                same(
                  yield* Dataset.values(file, name),
                  expected(rows, file.group, metric, shape, dropped),
                  `${metric} of ${JSON.stringify(records)}`
                )
              }
            }
          }).pipe(Effect.scoped, Effect.runPromise)),
        { numRuns: 40 }
      )
    ))

  it.effect("holds the same values however the batches are cut", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ length: fc.integer({ min: 1, max: 9 }), has: fc.tuple(fc.boolean(), fc.boolean()) }), {
            minLength: 1,
            maxLength: 8
          }),
          (cuts) =>
            Effect.gen(function*() {
              const directory = yield* temporary
              const draws = cuts.reduce((sum, cut) => sum + cut.length, 0)
              const group = groupOf("g", draws, [variable(0, "a"), variable(1, "b", 3)])
              const wanted = [new Float64Array(draws).fill(NaN), new Float64Array(draws * 3).fill(NaN)] as const
              let first = 0
              const batches = cuts.map(({ has, length }) => {
                const columns = new Map<number, Float64Array>()
                for (const [index, width] of [1, 3].entries()) {
                  if (has[index] !== true) continue
                  const column = Float64Array.from({ length: length * width }, (_, i) => first + i / 8)
                  columns.set(index, column)
                  wanted[index]?.set(column, first * width)
                }
                first += length
                return batchOf(group, first - length, length, columns)
              })
              const fold = Dataset.fold(censusOf([group]), { directory, runId: "r" })
              const [file] = yield* Fold.run(Stream.fromIterable(batches), fold)
              assert.isDefined(file)
              same(yield* Dataset.values(file, "a"), wanted[0])
              same(yield* Dataset.values(file, "b"), wanted[1])
              same(yield* Dataset.values(file, "step"), Float64Array.from({ length: draws }, (_, i) => i))
              same(yield* Dataset.values(file, "draw"), Float64Array.from({ length: draws }, (_, i) => i))
            }).pipe(Effect.scoped, Effect.runPromise)
        ),
        { numRuns: 60 }
      )
    ))

  it.effect("gives vectors of other lengths a dimension of their own, and lets metrics keep their names", () =>
    Effect.gen(function*() {
      const rows = rowsOf([{ a: [1, 2, 3], b: [1, 2], c: [[1], [2], [3]], d: [[1, 2], [3, 4]], chain_2: 7 }])
      const [file] = yield* write(yield* temporary, rows)
      assert.deepStrictEqual(file?.variables.map(({ dims, name }) => [name, ...dims]), [
        ["a", "draw", "chain"],
        ["b", "draw", "chain_2_"],
        ["c", "draw", "chain", "leapfrog_1"],
        ["d", "draw", "chain_2_", "leapfrog"],
        ["chain_2", "draw"]
      ])
      assert.isDefined(file)
      const dataset = yield* Dataset.open(file.path)
      assert.deepStrictEqual(dataset.variables.get("d")?.dims, ["draw", "chain_2_", "leapfrog"])
      same(yield* dataset.values("chain_2"), [7])
      same(yield* dataset.values("chain_2_"), [0, 1])
    }))

  it.effect("gives the same bytes for the same run", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const rows = rowsOf([{ "a": 1, "b/c": [1, 2] }, { "a": 2 }, { "b/d": [[1]] }])
      yield* write(directory, rows)
      const before = snapshot(directory)
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 86_400_000 })
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.useRealTimers()))
      yield* write(directory, rows)
      assert.deepStrictEqual(snapshot(directory), before)
      assert.deepStrictEqual([...before.keys()], ["b.h5", "dataset.h5"])
    }))

  it.effect("is an HDF5 file of the first format, which every version since 1.8 reads", () =>
    Effect.gen(function*() {
      const [file] = yield* write(yield* temporary, rowsOf([{ a: 1 }]))
      assert.isDefined(file)
      assert.strictEqual(fs.readFileSync(file.path)[8], 0)
    }))

  it.effect("takes place only for what is there, with thousands of metrics that hardly occur", () =>
    Effect.gen(function*() {
      const draws = 20_000
      const many = 4200
      const group = groupOf("g", draws, Array.from({ length: many }, (_, i) => variable(i, `v${i}`)))
      const batches = Array.from({ length: draws / 400 }, (_, i) => {
        const columns = new Map<number, Float64Array>()
        for (let index = i; index < many; index += draws / 400) {
          columns.set(index, new Float64Array(400).fill(NaN).fill(index, 7, 8))
        }
        return batchOf(group, i * 400, 400, columns)
      })
      const fold = Dataset.fold(censusOf([group]), { directory: yield* temporary, runId: "r" })
      const [file] = yield* Fold.run(Stream.fromIterable(batches), fold)
      assert.isDefined(file)
      // All of it would be 672 MB; there are 13 MB of chunks, and some 2.5 kB of headers for each metric.
      assert.isBelow(fs.statSync(file.path).size, 30_000_000)
      const wanted = new Float64Array(draws).fill(NaN)
      wanted[49 * 400 + 7] = 4199
      same(yield* Dataset.values(file, "v4199"), wanted)
      const dataset = yield* Dataset.open(file.path)
      for (const name of ["v0", "v1023", "v1024", "v4199", "step"]) {
        assert.deepStrictEqual(dataset.variables.get(name)?.dims, ["draw"])
      }
    }))

  it.effect("writes more groups at a time than it has files open", () =>
    Effect.gen(function*() {
      const groups = Array.from({ length: 100 }, (_, i) => groupOf(`g${i}`, 3, [variable(0, "x")]))
      const batches = [0, 1, 2].flatMap((draw) =>
        groups.map((group, i) => batchOf(group, draw, 1, new Map([[0, Float64Array.of(i * 10 + draw)]])))
      )
      const directory = yield* temporary
      const running = yield* Dataset.fold(censusOf(groups), { directory, runId: "r" }).open
      yield* running.push(batches.slice(0, 250))
      if (fs.existsSync("/proc/self/fd")) {
        const open = fs.readdirSync("/proc/self/fd").map((fd) => {
          try {
            return fs.readlinkSync(`/proc/self/fd/${fd}`)
          } catch {
            return ""
          }
        })
        assert.isAtMost(open.filter((path) => path.startsWith(directory)).length, 32)
      }
      yield* running.push(batches.slice(250))
      const files = yield* running.done
      assert.deepStrictEqual(files.map((file) => file.group), groups.map((group) => group.name))
      for (const [i, file] of files.entries()) {
        same(yield* Dataset.values(file, "x"), [i * 10, i * 10 + 1, i * 10 + 2])
      }
    }).pipe(Effect.scoped))

  it.effect("leaves the files that were complete and nothing else when the run's reading fails or is interrupted", () =>
    Effect.gen(function*() {
      const groups = [groupOf("whole", 1, [variable(0, "x")]), groupOf("half", 2, [variable(0, "x")])] as const
      const batches = groups.map((group) => batchOf(group, 0, 1, new Map([[0, Float64Array.of(1)]])))
      for (const end of [Stream.fail("no more"), Stream.fromEffect(Effect.interrupt)]) {
        const directory = yield* temporary
        const fold = Dataset.fold(censusOf(groups), { directory, runId: "r" })
        const exit = yield* Effect.exit(Fold.run(Stream.concat(Stream.fromIterable(batches), end), fold))
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(fs.readdirSync(directory), ["whole.h5"])
      }
    }))

  it.effect("is not seen under its name before its last batch", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const group = groupOf("g", 2, [variable(0, "x")])
      const running = yield* Dataset.fold(censusOf([group]), { directory, runId: "r" }).open
      yield* running.push([batchOf(group, 0, 1, new Map())])
      assert.isFalse(fs.existsSync(join(directory, "g.h5")))
      yield* running.push([batchOf(group, 1, 1, new Map())])
      assert.deepStrictEqual(fs.readdirSync(directory), ["g.h5"])
    }).pipe(Effect.scoped))

  it.effect("says which path could not be written and why", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      fs.mkdirSync(join(directory, "dataset.h5", "in the way"), { recursive: true })
      const taken = yield* Effect.flip(write(directory, rowsOf([{ a: 1 }])))
      assert.strictEqual(taken._tag, "ArtifactError")
      assert.strictEqual(taken.path, join(directory, "dataset.h5"))
      assert.match(taken.message, /dataset\.h5 could not be written: E(ISDIR|EXIST|NOTEMPTY)/)
      assert.deepStrictEqual(fs.readdirSync(directory), ["dataset.h5"])

      fs.writeFileSync(join(directory, "file"), "")
      const nowhere = yield* Effect.flip(write(join(directory, "file", "run"), rowsOf([{ a: 1 }])))
      assert.strictEqual(nowhere.path, join(directory, "file", "run"))
      assert.match(nowhere.message, /ENOTDIR/)
    }))

  it.effect("writes to any directory, relative, with spaces, in any script", () =>
    Effect.gen(function*() {
      const directory = join(relative(process.cwd(), yield* temporary), "my runs", "läufe 漢字")
      const [file] = yield* write(directory, rowsOf([{ "损失 'x' \"y\"": 1, "é": 2 }]))
      assert.isDefined(file)
      assert.isTrue(fs.existsSync(join(directory, "dataset.h5")))
      same(yield* Dataset.values(file, "损失 'x' \"y\""), [1])
      same(yield* Dataset.values(file, "é"), [2])
    }))

  it.effect("writes no file for a run without records, and none for a group without draws", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      assert.deepStrictEqual(yield* write(directory, []), [])
      const group = groupOf("g", 0, [variable(0, "x")])
      const fold = Dataset.fold(censusOf([group]), { directory, runId: "r" })
      assert.deepStrictEqual(yield* Fold.run(Stream.make(batchOf(group, 0, 0, new Map())), fold), [])
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    }))

  it.effect("says what is wrong with a file that cannot be read", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const missing = yield* Effect.flip(Effect.scoped(Dataset.open(join(directory, "none.h5"))))
      assert.strictEqual(missing._tag, "DatasetReadError")
      assert.match(missing.message, /none\.h5 could not be read: ENOENT/)
      const text = join(directory, "text.h5")
      fs.writeFileSync(text, "not a dataset")
      assert.match((yield* Effect.flip(Dataset.values({ path: text }, "x"))).message, /text\.h5.*not an HDF5 file/)
      const [file] = yield* write(directory, rowsOf([{ a: 1 }]))
      assert.isDefined(file)
      assert.match((yield* Effect.flip(Dataset.values(file, "b"))).message, /there is no variable b/)
    }))
})
