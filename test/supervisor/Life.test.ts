import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Backend from "../../src/Backend.ts"
import { temporary } from "../support/directory.ts"
import { cursorOf, keeping, open, upTo, warnings, within } from "../support/supervision.ts"

/** What becomes of an effect in so much time; undefined if it is not done then. */
const done = <A, E, R>(millis: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(millis)
    return fiber.pollUnsafe()
  })

describe("a backend that hangs", () => {
  const hanging: ReadonlyArray<readonly [string, Backend.Factory]> = [
    ["when it starts", () => Effect.never],
    ["in the middle of records", keeping({ log: () => Effect.never }).factory],
    [
      "when it is asked for its files",
      () => Effect.succeed({ ...Backend.make({ name: "mine", log: () => {} }), files: Effect.never })
    ],
    ["when it moves", keeping({ move: () => Effect.never }).factory]
  ]
  for (const [when, factory] of hanging) {
    it.effect(`${when} is not waited for longer than it is given`, () =>
      warnings(Effect.gen(function*() {
        const run = yield* open(yield* temporary)
        const supervised = yield* run.supervise(factory)
        run.record([supervised], 3)
        yield* within(2000, supervised.drain(2000))
        assert.deepStrictEqual(yield* done(1000, supervised.files), Exit.succeed([]))
        assert.deepStrictEqual(yield* done(1000, Effect.uninterruptible(supervised.move("elsewhere", 1000))), Exit.void)
      })))
  }

  it.effect("is said to have been asked, where that is all there is to say", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const supervised = yield* run.supervise(keeping({ log: () => Effect.never }).factory)
      run.record([supervised], 3)
      const delivered = yield* within(2000, supervised.drain(2000))
      assert.deepInclude(delivered, { undelivered: 3, failures: 0, lastFailure: "log() was under way" })
    }))

  it.effect("when it is closed ends with its run all the same, soon", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      const scope = yield* Scope.make()
      const { lines } = yield* warnings(Effect.gen(function*() {
        yield* run.supervise((context) =>
          Effect.andThen(Effect.addFinalizer(() => Effect.never), keeping().factory(context))
        ).pipe(Scope.provide(scope))
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* done(5000, Scope.close(scope, Exit.void)), Exit.void)
      }))
      assert.strictEqual(lines.length, 1)
    }))
})

describe("a backend", () => {
  it.effect("that fails to close its run once is asked again, as long as there is time", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let calls = 0
      const finish = () => {
        if (++calls % 2 === 1) throw new Error("the connection broke")
      }
      yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(keeping({ finish }).factory)
        run.record([supervised], 3)
        assert.deepInclude(yield* within(60_000, supervised.finish("finished", 60_000)), { closed: true })
        run.record([supervised], 3)
        assert.deepInclude(yield* within(300, supervised.finish("finished", 300)), { closed: false })
      }))
      assert.strictEqual(calls, 3)
    }))

  it.effect("leaves its place to others between tries", () =>
    Effect.gen(function*() {
      const run = yield* open(yield* temporary)
      let calls = 0
      const mine = keeping({
        log: (rows) => {
          if (++calls > 1) throw new Error("away")
          mine.take(rows)
        }
      })
      yield* warnings(Effect.gen(function*() {
        const supervised = yield* run.supervise(mine.factory)
        run.record([supervised], 300)
        yield* TestClock.adjust(250)
        run.record([supervised], 300)
        // Within the second that a cursor is not written for each batch.
        yield* TestClock.adjust(250)
        assert.deepStrictEqual(mine.seqs(), upTo(300))
        assert.deepInclude(cursorOf(run.cursor()), { seq: 300 })
        assert.isFalse(Fs.existsSync(run.cursor().replace("cursor.json", "lock")))
      }))
    }))
})
