import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Dataset from "../src/artifact/Dataset.ts"
import * as Backend from "../src/Backend.ts"
import * as History from "../src/History.ts"
import * as Metrics from "../src/Metrics.ts"
import type { Row } from "../src/Row.ts"
import { readLines, snapshot, temporary } from "./support/directory.ts"

const environment = {}

describe("update", () => {
  it.effect("returns the mission's line once the record is in the log", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const history = yield* History.make({ outdir, environment, config: { lr: 1e-4 } })
      assert.strictEqual(yield* history.update({ loss: 0.42 }, { step: 0 }), "loss=0.420000")
      const [line] = readLines(history.logPath)
      assert.deepStrictEqual(line, { seq: 1, step: 0, timestamp: 0, rank: 0, metrics: { loss: 0.42 } })
    }))

  it.effect("takes the step from the record, and shows it under its name", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const history = yield* History.make({ outdir, environment })
      assert.strictEqual(yield* history.update({ iteration: 7, loss: 0.5 }), "iteration=7 loss=0.500000")
      assert.deepStrictEqual(readLines(history.logPath)[0]?.["metrics"], { iteration: 7, loss: 0.5 })
      assert.strictEqual(yield* history.update({ step: 8, loss: 0.5 }, { precision: 2 }), "step=8     loss=0.50")
      assert.deepStrictEqual(readLines(history.logPath)[1], {
        seq: 2,
        step: 8,
        timestamp: 0,
        rank: 0,
        metrics: { loss: 0.5 }
      })
    }))

  it.effect("refuses what is no record, and goes on", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const history = yield* History.make({ outdir, environment })
      let deep: { readonly [key: string]: unknown } = { loss: 1 }
      for (let i = 0; i < 70; i++) deep = { a: deep }
      const refused = yield* Effect.flip(history.update(JSON.parse(JSON.stringify(deep))))
      assert.match(refused.message, /nested deeper than 64 levels/)
      yield* history.update({ loss: 1 })
      assert.strictEqual(readLines(history.logPath).length, 1)
    }))

  it.effect("says once what became of a value that is no metric", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const messages: Array<unknown> = []
      const logger = Logger.make(({ message }) => {
        messages.push(message)
      })
      yield* Effect.gen(function*() {
        const history = yield* History.make({ outdir, environment })
        yield* history.update(JSON.parse(`{"loss":1,"tags":["a","b"]}`))
        yield* history.update(JSON.parse(`{"loss":1,"tags":["a","b"]}`))
        assert.deepStrictEqual(readLines(history.logPath)[1]?.["metrics"], { loss: 1, tags: `["a","b"]` })
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.strictEqual(messages.filter((message) => String(message).includes("tags")).length, 1)
    }))
})

describe("finalize", () => {
  it.effect("folds every group into its own dataset, and nothing is dropped for its steps", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const history = yield* History.make({ outdir, environment, backends: "csv" })
      for (const step of [1, 2, 2, 10, 3]) {
        yield* history.update(
          step === 10 ? { "train/loss": 1 / step, "eval/acc": 0.5 } : { "train/loss": 1 / step, lr: 0.1 },
          {
            step
          }
        )
      }
      const result = yield* history.finalize()
      assert.deepStrictEqual(Object.keys(result.datasets).sort(), ["", "eval", "train"])
      assert.isUndefined(result.dataset)
      const { eval: evaluation, train } = result.datasets
      assert.deepStrictEqual([train?.draws, evaluation?.draws], [5, 1])
      if (train === undefined) return
      assert.deepStrictEqual(yield* Dataset.values(train, "loss"), Float64Array.of(1, 1 / 2, 1 / 2, 1 / 10, 1 / 3))
      assert.deepStrictEqual(yield* Dataset.values(train, "step"), Float64Array.of(1, 2, 2, 10, 3))
      for (
        const name of [
          "metrics.jsonl",
          "metrics.csv",
          "training_history.csv",
          "config.json",
          "train.h5",
          "eval.h5",
          "dataset.h5",
          "report.md",
          "report.html",
          "run_info.json",
          "plots/mplot/train/loss.png",
          "plots/mplot/lr.svg",
          "plots/tplot/eval/acc.txt",
          "plots/index.json"
        ]
      ) assert.isTrue(Fs.existsSync(Path.join(outdir, name)), name)
      for (const file of result.files) assert.isTrue(Fs.existsSync(file), file)
    }))

  it.effect("moves log and csv to where the outputs go, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const history = yield* History.make({ reportDir: Path.join(root, "history"), environment, backends: "csv" })
      assert.strictEqual(history.logPath, Path.join(root, "history", history.runId, `${history.runId}.jsonl`))
      yield* history.update({ loss: 1 })
      const { directory } = yield* history.finalize({ outdir: Path.join(root, "out"), runName: "mine", plots: false })
      assert.strictEqual(directory, Path.join(root, "out", "mine"))
      assert.strictEqual(readLines(Path.join(directory, "metrics.jsonl")).length, 1)
      assert.strictEqual(Fs.readFileSync(Path.join(directory, "metrics.csv"), "utf8"), "step,timestamp,loss\n,0,1\n")
      assert.deepStrictEqual([...snapshot(Path.join(root, "history")).keys()], [])
    }))

  it.effect("never writes over another run: it goes beside it", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const out = Path.join(root, "out")
      const one = yield* History.make({ reportDir: root, environment })
      yield* one.update({ loss: 1 })
      yield* one.finalize({ outdir: out, plots: false })
      const two = yield* History.make({ reportDir: root, environment })
      yield* two.update({ loss: 2 })
      const { directory } = yield* two.finalize({ outdir: out, plots: false })
      assert.strictEqual(directory, Path.join(out, two.runId))
      assert.deepStrictEqual(readLines(Path.join(out, "metrics.jsonl"))[0]?.["metrics"], { loss: 1 })
    }))

  it.effect("drops warm-up from datasets and not from the log", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const history = yield* History.make({ outdir, environment })
      for (let step = 1; step <= 100; step++) yield* history.update({ loss: step }, { step })
      const { dataset } = yield* history.finalize({ warmup: 0.05, plots: false })
      assert.strictEqual(dataset?.draws, 95)
      if (dataset !== undefined) assert.strictEqual((yield* Dataset.values(dataset, "loss"))[0], 6)
      assert.strictEqual(readLines(history.logPath).length, 100)
    }))

  it.effect("of a run without a record writes a report", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const history = yield* History.make({ outdir, environment })
      const result = yield* history.finalize()
      assert.deepStrictEqual(result.datasets, {})
      assert.isTrue(Fs.existsSync(Path.join(outdir, "report.md")))
    }))

  it.effect("ends the run: a later update fails and says so", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const history = yield* History.make({ outdir, environment })
      yield* history.finalize({ plots: false })
      const error = yield* Effect.flip(history.update({ loss: 1 }))
      assert.match(error.message, /finalized/)
    }))
})

describe("a run that has ended", () => {
  it.effect("is written by nobody: not even through a file descriptor that is another file's by now", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const history = yield* History.make({ outdir, environment })
      yield* history.update({ loss: 1 })
      yield* history.finalize({ plots: false })
      const victims = Array.from({ length: 16 }, (_, i) => Path.join(outdir, `victim${i}`))
      const open = victims.map((path) => Fs.openSync(path, "a"))
      const decoded = Metrics.decode({ loss: 2 })
      assert.strictEqual(decoded._tag, "Decoded")
      if (decoded._tag === "Decoded") {
        assert.match((yield* Effect.flip(history.updateAll([decoded]))).message, /finalized/)
      }
      for (const fd of open) Fs.closeSync(fd)
      for (const path of victims) assert.strictEqual(Fs.statSync(path).size, 0)
      assert.strictEqual(readLines(history.logPath).length, 1)
    }))

  it.effect("without being finalized is closed for its backends, as what it ended as", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const ended: Array<string> = []
      const mine = Backend.make({ name: "mine", log: () => {}, finish: (state) => void ended.push(state) })
      const program = Effect.gen(function*() {
        const history = yield* History.make({ outdir, environment, tracker: [mine], exists: "overwrite" })
        yield* history.update({ loss: 1 })
      })
      yield* Effect.scoped(program)
      yield* Effect.exit(Effect.scoped(Effect.andThen(program, Effect.fail("boom"))))
      yield* Effect.exit(Effect.scoped(Effect.andThen(program, Effect.interrupt)))
      assert.deepStrictEqual(ended, ["finished", "failed", "killed"])
      assert.strictEqual(JSON.parse(Fs.readFileSync(Path.join(outdir, ".ezpz/run.json"), "utf8")).state, "killed")
    }))

  it.effect("in a place that cannot be written can be finalized elsewhere", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      Fs.writeFileSync(Path.join(root, "file"), "")
      const history = yield* History.make({ reportDir: Path.join(root, "history"), environment, backends: "csv" })
      yield* history.update({ loss: 1 })
      const error = yield* Effect.flip(history.finalize({ outdir: Path.join(root, "file"), plots: false }))
      assert.match(error.message, /file/)
      assert.isTrue(Fs.existsSync(history.logPath))
      const { directory } = yield* history.finalize({ outdir: Path.join(root, "out"), plots: false })
      assert.strictEqual(readLines(Path.join(directory, "metrics.jsonl")).length, 1)
      assert.isFalse(Fs.existsSync(Path.join(root, "history", history.runId)))
    }))

  it.effect("loses the plots that are not made again", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      yield* History.run(Stream.make({ loss: 1 }), { outdir, environment })
      assert.isTrue(Fs.existsSync(Path.join(outdir, "plots/mplot/loss.png")))
      yield* History.run(Stream.empty, { outdir, environment, exists: "append", plots: false })
      assert.isFalse(Fs.existsSync(Path.join(outdir, "plots/mplot/loss.png")))
      assert.isTrue(Fs.existsSync(Path.join(outdir, "dataset.h5")))
    }))
})

describe("options that make no sense", () => {
  const wrong = (options: History.Options) =>
    Effect.map(Effect.flip(Effect.scoped(History.make(options))), (e) => e.message)

  it.effect("are refused by name, before anything is written", () =>
    Effect.gen(function*() {
      const outdir = Path.join(yield* temporary, "run")
      assert.match(yield* wrong({ reportDir: outdir, runId: "../x" }), /option runId must be a name without slashes/)
      assert.match(yield* wrong({ outdir: "" }), /option outdir/)
      assert.match(yield* wrong({ outdir, precision: -1 }), /option precision/)
      assert.isFalse(Fs.existsSync(outdir))
      const history = yield* History.make({ outdir, environment })
      for (const warmup of [NaN, -1, Infinity]) {
        assert.match((yield* Effect.flip(history.finalize({ warmup }))).message, /option warmup/)
      }
      assert.match((yield* Effect.flip(history.update({ loss: 1 }, { step: NaN }))).message, /step NaN is not a finite/)
      assert.match((yield* Effect.flip(history.update(JSON.parse("null")))).message, /not an object/)
      yield* history.update({ loss: 1 })
    }))
})

describe("a run that is there already", () => {
  it.effect("is gone on with: seq goes on, the id stays, finalize sees all records", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const history = yield* History.make({ outdir, environment, backends: "csv" })
        yield* history.update({ loss: 1 }, { step: 1 })
        return history.runId
      }))
      const history = yield* History.make({ outdir, environment, backends: "csv" })
      assert.strictEqual(history.runId, first)
      assert.strictEqual(history.resumedAt, 1)
      yield* history.update({ loss: 2, acc: 0.5 }, { step: 2 })
      const { dataset } = yield* history.finalize({ plots: false })
      assert.strictEqual(dataset?.draws, 2)
      assert.deepStrictEqual(readLines(history.logPath).map((line) => line["seq"]), [1, 2])
      assert.strictEqual(
        Fs.readFileSync(Path.join(outdir, "metrics.csv"), "utf8"),
        "step,timestamp,loss,acc\n1,0,1,\n2,0,2,0.5\n"
      )
    }))

  it.effect("is gone on with by the backends it is given, whatever the case of their names", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const messages: Array<string> = []
      const logger = Logger.make(({ message }) => {
        messages.push(String(message))
      })
      const mine = Backend.make({ name: "Mine", log: () => {} })
      const record = Effect.scoped(
        Effect.flatMap(
          History.make({ outdir, environment, tracker: [mine], exists: "append" }),
          (history) => history.update({ loss: 1 })
        )
      )
      yield* Effect.andThen(record, record).pipe(Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(messages, [])
    }))

  it.effect("is refused where that was asked for, and replaced where that was", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const record = (exists: "fail" | "overwrite") =>
        Effect.scoped(
          Effect.flatMap(History.make({ outdir, environment, exists }), (history) => history.update({ loss: 1 }))
        )
      yield* record("fail")
      assert.match((yield* Effect.flip(record("fail"))).message, /There is a run already/)
      yield* record("overwrite")
      assert.strictEqual(readLines(Path.join(outdir, "metrics.jsonl")).length, 1)
    }))
})

describe("overwriting a run", () => {
  it.effect("removes what was made of it, and nothing else", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      yield* History.run(Stream.make({ "old/loss": 1 }), { outdir, environment })
      Fs.writeFileSync(Path.join(outdir, "notes.txt"), "mine")
      yield* History.run(Stream.make({ "new/loss": 1 }), { outdir, environment, exists: "overwrite", plots: false })
      const files = [...snapshot(outdir).keys()].filter((file) => !/^(\.ezpz|logs)\/|-rank0\.jsonl$/.test(file))
      assert.deepStrictEqual(files, [
        "metrics.jsonl",
        "new.h5",
        "notes.txt",
        "report.html",
        "report.md",
        "run_info.json"
      ])
    }))
})

describe("streams", () => {
  const metrics = Stream.range(1, 2000).pipe(Stream.map((step) => ({ step, "train/loss": 1 / step })))

  it.effect("track gives every record once it is in the log; finalizeSink folds the run", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const summaries: Array<string> = []
      const result = yield* metrics.pipe(
        History.track({ outdir, environment }),
        Stream.tap((tracked) =>
          Effect.sync(() => {
            summaries.push(tracked.summary)
          })
        ),
        Stream.run(History.finalizeSink({ plots: false }))
      )
      assert.strictEqual(summaries.length, 2000)
      assert.strictEqual(summaries[3], "step=4     train/loss=0.250000")
      assert.strictEqual(result.dataset?.draws, 2000)
    }))

  it.effect("run is both at once", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const { dataset, rows } = yield* History.run(metrics, { outdir, environment, plots: false })
      assert.deepStrictEqual([rows, dataset?.draws], [2000, 2000])
    }))

  it.effect("a stream that fails leaves its records in the log and the directory free", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const failing = Stream.concat(Stream.take(metrics, 3), Stream.fail("boom"))
      const exit = yield* Effect.exit(Stream.runDrain(History.track(failing, { outdir, environment })))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(readLines(Path.join(outdir, "metrics.jsonl")).length, 3)
      const { rows } = yield* History.run(Stream.take(metrics, 1), { outdir, environment, plots: false })
      assert.strictEqual(rows, 4)
    }))
})

describe("backends", () => {
  it.effect("a backend that is registered gets every record, in order", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const seen: Array<Row> = []
      const ended: Array<string> = []
      yield* Backend.register("Mine", () =>
        Effect.succeed(Backend.make({
          name: "mine",
          log: (rows) => {
            seen.push(...rows)
          },
          finish: (state) => {
            ended.push(state)
          }
        })))
      const history = yield* History.make({ outdir, environment }).pipe(Effect.provide(Backend.layer("mine,csv")))
      assert.strictEqual((yield* history.tracker.getBackend("Mine"))?.name, "mine")
      for (let step = 1; step <= 50; step++) yield* history.update({ loss: step }, { step })
      const { undelivered } = yield* history.finalize({ plots: false })
      assert.deepStrictEqual(seen.map((row) => row.seq), Array.from({ length: 50 }, (_, i) => i + 1))
      assert.deepStrictEqual([ended, undelivered], [["finished"], []])
      assert.strictEqual((yield* history.tracker.getBackend("mine"))?.name, "mine")
    }))

  it.live("a backend that fails costs a warning, and the others nothing", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const broken = Backend.make({
        name: "broken",
        log: () => {
          throw new Error("no such luck")
        }
      })
      const history = yield* History.make({ outdir, environment, backends: "csv", tracker: [broken] })
      yield* history.update({ loss: 1 }, { step: 1 })
      const { undelivered } = yield* history.finalize({ plots: false, finishTimeout: 0.05 })
      assert.deepStrictEqual(undelivered.map((backend) => [backend.backend, backend.undelivered]), [["broken", 1]])
      assert.match(undelivered[0]?.lastFailure ?? "", /broken\.log\(\) failed: no such luck/)
      assert.match(Fs.readFileSync(Path.join(outdir, "metrics.csv"), "utf8"), /^step,timestamp,loss\n1,[\d.]+,1\n$/)
    }).pipe(Effect.provide(Logger.layer([]))))

  it.live("what a server repeats of a credential is masked wherever it is told", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const secret = "k3y-of-the-realm"
      const messages: Array<string> = []
      const logger = Logger.make(({ message }) => {
        messages.push(String(message))
      })
      const result = yield* Effect.gen(function*() {
        const broken = Backend.make({
          name: "broken",
          log: () => {
            throw new Error(`401 for key ${secret}`)
          }
        })
        const history = yield* History.make({
          outdir,
          environment: { WANDB_API_KEY: secret },
          tracker: [broken],
          config: { api_key: secret }
        })
        yield* history.update({ loss: 1 })
        return yield* history.finalize({ plots: false, finishTimeout: 0.05 })
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.match(messages.join(), /401 for key \*\*\*/)
      const told = [...messages, result.undelivered[0]?.lastFailure ?? "", ...snapshot(outdir).values()].map((text) =>
        `${text} ${Buffer.from(text, "base64").toString("latin1")}`
      )
      assert.isFalse(told.some((text) => text.includes(secret)))
    }))

  it.effect("an unknown name is warned about with the known ones, and skipped", () =>
    Effect.gen(function*() {
      const outdir = yield* temporary
      const messages: Array<string> = []
      const logger = Logger.make(({ message }) => {
        messages.push(String(message))
      })
      const history = yield* History.make({ outdir, environment, backends: "csv,nosuch" }).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      assert.deepStrictEqual(history.tracker.names, ["csv"])
      assert.match(messages.join(), /Unknown backend "nosuch" is skipped. Known: .*csv.*none/)
    }))
})

describe("determinism", () => {
  it.effect("a program under TestClock gives the same bytes twice", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const outdir = Path.join(root, "run")
      const program = Effect.scoped(Effect.gen(function*() {
        const history = yield* History.make({ outdir, environment, backends: "csv", config: { lr: 0.1 } })
        for (let step = 1; step <= 20; step++) {
          yield* history.update({ "train/loss": 1 / step, "eval/acc": step / 20, chains: [step, step + 1] }, { step })
          yield* TestClock.adjust("1 second")
        }
        yield* history.finalize()
      })).pipe(Random.withSeed("a run"))
      yield* program
      const once = snapshot(root)
      Fs.rmSync(outdir, { recursive: true })
      yield* TestClock.setTime(0)
      yield* program
      const twice = snapshot(root)
      assert.isAbove(once.size, 15)
      assert.deepStrictEqual([...twice.keys()], [...once.keys()])
      for (const [path, bytes] of once) assert.strictEqual(twice.get(path), bytes, path)
    }))
})
