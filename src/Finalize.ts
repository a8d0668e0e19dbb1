/**
 * A run folded into everything that is made of it: datasets, plots, terminal plots, the report, and what backends take.
 *
 * Two passes over the log. The first counts ({@link Census}); then all sizes and names are known, and the second feeds
 * every fold at once. Nothing is taken from memory, so a run that has just ended and one that was killed a year ago
 * give the same files. What is derived replaces what was there.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Path from "node:path"
import type { ArtifactError } from "./artifact/ArtifactError.ts"
import * as Dataset from "./artifact/Dataset.ts"
import * as HtmlReport from "./artifact/HtmlReport.ts"
import * as Plot from "./artifact/Plot.ts"
import * as Ranks from "./artifact/Ranks.ts"
import * as Report from "./artifact/Report.ts"
import * as RunInfo from "./artifact/RunInfo.ts"
import * as Series from "./artifact/Series.ts"
import * as TerminalPlot from "./artifact/TerminalPlot.ts"
import * as Backend from "./Backend.ts"
import * as Census from "./Census.ts"
import * as Columns from "./Columns.ts"
import * as Fold from "./Fold.ts"
import type * as Outbox from "./Outbox.ts"
import type { Environment } from "./Rank.ts"
import type { Row } from "./Row.ts"
import * as RunDirectory from "./RunDirectory.ts"
import * as RunLog from "./RunLog.ts"
import type * as Supervisor from "./Supervisor.ts"
import * as Tracker from "./Tracker.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is made of a run, and how: see `History.FinalizeOptions`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Outputs {
  readonly warmup?: number | undefined
  readonly numChains?: number | undefined
  readonly plots?: boolean | undefined
  readonly allPlots?: boolean | undefined
  readonly report?: boolean | undefined
}

/**
 * The files of a finalized run, and what was left out.
 *
 * `files` are absolute paths. `corrupt` counts lines of the log that could not be read, `notDrawn` the metrics of each
 * group beyond the limit of plots, `failed` the plots that could not be written.
 *
 * @category models
 * @since 0.1.0
 */
export interface Result {
  readonly directory: string
  readonly rows: number
  readonly corrupt: number
  readonly datasets: { readonly [group: string]: Dataset.DatasetFile }
  readonly dataset: Dataset.DatasetFile | undefined
  readonly series: ReadonlyArray<Series.Series>
  readonly files: ReadonlyArray<string>
  readonly notDrawn: ReadonlyArray<{ readonly group: string; readonly count: number }>
  readonly failed: ReadonlyArray<ArtifactError>
  readonly delivered: ReadonlyArray<Supervisor.Delivered>
}

/**
 * What goes wrong when a run is folded. The log stays as it is.
 *
 * @category errors
 * @since 0.1.0
 */
export type FinalizeError = RunLog.RunLogError | ArtifactError

/**
 * Told how folding goes: which phase, and how much of it is done (both counts are in the phase's own unit).
 *
 * @category services
 * @since 0.1.0
 */
export const Progress = Context.Reference<(phase: string, done: number, total: number) => void>(
  "ezpz-stream/Finalize/Progress",
  { defaultValue: () => () => {} }
)

// -----------------------------------------------------------------------------
// The passes
// -----------------------------------------------------------------------------

/**
 * The first pass: what a log holds.
 *
 * @category passes
 * @since 0.1.0
 */
export interface Count {
  readonly census: Census.Census
  /** How far statistics stand behind their record: the window of {@link RunLog.rows}. */
  readonly window: number
  /** How many lines could not be read, and the first of them. */
  readonly corrupt: { readonly count: number; readonly first: ReadonlyArray<RunLog.Corrupt> }
}

const mostCorrupt = 100

const countingFold = (keys: ReadonlyArray<string>): Fold.Fold<RunLog.Page, Count> =>
  Fold.all({
    census: pageEntries(Census.foldKnowing(keys)),
    window: Fold.make(
      () => ({ last: 0, window: 0 }),
      (state, page: RunLog.Page) => {
        for (const entry of page.entries) {
          if (RunLog.isRow(entry)) state.last = entry.seq
          else state.window = Math.max(state.window, Math.min(state.last - entry.seq + 1, RunLog.maxWindow))
        }
        return state
      },
      (state) => state.window
    ),
    corrupt: Fold.make(
      (): { count: number; readonly first: Array<RunLog.Corrupt> } => ({ count: 0, first: [] }),
      (state, page: RunLog.Page) => {
        state.count += page.corrupt.length
        for (const corrupt of page.corrupt) {
          if (state.first.length < mostCorrupt) state.first.push(corrupt)
        }
        return state
      },
      (state) => state
    )
  })

/** A fold over entries sees them page by page. */
const pageEntries = <B, E, R>(fold: Fold.Fold<RunLog.Entry, B, E, R>): Fold.Fold<RunLog.Page, B, E, R> => ({
  open: Effect.map(fold.open, (running) => ({
    push: (pages) => Effect.forEach(pages, (page) => running.push(page.entries), { discard: true }),
    done: running.done
  }))
})

/**
 * Counts what a log holds.
 *
 * @category passes
 * @since 0.1.0
 */
export const count = (logPath: string, keys: ReadonlyArray<string> = []): Effect.Effect<Count, RunLog.RunLogError> =>
  Fold.run(RunLog.pages(logPath), countingFold(keys))

// -----------------------------------------------------------------------------
// Folding a run
// -----------------------------------------------------------------------------

/**
 * What folding needs to know beside the log.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Outputs {
  readonly logPath: string
  readonly directory: string
  readonly run: RunDirectory.Run
  readonly environment: Environment
  readonly provenance: RunInfo.Provenance
  /** How far the backends had come when folding began. */
  readonly delivered: ReadonlyArray<Supervisor.Delivered>
  readonly keys: ReadonlyArray<string>
  readonly tracker: Tracker.Tracker
  readonly finishTimeoutMillis: number
  readonly refused: number
}

/**
 * Folds a run. Its log must be complete, and its backends have been offered all of it.
 *
 * @category folding
 * @since 0.1.0
 */
export const run = (options: Options): Effect.Effect<Result, FinalizeError> =>
  Effect.gen(function*() {
    const { environment, logPath, numChains, plots = true, warmup = 0 } = options
    // Absolute: what is made is linked to from the report, wherever we are.
    const directory = Path.resolve(options.directory)
    const progress = yield* Effect.service(Progress)
    const { phase, timings } = yield* makeTimer
    const before = yield* RunDirectory.outputs(directory)

    const counted = yield* phase("counting", count(logPath, options.keys))
    const { census, corrupt } = counted

    const maxPerGroup = plots ? (options.allPlots === true ? Infinity : 500) : 0
    const folded = yield* phase(
      "folding",
      Fold.run(
        RunLog.rows(logPath, counted.window).pipe(showRows(census.rows, progress)),
        Fold.all({
          datasets: Columns.fromRows(
            Dataset.fold(census, { directory, runId: options.run.runId, warmup }),
            census,
            warmup
          ),
          series: Columns.fromRows(
            Series.fold(census, {
              warmup,
              maxPerGroup,
              ...(maxPerGroup === Infinity ? { maxTotal: Infinity } : {}),
              ...(numChains === undefined ? {} : { numChains })
            }),
            census,
            warmup
          ),
          ranks: Ranks.fold(census, { warmup })
        })
      )
    )
    const { notDrawn, series } = folded.series
    const drawn = series.filter((one) => one.drawn)

    yield* tellRenamed(census)
    const style = TerminalPlot.optionsFromEnv(environment)
    for (const note of style.notes) yield* Effect.logWarning(note)
    const terminalPlots = yield* phase(
      "terminal plots",
      Effect.forEach(drawn, (one) =>
        Effect.map(TerminalPlot.draw(one, { directory, ...style.options }), (plot) => ({
          series: one,
          paths: [plot.main, plot.summary, plot.hist].filter((path) => path !== undefined)
        })))
    )
    const pictures = yield* phase<Pictures, ArtifactError, never>(
      "plots",
      plots
        ? Plot.draw(series, {
          directory,
          runId: options.run.runId,
          onProgress: (done, total) => Effect.sync(() => progress("plots", done, total))
        })
        : Effect.succeed({ plots: [], failures: [] })
    )

    const made = [
      logPath,
      ...(yield* options.tracker.files),
      ...folded.datasets.map((dataset) => dataset.path),
      ...pictures.plots.flatMap((plot) => [plot.png, plot.svg]),
      ...(pictures.index === undefined ? [] : [pictures.index]),
      ...terminalPlots.flatMap((plot) => plot.paths)
    ]
    const info = yield* RunInfo.collect({
      run: options.run,
      directory,
      environment,
      provenance: options.provenance,
      startedAt: Math.min(options.run.createdAt, census.firstTimestamp ?? Infinity),
      endedAt: census.lastTimestamp,
      warmup,
      numChains,
      counts: { rows: census.rows, refused: options.refused, corrupt: corrupt.count },
      undelivered: options.delivered,
      timings,
      files: made.map((file) => Path.relative(directory, file))
    })
    const infoPath = yield* RunInfo.write(info, directory)
    const reportInput: Report.Input = {
      info,
      census,
      series,
      plots: pictures.plots,
      terminalPlots: terminalPlots.flatMap(({ paths, series: { group, variable } }) =>
        paths.map((path) => ({ group: group.name, metric: variable.key, path }))
      ),
      datasets: folded.datasets,
      ranks: folded.ranks,
      notDrawn: plots ? notDrawn : [],
      failures: pictures.failures,
      corrupt: corrupt.first
    }
    const reportPaths = options.report === false
      ? []
      : [yield* Report.write(reportInput, directory), ...(yield* writeHtml(reportInput, directory))]
    const files = [...made, infoPath, ...reportPaths]
    yield* removeStale(directory, before, files)
    const delivered = yield* phase("backends", deliver(options, counted, pictures.plots, files))
    return {
      directory: options.directory,
      rows: census.rows,
      corrupt: corrupt.count,
      datasets: Object.fromEntries(folded.datasets.map((dataset) => [dataset.group, dataset])),
      dataset: folded.datasets.length === 1 ? folded.datasets[0] : undefined,
      series,
      files: files.map((file) => Path.resolve(file)),
      notDrawn: plots ? notDrawn : [],
      failed: pictures.failures,
      delivered
    }
  })

// -----------------------------------------------------------------------------
// What backends get
// -----------------------------------------------------------------------------

/** The history as a table, each plot as an image, all files as artifacts; then the run is closed. */
const deliver = (
  { directory, finishTimeoutMillis, logPath, run: { state }, tracker }: Options,
  counted: Count,
  plots: ReadonlyArray<Plot.PlotFile>,
  files: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Supervisor.Delivered>> => {
  const path = (file: string): string => Tracker.inside(directory, file)
  return tracker.finish(state === "running" ? "finished" : state, finishTimeoutMillis, {
    history: tableOf(logPath, counted),
    entries: [
      { kind: "history", name: "training_history" },
      ...plots.map((plot): Outbox.Entry => ({
        kind: "image",
        name: imageName(plot),
        path: path(plot.png),
        caption: plot.metric
      })),
      { kind: "artifacts", paths: files.map(path) }
    ]
  })
}

/** A metric's two plots are two images, and neither has the name of another metric's. */
const imageName = ({ kind, metric, png }: Plot.PlotFile): string =>
  kind === "metric" ? metric : `${metric}${png.endsWith(".ridge.png") ? "." : "_"}ridge`

/**
 * A run's records as a table: step, timestamp, then every key in order of appearance. The log is read when the table is
 * asked for, and its rows again each time.
 *
 * @category folding
 * @since 0.2.0
 */
export const historyTable = (logPath: string): Effect.Effect<Backend.Table, Backend.BackendError> =>
  count(logPath).pipe(
    Effect.map((counted) => tableOf(logPath, counted)),
    Effect.mapError((cause) => new Backend.BackendError({ backend: "log", operation: "logTable", cause }))
  )

const tableOf = (logPath: string, { census, window }: Count): Backend.Table => {
  const variables = census.groups.flatMap((group) => group.variables)
  const columns = ["step", "timestamp", ...variables.map((variable) => variable.key)]
  const keys = variables.map((variable) => variable.key)
  return {
    columns,
    rows: RunLog.rows(logPath, window).pipe(
      Stream.map((row) => {
        const record = Backend.flat(row)
        return [row.step, row.timestamp, ...keys.map((key) => Object.hasOwn(record, key) ? record[key] : undefined)]
      }),
      Stream.mapError((cause) => new Backend.BackendError({ backend: "log", operation: "logTable", cause }))
    )
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** Datasets and plots that this time were not made would speak of another run than the report does. */
const removeStale = (directory: string, before: ReadonlyArray<string>, now: ReadonlyArray<string>) => {
  const kept = new Set(now.map((file) => Path.relative(directory, file)))
  const derived = (file: string): boolean => file.startsWith(`plots${Path.sep}`) || file.endsWith(".h5")
  return RunDirectory.removeFiles(directory, before.filter((file) => derived(file) && !kept.has(file)))
}

/** The report is there as report.md: that this one cannot be written fails nothing. What an older run left goes. */
const writeHtml = (input: Report.Input, directory: string): Effect.Effect<ReadonlyArray<string>> =>
  HtmlReport.write(input, directory).pipe(
    Effect.map((path) => [path]),
    Effect.catchCauseIf(
      (cause) => !Cause.hasInterruptsOnly(cause),
      (cause) => {
        const error = Cause.squash(cause)
        return Effect.gen(function*() {
          yield* Effect.logWarning(error instanceof Error ? error.message : `report.html: ${String(error)}`)
          yield* RunDirectory.removeFiles(directory, ["report.html"])
          return []
        })
      }
    ),
    Effect.orDie
  )

/** Two keys that would have one name in a dataset are told about; the report lists them all. */
const tellRenamed = (census: Census.Census): Effect.Effect<void> => {
  const collided = Census.renamed(census).filter(({ name }) => /_\d+$/.test(name))
  const [first] = collided
  if (first === undefined) return Effect.void
  const others = collided.length === 1 ? "" : `, and so for ${collided.length - 1} more (see the report)`
  return Effect.logWarning(`The variable of ${first.key} is called ${first.name}: another has its name${others}`)
}

type Pictures = Omit<Plot.PlotFiles, "index"> & { readonly index?: string }

/** Times the phases, and tells each as it begins. */
const makeTimer = Effect.map(Effect.service(Progress), (progress) => {
  const timings: Record<string, number> = {}
  const phase = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.gen(function*() {
      progress(name, 0, 0)
      const from = yield* Clock.currentTimeMillis
      const result = yield* effect
      timings[name] = ((yield* Clock.currentTimeMillis) - from) / 1000
      return result
    })
  return { phase, timings }
})

const showRows =
  (total: number, progress: (phase: string, done: number, total: number) => void) =>
  <E, R>(rows: Stream.Stream<Row, E, R>): Stream.Stream<Row, E, R> =>
    Stream.mapAccumArray(rows, () => 0, (done, chunk) => {
      progress("folding", done + chunk.length, total)
      return [done + chunk.length, chunk] as const
    })
