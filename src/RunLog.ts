/**
 * The run log: what a run is. Everything else is made from it.
 *
 * Format, version 1
 * - UTF-8, one JSON object a line, each line ended by `\n`. Lines are only ever appended.
 * - A record: `{"seq":7,"step":6,"timestamp":1764000000.25,"rank":0,"metrics":{"train/loss":0.5}}`. `seq` counts the
 *   run's records from 1; `step` is what the job said, or null; `timestamp` is seconds since 1970; `metrics` is flat,
 *   its non-finite numbers the strings "NaN", "Infinity", "-Infinity".
 * - The statistics of a step, once it has closed on all ranks: `{"seq":7,"step":6,"timestamp":...,"rank":0,
 *   "aggregated":{"train/loss/mean":0.5,...},"count":8,"expected":8}`. `seq` is that of the record they complete. A
 *   later line for the same record amends an earlier one: the last counts.
 * - Other members of a line are ignored, so that later versions may add some.
 *
 * Writing
 * - A batch of records is one write at the end of the file. When it returns, the records are the kernel's: they survive
 *   the death of the process (`kill -9`), and with `fsync` the loss of power.
 * - A write that fails half-way is taken back (the file is cut to where it was): its records were not accepted.
 * - Several processes never write one log: see the lock in RunDirectory.ts.
 *
 * Reading
 * - A line that is torn or is not one of the above costs that line: it is counted, and reading goes on.
 * - A last line without `\n` counts if it is whole (an object that was cut never is).
 *
 * Recovery
 * - Going on with a log first looks at its end: a whole last line gets its `\n`, a torn one, which nobody was told is
 *   safe, is cut off. Then `seq` goes on from the last record.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { explain } from "./internal/systemError.ts"
import * as Lines from "./Lines.ts"
import * as Metrics from "./Metrics.ts"
import type { Row, Statistics } from "./Row.ts"

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

const notJson = "torn or not JSON"

const isFinite = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value)

const isRecord = (value: unknown): value is Record<string, Metrics.Value> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

const chunkSize = 1024 * 1024

/** A record's text may grow when it is flattened (`1e20`, `NaN`): what was accepted must be read again. */
const longestLine = 6 * Lines.maxBytes

/**
 * Whether a file is a run log: its first line that can be read is one of a log. A file of plain records is not, and an
 * empty one is.
 *
 * @category reading
 * @since 0.1.0
 */
export const isLog = (path: string): Effect.Effect<boolean, RunLogError> =>
  Effect.scoped(Effect.flatMap(openFile(path, "r"), (fd) =>
    Effect.try({
      try: () => {
        let damaged = 0
        const found = firstOf(fd, false, (line) => {
          if (typeof line === "string" && line.trim() === "") return undefined
          const entry = typeof line === "string" ? decodeLine(line) : line
          if (!("_tag" in entry)) return true
          return typeof line === "string" && entry.reason !== notJson || ++damaged > 100 ? false : undefined
        })
        return found ?? damaged === 0
      },
      catch: (cause) => new RunLogError({ path, operation: "read", cause })
    })))

/** Reads lines from the start of a file until `look` says something of one. */
const firstOf = <A>(
  fd: number,
  verbatim: boolean,
  look: (line: string | Lines.Damaged) => A | undefined
): A | undefined => {
  const buffer = Buffer.allocUnsafe(64 * 1024)
  const splitter = Lines.splitter({ limit: longestLine, verbatim })
  for (let at = 0;;) {
    const read = Fs.readSync(fd, buffer, 0, buffer.length, at)
    at += read
    const last = read === 0 ? splitter.end() : undefined
    const lines = read > 0 ? splitter.push(buffer.subarray(0, read)) : last === undefined ? [] : [last]
    for (const line of lines) {
      const found = look(line)
      if (found !== undefined) return found
    }
    if (read === 0) return undefined
  }
}

/**
 * Reads a log from a byte offset (the start of a line) to where it ends now, or to `to`.
 *
 * @category reading
 * @since 0.1.0
 */
export const pages = (
  path: string,
  range: { readonly from?: number; readonly to?: number } = {}
): Stream.Stream<Page, RunLogError> =>
  Stream.unwrap(Effect.map(openFile(path, "r"), (fd) => {
    const buffer = Buffer.allocUnsafe(chunkSize)
    const splitter = Lines.splitter({ limit: longestLine })
    const to = range.to ?? Infinity
    let at = range.from ?? 0
    let line = 0
    let ended = false
    const page = (lines: ReadonlyArray<string | Lines.Damaged>, unfinished = 0): Page => {
      const entries: Array<Entry> = []
      const corrupt: Array<Corrupt> = []
      for (const text of lines) {
        line++
        if (text === "") continue
        const entry = typeof text === "string" ? decodeLine(text) : text
        if ("_tag" in entry) corrupt.push({ line, reason: entry.reason })
        else entries.push(entry)
      }
      // A torn last line may be one that is being written: whoever reads on from `end` sees it again.
      return { entries, corrupt, end: at - splitter.pending() - (corrupt.length > 0 ? unfinished : 0) }
    }
    const next = Effect.try({
      try: (): Page | undefined => {
        if (ended) return undefined
        const size = Math.min(chunkSize, to - at)
        const read = size <= 0 ? 0 : Fs.readSync(fd, buffer, 0, size, at)
        at += read
        if (read > 0) return page(splitter.push(buffer.subarray(0, read)))
        ended = true
        const unfinished = splitter.pending()
        const rest = splitter.end()
        return rest === undefined ? undefined : page([rest], unfinished)
      },
      catch: (cause) => new RunLogError({ path, operation: "read", cause })
    })
    return Stream.unfold(undefined, () => Effect.map(next, (found) => found && [found, undefined] as const))
  }))

/**
 * The records of a log from its start, each with its statistics, in chunks. A record waits for its statistics while at
 * most `window` later records have been read; 0 (a run of one rank) joins nothing.
 *
 * @category reading
 * @since 0.1.0
 */
export const rows = (path: string, window: number): Stream.Stream<Row, RunLogError> =>
  pages(path).pipe(Stream.mapAccumArray(
    () => joiner(window),
    (join, chunk) => [join, chunk.flatMap((page) => join.push(page.entries))] as const,
    { onHalt: (join) => [...join.end()] }
  ))

/**
 * The records of a log from a byte offset on, page by page, each with its statistics as far as those stand at most
 * `ahead` pages (of 1 MiB) further on: for who reads on from somewhere, and has to know where each page ends.
 *
 * @category reading
 * @since 0.1.0
 */
export const rowPages = (path: string, from: number, ahead = 4): Stream.Stream<RowPage, RunLogError> =>
  pages(path, { from }).pipe(
    Stream.mapAccumArray(() => pageJoiner(ahead), (join, chunk) => [join, chunk.flatMap(join.push)] as const, {
      onHalt: (join) => [...join.end()]
    })
  )

/**
 * The records of a page, and where in the file it ends.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowPage {
  readonly rows: ReadonlyArray<Row>
  readonly end: number
}

const pageJoiner = (ahead: number) => {
  const waiting: Array<{ readonly rows: Array<Row>; readonly end: number }> = []
  const places = new Map<number, { readonly rows: Array<Row>; readonly index: number }>()
  return {
    push: ({ end, entries }: Page): ReadonlyArray<RowPage> => {
      const rows: Array<Row> = []
      waiting.push({ rows, end })
      for (const entry of entries) {
        if (isRow(entry)) places.set(entry.seq, { rows, index: rows.push(entry) - 1 })
        else {
          const place = places.get(entry.seq)
          const row = place?.rows[place.index]
          if (place !== undefined && row !== undefined) {
            place.rows[place.index] = { ...row, statistics: entry.statistics }
          }
        }
      }
      const ready = waiting.splice(0, waiting.length - ahead)
      for (const page of ready) for (const row of page.rows) places.delete(row.seq)
      return ready
    },
    end: (): ReadonlyArray<RowPage> => waiting
  }
}

/**
 * The widest window: statistics that come later than this many records after theirs stay in the log, unjoined.
 *
 * @category reading
 * @since 0.1.0
 */
export const maxWindow = 65_536

interface Joiner {
  readonly push: (entries: ReadonlyArray<Entry>) => ReadonlyArray<Row>
  readonly end: () => ReadonlyArray<Row>
}

const joiner = (window: number): Joiner => {
  if (window === 0) return { push: (entries) => entries.filter(isRow), end: () => [] }
  const waiting = new Map<number, Row>()
  return {
    push: (entries) => {
      const ready: Array<Row> = []
      for (const entry of entries) {
        if (isRow(entry)) {
          // Not ours, but it happens: two records of one seq are two records.
          const same = waiting.get(entry.seq)
          if (same !== undefined) {
            waiting.delete(entry.seq)
            ready.push(same)
          }
          waiting.set(entry.seq, entry)
        } else {
          const row = waiting.get(entry.seq)
          if (row !== undefined) waiting.set(entry.seq, { ...row, statistics: entry.statistics })
        }
        if (waiting.size > window + 1) {
          const oldest = waiting.entries().next()
          if (oldest.done !== true) {
            waiting.delete(oldest.value[0])
            ready.push(oldest.value[1])
          }
        }
      }
      return ready
    },
    end: () => [...waiting.values()]
  }
}

/**
 * Whether an entry is a record, not a record's statistics.
 *
 * @category reading
 * @since 0.1.0
 */
export const isRow = (entry: Entry): entry is Row => entry.metrics !== undefined

const openFile = (path: string, flags: string): Effect.Effect<number, RunLogError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => Fs.openSync(path, flags),
      catch: (cause) => new RunLogError({ path, operation: "open", cause })
    }),
    (fd) => Effect.sync(() => Fs.closeSync(fd))
  )

// -----------------------------------------------------------------------------
// Recovery
// -----------------------------------------------------------------------------

/**
 * What stands at the end of a log: the last record's `seq` (0: none), where the last whole line ends, and how many
 * bytes of a torn line come after it.
 *
 * @category recovery
 * @since 0.1.0
 */
export interface Tail {
  readonly seq: number
  readonly end: number
  readonly torn: number
  /** Whether the last whole line lacks its `\n`. */
  readonly unended: boolean
}

/**
 * Looks at the end of a log, reading backwards as far as it must.
 *
 * @category recovery
 * @since 0.1.0
 */
export const tail = (path: string): Effect.Effect<Tail, RunLogError> =>
  Effect.scoped(
    Effect.flatMap(openFile(path, "r"), (fd) =>
      Effect.try({
        try: () => readTail(fd),
        catch: (cause) => new RunLogError({ path, operation: "read", cause })
      }))
  )

const readTail = (fd: number): Tail => {
  const size = Fs.fstatSync(fd).size
  for (let length = Math.min(size, 64 * 1024); length <= mostBackwards; length = Math.min(size, length * 8)) {
    const bytes = Buffer.alloc(length)
    for (let got = 0; got < length;) {
      const read = Fs.readSync(fd, bytes, got, length - got, size - length + got)
      if (read === 0) break
      got += read
    }
    const whole = length === size
    const lastBreak = bytes.lastIndexOf(0x0a)
    // The first line of what was read may have been cut by where reading began.
    const first = whole ? 0 : bytes.indexOf(0x0a) + 1
    const rest = lastBreak >= 0 || whole ? bytes.subarray(lastBreak + 1).toString("utf8") : ""
    let seq = recordSeq(rest, undefined)
    for (const line of bytes.subarray(first, Math.max(first, lastBreak)).toString("utf8").split("\n")) {
      seq = recordSeq(line, seq)
    }
    if (seq !== undefined || whole) return tailOf(size, seq, length - lastBreak - 1, rest)
  }
  // No record among so much: a log like no other, and read from its start.
  let seq: number | undefined
  let rest = ""
  let bytes = 0
  firstOf(fd, true, (line) => {
    rest = typeof line === "string" ? line : ""
    bytes = typeof line === "string" ? Buffer.byteLength(line) : line.bytes
    seq = recordSeq(rest, seq)
    return undefined
  })
  const last = Buffer.alloc(1)
  Fs.readSync(fd, last, 0, 1, size - 1)
  return last[0] === 0x0a ? tailOf(size, seq, 0, "") : tailOf(size, seq, bytes, rest)
}

const mostBackwards = 32 * 1024 * 1024

/** What stands after the last line break, in bytes and as text, is a line nevertheless where it is JSON: not cut. */
const tailOf = (size: number, seq: number | undefined, bytes: number, rest: string): Tail => {
  const entry = decodeLine(rest)
  const unended = !("_tag" in entry) || entry.reason !== notJson
  const torn = unended ? 0 : bytes
  return { seq: seq ?? 0, end: size - torn, torn, unended }
}

/** The greater of a seq and a line's, if that is a record: statistics carry the seq of an earlier one. */
const recordSeq = (line: string, seq: number | undefined): number | undefined => {
  const entry = decodeLine(line)
  return !("_tag" in entry) && isRow(entry) && entry.seq > (seq ?? 0) ? entry.seq : seq
}

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/**
 * The one writer of a log.
 *
 * `append` writes whole lines, and returns once the kernel has them; `end` is where the next one goes. `lastSeq` is
 * the last record's when the log was opened. `append` throws {@link RunLogError}: it is called for every record of an
 * `update`, where an Effect would cost more than the write.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writer {
  readonly path: string
  readonly lastSeq: number
  readonly end: () => number
  readonly appendUnsafe: (lines: string) => void
}

/**
 * Opens a log for writing: `create` fails where one has records, `append` goes on with it (or creates it), `overwrite`
 * empties it. The file is closed with the scope.
 *
 * @category writing
 * @since 0.1.0
 */
export const writer = (options: {
  readonly path: string
  readonly mode: "create" | "append" | "overwrite"
  readonly fsync?: boolean
}): Effect.Effect<Writer, RunLogError, Scope.Scope> =>
  Effect.gen(function*() {
    const { fsync = false, mode, path } = options
    const attempt = <A>(operation: string, run: () => A) =>
      Effect.try({ try: run, catch: (cause) => new RunLogError({ path, operation, cause }) })
    yield* attempt("create the directory of", () => Fs.mkdirSync(Path.dirname(path), { recursive: true }))
    const found = mode === "append" && Fs.existsSync(path) ? yield* tail(path) : undefined
    // Always at the end: after a write that was taken back, the position of any other would be beyond it.
    const fd = yield* openFile(path, "a")
    if (mode === "create" && Fs.fstatSync(fd).size > 0) {
      return yield* new RunLogError({
        path,
        operation: "create",
        cause: Object.assign(new Error(), { code: "EEXIST" })
      })
    }
    if (mode === "overwrite") yield* attempt("empty", () => Fs.ftruncateSync(fd))
    let end = found?.end ?? 0

    let torn = false

    const appendUnsafe = (text: string): void => {
      const lines = torn ? `\n${text}` : text
      let written = 0
      try {
        const start = torn ? Fs.fstatSync(fd).size : end
        const length = Buffer.byteLength(lines)
        written = Fs.writeSync(fd, lines)
        if (written < length) {
          const bytes = Buffer.from(lines)
          while (written < length) written += Fs.writeSync(fd, bytes, written)
        }
        if (fsync) Fs.fdatasyncSync(fd)
        end = start + length
        torn = false
      } catch (cause) {
        takeBack()
        throw new RunLogError({ path, operation: "append to", cause })
      }
    }
    const takeBack = (): void => {
      try {
        Fs.ftruncateSync(fd, end)
        torn = false
      } catch {
        // What stands behind `end` stays there, and the next write puts an end to its line.
        torn = true
      }
    }

    if (found !== undefined) {
      yield* attempt("recover", () => {
        if (found.torn > 0) Fs.ftruncateSync(fd, found.end)
        if (found.unended) appendUnsafe("\n")
      })
    }
    return { path, lastSeq: found?.seq ?? 0, end: () => end, appendUnsafe }
  })

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * The run log could not be opened, read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunLogError extends Schema.TaggedError<RunLogError>()("RunLogError", {
  path: Schema.String,
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Cannot ${this.operation} the log ${this.path}: ${explain(this.cause)}`
  }
}

/**
 * Turns what {@link Writer.appendUnsafe} threw into a failure; anything else is a defect.
 *
 * @category errors
 * @since 0.1.0
 */
export const failWith = (error: unknown): Effect.Effect<never, RunLogError> =>
  error instanceof RunLogError ? Effect.fail(error) : Effect.die(error)
