/**
 * Metrics as a Stream: tracked as they pass, shown, and folded into the run's outputs by the sink at its end.
 *
 *     node examples/stream.ts [OUTDIR]
 *
 * The metrics are those of four random walkers that look for the bottom of a valley: `position` is a vector, one number
 * per walker ("chain"), so that the plots show a ridge per chain.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Random, Stream } from "effect"
import { History } from "ezpz-stream"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const outdir = process.argv[2] ?? mkdtempSync(join(tmpdir(), "ezpz-stream-"))
const options: History.Options & History.FinalizeOptions = {
  projectName: "walkers",
  outdir,
  backends: "csv",
  config: { walkers: 4, temperature: 0.5 },
  warmup: 20,
  numChains: 4
}

const energy = (x: number): number => (x ** 2 - 4) ** 2 / 8

/** One step of Metropolis's walk for every walker. */
const walk = (positions: ReadonlyArray<number>) =>
  Effect.forEach(positions, (position) =>
    Effect.gen(function*() {
      const proposed = position + ((yield* Random.next) - 0.5) * 2
      const accepted = (yield* Random.next) < Math.exp((energy(position) - energy(proposed)) / 0.5)
      return accepted ? proposed : position
    }))

const metrics = Stream.unfold([-6, -2, 2, 6], (positions) =>
  Effect.map(walk(positions), (next) => [
    {
      "walk/position": next,
      "walk/energy": next.map(energy),
      "walk/moved": next.filter((position, i) => position !== positions[i]).length / next.length
    },
    next
  ])).pipe(
    Stream.take(400),
    Stream.zipWithIndex,
    Stream.map(([record, index]) => ({ step: index + 1, ...record }))
  )

const program = metrics.pipe(
  History.track(options),
  Stream.tap((tracked) => tracked.seq % 50 === 0 ? Console.log(tracked.summary) : Effect.void),
  Stream.run(History.finalizeSink(options)),
  Effect.tap(({ datasets, directory, rows }) => {
    const variables = datasets["walk"]?.variables ?? []
    const shapes = variables.map(({ dims, name, shape }) =>
      `${name}: ${dims.map((dim, i) => `${dim} ${shape[i]}`).join(" x ")}`
    )
    return Console.log(`${rows} records\nwalk.h5   ${shapes.join("\n          ")}\noutputs: ${directory}`)
  })
)

NodeRuntime.runMain(program)
