/**
 * A run folded into everything that is made of it: datasets, plots, terminal plots, the report, and what backends take.
 *
 * Two passes over the log. The first counts ({@link Census}); then all sizes and names are known, and the second feeds
 * every fold at once. Nothing is taken from memory, so a run that has just ended and one that was killed a year ago
 * give the same files. What is derived replaces what was there.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Path from "node:path"
import type { ArtifactError } from "./artifact/ArtifactError.ts"
import * as Dataset from "./artifact/Dataset.ts"
import * as Plot from "./artifact/Plot.ts"
import * as Report from "./artifact/Report.ts"
import * as RunInfo from "./artifact/RunInfo.ts"
import * as Series from "./artifact/Series.ts"
import * as TerminalPlot from "./artifact/TerminalPlot.ts"
import * as Backend from "./Backend.ts"
import * as Census from "./Census.ts"
import * as Columns from "./Columns.ts"
import * as Fold from "./Fold.ts"
import type { Environment, Rank } from "./Rank.ts"
import type { Run } from "./RunDirectory.ts"
import * as RunLog from "./RunLog.ts"
import type * as Supervisor from "./Supervisor.ts"
import type { Tracker } from "./Tracker.ts"

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
  readonly corrupt: ReadonlyArray<RunLog.Corrupt>
}

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
      (): Array<RunLog.Corrupt> => [],
      (state, page: RunLog.Page) => {
        for (const corrupt of page.corrupt) state.push(corrupt)
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

/**
 * The second pass, for a fold of rows.
 *
 * @category passes
 * @since 0.1.0
 */
export const pass = <B, E, R>(
  logPath: string,
  counted: Count,
  fold: Fold.Fold<import("./Row.ts").Row, B, E, R>
): Effect.Effect<B, RunLog.RunLogError | E, R> => Fold.run(RunLog.rows(logPath, counted.window), fold)
