/**
 * Four ranks in one program, as fibers: each has a history of its own, and rank 0's has what all of them said.
 *
 *     node examples/ranks.ts [OUTDIR]
 *
 * A launcher tells each process which rank it is; here `environment` tells each fiber. They meet over real sockets, as
 * processes do. Rank 2 is slower than the others, and the run says so.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Random } from "effect"
import { Backend, Dataset, History } from "ezpz-stream"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const outdir = process.argv[2] ?? mkdtempSync(join(tmpdir(), "ezpz-stream-"))
const steps = 50
const worldSize = 4

/** Where ranks leave word for one another. */
const rendezvous = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ezpz-ranks-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

const train = (rank: number, directory: string) =>
  Effect.gen(function*() {
    const history = yield* History.make({
      projectName: "ranks",
      outdir,
      environment: {
        EZPZ_RANK: `${rank}`,
        EZPZ_WORLD_SIZE: `${worldSize}`,
        EZPZ_LOCAL_WORLD_SIZE: `${worldSize}`,
        EZPZ_JOB_ID: "ranks-example",
        EZPZ_RENDEZVOUS_DIR: directory
      }
    })
    for (let step = 1; step <= steps; step++) {
      const dt = (rank === 2 ? 6 : 2) + (yield* Random.next)
      yield* Effect.sleep(dt)
      const loss = Math.exp(-step / 20) + 0.05 * (yield* Random.next)
      // No rank waits for another: on rank 0 these are the lines of the steps that have closed meanwhile.
      const lines = yield* history.update({ loss, dt: dt / 1000 }, { step })
      if (rank === 0 && lines !== "") yield* Console.log(lines)
    }
    const { dataset } = yield* history.finalize()
    for (const { summary } of yield* history.takeClosed) yield* Console.log(summary)
    // Only rank 0 has written something.
    return { directory: history.directory, dataset }
  }).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  const directory = yield* rendezvous
  const ranks = Array.from({ length: worldSize }, (_, rank) => train(rank, directory))
  const [first] = yield* Effect.all(ranks, { concurrency: "unbounded" })
  if (first?.dataset === undefined) return
  const slowest = yield* Dataset.values(first.dataset, "dt_argmax")
  const often = slowest.filter((rank) => rank === 2).length
  yield* Console.log(`rank 2 was the slowest in ${often} of ${slowest.length} steps`)
  yield* Console.log(`the run of ${worldSize} ranks is in ${first.directory}`)
}).pipe(Effect.scoped, Effect.provide(Backend.layer("csv")))

NodeRuntime.runMain(program)
