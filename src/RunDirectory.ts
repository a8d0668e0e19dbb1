/**
 * Where a run lives: the paths of what it writes, who it is, and the lock that keeps two processes from writing it.
 *
 * Beside the log stands `.ezpz/`: `run.json` says which run the log belongs to, in which version of the format, and how
 * it ended; `lock` names the process that writes it now; `<backend>.cursor.json` how far each backend has come. A lock
 * whose process is gone is taken over. The process is known by its id and its start time, so that a restarted container
 * whose new process has the old one's id is not locked out.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Config, RunState } from "./Backend.ts"
import { formatVersion } from "./RunLog.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is known of a run: the contents of `.ezpz/run.json`. `config` is masked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly format: number
  readonly runId: string
  readonly runName: string | null
  readonly projectName: string
  readonly createdAt: number
  readonly state: RunState | "running"
  readonly backends: ReadonlyArray<string>
  readonly config: Config
}

/**
 * The name of the log inside a run's directory.
 *
 * @category models
 * @since 0.1.0
 */
export const logName = "metrics.jsonl"

// -----------------------------------------------------------------------------
// Paths
// -----------------------------------------------------------------------------

/**
 * The folder beside a log in which ezpz-stream keeps what is not for people: `.ezpz/`, and a folder inside it for a log
 * of another name, which may have neighbours.
 *
 * @category paths
 * @since 0.1.0
 */
export const privateDirectory = (logPath: string): string => {
  const directory = Path.dirname(Path.resolve(logPath))
  const stem = Path.basename(logPath, ".jsonl")
  const alone = Path.basename(logPath) === logName || stem === Path.basename(directory)
  return alone ? Path.join(directory, ".ezpz") : Path.join(directory, ".ezpz", stem)
}

/**
 * Where a backend's cursor is kept.
 *
 * @category paths
 * @since 0.1.0
 */
export const cursorPath = (logPath: string, backend: string): string =>
  Path.join(privateDirectory(logPath), `${backend.replaceAll(/[^a-z0-9_-]/gi, "_")}.cursor.json`)

/**
 * The log of a run that is named by its directory or by the log itself.
 *
 * @category paths
 * @since 0.1.0
 */
export const findLog = (path: string): Effect.Effect<string, RunDirectoryError> =>
  Effect.suspend(() => {
    const stat = Fs.statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return Effect.fail(new RunDirectoryError({ path, reason: "there is no such run" }))
    if (!stat.isDirectory()) return Effect.succeed(path)
    const candidates = [logName, `${Path.basename(Path.resolve(path))}.jsonl`].map((name) => Path.join(path, name))
    const found = candidates.find((candidate) => Fs.existsSync(candidate))
    return found === undefined
      ? Effect.fail(new RunDirectoryError({ path, reason: `there is no ${logName} in it, so it is not a run` }))
      : Effect.succeed(found)
  })

// -----------------------------------------------------------------------------
// run.json
// -----------------------------------------------------------------------------

/**
 * Reads who a log belongs to; undefined where nothing says so (a log from elsewhere). A newer major version of the
 * format is an error.
 *
 * @category run
 * @since 0.1.0
 */
export const readRun = (logPath: string): Effect.Effect<Run | undefined, RunDirectoryError> => {
  const path = Path.join(privateDirectory(logPath), "run.json")
  return Effect.suspend(() => {
    let run: Partial<Run>
    try {
      run = JSON.parse(Fs.readFileSync(path, "utf8"))
    } catch {
      return Effect.undefined
    }
    if ((run.format ?? formatVersion) > formatVersion) {
      return Effect.fail(
        new RunDirectoryError({
          path,
          reason: `it was written in format ${run.format}, and this version reads up to ${formatVersion}. ` +
            "Update ezpz-stream"
        })
      )
    }
    return Effect.succeed<Run>({
      format: formatVersion,
      runId: run.runId ?? Path.basename(Path.dirname(Path.resolve(logPath))),
      runName: run.runName ?? null,
      projectName: run.projectName ?? "",
      createdAt: run.createdAt ?? 0,
      state: run.state ?? "running",
      backends: run.backends ?? [],
      config: run.config ?? {}
    })
  })
}

/**
 * Writes who a log belongs to.
 *
 * @category run
 * @since 0.1.0
 */
export const writeRun = (logPath: string, run: Run): Effect.Effect<void, RunDirectoryError> => {
  const path = Path.join(privateDirectory(logPath), "run.json")
  return attempt(path, () => {
    Fs.mkdirSync(Path.dirname(path), { recursive: true })
    Fs.writeFileSync(`${path}.tmp`, `${JSON.stringify(run, undefined, 2)}\n`)
    Fs.renameSync(`${path}.tmp`, path)
  })
}

// -----------------------------------------------------------------------------
// Lock
// -----------------------------------------------------------------------------

interface Holder {
  readonly pid: number
  readonly host: string
  readonly started: string
}

/** Logs that this very process is writing: its own id would say nothing. */
const held = new Set<string>()

/**
 * Takes the lock of a log until the scope closes.
 *
 * @category lock
 * @since 0.1.0
 */
export const lock = (logPath: string): Effect.Effect<void, RunDirectoryError, Scope.Scope> => {
  const path = Path.resolve(privateDirectory(logPath), "lock")
  const me: Holder = { pid: process.pid, host: Os.hostname(), started: startTime(process.pid) }
  const take = (): string | undefined => {
    Fs.mkdirSync(Path.dirname(path), { recursive: true })
    if (held.has(path)) return "it is being written by this very process"
    try {
      Fs.writeFileSync(path, JSON.stringify(me), { flag: "wx" })
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
      const busy = occupied(path, me)
      if (busy !== undefined) return busy
      Fs.writeFileSync(path, JSON.stringify(me))
    }
    held.add(path)
    return undefined
  }
  return Effect.acquireRelease(
    Effect.flatMap(
      attempt(path, take),
      (busy) => busy === undefined ? Effect.void : Effect.fail(new RunDirectoryError({ path, reason: busy }))
    ),
    () =>
      Effect.sync(() => {
        held.delete(path)
        Fs.rmSync(path, { force: true })
      })
  )
}

const occupied = (path: string, me: Holder): string | undefined => {
  let holder: Holder
  try {
    holder = JSON.parse(Fs.readFileSync(path, "utf8"))
  } catch {
    return undefined
  }
  if (holder.host !== me.host) {
    return `process ${holder.pid} on ${holder.host} is writing this run, or was when it ended. If it is gone, remove ${path}`
  }
  const alive = startTime(holder.pid) === holder.started && isAlive(holder.pid) && holder.pid !== me.pid
  return alive ? `process ${holder.pid} is writing this run. Wait for it, or choose another directory` : undefined
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** Linux: clock ticks since boot, field 22 of /proc/PID/stat. Elsewhere nothing is known. */
const startTime = (pid: number): string => {
  try {
    const stat = Fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
  } catch {
    return ""
  }
}

// -----------------------------------------------------------------------------
// Moving
// -----------------------------------------------------------------------------

/**
 * Moves a log, with what `.ezpz/` knows about it, to another place, also on another file system. The folders it leaves
 * empty are removed.
 *
 * @category moving
 * @since 0.1.0
 */
export const move = (from: string, to: string): Effect.Effect<void, RunDirectoryError, Scope.Scope> =>
  Effect.andThen(
    lock(to),
    attempt(to, () => {
      const [oldPrivate, newPrivate] = [privateDirectory(from), privateDirectory(to)]
      for (const entry of Fs.readdirSync(oldPrivate, { withFileTypes: true })) {
        if (!entry.isFile() || entry.name === "lock") continue
        moveFile(Path.join(oldPrivate, entry.name), Path.join(newPrivate, entry.name))
      }
      moveFile(from, to)
      removeEmpty(oldPrivate, Path.join(oldPrivate, "lock"))
      removeEmpty(Path.dirname(oldPrivate))
      removeEmpty(Path.dirname(Path.resolve(from)))
    })
  )

/** Moves a file, also from one file system to another. */
export const moveFile = (from: string, to: string): void => {
  if (Path.resolve(from) === Path.resolve(to)) return
  try {
    Fs.renameSync(from, to)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error
    Fs.copyFileSync(from, `${to}.tmp`)
    Fs.renameSync(`${to}.tmp`, to)
    Fs.rmSync(from)
  }
}

const removeEmpty = (directory: string, last?: string): void => {
  if (last !== undefined) Fs.rmSync(last, { force: true })
  try {
    Fs.rmdirSync(directory)
  } catch {
    // Somebody else's files stay.
  }
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * A run's directory cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunDirectoryError extends Schema.TaggedError<RunDirectoryError>()("RunDirectoryError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `Cannot use ${this.path}: ${this.reason}.`
  }
}

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, RunDirectoryError> =>
  Effect.try({
    try: run,
    catch: (cause) => new RunDirectoryError({ path, reason: cause instanceof Error ? cause.message : String(cause) })
  })
