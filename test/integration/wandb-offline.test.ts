/** Offline runs, read by W&B's own record definitions and sent by W&B's own `wandb sync`. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"
import type * as Backend from "../../src/Backend.ts"
import type { Metrics } from "../../src/Metrics.ts"
import { folder, kept, row, startProcess } from "../backend/wandb/support.ts"
import { python, timeout } from "./python.ts"
import * as Server from "./wandb/server.ts"

let interpreter = ""
let server: Server.Server
const root = Fs.mkdtempSync(Path.join(Os.tmpdir(), "wandb-offline-"))

beforeAll(async () => {
  interpreter = await python("requirements-wandb")
  server = await Server.make()
}, timeout)

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  Fs.rmSync(root, { recursive: true, force: true })
})

const place = (name: string): string => {
  const path = Path.join(root, name)
  Fs.mkdirSync(path)
  return path
}

const execute = promisify(execFile)

/** The records of a file, by W&B's own definitions: what Python makes of each, as JSON. */
const read = async (file: string): Promise<Array<{ readonly [name: string]: unknown }>> => {
  const { stdout } = await execute(interpreter, ["-c", reader, file], { maxBuffer: 1 << 28 })
  return JSON.parse(stdout)
}

const reader = `
import json, struct, sys, zlib
from google.protobuf.json_format import MessageToDict
from wandb.proto import wandb_internal_pb2

def records(data):
    assert data[:7] == b":W&B" + struct.pack("<HB", 0xBEE1, 0)
    at, parts = 7, b""
    while at < len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        checksum, length, kind = struct.unpack("<IHB", data[at:at + 7])
        chunk = data[at + 7:at + 7 + length]
        assert len(chunk) == length and zlib.crc32(bytes([kind]) + chunk) == checksum
        at += 7 + length
        parts += chunk
        if kind in (1, 4):
            yield parts
            parts = b""

found = []
for data in records(open(sys.argv[1], "rb").read()):
    record = wandb_internal_pb2.Record()
    record.ParseFromString(data)
    # Nothing in it is unknown to W&B: written again, it is as long.
    assert record.ByteSize() == len(data), record
    kind = record.WhichOneof("record_type")
    value = MessageToDict(getattr(record, kind), preserving_proto_field_name=True)
    if kind == "history":
        assert len({item.nested_key[0] for item in record.history.item}) == len(record.history.item)
        value = {"step": record.history.step.num, "items": {
            item.nested_key[0]: repr(json.loads(item.value_json)) for item in record.history.item}}
    found.append({"kind": kind, "num": record.num, "value": value})
print(json.dumps(found))
`

/** The official client sends a folder; it knows nothing but what it is told here. */
const sync = async (path: string): Promise<string> => {
  const home = Fs.mkdtempSync(Path.join(root, "home-"))
  const { stderr, stdout } = await execute(interpreter, ["-m", "wandb", "sync", path], {
    cwd: home,
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      WANDB_BASE_URL: server.url,
      WANDB_API_KEY: server.apiKey,
      WANDB_ENTITY: server.entity,
      WANDB_ERROR_REPORTING: "false"
    }
  })
  return stdout + stderr
}

const lossOf = (seq: number): Metrics => ({ "train/loss": 1 / seq, [`key${seq % 7}`]: seq })
const rows = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => row(from + i, lossOf(from + i)))

/**
 * What a server must have of rows up to one. A run that is sent a second time, the official client sends again from its
 * first line, behind those that are there, whoever wrote its file; W&B keeps one for each `_step`.
 */
const checkHistory = (run: Server.Run, count: number, again = false) => {
  const lines = Server.records(run.history)
  const byStep = new Map(lines.map((line) => [line["_step"], line]))
  if (again) { for (const line of lines) assert.deepStrictEqual(line, byStep.get(line["_step"])) }
  else assert.lengthOf(lines, byStep.size)
  assert.deepStrictEqual(
    Array.from(byStep.values(), (line) => [
      line["_step"],
      line["step"],
      line["train/loss"],
      line[`key${(Number(line["_step"]) + 1) % 7}`]
    ]),
    Array.from({ length: count }, (_, i) => [i, i * 10, 1 / (i + 1), i + 1])
  )
}

const begin = (directory: string, runId: string, more: Partial<Backend.Context> = {}) =>
  startProcess(directory, { runId, ...more })

describe("W&B offline", () => {
  it.live("W&B reads of each record all that was said, and of each value what it was", () =>
    Effect.gen(function*() {
      const directory = place("read")
      const values: Metrics = {
        "train/loss": 0.1,
        small: 5e-324,
        large: 1.7976931348623157e308,
        integer: 2 ** 53,
        negative: -0,
        nan: NaN,
        infinity: Infinity,
        "-infinity": -Infinity,
        yes: true,
        none: null,
        text: "é \u{1f600} \"quoted\" \\ \n \ud800",
        list: [1, NaN, 2.5],
        lists: [[1, 2], [3, 4]],
        _step: "mine",
        step: "also mine",
        "a.b/c d": 1,
        "": 2
      }
      const { kill, wandb } = yield* begin(directory, "read", {
        config: { lr: 0.1, model: { layers: [1, 2], name: "é" }, big: 2n ** 70n },
        environment: { WANDB_MODE: "offline", WANDB_TAGS: "a,b", WANDB_ENTITY: "team", WANDB_RUN_GROUP: "g" }
      })
      yield* wandb.log([
        row(1, values, { "train/loss/mean": 0.2 }),
        // Larger than a block.
        row(2, Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`metric/${i}`, i / 3])))
      ])
      yield* wandb.logSystem([{ seq: 1, timestamp: 1_764_000_001.5, metrics: { cpu_utilization_percentage: 12 } }])
      yield* wandb.finish("failed")
      yield* kill
      const found = yield* Effect.promise(() => read(Path.join(folder(directory), "run-read.wandb")))
      assert.deepStrictEqual(found.map(({ num }) => num), found.map((_, i) => i + 1))
      const of = (kind: string) => found.filter((record) => record["kind"] === kind).map(({ value }) => value)
      const [first, second] = of("history")
      assert.deepStrictEqual(first, {
        step: 0,
        items: {
          _step: "0",
          _timestamp: "1764000001",
          _runtime: "0.75",
          step: "0",
          "train/loss": "0.1",
          small: "5e-324",
          large: "1.7976931348623157e+308",
          integer: "9007199254740992",
          negative: "-0.0",
          nan: "nan",
          infinity: "inf",
          "-infinity": "-inf",
          yes: "True",
          none: "None",
          text: "'é \u{1f600} \"quoted\" \\\\ \\n \\ud800'",
          list: "[1, nan, 2.5]",
          lists: "[[1, 2], [3, 4]]",
          _step_: "'mine'",
          step_: "'also mine'",
          "a.b/c d": "1",
          "": "2",
          "train/loss/mean": "0.2"
        }
      })
      assert.deepInclude(second, { step: 1 })
      assert.include(JSON.stringify(second), "\"metric/2999\":\"999.6666666666666\"")
      const [run] = of("run")
      assert.deepInclude(run, { run_id: "read", project: "project", entity: "team", run_group: "g", tags: ["a", "b"] })
      assert.deepInclude(run, { start_time: "2025-11-24T16:00:00.250Z", host: "node7" })
      assert.include(JSON.stringify(run), "{\\\"layers\\\":[1,2],\\\"name\\\":\\\"é\\\"}")
      assert.include(JSON.stringify(run), String(2n ** 70n))
      assert.deepStrictEqual(of("metric"), [
        { name: "step", options: { defined: true } },
        { glob_name: "*", step_metric: "step", options: { step_sync: true, defined: true } }
      ])
      assert.include(JSON.stringify(of("stats")), "{\"key\":\"cpu\",\"value_json\":\"12\"}")
      assert.deepInclude(of("exit")[0], { exit_code: 1 })
      assert.strictEqual(found.at(-1)?.["kind"], "footer")
    }))

  it.live("wandb sync brings all of a run to the server, each line once", () =>
    Effect.gen(function*() {
      const directory = place("whole")
      const image = Path.join(directory, "loss.png")
      Fs.writeFileSync(image, png)
      Fs.mkdirSync(Path.join(directory, "plots"))
      Fs.writeFileSync(Path.join(directory, "plots", "loss.svg"), "<svg/>")
      const { kill, wandb } = yield* begin(directory, "whole", {
        config: { lr: 0.1, nested: { a: [1, "b"] } },
        runName: "a nice name",
        environment: { WANDB_MODE: "offline", WANDB_TAGS: "a,b", WANDB_NOTES: "why", WANDB_JOB_TYPE: "train" }
      })
      for (let from = 1; from < 3000; from += 500) yield* wandb.log(rows(from, from + 499))
      yield* wandb.logConfig({ later: true })
      yield* wandb.logSystem([{ seq: 1, timestamp: 1_764_000_001.5, metrics: { cpu_utilization_percentage: 12 } }])
      yield* wandb.logSummary({ best: 0.25 })
      yield* wandb.logTable("training_history", {
        columns: ["a", "b"],
        rows: Stream.fromIterable([[1, "x"], [2, null]])
      })
      yield* wandb.logImage("train/loss", image, { caption: "train/loss" })
      yield* wandb.logArtifacts([Path.join(directory, "plots")])
      yield* wandb.finish("finished")
      yield* kill
      yield* Effect.promise(() => sync(folder(directory)))

      const run = server.run("project", "whole")
      assert.deepStrictEqual([server.errors, run.errors, run.conflicts], [[], [], []])
      const shown = Server.records(run.history.splice(3000))
      checkHistory(run, 3000)
      assert.deepStrictEqual(shown.map((line) => [line["_step"], line["step"]]), [[3000, 29990]])
      assert.deepInclude(run, {
        displayName: "a nice name",
        notes: "why",
        jobType: "train",
        tags: ["a", "b"],
        complete: true,
        exitCode: 0,
        host: "node7"
      })
      assert.deepInclude(run.config, {
        lr: { value: 0.1 },
        nested: { value: { a: [1, "b"] } },
        later: { value: true },
        ezpz: { value: { hostname: "node7", git_commit: "abc" } }
      })
      assert.include(JSON.stringify(run.config["_wandb"]), "\"1\":\"step\"")
      assert.deepInclude(run.summary, { "train/loss": 1 / 3000, key0: 2996, best: 0.25, _step: 3000 })
      assert.deepInclude(Server.records(run.events)[0], { "system.cpu": 12 })
      assert.include(run.files.get("wandb-metadata.json")?.toString(), "node7")
      assert.strictEqual(run.files.get("plots/loss.svg")?.toString(), "<svg/>")
      for (const key of ["images/train/loss", "tables/training_history"]) {
        assert.deepStrictEqual(run.summary[key], shown[0]?.[key])
        const path: unknown = Reflect.get(Object(run.summary[key]), "path")
        assert.isTrue(run.files.has(String(path)), `${path} of ${[...run.files.keys()].join()}`)
      }
    }), 60_000)

  it.live(
    "a run that was killed, sent, and went on is sent again with no line lost or doubled",
    () =>
      Effect.gen(function*() {
        const directory = place("resumed")
        const first = yield* begin(directory, "resumed")
        yield* first.wandb.log(rows(1, 200))
        const checkpoint = kept(yield* first.wandb.checkpoint)
        yield* first.wandb.log(rows(201, 500))
        yield* first.kill
        const file = Path.join(folder(directory), "run-resumed.wandb")
        Fs.truncateSync(file, Fs.statSync(file).size - 20_000)
        yield* Effect.promise(() => sync(folder(directory)))
        const run = server.run("project", "resumed")
        const torn = run.history.length
        assert.isAbove(torn, 200)
        assert.isBelow(torn, 500)
        checkHistory(run, torn)
        // Without an exit it is a run that failed.
        assert.notStrictEqual(run.exitCode, 0)

        const second = yield* begin(directory, "resumed", { checkpoint })
        yield* second.wandb.log(rows(201, 900))
        yield* second.wandb.finish("finished")
        yield* second.kill
        yield* Effect.promise(() => sync(folder(directory)))
        checkHistory(run, 900, true)
        assert.deepStrictEqual([run.errors, run.conflicts, run.exitCode], [[], [], 0])
        assert.deepInclude(run.summary, { "train/loss": 1 / 900, _step: 899 })

        // Closed, sent, and gone on once more.
        const third = yield* begin(directory, "resumed", { checkpoint: kept(yield* second.wandb.checkpoint) })
        yield* third.wandb.log(rows(901, 950))
        yield* third.wandb.finish("killed")
        yield* third.kill
        yield* Effect.promise(() => sync(folder(directory)))
        checkHistory(run, 950, true)
        assert.deepStrictEqual([run.errors, run.conflicts, run.exitCode], [[], [], 255])
      }),
    60_000
  )
})

/** A picture of one point. */
const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64"
)
