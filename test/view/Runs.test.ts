import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunDirectory from "../../src/RunDirectory.ts"
import { recordLine } from "../../src/RunLog.ts"
import * as Runs from "../../src/view/Runs.ts"
import { temporary } from "../support/directory.ts"

const makeRun = (root: string, id: string, created: number, loss: number) =>
  Effect.gen(function*() {
    const directory = Path.join(root, id)
    Fs.mkdirSync(directory, { recursive: true })
    const log = Path.join(directory, "metrics.jsonl")
    Fs.writeFileSync(
      log,
      recordLine(1, 10, created + 1, 0, "{\"loss\":9,\"acc\":0.5}") +
        recordLine(2, 20, created + 2, 0, `{"loss":${loss}}`)
    )
    yield* RunDirectory.writeRun(log, {
      format: 1,
      runId: Path.basename(id),
      runName: null,
      projectName: "p",
      projectGiven: true,
      createdAt: created,
      state: "finished",
      backends: [],
      config: { lr: loss }
    })
    return log
  })

const ids = (listed: ReadonlyArray<Runs.Listed>) => listed.map(({ id }) => id)

describe("Runs", () => {
  it.live("lists the runs below a root, the newest first, with what they said last", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      yield* makeRun(root, "p/a", 100, 1)
      const log = yield* makeRun(root, "p/deep/b", 200, 2)
      Fs.mkdirSync(Path.join(root, "empty"))
      const runs = Runs.make(root)
      const [b, a, ...more] = yield* runs.list
      assert.deepStrictEqual(more, [])
      assert.deepStrictEqual([b?.id, a?.id], ["p/deep/b", "p/a"])
      assert.deepInclude(b, { records: 2, lastStep: 20, lastTime: 202, state: "finished", config: { lr: 2 } })
      assert.deepStrictEqual(b?.values, { loss: 2, acc: 0.5 })
      Fs.appendFileSync(log, recordLine(3, 30, 300, 0, "{\"loss\":\"NaN\"}") + "{\"seq\":4,\"torn")
      assert.deepInclude((yield* runs.list)[0], { records: 3, lastStep: 30 })
      Fs.rmSync(Path.dirname(log), { recursive: true })
      assert.deepStrictEqual(ids(yield* runs.list), ["p/a"])
      assert.deepStrictEqual(ids(yield* Runs.make(Path.join(root, "p", "a")).list), ["."])
      assert.deepStrictEqual(yield* Runs.make(Path.join(root, "nowhere")).list, [])
    }).pipe(Effect.scoped))

  it.live("knows the step also where nothing but statistics is near the end", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const log = yield* makeRun(root, "a", 100, 1)
      const line = `{"seq":2,"step":20,"timestamp":102,"rank":0,"aggregated":{"loss/mean":1},"count":2,"expected":2}\n`
      Fs.appendFileSync(log, line.repeat(20_000))
      assert.deepInclude((yield* Runs.make(root).list)[0], { records: 2, lastStep: 20, lastTime: 102 })
    }).pipe(Effect.scoped))

  it.live("finds no file outside the root, however it is asked", () =>
    Effect.gen(function*() {
      const outside = yield* temporary
      yield* makeRun(outside, "secret", 1, 1)
      const root = yield* temporary
      const log = yield* makeRun(root, "run", 1, 1)
      Fs.symlinkSync(Path.join(outside, "secret"), Path.join(root, "link"))
      Fs.mkdirSync(Path.join(root, "half"))
      Fs.symlinkSync(Path.join(outside, "secret", "metrics.jsonl"), Path.join(root, "half", "metrics.jsonl"))
      const runs = Runs.make(root)
      assert.deepStrictEqual(ids(yield* runs.list), ["run"])
      assert.strictEqual(yield* runs.find("run"), log)
      const up = Path.relative(root, Path.join(outside, "secret"))
      for (
        const id of [
          up,
          `run/../${up}`,
          `run/./../${up}`,
          Path.join(outside, "secret"),
          "link",
          "half",
          "",
          "..",
          "run/",
          "/run",
          "run\0",
          "..\\secret",
          "%2e%2e",
          ".ezpz",
          "run/.ezpz",
          "./run",
          "a".repeat(9999)
        ]
      ) {
        assert.strictEqual((yield* Effect.flip(runs.find(id)))._tag, "NoSuchRun", id)
      }
    }).pipe(Effect.scoped))

  it.live("has a run whose parts are broken in the list, and says so", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const log = yield* makeRun(root, "a", 100, 1)
      Fs.writeFileSync(log, "no log at all\n\0\0")
      Fs.writeFileSync(Path.join(root, "a", ".ezpz", "run.json"), JSON.stringify({ format: 99 }))
      const [a] = yield* Runs.make(root).list
      assert.deepInclude(a, { id: "a", records: 0, values: {}, state: "unknown" })
      assert.match(a?.error ?? "", /format 99/)
      const wide = yield* makeRun(root, "wide", 200, 1)
      const metrics = Object.fromEntries(Array.from({ length: 20_000 }, (_, nth) => [`metric/number ${nth}`, nth]))
      Fs.writeFileSync(wide, recordLine(1, 1, 1, 0, JSON.stringify(metrics)))
      const first = (yield* Runs.make(root).list).find(({ id }) => id === "wide")
      assert.deepStrictEqual([first?.id, first?.records, Object.keys(first?.values ?? {}).length], [
        "wide",
        1,
        Runs.mostValues
      ])
    }).pipe(Effect.scoped))
})
