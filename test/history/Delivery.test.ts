import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Backend from "../../src/Backend.ts"
import * as History from "../../src/History.ts"
import * as Sync from "../../src/Sync.ts"
import { readLines, temporary } from "../support/directory.ts"
import { boom, keeping, warnings } from "../support/supervision.ts"

/** A backend that can be away, and what it was given: images by what is in them, artifacts by their names. */
const server = () => {
  const given: Array<string> = []
  const state = { away: false }
  const mine = keeping({
    log: (rows) => state.away ? boom() : mine.take(rows),
    logImage: (name, path) => void given.push(`${name}: ${Fs.readFileSync(path, "utf8")}`),
    logTable: (name, table) =>
      name === "training_history" ? undefined : Effect.map(
        Stream.runCollect(table.rows),
        (rows) => void given.push(`${name}: ${rows.flat().join(" ")}`)
      ),
    logArtifacts: (paths) =>
      void given.push(...paths.filter((path) => path.endsWith(".pt")).map((path) => Fs.readFileSync(path, "utf8")))
  })
  return { mine, given, state }
}

/** Runs with one backend that is known as `mine`. */
const withMine = <A, E, R>(factory: Backend.Factory, effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.provideService(Backend.Registry, new Map([["mine", factory]])),
    warnings
  )

const image = (path: string, text: string): string => {
  Fs.writeFileSync(path, text)
  return path
}

describe("what waits for a backend", () => {
  it.live("goes along when the run moves, or is found where it was", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const { given, mine, state } = server()
      state.away = true
      const directory = yield* withMine(
        mine.factory,
        Effect.scoped(Effect.gen(function*() {
          const history = yield* History.make({
            reportDir: Path.join(root, "history"),
            backends: "mine",
            environment: {}
          })
          yield* history.update({ loss: 1 })
          yield* history.tracker.logImage("sample", image(Path.join(root, "sample.png"), "pixels"))
          yield* history.tracker.logTable("table", { columns: ["a"], rows: Stream.make([1], [2]) })
          yield* history.tracker.logArtifacts([image(Path.join(history.directory, "model.pt"), "weights")])
          const { directory, undelivered } = yield* history.finalize({
            outdir: Path.join(root, "out"),
            plots: false,
            finishTimeout: 0.1
          })
          assert.strictEqual(undelivered.length, 1)
          return directory
        }))
      )
      assert.deepStrictEqual(given, [])
      state.away = false
      const { result } = yield* withMine(mine.factory, Sync.run(directory.result, { environment: {} }))
      assert.deepStrictEqual(given, ["sample: pixels", "table: 1 2", "weights"])
      assert.isTrue(result.delivered.every((one) => Sync.isDone(one, result.running)))
      const history = Fs.readdirSync(Path.join(root, "history"), { recursive: true, withFileTypes: true })
      assert.deepStrictEqual(history.filter((entry) => entry.isFile()).map((entry) => entry.name), ["model.pt"])
    }))

  it.live("is found where the log is not in the run's directory", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const { given, mine, state } = server()
      state.away = true
      const outdir = Path.join(root, "out")
      const jsonlPath = Path.join(root, "logs", "a.jsonl")
      // As if it were killed.
      yield* withMine(
        mine.factory,
        Effect.scoped(Effect.gen(function*() {
          const history = yield* History.make({ outdir, jsonlPath, backends: "mine", environment: {} })
          yield* history.update({ loss: 1 })
          yield* history.tracker.logImage("sample", image(Path.join(root, "sample.png"), "pixels"))
          yield* history.tracker.logArtifacts([image(Path.join(outdir, "model.pt"), "weights")])
          yield* history.finalize({ finishTimeout: 0.1, outdir: Path.join(root, "nowhere", "\0") }).pipe(Effect.exit)
        }))
      )
      state.away = false
      yield* withMine(mine.factory, Sync.run(jsonlPath, { environment: {} }))
      assert.deepStrictEqual(given, ["sample: pixels", "weights"])
    }))

  it.live("may take longer to send than a server that does not answer is waited for", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      let slow = false
      const { factory } = keeping({ logArtifacts: () => slow ? Effect.sleep(1200) : boom() })
      yield* withMine(
        factory,
        Effect.scoped(Effect.gen(function*() {
          const history = yield* History.make({ outdir, backends: "mine", environment: {} })
          yield* history.update({ loss: 1 })
          yield* history.finalize({ plots: false })
        }))
      )
      slow = true
      const { result } = yield* withMine(factory, Sync.run(outdir, { environment: {}, patience: 0.5 }))
      assert.deepStrictEqual(result.delivered.map(({ outputs }) => outputs), [0])
    }))

  it.live("is not taken for that of a neighbour, or of another of its name", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const { given, mine } = server()
      yield* withMine(
        mine.factory,
        Effect.scoped(Effect.gen(function*() {
          const runs = yield* Effect.forEach(["a", "b"], (name) =>
            History.make({ jsonlPath: Path.join(root, `${name}.jsonl`), backends: "mine", environment: {} }))
          for (const [i, { tracker }] of runs.entries()) {
            yield* tracker.logImage("sample", image(Path.join(root, "sample.png"), String(i)))
          }
          const table = (value: string) => ({ columns: ["a"], rows: Stream.make([value], [value]) })
          yield* Effect.forEach(
            ["x", "y"],
            (value) =>
              runs[0]?.tracker.logTable("table", table(value)) ?? Effect.void,
            { concurrency: 2 }
          )
        }))
      )
      assert.deepStrictEqual(given.sort(), ["sample: 0", "sample: 1", "table: x x", "table: y y"])
    }))

  it.live("is forgotten with the run that it was of, and so is what was delivered", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const { given, mine } = server()
      const record = (backends: string, exists: "append" | "overwrite", images: number) =>
        Effect.scoped(Effect.gen(function*() {
          const history = yield* History.make({ outdir, runId: "r", backends, exists, environment: {} })
          yield* history.update({ loss: 1 })
          for (let i = 0; i < images; i++) {
            yield* history.tracker.logImage("sample", image(Path.join(outdir, "sample.png"), backends))
          }
        }))
      yield* withMine(
        mine.factory,
        Effect.gen(function*() {
          yield* record("mine", "append", 1)
          yield* record("csv", "overwrite", 0)
          assert.isFalse(Fs.existsSync(Path.join(outdir, ".ezpz", "outbox")))
          yield* record("mine", "append", 0)
        })
      )
      assert.strictEqual(readLines(Path.join(outdir, "metrics.jsonl")).length, 2)
      // The first run's record, then both of the second's.
      assert.deepStrictEqual(mine.seqs(), [1, 1, 2])
      assert.deepStrictEqual(given, ["sample: mine"])
    }))

  it.live("is told about once where it cannot be kept", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const { mine } = server()
      const { lines } = yield* withMine(
        mine.factory,
        Effect.scoped(Effect.gen(function*() {
          const { tracker } = yield* History.make({ outdir, backends: "mine", environment: {} })
          Fs.mkdirSync(Path.join(outdir, ".ezpz", "outbox.jsonl"))
          for (let i = 0; i < 3; i++) yield* tracker.logSummary({ best: i })
        }))
      )
      assert.strictEqual(lines.filter((line) => /cannot be kept/.test(line)).length, 1)
    }))
})

describe("the end of a run", () => {
  const told = () => {
    const states: Array<string> = []
    return { states, ...keeping({ finish: (state) => void states.push(state) }) }
  }

  it.live("is told to backends with how it was asked for, where its outputs cannot be made", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const mine = told()
      Fs.mkdirSync(Path.join(outdir, "dataset.h5", "in the way"), { recursive: true })
      yield* withMine(
        mine.factory,
        Effect.scoped(Effect.gen(function*() {
          const history = yield* History.make({ outdir, backends: "mine", environment: {} })
          yield* history.update({ loss: 1 })
          const exit = yield* Effect.exit(history.finalize({ plots: false, state: "failed" }))
          assert.isTrue(Exit.isFailure(exit))
        }))
      )
      assert.deepStrictEqual(mine.states, ["failed"])
      assert.strictEqual(stateOf(outdir), "failed")
    }))

  it.live("may come without outputs, with how the run ended", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const mine = told()
      yield* withMine(
        mine.factory,
        Effect.scoped(Effect.gen(function*() {
          const history = yield* History.make({ outdir, backends: "mine", environment: {} })
          yield* history.update({ loss: 1 })
          const [delivered] = yield* history.finish({ state: "killed" })
          assert.deepInclude(delivered, { undelivered: 0, closed: true })
          assert.isTrue(Exit.isFailure(yield* Effect.exit(history.update({ loss: 2 }))))
        }))
      )
      assert.deepStrictEqual(mine.states, ["killed"])
      assert.strictEqual(stateOf(outdir), "killed")
    }))
})

const stateOf = (directory: string): unknown =>
  JSON.parse(Fs.readFileSync(Path.join(directory, ".ezpz", "run.json"), "utf8")).state
