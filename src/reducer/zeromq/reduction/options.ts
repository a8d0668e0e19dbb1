/** What both sides of a reduction go by: how long they wait, for what, and which life of a rank this is. */
import * as Fs from "node:fs"
import * as Rank from "../../../Rank.ts"
import { ReducerError } from "../../../Reducer.ts"
import type { Carrier } from "./carrier.ts"
import type { Topology } from "./topology.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * `deadlineMillis`: how long a rank that makes no progress is waited for (1000, or EZPZ_REDUCE_DEADLINE seconds; the same on
 * all ranks). `joinMillis`: how long ranks that have not come yet are waited for at the start, and how long a rank has no answer from its root before it says so and goes on
 * trying (60,000, or EZPZ_JOIN_TIMEOUT seconds). `flushMillis`: how long the end waits, for the ranks at the root,
 * for the root at a rank, without anything coming (30,000, or EZPZ_REDUCE_TIMEOUT seconds). `topology`: from how many
 * nodes on there are aggregators between them and the root. `sync`: rank 0 waits for each step, so ranks send each record
 * at once; what rank 0 says counts for all. `carrier`: another way for frames.
 *
 * @category models
 * @since 0.3.0
 */
export interface Options {
  readonly environment: Rank.Environment
  readonly deadlineMillis?: number | undefined
  readonly joinMillis?: number | undefined
  readonly flushMillis?: number | undefined
  readonly topology?: Topology | undefined
  readonly sync?: boolean | undefined
  readonly carrier?: Carrier | undefined
}

// -----------------------------------------------------------------------------
// Times
// -----------------------------------------------------------------------------

const defaultDeadlineMillis = 1000
const defaultJoinMillis = 60_000
/** How long a rank is waited for that is there and has said nothing yet: programs do not start up equally fast. */
export const startMillis = 10_000
/** How often root and aggregators look at the time. Each time costs a rank far more than what is done then. */
export const tickMillis = 50
/** How often it is looked at whether a connection is as it should be. */
export const watchMillis = 250
export const heartbeatMillis = 1000
/**
 * How often a root acknowledges: each acknowledgement wakes a process up. Sooner where so much has come meanwhile, and where
 * a rank has said goodbye, which waits for it.
 */
export const acknowledgeMillis = 1000
export const acknowledgeBytes = 4 * 1024 * 1024
export const hurriedMillis = 20
/** How long after a goodbye. */
export const hurryMillis = 5000
/** What is missing is asked for again after so long. */
export const askMillis = 200
/** A rank that has not been heard of for so long is not waited for. */
export const silentMillis = 10_000
/** Nor is one that has had no connection for so long. */
export const unreachableMillis = 2000
/**
 * How long the end waits for those who are there and have not said that they had the last word: long enough to notice a
 * broken connection and to make a new one.
 */
export const farewellMillis = 5000
/** How long an aggregator that has begun waits for the ranks of its node; afterwards it goes on with those it has. */
export const gatherMillis = 2000
/** How long an aggregator waits for the parent that it is to have. */
export const parentMillis = 5000
/** How long a connection may be gone before another root is looked for. */
export const goneMillis = 2000
/** The same of one that never said welcome. */
export const unwelcomeMillis = 200
/** How long a rank waits for the aggregator of its node to listen. */
export const nearMillis = 5000
/** How long one tries to be welcome where it was sent to. */
export const viaMillis = 5000

const defaultFlushMillis = 30_000

export const flushMillisOf = ({ environment, flushMillis }: Options): number =>
  flushMillis ?? secondsOf(environment["EZPZ_REDUCE_TIMEOUT"]) ?? defaultFlushMillis

/** How long an aggregator waits for a rank: less than the root does, which waits for the aggregator meanwhile. */
export const aggregateMillisOf = (options: Options): number => deadlineMillisOf(options) / 2

export const deadlineMillisOf = ({ deadlineMillis, environment }: Options): number =>
  deadlineMillis ?? secondsOf(environment["EZPZ_REDUCE_DEADLINE"]) ?? defaultDeadlineMillis

export const joinMillisOf = ({ environment, joinMillis }: Options): number =>
  joinMillis ?? secondsOf(environment["EZPZ_JOIN_TIMEOUT"]) ?? defaultJoinMillis

/** Times that a person has given and that are none, for a person to read. */
export const unknownTimes = ({ environment }: Options): ReadonlyArray<string> =>
  ["EZPZ_JOIN_TIMEOUT", "EZPZ_REDUCE_DEADLINE", "EZPZ_REDUCE_TIMEOUT"].flatMap((name) => {
    const said = environment[name]
    return !said || secondsOf(said) !== undefined
      ? []
      : [`${name} is "${said}", which is no number of seconds: it is passed over`]
  })

/** In milliseconds; undefined if it is no time. */
const secondsOf = (text: string | undefined): number | undefined => {
  const seconds = Number(text || NaN)
  return seconds >= 0 ? seconds * 1000 : undefined
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
