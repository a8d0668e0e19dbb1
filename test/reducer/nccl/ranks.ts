/** Ranks with bridges as real processes, what they say, and what has to come of it. */
import { assert } from "@effect/vitest"
import * as Fs from "node:fs"
import { expected, job, type Log, type Running, steps } from "../../integration/ranks/processes.ts"

export const host = { EZPZ_NCCL_ENGINE: "host" }
export const nccl = ["--reducer", "nccl"]
export const patient = { timeout: 120_000 }

/** Values that show each bit of how they were added, and keys that come and go. */
export const said = (rank: number) => (step: number): Readonly<Record<string, unknown>> => ({
  loss: Math.sin(step * 12.9898 + rank * 78.233) * 1e9 + rank,
  "train/dt": 1e-9 * (rank + 1) * step,
  ...(step % 7 === rank ? {} : { acc: step % 11 === 0 ? "NaN" : step / (rank + 3) }),
  ...(step > 100 ? { late: rank ** 0.5 } : {})
})

export const start = (worldSize: number, args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) => {
  const { rank, ...rest } = job(worldSize)
  const root = rank(0, args, env)
  const ranks: [Running, ...Array<Running>] = [root]
  for (let index = 1; index < worldSize; index++) ranks.push(rank(index, args, env))
  return { ...rest, rank, ranks, root }
}

export const isUp = ({ error }: Running) => (): boolean => error().includes("go over NCCL")

/** Lets all say steps `from` to `to`. */
export const say = (ranks: ReadonlyArray<Running>, from: number, to: number): void => {
  for (const [index, each] of ranks.entries()) each.say(steps(from, to, said(index)))
}

/** How rank 0 has ended, when all have. */
export const end = async (ranks: readonly [Running, ...ReadonlyArray<Running>]) => {
  for (const each of ranks) each.end()
  await Promise.all(ranks.map(({ ended }) => ended))
  return ranks[0].ended
}

/** The bridge of a rank: its only child. */
export const bridgeOf = ({ pid }: Running): number =>
  Number(Fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0])

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** How often NCCL was given up, or not begun. */
export const complaints = (error: string): ReadonlyArray<string> =>
  error.split("\n").filter((line) => line.startsWith("warning: NCCL"))

/** How many frames have come over NCCL, as rank 0 says at its end. */
export const brought = (error: string): number => Number(/(\d+) frames came over NCCL/.exec(error)?.[1])

/** What the log says last of each record. */
export const closings = ({ last }: Log): ReadonlyArray<unknown> =>
  [...last.values()].map(({ aggregated, count, expected, seq, step }) => ({ seq, step, count, expected, aggregated }))

/** Each record once, in order, with all ranks. */
export const isComplete = ({ last, records }: Log, count: number, worldSize: number): void => {
  assert.deepStrictEqual(records.map(({ seq }) => seq), Array.from({ length: count }, (_, i) => i + 1))
  assert.strictEqual(last.size, count)
  for (const { aggregated, count, seq, step } of last.values()) {
    assert.strictEqual(count, worldSize, `count of ${seq}`)
    const values = Array.from({ length: worldSize }, (_, rank) => Number(said(rank)(step ?? 0)["loss"]))
    const { "loss/max": max, "loss/mean": mean, "loss/min": min } = expected("loss", values)
    assert.deepInclude(aggregated, { "loss/min": min, "loss/max": max })
    assert.closeTo(aggregated?.["loss/mean"] ?? NaN, mean ?? NaN, 1e-3)
  }
}
