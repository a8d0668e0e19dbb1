import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as Fold from "../src/Fold.ts"

const sum = Fold.make(() => 0, (total: number, n: number) => total + n, (total) => total)
const list = Fold.make((): Array<number> => [], (all, n: number) => (all.push(n), all), (all) => [...all])
const count = Fold.map(list, (all) => all.length)

/** A fold that says what happens to it, and sees how it was cut. */
const traced = (events: Array<string>, name = "fold", fail?: "open" | "push" | "done" | undefined) => {
  const step = (what: "open" | "push" | "done") =>
    Effect.suspend(() => {
      events.push(`${what} ${name}`)
      return fail === what ? Effect.fail(`${what} failed`) : Effect.void
    })
  return Fold.fromEffect<number, string, string, never>(Effect.gen(function*() {
    yield* Effect.acquireRelease(
      Effect.sync(() => events.push(`acquire ${name}`)),
      () => Effect.sync(() => events.push(`release ${name}`))
    )
    yield* step("open")
    return { push: () => step("push"), done: Effect.as(step("done"), `${name} done`) }
  }))
}

const cut = (numbers: ReadonlyArray<number>, cuts: ReadonlyArray<number>): Stream.Stream<number> => {
  const places = [...new Set(cuts.map((at) => at % (numbers.length + 1))), numbers.length].sort((a, b) => a - b)
  const chunks = places.map((to, i) => numbers.slice(places[i - 1] ?? 0, to))
  return Stream.fromIterable(chunks).pipe(Stream.flatMap((chunk) => Stream.fromIterable(chunk)))
}

const numbers = fc.array(fc.integer({ min: -100, max: 100 }), { maxLength: 30 })
const samples = fc.sample(fc.tuple(numbers, fc.array(fc.nat({ max: 40 }), { maxLength: 6 })), { numRuns: 200, seed: 1 })

describe("the laws", () => {
  it.effect("how the input is cut into chunks changes nothing", () =>
    Effect.gen(function*() {
      for (const [input, cuts] of samples) {
        const whole = Stream.fromIterable(input)
        for (const fold of [list, Fold.filter(list, (n) => n % 2 === 0), Fold.mapInput(list, (n: number) => -n)]) {
          assert.deepStrictEqual(yield* Fold.run(cut(input, cuts), fold), yield* Fold.run(whole, fold))
        }
      }
    }))

  it.effect("all gives what each gives alone", () =>
    Effect.gen(function*() {
      for (const [input, cuts] of samples) {
        const folds = { sum, list, even: Fold.filter(count, (n) => n % 2 === 0), nothing: Fold.succeed("x") }
        assert.deepStrictEqual(yield* Fold.run(cut(input, cuts), Fold.all(folds)), {
          sum: yield* Fold.run(Stream.fromIterable(input), folds.sum),
          list: input,
          even: input.filter((n) => n % 2 === 0).length,
          nothing: "x"
        })
      }
      assert.deepStrictEqual(yield* Fold.run(Stream.make(1), Fold.all({})), {})
    }))

  it.effect("map and mapEffect change what comes out, mapInput and filter what goes in, in either order of arguments", () =>
    Effect.gen(function*() {
      const input = Stream.make(1, 2, 3, 4)
      assert.strictEqual(yield* Fold.run(input, Fold.map(sum, String)), "10")
      assert.strictEqual(yield* Fold.run(input, Fold.map(String)(sum)), "10")
      assert.strictEqual(yield* Fold.run(input, Fold.mapEffect(sum, (n) => Effect.succeed(n + 1))), 11)
      assert.strictEqual(yield* Fold.run(input, Fold.mapInput(sum, (n: number) => n * 10)), 100)
      assert.deepStrictEqual(yield* Fold.run(input, Fold.filter(list, (n) => n > 2)), [3, 4])
      assert.strictEqual(yield* Stream.run(input, Fold.toSink(sum)), 10)
      assert.strictEqual(yield* input.pipe(Fold.run(sum)), 10)
    }))

  it.effect("a fold is a value: running it again begins anew, at the same time too", () =>
    Effect.gen(function*() {
      const both = Effect.all([Fold.run(Stream.make(1, 2), list), Fold.run(Stream.make(3), list)], { concurrency: 2 })
      assert.deepStrictEqual(yield* both, [[1, 2], [3]])
      assert.deepStrictEqual(yield* Fold.run(Stream.make(4), list), [4])
    }))

  it.effect("an empty input is folded too", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      assert.strictEqual(yield* Fold.run(Stream.empty, traced(events)), "fold done")
      assert.deepStrictEqual(events, ["acquire fold", "open fold", "done fold", "release fold"])
    }))
})

describe("what a fold opens", () => {
  it.effect("is released after done, of all folds, last opened first", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      yield* Fold.run(Stream.make(1, 2), Fold.all({ a: traced(events, "a"), b: traced(events, "b") }))
      assert.deepStrictEqual(events, [
        "acquire a",
        "open a",
        "acquire b",
        "open b",
        "push a",
        "push b",
        "done a",
        "done b",
        "release b",
        "release a"
      ])
    }))

  for (const fail of ["open", "push", "done"] as const) {
    it.effect(`is released when ${fail} fails, and the failure is the run's`, () =>
      Effect.gen(function*() {
        const events: Array<string> = []
        const folds = Fold.all({ a: traced(events, "a"), b: traced(events, "b", fail), c: traced(events, "c") })
        assert.strictEqual(yield* Effect.flip(Fold.run(Stream.make(1), folds)), `${fail} failed`)
        const opened = events.filter((event) => event.startsWith("acquire")).map((event) => event.slice(8))
        const released = events.filter((event) => event.startsWith("release")).map((event) => event.slice(8))
        assert.deepStrictEqual(released, opened.reverse())
        assert.isAtLeast(released.length, 2)
      }))
  }

  it.effect("is released when the input fails, and what comes after a fold fails too", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const input = Stream.concat(Stream.make(1), Stream.fail("input failed"))
      assert.strictEqual(yield* Effect.flip(Fold.run(input, traced(events))), "input failed")
      assert.deepStrictEqual(events.at(-1), "release fold")
      assert.notInclude(events, "done fold")
      const after = Fold.mapEffect(traced(events), () => Effect.fail("after"))
      assert.strictEqual(yield* Effect.flip(Fold.run(Stream.make(1), after)), "after")
      assert.deepStrictEqual(events.at(-1), "release fold")
    }))

  it.effect("is released when the run is interrupted", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const reached = yield* Latch.make(false)
      const input = Stream.concat(
        Stream.make(1),
        Stream.fromEffect(Effect.andThen(reached.open, Effect.never as Effect.Effect<number>))
      )
      const fiber = yield* Effect.forkChild(Fold.run(input, traced(events)))
      yield* reached.await
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(events, ["acquire fold", "open fold", "push fold", "release fold"])
    }))
})
