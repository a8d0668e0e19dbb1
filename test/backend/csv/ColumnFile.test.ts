import { assert, beforeEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { vi } from "vitest"
import type { Row } from "../../../src/Row.ts"
import { directory, kept, row, start, startProcess, table } from "./support.ts"

/** What the file system does: how much is written, and what fails. */
const disk = vi.hoisted(() => ({
  written: 0,
  /** How many more bytes fit before a write fails. */
  room: Infinity,
  cuts: true,
  renames: (_from: string, _to: string): string | undefined => undefined
}))

const fail = vi.hoisted(() => (code: string, call: string): never => {
  throw Object.assign(new Error(`${code}: made up, ${call}`), { code })
})

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof Fs>()
  return {
    ...fs,
    writeSync: (fd: number, bytes: Buffer, from: number, length: number, position: number) => {
      // Half of what is asked for, as a kernel may.
      const part = Math.min(disk.room, length > 1 ? Math.ceil(length / 2) : length)
      if (part <= 0) return fail("ENOSPC", "write")
      const done = fs.writeSync(fd, bytes, from, part, position)
      disk.written += done
      disk.room -= done
      return done
    },
    ftruncateSync: (fd: number, length: number) => disk.cuts ? fs.ftruncateSync(fd, length) : fail("EIO", "ftruncate"),
    renameSync: (from: string, to: string) => {
      const code = disk.renames(from, to)
      return code === undefined ? fs.renameSync(from, to) : fail(code, "rename")
    }
  }
})

beforeEach(() => {
  disk.written = 0
  disk.room = Infinity
  disk.cuts = true
  disk.renames = () => undefined
})

const column = (path: string, name: string): Array<string> => {
  const { header, rows } = table(path)
  return rows.map((cells) => cells[header.indexOf(name)] ?? "absent")
}

const numbers = (from: number, to: number): Array<string> =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

const losses = (from: number, to: number): Array<Row> =>
  numbers(from, to).map((text) => row(Number(text), { loss: Number(text) }))

/** Logs rows in batches of 7 with no time between them; gives what was written, and the size of what came out. */
const cost = (rows: ReadonlyArray<Row>) =>
  Effect.gen(function*() {
    const home = yield* directory
    const csv = yield* start(home)
    for (let i = 0; i < rows.length; i += 7) yield* csv.log(rows.slice(i, i + 7))
    yield* csv.finish("finished")
    const { header, rows: shown } = table(Path.join(home, "metrics.csv"))
    const { size } = Fs.statSync(Path.join(home, "metrics.csv"))
    assert.strictEqual(shown.length, rows.length)
    assert.isAtLeast(disk.written, size)
    return { columns: header.length, written: disk.written, size }
  })

describe("what is written", () => {
  it.effect("is what is read, where all keys come in the first record", () =>
    Effect.gen(function*() {
      const { size, written } = yield* cost(losses(1, 3000))
      assert.isBelow(written, size * 1.01)
    }))

  it.effect("is at most thrice what is read, where each record has a new key", () =>
    Effect.gen(function*() {
      const { columns, size, written } = yield* cost(numbers(1, 1500).map((n) => row(Number(n), { [`key${n}`]: 1 })))
      assert.strictEqual(columns, 1502)
      assert.isBelow(written, 3 * size)
    }))

  it.effect("is at most thrice what is read, where new keys come now and then", () =>
    Effect.gen(function*() {
      const rows = numbers(1, 4000).map((n) =>
        row(Number(n), { a: Math.sqrt(Number(n)), b: Math.cbrt(Number(n)), [`late${Math.floor(Number(n) / 40)}`]: 0.5 })
      )
      const { size, written } = yield* cost(rows)
      assert.isBelow(written, 3 * size)
    }))

  it.effect("is at most thrice what is read, where one record outweighs the others", () =>
    Effect.gen(function*() {
      const rows = numbers(1, 300).map((n) => row(Number(n), { [`key${n}`]: n === "1" ? "x".repeat(1_000_000) : 1 }))
      const { size, written } = yield* cost(rows)
      assert.isBelow(written, 3 * size)
    }))
})

describe("a full disk", () => {
  it.effect("leaves whole rows, and the batch can be handed over again", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const path = Path.join(home, "metrics.csv")
      const csv = yield* start(home)
      yield* csv.log(losses(1, 10))
      const before = yield* csv.checkpoint
      for (const cuts of [true, false]) {
        disk.room = 100
        disk.cuts = cuts
        const error = yield* Effect.flip(csv.log(losses(11, 30)))
        assert.match(
          error.message,
          /^Tracker backend csv\.log\(\) failed: .*\/metrics\.csv could not be written: ENOSPC.*room/
        )
        if (cuts) assert.deepStrictEqual(column(path, "loss"), numbers(1, 10))
        assert.deepStrictEqual(yield* csv.checkpoint, before)
      }
      // What could not be cut off then is cut off now, even under a shorter batch.
      disk.room = Infinity
      disk.cuts = true
      yield* csv.log(losses(11, 11))
      assert.deepStrictEqual(column(path, "loss"), numbers(1, 11))
    }))

  it.effect("does not fail a batch whose rows are safe in the tail, and is told at the end", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const path = Path.join(home, "metrics.csv")
      const first = yield* startProcess(home)
      yield* first.csv.log(losses(1, 50))
      yield* TestClock.adjust("1 minute")
      disk.room = 600
      yield* first.csv.log([row(51, { loss: 51, acc: 1 })])
      assert.deepStrictEqual(column(path, "loss"), numbers(1, 50))
      assert.isFalse(Fs.readdirSync(home).includes(".metrics.csv.tmp"))
      const error = yield* Effect.flip(first.csv.finish("finished"))
      assert.match(error.message, /csv\.finish\(\) failed: .*\/metrics\.csv could not be written: ENOSPC/)
      yield* first.kill
      disk.room = Infinity
      const again = yield* start(home, kept(yield* first.csv.checkpoint))
      yield* again.finish("finished")
      assert.deepStrictEqual(column(path, "loss"), numbers(1, 51))
      assert.deepStrictEqual(column(path, "acc").slice(-2), ["", "1"])
    }))

  it.effect("is tried again later, by itself", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const path = Path.join(home, "metrics.csv")
      const csv = yield* start(home)
      yield* csv.log(losses(1, 50))
      yield* TestClock.adjust("1 minute")
      disk.renames = () => "EROFS"
      yield* csv.log([row(51, { loss: 51, acc: 1 })])
      yield* csv.log([row(52, { loss: 52 })])
      assert.deepStrictEqual(column(path, "loss"), numbers(1, 50))
      disk.renames = () => undefined
      yield* TestClock.adjust("1 minute")
      yield* csv.log([])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(column(path, "loss"), numbers(1, 52))
    }))
})

describe("moving", () => {
  it.effect("copies from one file system to another", () =>
    Effect.gen(function*() {
      const [home, away] = [yield* directory, yield* directory]
      const csv = yield* start(home)
      yield* csv.log(losses(1, 20))
      yield* csv.log([row(21, { loss: 21, acc: 0 })])
      disk.renames = (from, to) => from.startsWith(home) && to.startsWith(away) ? "EXDEV" : undefined
      yield* csv.move(away)
      assert.deepStrictEqual(Fs.readdirSync(home), [".ezpz"])
      yield* csv.log(losses(22, 30))
      yield* csv.finish("finished")
      assert.deepStrictEqual(column(Path.join(away, "metrics.csv"), "loss"), numbers(1, 30))
      assert.deepStrictEqual(Fs.readdirSync(away).sort(), [".ezpz", "metrics.csv"])
    }))

  it.effect("is undone where a part of it fails, and the run goes on where it was", () =>
    Effect.gen(function*() {
      for (const copied of [false, true]) {
        const [home, away] = [yield* directory, yield* directory]
        const csv = yield* start(home)
        yield* csv.logConfig({ lr: 1 })
        yield* csv.log(losses(1, 20))
        disk.renames = (from, to) =>
          to === Path.join(away, "config.json") ? "EACCES" : copied && from.startsWith(home) ? "EXDEV" : undefined
        const error = yield* Effect.flip(csv.move(away))
        assert.match(error.message, /csv\.move\(\) failed: .*EACCES/)
        disk.renames = () => undefined
        yield* csv.log(losses(21, 30))
        yield* csv.finish("finished")
        assert.deepStrictEqual(column(Path.join(home, "metrics.csv"), "loss"), numbers(1, 30))
        assert.deepStrictEqual(Fs.readdirSync(home).sort(), [".ezpz", "config.json", "metrics.csv"])
        assert.deepStrictEqual(Fs.readdirSync(away, { recursive: true }).sort(), [".ezpz", Path.join(".ezpz", "csv")])
      }
    }))
})

describe("a file that somebody else removed or cut", () => {
  it.effect("is an error, not silence", () =>
    Effect.gen(function*() {
      const home = yield* directory
      const path = Path.join(home, "metrics.csv")
      const csv = yield* start(home)
      yield* csv.log(losses(1, 20))
      Fs.truncateSync(path, 40)
      assert.match((yield* Effect.flip(csv.log(losses(21, 22)))).message, /metrics\.csv .*shorter/)
      Fs.rmSync(path)
      assert.match((yield* Effect.flip(csv.log(losses(21, 22)))).message, /metrics\.csv .*removed/)
    }))
})
