/** Ours in turn with Open MPI's: pipelined, and in lockstep. */
import { alternate, type Context, type Spread, spread } from "../measure.ts"
import { atLeast, type Findings, fraction, ratio, times } from "../report.ts"
import * as Mpi from "./mpi.ts"
import { type Job, start, together } from "./processes.ts"

const keys = 32

interface Way {
  readonly id: string
  /** The seconds that all steps took. */
  readonly run: (steps: number, job: Job) => Promise<number>
  readonly column: string
  readonly steps: (size: number, quick: boolean) => number
  readonly worlds: ReadonlyArray<{ readonly size: number; readonly four?: number; readonly one?: number }>
  readonly name: (target: string) => string
}

/**
 * Steps before those that are measured, and so many in all ranks together that are: a second or more, as a training takes
 * hours. Code that has run for less than that is slower, and MPI's is compiled before.
 */
const warmup = 65_536
const records = 2_400_000
/** MPI's need no more than these, which take far longer. */
const recordsOfMpi = 200_000

/** The others are told how far the statistics are. */
const streaming = async (steps: number, job: Job): Promise<number> => {
  const ranks = Array.from({ length: job.worldSize }, (_, rank) => start("rank.ts", [keys, warmup, steps], job, rank))
  const [root, ...others] = ranks
  const tell = (line: string): void => others.forEach((rank) => rank.say(line))
  let line = await root?.line() ?? ""
  for (; line.startsWith("published"); line = await root?.line() ?? "") tell(line)
  tell("published Infinity")
  await Promise.all(ranks.map(({ ended }) => ended))
  return Number(line)
}

const pipelined: Way = {
  id: "pipelined",
  run: streaming,
  column: "pipelined, a step",
  steps: (size, quick) => quick ? 500 : Math.round(records / size),
  worlds: [{ size: 2, four: 1, one: 0.4 }, { size: 8, four: 5, one: 3 }, { size: 32, four: 20, one: 8 }],
  name: (target) => target
}

const lockstep: Way = {
  id: "lockstep",
  run: async (steps, job) => Number(await together("lockstep.ts", [keys, steps, steps], job)),
  column: "each step waited for",
  steps: (size, quick) => quick ? 100 : Math.round(24_000 / size),
  worlds: [{ size: 2 }, { size: 8, four: 0.072 }, { size: 32 }],
  name: (target) => `waiting for each step, ${target}`
}

/** Both; MPI's is measured for each. */
export const measure = async (context: Context): Promise<Findings> => {
  const program = Mpi.compile(context.directory)
  const one = await compare(context, program, pipelined)
  const other = await compare(context, program, lockstep)
  return { tables: [...one.tables, ...other.tables], checks: [...one.checks, ...other.checks] }
}

const compare = async ({ directory, quick }: Context, program: string, way: Way): Promise<Findings> => {
  const rows: Array<ReadonlyArray<string>> = []
  const checks: Array<Findings["checks"][number]> = []
  for (const { four, one, size } of way.worlds) {
    if (quick && size > 8) continue
    const steps = way.steps(size, quick)
    let run = 0
    const reducing = async (): Promise<number> => {
      const id = `${way.id}-${size}-${run++}`
      return await way.run(steps, { id, directory, worldSize: size }) / steps
    }
    // One result for each turn: what was not measured in it is left out.
    const all = await alternate<"ours" | "mpi", Turn>(quick ? 1 : 5, {
      ours: async () => ({ ours: await reducing() }),
      mpi: () => Mpi.run(program, size, keys, Math.min(steps, Math.round(recordsOfMpi / size)))
    })
    const of = (turns: ReadonlyArray<Turn>, name: keyof Turn): Spread => spread(turns.map((turn) => turn[name] ?? NaN))
    const [ours, single, whole] = [of(all.ours, "ours"), of(all.mpi, "one"), of(all.mpi, "four")]
    const [ofOne, ofFour] = [single.median / ours.median, whole.median / ours.median]
    rows.push([
      String(size),
      times(ours),
      `${Math.round(1 / ours.median).toLocaleString("en")}/s`,
      times(single),
      times(whole),
      fraction(ofOne),
      fraction(ofFour)
    ])
    if (four !== undefined) {
      checks.push(atLeast(way.name(`${size} ranks: at least ${four}x four all-reduces`), ofFour, four, ratio))
    }
    if (one !== undefined) {
      checks.push(atLeast(way.name(`${size} ranks: at least ${one}x one all-reduce`), ofOne, one, ratio))
    }
  }
  return {
    tables: [{
      columns: ["ranks", way.column, "speed", "one Allreduce", "four", "speed of one", "of four"],
      rows
    }],
    checks
  }
}

interface Turn extends Partial<Mpi.Reduced> {
  readonly ours?: number
}
