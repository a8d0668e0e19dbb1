/** A record to W&B offline, against what W&B's own Python client takes of its caller's time. */
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import * as History from "../../src/History.ts"
import { python } from "../../test/integration/python.ts"
import { narrowKeys } from "../data.ts"
import { alternate, type Context, median, spread } from "../measure.ts"
import { atMost, type Findings, ratio, times } from "../report.ts"
import { decoded } from "./calls.ts"
import * as Python from "./python.ts"

export const title = "what a record to W&B offline costs"

export const about =
  "Ours: `history.update` with 8 metrics for every record, with the wandb backend and WANDB_MODE=offline, and then " +
  "waiting until every record is in W&B's file: all that happens in the program, by its calls. W&B's own Python client: " +
  "`wandb.log(metrics)` in offline mode, the time until the loop of calls is through; what its other process does, and " +
  "what `finish` waits for, is not counted. Both processes are up before, and in turn."

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const block = quick ? 500 : 2000
  const rounds = quick ? 5 : 25
  const records = decoded(narrowKeys, block)
  const file = join(directory, "records.jsonl")
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(""))

  const client = await Python.start(await python("requirements-wandb"), "wandb_log.py", [file], { directory, env: {} })
  const all = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const open = (name: string, backends: string) =>
      Effect.map(
        History.make({
          outdir: join(directory, name),
          projectName: "bench",
          backends,
          environment: { WANDB_MODE: "offline" }
        }),
        (history) => {
          let step = 0
          return Effect.gen(function*() {
            const from = performance.now()
            for (const record of records) yield* history.update(record, { step: step++ })
            for (const delivered of yield* history.tracker.drain(60_000)) {
              if (delivered.undelivered > 0) throw new Error(`not delivered: ${delivered.lastFailure}`)
            }
            return (performance.now() - from) / block / 1000
          })
        }
      )
    const plain = yield* open("plain", "none")
    const offline = yield* open("offline", "wandb")
    const runPromise = Effect.runPromiseWith(yield* Effect.context())
    const candidates = {
      plain: () => runPromise(plain),
      offline: () => runPromise(offline),
      python: async () => {
        const seconds = await client.measure(block)
        // What its other process has still to do is not the next one's to wait for.
        await setTimeout(200)
        return seconds / block
      }
    }
    yield* Effect.promise(() => alternate(3, candidates))
    return yield* Effect.promise(() => alternate(rounds, candidates))
  })))
  await client.stop()

  const reference = median(all.python)
  return {
    tables: [{
      columns: ["8 metrics", "per record", "of wandb.log"],
      rows: ([
        ["Python: wandb.log, offline", all.python],
        ["history.update, wandb offline, delivered", all.offline],
        ["history.update, no backend", all.plain]
      ] as const).map(([name, means]) => [name, times(spread(means)), ratio(median(means) / reference)])
    }],
    checks: [
      atMost("less than half of what wandb.log costs its caller", median(all.offline) / reference, 0.5, ratio)
    ]
  }
}
