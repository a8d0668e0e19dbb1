/** `ezpz-stream doctor`: what is found here, and what a run would use. Never shows a credential. */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Backend, DeviceMetrics, Dotenv, History, type Rank, SystemMetrics, TerminalPlot } from "../index.ts"
import { Screen } from "./Screen.ts"

export const handler = (version: string) =>
  Effect.gen(function*() {
    const screen = yield* Screen
    const { environment, files, sources } = yield* Dotenv.read(process.env, {
      home: Os.homedir(),
      directory: process.cwd()
    })
    const selected = environment["EZPZ_TRACKER_BACKENDS"] ?? environment["EZPZ_TRACKERS"]
    const known = yield* History.knownBackends
    const states = yield* Effect.forEach(known, (name) =>
      Effect.map(History.describeBackend(name, environment), (lines) =>
        lines.map((line, i) =>
          [i === 0 ? `  ${name}` : "", line] as const
        )))
    // Libraries are found by what the shell says, not by a file's variables.
    const gpus = yield* SystemMetrics.describeGpus()
    const bridge = yield* DeviceMetrics.describe(environment)
    const ranks = yield* History.describeRanks(environment)
    const names = selected === undefined ? [] : Backend.parseNames(selected)
    const { notes } = TerminalPlot.optionsFromEnv(environment)
    const rows: ReadonlyArray<readonly [string, string]> = [
      ["ezpz-stream", version],
      ["node", `${process.version} on ${process.platform}-${process.arch}, ${Os.availableParallelism()} cores`],
      ...ranks,
      ...gpus.map((line, i) => [i === 0 ? "gpu" : "", line] as const),
      ["nccl", bridge],
      ["outputs", outputs()],
      ["backends", names.length === 0 ? "none chosen (--backends, EZPZ_TRACKER_BACKENDS)" : names.join(", ")],
      ...states.flat(),
      ...names.filter((name) => !known.includes(name)).map((name) => [`  ${name}`, "not known, is skipped"] as const),
      ["credentials", credentials(environment, sources)],
      ...files.map((file) => ["settings", settings(file, sources)] as const),
      ["terminal", terminal(screen)],
      ...notes.map((note) => ["", note] as const)
    ]
    yield* screen.out(rows.map(([label, value]) => `${label.padEnd(13)} ${value}\n`).join(""))
    return 0
  })

const outputs = (): string => {
  const directory = Path.resolve("outputs")
  const existing = Fs.existsSync(directory) ? directory : process.cwd()
  try {
    Fs.accessSync(existing, Fs.constants.W_OK)
    const { bavail, bsize } = Fs.statfsSync(existing)
    return `${directory} can be written, ${(bavail * bsize / 2 ** 30).toFixed(1)} GiB free`
  } catch {
    return `${directory} cannot be written: choose another place with --outdir`
  }
}

const credentialNames = [
  "WANDB_API_KEY",
  "MLFLOW_TRACKING_TOKEN",
  "MLFLOW_TRACKING_USERNAME",
  "MLFLOW_TRACKING_PASSWORD",
  "AMSC_API_KEY",
  "AM_SC_API_KEY"
]

const credentials = (environment: Rank.Environment, sources: { readonly [name: string]: string }): string => {
  const found = credentialNames.filter((name) => (environment[name] ?? "") !== "").map((name) =>
    sources[name] === undefined ? name : `${name} (${sources[name]})`
  )
  const files = [".netrc", ".amsc.env"].filter((name) => Fs.existsSync(Path.join(Os.homedir(), name)))
  const all = [...found, ...files.map((name) => `~/${name}`)]
  return all.length === 0 ? "none found" : `${all.join(", ")} (found; values are not shown)`
}

/** Which variables a file has set. */
const settings = (file: string, sources: { readonly [name: string]: string }): string => {
  const names = Object.entries(sources).flatMap(([name, source]) => source === file ? [name] : [])
  return `${file}: ${names.length === 0 ? "sets nothing that is not set already" : names.join(", ")}`
}

const terminal = (screen: Screen["Service"]): string =>
  screen.isTerminal ? `${screen.columns} columns, ${screen.color ? "with" : "no"} colour` : "stderr is not a terminal"
