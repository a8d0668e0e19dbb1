/**
 * Which backends a run uses, and the ones that come with the package.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Backend from "../Backend.ts"
import * as Csv from "../backend/csv/Csv.ts"
import type { Metrics } from "../Metrics.ts"
import type { Environment } from "../Rank.ts"
import type { Entry, Tracker } from "../Tracker.ts"

/**
 * The run that `setupWandb` has open, if there is one.
 *
 * @category services
 * @since 0.2.0
 */
export const ActiveWandb = Context.Reference<{ current: ActiveRun | undefined }>("ezpz-stream/Backend/ActiveWandb", {
  defaultValue: () => ({ current: undefined })
})

interface ActiveRun {
  readonly log: (metrics: Metrics, options: { readonly step?: number | undefined }) => Effect.Effect<unknown, unknown>
  readonly summary: (values: Metrics) => Effect.Effect<void>
  readonly tracker: Pick<Tracker, "getBackend" | "logImage" | "logTable" | "logArtifacts" | "watch">
}

/**
 * What a run uses that names no backends while a run of `setupWandb` is open: that one. Its records are kept there, too,
 * before they count as delivered.
 *
 * @category registry
 * @since 0.2.0
 */
export const fromActive: Effect.Effect<ReadonlyArray<Entry>> = Effect.gen(function*() {
  const { current } = yield* Effect.service(ActiveWandb)
  if (current === undefined) return []
  yield* Effect.logWarning(
    "A run of setupWandb is open, and this history names no backends: its records go to that run. This is deprecated: " +
      `say backends: "wandb"`
  )
  const { log, summary, tracker } = current
  return [{
    name: "wandb",
    factory: () =>
      Effect.map(tracker.getBackend("wandb"), (started) =>
        Backend.make({
          name: "wandb",
          run: started?.run,
          log: (rows) => Effect.forEach(rows, (row) => log(Backend.flat(row), { step: row.step }), { discard: true }),
          logSummary: summary,
          logImage: tracker.logImage,
          logTable: tracker.logTable,
          logArtifacts: tracker.logArtifacts,
          watch: tracker.watch
        }))
  }]
})

/**
 * Backends that only write files beside the log, and may be brought up to date without asking.
 *
 * @category registry
 * @since 0.2.0
 */
export const local: ReadonlySet<string> = new Set(["csv"])

const loadMlflow = () => import("../backend/mlflow/Mlflow.ts")
const loadWandb = () => import("../backend/wandb/Wandb.ts")

/** What a server needs is loaded when somebody asks for it: a run without one starts faster. */
const builtIn: ReadonlyMap<string, Backend.Factory> = new Map<string, Backend.Factory>([
  ["csv", Csv.factory],
  ["mlflow", loaded(loadMlflow)],
  ["wandb", loaded(loadWandb)]
])

function loaded(load: () => Promise<{ readonly factory: Backend.Factory }>): Backend.Factory {
  return (context) => Effect.flatMap(Effect.promise(load), ({ factory }) => factory(context))
}

/**
 * The names backends can be asked for by.
 *
 * @category registry
 * @since 0.1.0
 */
export const known: Effect.Effect<ReadonlyArray<string>> = Effect.map(
  Effect.service(Backend.Registry),
  (registry) => [...new Set([...registry.keys(), ...builtIn.keys()])].sort()
)

/**
 * Which backends a run uses: those it names, else those of {@link Backend.layer}, else EZPZ_TRACKER_BACKENDS, else
 * EZPZ_TRACKERS, else none. An unknown name is warned about and skipped.
 *
 * @category registry
 * @since 0.1.0
 */
export const select = (
  names: string | ReadonlyArray<string> | undefined,
  environment: Environment
): Effect.Effect<ReadonlyArray<Entry>> =>
  Effect.gen(function*() {
    const asked = names ?? (yield* Effect.service(Backend.Selection)) ?? environment["EZPZ_TRACKER_BACKENDS"] ??
      environment["EZPZ_TRACKERS"]
    if (asked === undefined) return yield* fromActive
    const registry = yield* Effect.service(Backend.Registry)
    const entries: Array<Entry> = []
    for (const name of Backend.parseNames(asked)) {
      const factory = registry.get(name) ?? builtIn.get(name)
      if (factory !== undefined) entries.push({ name, factory })
      else yield* Effect.logWarning(`Unknown backend "${name}" is skipped. Known: ${(yield* known).join(", ")}, none`)
    }
    return entries
  })

/**
 * Where a backend would deliver, and how it would say who it is, in a few lines: names of variables, never what they
 * hold.
 *
 * @category registry
 * @since 0.2.0
 */
export const describe = (name: string, environment: Environment): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const registered = (yield* Effect.service(Backend.Registry)).has(name)
    if (registered) return ["registered by this program"]
    switch (name) {
      case "csv":
        return ["ready: metrics.csv, config.json, training_history.csv in the run's directory"]
      case "wandb":
        return [(yield* Effect.promise(loadWandb)).describe(environment)]
      case "mlflow": {
        const found = (yield* Effect.promise(loadMlflow)).describe(environment)
        const as = found.authentication.length === 0
          ? "without authentication"
          : `with ${found.authentication.join(", ")}`
        return [
          found.problem ?? `${found.trackingUri}, ${as}${found.insecureTls ? ", certificates are not checked" : ""}`,
          ...(found.experiment === undefined ? [] : [`experiment ${found.experiment}`]),
          ...found.warnings
        ]
      }
      default:
        return ["not known"]
    }
  })
