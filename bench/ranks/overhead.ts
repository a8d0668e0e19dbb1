/** What tracking takes of a training: the same loop with and without it, phase by phase in the same processes. */
import { join } from "node:path"
import { median } from "../measure.ts"
import type { Context } from "../measure.ts"
import { atMost, type Findings, seconds } from "../report.ts"
import { start } from "./processes.ts"

/** On the average of a step, in seconds on a processor. */
export interface Phase {
  readonly tracked: boolean
  /** Of the loop's thread: what it computes, and all else. */
  readonly step: number
  readonly beside: number
  /** Of other threads. */
  readonly others: number
  /** How long each `update` took, as time passes. */
  readonly calls: ReadonlyArray<number>
}

const keys = 32

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  // As many as there are cores, or fewer: so what does not come from sharing them is seen by itself.
  const alone = await run(directory, 2, quick ? 4 : 16, quick ? 500 : 2000)
  if (quick) return { tables: [tableOf([alone])], checks: [] }
  const all = await run(directory, 8, 12, 6000)
  const [root = [], ...others] = all
  return {
    tables: [tableOf([alone, all])],
    checks: [
      atMost("8 ranks: a tracked step less than 1% longer, of all but rank 0", shareOf(others), 0.01, percent),
      atMost("8 ranks: a tracked step less than 1% longer, of rank 0", shareOf([root]), 0.01, percent)
    ]
  }
}

type OfRank = ReadonlyArray<Phase>

/** What each rank has found. */
const run = async (
  directory: string,
  worldSize: number,
  phases: number,
  millis: number
): Promise<ReadonlyArray<OfRank>> => {
  const job = { directory, id: `overhead-${worldSize}`, worldSize }
  const ranks = Array.from(
    { length: worldSize },
    (_, rank) => start("tracked.ts", [keys, phases, millis, join(directory, job.id)], job, rank)
  )
  await Promise.all(ranks.map(({ line }) => line()))
  const from = Date.now() + 500
  for (const rank of ranks) rank.say(`begin ${from}`)
  const found = await Promise.all(ranks.map(async ({ line }): Promise<OfRank> => JSON.parse(await line())))
  await Promise.all(ranks.map(({ ended }) => ended))
  return found
}

const tableOf = (worlds: ReadonlyArray<ReadonlyArray<OfRank>>): Findings["tables"][number] => ({
  columns: [
    "with and without tracking",
    "a step",
    "its thread beside it",
    "when tracked",
    "so tracking",
    "of the step",
    "other threads",
    "an update"
  ],
  rows: worlds.flatMap((world) => {
    const [root = [], ...others] = world
    return [
      rowOf(`${world.length} ranks: rank 0, with log, csv, reduction`, [root]),
      rowOf(`${world.length} ranks: ${others.length === 1 ? "the other" : "the others"}`, others)
    ]
  })
})

const rowOf = (name: string, ranks: ReadonlyArray<OfRank>): ReadonlyArray<string> => [
  name,
  seconds(stepOf(ranks)),
  seconds(of(ranks, false, ({ beside }) => beside)),
  seconds(of(ranks, true, ({ beside }) => beside)),
  seconds(more(ranks, ({ beside }) => beside)),
  percent(shareOf(ranks)),
  seconds(more(ranks, ({ others }) => others)),
  seconds(median(ranks.flat().flatMap(({ calls }) => calls)))
]

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

type Value = (phase: Phase) => number

const of = (ranks: ReadonlyArray<OfRank>, tracked: boolean, value: Value): number =>
  median(ranks.flat().filter((phase) => phase.tracked === tracked).map(value))

/** What tracking adds. */
const more = (ranks: ReadonlyArray<OfRank>, value: Value): number => of(ranks, true, value) - of(ranks, false, value)

const stepOf = (ranks: ReadonlyArray<OfRank>): number => of(ranks, false, ({ step }) => step)

const shareOf = (ranks: ReadonlyArray<OfRank>): number => more(ranks, ({ beside }) => beside) / stepOf(ranks)

const percent = (value: number): string => `${(100 * value).toFixed(2)}%`
