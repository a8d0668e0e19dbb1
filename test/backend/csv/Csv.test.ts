import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Metrics, numberText, type Value } from "../../../src/Metrics.ts"
import type { Row } from "../../../src/Row.ts"
import { directory, kept, row, start, startProcess, table } from "./support.ts"

// -----------------------------------------------------------------------------
// What the table should hold, worked out the slow way
// -----------------------------------------------------------------------------

const arrayText = (value: Value): string =>
  Array.isArray(value) ? `[${value.map(arrayText).join(",")}]` : numberText(Number(value))

const textOf = (value: Value | undefined): string =>
  value === null || value === undefined
    ? ""
    : typeof value === "string"
    ? value.toWellFormed()
    : typeof value === "object"
    ? arrayText(value)
    : Object.is(value, -0)
    ? "-0.0"
    : Math.abs(Number(value)) === Infinity
    ? String(value).replace("Infinity", "inf")
    : typeof value === "number" && Math.abs(value) > 2 ** 53 - 1
    ? value.toExponential()
    : String(value)

const expected = (rows: ReadonlyArray<Row>) => {
  const header = ["step", "timestamp"]
  const ids = ["", ""]
  const cells = rows.map((row) => {
    const out = [textOf(row.step), textOf(row.timestamp)]
    for (const [kind, values] of [["m", row.metrics], ["s", row.statistics?.values ?? {}]] as const) {
      for (const key of Object.keys(values)) {
        const id = kind + key
        if (!ids.includes(id)) {
          const text = key.toWellFormed()
          const name = text === "step" || text === "timestamp" ? `${text}_` : text
          let free = name
          for (let n = 2; header.includes(free); n++) free = `${name}_${n}`
          header.push(free)
          ids.push(id)
        }
        out[ids.indexOf(id)] = textOf(values[key])
      }
    }
    return out
  })
  return { header, rows: cells.map((row) => header.map((_, column) => row[column] ?? "")) }
}

/** What is shown is the first of the rows; nothing of them is missing, nor of the columns that `seenBefore` brought. */
const checkPrefix = (path: string, rows: ReadonlyArray<Row>, seenBefore: ReadonlyArray<Row> = rows): void => {
  const seen = table(path)
  const all = { header: expected(seenBefore).header, rows: expected(seenBefore).rows.slice(0, rows.length) }
  assert.deepStrictEqual(seen.header, all.header.slice(0, seen.header.length))
  assert.deepStrictEqual(
    seen.rows,
    all.rows.slice(0, seen.rows.length).map((cells) => cells.slice(0, seen.header.length))
  )
  for (const cells of all.rows.slice(0, seen.rows.length)) {
    assert.isTrue(cells.slice(seen.header.length).every((text) => text === ""), "a shown row lacks a value")
  }
}

const keys = fc.constantFrom(
  "loss",
  "train/loss",
  "lr",
  "step",
  "step_",
  "timestamp",
  "a,b",
  "say \"q\"",
  "two\nlines",
  "",
  "\ud800",
  "\udc00",
  "__proto__",
  "constructor",
  "10",
  "2",
  "loss/mean",
  ..."abcdefghijklmnopqrstuvwxyz".split("")
)

const values: fc.Arbitrary<Value> = fc.oneof(
  { weight: 6, arbitrary: fc.double() },
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(-0, 1e300, NaN, -Infinity),
  fc.string({ unit: fc.constantFrom("\"", ",", "\r", "\n", " ", "x", "é", "\ud83d") }),
  fc.array(fc.double(), { maxLength: 3 })
)

const metrics: fc.Arbitrary<Metrics> = fc.array(fc.tuple(keys, values), { maxLength: 6 }).map(Object.fromEntries)

const rows = fc.array(fc.tuple(metrics, fc.option(metrics, { nil: undefined }), fc.boolean()), { maxLength: 60 }).map(
  (all) =>
    all.map(([metrics, statistics, hasStep], i): Row => {
      const made = row(i + 1, metrics, statistics)
      return hasStep ? made : { ...made, step: undefined }
    })
)

/** How a run goes: the sizes of its batches, how long after each, whether it dies then and from where it goes on. */
const course = fc.array(
  fc.record({
    size: fc.integer({ min: 1, max: 9 }),
    millis: fc.constantFrom(0, 0, 3, 1000),
    crash: fc.option(fc.record({ back: fc.integer({ min: 0, max: 4 }), torn: fc.boolean() }), {
      freq: 4,
      nil: undefined
    })
  }),
  { minLength: 1, maxLength: 30 }
)

type Course = typeof course extends fc.Arbitrary<infer A> ? A : never

const play = (rows: ReadonlyArray<Row>, course: Course) =>
  Effect.gen(function*() {
    const home = yield* directory
    const path = Path.join(home, "metrics.csv")
    let { csv, kill } = yield* startProcess(home)
    const checkpoints: Array<{ readonly taken: number; readonly checkpoint: unknown }> = [
      { taken: 0, checkpoint: undefined }
    ]
    let taken = 0
    let most = 0
    const log = (size: number) =>
      Effect.gen(function*() {
        const batch = rows.slice(taken, taken + size)
        yield* csv.log(batch)
        taken += batch.length
        most = Math.max(most, taken)
        checkpoints.push({ taken, checkpoint: kept(yield* csv.checkpoint) })
        checkPrefix(path, rows.slice(0, taken), rows.slice(0, most))
      })
    for (const { crash, millis, size } of course) {
      yield* log(size)
      yield* TestClock.adjust(millis)
      checkPrefix(path, rows.slice(0, taken), rows.slice(0, most))
      if (crash === undefined) continue
      yield* kill
      if (crash.torn) {
        for (const name of ["metrics.csv", ".ezpz/csv/tail.jsonl", ".ezpz/csv/columns.jsonl"]) {
          Fs.appendFileSync(Path.join(home, name), "[0,\"1.")
        }
      }
      checkpoints.splice(Math.max(1, checkpoints.length - crash.back))
      const last = checkpoints.at(-1)
      assert.isDefined(last)
      if (last === undefined) return
      taken = last.taken
      ;({ csv, kill } = yield* startProcess(home, last.checkpoint))
      assert.isFalse(csv.restart)
      const after = table(path)
      assert.isAtMost(after.rows.length, taken)
    }
    while (taken < rows.length) yield* log(7)
    yield* csv.finish("finished")
    assert.deepStrictEqual(table(path), expected(rows))
  })

describe("Csv", () => {
  it.effect(
    "holds each record once and in order, whatever the keys, the batches and the crashes",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            rows,
            course,
            (rows, course) =>
              Effect.runPromise(play(rows, course).pipe(Effect.scoped, Effect.provide(TestClock.layer())))
          ),
          { numRuns: 150 }
        )
      ),
    60_000
  )

  it.effect("shows each batch at once where all keys come in the first record", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const csv = yield* start(home)
      const path = Path.join(home, "metrics.csv")
      assert.deepStrictEqual(table(path), { header: ["step", "timestamp"], rows: [] })
      const rows = Array.from({ length: 30 }, (_, i) => row(i + 1, { loss: i / 3, lr: 1e-4 }, { "loss/mean": i / 3 }))
      for (let i = 0; i < rows.length; i += 3) {
        yield* csv.log(rows.slice(i, i + 3))
        assert.deepStrictEqual(table(path), expected(rows.slice(0, i + 3)))
      }
    }))

  it.effect("has columns for the keys that are known beforehand from the start, and first", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const csv = yield* start(home, undefined, ["lr", "loss", "lr"])
      const path = Path.join(home, "metrics.csv")
      assert.deepStrictEqual(table(path).header, ["step", "timestamp", "lr", "loss"])
      yield* csv.log([row(1, { loss: 1, acc: 2 }), row(2, { lr: 3, loss: 4 })])
      const shown = table(path)
      assert.deepStrictEqual(shown.header, ["step", "timestamp", "lr", "loss", "acc"])
      assert.deepStrictEqual(shown.rows.map((cells) => cells.slice(2)), [["", "1", "2"], ["3", "4", ""]])
      const again = yield* start(home, kept(yield* csv.checkpoint), ["lr", "loss"])
      assert.isFalse(again.restart)
      assert.deepStrictEqual(table(path), shown)
    }))

  it.effect("shows a key that comes late at once, and within a moment where keys come fast", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const csv = yield* start(home)
      const path = Path.join(home, "metrics.csv")
      const rows = Array.from(
        { length: 500 },
        (_, i) => row(i + 1, { loss: i, ...(i >= 400 ? { accuracy: i } : {}), ...(i >= 450 ? { "eval/loss": i } : {}) })
      )
      yield* csv.log(rows.slice(0, 400))
      yield* TestClock.adjust("10 seconds")
      yield* csv.log(rows.slice(400, 450))
      assert.deepStrictEqual(table(path), expected(rows.slice(0, 450)))
      yield* csv.log(rows.slice(450))
      assert.deepStrictEqual(table(path), expected(rows.slice(0, 450)))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(table(path), expected(rows))
    }))

  it.effect("takes records that come again after an interruption once", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const csv = yield* start(home)
      const path = Path.join(home, "metrics.csv")
      const rows = Array.from({ length: 40 }, (_, i) =>
        row(i + 1, { text: "x".repeat(200_000), ...(i >= 15 ? { late: i } : {}) }))
      yield* csv.log(rows.slice(0, 15))
      const before = yield* csv.checkpoint
      const fiber = yield* Effect.forkChild(csv.log(rows.slice(15)), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(yield* csv.checkpoint, before)
      assert.isFalse(Fs.readdirSync(home).includes(".metrics.csv.tmp"))
      assert.deepStrictEqual(table(path), expected(rows.slice(0, 15)))
      yield* csv.log(rows.slice(15))
      yield* csv.finish("finished")
      assert.deepStrictEqual(table(path), expected(rows))
    }))

  it.effect("is whole after a crash between a merge and the emptying of the tail", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const path = Path.join(home, "metrics.csv")
      const tail = Path.join(home, ".ezpz/csv/tail.jsonl")
      const rows = Array.from({ length: 120 }, (_, i) => row(i + 1, i < 100 ? { a: i } : { a: i, b: "é\n" }))
      const first = yield* startProcess(home)
      yield* first.csv.log(rows.slice(0, 100))
      yield* first.csv.log(rows.slice(100, 110))
      const checkpoint = kept(yield* first.csv.checkpoint)
      const waiting = Fs.readFileSync(tail)
      assert.isAbove(waiting.length, 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(table(path).rows.length, 110)
      yield* first.kill
      Fs.writeFileSync(tail, waiting)
      const second = yield* start(home, checkpoint)
      yield* second.log(rows.slice(110))
      yield* second.finish("finished")
      assert.isFalse(second.restart)
      assert.deepStrictEqual(table(path), expected(rows))
    }))

  it.effect("forgets the columns of records that a crash took before they were merged", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const path = Path.join(home, "metrics.csv")
      const rows = Array.from({ length: 100 }, (_, i) => row(i + 1, { a: i }))
      const first = yield* startProcess(home)
      yield* first.csv.log(rows)
      const checkpoint = kept(yield* first.csv.checkpoint)
      yield* first.csv.log([row(101, { lost: 1 })])
      yield* first.kill
      const second = yield* start(home, checkpoint)
      yield* second.log([row(101, { other: 1 })])
      yield* second.finish("finished")
      assert.deepStrictEqual(table(path), expected([...rows, row(101, { other: 1 })]))
    }))

  it.effect("asks for everything again where the files do not fit the checkpoint", () =>
    Effect.gen(function*() {
      const rows = Array.from({ length: 20 }, (_, i) => row(i + 1, { loss: i }))
      const damages: ReadonlyArray<(path: string) => void> = [
        (path) => Fs.rmSync(path),
        (path) => Fs.truncateSync(path, 100),
        (path) => Fs.writeFileSync(path, Fs.readFileSync(path, "utf8").replace("loss", "cost")),
        (path) => Fs.writeFileSync(path, ""),
        (path) => Fs.rmSync(Path.join(path, "../.ezpz/csv"), { recursive: true })
      ]
      for (const damage of damages) {
        const home = yield* directory
        const path = Path.join(home, "metrics.csv")
        const first = yield* startProcess(home)
        yield* first.csv.log(rows)
        yield* first.kill
        damage(path)
        const csv = yield* start(home, kept(yield* first.csv.checkpoint))
        assert.isTrue(csv.restart)
        assert.deepStrictEqual(table(path).rows, [])
        yield* csv.log(rows)
        assert.deepStrictEqual(table(path), expected(rows))
      }
      const home = yield* directory
      assert.isTrue((yield* start(home, { version: 2 })).restart)
    }))

  it.effect("replaces the table of an earlier run where there is no checkpoint", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const first = yield* startProcess(home)
      yield* first.csv.log([row(1, { old: 1 }), row(2, { old: 2, older: 3 })])
      yield* first.csv.logConfig({ old: true })
      yield* first.kill
      const csv = yield* start(home)
      assert.isFalse(csv.restart)
      yield* csv.log([row(1, { new: 1 })])
      yield* csv.logConfig({ new: true })
      assert.deepStrictEqual(table(Path.join(home, "metrics.csv")), expected([row(1, { new: 1 })]))
      assert.deepStrictEqual(JSON.parse(Fs.readFileSync(Path.join(home, "config.json"), "utf8")), { new: true })
    }))

  it.effect("merges configurations, across a resumption too, and keeps every number", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const path = Path.join(home, "config.json")
      const first = yield* startProcess(home)
      yield* first.csv.logConfig({
        lr: NaN,
        big: 2n ** 70n,
        betas: new Float32Array([0.5, 2]),
        nested: { a: Infinity }
      })
      yield* first.csv.logConfig({ seed: 1, nested: { b: 2 } })
      assert.deepStrictEqual(
        Fs.readFileSync(path, "utf8").replaceAll(/\s/g, ""),
        "{\"lr\":\"NaN\",\"big\":1180591620717411303424,\"betas\":[0.5,2],\"nested\":{\"b\":2},\"seed\":1}"
      )
      yield* first.kill
      const csv = yield* start(home, kept(yield* first.csv.checkpoint))
      yield* csv.logConfig({ seed: 2 })
      assert.deepInclude(JSON.parse(Fs.readFileSync(path, "utf8")), { lr: "NaN", seed: 2, nested: { b: 2 } })
      const circular: Record<string, unknown> = {}
      circular["self"] = circular
      const failed = yield* Effect.flip(csv.logConfig(circular))
      assert.match(failed.message, /csv\.logConfig\(\) failed: .*circular/)
      assert.deepInclude(JSON.parse(Fs.readFileSync(path, "utf8")), { seed: 2 })
    }))

  it.effect("writes the history as the table it is, with what still waited", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const csv = yield* start(home)
      const rows = Array.from({ length: 50 }, (_, i) => row(i + 1, i < 49 ? { a: i } : { b: i }))
      yield* csv.log(rows.slice(0, 49))
      yield* csv.log(rows.slice(49))
      const path = Path.join(home, "training_history.csv")
      yield* csv.logTable("training_history", { columns: ["unread"], rows: Stream.die("read") })
      assert.deepStrictEqual(table(path), expected(rows))
      yield* csv.log([row(51, { a: 1 })])
      yield* csv.logTable("training_history", { columns: [], rows: Stream.empty })
      assert.strictEqual(table(path).rows.length, 51)
    }))

  it.effect("streams other tables into files of safe names, each its own", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const csv = yield* start(home)
      const rows = Stream.make([1, "a,b"], [NaN, null], [[1, 2], undefined]).pipe(Stream.rechunk(2))
      yield* csv.logTable("../samples", { columns: ["n", "say \"x\""], rows })
      yield* csv.logTable("___samples", { columns: ["n"], rows: Stream.empty })
      const names = Fs.readdirSync(Path.join(home, "tables")).sort()
      assert.strictEqual(names.length, 2)
      assert.deepStrictEqual(table(Path.join(home, "tables", "___samples.csv")), {
        header: ["n", "say \"x\""],
        rows: [["1", "a,b"], ["NaN", ""], ["[1,2]", ""]]
      })
      yield* csv.logTable("../samples", { columns: ["again"], rows: Stream.empty })
      assert.deepStrictEqual(Fs.readdirSync(Path.join(home, "tables")).sort(), names)
      assert.deepStrictEqual(table(Path.join(home, "tables", "___samples.csv")).header, ["again"])
    }))

  it.effect("leaves nothing of a table whose rows fail", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const csv = yield* start(home)
      const rows = Stream.concat(Stream.make([1]), Stream.die(new Error("gone")))
      const exit = yield* Effect.exit(csv.logTable("t", { columns: ["n"], rows }))
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(Fs.readdirSync(Path.join(home, "tables")), [])
    }))

  it.effect("moves with its run, and goes on there", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const away = Path.join(yield* directory, "deep", "er")
      const csv = yield* start(home)
      const rows = Array.from({ length: 60 }, (_, i) => row(i + 1, i < 40 ? { a: i } : { a: i, b: -i }))
      yield* csv.logConfig({ lr: 1 })
      yield* csv.log(rows.slice(0, 40))
      yield* csv.log(rows.slice(40, 42))
      yield* csv.move(away)
      yield* csv.move(away)
      assert.deepStrictEqual(Fs.readdirSync(home), [".ezpz"])
      assert.deepStrictEqual(Fs.readdirSync(Path.join(home, ".ezpz")), [])
      const checkpoint = kept(yield* csv.checkpoint)
      yield* csv.log(rows.slice(42, 50))
      yield* csv.log(rows.slice(50))
      yield* csv.logConfig({ seed: 1 })
      yield* csv.finish("finished")
      assert.deepStrictEqual(table(Path.join(away, "metrics.csv")), expected(rows))
      assert.deepStrictEqual(JSON.parse(Fs.readFileSync(Path.join(away, "config.json"), "utf8")), { lr: 1, seed: 1 })
      const again = yield* start(away, checkpoint)
      assert.isFalse(again.restart)
      yield* again.log(rows.slice(42))
      yield* again.finish("finished")
      assert.deepStrictEqual(table(Path.join(away, "metrics.csv")), expected(rows))
    }))

  it.effect("says which path it cannot use, and why", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const file = Path.join(home, "file")
      Fs.writeFileSync(file, "")
      const error = yield* Effect.flip(start(Path.join(file, "run")))
      assert.strictEqual(error._tag, "BackendError")
      assert.match(error.message, /csv\.start\(\) failed: .*file\/run could not be written: ENOTDIR.*another directory/)
    }))
})
