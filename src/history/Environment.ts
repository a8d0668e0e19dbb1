/**
 * The variables a run is configured by: the process's own, and those of `~/.amsc.env` and `.env` (Dotenv.ts); and what
 * they say of the samples that are taken of the machine for backends.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Os from "node:os"
import * as Dotenv from "../Dotenv.ts"
import type { Environment } from "../Rank.ts"
import * as SystemMetrics from "../SystemMetrics.ts"
import type * as Tracker from "../Tracker.ts"

/**
 * What a run of this process sees that is given no other environment.
 *
 * @category constructors
 * @since 0.2.0
 */
export const here: Effect.Effect<Environment> = Effect.suspend(() =>
  Dotenv.load(process.env, { home: Os.homedir(), directory: process.cwd() })
)

const defaultSeconds = 10

/**
 * Samples every EZPZ_SYSTEM_METRICS seconds (10); 0 or `false` takes none.
 *
 * @category constructors
 * @since 0.2.0
 */
export const sampling = (
  environment: Environment,
  directory: string
): Effect.Effect<Pick<Tracker.Options, "sample" | "sampleMillis">> => {
  const text = environment["EZPZ_SYSTEM_METRICS"]?.trim().toLowerCase() ?? ""
  const asked = Number(text)
  const seconds = /^(?:false|off|no)$/.test(text) ? 0 : text !== "" && asked >= 0 ? asked : defaultSeconds
  return seconds === 0
    ? Effect.succeed({})
    : Effect.map(SystemMetrics.make({ disk: directory }), ({ sample }) => ({ sample, sampleMillis: seconds * 1000 }))
}
