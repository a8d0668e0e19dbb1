import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Backend from "../src/Backend.ts"
import type { Row } from "../src/Row.ts"

const row: Row = { seq: 1, step: 1, timestamp: 0, rank: 0, metrics: { loss: 1 }, statistics: undefined }

const table: Backend.Table = { columns: [], rows: Stream.empty }

describe("make", () => {
  it.effect("needs a name and `log`, and does nothing else", () =>
    Effect.gen(function*() {
      const rows: Array<Row> = []
      const mine = Backend.make({ name: "mine", log: (batch) => void rows.push(...batch) })
      yield* mine.log([row])
      yield* mine.logConfig({})
      yield* mine.logTable("t", table)
      yield* mine.logImage("i", "p")
      yield* mine.logArtifacts([])
      yield* mine.watch({})
      yield* mine.move("d")
      yield* mine.finish("finished")
      assert.deepStrictEqual(rows, [row])
      assert.deepStrictEqual([mine.name, mine.restart, yield* mine.checkpoint, yield* mine.files], [
        "mine",
        false,
        undefined,
        []
      ])
    }))

  it.effect("waits for effects, for promises, and for what only looks like a promise", () =>
    Effect.gen(function*() {
      const done: Array<string> = []
      const later = (what: string) => new Promise<void>((resolve) => setImmediate(() => resolve(void done.push(what))))
      const mine = Backend.make({
        name: "mine",
        log: () => Effect.promise(() => later("effect")),
        logConfig: () => later("promise"),
        watch: () =>
          // oxlint-disable-next-line unicorn/no-thenable
          ({ then: (resolve: () => void) => void later("thenable").then(resolve) }) as unknown as Promise<void>
      })
      yield* mine.log([])
      assert.deepStrictEqual(done, ["effect"])
      yield* mine.logConfig({})
      assert.deepStrictEqual(done, ["effect", "promise"])
      yield* mine.watch({})
      assert.deepStrictEqual(done, ["effect", "promise", "thenable"])
    }))

  it.effect("makes a typed error of whatever is thrown, rejected or failed with", () =>
    Effect.gen(function*() {
      const own = new Backend.BackendError({ backend: "mine", operation: "watch", cause: "own" })
      const mine = Backend.make({
        name: "mine",
        log: () => {
          throw new Error("thrown")
        },
        logConfig: () => Promise.reject(new Error("rejected")),
        logArtifacts: () => Effect.fail("failed"),
        move: () => Promise.reject(undefined),
        watch: () => Effect.fail(own)
      })
      const messages = yield* Effect.forEach(
        [mine.log([]), mine.logConfig({}), mine.logArtifacts([]), mine.move("x"), mine.watch({})],
        (call) => Effect.map(Effect.flip(call), (error) => [error._tag, error.message])
      )
      assert.deepStrictEqual(messages, [
        ["BackendError", "Tracker backend mine.log() failed: thrown"],
        ["BackendError", "Tracker backend mine.logConfig() failed: rejected"],
        ["BackendError", "Tracker backend mine.logArtifacts() failed: failed"],
        ["BackendError", "Tracker backend mine.move() failed: undefined"],
        ["BackendError", "Tracker backend mine.watch() failed: own"]
      ])
    }))
})

describe("flat", () => {
  it("puts the statistics beside the metrics", () => {
    assert.strictEqual(Backend.flat(row), row.metrics)
    const statistics = { values: { "loss/mean": 2 }, count: 2, expected: 2 }
    assert.deepStrictEqual(Backend.flat({ ...row, statistics }), { loss: 1, "loss/mean": 2 })
  })
})

describe("parseNames", () => {
  it("takes a list or a string, in any case, each once; none is none", () => {
    assert.deepStrictEqual(Backend.parseNames(" CSV, wandb,,csv "), ["csv", "wandb"])
    assert.deepStrictEqual(Backend.parseNames(["mlflow", "MLflow"]), ["mlflow"])
    assert.deepStrictEqual(Backend.parseNames("csv,None"), [])
    assert.deepStrictEqual(Backend.parseNames(""), [])
  })
})
