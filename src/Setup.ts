/**
 * A run at W&B or MLflow in one call, for who wants no more than that: no outputs, no plots.
 *
 * What is logged goes the way of every record all the same: into a log of its own first, and from there to the server
 * when that can take it. A {@link History} that names no backends finds a run of {@link setupWandb} and sends its
 * records there, too, as the Python History does; that is deprecated, `backends: "wandb"` says the same.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Backends from "./history/Backends.ts"
import { make } from "./history/Make.ts"
import type { MakeError, Options as HistoryOptions, UpdateError, UpdateOptions } from "./history/Model.ts"
import type { Input, Metrics } from "./Metrics.ts"
import type * as Supervisor from "./Supervisor.ts"
import type { Tracker } from "./Tracker.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What the run is: project, name, configuration, and where its log is kept.
 *
 * @category models
 * @since 0.2.0
 */
export type Options = Pick<
  HistoryOptions,
  "projectName" | "defaultProject" | "runName" | "runId" | "config" | "outdir" | "reportDir" | "stepKey" | "environment"
>

/**
 * A run at a server. `log` returns once the record is kept; `summary` sets values of the run as a whole; `url` is where
 * people see it, once the server has answered. `finish` delivers what is left and closes the run; without it that
 * happens when the scope closes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Run {
  readonly id: string
  readonly url: Effect.Effect<string | undefined>
  readonly tracker: Tracker
  readonly log: (metrics: Input, options?: UpdateOptions) => Effect.Effect<void, UpdateError>
  readonly summary: (values: Metrics) => Effect.Effect<void>
  readonly finish: Effect.Effect<ReadonlyArray<Supervisor.Delivered>>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts a run at W&B: online, offline or not at all as WANDB_MODE and WANDB_DISABLED say.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Setup } from "ezpz-stream"
 *
 * const program = Effect.gen(function*() {
 *   const run = yield* Setup.setupWandb({ projectName: "demo", outdir, environment: { WANDB_MODE: "offline" } })
 *   yield* run.log({ loss: 0.5 }, { step: 1 })
 *   const [delivered] = yield* run.finish
 *   assert.strictEqual(delivered?.undelivered, 0)
 * }).pipe(Effect.scoped)
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const setupWandb = (options: Options = {}): Effect.Effect<Run, MakeError, Scope.Scope> =>
  Effect.gen(function*() {
    const run = yield* start("wandb", options)
    const active = yield* Effect.service(Backends.ActiveWandb)
    // The last one that was set up, as long as it is open.
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        active.current = run
      }),
      () =>
        Effect.sync(() => {
          if (active.current === run) active.current = undefined
        })
    )
    return run
  })

/**
 * Starts a run at the MLflow server of MLFLOW_TRACKING_URI.
 *
 * @category constructors
 * @since 0.2.0
 */
export const setupMlflow = (options: Options = {}): Effect.Effect<Run, MakeError, Scope.Scope> =>
  start("mlflow", options)

const start = (backend: string, options: Options): Effect.Effect<Run, MakeError, Scope.Scope> =>
  Effect.map(make({ ...options, backends: backend }), (history) => ({
    id: history.runId,
    url: Effect.map(history.tracker.getBackend(backend), (started) => started?.run?.url),
    tracker: history.tracker,
    log: (metrics, updating) => Effect.asVoid(history.update(metrics, updating)),
    summary: history.tracker.logSummary,
    finish: history.tracker.finish("finished", finishMillis)
  }))

const finishMillis = 60_000
