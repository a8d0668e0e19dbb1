/**
 * A run at Weights & Biases: metrics, a table, values of the run as a whole, and the plots of its end.
 *
 *     node examples/wandb.ts [OUTDIR]
 *     WANDB_MODE=online WANDB_API_KEY=... node examples/wandb.ts
 *
 * Without WANDB_MODE it writes W&B's own offline files, which needs no account: `wandb sync` sends them later.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Logger, Random, Stream } from "effect"
import { History } from "ezpz-stream"
import { globSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const outdir = process.argv[2] ?? mkdtempSync(join(tmpdir(), "ezpz-stream-"))
const steps = 200
const config = { lr: 0.05, optimizer: { name: "sgd", momentum: 0.9 } }

const program = Effect.gen(function*() {
  const environment = { WANDB_MODE: "offline", ...(yield* History.environment) }
  const history = yield* History.make({
    projectName: "ezpz-stream-examples",
    runName: "valley",
    backends: "wandb",
    config,
    outdir,
    environment
  })
  const { tracker } = history

  // Down a valley, with some noise.
  let [position, velocity, best] = [3, 0, Infinity]
  const path: Array<readonly [step: number, position: number]> = []
  for (let step = 1; step <= steps; step++) {
    const slope = 2 * position + (yield* Random.next) - 0.5
    velocity = config.optimizer.momentum * velocity - config.lr * slope
    position += velocity
    best = Math.min(best, position ** 2)
    path.push([step, position])
    yield* history.update({ "train/loss": position ** 2, "train/position": position }, { step })
  }

  // These return once what they were given is kept. The server gets it when it can.
  yield* tracker.logTable("path", { columns: ["step", "position"], rows: Stream.fromIterable(path) })
  const run = yield* tracker.wandbRun
  yield* run?.summary({ best_loss: best }) ?? Effect.void

  const { delivered } = yield* history.finalize()
  for (const { lastFailure, outputs, undelivered } of delivered) {
    if (undelivered + outputs === 0) yield* Console.log(`${steps} records: ${run?.url ?? offline()}`)
    else yield* Console.log(`${undelivered} records are left (${lastFailure}): ezpz-stream sync ${outdir}`)
  }
}).pipe(Effect.scoped, Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatSimple)])))

const offline = (): string => globSync(join(outdir, "wandb", "*")).map((run) => `wandb sync ${run}`).join(" && ")

NodeRuntime.runMain(program)
