/** Ranks as processes: who they are is told by their environment, what they are to do by lines that they read. */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { child, environment } from "../measure.ts"

/** A program beside the benchmarks that runs. */
export interface Running {
  /** The next line that it prints. */
  readonly line: () => Promise<string>
  readonly say: (line: string) => void
  readonly ended: Promise<void>
}

export interface Job {
  /** Tells jobs apart. */
  readonly id: string
  /** Where its ranks meet. */
  readonly directory: string
  readonly worldSize: number
  /** All of them, unless said. */
  readonly localWorldSize?: number
}

const running = new Set<ChildProcess>()
process.once("exit", () => {
  for (const one of running) one.kill("SIGKILL")
})

export const start = (
  program: string,
  args: ReadonlyArray<string | number>,
  { directory, id, localWorldSize, worldSize }: Job,
  rank: number
): Running => {
  const process_ = spawn(process.execPath, [child(program), ...args.map(String)], {
    env: {
      ...environment,
      EZPZ_RANK: String(rank),
      EZPZ_WORLD_SIZE: String(worldSize),
      EZPZ_LOCAL_WORLD_SIZE: String(localWorldSize ?? worldSize),
      EZPZ_JOB_ID: id,
      EZPZ_RENDEZVOUS_DIR: directory
    },
    stdio: ["pipe", "pipe", "inherit"]
  })
  running.add(process_)
  const ended = new Promise<void>((resolve, reject) => {
    process_.once("error", reject).once("close", (code, signal) => {
      running.delete(process_)
      if (code === 0) resolve()
      else reject(new Error(`${program} of rank ${rank} ended with ${code ?? signal}`))
    })
  })
  // Who waits for a line hears of it as well.
  ended.catch(() => undefined)
  const lines = createInterface({ input: process_.stdout })[Symbol.asyncIterator]()
  return {
    line: async () => {
      const { done, value } = await lines.next()
      if (done !== true) return value
      await ended
      throw new Error(`${program} of rank ${rank} ended without a word`)
    },
    say: (line) => void process_.stdin.write(`${line}\n`),
    ended
  }
}

/** Each rank of a job runs a program to its end: the last line that rank 0 prints. */
export const together = async (
  program: string,
  args: ReadonlyArray<string | number>,
  job: Job
): Promise<string> => {
  const ranks = Array.from({ length: job.worldSize }, (_, rank) => start(program, args, job, rank))
  const [root] = ranks
  const line = await root?.line()
  await Promise.all(ranks.map(({ ended }) => ended))
  return line ?? ""
}
