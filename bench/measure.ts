/**
 * How things are measured: medians of several runs, taken in turn (A B A B), so that a machine that slows down slows
 * down both; processes as wholes, with what the kernel says of their time and their peak memory.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { cpus } from "node:os"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"

/** What a benchmark is given: a directory of its own that is removed afterwards, and whether sizes are small. */
export interface Context {
  readonly directory: string
  readonly quick: boolean
}

export const root: string = fileURLToPath(new URL("..", import.meta.url))

/** The command line as it is built. */
export const command: string = `${root}dist/cli/main.js`

/** A program beside this file. */
export const child = (name: string): string => fileURLToPath(new URL(`child/${name}`, import.meta.url))

// -----------------------------------------------------------------------------
// Samples
// -----------------------------------------------------------------------------

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The value below which a fraction of the samples lies; they need not be sorted. */
export const quantile = (samples: Iterable<number>, fraction: number): number => {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? NaN
}

export const median = (samples: Iterable<number>): number => quantile(samples, 0.5)

export const spread = (samples: ReadonlyArray<number>): Spread => ({
  median: median(samples),
  min: Math.min(...samples),
  max: Math.max(...samples)
})

/** Runs each of the candidates in turn, `rounds` times; gives their results by name. */
export const alternate = async <const K extends string, A>(
  rounds: number,
  candidates: { readonly [name in K]: () => Promise<A> | A }
): Promise<{ readonly [name in K]: ReadonlyArray<A> }> => {
  const names = Object.keys(candidates) as Array<K>
  const results = Object.fromEntries(names.map((name) => [name, new Array<A>()])) as { [name in K]: Array<A> }
  for (let round = 0; round < rounds; round++) {
    for (const name of names) results[name].push(await candidates[name]())
  }
  return results
}

/** Seconds a call takes: the mean over as many calls as fill `millis`, again and again for a spread. */
export const perCall = (call: () => unknown, millis: number, rounds = 7): Spread => {
  const once = (calls: number): number => {
    const from = performance.now()
    for (let i = 0; i < calls; i++) call()
    return performance.now() - from
  }
  let calls = 1
  while (once(calls) < millis / 2) calls *= 2
  return spread(Array.from({ length: rounds }, () => once(calls) / calls / 1000))
}

// -----------------------------------------------------------------------------
// Processes
// -----------------------------------------------------------------------------

/** Seconds from start to end, seconds of all its threads on a processor, bytes at the peak; and what it printed. */
export interface Usage {
  readonly wall: number
  readonly cpu: number
  readonly rss: number
  readonly stdout: string
}

/** Runs a Node program to its end. `stdin` is another program whose output it reads, `env` what else it is told. */
export const run = async (
  args: ReadonlyArray<string>,
  options: {
    readonly stdin?: ReadonlyArray<string> | undefined
    readonly env?: { readonly [name: string]: string } | undefined
  } = {}
): Promise<Usage> => {
  const source = options.stdin === undefined
    ? undefined
    : spawn(process.execPath, options.stdin, { stdio: ["ignore", "pipe", "inherit"] })
  const from = performance.now()
  const measured: ChildProcess = spawn(process.execPath, ["--require", child("usage.cjs"), ...args], {
    env: { ...environment, ...options.env },
    stdio: [source?.stdout ?? "ignore", "pipe", "pipe", "pipe"]
  })
  // The pipe is theirs alone.
  source?.stdout.destroy()
  const [stdout, stderr, told] = [1, 2, 3].map((fd) => text(measured.stdio[fd] as Readable))
  const { code, wall } = await new Promise<{ code: number | null; wall: number }>((resolve, reject) => {
    measured.once("error", reject)
    measured.once("exit", (code) => resolve({ code, wall: (performance.now() - from) / 1000 }))
  })
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${await stderr}`)
  return { wall, stdout: await stdout ?? "", ...JSON.parse(await told ?? "") as Pick<Usage, "cpu" | "rss"> }
}

/** Seconds that a Node program takes from start to end, with nothing loaded into it. */
export const wall = (args: ReadonlyArray<string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const from = performance.now()
    spawn(process.execPath, args, { env: environment, stdio: "ignore" })
      .once("error", reject)
      .once("exit", (code) => {
        if (code === 0) resolve((performance.now() - from) / 1000)
        else reject(new Error(`${args.join(" ")} ended with ${code}`))
      })
  })

/** The same for everybody: nobody's settings for backends or plots, and no proxy on the way to this machine. */
export const environment: { readonly [name: string]: string | undefined } = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    !/^(EZPZ|WANDB|WB|MLFLOW|AMSC|AM_SC|NODE_OPTIONS|NODE_COMPILE)|^(https?|all|no)_proxy$/i.test(name)
  )
)

const text = async (stream: Readable): Promise<string> => {
  let all = ""
  for await (const chunk of stream.setEncoding("utf8")) all += chunk as string
  return all
}

// -----------------------------------------------------------------------------
// Where
// -----------------------------------------------------------------------------

/** The machine and the programs that were measured. */
export const machine = (): ReadonlyArray<readonly [string, string]> => {
  const all = cpus()
  return [
    ["Date", new Date().toISOString().slice(0, 10)],
    ["Node", process.version],
    ["System", `${process.platform} ${process.arch}`],
    ["Processor", all[0]?.model.trim() || "unknown"],
    ["Cores", String(all.length)],
    ["Version", (JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { version: string }).version]
  ]
}
