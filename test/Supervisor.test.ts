import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Backend from "../src/Backend.ts"
import * as Backends from "../src/history/Backends.ts"
import type { Row } from "../src/Row.ts"
import * as RunDirectory from "../src/RunDirectory.ts"
import * as Supervisor from "../src/Supervisor.ts"
import * as Tracker from "../src/Tracker.ts"
import { temporary } from "./support/directory.ts"
import { boom, context, cursorOf, drain, keeping, open, put, upTo, warnings, within } from "./support/supervision.ts"

const misbehaviours: ReadonlyArray<readonly [string, Backend.Factory]> = [
  ["throws", keeping({ log: boom }).factory],
  ["rejects", keeping({ log: () => Promise.reject(new Error("boom")) }).factory],
  ["fails", keeping({ log: () => Effect.fail("boom") }).factory],
  ["dies of a defect", keeping({ log: () => Effect.die(new Error("boom")) }).factory],
  ["interrupts itself", keeping({ log: () => Effect.interrupt }).factory],
  ["never answers", keeping({ log: () => Effect.never }).factory],
  ["never answers, not even to an interruption", keeping({ log: () => Effect.uninterruptible(Effect.never) }).factory],
  ["never answers with a promise", keeping({ log: () => new Promise(() => {}) }).factory],
  [
    "throws where it should give an effect",
    () => Effect.succeed({ ...Backend.make({ name: "bad", log: () => {} }), log: boom })
  ],
  [
    "does not start",
    () => Effect.fail(new Backend.BackendError({ backend: "bad", operation: "start", cause: "away" }))
  ],
  ["throws when it starts", boom],
  ["dies when it starts", () => Effect.die("boom")],
  ["hangs when it starts", () => Effect.never],
  ["hangs when it starts, whatever is done", () => Effect.uninterruptible(Effect.never)]
]

describe("a backend", () => {
  it.effect("gets every record once, in order, in batches of bounded size", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const mine = keeping()
      const supervised = yield* run.supervise(mine.factory)
      for (const count of [1, 1, 3, 500, 1, 4999, 1, 2000, 9000, 1]) run.record([supervised], count)
      const delivered = yield* drain(supervised)
      assert.deepStrictEqual(mine.seqs(), upTo(16_507))
      assert.isAtMost(Math.max(...mine.batches), 4999)
      assert.deepStrictEqual(delivered, {
        backend: "mine",
        seq: 16_507,
        undelivered: 0,
        outputs: 0,
        closed: false,
        busy: undefined,
        permanent: false,
        failures: 0,
        lastFailure: undefined
      })
    }))

  it.effect("that refuses the configuration gets the records all the same, and is asked again", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let asked = 0
      const mine = keeping({
        logConfig: () => {
          if (++asked < 3) throw new Error("not yet")
        }
      })
      const { lines } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 10)
        yield* drain(supervised)
      }))
      assert.deepStrictEqual(mine.seqs(), upTo(10))
      assert.strictEqual(asked, 3)
      assert.strictEqual(lines.length, 1)
    }))

  it.effect("is told who the run is, and its configuration before any record", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const run = yield* open(directory)
      const calls: Array<unknown> = []
      const mine = keeping({
        logConfig: (config) => void calls.push(config),
        log: (rows) => void calls.push(rows.length)
      })
      const supervised = yield* run.supervise(mine.factory)
      run.record([supervised], 2)
      yield* drain(supervised)
      assert.deepStrictEqual(calls, [{ lr: 1 }, 2])
      assert.deepStrictEqual(mine.contexts, [{ ...context(directory), checkpoint: undefined }])
      assert.strictEqual((yield* supervised.backend)?.name, "mine")
    }))

  for (const [what, factory] of misbehaviours) {
    it.effect(`that ${what} hurts neither the run, nor other backends, nor the end`, () =>
      warnings(Effect.gen(function*() {
        const directory = yield* temporary
        const scope = yield* Scope.make()
        const run = yield* open(directory)
        const good = keeping()
        const bad = yield* Scope.provide(run.supervise(factory, "bad"), scope)
        const other = yield* Scope.provide(run.supervise(good.factory), scope)
        for (let i = 0; i < 10; i++) {
          run.record([bad, other], 10)
          yield* TestClock.adjust(1000)
        }
        assert.deepStrictEqual(good.seqs(), upTo(100))
        const fiber = yield* Effect.forkChild(bad.finish("finished", 5000))
        yield* TestClock.adjust(5000)
        const left = fiber.pollUnsafe()
        if (left === undefined || Exit.isFailure(left)) throw new Error("not finished in time")
        assert.deepInclude(left.value, { backend: "bad", seq: 0, undelivered: 100 })
        yield* TestClock.adjust(60_000)
        assert.isAbove((yield* within(1, bad.drain(1))).failures, 0)
        // Nor does what it holds on to keep the run from ending.
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* TestClock.adjust(30_000)
        assert.isDefined(closing.pollUnsafe())
        assert.isFalse(Fs.existsSync(run.cursor("bad")))
      })).pipe(Effect.map(({ lines }) => {
        assert.isAtLeast(lines.length, 1)
        assert.isAtMost(lines.length, 3)
        for (const line of lines) assert.match(line, /^Tracker backend bad\.\w+\(\) failed: |^Tracker backend mine\./)
      })))
  }

  it.effect("is tried again and again, each time later, and then has everything in order", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const times: Array<number> = []
      const failures = 12
      const mine = keeping({
        log: (rows) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            times.push(now)
            return times.length <= failures
              ? Effect.fail(`away ${times.length % 3}`)
              : Effect.sync(() => mine.take(rows))
          })
      })
      const { lines } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 10)
        for (let minute = 0; minute < 10; minute++) {
          yield* TestClock.adjust(60_000)
          run.record([supervised], 10)
        }
        yield* drain(supervised)
      }))
      assert.strictEqual(lines.length, 3)
      assert.deepStrictEqual(mine.seqs(), upTo(110))
      const pauses = times.slice(1, failures + 1).map((time, i) => time - times[i]!)
      pauses.forEach((pause, i) => {
        const middle = Math.min(500 * 2 ** i, 60_000)
        assert.isAtLeast(pause, middle * 0.5)
        assert.isAtMost(pause, middle * 1.5)
      })
    }))

  it.effect("is warned about once for each kind of failure, and the failures are counted", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let calls = 0
      const mine = keeping({ log: () => Effect.fail(calls++ % 2 === 0 ? "refused" : "reset") })
      const { lines, result } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 1)
        yield* TestClock.adjust(600_000)
        return yield* within(1, supervised.drain(1))
      }))
      assert.deepStrictEqual(lines, [
        "Tracker backend mine.log() failed: refused",
        "Tracker backend mine.log() failed: reset"
      ])
      assert.isAbove(result.failures, 10)
      assert.match(result.lastFailure ?? "", /refused|reset/)
    }))

  it.effect("is asked one thing at a time", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let busy = 0
      let overlaps = 0
      const slow = Effect.acquireUseRelease(
        Effect.sync(() => overlaps += busy++),
        () => Effect.sleep(300),
        () => Effect.sync(() => busy--)
      )
      const mine = keeping({ log: () => slow, logTable: () => slow, move: () => slow })
      const supervised = yield* run.supervise(mine.factory)
      run.record([supervised], 1)
      yield* TestClock.adjust(250)
      const table = { columns: [], rows: undefined as never }
      const asked = Effect.all([
        supervised.attempt("logTable", (backend) => backend.logTable("t", table)),
        supervised.attempt("move", (backend) => backend.move("x"))
      ], { concurrency: "unbounded" })
      run.record([supervised], 1)
      assert.deepStrictEqual(yield* within(10_000, asked), [true, true])
      yield* drain(supervised)
      assert.strictEqual(overlaps, 0)
    }))

  it.effect("that fails to start closes what it has opened, each time", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let opened = 0
      let closed = 0
      const supervised = yield* Effect.scoped(Effect.gen(function*() {
        const supervised = yield* run.supervise(() =>
          Effect.gen(function*() {
            yield* Effect.acquireRelease(Effect.sync(() => ++opened), () => Effect.sync(() => ++closed))
            if (opened < 4) {
              return yield* new Backend.BackendError({ backend: "mine", operation: "start", cause: "away" })
            }
            return Backend.make({ name: "mine", log: () => {} })
          })
        )
        yield* TestClock.adjust(60_000)
        assert.deepStrictEqual([opened, closed], [4, 3])
        return supervised
      }))
      assert.strictEqual(supervised.name, "mine")
      assert.deepStrictEqual([opened, closed], [4, 4])
    }))

  it.effect("does not keep a run from ending by what it does not let go", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const scope = yield* Scope.make()
      yield* Scope.provide(
        run.supervise(() =>
          Effect.as(
            Effect.acquireRelease(Effect.void, () => Effect.never),
            Backend.make({ name: "mine", log: () => {} })
          )
        ),
        scope
      )
      yield* TestClock.adjust(1)
      const fiber = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.void)
    }))
})

describe("falling behind", () => {
  it.effect("loses and doubles nothing: what memory has no room for comes from the log", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const gate = yield* Latch.make(false)
      const mine = keeping({ log: (rows) => Effect.andThen(gate.await, Effect.sync(() => mine.take(rows))) })
      const supervised = yield* run.supervise(mine.factory)
      for (let i = 0; i < 3000; i++) run.record([supervised], 7)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(mine.rows, [])
      gate.openUnsafe()
      for (let i = 0; i < 20; i++) {
        run.record([supervised], 11)
        yield* TestClock.adjust(100)
      }
      const { seq, undelivered } = yield* drain(supervised)
      assert.deepStrictEqual([seq, undelivered], [21_220, 0])
      assert.deepStrictEqual(mine.seqs(), upTo(21_220))
      assert.deepStrictEqual(mine.rows.map((row) => row.metrics["loss"]), upTo(21_220))
      assert.isAtMost(Math.max(...mine.batches), 4096)
    }))

  it.effect("takes one offer that is larger than memory", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const mine = keeping()
      const supervised = yield* run.supervise(mine.factory)
      run.record([supervised], 3)
      run.record([supervised], 30_000)
      run.record([supervised], 3)
      yield* drain(supervised)
      assert.deepStrictEqual(mine.seqs(), upTo(30_006))
    }))

  it.effect("is exact under any mixture of slowness, failures, restarts and floods", () =>
    Effect.gen(function*() {
      const event = fc.oneof(
        fc.record({ record: fc.constantFrom(1, 2, 50, 3000, 9000) }),
        fc.record({ wait: fc.constantFrom(1, 150, 1000, 40_000) }),
        fc.record({ fail: fc.integer({ min: 1, max: 3 }) }),
        fc.record({ slow: fc.constantFrom(0, 10, 5000, 31_000) }),
        fc.record({ again: fc.boolean() })
      )
      for (
        const events of fc.sample(fc.array(event, { minLength: 5, maxLength: 25 }), { numRuns: 25, seed: 20261123 })
      ) {
        const directory = yield* temporary
        let failing = 0
        let slowness = 0
        let ended = 0
        const mine = keeping({
          log: (rows) =>
            Effect.gen(function*() {
              if (slowness > 0) yield* Effect.sleep(slowness)
              if (failing > 0) {
                failing--
                return yield* Effect.fail("away")
              }
              mine.take(rows)
            }),
          checkpoint: () => mine.rows.length
        })
        let scope = yield* Scope.make()
        let run = yield* Scope.provide(open(directory), scope)
        let supervised = yield* Scope.provide(run.supervise(mine.factory), scope)
        yield* warnings(Effect.gen(function*() {
          for (const one of events) {
            if ("record" in one) run.record([supervised], one.record)
            else if ("wait" in one) yield* TestClock.adjust(one.wait)
            else if ("fail" in one) failing = one.fail
            else if ("slow" in one) slowness = one.slow
            else {
              // The process goes, with or without a last chance for the backend, and another goes on.
              if (one.again) yield* within(1000, supervised.drain(1000))
              const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
              yield* TestClock.adjust(30_000)
              yield* Fiber.join(closing)
              ended++
              scope = yield* Scope.make()
              run = yield* Scope.provide(open(directory), scope)
              // Records that were taken but not acknowledged in the file come again: the checkpoint says how many.
              const { checkpoint } = yield* Supervisor.readCursor(run.cursor())
              mine.rows.length = typeof checkpoint === "number" ? checkpoint : 0
              supervised = yield* Scope.provide(run.supervise(mine.factory), scope)
            }
          }
          failing = 0
          slowness = 0
          yield* TestClock.adjust(300_000)
          const delivered = yield* drain(supervised)
          assert.deepInclude(delivered, { seq: run.lastSeq(), undelivered: 0 })
        }))
        assert.deepStrictEqual(mine.seqs(), upTo(run.lastSeq()), JSON.stringify({ events, ended }))
        assert.deepStrictEqual(mine.rows.map((row) => row.metrics["loss"]), upTo(run.lastSeq()))
        yield* Scope.close(scope, Exit.void)
      }
    }))

  it.effect("brings the statistics along from the log, and waits for those that are still to come", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const gate = yield* Latch.make(false)
      const mine = keeping({ log: (rows) => Effect.andThen(gate.await, Effect.sync(() => mine.take(rows))) })
      const supervised = yield* run.supervise(mine.factory)
      // Every step closes three records later. `offset` is where the first record lies that was not offered.
      const pending: Array<{ readonly rows: ReadonlyArray<Row>; readonly start: number }> = []
      const step = () => {
        const start = run.end()
        pending.push({ rows: run.append(1), start })
        if (pending.length <= 3) return
        const closed = pending.shift()
        supervised.offer(run.statistics(closed?.rows ?? []), pending[0]?.start ?? run.end())
      }
      for (let i = 0; i < 10_003; i++) step()
      yield* TestClock.adjust(1000)
      gate.openUnsafe()
      yield* drain(supervised)
      assert.deepStrictEqual(mine.seqs(), upTo(10_000))
      for (let i = 0; i < 10; i++) {
        step()
        yield* TestClock.adjust(100)
      }
      yield* drain(supervised)
      assert.deepStrictEqual(mine.seqs(), upTo(10_010))
      assert.deepStrictEqual(mine.rows.map((row) => row.statistics?.values["loss/mean"]), upTo(10_010))
    }))

  it.effect("leaves no record behind whose step had not closed when the process ended", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const mine = keeping()
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* open(directory)
        const supervised = yield* run.supervise(mine.factory)
        const rows = run.append(9000)
        const start = run.end()
        run.append(3)
        supervised.offer(rows, start)
        assert.deepInclude(yield* drain(supervised), { seq: 9000, undelivered: 0 })
      }))
      assert.deepStrictEqual(mine.seqs(), upTo(9000))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* open(directory)
        yield* drain(yield* run.supervise(mine.factory))
      }))
      assert.deepStrictEqual(mine.seqs(), upTo(9003))
    }))

  it.effect("gets over records that cannot be read, and says how many they are", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      yield* Effect.scoped(Effect.map(open(directory), (run) => run.append(10)))
      const path = Path.join(directory, RunDirectory.logName)
      const lines = Fs.readFileSync(path, "utf8").split("\n")
      for (const [at, text] of [[3, "x"], [4, ""]] as const) lines[at] = text
      Fs.writeFileSync(path, lines.join("\n"))
      const { lines: warned } = yield* warnings(Effect.gen(function*() {
        const run = yield* open(directory)
        const mine = keeping()
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 2)
        const { undelivered } = yield* drain(supervised)
        assert.strictEqual(undelivered, 0)
        assert.deepStrictEqual(mine.seqs(), [1, 2, 3, 6, 7, 8, 9, 10, 11, 12])
      }))
      assert.deepStrictEqual(warned, [`2 records of ${path} cannot be read: the mine backend does not get them`])
    }))

  it.effect("waits for a log that cannot be read for a while", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      yield* Effect.scoped(Effect.map(open(directory), (run) => run.append(10)))
      const run = yield* open(directory)
      const mine = keeping()
      Fs.renameSync(run.path, `${run.path}.away`)
      const { lines } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 5)
        yield* TestClock.adjust(10_000)
        assert.deepStrictEqual(mine.seqs(), [])
        Fs.renameSync(`${run.path}.away`, run.path)
        yield* drain(supervised)
      }))
      assert.deepStrictEqual(mine.seqs(), upTo(15))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "There is no such file")
    }))
})

describe("the cursor", () => {
  it.effect("moves only after acknowledgement", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const gate = yield* Latch.make(false)
      const mine = keeping({ log: (rows) => Effect.andThen(gate.await, Effect.sync(() => mine.take(rows))) })
      const supervised = yield* run.supervise(mine.factory)
      run.record([supervised], 5)
      yield* TestClock.adjust(20_000)
      assert.isFalse(Fs.existsSync(run.cursor()))
      gate.openUnsafe()
      yield* drain(supervised)
      assert.deepStrictEqual<unknown>(cursorOf(run.cursor()), { runId: "r1", offset: run.end(), seq: 5 })
      gate.closeUnsafe()
      run.record([supervised], 5)
      yield* within(5000, supervised.drain(5000))
      assert.strictEqual(cursorOf(run.cursor()).seq, 5)
    }))

  it.effect("is written within a second of the last record, and not for each", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const mine = keeping()
      const supervised = yield* run.supervise(mine.factory)
      const seen: Array<number> = []
      for (let i = 0; i < 50; i++) {
        run.record([supervised], 1)
        yield* TestClock.adjust(100)
        if (Fs.existsSync(run.cursor())) seen.push(cursorOf(run.cursor()).seq)
      }
      assert.isAtMost(new Set(seen).size, 7)
      assert.isAtLeast(new Set(seen).size, 4)
      yield* TestClock.adjust(1200)
      assert.strictEqual(cursorOf(run.cursor()).seq, 50)
    }))

  it.effect("survives a restart: the next process brings what is missing, and only that", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const mine = keeping({ checkpoint: () => ({ length: mine.rows.length }) })
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* open(directory)
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 10)
        yield* drain(supervised)
        // Nobody listens to these.
        run.append(5)
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* open(directory)
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 5)
        yield* drain(supervised)
      }))
      assert.deepStrictEqual(mine.seqs(), upTo(20))
      assert.deepStrictEqual(mine.contexts.map((one) => one.checkpoint), [undefined, { length: 10 }])
    }))

  it.effect("of another run, of a log that lost its end, or of no sense at all does not lose a record", () =>
    Effect.gen(function*() {
      for (
        const [cursor, expected, checkpoint] of [
          [{ runId: "other", offset: 100, seq: 8, checkpoint: 1 }, upTo(15), undefined],
          [{ runId: "r1", offset: 0, seq: 8, checkpoint: 2 }, upTo(15, 9), 2],
          [{ offset: 0, seq: 8, checkpoint: 3 }, upTo(15, 9), 3],
          // The log was longer: what is written from now on was never delivered, whatever its seq.
          [{ runId: "r1", offset: 1e6, seq: 13, checkpoint: 4 }, upTo(15, 11), 4],
          [{ runId: "r1", offset: 1e6, seq: 4, checkpoint: 5 }, upTo(15, 5), 5],
          [{ runId: "r1", offset: -1, seq: 4 }, upTo(15), undefined],
          [{ runId: "r1", offset: 0.5, seq: "x" }, upTo(15), undefined],
          [null, upTo(15), undefined],
          ["torn", upTo(15), undefined]
        ] as const
      ) {
        const directory = yield* temporary
        yield* Effect.scoped(Effect.map(open(directory), (run) => run.append(10)))
        const mine = keeping()
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* open(directory)
          Fs.writeFileSync(run.cursor(), JSON.stringify(cursor).slice(0, cursor === "torn" ? 3 : Infinity))
          const gate = yield* Latch.make(false)
          const supervised = yield* run.supervise((context) => Effect.andThen(gate.await, mine.factory(context)))
          run.record([supervised], 5)
          gate.openUnsafe()
          yield* drain(supervised)
        }))
        assert.deepStrictEqual(mine.seqs(), expected)
        assert.deepStrictEqual(mine.contexts[0]?.checkpoint, checkpoint)
      }
    }))

  it.effect("does not move past a checkpoint that could not be had", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let broken = false
      const mine = keeping({ checkpoint: () => broken ? boom() : mine.rows.length })
      const { lines } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 3)
        yield* drain(supervised)
        broken = true
        run.record([supervised], 3)
        assert.deepInclude(yield* drain(supervised), { seq: 6, undelivered: 0 })
        assert.deepInclude(cursorOf(run.cursor()), { seq: 3, checkpoint: 3 })
        broken = false
        run.record([supervised], 3)
        yield* drain(supervised)
      }))
      assert.deepInclude(cursorOf(run.cursor()), { seq: 9, checkpoint: 9 })
      assert.deepStrictEqual(lines, ["Tracker backend mine.checkpoint() failed: boom"])
    }))

  it.effect("that cannot be written is told once, and stops nothing", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const mine = keeping({ checkpoint: () => 1n })
      const { lines } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        for (let i = 0; i < 3; i++) {
          run.record([supervised], 1)
          yield* drain(supervised)
        }
      }))
      assert.deepStrictEqual(mine.seqs(), upTo(3))
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0] ?? "", /mine\.cursor\.json cannot be written: .*BigInt/)
    }))

  it.effect("begins anew where the backend has: with `restart` it gets every record from the first", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const first = keeping()
      yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* open(directory)
        const supervised = yield* run.supervise(first.factory)
        run.record([supervised], 10)
        yield* drain(supervised)
      }))
      const again = keeping({ restart: true })
      const run = yield* open(directory)
      const gate = yield* Latch.make(false)
      const supervised = yield* run.supervise((context) => Effect.andThen(gate.await, again.factory(context)))
      // Offered before anybody knows that the backend begins anew.
      run.record([supervised], 10)
      yield* TestClock.adjust(1000)
      gate.openUnsafe()
      run.record([supervised], 10)
      assert.deepInclude(yield* drain(supervised), { seq: 30, undelivered: 0 })
      assert.deepStrictEqual(again.seqs(), upTo(30))
    }))
})

describe("the end", () => {
  it.effect("drain says what is left when its time is over", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const mine = keeping({ log: (rows) => rows[0]?.seq === 1 ? Effect.sync(() => mine.take(rows)) : Effect.never })
      const supervised = yield* run.supervise(mine.factory)
      run.record([supervised], 4)
      yield* drain(supervised)
      run.record([supervised], 6)
      const fiber = yield* Effect.forkChild(supervised.drain(2000))
      yield* TestClock.adjust(1999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* Fiber.join(fiber), { seq: 4, undelivered: 6 })
    }))

  it.effect("finish delivers, gives the outputs, and closes the run with how it ended", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const calls: Array<string> = []
      const mine = keeping({
        log: (rows) => void calls.push(`log ${rows.length}`),
        logImage: (name) => void calls.push(`image ${name}`),
        logArtifacts: boom,
        finish: (state) => void calls.push(`finish ${state}`)
      })
      const { result } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 3)
        put(run, supervised, [{ kind: "artifacts", paths: [] }, { kind: "image", name: "a", path: "b" }])
        return yield* within(
          10_000,
          supervised.finish("killed", 10_000)
        )
      }))
      assert.deepStrictEqual(calls, ["log 3", "image a", "finish killed"])
      assert.deepInclude(result, { seq: 3, undelivered: 0, outputs: 1, closed: true })
    }))

  it.effect("finish ends in time, however many outputs are not taken", () =>
    Effect.gen(function*() {
      for (const hang of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        const run = yield* open(yield* temporary)
        const scope = yield* Scope.make()
        const mine = keeping({ logImage: () => hang, finish: () => hang })
        const supervised = yield* Scope.provide(run.supervise(mine.factory), scope)
        run.record([supervised], 3)
        put(run, supervised, Array.from({ length: 500 }, (_, i) => ({ kind: "image", name: "a", path: `${i}.png` })))
        const { result } = yield* warnings(Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(supervised.finish("finished", 20_000))
          yield* TestClock.adjust(20_000)
          return fiber.pollUnsafe()
        }))
        if (result === undefined || Exit.isFailure(result)) throw new Error("not finished in time")
        assert.deepInclude(result.value, { seq: 3, undelivered: 0, outputs: 500, closed: false })
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* TestClock.adjust(30_000)
        yield* Fiber.join(closing)
      }
    }))

  it.effect("a run is not closed at a backend that has not got all of it", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let finished = 0
      const mine = keeping({ log: () => Effect.fail("away"), finish: () => void finished++ })
      const supervised = yield* run.supervise(mine.factory)
      run.record([supervised], 3)
      assert.deepInclude(yield* within(1000, supervised.finish("finished", 1000)), { undelivered: 3 })
      assert.strictEqual(finished, 0)
    }))

  it.effect("attempt never fails: it says whether it was done", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const gate = yield* Latch.make(false)
      const mine = keeping({ watch: (object) => object === "bad" ? boom() : undefined })
      const { result } = yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise((context) => Effect.andThen(gate.await, mine.factory(context)))
        const watch = (object: unknown) => supervised.attempt("watch", (backend) => backend.watch(object))
        const early = yield* watch("good")
        gate.openUnsafe()
        yield* TestClock.adjust(1)
        const thrown = yield* supervised.attempt("watch", boom)
        return [early, yield* watch("good"), yield* watch("bad"), thrown]
      }))
      assert.deepStrictEqual(result, [false, true, false, false])
    }))
})

describe("Tracker", () => {
  const entry = (name: string, factory: Backend.Factory): Tracker.Entry => ({ name, factory })

  const make = (directory: string, entries: ReadonlyArray<Tracker.Entry>) => {
    const path = Path.join(directory, RunDirectory.logName)
    return Tracker.make({
      entries,
      context: context(directory),
      directory: () => directory,
      log: () => path,
      history: Effect.succeed({ columns: ["step"], rows: Stream.make([1]) }),
      lastSeq: 0
    })
  }

  it.effect("reaches each backend by its name, and uses a name once", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const [one, two, three] = [keeping(), keeping(), keeping()]
      const { lines } = yield* warnings(Effect.gen(function*() {
        const run = yield* open(directory)
        const tracker = yield* make(directory, [
          entry("a", one.factory),
          entry("b", two.factory),
          entry("a", three.factory)
        ])
        assert.deepStrictEqual(tracker.names, ["a", "b"])
        yield* TestClock.adjust(1)
        assert.isDefined(yield* tracker.getBackend("b"))
        assert.isUndefined(yield* tracker.getBackend("c"))
        tracker.offer(run.append(3), run.end())
        yield* within(1000, tracker.drain(1000))
      }))
      assert.deepStrictEqual([one, two, three].map((backend) => backend.rows.length), [3, 3, 0])
      assert.deepStrictEqual(lines, [`Two backends are named "a": the second is not used. Give it another name`])
    }))

  it.effect("hands every call to all, whichever of them fail", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const images: Array<string> = []
      const bad = keeping({ logImage: boom, files: boom })
      const good = keeping({ logImage: (name) => void images.push(name), files: () => ["x.csv"] })
      yield* warnings(Effect.gen(function*() {
        yield* open(directory)
        const tracker = yield* make(directory, [entry("bad", bad.factory), entry("good", good.factory)])
        yield* TestClock.adjust(1)
        Fs.writeFileSync(Path.join(directory, "sample.png"), "pixels")
        yield* tracker.logImage("loss", Path.join(directory, "sample.png"))
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* tracker.files, ["x.csv"])
        const finished = yield* within(1000, tracker.finish("finished", 1000))
        assert.deepStrictEqual(finished.map((one) => [one.backend, one.failures]), [["bad", 2], ["good", 0]])
        assert.deepStrictEqual(finished.map((one) => [one.outputs, one.closed]), [[1, true], [0, true]])
      }))
      assert.deepStrictEqual(images, ["loss"])
    }))

  it.effect("chooses by the argument, the layer, and then the environment, and skips what nobody knows", () =>
    Effect.gen(function*() {
      const names = (asked: string | undefined, environment: Record<string, string>) =>
        Effect.map(Backends.select(asked, environment), (entries) => entries.map((one) => one.name))
      const environment = { EZPZ_TRACKER_BACKENDS: "csv,mine", EZPZ_TRACKERS: "csv" }
      const { lines } = yield* warnings(
        Effect.gen(function*() {
          yield* Backend.register("mine", keeping().factory)
          assert.deepStrictEqual(yield* names("mine,nope", environment), ["mine"])
          assert.deepStrictEqual(yield* names(undefined, environment), ["csv", "mine"])
          assert.deepStrictEqual(yield* names(undefined, { EZPZ_TRACKERS: " CSV , csv" }), ["csv"])
          assert.deepStrictEqual(yield* names(undefined, {}), [])
          assert.deepStrictEqual(yield* names("csv,none", environment), [])
          assert.deepStrictEqual(
            yield* Effect.provide(names(undefined, environment), Backend.layer("mine")),
            ["mine"]
          )
        }).pipe(Effect.provideService(Backend.Registry, new Map()))
      )
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0] ?? "", /Unknown backend "nope" is skipped\. Known: csv, .*mine/)
    }))
})
