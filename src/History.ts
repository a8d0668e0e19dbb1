/**
 * The history of a run: what a program records its metrics with.
 *
 * A record goes one way: it is decoded, appended to the run log, reduced across ranks, and told to the backends; what
 * is given back (a line for the console, a {@link Tracked}) exists only once the log has the record. `finalize` reads
 * the log again and makes everything else of it.
 *
 * `make` is for programs that call `update`, `track`, `run` and `finalizeSink` are for streams.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as RunInfo from "./artifact/RunInfo.ts"
import type * as Backend from "./Backend.ts"
import * as Finalize from "./Finalize.ts"
import * as Journal from "./Journal.ts"
import * as Metrics from "./Metrics.ts"
import type { Environment, Rank } from "./Rank.ts"
import * as Reducer from "./Reducer.ts"
import type { Row } from "./Row.ts"
import * as RunDirectory from "./RunDirectory.ts"
import * as RunLog from "./RunLog.ts"
import * as Secrets from "./Secrets.ts"
import * as Summary from "./Summary.ts"
import type * as Supervisor from "./Supervisor.ts"
import * as Tracker from "./Tracker.ts"
import { version } from "./version.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How a run is recorded. All optional.
 *
 * - `projectName`, `runName`, `runId`: who the run is. The project is else WB_PROJECT, WANDB_PROJECT, WB_PROJECT_NAME,
 *   or derived from the script; the id is else made from the time and four random characters.
 * - `outdir`: the run's directory. Without it the log is `<reportDir>/<run id>/<run id>.jsonl` until `finalize`.
 * - `jsonlPath`: where the log is instead. `exists` says what becomes of one that is there: `append` goes on with it,
 *   `overwrite` replaces it, `fail` refuses. `jsonlOverwrite` is the reference's name for the first two.
 * - `backends`: names, as `"wandb,csv"` or a list; `tracker`: backends made beforehand, beside those.
 * - `config`: hyperparameters. What looks like a credential in it is masked everywhere.
 * - `keys`: metrics known beforehand; they come first in tables and datasets.
 * - `distributedHistory`: statistics across ranks; `"auto"` (the default) takes the {@link Reducer.Reducer} there is.
 * - `stepKey`: the name of the step in records that come without one from the caller.
 * - `precision`, `style`, `constants`: see {@link Summary.format}.
 * - `fsync`: every write waits for the disk, so that records survive the loss of power.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly projectName?: string | undefined
  readonly runName?: string | undefined
  readonly runId?: string | undefined
  readonly outdir?: string | undefined
  readonly reportDir?: string | undefined
  readonly reportEnabled?: boolean | undefined
  readonly jsonlPath?: string | undefined
  readonly jsonlOverwrite?: boolean | undefined
  readonly exists?: "append" | "overwrite" | "fail" | undefined
  readonly backends?: string | ReadonlyArray<string> | undefined
  readonly tracker?: ReadonlyArray<Backend.Backend> | undefined
  readonly config?: Backend.Config | undefined
  readonly keys?: ReadonlyArray<string> | undefined
  readonly distributedHistory?: boolean | "auto" | undefined
  readonly stepKey?: string | undefined
  readonly precision?: number | undefined
  readonly style?: "aligned" | "tight" | undefined
  readonly constants?: ReadonlyArray<string> | undefined
  readonly fsync?: boolean | undefined
  readonly environment?: Environment | undefined
}

/**
 * What one `update` may say beside the metrics.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateOptions {
  readonly step?: number
  readonly precision?: number
}

/**
 * A record that is in the log, and the line the console shows for it (formatted when it is first asked for).
 *
 * `stepKey` is the name under which the step came in the record; undefined where the caller gave it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tracked extends Row {
  readonly stepKey: string | undefined
  readonly summary: string
}

/**
 * A run that is being recorded.
 *
 * `update` returns once its record is in the log. `updateAll` takes records decoded by {@link Metrics.decodeLine} or
 * {@link Metrics.decode}, writes them at once, and gives back those whose step has closed.
 *
 * @category models
 * @since 0.1.0
 */
export interface History {
  readonly runId: string
  readonly directory: string
  readonly logPath: string
  readonly resumedAt: number
  readonly tracker: Tracker.Tracker
  readonly update: (metrics: Metrics.Input, options?: UpdateOptions) => Effect.Effect<string, UpdateError>
  readonly updateAll: (
    records: ReadonlyArray<Metrics.Decoded>
  ) => Effect.Effect<ReadonlyArray<Tracked>, RunLog.RunLogError>
  readonly finalize: (options?: FinalizeOptions) => Effect.Effect<Finalized, FinalizeError>
}

/**
 * How a run is folded into its outputs.
 *
 * - `outdir`, `runName`: where to, if not the run's directory (`outdir/runName` if both are given); log and csv move
 *   there first. If another run is there, a folder named after the run id is made inside it, and that is said.
 * - `warmup`: how many draws of each group datasets and plots leave out; below 1 a fraction.
 * - `numChains`: how many chains ridge plots show. `plots`: whether metric and terminal plots are drawn; `allPlots`:
 *   also beyond the limit.
 * - `state`: how the run ended, for backends and the report. `finishTimeout`: seconds (60) that backends get.
 *
 * @category models
 * @since 0.1.0
 */
export interface FinalizeOptions extends Finalize.Outputs {
  readonly outdir?: string | undefined
  readonly runName?: string | undefined
  readonly state?: Backend.RunState | undefined
  readonly finishTimeout?: number | undefined
  readonly refused?: number | undefined
}

/**
 * What was made of a run.
 *
 * `datasets` holds one by group; `dataset` is the only one of a run that has one. Their values are read when asked for.
 * `undelivered` says, for each backend, how many records it has not acknowledged.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finalized extends Finalize.Result {
  readonly runId: string
  readonly delivered: ReadonlyArray<Supervisor.Delivered>
  readonly undelivered: ReadonlyArray<Supervisor.Delivered>
}

/**
 * What `update` fails with: the record could not be understood, or not be written.
 *
 * @category errors
 * @since 0.1.0
 */
export type UpdateError = RecordError | RunLog.RunLogError

/**
 * What `finalize` fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type FinalizeError = Finalize.FinalizeError | RunDirectory.RunDirectoryError

/**
 * What `make` fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type MakeError = RunLog.RunLogError | RunDirectory.RunDirectoryError | Reducer.ReducerError

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Opens a run. It is closed with the scope: backends get a last chance, the lock is released.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { History } from "ezpz-stream"
 *
 * const program = Effect.gen(function*() {
 *   const history = yield* History.make({ projectName: "demo", outdir })
 *   const line = yield* history.update({ loss: 0.42 }, { step: 1 })
 *   assert.strictEqual(line, "loss=0.420000")
 *   const { dataset } = yield* history.finalize({ plots: false })
 *   assert.strictEqual(dataset?.draws, 1)
 * }).pipe(Effect.scoped)
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<History, MakeError, Scope.Scope> =>
  Effect.gen(function*() {
    const environment = options.environment ?? process.env
    const startedAt = yield* now
    const place = yield* locate(options)
    // A scope of its own, so that `finalize` can close the log before it reads it.
    const scope = yield* Effect.scope
    const writing = yield* Scope.fork(scope)
    yield* RunDirectory.lock(place.logPath)
    const known = yield* RunDirectory.readRun(place.logPath)
    const writer = yield* Scope.provide(
      RunLog.writer({
        path: place.logPath,
        mode: place.exists === "fail" ? "create" : place.exists,
        ...(options.fsync === undefined ? {} : { fsync: options.fsync })
      }),
      writing
    )
    const resumed = writer.lastSeq > 0 ? known : undefined
    const runId = resumed?.runId ?? place.runId
    const entries = [
      ...(yield* Tracker.select(options.backends, environment)),
      ...(options.tracker ?? []).map((backend) => ({ name: backend.name, factory: () => Effect.succeed(backend) }))
    ]
    const config = Secrets.mask(options.config ?? resumed?.config ?? {}, environment)
    let run: RunDirectory.Run = {
      format: RunLog.formatVersion,
      runId,
      runName: options.runName ?? resumed?.runName ?? null,
      projectName: options.projectName ?? resumed?.projectName ?? projectFrom(environment, process.argv[1]),
      createdAt: resumed?.createdAt ?? startedAt,
      state: "running",
      backends: [...new Set([...(resumed?.backends ?? []), ...entries.map((entry) => entry.name)])],
      config
    }
    yield* RunDirectory.writeRun(place.logPath, run)
    const reducer = yield* chooseReducer(options.distributedHistory)
    const rank = reducer.rank.rank
    // Asking git takes longer than training starts: the first records do not wait for it.
    const provenance = yield* Effect.forkScoped(keepProvenance(place.logPath, reducer.rank, environment))
    if (writer.lastSeq === 0) yield* forgetCursors(place.logPath, run.backends)

    let logPath = place.logPath
    let directory = place.directory
    const journal = yield* Journal.make(directory, rank)
    yield* journal.write(resumed === undefined ? "run started" : "run resumed", {
      runId,
      project: run.projectName,
      backends: entries.map((entry) => entry.name),
      seq: writer.lastSeq
    })
    const tracker = yield* journal.within(Tracker.make({
      entries,
      context: {
        runId,
        runName: run.runName ?? undefined,
        projectName: run.projectName,
        directory,
        config,
        keys: options.keys ?? [],
        environment
      },
      log: () => logPath,
      cursor: (backend) => RunDirectory.cursorPath(logPath, backend),
      lastSeq: writer.lastSeq
    }))

    // What a call to the reducer published, for that call to give back.
    let published: Array<Row> = []
    const publish = (rows: ReadonlyArray<Row>): void => {
      const statistics = rows.filter((row) => row.statistics !== undefined)
      if (statistics.length > 0) writer.appendUnsafe(statistics.map(closingLine).join(""))
      tracker.offer(rows, writer.end())
      published = published.length === 0 ? [...rows] : [...published, ...rows]
    }
    const reduction = yield* reducer.open(runId, publish)
    const formatter = Summary.make({
      ...(options.precision === undefined ? {} : { precision: options.precision }),
      ...(options.style === undefined ? {} : { style: options.style }),
      ...(options.constants === undefined ? {} : { constants: options.constants })
    })

    let seq = writer.lastSeq
    let closed = false

    /** Throws RunLogError; then nothing was recorded. */
    const record = (records: ReadonlyArray<Metrics.Decoded>, clock: Clock.Clock): ReadonlyArray<Row> => {
      const timestamp = clock.currentTimeMillisUnsafe() / 1000
      let lines = ""
      const rows: Array<Row> = []
      for (const { metrics, step, text } of records) {
        const next = seq + rows.length + 1
        lines += RunLog.recordLine(next, step, timestamp, rank, text)
        rows.push({ seq: next, step, timestamp, rank, metrics, statistics: undefined })
      }
      writer.appendUnsafe(lines)
      seq += rows.length
      published = []
      reduction.offer(rows)
      return published
    }

    const told = new Set<string>()
    const tell = (records: ReadonlyArray<Metrics.Decoded>): Effect.Effect<void> => {
      const fresh = records.flatMap((decoded) => decoded.notes).filter((note) => !told.has(note) && told.size < 1000)
      if (fresh.length === 0) return Effect.void
      for (const note of fresh) told.add(note)
      return journal.within(Effect.forEach(new Set(fresh), (note) => Effect.logWarning(note), { discard: true }))
    }

    const update: History["update"] = (input, { precision, step } = {}) =>
      Effect.clockWith((clock): Effect.Effect<string, UpdateError> => {
        if (closed) return Effect.fail(new RecordError({ reason: "the run is finalized" }))
        const decoded = Metrics.decode(input, options.stepKey)
        if (decoded._tag === "Refused") return Effect.fail(new RecordError({ reason: decoded.reason }))
        try {
          record([step === undefined ? decoded : { ...decoded, step }], clock)
        } catch (error) {
          return RunLog.failWith(error)
        }
        const line = formatter.format(decoded.metrics, published[0]?.statistics?.values, {
          precision,
          ...(step === undefined ? leading(decoded) : none)
        })
        return decoded.notes.length === 0 ? Effect.succeed(line) : Effect.as(tell([decoded]), line)
      })

    const updateAll: History["updateAll"] = (records) =>
      Effect.clockWith((clock) => {
        if (records.length === 0) return Effect.succeed([])
        let rows: ReadonlyArray<Row>
        try {
          rows = record(records, clock)
        } catch (error) {
          return RunLog.failWith(error)
        }
        const first = seq - records.length + 1
        const tracked = rows.map((row) => new TrackedRow(row, records[row.seq - first]?.stepKey, formatter, history))
        return records.some((decoded) => decoded.notes.length > 0)
          ? Effect.as(tell(records), tracked)
          : Effect.succeed(tracked)
      })

    const finalize: History["finalize"] = (finalizing = {}) =>
      journal.within(Effect.gen(function*() {
        closed = true
        const timeout = (finalizing.finishTimeout ?? 60) * 1000
        const state = finalizing.state ?? "finished"
        yield* reduction.flush
        const delivered = yield* tracker.drain(timeout)
        const origin = yield* Fiber.join(provenance)
        yield* Scope.close(writing, Exit.void)
        const target = yield* chooseTarget(finalizing, directory, runId)
        if (Path.resolve(target) !== Path.resolve(directory) || Path.basename(logPath) !== RunDirectory.logName) {
          const from = logPath
          logPath = Path.join(target, RunDirectory.logName)
          directory = target
          yield* Scope.provide(RunDirectory.move(from, logPath), scope)
          yield* tracker.move(target)
          yield* journal.move(target)
        }
        run = { ...run, state, runName: finalizing.runName ?? run.runName }
        yield* RunDirectory.writeRun(logPath, run)
        const result = yield* Finalize.run({
          ...finalizing,
          logPath,
          directory,
          run,
          environment,
          provenance: origin,
          delivered,
          keys: options.keys ?? [],
          report: (options.reportEnabled ?? true) && (finalizing.report ?? true),
          tracker,
          finishTimeoutMillis: timeout,
          refused: finalizing.refused ?? 0
        })
        const undelivered = result.delivered.filter((backend) => backend.undelivered > 0)
        yield* journal.write("run finalized", { runId, state, records: result.rows, undelivered })
        return { ...result, files: [...result.files, Path.resolve(journal.path())], runId, undelivered }
      }))

    yield* Effect.addFinalizer(() => closed ? Effect.void : Effect.andThen(reduction.flush, tracker.drain(10_000)))

    const history: History = {
      runId,
      get directory() {
        return directory
      },
      get logPath() {
        return logPath
      },
      resumedAt: writer.lastSeq,
      tracker,
      update,
      updateAll,
      finalize
    }
    return history
  })

const now: Effect.Effect<number> = Effect.clockWith((clock) =>
  Effect.sync(() => clock.currentTimeMillisUnsafe() / 1000)
)

/**
 * An id for a run: `20261123-134512-k3f9`. Ids sort by time, and two runs of one second differ.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeRunId: Effect.Effect<string> = Effect.gen(function*() {
  const [date = "", time = ""] = new Date((yield* now) * 1000).toISOString().split("T")
  const random = yield* Random.nextIntBetween(0, 36 ** 4)
  return `${date.replaceAll("-", "")}-${time.slice(0, 8).replaceAll(":", "")}-${random.toString(36).padStart(4, "0")}`
})

// -----------------------------------------------------------------------------
// Streams
// -----------------------------------------------------------------------------

/**
 * Tracks a stream of metrics: every record comes out again once it is in the log and its step has closed. The run is
 * open as long as the stream runs; {@link finalizeSink} at its end folds it.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { History } from "ezpz-stream"
 *
 * const metrics = Stream.make({ step: 1, loss: 0.5 }, { step: 2, loss: 0.25 })
 * const lines = metrics.pipe(
 *   History.track({ outdir }),
 *   Stream.map((tracked) => tracked.summary),
 *   Stream.runCollect
 * )
 * assert.deepStrictEqual(await Effect.runPromise(lines), ["step=1 loss=0.500000", "step=2 loss=0.250000"])
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const track: {
  (options?: Options): <E, R>(
    metrics: Stream.Stream<Metrics.Input, E, R>
  ) => Stream.Stream<Tracked, E | MakeError | UpdateError, R>
  <E, R>(
    metrics: Stream.Stream<Metrics.Input, E, R>,
    options?: Options
  ): Stream.Stream<Tracked, E | MakeError | UpdateError, R>
} = dual(
  (args) => Stream.isStream(args[0]),
  <E, R>(metrics: Stream.Stream<Metrics.Input, E, R>, options: Options = {}) =>
    Stream.unwrap(Effect.map(make(options), (history) => trackWith(metrics, history, options)))
)

const trackWith = <E, R>(
  metrics: Stream.Stream<Metrics.Input, E, R>,
  history: History,
  options: Options
): Stream.Stream<Tracked, E | UpdateError, R> =>
  Stream.mapAccumArrayEffect(metrics, () => undefined, (_, inputs) =>
    Effect.gen(function*() {
      const records: Array<Metrics.Decoded> = []
      for (const input of inputs) {
        const decoded = Metrics.decode(input, options.stepKey)
        if (decoded._tag === "Refused") {
          yield* history.updateAll(records)
          return yield* new RecordError({ reason: decoded.reason })
        }
        records.push(decoded)
      }
      return [undefined, yield* history.updateAll(records)] as const
    }))

/**
 * Tracks a stream to its end and folds the run.
 *
 * @category streams
 * @since 0.1.0
 */
export const run: {
  (options?: Options & FinalizeOptions): <E, R>(
    metrics: Stream.Stream<Metrics.Input, E, R>
  ) => Effect.Effect<Finalized, E | MakeError | UpdateError | FinalizeError, R>
  <E, R>(
    metrics: Stream.Stream<Metrics.Input, E, R>,
    options?: Options & FinalizeOptions
  ): Effect.Effect<Finalized, E | MakeError | UpdateError | FinalizeError, R>
} = dual(
  (args) => Stream.isStream(args[0]),
  <E, R>(metrics: Stream.Stream<Metrics.Input, E, R>, options: Options & FinalizeOptions = {}) =>
    Effect.scoped(Effect.gen(function*() {
      const history = yield* make(options)
      yield* Stream.runDrain(trackWith(metrics, history, options))
      return yield* history.finalize(options)
    }))
)

/**
 * The end of a tracked stream: takes what {@link track} gives, and folds its run when the stream ends.
 *
 * @category streams
 * @since 0.1.0
 */
export const finalizeSink = (
  options: Options & FinalizeOptions = {}
): Sink.Sink<Finalized, Tracked, never, MakeError | FinalizeError> =>
  Sink.last<Tracked>().pipe(Sink.mapEffect((last) => {
    const history = Option.isSome(last) ? TrackedRow.historyOf(last.value) : undefined
    // A stream without a record leaves a run without one.
    return history === undefined
      ? Effect.scoped(Effect.flatMap(make(options), (empty) => empty.finalize(options)))
      : history.finalize(options)
  }))

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * A record that cannot be recorded.
 *
 * @category errors
 * @since 0.1.0
 */
export class RecordError extends Schema.TaggedError<RecordError>()("RecordError", { reason: Schema.String }) {
  override get message(): string {
    return `The record was refused: ${this.reason}.`
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

class TrackedRow implements Tracked {
  readonly seq: number
  readonly step: number | undefined
  readonly timestamp: number
  readonly rank: number
  readonly metrics: Metrics.Metrics
  readonly statistics: Row["statistics"]
  readonly stepKey: string | undefined
  readonly #formatter: Summary.Formatter
  readonly #history: History
  #summary: string | undefined

  constructor(row: Row, stepKey: string | undefined, formatter: Summary.Formatter, history: History) {
    this.seq = row.seq
    this.step = row.step
    this.timestamp = row.timestamp
    this.rank = row.rank
    this.metrics = row.metrics
    this.statistics = row.statistics
    this.stepKey = stepKey
    this.#formatter = formatter
    this.#history = history
  }

  get summary(): string {
    return this.#summary ??= this.#formatter.format(this.metrics, this.statistics?.values, leading(this))
  }

  static historyOf(tracked: Tracked): History | undefined {
    return tracked instanceof TrackedRow ? tracked.#history : undefined
  }
}

const none: Summary.LineOptions = {}

/** The step leads the line under the name it came with; one that the caller gave is not repeated to them. */
const leading = ({ step, stepKey }: Pick<Tracked, "step" | "stepKey">): Summary.LineOptions =>
  stepKey === undefined ? none : { step, stepKey }

const closingLine = (row: Row): string =>
  row.statistics === undefined ? "" : RunLog.statisticsLine({ ...row, statistics: row.statistics })

interface Place {
  readonly runId: string
  readonly directory: string
  readonly logPath: string
  readonly exists: "append" | "overwrite" | "fail"
}

const locate = (options: Options): Effect.Effect<Place> =>
  Effect.map(options.runId === undefined ? makeRunId : Effect.succeed(options.runId), (runId) => {
    const logPath = options.jsonlPath ?? (options.outdir === undefined
      ? Path.join(options.reportDir ?? "outputs/history", runId, `${runId}.jsonl`)
      : Path.join(options.outdir, RunDirectory.logName))
    return {
      runId,
      logPath,
      directory: options.outdir ?? Path.dirname(logPath),
      exists: options.exists ?? (options.jsonlOverwrite === true ? "overwrite" : "append")
    }
  })

/** The project of a run that does not say: from the environment, else `parent.script`. */
const projectFrom = (environment: Environment, script: string | undefined): string => {
  const given = environment["WB_PROJECT"] || environment["WANDB_PROJECT"] || environment["WB_PROJECT_NAME"]
  if (given !== undefined && given !== "") return given
  const path = Path.resolve(script ?? "run")
  return `${Path.basename(Path.dirname(path))}.${Path.basename(path, Path.extname(path))}`
}

/** A log that starts anew has been delivered to nobody. */
const forgetCursors = (logPath: string, backends: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const backend of backends) Fs.rmSync(RunDirectory.cursorPath(logPath, backend), { force: true })
  })

/** Where the run comes from: kept from its first start, else collected here and now. */
const keepProvenance = (
  logPath: string,
  rank: Rank,
  environment: Environment
): Effect.Effect<RunInfo.Provenance> =>
  Effect.gen(function*() {
    const kept = yield* RunInfo.readProvenance(logPath)
    if (kept !== undefined) return kept
    const provenance = yield* RunInfo.provenance({ version, environment, rank })
    yield* Effect.ignore(RunInfo.writeProvenance(logPath, provenance))
    return provenance
  })

const chooseReducer = (distributed: boolean | "auto" = "auto"): Effect.Effect<Reducer.Reducer["Service"]> =>
  distributed === false
    ? Effect.succeed(Reducer.local)
    : Effect.map(Effect.serviceOption(Reducer.Reducer), Option.getOrElse(() => Reducer.local))

/** Where the outputs go. A directory that holds another run gets this one inside it. */
const chooseTarget = (
  { outdir, runName }: FinalizeOptions,
  directory: string,
  runId: string
): Effect.Effect<string> =>
  Effect.gen(function*() {
    if (outdir === undefined) return directory
    const target = runName === undefined ? outdir : Path.join(outdir, runName)
    if (Path.resolve(target) === Path.resolve(directory)) return directory
    if (!Fs.existsSync(Path.join(target, RunDirectory.logName))) return target
    const inside = Path.join(target, runId)
    yield* Effect.logWarning(`${target} holds another run, which stays as it is. This one is written to ${inside}`)
    return inside
  })
