/**
 * The backends of one run, each under its own supervision.
 *
 * Tables, images, artifacts and summaries go into the run's outbox (Outbox.ts) before a backend is told: what a server
 * cannot take now it gets later, also from another process. What may change under our hands is kept first, in a folder
 * beside the outbox: an image's file may be overwritten with the next epoch's.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type * as Backend from "./Backend.ts"
import * as FileName from "./FileName.ts"
import { makeDirectory } from "./internal/makeDirectory.ts"
import { explain } from "./internal/systemError.ts"
import type { Metrics } from "./Metrics.ts"
import * as Outbox from "./Outbox.ts"
import type { Row } from "./Row.ts"
import * as RunDirectory from "./RunDirectory.ts"
import * as Supervisor from "./Supervisor.ts"
import * as TableFile from "./supervisor/TableFile.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A run's backends. None of these fails: what a backend cannot do is warned about, and the others get it all the same.
 *
 * - `getBackend` reaches what only one backend has; undefined for a name that was not asked for or has not started yet.
 *   `wandbRun` is the run at W&B, if it is tracked there.
 * - `logImage`, `logTable`, `logArtifacts`, `logSummary` return once what they were given is kept; backends get it
 *   when they can. `watch` hands the object to the backends as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tracker {
  readonly names: ReadonlyArray<string>
  readonly getBackend: (name: string) => Effect.Effect<Backend.Backend | undefined>
  readonly wandbRun: Effect.Effect<WandbRun | undefined>
  readonly offer: (rows: ReadonlyArray<Row>, offset: number) => void
  readonly logTable: (name: string, table: Backend.Table) => Effect.Effect<void>
  readonly logImage: (name: string, path: string, options?: Backend.ImageOptions) => Effect.Effect<void>
  readonly logArtifacts: (paths: ReadonlyArray<string>) => Effect.Effect<void>
  readonly logSummary: (values: Metrics) => Effect.Effect<void>
  readonly watch: (object: unknown, options?: Backend.Config) => Effect.Effect<void>
  readonly move: (directory: string, timeoutMillis: number) => Effect.Effect<void>
  readonly drain: (timeoutMillis: number) => Effect.Effect<ReadonlyArray<Supervisor.Delivered>>
  readonly files: Effect.Effect<ReadonlyArray<string>>
  readonly finish: (
    state: Backend.RunState,
    timeoutMillis: number,
    outputs?: Outputs
  ) => Effect.Effect<ReadonlyArray<Supervisor.Delivered>>
}

/**
 * The run at W&B. `summary` sets values that describe the run as a whole: `run.summary({ best_loss: 0.01 })`.
 *
 * @category models
 * @since 0.2.0
 */
export interface WandbRun extends Backend.RemoteRun {
  readonly summary: (values: Metrics) => Effect.Effect<void>
}

/**
 * What is given when a run ends; `history` is its records as a table.
 *
 * @category models
 * @since 0.2.0
 */
export interface Outputs {
  readonly entries: ReadonlyArray<Outbox.Entry>
  readonly history: Backend.Table
}

/**
 * A backend to start, under the name it is known by.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly name: string
  readonly factory: Backend.Factory
}

/**
 * What a tracker needs to know. Paths are asked for each time: a run's directory may move. `history` gives the run's
 * records as a table, `sample` the state of the machine, every `sampleMillis` if a backend wants it. `hasOthers`: the run has backends
 * that are not told now, and get what is kept for them later.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly entries: ReadonlyArray<Entry>
  readonly context: Omit<Backend.Context, "checkpoint" | "directory">
  readonly directory: () => string
  readonly log: () => string
  readonly history: Effect.Effect<Backend.Table, Backend.BackendError>
  readonly lastSeq: number
  readonly hasOthers?: boolean | undefined
  readonly sample?: Effect.Effect<Backend.Sample["metrics"]> | undefined
  readonly sampleMillis?: number | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts the backends of a run. They end with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<Tracker, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { context, directory, lastSeq, log } = options
    const outbox = () => RunDirectory.outboxPath(log())
    let history = options.history
    // A name is what a backend's cursor is kept under: two of one name would count as one.
    const entries = options.entries.filter(({ name }, i, all) => all.findIndex((entry) => entry.name === name) === i)
    for (const { name } of options.entries.filter((entry) => !entries.includes(entry))) {
      yield* Effect.logWarning(`Two backends are named "${name}": the second is not used. Give it another name`)
    }
    const backends = yield* Effect.forEach(entries, ({ factory, name }) =>
      Supervisor.supervise({
        name,
        factory,
        context,
        directory,
        log,
        cursor: () => RunDirectory.cursorPath(log(), name),
        lock: () => RunDirectory.deliveryLockPath(log(), name),
        outbox,
        history: Effect.suspend(() => history),
        lastSeq
      }))

    const find = (name: string): Supervisor.Supervised | undefined =>
      backends.find((supervised) => supervised.name === name.trim().toLowerCase())

    /** Keeps something for the backends. Without backends there is nobody to keep it for. */
    const keeps = backends.length > 0 || options.hasOthers === true
    const put = (entries: () => ReadonlyArray<Outbox.Entry>, what: string): Effect.Effect<void> =>
      !keeps ? Effect.void : Effect.try(() => {
        Outbox.append(outbox(), entries())
        for (const backend of backends) backend.look()
      }).pipe(
        Effect.catch((error) => {
          const warning = `${what} cannot be kept for the backends: ${explain(error.cause)}`
          if (told.has(warning) || told.size >= mostTold) return Effect.void
          told.add(warning)
          return Effect.logWarning(warning)
        })
      )
    const told = new Set<string>()

    // Where the outbox ends, and how many came before in this process: no name is given twice.
    let placed = 0
    const place = (folder: string, name: string, extension: string): { readonly path: string; readonly to: string } => {
      const unique = `${FileName.files().name(name)}-${Outbox.size(outbox())}-${++placed}${extension}`
      const path = Path.join(folder, unique)
      const to = Path.join(Outbox.folder(outbox()), path)
      makeDirectory(Path.dirname(to))
      return { path, to }
    }

    const logImage: Tracker["logImage"] = (name, path, image = {}) =>
      put(() => {
        const kept = place("images", name, Path.extname(path))
        Fs.copyFileSync(path, kept.to, Fs.constants.COPYFILE_FICLONE)
        return [{ kind: "image", name, path: kept.path, kept: true, ...image }]
      }, `The image ${path}`)

    const logTable: Tracker["logTable"] = (name, table) =>
      !keeps ? Effect.void : Effect.suspend(() => {
        const { path, to } = place("tables", name, ".jsonl")
        return Effect.flatMap(
          TableFile.write(to, table),
          () => put(() => [{ kind: "table", name, path, kept: true }], `The table ${name}`)
        )
      }).pipe(
        Effect.catch((error) => Effect.logWarning(`The table ${name} cannot be kept: ${error.message}`)),
        Effect.catchDefect((cause) => Effect.logWarning(`The table ${name} cannot be kept: ${explain(cause)}`))
      )

    const logSummary = (values: Metrics, backend?: string): Effect.Effect<void> =>
      put(() => [{ kind: "summary", values, ...(backend === undefined ? {} : { backend }) }], "The summary")

    if (options.sample !== undefined) {
      const everyMillis = options.sampleMillis ?? defaultSampleMillis
      yield* Effect.forkScoped(sampling(options.sample, everyMillis, () => Outbox.lastSample(outbox()), backends, put))
    }

    return {
      names: entries.map((entry) => entry.name),
      getBackend: (name) => find(name)?.backend ?? Effect.undefined,
      wandbRun: Effect.map(find("wandb")?.backend ?? Effect.undefined, (backend) =>
        backend?.run === undefined
          ? undefined
          : { ...backend.run, summary: (values) => logSummary(values, "wandb") }),
      offer: (rows, offset) => {
        for (const backend of backends) backend.offer(rows, offset)
      },
      logTable,
      logImage,
      logArtifacts: (paths) =>
        put(() => [{
          kind: "artifacts",
          paths: paths.map((path) => inside(directory(), path)),
          directory: Path.resolve(directory())
        }], "Artifacts"),
      logSummary,
      watch: (object, watching) =>
        Effect.forEach(backends, (supervised) =>
          supervised.attempt("watch", (backend) => backend.watch(object, watching)), {
          concurrency: "unbounded",
          discard: true
        }),
      move: (to, timeout) =>
        Effect.forEach(backends, (supervised) =>
          supervised.move(to, timeout), { concurrency: "unbounded", discard: true }),
      drain: (timeout) =>
        Effect.forEach(backends, (supervised) =>
          supervised.drain(timeout), { concurrency: "unbounded" }),
      files: Effect.map(
        Effect.forEach(backends, (supervised) =>
          supervised.files, { concurrency: "unbounded" }),
        (files) =>
          files.flat()
      ),
      finish: (state, timeout, outputs) =>
        Effect.gen(function*() {
          const until = (yield* Clock.currentTimeMillis) + timeout
          if (outputs !== undefined) {
            history = Effect.succeed(outputs.history)
            // Some make a file of it, which is among the artifacts that the others get.
            const isHistory = ({ kind }: Outbox.Entry): boolean =>
              kind === "history"
            yield* put(() => outputs.entries.filter(isHistory), "The history")
            const writing = yield* Effect.filter(backends, (supervised) =>
              Effect.map(supervised.files, (files) => files.length > 0), { concurrency: "unbounded" })
            yield* Effect.forEach(writing, (supervised) =>
              supervised.drain(timeout), { concurrency: "unbounded" })
            yield* put(() =>
              outputs.entries.filter((entry) => !isHistory(entry)), "The outputs")
          }
          const left = Math.max(0, until - (yield* Clock.currentTimeMillis))
          return yield* Effect.forEach(backends, (supervised) => supervised.finish(state, left), {
            concurrency: "unbounded"
          })
        })
    }
  })

/**
 * A path as the outbox has it: relative to the run's directory where it lies in it.
 *
 * @category paths
 * @since 0.2.0
 */
export const inside = (directory: string, path: string): string => {
  const relative = Path.relative(directory, path)
  return relative === "" || relative.startsWith("..") || Path.isAbsolute(relative) ? Path.resolve(path) : relative
}

/** So many things that could not be kept are told about. */
const mostTold = 20

// -----------------------------------------------------------------------------
// Samples of the machine
// -----------------------------------------------------------------------------

const defaultSampleMillis = 10_000

/** At the start and then on a timer, from when a backend has started that wants them. */
const sampling = (
  sample: Effect.Effect<Backend.Sample["metrics"]>,
  everyMillis: number,
  last: () => number,
  backends: ReadonlyArray<Supervisor.Supervised>,
  put: (entries: () => ReadonlyArray<Outbox.Entry>, what: string) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const started = yield* Effect.forEach(backends, (supervised) => supervised.backend, { concurrency: "unbounded" })
    if (!started.some((backend) => backend?.wantsSystem ?? true)) return
    for (let seq = last() + 1;; seq++) {
      const metrics = yield* sample
      const timestamp = (yield* Clock.currentTimeMillis) / 1000
      yield* put(() => [{ kind: "system", seq, timestamp, metrics }], "System metrics")
      yield* Effect.sleep(everyMillis)
    }
  })
