import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { setupWandb as setupAsync } from "../src/async.ts"
import * as Backend from "../src/Backend.ts"
import * as History from "../src/History.ts"
import * as Setup from "../src/Setup.ts"
import { readLines, temporary } from "./support/directory.ts"
import { keeping, warnings } from "./support/supervision.ts"

/** Runs with backends of the test's own under the names of ours. */
const withBackends = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  factories: { readonly [name: string]: Backend.Factory }
): Effect.Effect<A, E, R> => Effect.provideService(effect, Backend.Registry, new Map(Object.entries(factories)))

const remote = { id: "abc", name: "bright-fox-7", project: "p", url: "http://server/p/runs/abc" }

describe("one call", () => {
  for (const [name, setup] of [["wandb", Setup.setupWandb], ["mlflow", Setup.setupMlflow]] as const) {
    it.live(`starts a run at ${name}, keeps what is logged before it is sent, and closes the run once`, () =>
      Effect.gen(function*() {
        const outdir = yield* temporary
        const ends: Array<string> = []
        const values: Array<unknown> = []
        const server = keeping({
          run: remote,
          finish: (state) => void ends.push(state),
          logSummary: (more) => void values.push(more)
        })
        yield* withBackends(
          Effect.scoped(Effect.gen(function*() {
            const run = yield* setup({ outdir, projectName: "p", config: { lr: 1 }, environment: {} })
            yield* run.log({ loss: 0.5 }, { step: 7 })
            assert.strictEqual(readLines(Path.join(outdir, "metrics.jsonl")).length, 1)
            assert.strictEqual(yield* run.url, remote.url)
            yield* run.summary({ best: 0.5 })
            const [delivered] = yield* run.finish
            assert.deepInclude(delivered, { undelivered: 0, outputs: 0, closed: true })
          })),
          { [name]: server.factory }
        )
        assert.deepStrictEqual(server.rows.map(({ metrics, step }) => ({ metrics, step })), [
          { metrics: { loss: 0.5 }, step: 7 }
        ])
        assert.deepStrictEqual(values, [{ best: 0.5 }])
        assert.deepStrictEqual(ends, ["finished"])
        assert.deepInclude(server.contexts[0], { projectName: "p", projectGiven: true, config: { lr: 1 } })
      }))
  }

  it.live("is there for plain programs, too", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const run = yield* Effect.promise(() => setupAsync({ outdir, environment: { WANDB_MODE: "disabled" } }))
      run.log({ loss: 1 })
      yield* Effect.promise(() => run.finish())
      assert.strictEqual(readLines(Path.join(outdir, "metrics.jsonl")).length, 1)
    }))
})

describe("a history without backends", () => {
  it.live("sends its records to the run of setupWandb, and says that this is deprecated", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const summaries: Array<unknown> = []
      const server = keeping({ run: remote, logSummary: (values) => void summaries.push(values) })
      const { lines } = yield* withBackends(
        warnings(Effect.scoped(Effect.gen(function*() {
          const run = yield* Setup.setupWandb({ outdir: Path.join(root, "wandb"), environment: {} })
          yield* run.log({ before: 1 })
          const history = yield* History.make({ outdir: Path.join(root, "history"), environment: {} })
          assert.deepStrictEqual(history.tracker.names, ["wandb"])
          yield* history.update({ loss: 0.5 }, { step: 3, useWandb: true })
          yield* history.update({ loss: 0.25 }, { step: 4, useWandb: true })
          const wandb = yield* history.tracker.wandbRun
          assert.strictEqual(wandb?.id, "abc")
          yield* wandb?.summary({ best_loss: 0.01 }) ?? Effect.void
          yield* history.finalize({ plots: false })
          yield* run.finish
        }))),
        { wandb: server.factory }
      )
      assert.deepStrictEqual(server.rows.map(({ metrics, step }) => [step, metrics]), [
        [undefined, { before: 1 }],
        [3, { loss: 0.5 }],
        [4, { loss: 0.25 }]
      ])
      assert.deepStrictEqual(summaries, [{ best_loss: 0.01 }])
      assert.strictEqual(
        lines.filter((line) => /setupWandb is open.*deprecated: say backends: "wandb"/.test(line)).length,
        1
      )
      assert.strictEqual(lines.filter((line) => line.includes("useWandb is deprecated")).length, 1)
    }))

  it.live("does not when it names its own, or the run is over", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const server = keeping()
      yield* withBackends(
        Effect.scoped(Effect.gen(function*() {
          yield* Effect.scoped(Effect.gen(function*() {
            yield* Setup.setupWandb({ outdir: Path.join(root, "wandb"), environment: {} })
            const none = yield* History.make({ outdir: Path.join(root, "none"), backends: "none", environment: {} })
            assert.deepStrictEqual(none.tracker.names, [])
          }))
          const later = yield* History.make({ outdir: Path.join(root, "later"), environment: {} })
          assert.deepStrictEqual(later.tracker.names, [])
        })),
        { wandb: server.factory }
      )
    }))
})

describe("the tracker", () => {
  it.live("keeps images and tables as they were, and gives them to every backend that comes to know of them", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const image = Path.join(outdir, "sample.png")
      const images: Array<readonly [string, string, unknown]> = []
      const tables: Array<unknown> = []
      const artifacts: Array<ReadonlyArray<string>> = []
      const server = keeping({
        logImage: (name, path, options) => void images.push([name, Fs.readFileSync(path, "utf8"), options]),
        logTable: (name, table) =>
          Effect.map(Stream.runCollect(table.rows), (rows) => void tables.push([name, table.columns, rows])),
        logArtifacts: (paths) => void artifacts.push(paths)
      })
      yield* withBackends(
        Effect.scoped(Effect.gen(function*() {
          const { tracker } = yield* History.make({ outdir, backends: "mine", environment: {} })
          for (const epoch of [1, 2]) {
            Fs.writeFileSync(image, `epoch ${epoch}`)
            yield* tracker.logImage("sample", image, { caption: `Epoch ${epoch}`, step: epoch })
          }
          Fs.rmSync(image)
          yield* tracker.logTable("predictions", {
            columns: ["label", "score"],
            rows: Stream.make(["a", 0.5], ["b", Number.NaN], ["c", undefined], ["d", [1, 2]])
          })
          yield* tracker.logArtifacts([Path.join(outdir, "metrics.jsonl")])
          yield* tracker.logImage("gone", image)
          yield* tracker.drain(10_000)
        })),
        { mine: server.factory }
      ).pipe(warnings)
      assert.deepStrictEqual(images, [
        ["sample", "epoch 1", { caption: "Epoch 1", step: 1 }],
        ["sample", "epoch 2", { caption: "Epoch 2", step: 2 }]
      ])
      assert.deepStrictEqual(tables, [[
        "predictions",
        ["label", "score"],
        [["a", 0.5], ["b", Number.NaN], ["c", undefined], ["d", [1, 2]]]
      ]])
      assert.deepStrictEqual(artifacts, [[Path.join(outdir, "metrics.jsonl")]])
    }))
})
