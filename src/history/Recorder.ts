/**
 * The way of a record: appended to the log, reduced across ranks, and once its step has closed, told to the backends.
 *
 * Backends are told from where in the log they would have to read on: behind the last record that has been published,
 * never behind one that still waits for its step to close.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type * as Metrics from "../Metrics.ts"
import type * as Reducer from "../Reducer.ts"
import type { Row } from "../Row.ts"
import * as RunLog from "../RunLog.ts"
import type { Tracker } from "../Tracker.ts"
import { type Run, TrackedRow } from "./Tracked.ts"

/**
 * `record` appends records in one write, and gives back those whose step has closed since it was asked last; it throws
 * {@link RunLog.RunLogError}, and then nothing was recorded; else `seen` is shown them. `closed` waits for records that close in between, `take` does
 * not. `own` waits for the last record to close, and gives it. `close` publishes what is still open, and says if
 * statistics could not be written.
 */
export interface Recorder {
  readonly record: (records: ReadonlyArray<Metrics.Decoded>, clock: Clock.Clock) => ReadonlyArray<TrackedRow>
  readonly closed: Effect.Effect<ReadonlyArray<TrackedRow>>
  readonly take: Effect.Effect<ReadonlyArray<TrackedRow>>
  readonly own: Effect.Effect<TrackedRow | undefined>
  readonly close: Effect.Effect<void>
}

export const make = (
  run: Run,
  runId: string,
  writer: RunLog.Writer,
  reducer: Reducer.Reducer["Service"],
  tracker: Tracker,
  seen: (records: ReadonlyArray<Metrics.Decoded>) => void
): Effect.Effect<Recorder, Reducer.ReducerError, Scope.Scope> =>
  Effect.gen(function*() {
    const rank = reducer.rank.rank
    let seq = writer.lastSeq
    /** The appended batches that have not been published whole: where each begins, and its last record. */
    let open: Array<{ readonly start: number; readonly last: number }> = []
    const some = yield* Latch.make(false)
    let published: ReadonlyArray<Row> = []
    let lastPublished = writer.lastSeq
    let unwritten = 0
    /** Records that somebody waits for: several may at the same time. */
    const waitedFor = new Map<number, Row | undefined>()

    const writeStatistics = (rows: ReadonlyArray<Row>): void => {
      const closing = rows.filter((row) => row.statistics !== undefined)
      if (closing.length === 0) return
      try {
        writer.appendUnsafe(closing.map(closingLine).join(""))
      } catch {
        // The records are in the log, and backends get the statistics: the run goes on.
        unwritten += closing.length
      }
    }

    const reduction = yield* reducer.open(runId, (closed, amended = false) => {
      const rows = closed.map(plain)
      writeStatistics(rows)
      // Backends have had the record. The log keeps what was said last.
      if (amended) return
      const last = rows.at(-1)?.seq ?? 0
      open = open.filter((batch) => batch.last > last)
      tracker.offer(rows, open[0]?.start ?? writer.end())
      published = published.length === 0 ? rows : [...published, ...rows]
      lastPublished = last
      if (waitedFor.size > 0) { for (const row of rows) if (waitedFor.has(row.seq)) waitedFor.set(row.seq, row) }
      if (published.length > mostUnasked) published = published.slice(-mostUnasked)
      some.openUnsafe()
    })
    const take = (): ReadonlyArray<TrackedRow> => {
      const rows = published
      published = []
      some.closeUnsafe()
      return rows.map((row) => TrackedRow.of(run, row))
    }

    return {
      record: (records, clock) => {
        const timestamp = clock.currentTimeMillisUnsafe() / 1000
        const start = writer.end()
        let lines = ""
        const rows: Array<TrackedRow> = []
        for (const decoded of records) {
          const next = seq + rows.length + 1
          lines += RunLog.recordLine(next, decoded.step, timestamp, rank, decoded.text)
          rows.push(new TrackedRow(run, next, timestamp, rank, decoded))
        }
        writer.appendUnsafe(lines)
        seq += rows.length
        open.push({ start, last: seq })
        reduction.offer(rows)
        seen(records)
        return take()
      },
      closed: Effect.andThen(some.await, Effect.sync(take)),
      take: Effect.sync(take),
      own: Effect.suspend(() => {
        const wanted = seq
        const isOpen = (): boolean => lastPublished < wanted
        if (isOpen()) waitedFor.set(wanted, undefined)
        return Effect.gen(function*() {
          while (isOpen()) {
            yield* some.await
            if (isOpen()) some.closeUnsafe()
          }
          const rows = take()
          const row = waitedFor.get(wanted)
          return row === undefined ? rows.find(({ seq }) => seq === wanted) : TrackedRow.of(run, row)
        }).pipe(Effect.ensuring(Effect.sync(() => waitedFor.delete(wanted))))
      }),
      close: Effect.andThen(
        reduction.flush,
        Effect.suspend(() =>
          unwritten === 0
            ? Effect.void
            : Effect.logWarning(`The statistics of ${unwritten} records could not be written to ${writer.path}`)
        )
      )
    }
  })

/** Records that nobody asks for are not kept for ever. */
const mostUnasked = 65_536

/** Reducers may keep statistics as they like; whoever gets a record gets an ordinary object. */
const plain = (row: Row): Row => {
  if (row.statistics === undefined) return row
  const { count, expected, values } = row.statistics
  return { ...row, statistics: { values, count, expected } }
}

const closingLine = (row: Row): string =>
  row.statistics === undefined ? "" : RunLog.statisticsLine({ ...row, statistics: row.statistics })
