import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Metrics } from "../../../src/Metrics.ts"
import { isBefore, nextIncarnation } from "../../../src/reducer/zeromq/reduction/options.ts"
import * as ZeroMq from "../../../src/reducer/zeromq/ZeroMq.ts"
import type { Row } from "../../../src/Row.ts"
import { temporary } from "../../support/directory.ts"

const row = (rank: number, seq: number, step: number, metrics: Metrics): Row => ({
  seq,
  step,
  timestamp: seq,
  rank,
  metrics,
  statistics: undefined
})

const environment = (directory: string, rank: number, worldSize: number) => ({
  EZPZ_RANK: String(rank),
  EZPZ_WORLD_SIZE: String(worldSize),
  EZPZ_LOCAL_WORLD_SIZE: String(worldSize),
  EZPZ_JOB_ID: "test",
  EZPZ_RENDEZVOUS_DIR: directory
})

/** Ranks as fibers of this process, over real sockets; `runs` one after the other, in scopes that stay open. */
const reduce = (
  worldSize: number,
  steps: number,
  value: (rank: number, step: number, run: number) => Metrics,
  runs = 1
) =>
  Effect.gen(function*() {
    const directory = yield* temporary
    const published: Array<Row> = []
    const rank = (index: number) =>
      Effect.scoped(Effect.gen(function*() {
        for (let run = 0; run < runs; run++) yield* one(index, run)
      }))
    const one = (index: number, run: number) =>
      Effect.gen(function*() {
        const reducer = ZeroMq.make({ environment: environment(directory, index, worldSize) })
        const reduction = yield* reducer.open(`run${run}`, (rows) => void published.push(...rows))
        for (let step = 1; step <= steps; step++) {
          reduction.offer([row(index, step, step, value(index, step, run))])
          if (step % 10 === index % 10) yield* Effect.sleep(1)
        }
        yield* reduction.flush
      })
    const fibers = yield* Effect.forEach(
      Array.from({ length: worldSize }, (_, i) => i),
      (index) => Effect.forkChild(rank(index))
    )
    yield* Fiber.joinAll(fibers)
    return published
  })

describe("ranks over ZeroMQ", () => {
  it.live("every step has the statistics of all ranks, in order, once", () =>
    Effect.gen(function*() {
      const published = yield* reduce(8, 200, (rank, step) => ({ loss: rank + step, "train/acc": step }))
      assert.deepStrictEqual(published.map(({ seq }) => seq), Array.from({ length: 200 }, (_, i) => i + 1))
      for (const { seq, statistics } of published) {
        assert.deepInclude(statistics, { count: 8, expected: 8 })
        assert.deepInclude(statistics?.values, {
          "loss/mean": seq + 3.5,
          "loss/min": seq,
          "loss/max": seq + 7,
          "loss/argmax": 7,
          "train/acc/std": 0
        })
      }
    }))

  it.live("evaluation on rank 0 alone shifts nothing", () =>
    Effect.gen(function*() {
      const published = yield* reduce(
        3,
        20,
        (rank, step) => (rank === 0 ? { loss: step, "eval/acc": 1 } : { loss: step + rank })
      )
      assert.strictEqual(published.length, 20)
      for (const { seq, statistics } of published) {
        assert.strictEqual(statistics?.values["loss/mean"], seq + 1)
        assert.strictEqual(statistics?.values["eval/acc/mean"], 1)
      }
    }))

  it.live("a second run of the same processes begins at once, and hears nothing of the first", () =>
    Effect.gen(function*() {
      const published = yield* reduce(4, 20, (rank, step, run) => ({ loss: run * 1000 + rank + step }), 3)
      assert.strictEqual(published.length, 60)
      for (const [i, { seq, statistics }] of published.entries()) {
        assert.deepInclude(statistics, { count: 4, expected: 4 })
        assert.strictEqual(statistics?.values["loss/mean"], Math.floor(i / 20) * 1000 + seq + 1.5)
      }
    }))

  it.live("at an address that stays the same, a rank of a run that broke off is none of the next", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const open = (index: number, runId: string, published: Array<Row> = []) =>
        ZeroMq.make({
          environment: { ...environment(directory, index, 2), EZPZ_ROOT: `ipc://${directory}/private/root` },
          flushMillis: 5000
        }).open(runId, (rows) => void published.push(...rows))
      const until = (holds: () => boolean) =>
        Effect.gen(function*() {
          while (!holds()) yield* Effect.sleep(20)
        })

      const first: Array<Row> = []
      const old = yield* open(1, "a")
      yield* Effect.scoped(Effect.gen(function*() {
        const root = yield* open(0, "a", first)
        root.offer([row(0, 1, 1, { loss: 1 })])
        old.offer([row(1, 1, 1, { loss: 3 })])
        yield* until(() => first.length === 1)
      }))
      assert.strictEqual(first[0]?.statistics?.values["loss/mean"], 2)

      old.offer([row(1, 2, 1, { loss: 1e6 })])
      const second: Array<Row> = []
      const root = yield* open(0, "b", second)
      root.offer([row(0, 1, 1, { loss: 1 })])
      yield* Effect.sleep(1500)
      const other = yield* open(1, "b")
      other.offer([row(1, 1, 1, { loss: 5 })])
      yield* until(() => second.length === 1)
      assert.strictEqual(second[0]?.statistics?.values["loss/mean"], 3)
      yield* other.flush
      yield* root.flush
    }))

  it.live("a rank does not wait at its end for ever for what the root never comes to", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const published: Array<Row> = []
      const open = (index: number) =>
        ZeroMq.make({ environment: environment(directory, index, 2), flushMillis: 1200 })
          .open("a", (rows) => void published.push(...rows))
      const root = yield* open(0)
      const other = yield* open(1)
      root.offer([row(0, 1, 1, { loss: 1 })])
      other.offer([row(1, 1, 1, { loss: 3 })])
      while (published.length === 0) yield* Effect.sleep(20)
      // What was acknowledged is said again each second, as a sign of life.
      other.offer([row(1, 2, 1000, { loss: 3 })])
      const ended = yield* Effect.timeoutOption(other.flush, 12_000)
      assert.strictEqual(ended._tag, "Some")
      yield* root.flush
      assert.strictEqual(published[0]?.statistics?.values["loss/mean"], 2)
    }))

  it.live("an incarnation is greater than those before it, and no two are the same", () =>
    Effect.sync(() => {
      const lives = Array.from({ length: 100 }, () => nextIncarnation(1.8e12))
      assert.deepStrictEqual([...new Set(lives)].sort((a, b) => a - b), lives)
      assert.isTrue(isBefore(lives[0] ?? 0, lives[1] ?? 0))
      assert.isFalse(isBefore(lives[1] ?? 0, lives[0] ?? 0))
      assert.isTrue(isBefore(2 ** 32 - 1, 3), "they go round")
      assert.isTrue(lives.every((life) => life < 2 ** 32 && Number.isInteger(life)))
    }))
})
