import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Rank from "../src/Rank.ts"
import * as Reducer from "../src/Reducer.ts"
import type { Row } from "../src/Row.ts"

const row = (seq: number): Row => ({
  seq,
  step: seq,
  timestamp: 0,
  rank: 0,
  metrics: { loss: seq },
  statistics: undefined
})

describe("layerLocal", () => {
  it.effect("publishes every record before `offer` returns, as it came, and has nothing to flush", () =>
    Effect.gen(function*() {
      const reducer = yield* Reducer.Reducer
      assert.deepStrictEqual(reducer.rank, Rank.single)
      const published: Array<ReadonlyArray<Row>> = []
      const reduction = yield* reducer.open("r1", (rows) => void published.push(rows))
      const offered = [[row(1)], [row(2), row(3)]]
      for (const [i, rows] of offered.entries()) {
        reduction.offer(rows)
        assert.strictEqual(published[i], rows)
      }
      yield* reduction.flush
      assert.deepStrictEqual(published, offered)
    }).pipe(Effect.scoped, Effect.provide(Reducer.layerLocal)))
})

describe("ReducerError", () => {
  it("says what could not be done, and why", () => {
    const error = new Reducer.ReducerError({ operation: "join", cause: new Error("no route to host") })
    assert.strictEqual(error.message, "The ranks could not join: no route to host")
  })
})
