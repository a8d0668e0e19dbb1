/**
 * What frames are: their types, headers and contents, and the limits that keep them small.
 *
 * @since 0.3.0
 */
import { createHash } from "node:crypto"
import { stateSize } from "../../../internal/states.ts"
import type { RankSet } from "../RankSet.ts"

// -----------------------------------------------------------------------------
// Limits
// -----------------------------------------------------------------------------

/**
 * "EZPZ", the first four bytes of every frame.
 *
 * @category constants
 * @since 0.3.0
 */
export const magic = 0x5a505a45

/**
 * The version of the protocol. Another one cannot be understood.
 *
 * @category constants
 * @since 0.3.0
 */
export const major = 1

/**
 * How many bytes a header has.
 *
 * @category constants
 * @since 0.3.0
 */
export const headerBytes = 64

/**
 * How large things may be. What is larger is refused by whoever receives it and never sent.
 *
 * @category constants
 * @since 0.3.0
 */
export const limits = {
  frameBytes: 64 * 1024 * 1024,
  /** A body is JSON, which takes many times its length once it is read. */
  bodyBytes: 1024 * 1024,
  keys: 65_536,
  records: 65_536,
  keyBytes: 4096
} as const

/**
 * How many numbers the moments of a key are on the wire: a state of internal/states.ts.
 *
 * @category constants
 * @since 0.3.0
 */
export const momentFields = stateSize

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The types of frames, by their codes.
 *
 * @category models
 * @since 0.3.0
 */
export const codes = {
  hello: 1,
  welcome: 2,
  schema: 3,
  leaf: 4,
  aggregate: 5,
  ack: 6,
  result: 7,
  heartbeat: 8,
  bye: 9,
  carry: 10
} as const

/**
 * @category models
 * @since 0.3.0
 */
export type FrameType = keyof typeof codes | "unknown"

/**
 * Who sends a frame: a rank of a job, in one of its lives (`incarnation` differs after a restart and grows).
 *
 * @category models
 * @since 0.3.0
 */
export interface Origin {
  readonly job: bigint
  readonly rank: number
  readonly incarnation: number
  readonly worldSize: number
}

/**
 * What every frame says. `seq` counts the frames of an origin that want an acknowledgement, from 1; it is 0 for those
 * that want none. In an `ack` and in a `heartbeat` it says which frames are done with instead. `sentAt` is the sender's clock,
 * in milliseconds since 1970: information only.
 *
 * @category models
 * @since 0.3.0
 */
export interface Head extends Origin {
  readonly flags: number
  readonly seq: number
  readonly sentAt: number
}

/**
 * What an encoder needs to know for the header.
 *
 * @category models
 * @since 0.3.0
 */
export interface Stamp extends Origin {
  readonly seq: number
  readonly sentAt: number
}

/**
 * JSON, as `JSON.parse` gives it.
 *
 * @category models
 * @since 0.3.0
 */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

/**
 * @category models
 * @since 0.3.0
 */
export interface JsonObject {
  readonly [key: string]: Json
}

/**
 * What a step number counts: 0 the job's own steps, 1 the records of a rank that came without one.
 *
 * @category models
 * @since 0.3.0
 */
export const domains = { step: 0, counted: 1 } as const

/**
 * Records of one schema, by columns: record `i` has the value `values[i * keys + k]` for key `k` of the schema where
 * `present(i, k)`. `dense` says that every value is there. The arrays may be views of the message.
 *
 * @category models
 * @since 0.3.0
 */
export interface Leaf {
  readonly count: number
  readonly keys: number
  readonly steps: Float64Array
  readonly domains: Uint8Array
  readonly dense: boolean
  readonly present: (record: number, key: number) => boolean
  readonly values: Float64Array
}

/**
 * Statistics of several ranks, by columns: entry `i` is about the `occurrences[i]`-th record (from 0) that each of the
 * ranks `ranks[sets[i]]` gave at `steps[i]` for just the keys that are present. Moments are states as `stateAt` reads them. There are no
 * more sets than entries; they are memory of their own, which may be kept.
 *
 * @category models
 * @since 0.3.0
 */
export interface Aggregate {
  readonly count: number
  readonly keys: number
  readonly steps: Float64Array
  readonly domains: Uint8Array
  readonly occurrences: Uint32Array
  readonly sets: Uint32Array
  readonly ranks: ReadonlyArray<RankSet>
  readonly dense: boolean
  readonly present: (entry: number, key: number) => boolean
  readonly moments: Float64Array
}

/**
 * A frame that was understood.
 *
 * @category models
 * @since 0.3.0
 */
export type Frame =
  & Head
  & (
    | { readonly type: "hello" | "welcome" | "result" | "bye" | "carry"; readonly body: JsonObject }
    | { readonly type: "schema"; readonly id: number; readonly keys: ReadonlyArray<string>; readonly bytes: number }
    | { readonly type: "leaf"; readonly schema: number; readonly keys: number; readonly records: Leaf }
    | { readonly type: "aggregate"; readonly schema: number; readonly keys: number; readonly entries: Aggregate }
    | { readonly type: "ack" | "heartbeat" }
    | { readonly type: "unknown"; readonly code: number }
  )

/**
 * Why bytes are no frame: there are too few or too many of them, they are something else's, another version's, damaged
 * on the way, of another job, or do not hold together.
 *
 * @category models
 * @since 0.3.0
 */
export type Fault = "truncated" | "magic" | "version" | "length" | "checksum" | "job" | "malformed"

/**
 * Bytes that were not understood, and why: for programs and for people.
 *
 * @category models
 * @since 0.3.0
 */
export interface Refused {
  readonly _tag: "Refused"
  readonly fault: Fault
  readonly reason: string
}

/**
 * Whether {@link decode} refused.
 *
 * @category guards
 * @since 0.3.0
 */
export const isRefused = (result: Frame | Refused): result is Refused => "_tag" in result

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The number that stands for a job in a header: the first 8 bytes of the SHA-256 of its id.
 *
 * @category constructors
 * @since 0.3.0
 */
export const jobOf = (id: string): bigint => createHash("sha256").update(id).digest().readBigUInt64LE(0)

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** A flag of leaf and aggregate: every value is there, and there are no presence bits. */
export const denseFlag = 1

/** The header, by offset. */
export const at = {
  magic: 0,
  major: 4,
  type: 5,
  flags: 6,
  job: 8,
  rank: 16,
  incarnation: 20,
  seq: 24,
  schema: 32,
  keys: 36,
  count: 40,
  payload: 44,
  checksum: 48,
  worldSize: 52,
  sentAt: 56
} as const

/** The next multiple of 8. */
export const padded = (bytes: number): number => Math.ceil(bytes / 8) * 8

/** How many bytes the presence bits of a record take. */
export const presenceBytes = (keys: number): number => Math.ceil(keys / 64) * 8

/** How many bytes the rank sets of an aggregate take. */
export const rankSetBytes = (ranks: ReadonlyArray<RankSet>): number => {
  let words = 1
  for (const set of ranks) words += 1 + set.length
  return padded(4 * words)
}

/**
 * Where the columns of a leaf or an aggregate are, from the start of the payload, and how long they are together. The
 * rank sets of an aggregate come behind.
 */
export const layout = (type: "leaf" | "aggregate", keys: number, count: number, dense: boolean) => {
  const domains = 8 * count
  const occurrences = domains + padded(count)
  const column = type === "leaf" ? 0 : padded(4 * count)
  const sets = occurrences + column
  const presence = sets + column
  const values = presence + (dense ? 0 : count * presenceBytes(keys))
  const numbers = count * keys * (type === "leaf" ? 1 : momentFields)
  return { steps: 0, domains, occurrences, sets, presence, values, numbers, bytes: values + 8 * numbers }
}

/** Typed arrays have the machine's order of bytes, frames are little endian. */
export const bigEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 0
