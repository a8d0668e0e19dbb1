import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { execFileSync } from "node:child_process"
import fs, * as Fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as Path from "node:path"
import * as Metrics from "../src/Metrics.ts"
import type { Row } from "../src/Row.ts"
import * as RunLog from "../src/RunLog.ts"
import { temporary } from "./support/directory.ts"

const statistics = (mean: number) => ({ values: { "loss/mean": mean, "loss/std": NaN }, count: 2, expected: 3 })

const closing = (seq: number, mean = seq): string =>
  RunLog.statisticsLine({ seq, step: seq * 10, timestamp: seq + 0.5, rank: 0, statistics: statistics(mean) })

const record = (seq: number, metrics = `{"loss":${seq}}`): string =>
  RunLog.recordLine(seq, seq * 10, seq + 0.25, 0, metrics)

/** All that a reader gets of a file. */
const read = (path: string, range: { readonly from?: number; readonly to?: number } = {}) =>
  Effect.map(Stream.runCollect(RunLog.pages(path, range)), (pages) => ({
    entries: pages.flatMap((page) => page.entries),
    corrupt: pages.flatMap((page) => page.corrupt),
    end: pages.at(-1)?.end ?? range.from ?? 0
  }))

const rows = (path: string, window: number) => Stream.runCollect(RunLog.rows(path, window))

const seqs = (entries: ReadonlyArray<{ readonly seq: number }>) => entries.map((entry) => entry.seq)

const write = (directory: string, text: string | Buffer): string => {
  const path = Path.join(directory, "metrics.jsonl")
  Fs.writeFileSync(path, text)
  return path
}

const append = (path: string, lines: ReadonlyArray<string>, mode: "append" | "create" | "overwrite" = "append") =>
  Effect.scoped(Effect.map(RunLog.writer({ path, mode }), (writer) => {
    for (const line of lines) writer.appendUnsafe(line)
    return { lastSeq: writer.lastSeq, end: writer.end() }
  }))

const canMount = process.platform === "linux" && process.getuid?.() === 0 && (() => {
  const directory = Fs.mkdtempSync("/tmp/ezpz-stream-mount-")
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], { stdio: "ignore" })
    execFileSync("umount", [directory], { stdio: "ignore" })
    return true
  } catch {
    return false
  } finally {
    Fs.rmSync(directory, { recursive: true, force: true })
  }
})()

const smallDisk = Effect.acquireRelease(
  Effect.map(temporary, (directory) => {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory])
    return directory
  }),
  (directory) => Effect.sync(() => execFileSync("umount", [directory]))
)

/** Runs on a disk that takes 20 bytes of a write, of a file that may only grow. */
const failing = (run: () => void) =>
  Effect.sync(() => {
    const { ftruncateSync, writeSync } = fs
    const refuse = (code: string) => () => {
      throw Object.assign(new Error(code), { code })
    }
    fs.ftruncateSync = refuse("EPERM")
    fs.writeSync = (fd: number, text: string | NodeJS.ArrayBufferView) => {
      writeSync(fd, String(text).slice(0, 20))
      return refuse("ENOSPC")()
    }
    syncBuiltinESMExports()
    try {
      run()
    } finally {
      Object.assign(fs, { ftruncateSync, writeSync })
      syncBuiltinESMExports()
    }
  })

describe("the format", () => {
  it("is this, to the byte", () => {
    assert.strictEqual(
      RunLog.recordLine(7, 6, 1764000000.25, 0, `{"train/loss":0.5,"lr":"NaN"}`),
      `{"seq":7,"step":6,"timestamp":1764000000.25,"rank":0,"metrics":{"train/loss":0.5,"lr":"NaN"}}\n`
    )
    assert.strictEqual(
      RunLog.recordLine(8, undefined, 1764000001, 3, "{}"),
      `{"seq":8,"step":null,"timestamp":1764000001,"rank":3,"metrics":{}}\n`
    )
    assert.strictEqual(
      RunLog.statisticsLine({ seq: 7, step: 6, timestamp: 1764000000.5, rank: 0, statistics: statistics(0.5) }),
      `{"seq":7,"step":6,"timestamp":1764000000.5,"rank":0,"aggregated":{"loss/mean":0.5,"loss/std":"NaN"},"count":2,"expected":3}\n`
    )
  })

  it("is read as it is written", () => {
    assert.deepStrictEqual(
      RunLog.decodeLine(record(7, `{"a":"NaN","b":-0,"c":[1,null],"d":"x","e":null,"f":[["Infinity"]]}`)),
      {
        seq: 7,
        step: 70,
        timestamp: 7.25,
        rank: 0,
        metrics: { a: NaN, b: -0, c: [1, NaN], d: "x", e: null, f: [[Infinity]] },
        statistics: undefined
      }
    )
    assert.deepStrictEqual(RunLog.decodeLine(closing(7)), {
      seq: 7,
      step: 70,
      timestamp: 7.5,
      rank: 0,
      metrics: undefined,
      statistics: statistics(7)
    })
  })

  it("may hold a record and its statistics in one line, and members of later versions", () => {
    const entry = RunLog.decodeLine(
      `{"seq":1,"step":null,"timestamp":1,"rank":0,"later":{},"metrics":{"a":1},"aggregated":{"a/mean":2},"count":4,"expected":4}`
    )
    assert.deepInclude(entry, { metrics: { a: 1 }, statistics: { values: { "a/mean": 2 }, count: 4, expected: 4 } })
  })

  it("never holds a step that JSON cannot say", () => {
    for (const step of [NaN, Infinity, -Infinity]) assert.include(RunLog.recordLine(1, step, 0, 0, "{}"), `"step":null`)
  })

  it("refuses, with a reason, what is not a line of it", () => {
    const reasons = [
      "",
      "x",
      `{"seq":1,"step":1,"timest`,
      "null",
      "[]",
      "7",
      `{"seq":0,"timestamp":1,"metrics":{}}`,
      `{"seq":1.5,"timestamp":1,"metrics":{}}`,
      `{"seq":1,"metrics":{}}`,
      `{"seq":1,"timestamp":1e400,"metrics":{}}`,
      `{"seq":1,"timestamp":1}`,
      `{"seq":1,"timestamp":1,"metrics":[1]}`,
      `{"seq":1,"timestamp":1,"metrics":{"a":{"b":1}}}`,
      `{"seq":1,"timestamp":1,"metrics":{"a":1e400}}`,
      `{"__proto__":{"seq":1,"timestamp":1,"metrics":{}}}`
    ].map((line) => {
      const entry = RunLog.decodeLine(line)
      return "_tag" in entry ? entry.reason : "read"
    })
    const notJson = "torn or not JSON"
    assert.deepStrictEqual(reasons, [
      notJson,
      notJson,
      notJson,
      "not an object",
      "no seq",
      "not an object",
      "no seq",
      "no seq",
      "no timestamp",
      "no timestamp",
      "neither metrics nor aggregated",
      "neither metrics nor aggregated",
      "metrics that are not flat",
      "metrics that are not flat",
      "no seq"
    ])
  })
})

const golden = [
  record(1),
  record(2, `{"text":"é😀\\n","h":[1,"NaN"]}`),
  closing(1),
  record(3, "{}"),
  closing(2),
  closing(3),
  record(4),
  closing(4)
]

describe("recovery", () => {
  it.effect("keeps the longest valid start of a log cut at any byte, and goes on from there", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const bytes = Buffer.from(golden.join(""))
      for (let cut = 0; cut <= bytes.length; cut++) {
        const path = write(directory, bytes.subarray(0, cut))
        // A line is whole with its last brace, `\n` or not.
        let whole = 0
        let length = 0
        while (golden[whole] !== undefined && length + Buffer.byteLength(golden[whole]!) - 1 <= cut) {
          length += Buffer.byteLength(golden[whole]!)
          whole++
        }
        const kept = golden.slice(0, whole)
        const records = kept.map((line) => RunLog.decodeLine(line)).filter((entry) =>
          !("_tag" in entry) && RunLog.isRow(entry)
        )

        const before = yield* read(path)
        assert.strictEqual(before.entries.length, whole)
        assert.strictEqual(before.end, whole === 0 ? 0 : Math.min(cut, length))
        assert.strictEqual(before.corrupt.length, cut > length ? 1 : 0)

        const { end, lastSeq } = yield* append(path, [record(records.length + 1), record(records.length + 2)])
        assert.strictEqual(lastSeq, records.length)
        assert.strictEqual(end, Fs.statSync(path).size)
        assert.strictEqual(
          Fs.readFileSync(path, "utf8"),
          kept.join("") + record(records.length + 1) + record(records.length + 2)
        )
      }
    }))

  it.effect("does not cut a last line that is JSON of something else", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const path = write(directory, `{"loss":1}\n{"loss":2}`)
      yield* append(path, [record(1)])
      assert.strictEqual(Fs.readFileSync(path, "utf8"), `{"loss":1}\n{"loss":2}\n${record(1)}`)
    }))

  it.effect("finds the last record behind however many bytes of statistics, long lines and damage", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const long = record(2, `{"a":"${"x".repeat(700_000)}"}`)
      const noise = `${"y".repeat(1000)}\n`.repeat(800)
      for (
        const [text, seq] of [
          [record(1) + long, 2],
          [record(1) + long.slice(0, -1), 2],
          [record(1) + long.slice(0, -2), 1],
          [record(5) + closing(1).repeat(2000), 5],
          [record(5) + closing(1).repeat(2000).slice(0, -1), 5],
          [record(3) + noise, 3],
          [noise, 0],
          ["", 0],
          ["\n\n", 0]
        ] as const
      ) {
        const tail = yield* RunLog.tail(write(directory, text))
        assert.strictEqual(tail.seq, seq)
        assert.strictEqual(tail.end + tail.torn, Buffer.byteLength(text))
      }
    }))

  it.effect("finds it behind more than it would keep in memory", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const noise = Buffer.from(`${"y".repeat(1023)}\n`.repeat(40 * 1024))
      const path = write(directory, Buffer.concat([Buffer.from(record(9)), noise, Buffer.from("torn\r")]))
      assert.deepStrictEqual(yield* RunLog.tail(path), {
        seq: 9,
        end: record(9).length + noise.length,
        torn: 5,
        unended: false
      })
    }))
})

describe("pages", () => {
  it.effect("lose a corrupt line and nothing else, and say which it was", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const lines = [
        Buffer.from(record(1)),
        Buffer.from("garbage\n"),
        Buffer.from(record(2)),
        Buffer.from([0x7b, 0xff, 0xfe, 0x0a]),
        Buffer.from("\n"),
        Buffer.alloc(40),
        Buffer.from(`\n${record(3).slice(0, 20)}${record(4)}`),
        Buffer.from(record(5))
      ]
      const path = write(directory, Buffer.concat(lines))
      const { corrupt, end, entries } = yield* read(path)
      assert.deepStrictEqual(seqs(entries), [1, 2, 5])
      assert.deepStrictEqual(corrupt, [
        { line: 2, reason: "torn or not JSON" },
        { line: 4, reason: "not UTF-8" },
        { line: 6, reason: "torn or not JSON" },
        { line: 7, reason: "torn or not JSON" }
      ])
      assert.strictEqual(end, Fs.statSync(path).size)
    }))

  it.effect("do not depend on how the file falls into chunks", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      // Some 3 MB: lines of every length from 60 bytes to 100 kB, so that the chunks of a reader end anywhere in them.
      const lines = Array.from({ length: 200 }, (_, i) =>
        record(i + 1, `{"é":"${"😀".repeat((i * i * 7) % 5000)}","i":${i}}`))
      lines.push(record(201, `{"a":"${"x".repeat(2_500_000)}"}`), record(202))
      const path = write(directory, lines.join(""))
      const { corrupt, end, entries } = yield* read(path)
      assert.deepStrictEqual(corrupt, [])
      assert.deepStrictEqual(
        entries,
        lines.map((line) =>
          RunLog.decodeLine(line)
        ) as ReadonlyArray<RunLog.Entry>
      )
      assert.strictEqual(end, Fs.statSync(path).size)
    }))

  it.effect("can be read on from where any page ended", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const text = Array.from({ length: 30_000 }, (_, i) => record(i + 1)).join("")
      const path = write(directory, `${text}${record(30_001).slice(0, 30)}`)
      const pages = yield* Stream.runCollect(RunLog.pages(path))
      assert.isAbove(pages.length, 2)
      for (const page of pages) {
        const rest = yield* read(path, { from: page.end })
        assert.strictEqual(rest.entries.length, 30_000 - (page.entries.at(-1)?.seq ?? 30_000))
      }
      assert.strictEqual(pages.at(-1)?.end, text.length)
      // What was being written is read once it is whole.
      Fs.appendFileSync(path, record(30_001).slice(30) + record(30_002))
      assert.deepStrictEqual(seqs((yield* read(path, { from: text.length })).entries), [30_001, 30_002])
      assert.deepStrictEqual((yield* read(path, { from: 10_000_000 })).entries, [])
      assert.deepStrictEqual(seqs((yield* read(path, { to: record(1).length })).entries), [1])
      assert.deepStrictEqual((yield* read(path, { from: 100, to: 50 })).entries, [])
    }))

  it.effect("take bounded memory", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const path = Path.join(directory, "metrics.jsonl")
      const block = Buffer.from(Array.from({ length: 10_000 }, (_, i) => record(i + 1)).join(""))
      const fd = Fs.openSync(path, "w")
      for (let i = 0; i < 40; i++) Fs.writeSync(fd, block)
      Fs.closeSync(fd)
      let count = 0
      let greatest = 0
      yield* Stream.runForEach(RunLog.pages(path), (page) =>
        Effect.sync(() => {
          count += page.entries.length
          greatest = Math.max(greatest, page.entries.length)
        }))
      assert.strictEqual(count, 400_000)
      assert.isBelow(greatest, 20_000)
    }))

  it.effect("fail, typed, where there is no file", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Stream.runCollect(RunLog.pages("/nowhere/metrics.jsonl")))
      assert.strictEqual(error._tag, "RunLogError")
      assert.strictEqual(error.message, "Cannot open the log /nowhere/metrics.jsonl: There is no such file. (ENOENT)")
    }))
})

describe("rows", () => {
  it.effect("join each record with its statistics, however they lie, up to the window", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      // Statistics come `behind` records after theirs; every third record has none.
      const generator = fc.record({
        count: fc.integer({ min: 0, max: 40 }),
        behind: fc.integer({ min: 0, max: 10 }),
        window: fc.integer({ min: 0, max: 12 })
      })
      const samples = fc.sample(generator, { numRuns: 150, seed: 1 })
      for (const { behind, count, window } of samples) {
        const lines: Array<string> = []
        for (let seq = 1; seq <= count + behind; seq++) {
          if (seq <= count) lines.push(record(seq))
          const late = seq - behind
          if (late >= 1 && late % 3 !== 0) lines.push(closing(late))
        }
        const found = yield* rows(write(directory, lines.join("")), window)
        assert.deepStrictEqual(seqs(found), Array.from({ length: count }, (_, i) => i + 1))
        if (window === 0) continue
        for (const row of found) {
          // The last records of a log wait for its end.
          const joined = row.seq % 3 !== 0 && (behind <= window || row.seq + window >= count)
          assert.deepStrictEqual(row.statistics, joined ? statistics(row.seq) : undefined)
        }
      }
    }))

  it.effect("take the last statistics of those that amend one another, and lose no record to a repeated seq", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const path = write(
        directory,
        [record(1), closing(1, 5), record(2), closing(1, 6), record(2, `{"again":1}`), closing(7), record(3)].join("")
      )
      const found: ReadonlyArray<Row> = yield* rows(path, 8)
      assert.deepStrictEqual(found.map((row) => [row.seq, row.statistics?.values["loss/mean"]]), [
        [2, undefined],
        [1, 6],
        [2, undefined],
        [3, undefined]
      ])
      assert.deepStrictEqual(seqs(yield* rows(path, 0)), [1, 2, 2, 3])
    }))
})

describe("isLog", () => {
  it.effect("knows a log from a file of records, by the first line that can be read", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      for (
        const [text, expected] of [
          ["", true],
          ["\n\n", true],
          [record(1), true],
          [`\n${record(1)}`, true],
          [`torn{"seq\n${record(1)}`, true],
          [record(1, `{"a":"${"x".repeat(3_000_000)}"}`), true],
          [closing(1), true],
          [`{"step":1,"loss":0.5}\n${record(1)}`, false],
          ["epoch 1\n", false],
          ["x\n".repeat(1000) + record(1), false],
          ["[1,2]\n", false]
        ] as const
      ) {
        assert.strictEqual(yield* RunLog.isLog(write(directory, text)), expected, text.slice(0, 40))
      }
    }))
})

describe("writer", () => {
  it.effect("creates once, goes on, and overwrites only when told to", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const path = Path.join(directory, "deep", "er", "metrics.jsonl")
      yield* append(path, [record(1)], "create")
      const error = yield* Effect.flip(append(path, [record(1)], "create"))
      assert.match(error.message, /There is a run already: go on with it \(--resume\)/)
      assert.deepStrictEqual((yield* append(path, [record(2)])).lastSeq, 1)
      assert.strictEqual(Fs.readFileSync(path, "utf8"), record(1) + record(2))
      assert.deepStrictEqual((yield* append(path, [record(1)], "overwrite")).lastSeq, 0)
      assert.strictEqual(Fs.readFileSync(path, "utf8"), record(1))
    }))

  it.effect("counts in bytes where the next line goes", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const lines = [record(1, `{"é":"😀"}`), record(2), record(3, `{"a":"\\ud800"}`)]
      const { end } = yield* append(Path.join(directory, "a.jsonl"), lines)
      assert.strictEqual(end, Buffer.byteLength(lines.join("")))
    }))

  it.effect("closes its file with the scope", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const scope = yield* Scope.make()
      const writer = yield* Scope.provide(
        RunLog.writer({ path: Path.join(directory, "a.jsonl"), mode: "create" }),
        scope
      )
      writer.appendUnsafe(record(1))
      yield* Scope.close(scope, Exit.void)
      assert.throws(() => writer.appendUnsafe(record(2)), /Cannot append to the log/)
    }))

  for (const mode of ["create", "append", "overwrite"] as const) {
    it.effect.skipIf(!canMount)(
      `takes a write back that did not fit the disk, and goes on when there is room (${mode})`,
      () =>
        Effect.gen(function*() {
          const directory = yield* smallDisk
          const path = Path.join(directory, "metrics.jsonl")
          const ballast = Path.join(directory, "ballast")
          Fs.writeFileSync(ballast, Buffer.alloc(32 * 1024))
          yield* Effect.scoped(Effect.gen(function*() {
            const writer = yield* RunLog.writer({ path, mode, fsync: true })
            let accepted = ""
            let seq = 1
            let refusals = 0
            // Odd sizes, so that a write ends in the middle of a page of the disk.
            const push = () => {
              const line = record(seq, `{"a":"${"x".repeat(977)}"}`) + record(seq + 1)
              try {
                writer.appendUnsafe(line)
                accepted += line
                seq += 2
              } catch (error) {
                assert.instanceOf(error, RunLog.RunLogError)
                assert.match(String(error), /disk is full: free some space/)
                refusals++
              }
              assert.strictEqual(Fs.readFileSync(path, "utf8"), accepted)
              assert.strictEqual(writer.end(), Buffer.byteLength(accepted))
            }
            for (let i = 0; i < 40; i++) push()
            assert.isAbove(refusals, 0)
            const full = refusals
            Fs.rmSync(ballast)
            for (let i = 0; i < 5; i++) push()
            assert.strictEqual(refusals, full)
          }))
          const { corrupt, entries } = yield* read(path)
          assert.deepStrictEqual(corrupt, [])
          assert.deepStrictEqual(seqs(entries), Array.from(entries, (_, i) => i + 1))
        })
    )
  }

  it.effect("says so where nothing can be written, and does not lose its place", () =>
    Effect.scoped(Effect.gen(function*() {
      const writer = yield* RunLog.writer({ path: "/dev/full", mode: "append" })
      for (let i = 0; i < 3; i++) {
        assert.throws(() => writer.appendUnsafe(record(1)), /Cannot append to the log \/dev\/full: The disk is full/)
        assert.strictEqual(writer.end(), 0)
      }
    })))

  it.effect("puts an end to a line that could not be taken back", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const path = Path.join(directory, "metrics.jsonl")
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* RunLog.writer({ path, mode: "create" })
        writer.appendUnsafe(record(1))
        yield* failing(() => assert.throws(() => writer.appendUnsafe(record(2)), /The disk is full/))
        assert.strictEqual(writer.end(), record(1).length)
        writer.appendUnsafe(record(2))
        assert.strictEqual(writer.end(), Fs.statSync(path).size)
        writer.appendUnsafe(record(3))
      }))
      const { corrupt, entries } = yield* read(path)
      assert.deepStrictEqual(seqs(entries), [1, 2, 3])
      assert.strictEqual(corrupt.length, 1)
    }))

  it.effect("keeps for replay what was live, non-finite numbers and all", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const path = Path.join(directory, "metrics.jsonl")
      const decoded = [
        Metrics.decodeLine(`{"step":1,"a":NaN,"b":-0,"c":9007199254740993,"d":[1e400,null],"e":{"f":"\\ud800"}}`),
        Metrics.decode({ step: 2, a: -Infinity, b: -0, c: 2 ** 60, d: [[NaN], []], e: { "/": "é\n" } })
      ].filter((one) => one._tag === "Decoded")
      yield* append(path, decoded.map((one, i) => RunLog.recordLine(i + 1, one.step, i, 0, one.text)))
      const found = yield* rows(path, 0)
      assert.deepStrictEqual(found.map((row) => [row.step, row.metrics]), decoded.map((one) => [one.step, one.metrics]))
    }))
})
