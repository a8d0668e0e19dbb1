/**
 * A run on an MLflow server: metrics, params, a table and the run's files. It needs a server:
 *
 *     pip install mlflow && mlflow server
 *     MLFLOW_TRACKING_URI=http://127.0.0.1:5000 node examples/mlflow.ts [OUTDIR]
 *
 * If the server goes away on the way, the run goes on, and says at its end what delivers the rest.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Logger, Random, Stream } from "effect"
import { History } from "ezpz-stream"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const outdir = process.argv[2] ?? mkdtempSync(join(tmpdir(), "ezpz-stream-"))
const steps = 200
const config = { method: "random walk", walkers: 64, step: { width: 0.5 } }

const program = Effect.gen(function*() {
  const environment = yield* History.environment
  if (environment["MLFLOW_TRACKING_URI"] === undefined) {
    yield* Console.error(
      "MLFLOW_TRACKING_URI is not set. Start a server (`mlflow server`), and say where it is:\n" +
        "MLFLOW_TRACKING_URI=http://127.0.0.1:5000 node examples/mlflow.ts"
    )
    process.exitCode = 2
    return
  }

  const history = yield* History.make({
    projectName: "ezpz-stream-examples",
    runName: "walk",
    backends: "mlflow",
    config,
    outdir,
    environment
  })
  const walkers = Array.from({ length: config.walkers }, () => 0)
  for (let step = 1; step <= steps; step++) {
    for (let i = 0; i < walkers.length; i++) {
      walkers[i]! += config.step.width * ((yield* Random.nextBoolean) ? 1 : -1)
    }
    const spread = Math.sqrt(walkers.reduce((sum, at) => sum + at ** 2, 0) / walkers.length)
    // An array is its mean at MLflow; the log and the dataset have all of it.
    yield* history.update({ "walk/position": walkers, "walk/spread": spread }, { step })
  }
  yield* history.tracker.logTable("walkers", {
    columns: ["walker", "position"],
    rows: Stream.fromIterable(walkers.map((position, walker) => [walker, position]))
  })
  const mlflow = yield* history.tracker.getBackend("mlflow")

  const { delivered } = yield* history.finalize({ finishTimeout: 30 })
  for (const { lastFailure, outputs, undelivered } of delivered) {
    yield* Console.log(
      undelivered + outputs === 0
        ? `${steps} records: ${mlflow?.run?.url}`
        : `${undelivered} records and ${outputs} outputs are left (${lastFailure}): ezpz-stream sync ${outdir}`
    )
  }
}).pipe(Effect.scoped, Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatSimple)])))

NodeRuntime.runMain(program)
