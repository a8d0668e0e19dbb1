/**
 * A program that records its own run: `History.make`, `update` and `finalize` in an Effect.
 *
 *     node examples/effect-program.ts [OUTDIR]
 *
 * It fits a line to noisy points by gradient descent; the points come from Effect's Random, the time from its Clock.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Random } from "effect"
import { Backend, Dataset, History, StopWatch } from "ezpz-stream"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const outdir = process.argv[2] ?? mkdtempSync(join(tmpdir(), "ezpz-stream-"))
const steps = 60
const config = { lr: 0.2, batch_size: 32, truth: { slope: 2, intercept: -1 } }

/** Points near y = 2x - 1. */
const points = Effect.replicateEffect(
  Effect.gen(function*() {
    const x = (yield* Random.next) * 2 - 1
    const noise = (yield* Random.next) - 0.5
    return { x, y: config.truth.slope * x + config.truth.intercept + noise }
  }),
  config.batch_size
)

const program = Effect.gen(function*() {
  const history = yield* History.make({ projectName: "line", config, outdir })
  let slope = 0
  let intercept = 0
  for (let step = 1; step <= steps; step++) {
    const watch = StopWatch.start("step")
    const batch = yield* points
    const errors = batch.map(({ x, y }) => slope * x + intercept - y)
    const loss = errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length
    slope -= config.lr * 2 * errors.reduce((sum, error, i) => sum + error * batch[i]!.x, 0) / errors.length
    intercept -= config.lr * 2 * errors.reduce((sum, error) => sum + error, 0) / errors.length
    const line = yield* history.update({ loss, slope, intercept, dt: watch.stop() }, { step })
    if (step % 10 === 0) yield* Console.log(`step ${step}: ${line}`)
  }

  const { dataset, directory, files } = yield* history.finalize({ warmup: 0.1 })
  yield* Console.log(`${files.length} files in ${directory}`)
  // A dataset's values are read when they are asked for.
  if (dataset !== undefined) {
    const losses = yield* Dataset.values(dataset, "loss")
    yield* Console.log(`loss after warmup: ${losses.length} values, the last ${losses.at(-1)?.toFixed(4)}`)
  }
}).pipe(Effect.scoped, Effect.provide(Backend.layer("csv")))

NodeRuntime.runMain(program)
