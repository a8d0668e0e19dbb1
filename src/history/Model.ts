/**
 * What a history is: how a run is recorded, what comes back from a record, and what is made of the run at its end.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Backend from "../Backend.ts"
import type * as Finalize from "../Finalize.ts"
import type * as Metrics from "../Metrics.ts"
import type { Environment, Rank } from "../Rank.ts"
import type * as Reducer from "../Reducer.ts"
import type { Row } from "../Row.ts"
import type * as RunDirectory from "../RunDirectory.ts"
import type * as RunLog from "../RunLog.ts"
import type * as Supervisor from "../Supervisor.ts"
import type { Tracker } from "../Tracker.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How a run is recorded. All optional.
 *
 * - `projectName`, `runName`, `runId`: who the run is. The project is else WB_PROJECT, WANDB_PROJECT, WB_PROJECT_NAME,
 *   `defaultProject`, or derived from the script; the id is else made from the time and four random characters.
 * - `outdir`: the run's directory. Without it the log is `<reportDir>/<run id>/<run id>.jsonl` until `finalize`.
 * - `jsonlPath`: where the log is instead. `exists` says what becomes of one that is there: `append` goes on with it,
 *   `overwrite` replaces it, `fail` refuses. `jsonlOverwrite` is the reference's name for the first two.
 * - `backends`: names, as `"wandb,csv"` or a list; `tracker`: backends made beforehand, beside those.
 * - `config`: hyperparameters. What looks like a credential in it is masked everywhere.
 * - `keys`: metrics known beforehand; they come first in tables and datasets.
 * - `distributedHistory`: statistics across ranks. `"auto"` (the default): wherever there are several, unless the
 *   environment says EZPZ_NO_DISTRIBUTED_HISTORY or EZPZ_LOCAL_HISTORY. A {@link Reducer.Reducer} that is provided is
 *   taken, else ranks meet over ZeroMQ.
 * - `reduction`: `"sync"`: an `update` of rank 0 waits for its own step to close. `"async"` (the default): it never waits.
 * - `reducer`: how values get to rank 0: `"zeromq"` (the default), `"nccl"`: between GPUs, with a warning where that cannot
 *   be, or `"auto"`: between GPUs wherever each rank has one and NCCL. What cannot go one way goes over ZeroMQ.
 * - `stepKey`: the name of the step in records that come without one from the caller.
 * - `precision`, `style`, `constants`: see {@link Summary.format}. `memoryTotal`: the device's memory in GiB, what a peak
 *   is a percentage of: {@link Memory.total}.
 * - `totalSteps`: how many steps the run will have, for those who look at it while it runs. Without it a `total_steps` in
 *   the records says so, as long as it stays the same.
 * - `fsync`: every write waits for the disk, so that records survive the loss of power.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly projectName?: string | undefined
  readonly defaultProject?: string | undefined
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
  readonly reduction?: "async" | "sync" | undefined
  readonly reducer?: "auto" | "zeromq" | "nccl" | undefined
  readonly stepKey?: string | undefined
  readonly precision?: number | undefined
  readonly style?: "aligned" | "tight" | undefined
  readonly constants?: ReadonlyArray<string> | undefined
  readonly memoryTotal?: number | undefined
  readonly totalSteps?: number | undefined
  readonly fsync?: boolean | undefined
  readonly environment?: Environment | undefined
}

/**
 * What one `update` may say beside the metrics. `useWandb` is deprecated and changes nothing: which backends get a run's
 * records is said once, by `backends`.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateOptions {
  readonly useWandb?: boolean | undefined
  readonly step?: number | undefined
  readonly precision?: number | undefined
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
 * `update` returns once its record is in the log. With several ranks its line, like what `updateAll` gives back, is of
 * those records whose step has closed since it was asked last; `closed` waits for some, `takeClosed` does not. On every
 * rank but the first nothing is written, and lines are of the rank's own values. `updateAll` takes records decoded by {@link Metrics.decodeLine} or
 * {@link Metrics.decode}, writes them at once, and gives back those whose step has closed. `finalize` ends the run and
 * folds it; `finish` ends it and leaves the folding to `ezpz-stream finalize`. With neither it ends with its scope.
 * `totalSteps` is how many steps the run will have, as far as is known by now.
 *
 * @category models
 * @since 0.1.0
 */
export interface History {
  readonly runId: string
  readonly directory: string
  readonly logPath: string
  readonly resumedAt: number
  readonly totalSteps: number | undefined
  readonly rank: Rank
  readonly tracker: Tracker
  readonly update: (metrics: Metrics.Input, options?: UpdateOptions) => Effect.Effect<string, UpdateError>
  readonly updateAll: (
    records: ReadonlyArray<Metrics.Decoded>
  ) => Effect.Effect<ReadonlyArray<Tracked>, UpdateError>
  readonly closed: Effect.Effect<ReadonlyArray<Tracked>>
  readonly takeClosed: Effect.Effect<ReadonlyArray<Tracked>>
  readonly finalize: (options?: FinalizeOptions) => Effect.Effect<Finalized, FinalizeError>
  readonly finish: (
    options?: Pick<FinalizeOptions, "state" | "finishTimeout">
  ) => Effect.Effect<ReadonlyArray<Supervisor.Delivered>>
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
export type FinalizeError = Finalize.FinalizeError | RunDirectory.RunDirectoryError | OptionsError

/**
 * What `make` fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type MakeError = RunLog.RunLogError | RunDirectory.RunDirectoryError | Reducer.ReducerError | OptionsError

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

/**
 * An option that does not make sense.
 *
 * @category errors
 * @since 0.1.0
 */
export class OptionsError extends Schema.TaggedError<OptionsError>()("OptionsError", {
  option: Schema.String,
  given: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `The option ${this.option} must be ${this.expected}; it is "${this.given}".`
  }
}
