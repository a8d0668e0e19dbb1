/** Statistics across ranks, against what MPI takes for its all-reduce. */
import { execFileSync, spawn } from "node:child_process"
import { join } from "node:path"
import * as Producer from "../src/reducer/zeromq/Producer.ts"
import { alternate, child, type Context, environment, perCall, type Spread, spread } from "./measure.ts"
import { atLeast, atMost, type Findings, ratio, seconds, times } from "./report.ts"

export const title = "statistics across ranks"

export const about =
  "What a rank pays for a record; and how many steps of 32 metrics a second are reduced, from the first record that is " +
  "offered to the last statistics at the root: every rank a Node process of its own, over the sockets of one host. Beside " +
  "it, in turn, Open MPI's Allreduce of as many numbers in C: one, and the four that mean, std, max and min take. MPI " +
  "returns when a step is done, ours lets the training go on; so ours is pipelined, and MPI's is what a step waits."

const worlds = [
  { size: 2, four: 1, one: 0.4 },
  { size: 8, four: 5, one: 3 },
  { size: 32, four: 20, one: 8 }
] as const

const keys = 32

/** Seconds a step takes, reduced over so many ranks. */
const ours = async (directory: string, size: number, steps: number, run: number): Promise<number> => {
  const ranks = Array.from({ length: size }, (_, rank) => {
    const process_ = spawn(process.execPath, [child("rank.ts"), String(keys), String(steps)], {
      env: {
        ...environment,
        EZPZ_RANK: String(rank),
        EZPZ_WORLD_SIZE: String(size),
        EZPZ_LOCAL_WORLD_SIZE: String(size),
        EZPZ_JOB_ID: `bench-${size}-${run}`,
        EZPZ_RENDEZVOUS_DIR: directory
      },
      stdio: ["ignore", "pipe", "inherit"]
    })
    let text = ""
    process_.stdout.setEncoding("utf8").on("data", (chunk: string) => text += chunk)
    return new Promise<string>((resolve, reject) =>
      process_.once("error", reject).once(
        "close",
        (code) => code === 0 ? resolve(text) : reject(new Error(`rank ${rank} ended with ${code}`))
      )
    )
  })
  const [first = ""] = await Promise.all(ranks)
  return Number(first.trim().split("\n").at(-1)) / steps
}

/** Seconds of one all-reduce, and of four. */
const mpi = (program: string, size: number, steps: number): { readonly one: number; readonly four: number } => {
  const text = execFileSync(
    "mpirun",
    ["--allow-run-as-root", "--oversubscribe", "-n", String(size), program, String(keys), String(steps)],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }
  )
  const [one = NaN, four = NaN] = text.trim().split(" ").map(Number)
  return { one: one / 1e6, four: four / 1e6 }
}

const producing = (count: number): { readonly record: Spread; readonly handles: Spread } => {
  const names = Array.from({ length: count }, (_, i) => `train/metric_${i}`)
  const record: Record<string, number> = JSON.parse(
    JSON.stringify(Object.fromEntries(names.map((name, i) => [name, i])))
  )
  const make = () => Producer.make({ job: 1n, rank: 1, incarnation: 1, worldSize: 2, batchRecords: 64 })
  const [one, other] = [make(), make()]
  const handles = other.handles(names)
  const values = Float64Array.from(names, (_, i) => i)
  let step = 0
  let sent = 0
  const taking = (producer: Producer.Producer, ready: boolean): void => {
    if (!ready) return
    producer.drain(step, () => true)
    // As a root would that keeps up.
    producer.acked(++sent)
  }
  const byName = perCall(() => taking(one, one.record(record, ++step, step)), 200)
  sent = 0
  const byPlace = perCall(() => taking(other, handles(values, ++step, step)), 200)
  return { record: byName, handles: byPlace }
}

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const costs = [8, 32, 256].map((count) => ({ count, ...producing(count) }))
  const program = join(directory, "allreduce")
  try {
    execFileSync("mpicc", ["-O2", "-o", program, child("allreduce.c")], { stdio: ["ignore", "ignore", "pipe"] })
  } catch (cause) {
    throw new Error("Open MPI is needed to measure beside it: apt-get install openmpi-bin libopenmpi-dev", { cause })
  }
  const rounds = quick ? 1 : 5
  const rows: Array<ReadonlyArray<string>> = []
  const checks: Array<Findings["checks"][number]> = []
  for (const { four, one, size } of worlds) {
    if (quick && size > 8) continue
    const steps = quick ? 500 : Math.round(20_000 / size)
    let run = 0
    // One result for each turn: what was not measured in it is left out.
    const all = await alternate<"ours" | "mpi", Turn>(rounds, {
      ours: async () => ({ ours: await ours(directory, size, steps, run++) }),
      mpi: () => mpi(program, size, steps)
    })
    const of = (turns: ReadonlyArray<Turn>, name: keyof Turn): Spread => spread(turns.map((turn) => turn[name] ?? NaN))
    const [reduced, single, whole] = [of(all.ours, "ours"), of(all.mpi, "one"), of(all.mpi, "four")]
    rows.push([
      String(size),
      times(reduced),
      `${Math.round(1 / reduced.median).toLocaleString("en")}/s`,
      times(single),
      times(whole),
      ratio(single.median / reduced.median),
      ratio(whole.median / reduced.median)
    ])
    checks.push(
      atLeast(`${size} ranks: at least ${four}x four all-reduces`, whole.median / reduced.median, four, ratio),
      atLeast(`${size} ranks: at least ${one}x one all-reduce`, single.median / reduced.median, one, ratio)
    )
  }
  const wide = costs.find(({ count }) => count === keys)
  return {
    tables: [
      {
        columns: ["metrics", "a record", "by handles"],
        rows: costs.map(({ count, handles, record }) => [String(count), times(record), times(handles)])
      },
      {
        columns: ["ranks", "a step of 32 metrics", "speed", "one Allreduce", "four", "of one", "of four"],
        rows
      }
    ],
    checks: [
      atMost("a record of 32 metrics: at most 1 us", wide?.record.median ?? NaN, 1e-6, seconds),
      atMost("with handles: at most 0.5 us", wide?.handles.median ?? NaN, 0.5e-6, seconds),
      ...checks
    ]
  }
}

interface Turn {
  readonly ours?: number
  readonly one?: number
  readonly four?: number
}
