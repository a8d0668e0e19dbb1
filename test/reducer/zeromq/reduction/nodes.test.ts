import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as ZeroMq from "../../../../src/reducer/zeromq/ZeroMq.ts"
import type { Row } from "../../../../src/Row.ts"
import { temporary } from "../../../support/directory.ts"

/** Ranks as fibers of this process, on nodes of so many; rank 0 waits for whoever is there as long as it takes. */
const reduce = (nodes: number, perNode: number, stepsOf: (rank: number) => number) =>
  Effect.gen(function*() {
    const directory = yield* temporary
    const told: Array<{ readonly row: Row; readonly amended: boolean }> = []
    const rank = (index: number) =>
      Effect.scoped(Effect.gen(function*() {
        const reducer = ZeroMq.make({
          deadlineMillis: 600_000,
          environment: {
            EZPZ_RANK: String(index),
            EZPZ_WORLD_SIZE: String(nodes * perNode),
            EZPZ_LOCAL_RANK: String(index % perNode),
            EZPZ_LOCAL_WORLD_SIZE: String(perNode),
            EZPZ_NODE: `node${Math.floor(index / perNode)}`,
            EZPZ_JOB_ID: directory,
            EZPZ_RENDEZVOUS_DIR: directory
          }
        })
        const reduction = yield* reducer.open("run", (rows, amended = false) => {
          for (const row of rows) told.push({ row, amended })
        })
        for (let step = 1; step <= stepsOf(index); step++) {
          const metrics = { loss: index * step }
          reduction.offer([{ seq: step, step, timestamp: 0, rank: index, metrics, statistics: undefined }])
          if (step % 10 === index) yield* Effect.sleep(2)
        }
        yield* reduction.flush
      }))
    const fibers = yield* Effect.forEach(
      Array.from({ length: nodes * perNode }, (_, index) => index),
      (index) => Effect.forkChild(rank(index))
    )
    yield* Fiber.joinAll(fibers)
    return told
  })

describe("ranks of several nodes", () => {
  it.live("are all in each record, once and in order, and nothing is amended", () =>
    Effect.gen(function*() {
      const told = yield* reduce(3, 2, () => 200)
      assert.deepStrictEqual(told.map(({ row }) => row.seq), Array.from({ length: 200 }, (_, i) => i + 1))
      for (const { amended, row: { statistics, step } } of told) {
        assert.deepStrictEqual([amended, statistics?.count, statistics?.expected], [false, 6, 6])
        assert.strictEqual(statistics?.values["loss/mean"], 2.5 * (step ?? NaN))
        assert.strictEqual(statistics?.values["loss/argmax"], 5)
      }
    }))

  it.live("that end at different steps are in all that they have said: a goodbye does not overtake it", () =>
    Effect.gen(function*() {
      const stepsOf = (rank: number): number => rank === 0 ? 300 : 50 * rank
      const told = yield* reduce(3, 2, stepsOf)
      assert.strictEqual(told.length, 300)
      for (const { amended, row: { statistics, step = 0 } } of told) {
        const ranks = [0, 1, 2, 3, 4, 5].filter((rank) => stepsOf(rank) >= step)
        assert.deepStrictEqual([amended, statistics?.count], [false, ranks.length], `step ${step}`)
      }
    }))
})
