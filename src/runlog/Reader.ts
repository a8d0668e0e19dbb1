/**
 * Reading a log: page by page, and as records with their statistics.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Lines from "../Lines.ts"
import type { Row } from "../Row.ts"
import { type Corrupt, decodeLine, type Entry, isRow, notJson, type Page } from "./Entry.ts"
import { firstOf, longestLine, openFile, RunLogError } from "./File.ts"

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

const chunkSize = 1024 * 1024

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
    const to = range.to ?? Infinity
    let at = range.from ?? 0
    // Who follows a log reads a few lines at a time, many times a second.
    const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(chunkSize, to - at)))
    const splitter = Lines.splitter({ limit: longestLine })
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
