/**
 * Up to where a backend has acknowledged, as a file beside the log:
 *
 *     {"runId":"...","offset":n,"seq":n,"checkpoint":...,"outbox":n,"failed":[n],"closed":"finished"}
 *
 * What lies before `offset` in the log, and what has a `seq` up to the cursor's, is delivered; `checkpoint` is the
 * backend's own note about where it stood then. What lies before `outbox` in the outbox is delivered but for what begins
 * at one of `failed`. `closed` says how the run was closed at the backend, once it was.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import type { RunState } from "../Backend.ts"

/**
 * Up to where a backend has acknowledged.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cursor {
  readonly runId: string | undefined
  readonly offset: number
  readonly seq: number
  readonly checkpoint: unknown
  readonly outbox: number
  readonly failed: ReadonlyArray<number>
  readonly closed: RunState | undefined
}

/** Nothing has been delivered. */
export const start: Cursor = {
  runId: undefined,
  offset: 0,
  seq: 0,
  checkpoint: undefined,
  outbox: 0,
  failed: [],
  closed: undefined
}

/**
 * Reads a cursor; a missing or broken one is the start of the log.
 *
 * @category cursor
 * @since 0.1.0
 */
export const readCursor = (path: string): Effect.Effect<Cursor> => Effect.sync(() => parse(readText(path)))

/** The file as it is; empty if there is none. */
export const readText = (path: string): string => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

export const parse = (text: string): Cursor => {
  try {
    const { checkpoint, closed, failed = [], offset, outbox = 0, runId, seq }: Partial<Cursor> = JSON.parse(text)
    return isCount(offset) && isCount(seq)
      ? {
        runId,
        offset,
        seq,
        checkpoint,
        outbox: isCount(outbox) ? outbox : 0,
        failed: Array.isArray(failed) ? failed.filter(isCount) : [],
        closed
      }
      : start
  } catch {
    return start
  }
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

/**
 * A cursor as it fits a log: one of another run counts for nothing, and where the log has lost its end (with the power)
 * what is written there now is new.
 */
export const fitting = (cursor: Cursor, runId: string, logPath: string, lastSeq: number): Cursor => {
  if (cursor.runId !== undefined && cursor.runId !== runId) return start
  const size = Fs.statSync(logPath, { throwIfNoEntry: false })?.size ?? 0
  return cursor.seq > lastSeq || cursor.offset > size
    ? { ...cursor, offset: 0, seq: Math.min(cursor.seq, lastSeq) }
    : cursor
}

/** Gives what was written. */
export const write = (path: string, cursor: Cursor): string => {
  const text = JSON.stringify(cursor)
  Fs.writeFileSync(`${path}.tmp`, text)
  Fs.renameSync(`${path}.tmp`, path)
  return text
}
