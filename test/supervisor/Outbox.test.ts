import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Backend from "../../src/Backend.ts"
import * as Outbox from "../../src/Outbox.ts"
import * as RunDirectory from "../../src/RunDirectory.ts"
import { temporary } from "../support/directory.ts"
import { boom, cursorOf, drain, keeping, open, put, warnings, within } from "../support/supervision.ts"

const summary = (n: number): Outbox.Entry => ({ kind: "summary", values: { n } })

describe("the file", () => {
  it.effect("gives every whole line once, wherever reading begins again, and passes over what is torn or unknown", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* temporary, ".ezpz", "outbox.jsonl")
      assert.deepStrictEqual(Outbox.read(path, 0), { items: [], end: 0 })
      Outbox.append(path, [summary(1), { kind: "artifacts", paths: ["a"] }])
      Fs.appendFileSync(path, `{"kind":"from the future"}\n{"kind":"image"}\nnot JSON\n{"kind":"summ`)
      const first = Outbox.read(path, 0)
      assert.deepStrictEqual(first.items.map(({ entry }) => entry), [summary(1), { kind: "artifacts", paths: ["a"] }])
      // A line that is torn is none; the next one stands by itself.
      Outbox.append(path, [summary(2)])
      const second = Outbox.read(path, first.end)
      assert.deepStrictEqual(second.items.map(({ entry }) => entry), [summary(2)])
      assert.strictEqual(second.end, Outbox.size(path))
      assert.deepStrictEqual(Outbox.read(path, first.items[1]?.at ?? 0).items[0]?.entry, first.items[1]?.entry)
    }))

  it.effect("pages through lines of any length", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* temporary, "outbox.jsonl")
      fc.assert(
        fc.property(fc.array(fc.integer({ min: 1, max: 700_000 }), { maxLength: 6 }), (lengths) => {
          Fs.rmSync(path, { force: true })
          const entries = lengths.map((length, i): Outbox.Entry => ({
            kind: "artifacts",
            paths: ["x".repeat(length), String(i)]
          }))
          Outbox.append(path, entries)
          const found: Array<Outbox.Entry> = []
          for (let at = 0;;) {
            const page = Outbox.read(path, at)
            if (page.end === at) break
            for (const { entry } of page.items) found.push(entry)
            at = page.end
          }
          assert.deepStrictEqual(found, entries)
        }),
        { numRuns: 25 }
      )
    }))

  it.effect("gives what was put in again once, in its last place", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* temporary, "outbox.jsonl")
      Outbox.append(path, [summary(1), summary(2), summary(1)])
      const { end, items } = Outbox.read(path, 0)
      assert.deepStrictEqual(items.map(({ entry }) => entry), [summary(2), summary(1)])
      assert.strictEqual(items.at(-1)?.end, end)
      assert.strictEqual(Outbox.count(path, 0, "csv"), 2)
    }))

  it.effect("counts what a backend has not had, without samples and what is for others", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* temporary, "outbox.jsonl")
      Outbox.append(path, [
        { kind: "system", seq: 3, timestamp: 0, metrics: { cpu: 1 } },
        summary(1),
        { ...summary(2), backend: "wandb" }
      ])
      assert.strictEqual(Outbox.count(path, 0, "wandb"), 2)
      assert.strictEqual(Outbox.count(path, 0, "csv"), 1)
      assert.strictEqual(Outbox.count(path, Outbox.size(path), "wandb"), 0)
      assert.strictEqual(Outbox.lastSample(path), 3)
    }))

  it.effect("counts as it goes, and finds the last sample, in a file of any size", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* temporary, "outbox.jsonl")
      const count = Outbox.counter("mine")
      const ends: Array<number> = []
      for (let i = 1; i <= 40; i++) {
        Outbox.append(path, [
          ...(i > 3 ? [] : [{ kind: "system", seq: i, timestamp: 0, metrics: {} }] satisfies Array<Outbox.Entry>),
          { kind: "artifacts", paths: [String(i), "x".repeat(20_000)] }
        ])
        ends.push(Outbox.size(path))
        assert.strictEqual(count(path, 0), i)
      }
      for (const [i, end] of ends.entries()) assert.strictEqual(count(path, end), 39 - i)
      assert.strictEqual(count(path, ends[9] ?? 0), 30)
      assert.strictEqual(Outbox.lastSample(path), 3)
    }))
})

describe("what is in it", () => {
  it.effect("is found behind any number of lines that are not known", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const given: Array<unknown> = []
      const mine = keeping({ logSummary: (values) => void given.push(values) })
      const path = RunDirectory.outboxPath(run.path)
      Fs.writeFileSync(path, `{"kind":"from the future"}\n`.repeat(50_000))
      Outbox.append(path, [summary(1)])
      const supervised = yield* run.supervise(mine.factory)
      yield* drain(supervised)
      assert.deepStrictEqual(given, [{ n: 1 }])
    }))

  it.effect("is not held up by samples that a backend refuses for good", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const given: Array<unknown> = []
      const refusal = new Backend.BackendError({
        backend: "mine",
        operation: "logSystem",
        cause: "no",
        permanent: true
      })
      const mine = keeping({ logSystem: () => Effect.fail(refusal), logSummary: (values) => void given.push(values) })
      const { lines } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        put(run, supervised, [{ kind: "system", seq: 1, timestamp: 0, metrics: {} }, summary(1)])
        yield* drain(supervised)
      }))
      assert.deepStrictEqual(given, [{ n: 1 }])
      assert.strictEqual(lines.length, 1)
    }))

  it.effect("is waited for where it cannot be read for a while", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const given: Array<unknown> = []
      const mine = keeping({ logSummary: (values) => void given.push(values) })
      const path = RunDirectory.outboxPath(run.path)
      Fs.mkdirSync(path)
      const { lines } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 3)
        yield* within(5000, Effect.sleep(5000))
        assert.strictEqual((yield* supervised.state).outputs, 1)
        Fs.rmdirSync(path)
        put(run, supervised, [summary(1)])
        assert.deepInclude(yield* drain(supervised), { undelivered: 0, outputs: 0 })
      }))
      assert.deepStrictEqual([given, mine.seqs()], [[{ n: 1 }], [1, 2, 3]])
      assert.strictEqual(lines.length, 1)
    }))

  it.effect("comes after the records, in order, once, and not to those it is not for", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const calls: Array<unknown> = []
      const mine = keeping({
        log: (rows) => void calls.push(rows.length),
        logSummary: (values) => void calls.push(values),
        logSystem: (samples) => void calls.push(samples.map(({ seq }) => seq))
      })
      Outbox.append(RunDirectory.outboxPath(run.path), [
        summary(1),
        { ...summary(2), backend: "other" },
        { kind: "system", seq: 1, timestamp: 0, metrics: {} },
        { kind: "system", seq: 2, timestamp: 0, metrics: {} },
        summary(3)
      ])
      const supervised = yield* run.supervise(mine.factory)
      run.record([supervised], 5)
      yield* drain(supervised)
      assert.deepStrictEqual(calls, [5, { n: 1 }, [1, 2], { n: 3 }])
      put(run, supervised, [summary(4)])
      yield* drain(supervised)
      assert.deepStrictEqual(calls.at(-1), { n: 4 })
      assert.strictEqual(calls.length, 5)
    }))

  it.effect("is tried again while the run goes on, and waits for nobody at its end", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let away = true
      const given: Array<string> = []
      const mine = keeping({ logImage: (name) => away ? boom() : void given.push(name) })
      yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        put(run, supervised, [{ kind: "image", name: "a", path: "a.png" }])
        yield* within(10_000, Effect.sleep(10_000))
        assert.deepStrictEqual(given, [])
        away = false
        yield* within(60_000, Effect.sleep(60_000))
        assert.deepStrictEqual(given, ["a"])
        away = true
        put(run, supervised, [{ kind: "image", name: "b", path: "b.png" }, summary(1)])
        const left = yield* within(1000, supervised.finish("finished", 1000))
        assert.deepInclude(left, { outputs: 1, closed: true })
      })).pipe(Effect.scoped)
      // The next process gives what was set aside, and only that.
      away = false
      const again = yield* run.supervise((context) => mine.factory({ ...context, live: false }))
      const left = yield* within(60_000, again.finish("finished", 60_000))
      assert.deepInclude(left, { outputs: 0, closed: true })
      assert.deepStrictEqual(given, ["a", "b"])
    }))

  it.effect("is set aside at once where trying again is of no use", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const given: Array<string> = []
      const gone = new Backend.BackendError({ backend: "mine", operation: "logImage", cause: "gone", permanent: true })
      const mine = keeping({ logImage: (name) => name === "gone" ? Effect.fail(gone) : void given.push(name) })
      yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        put(run, supervised, [
          { kind: "image", name: "gone", path: "a.png" },
          { kind: "image", name: "there", path: "b.png" }
        ])
        yield* within(10, Effect.sleep(10))
        assert.deepStrictEqual(given, ["there"])
      }))
    }))
})

describe("two processes", () => {
  it.effect("do not deliver at once: one may while the other's tries fail, and that one goes on after it", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const run = yield* open(directory)
      let away = true
      const jobs = keeping({ log: (rows) => away ? boom() : jobs.take(rows) })
      const other = keeping({ checkpoint: () => "the other's" })
      yield* warnings(Effect.gen(function*() {
        const job = yield* run.supervise(jobs.factory)
        run.record([job], 10)
        // The job's server is away, so the lock is free but for the moments of a try.
        yield* within(5000, Effect.sleep(5000))
        const helper = yield* Effect.scoped(Effect.gen(function*() {
          const supervised = yield* run.supervise(other.factory, "mine", 10)
          return yield* within(5000, supervised.drain(5000))
        }))
        assert.deepInclude(helper, { seq: 10, undelivered: 0 })
        away = false
        run.record([job], 5)
        yield* within(120_000, Effect.sleep(120_000))
        assert.deepInclude(yield* job.state, { seq: 15, undelivered: 0 })
      }))
      assert.deepStrictEqual(other.seqs(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      assert.deepStrictEqual(jobs.seqs(), [11, 12, 13, 14, 15])
      // It began anew with what the other one left.
      assert.strictEqual(jobs.contexts.at(-1)?.checkpoint, "the other's")
      assert.strictEqual(cursorOf(run.cursor()).seq, 15)
    }))

  it.effect("the second says who has it, and waits", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const [first, second] = [keeping(), keeping()]
      const job = yield* run.supervise(first.factory)
      run.record([job], 3)
      yield* drain(job)
      const other = yield* run.supervise(second.factory)
      const left = yield* within(2000, other.drain(2000))
      assert.strictEqual(left.busy, `process ${process.pid}`)
      assert.deepStrictEqual(second.rows, [])
    }))

  it.effect("one of another host, which may be gone, is named with the file to remove", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const lock = RunDirectory.deliveryLockPath(run.path, "mine")
      Fs.mkdirSync(Path.dirname(lock), { recursive: true })
      Fs.writeFileSync(lock, JSON.stringify({ pid: 7, host: "elsewhere", started: "1" }))
      const { lines } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(keeping().factory)
        yield* within(2000, supervised.drain(2000))
      }))
      const said = lines.filter((line) => line.includes("process 7 on elsewhere"))
      assert.strictEqual(said.length, 1)
      assert.include(said[0], lock)
    }))
})
