/**
 * The same for plain programs: async iterables and promises instead of streams and effects.
 *
 * `track` is an operator, too: `from(metrics).pipe(track(options), map((t) => t.summary))` with ix, or anything else
 * that composes functions from async iterable to async iterable.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type AsyncIterableX, from } from "ix/asynciterable"
import type { OperatorAsyncFunction } from "ix/interfaces"
import * as Backend from "./Backend.ts"
import * as History from "./History.ts"
import * as Metrics from "./Metrics.ts"
import * as Setup from "./Setup.ts"
import type * as Supervisor from "./Supervisor.ts"
import type { Tracker, WandbRun } from "./Tracker.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A run that is being recorded. `update` returns once the record is in the log, and throws what `History.update` fails
 * with; `track` gives the record back. A run that is not finalized is left to `ezpz-stream finalize`.
 *
 * @category models
 * @since 0.1.0
 */
export interface AsyncHistory extends AsyncDisposable {
  readonly runId: string
  readonly directory: string
  readonly logPath: string
  readonly resumedAt: number
  readonly tracker: AsyncTracker
  readonly update: (metrics: Metrics.Input, options?: History.UpdateOptions) => string
  readonly track: (metrics: Metrics.Input) => History.Tracked
  readonly finalize: (options?: History.FinalizeOptions) => Promise<History.Finalized>
  readonly close: () => Promise<void>
}

/**
 * A run's backends: see `Tracker`.
 *
 * @category models
 * @since 0.2.0
 */
export interface AsyncTracker {
  readonly names: ReadonlyArray<string>
  readonly getBackend: (name: string) => Promise<Backend.Backend | undefined>
  readonly wandbRun: () => Promise<AsyncWandbRun | undefined>
  readonly logTable: (name: string, table: Backend.Table) => Promise<void>
  readonly logImage: (name: string, path: string, options?: Backend.ImageOptions) => Promise<void>
  readonly logArtifacts: (paths: ReadonlyArray<string>) => Promise<void>
  readonly logSummary: (values: Metrics.Metrics) => Promise<void>
  readonly watch: (object: unknown, options?: Backend.Config) => Promise<void>
}

/**
 * The run at W&B: see `Tracker.WandbRun`.
 *
 * @category models
 * @since 0.2.0
 */
export interface AsyncWandbRun extends Backend.RemoteRun {
  readonly summary: (values: Metrics.Metrics) => Promise<void>
}

/**
 * A run at a server: see `Setup.Run`. `log` returns once the record is kept.
 *
 * @category models
 * @since 0.2.0
 */
export interface AsyncRun extends AsyncDisposable {
  readonly id: string
  readonly url: () => Promise<string | undefined>
  readonly tracker: AsyncTracker
  readonly log: (metrics: Metrics.Input, options?: History.UpdateOptions) => void
  readonly summary: (values: Metrics.Metrics) => Promise<void>
  readonly finish: () => Promise<ReadonlyArray<Supervisor.Delivered>>
}

/**
 * How {@link track} records a run and folds it at its end; `finalize: false` leaves the folding out.
 *
 * @category models
 * @since 0.1.0
 */
export interface TrackOptions extends History.Options {
  readonly finalize?: History.FinalizeOptions | false | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Opens a run.
 *
 * @example
 * ```ts
 * import { make } from "ezpz-stream/async"
 *
 * const history = await make({ outdir })
 * assert.strictEqual(history.update({ loss: 0.5 }, { step: 1 }), "loss=0.500000")
 * await history.finalize({ plots: false })
 * await history.close()
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = async (options: History.Options = {}): Promise<AsyncHistory> => {
  const { close, value: history } = await opened(History.make(options))
  return {
    runId: history.runId,
    get directory() {
      return history.directory
    },
    get logPath() {
      return history.logPath
    },
    resumedAt: history.resumedAt,
    tracker: asyncTracker(history.tracker),
    // Nothing in an update waits, and a training loop is not to be made asynchronous for it.
    update: (metrics, updating) => Effect.runSync(history.update(metrics, updating)),
    track: (metrics) => {
      const decoded = Metrics.decode(metrics, options.stepKey)
      if (decoded._tag === "Refused") throw new History.RecordError({ reason: decoded.reason })
      const [tracked] = Effect.runSync(history.updateAll([decoded]))
      if (tracked === undefined) throw new History.RecordError({ reason: "its step has not closed yet" })
      return tracked
    },
    finalize: (finalizing) => Effect.runPromise(history.finalize(finalizing)),
    close,
    [Symbol.asyncDispose]: close
  }
}

/** What an effect makes, and how to close what it has opened. */
const opened = async <A, E>(
  effect: Effect.Effect<A, E, Scope.Scope>
): Promise<{ readonly value: A; readonly close: () => Promise<void> }> => {
  const scope = Scope.makeUnsafe()
  const close = () => Effect.runPromise(Scope.close(scope, Exit.void))
  const value = await Effect.runPromise(Scope.provide(effect, scope)).catch(async (error: unknown) => {
    await close()
    throw error
  })
  return { value, close }
}

const asyncTracker = (tracker: Tracker): AsyncTracker => ({
  names: tracker.names,
  getBackend: (name) => Effect.runPromise(tracker.getBackend(name)),
  wandbRun: async () => asyncWandbRun(await Effect.runPromise(tracker.wandbRun)),
  logTable: (name, table) => Effect.runPromise(tracker.logTable(name, table)),
  logImage: (name, path, options) => Effect.runPromise(tracker.logImage(name, path, options)),
  logArtifacts: (paths) => Effect.runPromise(tracker.logArtifacts(paths)),
  logSummary: (values) => Effect.runPromise(tracker.logSummary(values)),
  watch: (object, options) => Effect.runPromise(tracker.watch(object, options))
})

const asyncWandbRun = (run: WandbRun | undefined): AsyncWandbRun | undefined =>
  run === undefined ? undefined : { ...run, summary: (values) => Effect.runPromise(run.summary(values)) }

/**
 * Starts a run at W&B in one call: see `Setup.setupWandb`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const setupWandb = (options: Setup.Options = {}): Promise<AsyncRun> => asyncRun(Setup.setupWandb(options))

/**
 * Starts a run at MLflow in one call: see `Setup.setupMlflow`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const setupMlflow = (options: Setup.Options = {}): Promise<AsyncRun> => asyncRun(Setup.setupMlflow(options))

const asyncRun = async (setup: ReturnType<typeof Setup.setupWandb>): Promise<AsyncRun> => {
  const { close, value: run } = await opened(setup)
  return {
    id: run.id,
    url: () => Effect.runPromise(run.url),
    tracker: asyncTracker(run.tracker),
    log: (metrics, updating) => Effect.runSync(run.log(metrics, updating)),
    summary: (values) => Effect.runPromise(run.summary(values)),
    finish: async () => {
      const delivered = await Effect.runPromise(run.finish)
      await close()
      return delivered
    },
    [Symbol.asyncDispose]: close
  }
}

// -----------------------------------------------------------------------------
// Operators
// -----------------------------------------------------------------------------

/**
 * Tracks an async iterable: every record comes out again once it is in the log. When the source ends, fails, or nobody
 * reads on, the run is folded.
 *
 * @example
 * ```ts
 * import { track } from "ezpz-stream/async"
 *
 * async function* training() {
 *   for (let step = 1; step <= 3; step++) yield { step, loss: 1 / step }
 * }
 * const lines: Array<string> = []
 * for await (const tracked of track(training(), { outdir, finalize: { plots: false } })) lines.push(tracked.summary)
 * assert.strictEqual(lines[1], "step=2     loss=0.500000")
 * ```
 *
 * @category operators
 * @since 0.1.0
 */
export function track(source: Source, options?: TrackOptions): AsyncIterableX<History.Tracked>
export function track(options?: TrackOptions): OperatorAsyncFunction<Metrics.Input, History.Tracked>
export function track(first: Source | TrackOptions = {}, options: TrackOptions = {}) {
  return isSource(first)
    ? from(tracking(first, options))
    : (source: AsyncIterable<Metrics.Input>): AsyncIterableX<History.Tracked> => from(tracking(source, first))
}

type Source = AsyncIterable<Metrics.Input> | Iterable<Metrics.Input>

const isSource = (value: Source | TrackOptions): value is Source =>
  Symbol.asyncIterator in value || Symbol.iterator in value

async function* tracking(source: Source, options: TrackOptions): AsyncGenerator<History.Tracked, void, undefined> {
  const history = await make(options)
  let state: Backend.RunState = "failed"
  try {
    for await (const metrics of source) {
      state = "finished"
      const tracked = history.track(metrics)
      yield tracked
      state = "failed"
    }
    state = "finished"
  } finally {
    try {
      if (options.finalize !== false) await history.finalize({ state, ...options.finalize })
    } finally {
      await history.close()
    }
  }
}

// -----------------------------------------------------------------------------
// Backends
// -----------------------------------------------------------------------------

/**
 * Makes a backend known under a name, for all runs of this process.
 *
 * @category registry
 * @since 0.1.0
 */
export const registerBackend = (name: string, factory: Backend.Factory): void =>
  Effect.runSync(Backend.register(name, factory))
