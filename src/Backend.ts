/**
 * What a backend promises, and how one is found by name.
 *
 * A backend takes a run's records somewhere: a file, a server. It is handed records in batches, in order, and a batch
 * counts as delivered when `log` has succeeded; until then the supervisor (see Supervisor.ts) hands over the same
 * records again. So a backend may fail, hang or be away for hours: it falls behind its cursor, and nothing else happens.
 *
 * Everything but `name` and `log` is optional for who writes one:
 *
 * ```ts
 * const mine = Backend.make({ name: "mine", log: (rows) => Effect.sync(() => entries.push(...rows)) })
 * ```
 *
 * @since 0.1.0
 */
import * as EffectContext from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { reason } from "./internal/reason.ts"
import type { Metrics, Value } from "./Metrics.ts"
import type { Row } from "./Row.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A place records are delivered to.
 *
 * - `log` takes a batch, in order of `seq`; success acknowledges it. It must bear seeing records again that it took
 *   but could not acknowledge.
 * - `checkpoint` is asked after a batch was acknowledged: what it gives (JSON) is kept beside the cursor and comes back
 *   as `Context.checkpoint` when the run is resumed or synced. A file's length, a server's run id.
 * - `restart` says that what it has does not fit the checkpoint (files removed or edited): it has begun anew, and wants
 *   all records from the first.
 * - `logSystem` takes samples of the machine's state. `wantsSystem` says whether any are to be taken for this backend.
 * - `logSummary` takes values that describe the run as a whole.
 * - `run` is the run as the place records go to knows it, once the backend has started; undefined where it knows none.
 * - `files` are the paths it writes in the run's directory, if it writes any.
 * - `move` is told that the run's directory is now another one; what was written there has not moved yet.
 * - `finish` closes the run. Nothing is asked of the backend after it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Backend {
  readonly name: string
  readonly restart: boolean
  readonly log: (rows: ReadonlyArray<Row>) => Effect.Effect<void, BackendError>
  readonly logConfig: (config: Config) => Effect.Effect<void, BackendError>
  readonly logTable: (name: string, table: Table) => Effect.Effect<void, BackendError>
  readonly logImage: (name: string, path: string, options?: ImageOptions) => Effect.Effect<void, BackendError>
  readonly logArtifacts: (paths: ReadonlyArray<string>) => Effect.Effect<void, BackendError>
  readonly logSystem: (samples: ReadonlyArray<Sample>) => Effect.Effect<void, BackendError>
  readonly logSummary: (values: Metrics) => Effect.Effect<void, BackendError>
  readonly watch: (object: unknown, options?: Config) => Effect.Effect<void, BackendError>
  readonly wantsSystem: boolean
  readonly run: RemoteRun | undefined
  readonly checkpoint: Effect.Effect<unknown>
  readonly files: Effect.Effect<ReadonlyArray<string>>
  readonly move: (directory: string) => Effect.Effect<void, BackendError>
  readonly finish: (state: RunState) => Effect.Effect<void, BackendError>
}

/**
 * A run's hyperparameters: any JSON object.
 *
 * @category models
 * @since 0.1.0
 */
export interface Config {
  readonly [key: string]: unknown
}

/**
 * How a run ended.
 *
 * @category models
 * @since 0.1.0
 */
export type RunState = "finished" | "failed" | "killed"

/**
 * A table that is read as it is needed: column names, and rows of values in their order, in chunks.
 *
 * @category models
 * @since 0.1.0
 */
export interface Table {
  readonly columns: ReadonlyArray<string>
  readonly rows: Stream.Stream<ReadonlyArray<Value | undefined>, BackendError>
}

/**
 * The state of the machine at one moment: flat, `cpu_utilization_percentage`, `gpu_0_memory_usage_megabytes`, ...
 * `seq` counts the samples of a run from 1; `timestamp` is seconds since 1970.
 *
 * @category models
 * @since 0.2.0
 */
export interface Sample {
  readonly seq: number
  readonly timestamp: number
  readonly metrics: { readonly [name: string]: number }
}

/**
 * A run as the place its records go to knows it. `url` is where people look at it, if they can.
 *
 * @category models
 * @since 0.2.0
 */
export interface RemoteRun {
  readonly id: string
  readonly name: string
  readonly project: string
  readonly url: string | undefined
}

/**
 * What may be said of an image.
 *
 * @category models
 * @since 0.1.0
 */
export interface ImageOptions {
  readonly caption?: string
  readonly step?: number
}

/**
 * What a backend is told when it starts. `checkpoint` is undefined for a run it has not seen yet.
 *
 * `projectGiven` says that the caller named the project; else the name comes from the environment or the script, and a
 * backend may know better. `createdAt` is when the run began, in seconds since 1970. `live` says that the run is being recorded by this process;
 * otherwise what it left is delivered later. `facts` describe where the run comes from (hostname, git branch, world
 * size, ...), flat and masked; asking for them may take a moment the first time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context {
  readonly runId: string
  readonly runName: string | undefined
  readonly projectName: string
  readonly projectGiven: boolean
  readonly directory: string
  readonly config: Config
  /** Metrics that are known beforehand: they come first in tables. */
  readonly keys: ReadonlyArray<string>
  readonly environment: { readonly [name: string]: string | undefined }
  readonly createdAt: number
  readonly live: boolean
  readonly facts: Effect.Effect<Facts>
  readonly checkpoint: unknown
}

/**
 * Where a run comes from, flat: names as `git_branch`.
 *
 * @category models
 * @since 0.2.0
 */
export interface Facts {
  readonly [name: string]: string | number | boolean
}

/**
 * Starts a backend. What it opens is closed with the scope, after `finish`.
 *
 * @category models
 * @since 0.1.0
 */
export type Factory = (context: Context) => Effect.Effect<Backend, BackendError, Scope.Scope>

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

type Outcome = Effect.Effect<unknown, unknown> | Promise<unknown> | void

/**
 * What the author of a backend writes: functions that give an Effect, a promise or nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Definition {
  readonly name: string
  readonly restart?: boolean
  readonly log: (rows: ReadonlyArray<Row>) => Outcome
  readonly logConfig?: (config: Config) => Outcome
  readonly logTable?: (name: string, table: Table) => Outcome
  readonly logImage?: (name: string, path: string, options?: ImageOptions) => Outcome
  readonly logArtifacts?: (paths: ReadonlyArray<string>) => Outcome
  readonly logSystem?: (samples: ReadonlyArray<Sample>) => Outcome
  readonly logSummary?: (values: Metrics) => Outcome
  readonly run?: RemoteRun | undefined
  readonly watch?: (object: unknown, options?: Config) => Outcome
  readonly checkpoint?: () => unknown
  readonly files?: () => ReadonlyArray<string>
  readonly move?: (directory: string) => Outcome
  readonly finish?: (state: RunState) => Outcome
}

/**
 * Makes a backend. Whatever its functions throw, reject or fail with becomes a {@link BackendError}.
 *
 * @example
 * ```ts
 * import { Backend } from "ezpz-stream"
 *
 * const losses: Array<unknown> = []
 * const mine = Backend.make({
 *   name: "mine",
 *   log: (rows) => { for (const row of rows) losses.push(row.metrics["loss"]) }
 * })
 * assert.strictEqual(mine.name, "mine")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (definition: Definition): Backend => {
  const call = (operation: string, run: () => Outcome): Effect.Effect<void, BackendError> => {
    const fail = (cause: unknown) => new BackendError({ backend: definition.name, operation, cause })
    return Effect.suspend(() => {
      try {
        const outcome = run()
        if (Effect.isEffect(outcome)) {
          return Effect.mapError(Effect.asVoid(outcome), (cause) => cause instanceof BackendError ? cause : fail(cause))
        }
        return isThenable(outcome)
          ? Effect.asVoid(Effect.tryPromise({ try: async () => await outcome, catch: fail }))
          : Effect.void
      } catch (cause) {
        return Effect.fail(fail(cause))
      }
    })
  }
  return {
    name: definition.name,
    restart: definition.restart ?? false,
    log: (rows) => call("log", () => definition.log(rows)),
    logConfig: (config) => call("logConfig", () => definition.logConfig?.(config)),
    logTable: (name, table) => call("logTable", () => definition.logTable?.(name, table)),
    logImage: (name, path, options) => call("logImage", () => definition.logImage?.(name, path, options)),
    logArtifacts: (paths) => call("logArtifacts", () => definition.logArtifacts?.(paths)),
    logSystem: (samples) => call("logSystem", () => definition.logSystem?.(samples)),
    logSummary: (values) => call("logSummary", () => definition.logSummary?.(values)),
    wantsSystem: definition.logSystem !== undefined,
    run: definition.run,
    watch: (object, options) => call("watch", () => definition.watch?.(object, options)),
    checkpoint: Effect.sync(() => definition.checkpoint?.()),
    files: Effect.sync(() => definition.files?.() ?? []),
    move: (directory) => call("move", () => definition.move?.(directory)),
    finish: (state) => call("finish", () => definition.finish?.(state))
  }
}

/** Not every library's promises are the platform's. */
const isThenable = (outcome: unknown): outcome is PromiseLike<unknown> =>
  typeof outcome === "object" && outcome !== null && "then" in outcome && typeof outcome.then === "function"

/**
 * A record's metrics and its statistics as one flat record: what most backends send.
 *
 * @category constructors
 * @since 0.1.0
 */
export const flat = (row: Row): Metrics =>
  row.statistics === undefined ? row.metrics : { ...row.metrics, ...row.statistics.values }

// -----------------------------------------------------------------------------
// Finding backends by name
// -----------------------------------------------------------------------------

/**
 * The backends a program has registered, by name. They come before the built-in ones.
 *
 * @category services
 * @since 0.1.0
 */
export const Registry = EffectContext.Reference<Map<string, Factory>>("ezpz-stream/Backend/Registry", {
  defaultValue: () => new Map()
})

/**
 * The backends that runs use which do not name their own. Undefined: the environment says.
 *
 * @category services
 * @since 0.1.0
 */
export const Selection = EffectContext.Reference<ReadonlyArray<string> | undefined>("ezpz-stream/Backend/Selection", {
  defaultValue: () => undefined
})

/**
 * Makes a backend known under a name, to be asked for like a built-in one.
 *
 * @category registry
 * @since 0.1.0
 */
export const register = (name: string, factory: Factory): Effect.Effect<void> =>
  Effect.map(Effect.service(Registry), (registry) => {
    registry.set(name.trim().toLowerCase(), factory)
  })

/**
 * Chooses the backends of a program's runs: `"wandb,csv"`, a list of names, or `"none"`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (names: string | ReadonlyArray<string>): Layer.Layer<never> =>
  Layer.succeed(Selection, parseNames(names))

/**
 * The names in a comma-separated string or a list: trimmed, in lower case, each once. `none` anywhere means no backend.
 *
 * @category registry
 * @since 0.1.0
 */
export const parseNames = (names: string | ReadonlyArray<string>): ReadonlyArray<string> => {
  const list = typeof names === "string" ? names.split(",") : names
  const unique = [...new Set(list.map((name) => name.trim().toLowerCase()).filter((name) => name !== ""))]
  return unique.includes("none") ? [] : unique
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * A backend could not do what it was asked. The run goes on; what was not acknowledged is delivered later.
 *
 * - `kind`: failures of one kind are warned about once. Without it each message is a kind of its own.
 * - `retryAfterMillis`: not to be tried again before that.
 * - `permanent`: trying again would be of no use. What holds records up is tried again all the same, it is never dropped.
 *
 * @category errors
 * @since 0.1.0
 */
export class BackendError extends Schema.TaggedError<BackendError>()("BackendError", {
  backend: Schema.String,
  operation: Schema.String,
  cause: Schema.Defect(),
  kind: Schema.optionalKey(Schema.String),
  retryAfterMillis: Schema.optionalKey(Schema.Finite),
  permanent: Schema.optionalKey(Schema.Boolean)
}) {
  override get message(): string {
    return `Tracker backend ${this.backend}.${this.operation}() failed: ${reason(this.cause)}`
  }
}
