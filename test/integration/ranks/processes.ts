/** The ranks of a job as real processes: started, fed, stopped and killed one by one. */
import { afterAll } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { main } from "../../cli/command.ts"

const children = new Set<ChildProcess>()
const directories: Array<string> = []

afterAll(() => {
  for (const child of children) child.kill("SIGKILL")
  for (const directory of directories) Fs.rmSync(directory, { recursive: true, force: true })
})

export const temporary = (): string => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "ezpz-ranks-"))
  directories.push(directory)
  return directory
}

/** Nothing of the surroundings may decide a test, and `node` is the one that runs it. */
export const surroundings = (): NodeJS.ProcessEnv => ({
  PATH: `${Path.dirname(process.execPath)}:${process.env["PATH"]}`,
  HOME: process.env["HOME"],
  TMPDIR: process.env["TMPDIR"]
})

export interface Running {
  readonly pid: number
  readonly say: (text: string) => void
  readonly end: () => void
  readonly kill: (signal: NodeJS.Signals) => void
  readonly out: () => string
  readonly error: () => string
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly error: string }>
}

export const start = (file: string, args: ReadonlyArray<string>, cwd: string, env: NodeJS.ProcessEnv): Running => {
  const child = spawn(file, args, { cwd, env, stdio: "pipe" })
  children.add(child)
  let [out, error] = ["", ""]
  child.stdout.on("data", (chunk: Buffer) => void (out += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => void (error += chunk.toString()))
  child.stdin.on("error", () => {})
  return {
    pid: child.pid ?? 0,
    say: (text) => void child.stdin.write(text),
    end: () => void child.stdin.end(),
    kill: (signal) => void child.kill(signal),
    out: () => out,
    error: () => error,
    ended: new Promise((resolve) =>
      child.once("close", (code) => {
        children.delete(child)
        resolve({ code, out, error })
      })
    )
  }
}

/** A job of so many ranks. */
export const job = (worldSize: number, id = "job") => {
  const directory = temporary()
  const run = Path.join(directory, "run")
  return {
    directory,
    run,
    /** The log of its run. */
    log: () => read(run),
    rank: (rank: number, args: ReadonlyArray<string> = [], env: Readonly<Record<string, string>> = {}): Running =>
      start(
        process.execPath,
        [main, "--backends", "csv", "--no-plots", ...(args.includes("--outdir") ? [] : ["--outdir", run]), ...args],
        directory,
        {
          ...surroundings(),
          EZPZ_RANK: String(rank),
          EZPZ_WORLD_SIZE: String(worldSize),
          EZPZ_LOCAL_WORLD_SIZE: String(worldSize),
          EZPZ_JOB_ID: id,
          EZPZ_RENDEZVOUS_DIR: Path.join(directory, "rendezvous"),
          ...env
        }
      )
  }
}

// -----------------------------------------------------------------------------
// What it leaves
// -----------------------------------------------------------------------------

/** A line of the log: a record, or the statistics of one. */
interface Line {
  readonly seq: number
  readonly step: number | null
  readonly metrics?: Readonly<Record<string, unknown>>
  readonly aggregated?: Readonly<Record<string, number>>
  readonly count?: number
  readonly expected?: number
}

export interface Log {
  readonly records: ReadonlyArray<Line>
  /** In the order in which they were written, amendments, too. */
  readonly closings: ReadonlyArray<Line>
  /** What is said last of each record. */
  readonly last: ReadonlyMap<number, Line>
}

/** Read without any of our own code. A line that is being written is not there yet. */
export const read = (run: string): Log => {
  const path = Path.join(run, "metrics.jsonl")
  const text = Fs.existsSync(path) ? Fs.readFileSync(path, "utf8") : ""
  const lines: ReadonlyArray<Line> = text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line))
  const closings = lines.filter(({ aggregated }) => aggregated !== undefined)
  return {
    records: lines.filter(({ metrics }) => metrics !== undefined),
    closings,
    last: new Map(closings.map((line) => [line.seq, line]))
  }
}

/** How many records have closed with so many ranks in them. */
export const closedWith = ({ last }: Log, count: number): number =>
  [...last.values()].filter((line) => line.count === count).length

/** Waits until something holds, generously. */
export const until = async (holds: () => boolean, what: () => string, seconds = 40): Promise<void> => {
  for (const from = Date.now(); !holds();) {
    if (Date.now() - from > seconds * 1000) throw new Error(`waited in vain: ${what()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** Records of steps `from` to `to` as a job prints them. */
export const steps = (
  from: number,
  to: number,
  metrics: (step: number) => Readonly<Record<string, unknown>>
): string => {
  let text = ""
  for (let step = from; step <= to; step++) text += `${JSON.stringify({ step, ...metrics(step) })}\n`
  return text
}

/** The textbook's two passes over what was said. */
export const expected = (key: string, values: ReadonlyArray<number>): Readonly<Record<string, number>> => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const min = Math.min(...values)
  const max = Math.max(...values)
  return {
    [`${key}/mean`]: mean,
    [`${key}/min`]: min,
    [`${key}/max`]: max,
    [`${key}/std`]: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length),
    [`${key}/argmin`]: values.indexOf(min),
    [`${key}/argmax`]: values.indexOf(max)
  }
}
