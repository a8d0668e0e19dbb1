import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import type { Metrics } from "../src/Metrics.ts"
import * as StopWatch from "../src/StopWatch.ts"

/** Runs a program with its log lines and recorded metrics at hand. */
const observed = <A, E>(
  run: (record: (metrics: Metrics) => Effect.Effect<void>) => Effect.Effect<A, E>
) => {
  const lines: Array<string> = []
  const recorded: Array<Metrics> = []
  const logger = Logger.make(({ logLevel, message }) => {
    lines.push(`${logLevel} ${String(message)}`)
  })
  return run((metrics) => Effect.sync(() => void recorded.push(metrics))).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.exit,
    Effect.map((exit) => ({ exit, lines, recorded }))
  )
}

/** Lets an effect run while time goes by. */
const within = <A, E>(time: number, effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

describe("StopWatch", () => {
  it.effect("logs at Info how long an effect took, and gives what it gave", () =>
    Effect.gen(function*() {
      const { exit, lines } = yield* observed(() =>
        within(123, Effect.as(Effect.sleep(123), "output").pipe(StopWatch.measure("forward pass")))
      )
      assert.deepStrictEqual(exit, Exit.succeed("output"))
      assert.deepStrictEqual(lines, ["Info forward pass took 0.123 seconds"])
    }))

  it.effect("records dt and iter under its tag, and is as quiet as it is told to be", () =>
    Effect.gen(function*() {
      const { lines, recorded } = yield* observed((record) =>
        within(
          1500,
          StopWatch.measure(Effect.sleep(1500), "step", {
            tag: "timing/step",
            prefix: "train",
            iter: 7,
            record,
            log: false
          })
        )
      )
      assert.deepStrictEqual(recorded, [{ "train/timing/step/dt": 1.5, "train/timing/step/iter": 7 }])
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("measures what fails and what is interrupted", () =>
    Effect.gen(function*() {
      const failed = yield* observed((record) =>
        within(250, StopWatch.measure(Effect.andThen(Effect.sleep(250), Effect.fail("no")), "a", { tag: "a", record }))
      )
      assert.deepStrictEqual(failed.exit, Exit.fail("no"))
      assert.deepStrictEqual(failed.lines, ["Info a took 0.250 seconds"])
      assert.deepStrictEqual(failed.recorded, [{ "a/dt": 0.25, "a/iter": 1 }])

      const interrupted = yield* observed((record) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(StopWatch.measure(Effect.never, "b", { tag: "b", record }))
          yield* TestClock.adjust(2000)
          yield* Fiber.interrupt(fiber)
        })
      )
      assert.deepStrictEqual(interrupted.lines, ["Info b took 2.000 seconds"])
      assert.deepStrictEqual(interrupted.recorded, [{ "b/dt": 2, "b/iter": 1 }])
    }))

  it.effect("counts its measurements, and times those that overlap apart", () =>
    Effect.gen(function*() {
      const { recorded } = yield* observed((record) =>
        Effect.gen(function*() {
          const watch = yield* StopWatch.make({ name: "io", tag: "io", record })
          yield* within(
            300,
            Effect.all([watch.measure(Effect.sleep(300)), watch.measure(Effect.sleep(100))], { concurrency: 2 })
          )
          yield* watch.measure(Effect.void)
        })
      )
      assert.deepStrictEqual(recorded, [
        { "io/dt": 0.1, "io/iter": 1 },
        { "io/dt": 0.3, "io/iter": 2 },
        { "io/dt": 0, "io/iter": 3 }
      ])
    }))

  it.effect("starts, is read, stops once, and starts anew", () =>
    Effect.gen(function*() {
      const { lines } = yield* observed(() =>
        Effect.gen(function*() {
          const watch = yield* StopWatch.make({ name: "epoch" })
          assert.strictEqual(yield* watch.elapsed, 0)
          assert.strictEqual(yield* watch.stop, 0)
          yield* watch.start
          yield* TestClock.adjust(400)
          assert.strictEqual(yield* watch.elapsed, 0.4)
          yield* watch.start
          yield* TestClock.adjust(100)
          assert.strictEqual(yield* watch.stop, 0.1)
          assert.strictEqual(yield* watch.stop, 0)
        })
      )
      assert.deepStrictEqual(lines, ["Info epoch took 0.100 seconds"])
    }))

  it.effect("does not hide that recording failed", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        StopWatch.measure(Effect.void, "x", { tag: "x", record: () => Effect.fail("full"), log: false })
      )
      assert.deepStrictEqual(exit, Exit.fail("full"))
    }))

  it("ends with the block that uses it, in plain code, even when the block throws", () => {
    const lines: Array<string> = []
    const recorded: Array<Metrics> = []
    let time = 1000
    assert.throws(() => {
      using watch = StopWatch.start("forward", {
        tag: "timing/",
        iter: 3,
        log: (line) => lines.push(line),
        record: (metrics) => recorded.push(metrics),
        now: () => time
      })
      time += 42
      assert.strictEqual(watch.elapsed(), 0.042)
      watch.stop()
      time += 1000
      throw new Error("out of memory")
    }, "out of memory")
    assert.deepStrictEqual(lines, ["forward took 0.042 seconds"])
    assert.deepStrictEqual(recorded, [{ "timing/dt": 0.042, "timing/iter": 3 }])
    assert.isAtLeast(StopWatch.start("real").stop(), 0)
  })
})
