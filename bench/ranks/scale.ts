/** Worlds of many ranks: 10,240 measured, 100,000 simulated with what things cost in the same run. */
import type { Context } from "../measure.ts"
import { atLeast, atMost, count, type Findings, megabytes, seconds, type Table } from "../report.ts"
import * as Costs from "./costs.ts"
import * as Many from "./many.ts"
import * as Simulation from "./simulation.ts"

const keys = 32
const mostCpu = 0.25

type Size = readonly [ranks: number, local: number]

const full = {
  /** A small world, of nodes of two ranks: what the first of those measured differs from it in is the frames of the root. */
  calibration: [128, 2],
  measured: [[10_240, 64], [10_240, 8]],
  simulated: [[100_000, 64], [100_000, 8]],
  warmup: 50,
  steps: 120
} as const

const small = {
  calibration: [16, 2],
  measured: [[64, 8]],
  simulated: [[10_240, 64]],
  warmup: 5,
  steps: 10
} as const

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const { calibration, measured: sizes, simulated, steps, warmup } = quick ? small : full
  const run = ([ranks, local]: Size): Promise<Many.Measured> =>
    Many.measure(directory, { ranks, local, keys, steps, warmup })
  const one = await run(calibration)
  const worlds: Array<Many.Measured> = []
  for (const size of sizes) worlds.push(await run(size))

  const costs = Costs.measure(keys)
  const [first = one] = worlds
  const perFrame = (first.cpu - one.cpu) / (first.framesPerSecond - one.framesPerSecond)
  const atOnce: Simulation.Inputs = {
    ...costs,
    message: Math.max(0, perFrame - costs.atRoot),
    hop: 0,
    base: Math.max(0, one.cpu - perFrame * one.framesPerSecond)
  }
  const waited = Simulation.simulate({ ...one, nearby: false }, atOnce).way
  const inputs = { ...atOnce, hop: Math.max(0, one.way.median - waited) }
  const simulate = ([ranks, local]: Size, nearby: boolean): Simulation.Outputs =>
    Simulation.simulate({ ranks, local, keys, nearby }, inputs)
  return {
    tables: [
      measuredTable(worlds),
      inputsTable(inputs, perFrame),
      validationTable(worlds.map((world) => [world, simulate([world.ranks, world.local], false)])),
      simulatedTable(simulated.map(([ranks, local]) => [ranks, local, simulate([ranks, local], true)]))
    ],
    checks: worlds.slice(0, 1).flatMap((world) => [
      atMost(`${nameOf(world)}: at most 25% of a core for the root`, world.cpu, mostCpu, percent),
      atLeast(`${nameOf(world)}: all ${world.steps} records close with all ranks`, world.whole, world.steps, String)
    ])
  }
}

// -----------------------------------------------------------------------------
// Tables
// -----------------------------------------------------------------------------

const nameOf = ({ local, ranks }: { readonly ranks: number; readonly local: number }): string =>
  `${count(ranks)} ranks, ${local} a node`

const measuredTable = (worlds: ReadonlyArray<Many.Measured>): Table => ({
  columns: [
    "measured",
    "connections",
    "frames/s",
    "MB/s",
    "root, of a core",
    "its memory",
    "lag, p99",
    "of it on the way",
    "complete",
    "the simulated ranks: cores, latest"
  ],
  rows: worlds.map((world) => [
    nameOf(world),
    count(world.links),
    count(Math.round(world.framesPerSecond)),
    rate(world.bytesPerSecond),
    percent(world.cpu),
    megabytes(world.peak),
    `${seconds(world.lag.median)}, ${seconds(world.lag.most)}`,
    `${seconds(world.way.median)}, ${seconds(world.way.most)}`,
    `${world.whole} of ${world.steps}`,
    `${world.simulated.toFixed(2)}, ${seconds(world.latest)}`
  ])
})

const inputsTable = (
  { aggregate, atRoot, base, hop, leaf, message }: Simulation.Inputs,
  perFrame: number
): Table => ({
  columns: ["what goes into the simulation", "measured"],
  rows: [
    ["a frame of an aggregator at the root, with its socket", seconds(perFrame)],
    ["of it without the socket", seconds(atRoot)],
    ["so a message", seconds(message)],
    ["a frame of an aggregator at another one, without the socket", seconds(aggregate)],
    ["a frame of a rank (2 records) at an aggregator, without the socket", seconds(leaf)],
    ["from one process to another, until it is looked at", seconds(hop)],
    ["a root to which nothing comes, of a core", percent(base)]
  ]
})

const validationTable = (
  all: ReadonlyArray<readonly [measured: Many.Measured, simulated: Simulation.Outputs]>
): Table => ({
  columns: ["simulated / measured", "frames/s", "MB/s", "root, of a core", "lag", "of it on the way"],
  rows: all.map(([measured, { lag, root, way }]) => [
    nameOf(measured),
    `${count(Math.round(root.frames))} / ${count(Math.round(measured.framesPerSecond))}`,
    `${rate(root.bytes)} / ${rate(measured.bytesPerSecond)}`,
    `${percent(root.cpu)} / ${percent(measured.cpu)}`,
    `${seconds(lag)} / ${seconds(measured.lag.median)}`,
    `${seconds(way)} / ${seconds(measured.way.median)}`
  ])
})

const simulatedTable = (
  all: ReadonlyArray<readonly [ranks: number, local: number, outputs: Simulation.Outputs]>
): Table => ({
  columns: [
    "simulated",
    "nodes",
    "depth",
    "connections to the root",
    "lag",
    "of it on the way",
    "root: frames/s, MB/s, of a core",
    "busiest aggregator: the same"
  ],
  rows: all.map(([ranks, local, { busiest, connections, depth, lag, nodes, root, way }]) => [
    nameOf({ ranks, local }),
    count(nodes),
    String(depth),
    count(connections),
    seconds(lag),
    seconds(way),
    loadOf(root),
    loadOf(busiest)
  ])
})

const loadOf = ({ bytes, cpu, frames }: Simulation.Load): string =>
  `${count(Math.round(frames))}, ${rate(bytes)}, ${percent(cpu)}`

const rate = (bytes: number): string => (bytes / 1e6).toFixed(2)

const percent = (value: number): string => `${(100 * value).toFixed(1)}%`
