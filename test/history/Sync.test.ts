/** `reduction: "sync"`: rank 0's update gives the line of its own step. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import * as History from "../../src/History.ts"
import { temporary } from "../support/directory.ts"

describe("reduction: sync", () => {
  it.live("updates that wait at the same time have each its own line", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const rank = (index: number) =>
        Effect.gen(function*() {
          const history = yield* History.make({
            outdir: Path.join(directory, "run"),
            backends: "none",
            reduction: "sync",
            environment: {
              EZPZ_RANK: String(index),
              EZPZ_WORLD_SIZE: "2",
              EZPZ_LOCAL_WORLD_SIZE: "2",
              EZPZ_JOB_ID: "sync",
              EZPZ_RENDEZVOUS_DIR: Path.join(directory, "rendezvous")
            }
          })
          const lines = yield* Effect.forEach(
            [1, 2, 3],
            (step) => history.update({ loss: step + index / 2 }, { step }),
            { concurrency: 3 }
          )
          yield* history.finalize({ plots: false })
          return lines
        }).pipe(Effect.scoped)
      const [lines = []] = yield* Effect.all([rank(0), rank(1)], { concurrency: 2 })
      assert.deepStrictEqual(lines.map((line) => /loss=(\d)\(±/.exec(line)?.[1]), ["1", "2", "3"], lines.join(" | "))
    }))
})
