import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Backend from "../../src/Backend.ts"
import * as Mlflow from "../../src/backend/mlflow/Mlflow.ts"
import * as Names from "../../src/backend/mlflow/Names.ts"
import * as History from "../../src/History.ts"
import type { Metrics, Value } from "../../src/Metrics.ts"
import type { Row } from "../../src/Row.ts"
import { context, kept, row } from "../backend/mlflow/support.ts"
import { readLines, temporary } from "../support/directory.ts"
import * as Client from "./mlflow/client.ts"
import { type Expected, expected } from "./mlflow/expected.ts"
import * as Server from "./mlflow/server.ts"
import * as Python from "./python.ts"

let server: Server.Server
beforeAll(async () => {
  server = await Server.make()
  await server.start()
}, Python.timeout + 120_000)
afterAll(() => server.remove())

const start = (more: Partial<Backend.Context> & { readonly directory: string }) =>
  Mlflow.factory(context(more.directory, {
    ...more,
    environment: { MLFLOW_TRACKING_URI: server.url, ...more.environment }
  }))

const runs = (experiment: string, artifacts?: "artifacts") =>
  Effect.promise(() => Client.runs(server, experiment, artifacts))

const onlyRun = (experiment: string, artifacts?: "artifacts") =>
  Effect.map(runs(experiment, artifacts), (runs) => {
    assert.strictEqual(runs.length, 1)
    return runs[0] as Client.Run
  })

/** Every value of every key, in order, none missing and none twice, at its time or, where that was taken, right after. */
const assertSame = (run: Client.Run, wanted: Expected, later = 0): void => {
  assert.deepStrictEqual(Object.keys(run.metrics).sort(), Object.keys(wanted).sort())
  for (const [key, points] of Object.entries(wanted)) {
    const there = run.metrics[key] ?? []
    assert.deepStrictEqual(
      there.map(([step, , value]) => [step, value]),
      points.map(({ step, value }) => [String(step), value]),
      key
    )
    there.forEach(([step, millis], i) => {
      const before = there[i - 1]
      if (before?.[0] === step) assert.isAbove(millis, before[1], `${key} at ${step}`)
      assert.isAtLeast(millis, points[i]?.millis ?? 0, key)
      assert.isAtMost(millis, (points[i]?.millis ?? 0) + later, key)
    })
  }
}

/** Numbers that look random, the same each time. */
const random = (seed: number) => () => {
  seed = (seed * 1664525 + 1013904223) % 2 ** 32
  return seed / 2 ** 32
}

const keys = ["loss", "train/loss", "acc", "a b", "é", "50%", "a//b", "..", "/", "x".repeat(300), "_x0025_", "", "a:b"]
const values: ReadonlyArray<Value> = [
  ...[
    0,
    -0,
    1,
    0.1,
    NaN,
    Infinity,
    -Infinity,
    1e308,
    Number.MAX_VALUE,
    -Number.MAX_VALUE,
    5e-324,
    2 ** 53 + 2,
    -1.5e-7
  ],
  ...[true, false, null, "text", [], [1, 2, 4], [[1, 2], [3, NaN]]]
]

const oddRows = (count: number): ReadonlyArray<Row> => {
  const next = random(1)
  const pick = <A>(of: ReadonlyArray<A>): A => of[Math.floor(next() * of.length)] as A
  const rows: Array<Row> = []
  for (let seq = 1; seq <= count; seq++) {
    const metrics: Record<string, Value> = {}
    for (const key of keys) if (next() < 0.3) metrics[key] = next() < 0.5 ? next() - 0.5 : pick(values)
    const statistics: Record<string, Value> = {}
    if (next() < 0.3) {
      for (const [key, value] of Object.entries(metrics)) {
        if (typeof value !== "number") continue
        for (const name of ["mean", "min", "max", "std"]) statistics[`${key}/${name}`] = value / 3
      }
    }
    const kind = next()
    rows.push(row(seq, metrics, {
      step: kind < 0.1
        ? undefined
        : kind < 0.2
        ? Math.floor(next() * 5)
        : kind < 0.22
        ? next() * 1000
        : kind < 0.23
        ? pick([-3, -0, 2 ** 60, -(2 ** 70)])
        : seq,
      // Several within a millisecond, and a clock that was set back.
      timestamp: 1_764_000_000 + Math.floor(seq / 3) / 1000 - (seq > count / 2 ? 5 : 0),
      statistics: Object.keys(statistics).length === 0 ? undefined : { values: statistics, count: 2, expected: 2 }
    }))
  }
  return rows
}

describe("records", () => {
  it.live(
    "every value of every key arrives, in order, once, whatever is sent again and whenever it is killed",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const project = "odd records"
        const rows = oddRows(2500)
        let checkpoint: unknown
        // A process per part; every second one dies before what it has sent is written down.
        for (let from = 0, part = 0; from < rows.length; part++) {
          const size = 400 + 17 * part
          yield* Effect.scoped(Effect.gen(function*() {
            const backend = yield* start({ directory, projectName: project, checkpoint: kept(checkpoint) })
            assert.isFalse(backend.restart)
            for (let at = from; at < from + size; at += 400) {
              yield* backend.log(rows.slice(at, Math.min(at + 400, from + size)))
            }
            if (part % 2 === 1) return
            from += size
            checkpoint = yield* backend.checkpoint
            assert.isBelow(JSON.stringify(checkpoint).length, 4000)
          }))
        }
        const run = yield* onlyRun(project)
        assert.strictEqual(run.name, "bright-fox-7")
        assert.strictEqual(run.start, 1_764_000_000_250)
        assertSame(run, expected(rows, Names.encode), 6000)
        const long = Names.encode("x".repeat(300))
        assert.strictEqual(run.tags[`ezpz.metric.${Names.digest("x".repeat(300))}`], "x".repeat(300))
        assert.property(run.metrics, long)
      }),
    180_000
  )

  it.live("a run that was created before its process died is found again, and another one of its name is not", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const open = (more: Partial<Backend.Context>) =>
        Effect.scoped(
          Effect.map(start({ directory, projectName: "found", runId: "it's \"x\"", ...more }), ({ run }) => run)
        )
      const first = yield* open({})
      assert.deepStrictEqual(yield* open({}), first)
      assert.notStrictEqual((yield* open({ createdAt: 1_764_000_001 }))?.id, first?.id)
      assert.strictEqual(first?.project, "found")
      assert.match(first?.url ?? "", new RegExp(`^${server.url}/#/experiments/\\d+/runs/${first?.id}$`))
    }))

  it.live("a batch that is cut off goes on where it was", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const backend = yield* start({ directory, projectName: "cut off" })
      const wide = (seq: number): Metrics =>
        Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, seq + i]))
      const rows = Array.from({ length: 20 }, (_, i) => row(i + 1, wide(i + 1), { step: i % 2 }))
      for (const millis of [150, 300, 600]) yield* Effect.timeoutOption(backend.log(rows), millis)
      yield* backend.log(rows)
      assertSame(yield* onlyRun("cut off"), expected(rows), 6000)
    }))

  it.live("what the server refuses of a batch is told, and all else is there; a run that is deleted loses nothing", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const backend = yield* start({ directory, projectName: "refused" })
      yield* backend.log([row(1, { loss: 1 })])
      yield* Effect.promise(() => post("runs/delete", { run_id: backend.run?.id }))
      const error = yield* Effect.flip(backend.log([row(2, { loss: 2 })]))
      assert.include(error.message, "mlflow runs restore")
      const again = yield* Effect.flip(
        start({ directory, projectName: "refused", checkpoint: yield* backend.checkpoint })
      )
      assert.isTrue(again.permanent)
      yield* Effect.promise(() => post("runs/restore", { run_id: backend.run?.id }))
      yield* backend.log([row(2, { loss: 2 })])
      const run = yield* onlyRun("refused")
      assert.strictEqual(run.metrics["loss"]?.length, 2)
    }))

  it.live("a run that the server does not know any more begins anew, with all records", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const backend = yield* start({
        directory,
        projectName: "anew",
        checkpoint: {
          runId: "0123456789abcdef0123456789abcdef",
          experimentId: "1",
          position: { highest: 7, recent: [[7, 1]], forgotten: -1, latest: 1 }
        }
      })
      assert.isTrue(backend.restart)
      yield* backend.log([row(1, { loss: 1 }, { step: undefined })])
      assert.deepStrictEqual((yield* onlyRun("anew")).metrics, { loss: [["0", 1_764_000_000_250, 1]] })
    }))

  it.live("an experiment that was deleted is said, with what to do", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      yield* Effect.scoped(start({ directory, projectName: "gone" }))
      const run = yield* onlyRun("gone")
      const id = run?.experimentId ?? ""
      yield* Effect.promise(() => post("experiments/delete", { experiment_id: id }))
      const error = yield* Effect.flip(start({ directory, projectName: "gone" }))
      assert.include(error.message, `mlflow experiments restore --experiment-id ${id}`)
      assert.isTrue(error.permanent)
    }))
})

const post = (path: string, body: unknown) =>
  fetch(`${server.url}/api/2.0/mlflow/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })

describe("names", () => {
  it.live("are those that MLflow's own validation takes", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const file = Path.join(directory, "names.json")
      const odd = fc.oneof(
        fc.string({ unit: "binary", maxLength: 12 }),
        fc.array(fc.constantFrom("/", ".", "..", "a", "_x", "%", "é", "\n", " ", ":"), { maxLength: 8 }).map((parts) =>
          parts.join("")
        )
      )
      Fs.writeFileSync(file, JSON.stringify(fc.sample(odd, { numRuns: 20_000, seed: 1 }).map(Names.encode)))
      const refused = yield* Effect.promise(() =>
        Client.python(
          `
import json, sys
from mlflow.utils.validation import _validate_metric
def refused(name):
    try: _validate_metric(name, 1.0, 0, 0)
    except Exception as e: return str(e)
print(json.dumps([r for r in map(refused, json.load(open(sys.argv[1]))) if r]))
`,
          file
        )
      )
      assert.deepStrictEqual(JSON.parse(refused), [])
    }))
})

describe("config, facts, machine and end", () => {
  it.live("are params, tags and metrics, and a run goes on with others", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const long = "é𝄞".repeat(5000)
      const config = {
        lr: 1e-4,
        model: { name: "x", layers: [1, 2] },
        "model.name": "y",
        "50%": true,
        none: null,
        long
      }
      const open = start({
        directory,
        projectName: "params",
        runName: "a name",
        facts: Effect.succeed({ hostname: "h", world_size: 4, git_commit: "abc", user: "me", command: "train.py --x" })
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const backend = yield* open
        yield* backend.log([row(1, { loss: 1 }, { step: 3 })])
        yield* backend.logConfig(config)
        yield* backend.logConfig(config)
        const samples = [1, 2].map((seq) => ({
          seq,
          timestamp: 1_764_000_000,
          metrics: { cpu_utilization_percentage: 12.5 }
        }))
        yield* backend.logSystem(samples)
        yield* backend.logSystem(samples)
        for (const _ of [1, 2]) yield* backend.logSummary({ best: 0.5, loss: 0.25, note: "good" })
        yield* backend.finish("failed")
      }))
      const first = yield* onlyRun("params")
      assert.strictEqual(first.status, "FAILED")
      assert.isNotNull(first.end)
      const { "config.long": one, "config.long_x2_": two, "config.long_x3_": three, ...params } = first.params
      assert.strictEqual([one, two, three].join(""), long)
      assert.deepStrictEqual(params, {
        "config.lr": "0.0001",
        "config.model.name": "x",
        "config.model.layers": "[1,2]",
        "config.model.name_2": "y",
        "config.50_x0025_": "true",
        "config.none": "null",
        "ezpz.hostname": "h",
        "ezpz.world_size": "4",
        "ezpz.git_commit": "abc",
        "ezpz.user": "me",
        "ezpz.command": "train.py --x"
      })
      assert.deepInclude(first.tags, {
        "mlflow.runName": "a name",
        "mlflow.user": "me",
        "mlflow.source.name": "train.py --x",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "abc",
        "ezpz.run_id": "bright-fox-7",
        "summary.note": "good"
      })
      assert.deepStrictEqual(first.metrics["system/cpu_utilization_percentage"], [
        ["1", 1_764_000_000_000, 12.5],
        ["2", 1_764_000_000_000, 12.5]
      ])
      assert.deepStrictEqual(first.latest, { best: 0.5, loss: 0.25, "system/cpu_utilization_percentage": 12.5 })
      assert.strictEqual(first.metrics["best"]?.length, 1)

      const backend = yield* open
      yield* backend.logConfig({ ...config, lr: 2e-4, more: 1 })
      const second = yield* onlyRun("params")
      assert.strictEqual(second.status, "RUNNING")
      assert.strictEqual(second.params["config.lr"], "0.0001")
      assert.strictEqual(second.tags["config.lr"], "0.0002")
      assert.strictEqual(second.params["config.more"], "1")
      yield* backend.finish("finished")
      assert.strictEqual((yield* onlyRun("params")).status, "FINISHED")
    }))
})

describe("artifacts", () => {
  it.live("come back byte for byte, and are replaced by what is sent again", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const other = yield* temporary
      const write = (path: string, bytes: string | Uint8Array): void => {
        Fs.mkdirSync(Path.dirname(Path.join(directory, path)), { recursive: true })
        Fs.writeFileSync(Path.join(directory, path), bytes)
      }
      const bytes = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) % 256)
      write("train.h5", bytes)
      write("report.md", "# Report é\n")
      write("empty.txt", "")
      write("plots/mplot/train/loss é #1%41.png", bytes.subarray(0, 1000))
      Fs.writeFileSync(Path.join(other, "outside.txt"), "outside")
      const backend = yield* start({ directory: "/nowhere", projectName: "artifacts" })
      yield* backend.move(directory)
      const paths = ["train.h5", "report.md", "empty.txt", "plots", Path.join(other, "outside.txt")]
      yield* backend.logArtifacts(paths.map((path) => Path.resolve(directory, path)))
      yield* backend.logImage("train/loss", Path.join(directory, "plots/mplot/train/loss é #1%41.png"))
      const table = (value: Value): Backend.Table => ({
        columns: ["step", "loss", "text"],
        rows: Stream.fromIterable([[1, NaN, "é\"\n"], [2, undefined, null], [3, value, "x"]])
      })
      yield* backend.logTable("training_history", table(0.5))
      yield* backend.logTable("training_history", table(0.25))
      write("report.md", "# Another report\n")
      yield* backend.logArtifacts([Path.join(directory, "report.md")])
      const gone = yield* Effect.flip(backend.logArtifacts([Path.join(directory, "gone.txt")]))
      assert.isTrue(gone.permanent)
      assert.deepStrictEqual(Fs.readdirSync(Path.join(directory, ".ezpz/mlflow")), [])

      const { artifacts, tags } = yield* onlyRun("artifacts", "artifacts")
      const { "tables/training_history.json": json, ...files } = artifacts
      const base64 = (content: string | Uint8Array) => Buffer.from(content).toString("base64")
      assert.deepStrictEqual(files, {
        "train.h5": base64(bytes),
        "report.md": base64("# Another report\n"),
        "empty.txt": "",
        "plots/mplot/train/loss é _x0023_1_x0025_41.png": base64(bytes.subarray(0, 1000)),
        "images/train/loss.png": base64(bytes.subarray(0, 1000)),
        "outside.txt": base64("outside")
      })
      assert.deepStrictEqual(JSON.parse(Buffer.from(json ?? "", "base64").toString()), {
        columns: ["step", "loss", "text"],
        data: [[1, "NaN", "é\"\n"], [2, null, null], [3, 0.25, "x"]]
      })
      assert.deepStrictEqual(JSON.parse(tags["mlflow.loggedArtifacts"] ?? ""), [
        { path: "tables/training_history.json", type: "table" }
      ])
    }), 60_000)
})

describe("a server that is killed", () => {
  it.live("and started again has every record of the run once", () =>
    Effect.gen(function*() {
      yield* Backend.register("mlflow", Mlflow.factory)
      const outdir = yield* temporary
      const history = yield* History.make({
        projectName: "killed",
        outdir,
        backends: "mlflow",
        environment: { MLFLOW_TRACKING_URI: server.url, MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING: "false" }
      })
      const killing = yield* Effect.forkChild(Effect.promise(async () => {
        await new Promise((resolve) => setTimeout(resolve, 1000))
        await server.kill()
        await server.start()
      }))
      let count = 0
      for (; killing.pollUnsafe() === undefined; count++) {
        yield* history.update({ loss: 1 / (count + 1), "train/acc": count, odd: NaN }, { step: count % 1000 })
        yield* Effect.sleep(count % 50 === 0 ? 100 : 0)
      }
      yield* Fiber.join(killing)
      yield* history.finalize({ plots: false })
      const rows = readLines(Path.join(outdir, "metrics.jsonl"))
        .map((line): Row => ({
          seq: Number(line["seq"]),
          step: Number(line["step"]),
          timestamp: Number(line["timestamp"]),
          rank: 0,
          metrics: Object.fromEntries(
            Object.entries(line["metrics"] as Metrics).map(([key, value]) => [key, value === "NaN" ? NaN : value])
          ),
          statistics: undefined
        }))
      assert.strictEqual(rows.length, count)
      const run = yield* onlyRun("killed", "artifacts")
      assert.strictEqual(run.status, "FINISHED")
      assertSame(run, expected(rows), 1000)
      assert.strictEqual(
        Buffer.from(run.artifacts["metrics.jsonl"] ?? "", "base64").toString(),
        Fs.readFileSync(Path.join(outdir, "metrics.jsonl"), "utf8")
      )
    }), 180_000)
})
