/**
 * The lines of a log: what they say, and how they are written and read.
 *
 * @since 0.1.0
 */
import * as Metrics from "../Metrics.ts"
import type { Row, Statistics } from "../Row.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The version of the format this module writes, and the newest it reads.
 *
 * @category models
 * @since 0.1.0
 */
export const formatVersion = 1

/**
 * One line of the log: a record (whose statistics, if any, are lines of their own), or a record's statistics.
 *
 * @category models
 * @since 0.1.0
 */
export type Entry = Row | Closing

/**
 * The statistics of the record `seq`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Closing {
  readonly seq: number
  readonly step: number | undefined
  readonly timestamp: number
  readonly rank: number
  readonly metrics: undefined
  readonly statistics: Statistics
}

/**
 * Some lines of a log, as they were read: the entries, where in the file they end, and which lines were corrupt.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page {
  readonly entries: ReadonlyArray<Entry>
  readonly end: number
  readonly corrupt: ReadonlyArray<Corrupt>
}

/**
 * A line that could not be read; `line` counts from 1 at where reading began.
 *
 * @category models
 * @since 0.1.0
 */
export interface Corrupt {
  readonly line: number
  readonly reason: string
}

/**
 * Whether an entry is a record, not a record's statistics.
 *
 * @category reading
 * @since 0.1.0
 */
export const isRow = (entry: Entry): entry is Row => entry.metrics !== undefined

// -----------------------------------------------------------------------------
// Lines of the log
// -----------------------------------------------------------------------------

/**
 * A record as a line of the log, `\n` included. `metrics` is JSON text.
 *
 * @category encoding
 * @since 0.1.0
 */
export const recordLine = (
  seq: number,
  step: number | undefined,
  timestamp: number,
  rank: number,
  metrics: string
): string => `{"seq":${seq},"step":${stepText(step)},"timestamp":${timestamp},"rank":${rank},"metrics":${metrics}}\n`

/** A step that is no finite number, which JSON could not say, is none. */
const stepText = (step: number | undefined): string =>
  step === undefined || !Number.isFinite(step) ? "null" : String(step)

/**
 * A record's statistics as a line of the log, `\n` included.
 *
 * @category encoding
 * @since 0.1.0
 */
export const statisticsLine = ({ rank, seq, statistics, step, timestamp }: Omit<Closing, "metrics">): string =>
  `{"seq":${seq},"step":${stepText(step)},"timestamp":${timestamp},"rank":${rank},` +
  `"aggregated":${Metrics.encode(statistics.values)},"count":${statistics.count},"expected":${statistics.expected}}\n`

/**
 * Reads one line of the log. A record may carry its statistics in the same line (as the Python History writes them).
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeLine = (line: string): Entry | { readonly _tag: "Refused"; readonly reason: string } => {
  let value: RawEntry | null
  try {
    value = JSON.parse(line)
  } catch {
    return { _tag: "Refused", reason: notJson }
  }
  if (typeof value !== "object" || value === null) return { _tag: "Refused", reason: "not an object" }
  const { aggregated, metrics, seq, step, timestamp } = value
  if (typeof seq !== "number" || !Number.isSafeInteger(seq) || seq < 1) return { _tag: "Refused", reason: "no seq" }
  if (!isFinite(timestamp)) return { _tag: "Refused", reason: "no timestamp" }
  const head = {
    seq,
    step: isFinite(step) ? step : undefined,
    timestamp,
    rank: isFinite(value.rank) ? value.rank : 0
  }
  const statistics = isRecord(aggregated) && Metrics.restoreNonFinite(aggregated)
    ? {
      values: aggregated,
      count: isFinite(value.count) ? value.count : 1,
      expected: isFinite(value.expected) ? value.expected : 1
    }
    : undefined
  if (isRecord(metrics)) {
    return Metrics.restoreNonFinite(metrics)
      ? { ...head, metrics, statistics }
      : { _tag: "Refused", reason: "metrics that are not flat" }
  }
  return statistics === undefined
    ? { _tag: "Refused", reason: "neither metrics nor aggregated" }
    : { ...head, metrics: undefined, statistics }
}

interface RawEntry {
  readonly seq?: unknown
  readonly step?: unknown
  readonly timestamp?: unknown
  readonly rank?: unknown
  readonly metrics?: Record<string, Metrics.Value>
  readonly aggregated?: Record<string, Metrics.Value>
  readonly count?: unknown
  readonly expected?: unknown
}

/** Why a line is refused that is not even JSON. */
export const notJson = "torn or not JSON"

const isFinite = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value)

const isRecord = (value: unknown): value is Record<string, Metrics.Value> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
