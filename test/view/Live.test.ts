import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunDirectory from "../../src/RunDirectory.ts"
import { recordLine, statisticsLine } from "../../src/RunLog.ts"
import * as Live from "../../src/view/Live.ts"
import { snapshot, temporary } from "../support/directory.ts"

const record = (seq: number, loss: number | string = seq): string =>
  recordLine(seq, seq * 10, 1000 + seq, 0, JSON.stringify({ "train/loss": loss }))

const records = (from: number, to: number): string => {
  let text = ""
  for (let seq = from; seq <= to; seq++) text += record(seq)
  return text
}

const run = (state: RunDirectory.Run["state"], backends: ReadonlyArray<string> = []): RunDirectory.Run => ({
  format: 1,
  runId: "r1",
  runName: null,
  projectName: "p",
  projectGiven: true,
  createdAt: 1000,
  state,
  backends,
  config: {}
})

/** A run directory of the test's own. */
const directory = (text: string) =>
  Effect.map(temporary, (root) => {
    const log = Path.join(root, "metrics.jsonl")
    Fs.writeFileSync(log, text)
    return { root, log }
  })

const pollAll = (live: Live.Live) =>
  Effect.gen(function*() {
    while (yield* live.poll);
  })

const losses = (live: Live.Live): ReadonlyArray<number> => {
  const bins = live.store.series.get("train/loss")?.values
  return bins === undefined ? [] : Array.from(bins.low.subarray(0, bins.length))
}

describe("Live", () => {
  it.live("reads what is there and then what comes, a torn end only once it is whole", () =>
    Effect.gen(function*() {
      const { log, root } = yield* directory(records(1, 3))
      const live = yield* Live.open(root)
      yield* pollAll(live)
      assert.deepStrictEqual(losses(live), [1, 2, 3])
      const line = record(4)
      Fs.appendFileSync(log, line.slice(0, 20))
      yield* pollAll(live)
      assert.deepStrictEqual([losses(live).length, live.corrupt], [3, 0])
      Fs.appendFileSync(log, line.slice(20) + record(5))
      yield* pollAll(live)
      assert.deepStrictEqual(losses(live), [1, 2, 3, 4, 5])
      assert.deepStrictEqual([live.corrupt, live.read], [0, live.size])
    }).pipe(Effect.scoped))

  it.live("counts a torn line once others follow, and a last line without its end is there", () =>
    Effect.gen(function*() {
      const { log, root } = yield* directory(`${record(1)}{"seq":2,"st\n\n\0\0\0\n${record(3).trimEnd()}`)
      const live = yield* Live.open(root)
      yield* pollAll(live)
      assert.deepStrictEqual(losses(live), [1, 3])
      assert.strictEqual(live.corrupt, 2)
      Fs.appendFileSync(log, `\n${record(4)}`)
      yield* pollAll(live)
      assert.deepStrictEqual(losses(live), [1, 3, 4])
      assert.strictEqual(live.corrupt, 2)
    }).pipe(Effect.scoped))

  it.live("keeps what it has when the run is deleted, and starts anew with another one", () =>
    Effect.gen(function*() {
      const { log, root } = yield* directory(records(1, 3))
      const live = yield* Live.open(root)
      yield* pollAll(live)
      Fs.rmSync(root, { recursive: true })
      yield* pollAll(live)
      assert.deepStrictEqual([live.state, losses(live)], ["gone", [1, 2, 3]])
      Fs.mkdirSync(root)
      Fs.writeFileSync(log, records(7, 8))
      yield* pollAll(live)
      assert.deepStrictEqual([live.resets, losses(live)], [1, [7, 8]])
      // The same file, begun again.
      Fs.writeFileSync(log, record(9))
      yield* pollAll(live)
      assert.deepStrictEqual([live.resets, losses(live)], [2, [9]])
    }).pipe(Effect.scoped))

  it.live("says how the run is, and what has not been delivered", () =>
    Effect.gen(function*() {
      const { log, root } = yield* directory(records(1, 10))
      const live = yield* Live.open(root)
      yield* pollAll(live)
      assert.strictEqual(live.state, "unknown")
      const stateOf = Effect.flatMap(Live.open(log), (one) => Effect.as(pollAll(one), one))
      yield* RunDirectory.writeRun(log, run("finished", ["csv", "wandb"]))
      Fs.writeFileSync(RunDirectory.cursorPath(log, "csv"), JSON.stringify({ offset: 0, seq: 10 }))
      Fs.writeFileSync(RunDirectory.cursorPath(log, "wandb"), JSON.stringify({ offset: 0, seq: 4 }))
      const finished = yield* stateOf
      assert.strictEqual(finished.state, "finished")
      assert.deepStrictEqual(finished.undelivered, [{ backend: "wandb", records: 6, outputs: 0 }])
      yield* RunDirectory.writeRun(log, run("running"))
      assert.strictEqual((yield* stateOf).state, "killed")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* RunDirectory.lock(log)
        assert.strictEqual((yield* stateOf).state, "running")
      }))
      Fs.writeFileSync(Path.join(root, ".ezpz", "run.json"), "{\"for")
      assert.strictEqual((yield* stateOf).state, "unknown")
    }).pipe(Effect.scoped))

  it.live("has something of a long log at once, and all of it soon", () =>
    Effect.gen(function*() {
      const { root } = yield* directory(records(1, 60_000))
      const live = yield* Live.open(root, { sampleAbove: 1024 * 1024, limits: { bins: 1 << 16, capacity: 1024 } })
      assert.isTrue(yield* live.poll)
      assert.isTrue(live.sampled)
      const seen = live.store.series.get("train/loss")?.values
      assert.deepStrictEqual([seen?.low[0], seen?.high[seen.length - 1]], [1, 60_000])
      yield* pollAll(live)
      assert.isFalse(live.sampled)
      const all = live.store.series.get("train/loss")?.values
      assert.strictEqual(all?.total, 60_000)
      // As fine as the log, where one looks closely.
      const window = { axis: "step", from: 300_000, to: 300_500, columns: 200 } as const
      const fine = yield* live.detail("train/loss", window)
      assert.deepStrictEqual(
        Array.from(fine?.values.low.subarray(0, fine.values.length) ?? []),
        Array.from({ length: 51 }, (_, nth) => 30_000 + nth)
      )
    }).pipe(Effect.scoped))

  it.live("tells of every change, and writes nothing", () =>
    Effect.gen(function*() {
      const { log, root } = yield* directory(records(1, 2))
      const before = snapshot(root)
      const live = yield* Live.open(root)
      const seen: Array<number> = []
      const reader = yield* Live.updates(live, 5).pipe(
        Stream.tap((one) => Effect.sync(() => seen.push(one.store.rows))),
        Stream.takeUntil((one) => one.store.rows >= 4),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* Effect.sleep(20)
      assert.deepStrictEqual(snapshot(root), before)
      Fs.appendFileSync(
        log,
        records(3, 3) + statisticsLine({
          seq: 3,
          step: 30,
          timestamp: 1003,
          rank: 0,
          statistics: { values: { "train/loss/mean": 3.5 }, count: 2, expected: 2 }
        })
      )
      yield* Effect.sleep(20)
      Fs.appendFileSync(log, records(4, 4))
      yield* Fiber.join(reader)
      assert.strictEqual(seen.at(-1), 4)
      assert.strictEqual(live.store.series.get("train/loss")?.lastSpread?.mean, 3.5)
      assert.deepStrictEqual(Array.from(snapshot(root).keys()), ["metrics.jsonl"])
    }).pipe(Effect.scoped))

  it.live("refuses what is no run", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      assert.match((yield* Effect.flip(Live.open(root))).message, /it is not a run/)
      assert.match((yield* Effect.flip(Live.open(Path.join(root, "no")))).message, /there is no such run/)
    }).pipe(Effect.scoped))
})
