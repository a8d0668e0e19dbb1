/**
 * A job that is tracked with W&B, for tests that kill it: it goes on where its run is, up to so many records.
 *
 * job.ts DIRECTORY RECORDS MILLIS_BETWEEN
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Backend from "../../../src/Backend.ts"
import * as Wandb from "../../../src/backend/wandb/Wandb.ts"
import * as History from "../../../src/History.ts"

const [, , outdir = "", records = "", millis = ""] = process.argv

const job = Effect.gen(function*() {
  yield* Backend.register("wandb", Wandb.factory)
  const history = yield* History.make({
    outdir,
    runId: "job",
    projectName: "project",
    backends: "wandb",
    config: { lr: 0.1 },
    exists: "append"
  })
  for (let i = history.resumedAt + 1; i <= Number(records); i++) {
    yield* history.update({ loss: i }, { step: i * 10 })
    yield* Effect.sleep(Number(millis))
  }
  const { undelivered } = yield* history.finalize({ plots: false, finishTimeout: 30 })
  console.log(JSON.stringify(undelivered))
})

await Effect.runPromise(job.pipe(Effect.scoped, Effect.provideService(Logger.LogToStderr, true)))
