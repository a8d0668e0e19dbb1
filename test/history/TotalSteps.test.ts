import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as History from "../../src/History.ts"
import * as TotalSteps from "../../src/history/TotalSteps.ts"
import * as Metrics from "../../src/Metrics.ts"
import { temporary } from "../support/directory.ts"

const decoded = (line: string): ReadonlyArray<Metrics.Decoded> => {
  const record = Metrics.decodeLine(line)
  return record._tag === "Decoded" ? [record] : []
}

/** What is known after each of the values; undefined is a record without the key. */
const after = (values: ReadonlyArray<unknown>, given?: number, before?: number) =>
  Effect.map(TotalSteps.make(given, before), (total) =>
    values.map((value, i) => {
      total.see(decoded(JSON.stringify({ step: i + 1, loss: 1, total_steps: value })))
      return total.value()
    }))

describe("a total of steps", () => {
  it.effect("is what the records say, also if only the first one does", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* after([100, 100]), [100, 100])
      assert.deepStrictEqual(yield* after([100, undefined, undefined]), [100, 100, 100])
      assert.deepStrictEqual(yield* after([undefined, 100]), [undefined, 100])
    }))

  it.effect("is what was said at the start, whatever records say; what a resumed run knew holds until they do", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* after([100, 100], 7, 50), [7, 7])
      assert.deepStrictEqual(yield* after([undefined, 100], undefined, 50), [50, 100])
    }))

  it.effect("is no counter: a value that changes is not believed until it stays, and soon never again", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* after([100, 200, 200]), [100, undefined, 200])
      assert.deepStrictEqual(yield* after([1, 2, 3]), [undefined, undefined, undefined])
      assert.strictEqual((yield* after([8, 16, 24, 32, 32, 32])).at(-1), undefined)
    }))

  it.effect("is a finite number above 0, and anything else says nothing", () =>
    Effect.gen(function*() {
      for (const value of [0, -1, "100", null, true, [100], "NaN", "Infinity"]) {
        assert.deepStrictEqual(yield* after([value]), [undefined], JSON.stringify(value))
      }
    }))

  it.effect("is found in one record among the first of a file", () =>
    Effect.gen(function*() {
      const total = yield* TotalSteps.make(undefined, undefined)
      total.see(
        [`{"step":0}`, `{"total_steps":500}`, ...Array.from({ length: 1000 }, (_, i) => `{"step":${i}}`)].flatMap(
          decoded
        )
      )
      assert.strictEqual(total.value(), 500)
    }))
})

describe("run.json", () => {
  const kept = (directory: string): unknown =>
    JSON.parse(Fs.readFileSync(Path.join(directory, ".ezpz/run.json"), "utf8")).totalSteps

  it.effect("has the total while the run goes on, and when it is gone on with", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      yield* Effect.scoped(Effect.gen(function*() {
        const history = yield* History.make({ outdir, environment: {} })
        yield* history.update({ loss: 1 }, { step: 0 })
        yield* Effect.yieldNow
        assert.deepStrictEqual([history.totalSteps, kept(outdir)], [undefined, undefined])
        yield* history.update({ loss: 1, total_steps: 100 }, { step: 1 })
        yield* Effect.yieldNow
        assert.deepStrictEqual([history.totalSteps, kept(outdir)], [100, 100])
        yield* history.finish()
        assert.strictEqual(kept(outdir), 100)
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const history = yield* History.make({ outdir, environment: {}, exists: "append" })
        assert.deepStrictEqual([history.totalSteps, kept(outdir)], [100, 100])
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const history = yield* History.make({ outdir, environment: {}, exists: "append", totalSteps: 200 })
        yield* history.update({ loss: 1, total_steps: 100 }, { step: 2 })
        yield* history.finish()
        assert.deepStrictEqual([history.totalSteps, kept(outdir)], [200, 200])
      }))
    }))

  it.effect("a total that makes no sense is refused", () =>
    Effect.gen(function*() {
      for (const totalSteps of [0, -1, NaN, Infinity]) {
        const error = yield* Effect.flip(
          Effect.scoped(History.make({ outdir: yield* temporary, environment: {}, totalSteps }))
        )
        assert.include(error.message, "totalSteps must be a number above 0")
      }
    }))
})
