/**
 * Where a run lives: the paths of what it writes, who it is, and the lock that keeps two processes from writing it.
 *
 * Beside the log stands `.ezpz/`: `run.json` says which run the log belongs to, in which version of the format, and how
 * it ended; `lock` names the process that writes it now; `<backend>.cursor.json` says how far each backend has come,
 * `<backend>.lock` which process delivers to it, `outbox.jsonl` what backends get beside the records, and `outbox/` keeps
 * files for them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Config, RunState } from "./Backend.ts"
import * as Lock from "./internal/lock.ts"
import { makeDirectory } from "./internal/makeDirectory.ts"
import { explain } from "./internal/systemError.ts"
import * as Outbox from "./Outbox.ts"
import { formatVersion } from "./RunLog.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is known of a run: the contents of `.ezpz/run.json`. `config` is masked. `totalSteps` is how many steps the run
 * will have, where that is known.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly format: number
  readonly runId: string
  readonly runName: string | null
  readonly projectName: string
  /** Whether somebody chose that name. */
  readonly projectGiven: boolean
  readonly createdAt: number
  readonly state: RunState | "running"
  readonly backends: ReadonlyArray<string>
  readonly config: Config
  readonly totalSteps?: number | undefined
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
  Path.join(
    privateDirectory(logPath),
    // Two backends never share a cursor: what is not plain becomes its code.
    `${
      backend.replaceAll(/[^a-z0-9_-]/gi, (char) => `%${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
    }.cursor.json`
  )

/**
 * The log of a run that is named by its directory or by the log itself.
 *
 * @category paths
 * @since 0.1.0
 */
export const findLog = (path: string): Effect.Effect<string, RunDirectoryError> =>
  Effect.flatMap(
    attempt(path, () => {
      const stat = Fs.statSync(path, { throwIfNoEntry: false })
      if (stat?.isDirectory() !== true) return { there: stat !== undefined, found: path }
      const candidates = [logName, `${Path.basename(Path.resolve(path))}.jsonl`].map((name) => Path.join(path, name))
      return { there: true, found: candidates.find((candidate) => Fs.existsSync(candidate)) }
    }),
    ({ found, there }) => {
      if (there && found !== undefined) return Effect.succeed(found)
      const reason = there ? `there is no ${logName} in it, so it is not a run` : "there is no such run"
      return Effect.fail(new RunDirectoryError({ path, reason }))
    }
  )

/**
 * Where what backends get beside the records is written down.
 *
 * @category paths
 * @since 0.2.0
 */
export const outboxPath = (logPath: string): string => Path.join(privateDirectory(logPath), "outbox.jsonl")

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
    let run: Partial<Run> | null
    try {
      run = JSON.parse(Fs.readFileSync(path, "utf8"))
    } catch {
      return Effect.undefined
    }
    if (typeof run !== "object" || run === null) return Effect.undefined
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
      projectGiven: run.projectGiven ?? false,
      createdAt: run.createdAt ?? 0,
      state: run.state ?? "running",
      backends: run.backends ?? [],
      config: run.config ?? {},
      ...(isTotal(run.totalSteps) ? { totalSteps: run.totalSteps } : {})
    })
  })
}

const isTotal = (total: unknown): total is number => typeof total === "number" && total > 0

/**
 * Writes who a log belongs to.
 *
 * @category run
 * @since 0.1.0
 */
export const writeRun = (logPath: string, run: Run): Effect.Effect<void, RunDirectoryError> => {
  const path = Path.join(privateDirectory(logPath), "run.json")
  return attempt(path, () => {
    makeDirectory(Path.dirname(path))
    Fs.writeFileSync(`${path}.tmp`, `${JSON.stringify(run, undefined, 2)}\n`)
    Fs.renameSync(`${path}.tmp`, path)
  })
}

// -----------------------------------------------------------------------------
// Lock
// -----------------------------------------------------------------------------

/**
 * Takes the lock of a log until the scope closes.
 *
 * @category lock
 * @since 0.1.0
 */
export const lock = (logPath: string): Effect.Effect<void, RunDirectoryError, Scope.Scope> => {
  const path = lockPath(logPath)
  return Effect.acquireRelease(
    Effect.gen(function*() {
      const taken = yield* attempt(path, () => Lock.take(path))
      return Lock.isHeld(taken) ? taken : yield* new RunDirectoryError({ path, reason: busy(path, taken) })
    }),
    (held) => Effect.sync(held.release)
  )
}

/**
 * Who is writing a log now; undefined if nobody is.
 *
 * @category lock
 * @since 0.2.0
 */
export const writerOf = (logPath: string): Effect.Effect<Lock.Holder | undefined> =>
  Effect.sync(() => Lock.holder(lockPath(logPath)))

/**
 * The file that says which process delivers a run's records to a backend.
 *
 * @category lock
 * @since 0.2.0
 */
export const deliveryLockPath = (logPath: string, backend: string): string =>
  cursorPath(logPath, backend).replace(/cursor\.json$/, "lock")

const lockPath = (logPath: string): string => Path.join(privateDirectory(logPath), "lock")

const busy = (path: string, { here, host, pid, self }: Lock.Holder): string =>
  self
    ? "it is being written by this very process"
    : pid === 0
    ? "another process has just begun to write it"
    : here
    ? `process ${pid} is writing this run. Wait for it, or choose another directory`
    : `process ${pid} on ${host} is writing this run, or was when it ended. If it is gone, remove ${path}`

// -----------------------------------------------------------------------------
// Replacing
// -----------------------------------------------------------------------------

/**
 * Removes what was made of the run that a directory held: the files that its run_info.json lists, as far as they lie in
 * the directory. Nothing else is touched.
 *
 * @category replacing
 * @since 0.1.0
 */
export const removeOutputs = (directory: string): Effect.Effect<void> =>
  Effect.flatMap(
    outputs(directory),
    (files) => removeFiles(directory, [...files, "run_info.json", "report.md", "report.html"])
  )

/**
 * The files that were made of the run in a directory, as its run_info.json lists them, without the log.
 *
 * @category replacing
 * @since 0.1.0
 */
export const outputs = (directory: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.sync(() => {
    try {
      const { files }: { readonly files?: unknown } = JSON.parse(
        Fs.readFileSync(Path.join(directory, "run_info.json"), "utf8")
      )
      return Array.isArray(files) ? files.filter((file) => typeof file === "string" && file !== logName) : []
    } catch {
      return []
    }
  })

/**
 * Removes files of a directory. What lies outside of it, or cannot be removed, stays.
 *
 * @category replacing
 * @since 0.1.0
 */
export const removeFiles = (directory: string, files: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const file of files) {
      const inside = Path.relative(directory, Path.resolve(directory, file))
      if (Path.isAbsolute(inside) || inside.startsWith("..")) continue
      try {
        Fs.rmSync(Path.join(directory, inside), { force: true })
      } catch {
        // It is replaced when the new run makes one of that name.
      }
    }
  })

/**
 * Forgets what backends have had of a log, and what was kept for them: a log that starts anew has been delivered to
 * nobody.
 *
 * @category replacing
 * @since 0.2.0
 */
export const forgetDelivery = (logPath: string): Effect.Effect<void> => {
  const directory = privateDirectory(logPath)
  const outbox = outboxPath(logPath)
  return Effect.sync(() => {
    const cursors = Fs.readdirSync(directory).filter((name) => name.endsWith(".cursor.json"))
    for (const path of [...cursors.map((name) => Path.join(directory, name)), outbox, Outbox.folder(outbox)]) {
      Fs.rmSync(path, { recursive: true, force: true })
    }
  })
}

// -----------------------------------------------------------------------------
// Moving
// -----------------------------------------------------------------------------

/**
 * Moves a log, with what `.ezpz/` knows about it, to another place, also on another file system. The folders it leaves
 * empty are removed by {@link leave}.
 *
 * @category moving
 * @since 0.1.0
 */
export const move = (from: string, to: string): Effect.Effect<void, RunDirectoryError, Scope.Scope> => {
  const [oldPrivate, newPrivate] = [privateDirectory(from), privateDirectory(to)]
  // Under another name in its folder, a log keeps what is beside it, the lock too.
  if (oldPrivate === newPrivate) return attempt(to, () => moveFile(from, to))
  return Effect.andThen(
    lock(to),
    attempt(to, () => {
      // First of all the log: where it is, the run is.
      moveFile(from, to)
      const entries = Fs.existsSync(oldPrivate) ? Fs.readdirSync(oldPrivate, { withFileTypes: true }) : []
      for (const entry of entries) {
        if (!entry.isFile() || /^lock|\.lock$/.test(entry.name)) continue
        moveFile(Path.join(oldPrivate, entry.name), Path.join(newPrivate, entry.name))
      }
      moveFolder(Outbox.folder(outboxPath(from)), Outbox.folder(outboxPath(to)))
    })
  )
}

/**
 * Lets go of where a log was before it was moved: its lock, and the folders that are empty now.
 *
 * @category moving
 * @since 0.1.0
 */
export const leave = (from: string, to: string): Effect.Effect<void> =>
  Effect.sync(() => {
    const oldPrivate = privateDirectory(from)
    if (oldPrivate === privateDirectory(to)) return
    Lock.release(lockPath(from))
    removeEmpty(Path.join(oldPrivate, "csv"))
    removeEmpty(oldPrivate)
    removeEmpty(Path.dirname(oldPrivate))
    removeEmpty(Path.dirname(Path.resolve(from)))
  })

/**
 * Moves a file, also from one file system to another: it is there as a whole before it is gone here.
 *
 * @category moving
 * @since 0.1.0
 */
export const moveFile = (from: string, to: string): void => {
  if (Path.resolve(from) === Path.resolve(to)) return
  try {
    Fs.renameSync(from, to)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error
    const copy = `${to}.tmp`
    try {
      Fs.copyFileSync(from, copy)
      const fd = Fs.openSync(copy, "r+")
      try {
        Fs.fsyncSync(fd)
      } finally {
        Fs.closeSync(fd)
      }
      Fs.renameSync(copy, to)
    } catch (failure) {
      Fs.rmSync(copy, { force: true })
      throw failure
    }
    Fs.rmSync(from)
  }
}

/** Moves what is in a folder, if there is one. */
const moveFolder = (from: string, to: string): void => {
  if (!Fs.existsSync(from)) return
  for (const entry of Fs.readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = Path.join(entry.parentPath, entry.name)
    const target = Path.join(to, Path.relative(from, file))
    makeDirectory(Path.dirname(target))
    moveFile(file, target)
  }
  Fs.rmSync(from, { recursive: true, force: true })
}

const removeEmpty = (directory: string): void => {
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
    return `Cannot use ${this.path}: ${this.reason}${/[.)]$/.test(this.reason) ? "" : "."}`
  }
}

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, RunDirectoryError> =>
  Effect.try({
    try: run,
    catch: (cause) => new RunDirectoryError({ path, reason: explain(cause) })
  })
