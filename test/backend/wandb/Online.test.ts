import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type * as Backend from "../../../src/Backend.ts"
import type { Row } from "../../../src/Row.ts"
import * as Server from "../../integration/wandb/server.ts"
import { temporary } from "../../support/directory.ts"
import { warnings } from "../../support/supervision.ts"
import { batches, environment, insist, server, start, values } from "./online.ts"
import { kept, row } from "./support.ts"

const rowsTo = (last: number, from = 1): ReadonlyArray<Row> =>
  Array.from({ length: last - from + 1 }, (_, i) => row(from + i, { "train/loss": from + i }))

const seqs = (run: Server.Run) => values(run, "train/loss")

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

/** Nothing is missing, nothing is there twice, and nothing came again as something else. */
const assertWhole = (run: Server.Run, count: number) => {
  assert.deepStrictEqual(seqs(run), upTo(count))
  assert.deepStrictEqual(values(run, "_step"), upTo(count).map((seq) => seq - 1))
  assert.deepStrictEqual(run.errors, [])
  assert.deepStrictEqual(run.conflicts, [])
}

const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAC0lEQVR4nGNgQAYAAA4AATWj0j4AAAAASUVORK5CYII=",
  "base64"
)

const faults: ReadonlyArray<readonly [string, Server.Fault]> = [
  ["closes connections", { kind: "refuse" }],
  ["breaks off within the body", { kind: "reset" }],
  ["takes everything and breaks off before the answer", { kind: "forget" }],
  ["does not answer", { kind: "hang" }],
  ["is slower than anybody waits", { kind: "slow", millis: 600 }],
  ["answers 500", { kind: "status", status: 500 }],
  ["answers 429", { kind: "status", status: 429, retryAfter: 1 }],
  ["answers 403", { kind: "status", status: 403 }],
  ["answers with a page of another", { kind: "garbage" }],
  ["answers 200 with errors", { kind: "errors", message: "internal error" }]
]

describe("W&B online", () => {
  for (const [what, fault] of faults) {
    it.live(`loses no line and doubles none where the server ${what} more often than not`, () =>
      Effect.gen(function*() {
        const wandb = yield* server
        const { wandb: backend } = yield* start(wandb, yield* temporary)
        let count = 0
        wandb.fault = ({ route }) => route === "file_stream" && [1, 3, 4].includes(++count % 5) ? fault : undefined
        const failures: Array<string> = []
        for (const batch of batches(rowsTo(60), 10)) failures.push(...(yield* insist(backend.log(batch))))
        failures.push(...(yield* insist(backend.finish("finished"))))
        assert.isAtLeast(failures.length, 6)
        const run = wandb.run("project", "run-1")
        assertWhole(run, 60)
        assert.isTrue(run.complete)
        assert.strictEqual(run.exitCode, 0)
        assert.strictEqual(run.summary["train/loss"], 60)
        assert.deepStrictEqual(wandb.errors, [])
      }))
  }

  it.live("makes one run, however often the start fails", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const directory = yield* temporary
      const kinds: Array<Server.Fault> = [
        ...faults.flatMap(([, fault]) => fault.kind === "hang" || fault.kind === "slow" ? [] : [fault]),
        { kind: "errors", message: "permission denied" }
      ]
      wandb.fault = () => kinds.shift()
      const failures: Array<Backend.BackendError> = []
      for (let i = 0; i < 20 && kinds.length > 0; i++) {
        const result = yield* Effect.result(start(wandb, directory))
        if (result._tag === "Failure") failures.push(result.failure)
      }
      assert.strictEqual(failures.length, 9)
      assert.isAtLeast(new Set(failures.map(({ kind }) => kind)).size, 6)
      assert.match(failures.at(-1)?.message ?? "", /permission denied/)
      assert.strictEqual(failures.find(({ kind }) => kind === "HTTP 429")?.retryAfterMillis, 1000)
      yield* start(wandb, directory)
      assert.strictEqual(wandb.runs.size, 1)
    }))

  it.live("resumes with a checkpoint that is older than what the server has", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const directory = yield* temporary
      const first = yield* start(wandb, directory)
      for (const batch of batches(rowsTo(30), 10)) yield* first.wandb.log(batch)
      const checkpoint = kept(yield* first.wandb.checkpoint)
      for (const batch of batches(rowsTo(57, 31), 9)) yield* first.wandb.log(batch)
      yield* first.kill
      // The cursor was saved with the checkpoint: the records after it come again, in other batches.
      const second = yield* start(wandb, directory, { checkpoint })
      assert.isFalse(second.wandb.restart)
      for (const batch of batches(rowsTo(80, 31), 7)) yield* second.wandb.log(batch)
      yield* second.wandb.finish("finished")
      const run = wandb.run("project", "run-1")
      assertWhole(run, 80)
      assert.isAtLeast(run.repeated, 27)
    }))

  it.live("begins anew without a checkpoint, on the lines that are there", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const directory = yield* temporary
      const first = yield* start(wandb, directory)
      yield* first.wandb.log(rowsTo(30))
      yield* first.kill
      const second = yield* start(wandb, directory)
      for (const batch of batches(rowsTo(40), 7)) yield* second.wandb.log(batch)
      assertWhole(wandb.run("project", "run-1"), 40)
    }))

  it.live("goes on after the run was finished, with its summary and config, behind its lines", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const directory = yield* temporary
      const picture = Path.join(directory, "loss.png")
      Fs.writeFileSync(picture, png)
      const first = yield* start(wandb, directory)
      yield* first.wandb.logConfig({ lr: 0.1, nested: { a: [1, NaN] } })
      yield* first.wandb.log([...rowsTo(9), row(10, { "train/loss": 10, early: 1 })])
      yield* first.wandb.logImage("loss", picture)
      const checkpoint = kept(yield* first.wandb.checkpoint)
      yield* first.wandb.finish("killed")
      const run = wandb.run("project", "run-1")
      assert.strictEqual(run.exitCode, 255)
      // The image stands in a line of its own.
      assert.strictEqual(run.history.length, 11)
      yield* first.kill
      const second = yield* start(wandb, directory, { checkpoint })
      assert.isFalse(run.complete)
      yield* second.wandb.logConfig({ lr: 0.2 })
      yield* second.wandb.log(rowsTo(20, 11))
      yield* second.wandb.finish("finished")
      assert.deepStrictEqual(seqs(run), upTo(20))
      assert.strictEqual(run.exitCode, 0)
      assert.deepInclude(run.config, { lr: { value: 0.2 }, nested: { value: { a: [1, "NaN"] } } })
      assert.deepInclude(run.summary, { "train/loss": 20, early: 1 })
      const image = values(run, "images/loss").find((value) => value !== undefined)
      assert.deepInclude(image, { _type: "image-file", width: 2, height: 2, format: "png" })
      assert.deepStrictEqual(run.summary["images/loss"], image)
      assert.isTrue(run.files.get(String(Reflect.get(Object(image), "path")))?.equals(png))
    }))

  it.live("wants all records again where the server has lost the run", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const before = yield* server
      const first = yield* start(before, directory)
      const sample = (seq: number) => ({ seq, timestamp: 1_764_000_000, metrics: { cpu_utilization_percentage: seq } })
      yield* first.wandb.log(rowsTo(30))
      yield* first.wandb.logSystem([sample(1)])
      const checkpoint = kept(yield* first.wandb.checkpoint)
      const after = yield* server
      const { lines, result: second } = yield* warnings(start(after, directory, { checkpoint }))
      assert.isTrue(second.wandb.restart)
      assert.match(lines.join("\n"), /0 of the 30 records/)
      yield* second.wandb.logSystem([sample(2)])
      yield* second.wandb.log(rowsTo(35))
      assertWhole(after.run("project", "run-1"), 35)
      assert.strictEqual(after.run("project", "run-1").displayName, "run-1")
    }))

  it.live("says who the run is, and draws metrics over the caller's step", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const { wandb: backend } = yield* start(wandb, yield* temporary, {
        runId: "r 1/ü",
        runName: "my run",
        facts: Effect.succeed({ hostname: "node7", git_commit: "abc", command: "train.py --lr 1" }),
        environment: {
          ...environment(wandb),
          WANDB_ENTITY: "team a",
          WANDB_RUN_GROUP: "g",
          WANDB_JOB_TYPE: "train",
          WANDB_TAGS: "a,b",
          WANDB_NOTES: "why"
        }
      })
      yield* backend.logConfig({ lr: 0.1 })
      yield* backend.log([row(1, { loss: NaN, step: 7 }), row(2, { loss: Infinity }, { "loss/mean": -0 })])
      const id = backend.run?.id ?? ""
      assert.match(id, /^r-1---[0-9a-f]{8}$/)
      assert.deepStrictEqual(backend.run, {
        id,
        name: "my run",
        project: "project",
        url: `${wandb.url}/team%20a/project/runs/${id}`
      })
      const run = [...wandb.runs.values()][0]
      assert.deepInclude(run, {
        entity: "team a",
        group: "g",
        jobType: "train",
        tags: ["a", "b"],
        notes: "why",
        host: "node7",
        program: "train.py --lr 1",
        commit: "abc",
        displayName: "my run"
      })
      assert.deepStrictEqual(run?.config["_wandb"], {
        value: { m: [{ 1: "step", 6: [3], 7: [] }, { 2: "*", 5: 1, 6: [1], 7: [] }] }
      })
      assert.deepStrictEqual(run?.config["lr"], { value: 0.1 })
      assert.deepInclude(run?.config["ezpz"], {
        value: { hostname: "node7", git_commit: "abc", command: "train.py --lr 1" }
      })
      assert.deepStrictEqual(run?.history.map((line) => line.replace(/"_(?:timestamp|runtime)":[\d.]+,/g, "")), [
        `{"_step":0,"step":0,"loss":NaN,"step_":7}`,
        `{"_step":1,"step":10,"loss":Infinity,"loss/mean":-0.0}`
      ])
    }))

  it.live("keeps requests below what servers take, and a record that is not leaves out its long texts", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const sizes: Array<number> = []
      const { wandb: backend } = yield* start(wandb, yield* temporary)
      wandb.fault = ({ length, route }) => {
        if (route === "file_stream") sizes.push(length)
        return undefined
      }
      const text = "\"ü".repeat(20_000)
      const rows = upTo(400).map((seq) => row(seq, { "train/loss": seq, text }))
      const { lines } = yield* warnings(Effect.gen(function*() {
        yield* backend.log(rows)
        yield* backend.log([row(401, { "train/loss": 401, text: "x".repeat(11_000_000) })])
      }))
      assertWhole(wandb.run("project", "run-1"), 401)
      assert.isAbove(sizes.length, 4)
      assert.isAtMost(Math.max(...sizes), 8 * 1024 * 1024)
      assert.match(lines.join(), /10 MB/)
    }))

  it.live("takes samples of the machine as events, each once, by W&B's names", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const directory = yield* temporary
      const sample = (seq: number): Backend.Sample => ({
        seq,
        timestamp: 1_764_000_000 + seq,
        metrics: { cpu_utilization_percentage: seq, gpu_0_memory_usage_percentage: 50, disk_usage_percentage: 3 }
      })
      const first = yield* start(wandb, directory)
      assert.isTrue(first.wandb.wantsSystem)
      yield* first.wandb.logSystem([sample(1), sample(2)])
      const checkpoint = kept(yield* first.wandb.checkpoint)
      wandb.fault = ({ route }) => route === "file_stream" ? { kind: "forget" } : undefined
      assert.strictEqual((yield* Effect.result(first.wandb.logSystem([sample(3)])))._tag, "Failure")
      wandb.fault = () => undefined
      yield* first.wandb.logSystem([sample(3)])
      yield* first.kill
      const second = yield* start(wandb, directory, { checkpoint })
      // The fifth was lost with a torn line.
      for (const seq of [3, 4, 6, 6]) yield* second.wandb.logSystem([sample(seq)])
      const run = wandb.run("project", "run-1")
      assert.deepStrictEqual(Server.records(run.events).map((line) => line["system.cpu"]), [1, 2, 3, 4, 6])
      assert.deepInclude(Server.records(run.events)[0], {
        "system.gpu.0.memoryAllocated": 50,
        "system.disk_usage_percentage": 3,
        _wandb: true
      })
      assert.deepStrictEqual([run.errors, run.conflicts], [[], []])
    }))

  it.live("uploads files where W&B says, and our credentials stay here", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const directory = yield* temporary
      const elsewhere = yield* temporary
      const put = (path: string, text: string) => {
        Fs.mkdirSync(Path.dirname(path), { recursive: true })
        Fs.writeFileSync(path, text)
        return path
      }
      const paths = [
        put(Path.join(directory, "metrics.jsonl"), "{}\n"),
        put(Path.join(directory, "plots", "train", "loss ü.txt"), "plot"),
        put(Path.join(directory, "empty"), ""),
        put(Path.join(elsewhere, "report.md"), "# report")
      ]
      const { wandb: backend } = yield* start(wandb, directory)
      const broken: Array<Server.Fault> = [{ kind: "reset" }, { kind: "status", status: 503 }, { kind: "forget" }]
      wandb.fault = ({ route }) => route === "upload" ? broken.shift() : undefined
      yield* insist(backend.logArtifacts(paths))
      const run = wandb.run("project", "run-1")
      const texts = () => Object.fromEntries([...run.files].map(([path, content]) => [path, content.toString()]))
      const expected = { "metrics.jsonl": "{}\n", "plots/train/loss ü.txt": "plot", empty: "", "report.md": "# report" }
      assert.deepStrictEqual(texts(), expected)
      assert.deepStrictEqual([...run.uploaded].sort(), Object.keys(expected).sort())
      const uploads = () => wandb.received.filter(({ route }) => route === "upload").length
      const before = uploads()
      // What is there already is not sent again; what has changed is.
      yield* backend.logArtifacts(paths)
      assert.strictEqual(uploads(), before)
      put(paths[0] ?? "", "{}\n{}\n")
      yield* backend.logArtifacts(paths)
      assert.strictEqual(uploads(), before + 1)
      assert.deepStrictEqual(texts(), { ...expected, "metrics.jsonl": "{}\n{}\n" })
      const missing = yield* Effect.flip(backend.logArtifacts([Path.join(directory, "gone"), ...paths]))
      assert.isTrue(missing.permanent)
      assert.match(missing.message, /gone: There is no such file/)
      const noImage = yield* Effect.flip(backend.logImage("gone", Path.join(directory, "gone.png")))
      assert.isTrue(noImage.permanent)
      assert.deepStrictEqual(wandb.errors, [])
      yield* backend.finish("failed")
      assert.strictEqual(run.exitCode, 1)
      assert.includeMembers([...run.files.keys()], ["wandb-summary.json", "wandb-metadata.json", "config.yaml"])
    }))

  it.live("closes the run even where its files find no place", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const { wandb: backend } = yield* start(wandb, yield* temporary)
      yield* backend.log(rowsTo(3))
      wandb.fault = ({ route }) => route === "upload" ? { kind: "status", status: 507 } : undefined
      assert.strictEqual((yield* Effect.flip(backend.finish("finished"))).kind, "HTTP 507")
      assert.isTrue(wandb.run("project", "run-1").complete)
    }))

  it.live("sends a table as a file, in the summary and in the history", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const { wandb: backend } = yield* start(wandb, yield* temporary)
      yield* backend.log(rowsTo(1))
      const rows = Stream.fromIterable(upTo(50_000)).pipe(Stream.map((i) => [i, i === 1 ? NaN : `row ${i}`, undefined]))
      yield* backend.logTable("training_history", { columns: ["step", "what", "none"], rows })
      yield* backend.log(rowsTo(2, 2))
      const run = wandb.run("project", "run-1")
      const reference = run.summary["tables/training_history"]
      assert.deepInclude(reference, { _type: "table-file", ncols: 3, nrows: 6251 })
      assert.deepStrictEqual(values(run, "tables/training_history"), [undefined, reference])
      const table: { readonly columns: ReadonlyArray<string>; readonly data: ReadonlyArray<ReadonlyArray<unknown>> } =
        JSON
          .parse(run.files.get(String(Reflect.get(Object(reference), "path")))?.toString() ?? "")
      assert.deepStrictEqual(table.columns, ["step", "what", "none"])
      assert.deepStrictEqual(table.data[0], [1, "NaN", null])
      assert.deepStrictEqual(table.data.at(-1), [50_000, "row 50000", null])
      assert.deepStrictEqual(table.data.map(([i]) => Number(i)).slice(0, -1), upTo(6250).map((i) => (i - 1) * 8 + 1))
    }))

  it.live("the summary and the config hold what they are given, and lose nothing that a killed process had not sent", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const directory = yield* temporary
      const first = yield* start(wandb, directory)
      yield* first.wandb.log([row(1, { a: 1 })])
      // Within 15 seconds no summary goes with it.
      yield* first.wandb.log([row(2, { b: 2 })])
      const run = wandb.run("project", "run-1")
      assert.notProperty(run.summary, "b")
      const checkpoint = kept(yield* first.wandb.checkpoint)
      yield* first.kill
      const second = yield* start(wandb, directory, { checkpoint })
      yield* second.wandb.logSummary({ best: 0.5, none: null, _step: 3 })
      yield* second.wandb.watch({ layers: 3 })
      assert.deepInclude(run.summary, { a: 1, b: 2, best: 0.5, _step_: 3, _step: 1 })
      assert.notProperty(run.summary, "none")
      assert.deepInclude(Reflect.get(Object(run.config["watched"]), "value"), { class: "Object" })
    }))

  it.live("a wrong key is an error that says so, and shows no key", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const secret = "f".repeat(20) + "0".repeat(20)
      const error = yield* Effect.flip(
        start(wandb, yield* temporary, { environment: { ...environment(wandb), WANDB_API_KEY: secret } })
      )
      assert.strictEqual(error.kind, "HTTP 401")
      wandb.fault = () => ({ kind: "errors", message: `no user has the key ${wandb.apiKey}` })
      const echoed = yield* Effect.flip(start(wandb, yield* temporary))
      assert.match(echoed.message, /no user has the key/)
      for (const { message } of [error, echoed]) {
        assert.notInclude(message, secret)
        assert.notInclude(message, wandb.apiKey)
        assert.notInclude(message, Buffer.from(`api:${secret}`).toString("base64"))
      }
    }))

  it.effect("says every 30 seconds that the run is alive, unless it has just been said, or is delivered later", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const { kill, wandb: backend } = yield* start(wandb, yield* temporary)
      const run = wandb.run("project", "run-1")
      /** Time goes by on the test's clock, and enough of the real one for requests. */
      const pass = (seconds: number) =>
        Effect.gen(function*() {
          for (let i = 0; i < seconds; i += 5) {
            yield* TestClock.adjust("5 seconds")
            yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
          }
        })
      yield* pass(95)
      assert.strictEqual(run.heartbeats, 3)
      const fiber = yield* Effect.forkChild(backend.log(rowsTo(1)))
      yield* pass(5)
      yield* Fiber.join(fiber)
      yield* pass(20)
      assert.strictEqual(run.heartbeats, 3)
      yield* pass(15)
      assert.strictEqual(run.heartbeats, 4)
      yield* kill
      yield* pass(60)
      assert.strictEqual(run.heartbeats, 4)
      yield* start(wandb, yield* temporary, { live: false })
      yield* pass(60)
      assert.strictEqual(run.heartbeats, 4)
    }))
})
