/**
 * The csv backend: a run as files that any program reads.
 *
 * - `metrics.csv`: a row per record, a column per key, see ColumnFile.ts for how it stays a whole table and Cell.ts for
 *   how values are written.
 * - `config.json`: the configurations handed over, merged key by key, the last one wins.
 * - `training_history.csv`: the history at the end of the run, which is what `metrics.csv` is by then: its copy. Other
 *   tables are `tables/<name>.csv`.
 *
 * When rows wait for a column (ColumnFile.ts), they are merged into the table as soon as that is cheap:
 * - when they weigh as much as the table, so that it at least doubles: linear in rows, however keys come along;
 * - or when since the last merge 20 times as long has passed as this one will take: at most a twentieth of the time is
 *   spent so. A merge is taken to last 1 ms and 10 ms a megabyte, or longer if the last one did. A small table shows a
 *   new key within a fraction of a second, one of a gigabyte within minutes;
 * - when the history is written and when the run is finished, in any case.
 * A merge that fails costs nothing but time: the rows are safe in the tail, a warning says so, it is tried again later
 * and, at the end, reported.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Backend from "../../Backend.ts"
import * as FileName from "../../FileName.ts"
import { makeDirectory } from "../../internal/makeDirectory.ts"
import type { Row } from "../../Row.ts"
import * as Cell from "./Cell.ts"
import * as ColumnFile from "./ColumnFile.ts"
import * as Files from "./Files.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

const name = "csv"
const configName = "config.json"
const historyName = "training_history"

/** The reciprocal of the share of time that merging may take. */
const patience = 20
const mergeMillis = 1
const mergeMillisPerByte = 10 / 1_000_000
/** How long at least a merge that failed is left alone. */
const retryMillis = 10_000

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts the csv backend in the run's directory. Without a checkpoint it replaces what is there; with one it goes on
 * there, records that are delivered again standing in the table once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const factory = (context: Backend.Context): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const one = yield* Semaphore.make(1)
    const file = yield* Effect.acquireRelease(
      attempt("start", () => ColumnFile.open(context.directory, context.checkpoint, context.keys)),
      (file) => Effect.sync(file.close)
    )
    if (file.restarted) {
      yield* Effect.logWarning(
        `${file.path()} is not as it was left. It begins anew; the run's log is complete, and fills it again`
      )
    }
    const table = yield* tableOf(file, scope, one)
    let config = context.checkpoint === undefined || file.restarted ? {} : readConfig(file.directory())
    const names = FileName.files()
    const tables = new Map<string, string>()
    const written = new Set([configName])

    const tablePath = (name: string): string => {
      const known = tables.get(name) ??
        (name === historyName ? `${historyName}.csv` : Path.join("tables", `${names.name(name)}.csv`))
      tables.set(name, known)
      written.add(known)
      return Path.join(file.directory(), known)
    }

    return {
      name,
      // The files did not fit the checkpoint: the table is whole again once it has all records from the first one on.
      restart: file.restarted,
      log: table.log,
      logConfig: (more) =>
        one.withPermit(attempt("logConfig", () => {
          const merged = { ...config, ...more }
          Files.replace(Path.join(file.directory(), configName), `${configText(merged)}\n`)
          config = merged
        })),
      logTable: (name, rows) =>
        name === historyName
          ? one.withPermit(
            Effect.andThen(table.merge("logTable"), Effect.suspend(() => copy(file.path(), tablePath(name))))
          )
          : Effect.suspend(() => writeTable(tablePath(name), rows)),
      logImage: () => Effect.void,
      logArtifacts: () => Effect.void,
      logSystem: () => Effect.void,
      logSummary: () => Effect.void,
      wantsSystem: false,
      run: undefined,
      watch: () => Effect.void,
      checkpoint: table.checkpoint,
      files: Effect.sync(() => [
        file.path(),
        ...[...written.add(`${historyName}.csv`)].map((name) => Path.join(file.directory(), name))
      ]),
      move: (directory) => one.withPermit(attempt("move", () => file.move(directory, written))),
      finish: () => one.withPermit(table.merge("finish"))
    }
  })

// -----------------------------------------------------------------------------
// The table
// -----------------------------------------------------------------------------

interface Table {
  readonly log: Backend.Backend["log"]
  readonly checkpoint: Effect.Effect<ColumnFile.Position>
  /** To be run with the permit. */
  readonly merge: (operation: string) => Effect.Effect<void, Backend.BackendError>
}

const tableOf = (
  file: ColumnFile.ColumnFile,
  scope: Scope.Scope,
  one: Semaphore.Semaphore
): Effect.Effect<Table> =>
  Effect.gen(function*() {
    let acknowledged = file.position()
    // Rows are in the table from when they are appended, and acknowledged when `log` succeeds. Where it is interrupted
    // in between they come again, and are known by their seq.
    let inDoubt = false
    let lastSeq = 0
    let mergedAt = yield* Clock.currentTimeMillis
    let heldUntil = -Infinity
    let millisPerByte = mergeMillisPerByte
    let planned = false
    let warned: string | undefined

    const append = (rows: ReadonlyArray<Row>) =>
      attempt("log", () => {
        file.append(inDoubt ? rows.filter((row) => row.seq > lastSeq) : rows)
        inDoubt = true
        lastSeq = rows.at(-1)?.seq ?? lastSeq
      })

    const merge = (operation: string): Effect.Effect<void, Backend.BackendError> =>
      Effect.gen(function*() {
        const { bytes, rows } = file.pending()
        if (rows === 0) return
        const from = yield* Clock.currentTimeMillis
        yield* Effect.acquireUseRelease(
          attempt(operation, file.merge),
          (merging) =>
            Effect.gen(function*() {
              while (!(yield* attempt(operation, merging.step))) yield* Effect.yieldNow
            }),
          (merging, exit) => Exit.isSuccess(exit) ? Effect.void : Effect.sync(merging.abort)
        ).pipe(
          Effect.ensuring(Effect.map(Clock.currentTimeMillis, (now) => {
            const millis = now - from
            millisPerByte = Math.max(mergeMillisPerByte, millis / bytes)
            mergedAt = now
            heldUntil = file.pending().rows === 0 ? -Infinity : now + Math.max(patience * millis, retryMillis)
          }))
        )
        if (!inDoubt) acknowledged = file.position()
      })

    /** Merges if it is time, or plans to. */
    const settle: Effect.Effect<void> = Effect.gen(function*() {
      const { bytes, outgrown, rows } = file.pending()
      if (rows === 0) return
      const wait = outgrown ? 0 : mergedAt + patience * (mergeMillis + bytes * millisPerByte)
      const due = Math.max(heldUntil, wait)
      const now = yield* Clock.currentTimeMillis
      if (due <= now) {
        return yield* merge("log").pipe(
          Effect.catch((error) => {
            if (warned === error.message) return Effect.void
            warned = error.message
            return Effect.logWarning(
              `${error.message}. ${rows} rows are safe in ${file.directory()}/.ezpz/csv until then`
            )
          })
        )
      }
      if (planned) return
      planned = true
      yield* Effect.sleep(Math.ceil(due - now)).pipe(
        Effect.andThen(one.withPermit(Effect.suspend(() => {
          planned = false
          return settle
        }))),
        Effect.forkIn(scope, { startImmediately: true })
      )
    })

    return {
      log: (rows) =>
        one.withPermit(Effect.gen(function*() {
          yield* append(rows)
          yield* settle
          inDoubt = false
          acknowledged = file.position()
        })),
      checkpoint: Effect.sync(() => acknowledged),
      merge
    }
  })

// -----------------------------------------------------------------------------
// Other files
// -----------------------------------------------------------------------------

/** Shares the bytes where the file system can. */
const copy = (from: string, to: string): Effect.Effect<void, Backend.BackendError> =>
  beside(to, "logTable", (temporary) =>
    Effect.tryPromise({
      try: () => Fs.promises.copyFile(from, temporary, Fs.constants.COPYFILE_FICLONE),
      catch: (cause) => failure("logTable", Files.failure(to, cause))
    }))

const writeTable = (path: string, table: Backend.Table): Effect.Effect<void, Backend.BackendError> =>
  beside(path, "logTable", (temporary) =>
    Effect.acquireUseRelease(
      attempt("logTable", () => Files.open(temporary, "w+")),
      (file) => {
        const write = (rows: Parameters<typeof Cell.lines>[0]) =>
          attempt("logTable", () => Files.append(file, Cell.lines(rows)))
        return Effect.andThen(write([table.columns]), Stream.runForEachArray(table.rows, write))
      },
      (file) => Effect.sync(() => Files.close(file))
    ))

/** Writes a file under another name and renames it into its place, or leaves nothing behind. */
const beside = (
  path: string,
  operation: string,
  write: (temporary: string) => Effect.Effect<void, Backend.BackendError>
): Effect.Effect<void, Backend.BackendError> => {
  const temporary = Files.temporary(path)
  return attempt(operation, () => Files.at(path, () => makeDirectory(Path.dirname(path)))).pipe(
    Effect.andThen(write(temporary)),
    Effect.andThen(attempt(operation, () => Files.at(path, () => Fs.renameSync(temporary, path)))),
    Effect.onExit((exit) =>
      Exit.isSuccess(exit)
        ? Effect.void
        : Effect.sync(() => Files.quietly(() => Fs.rmSync(temporary, { force: true })))
    )
  )
}

const readConfig = (directory: string): Backend.Config => {
  try {
    const config: unknown = JSON.parse(Fs.readFileSync(Path.join(directory, configName), "utf8"))
    return typeof config === "object" && config !== null && !Array.isArray(config) ? { ...config } : {}
  } catch {
    return {}
  }
}

/** JSON, with the non-finite numbers as strings and the digits of integers of any size. */
const configText = (config: Backend.Config): string =>
  JSON.stringify(
    config,
    (_key, value: unknown) =>
      typeof value === "bigint"
        ? rawJson(String(value))
        : typeof value === "number" && !Number.isFinite(value)
        ? String(value)
        : ArrayBuffer.isView(value) && !(value instanceof DataView)
        ? Array.from(value as Float64Array)
        : value,
    2
  )

/** TypeScript does not know it yet. */
const rawJson: (text: string) => unknown = Reflect.get(JSON, "rawJSON")

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

const failure = (operation: string, cause: unknown): Backend.BackendError =>
  new Backend.BackendError({ backend: name, operation, cause })

const attempt = <A>(operation: string, run: () => A): Effect.Effect<A, Backend.BackendError> =>
  Effect.try({ try: run, catch: (cause) => failure(operation, cause) })
