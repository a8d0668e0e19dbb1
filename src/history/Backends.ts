/**
 * Which backends a run uses, and the ones that come with the package.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Backend from "../Backend.ts"
import * as Csv from "../backend/csv/Csv.ts"
import type { Environment } from "../Rank.ts"
import type { Entry } from "../Tracker.ts"

/**
 * Backends that only write files beside the log, and may be brought up to date without asking.
 *
 * @category registry
 * @since 0.2.0
 */
export const local: ReadonlySet<string> = new Set(["csv"])

const builtIn: ReadonlyMap<string, Backend.Factory> = new Map([["csv", Csv.factory]])

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
      environment["EZPZ_TRACKERS"] ?? []
    const registry = yield* Effect.service(Backend.Registry)
    const entries: Array<Entry> = []
    for (const name of Backend.parseNames(asked)) {
      const factory = registry.get(name) ?? builtIn.get(name)
      if (factory !== undefined) entries.push({ name, factory })
      else yield* Effect.logWarning(`Unknown backend "${name}" is skipped. Known: ${(yield* known).join(", ")}, none`)
    }
    return entries
  })
