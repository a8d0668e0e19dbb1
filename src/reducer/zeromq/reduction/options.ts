/** What both sides of a reduction go by: how long they wait, for what, and which life of a rank this is. */
import * as Fs from "node:fs"
import * as Rank from "../../../Rank.ts"
import { ReducerError } from "../../../Reducer.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * `deadlineMillis`: how long a rank that makes no progress is waited for (1000). `joinMillis`: how long ranks that have
 * not come yet are waited for at the start (60,000). `flushMillis`: how long the end waits, for the ranks at the root,
 * for the root at a rank, without anything coming (30,000, or EZPZ_REDUCE_TIMEOUT seconds).
 *
 * @category models
 * @since 0.3.0
 */
export interface Options {
  readonly environment: Rank.Environment
  readonly deadlineMillis?: number | undefined
  readonly joinMillis?: number | undefined
  readonly flushMillis?: number | undefined
}

// -----------------------------------------------------------------------------
// Times
// -----------------------------------------------------------------------------

export const defaultDeadlineMillis = 1000
export const defaultJoinMillis = 60_000
/** How long a rank is waited for that is there and has said nothing yet: programs do not start up equally fast. */
export const startMillis = 10_000
/** How often ranks and root look at the time. */
export const tickMillis = 50
export const heartbeatMillis = 1000
/** What is missing is asked for again after so long. */
export const askMillis = 200
/** A rank that has not been heard of for so long is not waited for. */
export const silentMillis = 10_000
/** Nor is one that has had no connection for so long. */
export const unreachableMillis = 2000
export const farewellMillis = 500
/** How long a rank looks for its root before it says that it cannot find it, and looks on. */
export const findMillis = 60_000
/** How long a connection may be gone before another root is looked for. */
export const goneMillis = 2000
/** The same of one that never said welcome. */
export const unwelcomeMillis = 200

const defaultFlushMillis = 30_000

export const flushMillisOf = ({ environment, flushMillis }: Options): number => {
  const seconds = Number(environment["EZPZ_REDUCE_TIMEOUT"] || NaN)
  return flushMillis ?? (seconds >= 0 ? seconds * 1000 : defaultFlushMillis)
}

// -----------------------------------------------------------------------------
// Who
// -----------------------------------------------------------------------------

export const jobOf = (environment: Rank.Environment): Rank.Job => Rank.jobFromEnvironment(environment, readText)

const readText = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

let lastLife = 0

/** Greater than that of every earlier life of this rank: two in one second differ, and so do two in one process. */
export const nextIncarnation = (now: number): number => {
  lastLife = Math.max(lastLife + 1, Math.floor(now / 50))
  return lastLife % 2 ** 32
}

/** Whether an incarnation is from before another. They go round after years. */
export const isBefore = (incarnation: number, other: number): boolean => ((incarnation - other) | 0) < 0

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

export const failed = (operation: string) => (cause: unknown): ReducerError => new ReducerError({ operation, cause })
