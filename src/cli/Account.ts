/**
 * The account of a run: what came in, what was refused and why, what was written, what was not delivered.
 */
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import { type History, type Lines, type Rank, Supervisor, Sync, TerminalPlot } from "../index.ts"
import { plotColumns, type Screen } from "./Screen.ts"

// -----------------------------------------------------------------------------
// Counting
// -----------------------------------------------------------------------------

/** Counts that grow while lines come in. `line` counts blank lines too: it is the number an editor shows. */
export interface Tally {
  line: number
  lines: number
  accepted: number
  refused: number
  unwritten: number
  readonly reasons: Map<string, { count: number; readonly firstLine: number }>
  explained: number
}

export const makeTally = (): Tally => ({
  line: 0,
  lines: 0,
  accepted: 0,
  refused: 0,
  unwritten: 0,
  reasons: new Map(),
  explained: 0
})

/** So many refused records are explained one by one. */
const mostExplained = 20

/** Counts a refused line; gives the message that explains it where it looks like a record and not too many have. */
export const refuse = (tally: Tally, reason: string, line: string | Lines.Damaged): string | undefined => {
  tally.refused++
  count(tally, reason)
  const start = typeof line === "string" ? line : line.raw.toString("latin1", 0, 200)
  if (!start.trimStart().startsWith("{") || tally.explained > mostExplained) return undefined
  tally.explained++
  return tally.explained > mostExplained
    ? "further refused lines are counted, not explained"
    : `line ${tally.line} refused: ${reason}`
}

/** Counts records that the log could not take; gives the message the first time. */
export const unwritten = (tally: Tally, records: number, message: string): string | undefined => {
  const first = !tally.reasons.has(message)
  tally.refused += records
  tally.unwritten += records
  count(tally, message, records)
  return first
    ? `${message} The records of line ${tally.line} and before are refused; the next ones are tried again.`
    : undefined
}

const count = (tally: Tally, reason: string, by = 1): void => {
  const known = tally.reasons.get(reason)
  if (known !== undefined) known.count += by
  else if (tally.reasons.size < 100) tally.reasons.set(reason, { count: by, firstLine: tally.line })
}

// -----------------------------------------------------------------------------
// Telling
// -----------------------------------------------------------------------------

const n = (value: number): string => value.toLocaleString("en")

const plural = (value: number, one: string, many = `${one}s`): string => `${n(value)} ${value === 1 ? one : many}`

/** The last lines a command prints. */
export const render = (run: {
  readonly tally: Tally
  readonly history: History.History
  readonly finished: History.Finalized | undefined
  readonly delivered: ReadonlyArray<Supervisor.Delivered>
  readonly quiet: boolean
  readonly plots: boolean
}): string => {
  const { delivered, finished, history, plots, quiet, tally } = run
  const lines: Array<string> = []
  if (!quiet || tally.refused > 0) {
    lines.push(`${plural(tally.lines, "line")}: ${n(tally.accepted)} accepted, ${n(tally.refused)} refused`)
  }
  for (const [reason, { count, firstLine }] of tally.reasons) {
    lines.push(`  ${n(count)} × ${reason} (first: line ${firstLine})`)
  }
  if (!quiet) lines.push(...written(finished, history, plots))
  lines.push(...undelivered(delivered, history.directory))
  return lines.map((line) => `${line}\n`).join("")
}

/** Where a run's outputs are. `plots`: whether any were wanted. */
export const written = (
  finished: History.Finalized | undefined,
  history: Pick<History.History, "directory" | "logPath">,
  plots: boolean
): ReadonlyArray<string> => {
  if (finished === undefined) {
    return [`log: ${history.logPath}`, `datasets, plots, report: ezpz-stream finalize ${quoted(history.directory)}`]
  }
  const { directory, files } = finished
  const named = (ending: string, folder?: string) =>
    files.filter((file) =>
      file.endsWith(ending) && (folder === undefined || file.includes(`${Path.sep}${folder}${Path.sep}`))
    )
  const datasets = named(".h5").map((file) => Path.basename(file))
  const several = datasets.length > 8 ? [...datasets.slice(0, 8), `and ${datasets.length - 8} more`] : datasets
  const drawn = plots
    ? `${n(named(".png", "mplot").length)} png and svg, ${n(named(".txt", "tplot").length)} for the terminal`
    : "none (--no-plots)"
  const lines = [
    `outputs: ${directory}`,
    `  log       ${Path.basename(history.logPath)}, ${plural(finished.rows, "record")}`,
    `  datasets  ${several.join(" ") || "none: no numeric metrics"}`,
    `  plots     ${drawn}`,
    `  report    ${
      [...named("report.md"), ...named("report.html")].map((file) => Path.basename(file)).join(" ") || "none"
    }`
  ]
  if (finished.corrupt > 0) {
    lines.push(`  ${plural(finished.corrupt, "line")} of the log could not be read and were left out`)
  }
  for (const { count, group } of finished.notDrawn) {
    lines.push(
      `  ${plural(count, "metric")}${group === "" ? "" : ` of ${group}`} not drawn: too many (--all-plots draws them)`
    )
  }
  for (const error of finished.failed.slice(0, 5)) lines.push(`  ${error.message}`)
  return lines
}

/** What is left to deliver, and how. */
export const undelivered = (
  delivered: ReadonlyArray<Supervisor.Delivered>,
  directory: string
): ReadonlyArray<string> => {
  const left = delivered.filter((backend) => !Supervisor.isComplete(backend))
  return left.length === 0 ? [] : [
    ...left.map((backend) => `not delivered to ${backend.backend}: ${missing(backend)}${because(backend)}`),
    `deliver: ezpz-stream sync ${quoted(directory)}`
  ]
}

/** How far a run's backends have come after a sync. */
export const synced = (result: Sync.Result, quiet: boolean): ReadonlyArray<string> => {
  const { delivered, directory, records, running, unknown } = result
  const name = Path.relative("", directory) || "."
  const done = delivered.filter((backend) => Sync.isDone(backend, running))
  const left = delivered.filter((backend) => !done.includes(backend))
  return [
    ...(quiet || done.length === 0
      ? []
      : [
        `${name}: ${done.map(({ backend }) => backend).join(", ")} ${done.length === 1 ? "has" : "have"} ` +
        `all of ${plural(records, "record")}${running ? " so far; the run goes on" : ""}`
      ]),
    ...left.map((backend) =>
      backend.busy === undefined
        ? `${name}: ${backend.backend} lacks ${missing(backend)}${because(backend)}`
        : `${name}: ${backend.busy} is delivering to ${backend.backend} now, ${missing(backend)} to go`
    ),
    ...(left.some((backend) => backend.busy === undefined) ? [`again: ezpz-stream sync ${quoted(name)}`] : []),
    ...unknown.map((backend) => `${name}: ${backend} is known only to the program that recorded the run`),
    ...(quiet || delivered.length + unknown.length > 0 ? [] : [`${name}: the run has no backends`])
  ]
}

const missing = ({ closed, outputs, undelivered }: Supervisor.Delivered): string => {
  const parts = [
    ...(undelivered > 0 ? [plural(undelivered, "record")] : []),
    ...(outputs > 0 ? [`${plural(outputs, "output")} (plots, tables, files)`] : [])
  ]
  return parts.length > 0 ? parts.join(" and ") : closed ? "nothing" : "the end of the run"
}

const because = ({ failures, lastFailure }: Supervisor.Delivered): string =>
  lastFailure === undefined
    ? ""
    : ` (${lastFailure.replace(/^Tracker backend \S+ failed: /, "")}${
      failures > 1 ? `; ${n(failures)} failed tries` : ""
    })`

/** A path as a shell takes it. */
export const quoted = (path: string): string =>
  /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`

// -----------------------------------------------------------------------------
// Plots at the end
// -----------------------------------------------------------------------------

/** So many metrics are shown when a run ends on a terminal. */
const mostShown = 2

/** On a terminal the plots of the first metrics; every one with EZPZ_TPLOT_STDOUT=1, none with 0. */
export const showPlots = (
  finished: History.Finalized | undefined,
  screen: Screen["Service"],
  quiet: boolean,
  environment: Rank.Environment
): Effect.Effect<void> => {
  const wanted = environment["EZPZ_TPLOT_STDOUT"]
  if (finished === undefined || wanted === "0" || (wanted !== "1" && (quiet || !screen.isTerminal))) return Effect.void
  const { options } = TerminalPlot.optionsFromEnv(environment)
  const drawn = finished.series.filter((series) => series.drawn)
  const shown = wanted === "1" ? drawn : drawn.slice(0, mostShown)
  return Effect.forEach(shown, (series) =>
    screen.error(`${
      TerminalPlot.overlay([series], {
        ...options,
        width: plotColumns(screen),
        height: 20,
        color: screen.color
      })
    }\n`), { discard: true })
}
