/**
 * The command, started as a user's shell starts it: real processes, pipes and files.
 */
import { onTestFinished } from "@effect/vitest"
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

/** The built command line. */
export const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url))

/** A directory of the test's own, removed after it. */
export const temporary = (): string => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "ezpz-cli-"))
  onTestFinished(() => Fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Nothing of the surroundings may decide a test. */
const environment = (own: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => {
  const kept = ["PATH", "HOME", "TMPDIR", "LANG"].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { ...Object.fromEntries(kept), ...own }
}

export interface Options {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdio?: StdioOptions
}

/** How a command ended, and what it wrote. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: Buffer
  readonly stderr: Buffer
  /** Both as text. */
  readonly out: string
  readonly error: string
}

/** A command that runs. `out` and `error` are what it has written so far. */
export interface Running {
  readonly process: ChildProcess
  readonly write: (input: string | Uint8Array) => Promise<void>
  readonly end: () => void
  readonly out: () => string
  readonly error: () => string
  /** Waits until a condition holds, which is looked at whenever something was written. */
  readonly until: (condition: (running: Running) => boolean) => Promise<void>
  readonly ended: Promise<Ended>
}

/** Starts any program. It is killed after the test if it still runs then. */
export const start = (file: string, args: ReadonlyArray<string>, options: Options = {}): Running => {
  const child = spawn(file, args, {
    cwd: options.cwd ?? Os.tmpdir(),
    env: environment(options.env),
    stdio: options.stdio ?? "pipe"
  })
  const stdout: Array<Buffer> = []
  const stderr: Array<Buffer> = []
  const waiting = new Set<() => void>()
  let closed = false
  const changed = (): void => {
    for (const look of waiting) look()
  }
  child.stdout?.on("data", (chunk: Buffer) => {
    stdout.push(chunk)
    changed()
  })
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr.push(chunk)
    changed()
  })
  // A command that is killed does not read to the end.
  child.stdin?.on("error", () => {})
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => {
      closed = true
      changed()
      const [out, error] = [Buffer.concat(stdout), Buffer.concat(stderr)]
      resolve({ code, signal, stdout: out, stderr: error, out: out.toString("utf8"), error: error.toString("utf8") })
    })
  })
  onTestFinished(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
  })
  const running: Running = {
    process: child,
    write: (input) =>
      new Promise((resolve) => {
        if (child.stdin === null || child.stdin.destroyed) resolve()
        else child.stdin.write(input, () => resolve())
      }),
    end: () => child.stdin?.end(),
    out: () => Buffer.concat(stdout).toString("utf8"),
    error: () => Buffer.concat(stderr).toString("utf8"),
    until: (condition) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (condition(running)) {
            waiting.delete(look)
            resolve()
          } else if (closed) {
            waiting.delete(look)
            reject(
              new Error(`the command ended before what was waited for; it wrote:\n${running.out()}${running.error()}`)
            )
          }
        }
        waiting.add(look)
        look()
      }),
    ended
  }
  return running
}

/** Starts the command. */
export const ezpz = (args: ReadonlyArray<string>, options: Options = {}): Running =>
  start(process.execPath, [main, ...args], options)

/** Runs the command to its end, `input` being its standard input. */
export const run = async (
  args: ReadonlyArray<string>,
  options: Options & { readonly input?: string | Uint8Array } = {}
): Promise<Ended> => {
  const running = ezpz(args, options)
  running.process.stdin?.end(options.input ?? "")
  return running.ended
}

/** A shell command in which `ezpz-stream` is the command. */
export const shell = (script: string, options: Options = {}): Running =>
  start("bash", ["-c", `ezpz-stream() { "${process.execPath}" "${main}" "$@"; }\n${script}`], options)

// -----------------------------------------------------------------------------
// What it leaves
// -----------------------------------------------------------------------------

/** A record as it stands in the log. Read without any of our own code. */
export interface Logged {
  readonly seq: number
  readonly step: number | null
  readonly timestamp: number
  readonly metrics: Readonly<Record<string, unknown>>
}

export const logged = (directory: string): ReadonlyArray<Logged> =>
  Fs.readFileSync(Path.join(directory, "metrics.jsonl"), "utf8").split("\n").filter((line) => line !== "").map((line) =>
    JSON.parse(line)
  )

/** `n` records as a job prints them, from step `from`. */
export const records = (n: number, from = 1): string => {
  let text = ""
  for (let step = from; step < from + n; step++) text += `{"step": ${step}, "loss": ${1 / step}, "train/acc": 0.5}\n`
  return text
}

/** What the account at the end says: how many lines, accepted, refused. */
export const account = (
  error: string
): { readonly lines: number; readonly accepted: number; readonly refused: number } => {
  const found = /^([\d,]+) lines?: ([\d,]+) accepted, ([\d,]+) refused$/m.exec(error)
  const [lines = NaN, accepted = NaN, refused = NaN] = (found ?? []).slice(1).map((n) => Number(n.replaceAll(",", "")))
  return { lines, accepted, refused }
}

export const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")
