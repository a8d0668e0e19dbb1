/**
 * The variables a run is configured by: the process's own, and those of `~/.amsc.env` and `.env` (Dotenv.ts).
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Os from "node:os"
import * as Dotenv from "../Dotenv.ts"
import type { Environment } from "../Rank.ts"

/**
 * What a run of this process sees that is given no other environment.
 *
 * @category constructors
 * @since 0.2.0
 */
export const here: Effect.Effect<Environment> = Effect.suspend(() =>
  Dotenv.load(process.env, { home: Os.homedir(), directory: process.cwd() })
)
