/**
 * The variables a run is configured by, and whether samples of the machine are taken for its backends.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type { Environment } from "../Rank.ts"

/** The process's own variables. */
export const here: Effect.Effect<Environment> = Effect.sync(() => process.env)
