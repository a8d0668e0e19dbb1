import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { probe } from "../../../src/reducer/zeromq/Probe.ts"
import { temporary } from "../../support/directory.ts"

const rank = (index: number, directory: string) => ({
  EZPZ_RANK: `${index}`,
  EZPZ_WORLD_SIZE: "2",
  EZPZ_LOCAL_WORLD_SIZE: "2",
  EZPZ_JOB_ID: "probe",
  EZPZ_RENDEZVOUS_DIR: directory
})

describe("probe", () => {
  it.live("started on all ranks, they find each other: rank 0 stands in for the root, and leaves nothing", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const [root, other] = yield* Effect.all([probe(rank(0, directory)), probe(rank(1, directory))], {
        concurrency: "unbounded"
      })
      assert.match(root.root, /^this process would be it: it listened at ipc:/)
      assert.match(other.root, /^answers at ipc:/)
      assert.match(other.transport, /^ZeroMQ over ipc/)
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }))

  it.live("alone, a rank says where it has looked", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const { root } = yield* probe(rank(1, directory))
      assert.match(root, /^not found: .*root\.json is not there/)
    }))

  it.live("the place of a root that was killed stays as it is", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const [job = ""] = yield* Effect.gen(function*() {
        yield* Effect.forkScoped(probe(rank(0, directory)))
        while (Fs.readdirSync(directory).length === 0) yield* Effect.sleep(10)
        return Fs.readdirSync(directory)
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
      const file = Path.join(directory, job, "root.json")
      Fs.mkdirSync(Path.dirname(file), { mode: 0o700 })
      const pair = { publicKey: "a".repeat(40), secretKey: "a".repeat(40) }
      const contents = {
        format: 1,
        job: "probe",
        runId: "r",
        run: "r",
        incarnation: 1,
        host: "elsewhere",
        pid: 1,
        endpoints: [],
        keys: { server: pair, client: pair }
      }
      Fs.writeFileSync(file, JSON.stringify(contents), { mode: 0o600 })
      const { root } = yield* probe(rank(0, directory))
      assert.match(root, /process 1 of elsewhere has left it, and may come again/)
      assert.deepStrictEqual(JSON.parse(Fs.readFileSync(file, "utf8")), contents)
    }))
})
