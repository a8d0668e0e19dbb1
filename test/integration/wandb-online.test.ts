/**
 * W&B online: the server that tests run against, checked by two clients that are not ours, and whole runs against it,
 * with everything that goes wrong on the way.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import * as Backend from "../../src/Backend.ts"
import * as Wandb from "../../src/backend/wandb/Wandb.ts"
import * as History from "../../src/History.ts"
import * as RunDirectory from "../../src/RunDirectory.ts"
import { environment, server, values } from "../backend/wandb/online.ts"
import { temporary } from "../support/directory.ts"
import { warnings } from "../support/supervision.ts"
import * as Python from "./python.ts"
import * as Server from "./wandb/server.ts"

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

/** Every record stands once, in order, at its place. */
const assertWhole = (run: Server.Run, count: number) => {
  assert.deepStrictEqual(values(run, "loss").filter((loss) => loss !== undefined), upTo(count))
  assert.deepStrictEqual(values(run, "_step").slice(0, count), upTo(count).map((seq) => seq - 1))
  assert.deepStrictEqual(values(run, "step").slice(0, count), upTo(count).map((seq) => seq * 10))
  assert.deepStrictEqual(run.errors, [])
}

const file = (name: string) => fileURLToPath(new URL(`wandb/${name}`, import.meta.url))

const launch = (command: string, args: ReadonlyArray<string>, wandb: Server.Server, cwd: string) => {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, WANDB_BASE_URL: wandb.url, WANDB_API_KEY: wandb.apiKey, WANDB_DIR: cwd, HOME: cwd },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  child.stdout.on("data", (data) => output += String(data))
  child.stderr.on("data", (data) => output += String(data))
  return { child, output: () => output, ended: once(child, "close").then(() => child.exitCode) }
}

const until = async (condition: () => boolean, child: ChildProcess) => {
  while (!condition() && child.exitCode === null && child.signalCode === null) await setTimeout(5)
}

const only = (runs: ReadonlyMap<string, Server.Run>): Server.Run => {
  const [run, ...others] = runs.values()
  if (run === undefined || others.length > 0) throw new Error(`not one run: ${[...runs.keys()].join(", ")}`)
  return run
}

describe("the server that tests run against", () => {
  let interpreter = ""
  beforeAll(async () => {
    interpreter = await Python.python("requirements-wandb")
  }, Python.timeout)

  it("satisfies W&B's own client for Python, online, and has all of its run", async () => {
    await using wandb = await Server.make()
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "wandb-"))
    const script = `
import sys, wandb
run = wandb.init(project="project", name="my run", group="g", tags=["a", "b"], notes="why", config={"lr": 0.1})
run.define_metric("step")
run.define_metric("*", step_metric="step")
for i in range(50):
    run.log({"loss": 1 / (i + 1), "step": i * 10, "nan": float("nan")})
run.log({"table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])})
run.summary["best"] = 3
print("a line for the console")
run.finish(exit_code=3)
`
    const { ended, output } = launch(interpreter, ["-c", script], wandb, directory)
    assert.strictEqual(await ended, 0, output())
    const run = only(wandb.runs)
    assert.deepInclude(run, {
      project: "project",
      displayName: "my run",
      group: "g",
      tags: ["a", "b"],
      notes: "why",
      complete: true,
      exitCode: 3,
      errors: [],
      conflicts: []
    })
    assert.deepStrictEqual(values(run, "loss").slice(0, 50), upTo(50).map((i) => 1 / i))
    assert.deepStrictEqual(values(run, "nan")[0], "NaN")
    assert.deepInclude(run.summary, { loss: 1 / 50, best: 3, step: 490 })
    assert.deepStrictEqual(run.config["lr"], { value: 0.1 })
    // What it says about metrics is what we say, too.
    assert.deepInclude(Reflect.get(Object(run.config["_wandb"]), "value"), {
      m: [{ 1: "step", 6: [3], 7: [] }, { 2: "*", 5: 1, 6: [1], 7: [] }]
    })
    assert.include(run.output.join("\n"), "a line for the console")
    assert.isAtLeast(run.events.length, 1)
    assert.includeMembers([...run.files.keys()], ["wandb-summary.json", "wandb-metadata.json", "config.yaml"])
    assert.includeMembers([...run.uploaded], ["wandb-summary.json"])
    assert.deepStrictEqual([...wandb.artifacts.values()].map(({ committed, type }) => ({ committed, type })), [
      { committed: true, type: "run_table" }
    ])
    assert.deepStrictEqual([...wandb.unknown], [])
    assert.deepStrictEqual(wandb.errors, [])
    Fs.rmSync(directory, { recursive: true, force: true })
  })

  it("satisfies W&B's client for JavaScript, as far as that one works", async () => {
    await using wandb = await Server.make()
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "wandb-"))
    const { ended, output } = launch(process.execPath, [file("sdk.mjs")], wandb, directory)
    assert.strictEqual(await ended, 0, output())
    const run = only(wandb.runs)
    assert.deepStrictEqual(values(run, "loss"), upTo(20).map((i) => 1 / i))
    assert.deepStrictEqual(values(run, "i"), upTo(20).map((i) => i - 1))
    assert.deepInclude(run, { complete: true, exitCode: 0, errors: [], conflicts: [] })
    // It sends the values of a config bare, which W&B does not show.
    assert.deepStrictEqual(run.config, { lr: 0.1 })
    assert.deepStrictEqual([...wandb.unknown], [])
    Fs.rmSync(directory, { recursive: true, force: true })
  })

  it("refuses who has another key", async () => {
    await using wandb = await Server.make({ apiKey: "f".repeat(40) })
    const answer = await fetch(`${wandb.url}/graphql`, {
      method: "POST",
      headers: { authorization: `Basic ${Buffer.from(`api:${Server.apiKey}`).toString("base64")}` },
      body: JSON.stringify({ query: "query Viewer { viewer { entity } }" })
    })
    assert.strictEqual(answer.status, 401)
  })
})

const record = (history: History.History, from: number, to: number, pauseMillis: number) =>
  Effect.gen(function*() {
    for (let i = from; i <= to; i++) {
      yield* history.update({ loss: i }, { step: i * 10 })
      yield* Effect.sleep(pauseMillis)
    }
  })

const make = (wandb: Server.Server, outdir: string, more: History.Options = {}) =>
  Effect.andThen(
    Backend.register("wandb", Wandb.factory),
    History.make({
      outdir,
      runId: "run-1",
      projectName: "project",
      backends: "wandb",
      environment: environment(wandb),
      config: { lr: 0.1 },
      ...more
    })
  )

describe("a run with W&B", () => {
  it.live("whose server fails in every way on the way is there whole, with its files", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const faults: ReadonlyArray<Server.Fault> = [
        { kind: "forget" },
        { kind: "refuse" },
        { kind: "status", status: 500 },
        { kind: "reset" },
        { kind: "garbage" },
        { kind: "errors", message: "internal error" },
        { kind: "status", status: 429, retryAfter: 0.2 }
      ]
      let count = 0
      let next = 0
      let records = 0
      wandb.fault = () => count++ % 3 === 1 ? faults[next++ % faults.length] : undefined
      const { lines, result } = yield* warnings(Effect.gen(function*() {
        const history = yield* make(wandb, yield* temporary)
        // Until all of them have happened.
        for (; next < faults.length; records += 10) yield* record(history, records + 1, records + 10, 10)
        wandb.fault = () => undefined
        return yield* history.finalize({ plots: false })
      }))
      const run = wandb.run("project", "run-1")
      assertWhole(run, records)
      assert.deepStrictEqual(result.undelivered.map(({ undelivered }) => undelivered).filter((left) => left > 0), [])
      assert.deepInclude(run, { complete: true, exitCode: 0, conflicts: [] })
      assert.includeMembers([...run.files.keys()], ["metrics.jsonl", "report.md", "run_info.json", "config.yaml"])
      assert.deepStrictEqual(run.config["lr"], { value: 0.1 })
      assert.deepStrictEqual(wandb.errors, [])
      assert.strictEqual(new Set(lines).size, lines.length)
    }))

  it.live("whose server is away for a while, and comes back, is there whole", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const url = wandb.url
      yield* Effect.promise(() => wandb.stop())
      const history = yield* make(wandb, yield* temporary, {
        environment: { WANDB_BASE_URL: url, WANDB_API_KEY: wandb.apiKey }
      })
      yield* record(history, 1, 50, 5)
      yield* Effect.promise(() => wandb.start())
      yield* record(history, 51, 100, 5)
      yield* history.finalize({ plots: false, state: "failed" })
      const run = wandb.run("project", "run-1")
      assertWhole(run, 100)
      assert.strictEqual(run.exitCode, 1)
    }))

  it.live("obeys a server that says when to come again", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      let refused: number | undefined
      wandb.fault = ({ at, route }) => {
        if (route !== "file_stream" || refused !== undefined) return undefined
        refused = at
        return { kind: "status", status: 429, retryAfter: 3 }
      }
      const history = yield* make(wandb, yield* temporary)
      yield* record(history, 1, 20, 5)
      yield* history.finalize({ plots: false })
      assertWhole(wandb.run("project", "run-1"), 20)
      const after = wandb.received.find(({ at, route }) => route === "file_stream" && at > (refused ?? Infinity))
      assert.isAtLeast((after?.at ?? 0) - (refused ?? 0), 3000)
    }))

  it.live("with a wrong key goes on, warns once, keeps everything, and shows the key nowhere", () =>
    Effect.gen(function*() {
      const wandb = yield* server
      const directory = yield* temporary
      const secret = "5ec2e7".repeat(6) + "beef"
      const { lines } = yield* warnings(
        Effect.gen(function*() {
          const history = yield* make(wandb, directory, {
            environment: { ...environment(wandb), WANDB_API_KEY: secret }
          })
          yield* record(history, 1, 100, 15)
          yield* history.finalize({ plots: false, finishTimeout: 2 })
        }).pipe(Effect.scoped)
      )
      assert.strictEqual(lines.filter((line) => line.includes("HTTP 401")).length, 1, lines.join("\n"))
      assert.strictEqual(wandb.runs.size, 0)
      const written = Fs.readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => Fs.readFileSync(Path.join(entry.parentPath, entry.name), "latin1"))
      for (const text of [...lines, ...written]) {
        assert.notInclude(text, secret)
        assert.notInclude(text, Buffer.from(`api:${secret}`).toString("base64"))
      }
      // With the right one it has everything, from the first record on.
      const history = yield* make(wandb, directory, { exists: "append" })
      yield* record(history, 101, 110, 0)
      yield* history.finalize({ plots: false })
      assertWhole(wandb.run("project", "run-1"), 110)
    }))

  it("that is killed again and again, its checkpoint lost or old, is there whole at the end", async () => {
    await using wandb = await Server.make()
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "wandb-"))
    // Enough that none of those that are killed comes to its end before.
    const total = 1500
    const cursor = RunDirectory.cursorPath(Path.join(directory, RunDirectory.logName), "wandb")
    const start = () => launch(process.execPath, [file("job.ts"), directory, String(total), "2"], wandb, directory)
    let count = 0
    wandb.fault = ({ route }) => route === "file_stream" && ++count % 4 === 0 ? { kind: "forget" } : undefined
    let old: string | undefined
    const lines = () => [...wandb.runs.values()][0]?.history.length ?? 0
    for (const what of ["nothing", "old", "lost", "old"] as const) {
      const { child, ended, output } = start()
      const before = lines()
      await until(() => lines() > before + 30, child)
      old ??= Fs.existsSync(cursor) ? Fs.readFileSync(cursor, "utf8") : undefined
      await until(() => lines() > before + 90, child)
      assert.isTrue(child.kill("SIGKILL"), output())
      await ended
      if (what === "lost") Fs.rmSync(cursor, { force: true })
      if (what === "old" && old !== undefined) Fs.writeFileSync(cursor, old)
    }
    const last = start()
    assert.strictEqual(await last.ended, 0, last.output())
    const run = wandb.run("project", "job")
    assertWhole(run, total)
    assert.deepInclude(run, { complete: true, exitCode: 0, conflicts: [] })
    assert.isAbove(run.repeated, 0)
    assert.strictEqual(run.summary["loss"], total)
    Fs.rmSync(directory, { recursive: true, force: true })
  })
})
