/**
 * A run with backends, on a clock that stands still.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Backend from "../../src/Backend.ts"
import * as Outbox from "../../src/Outbox.ts"
import type { Row } from "../../src/Row.ts"
import * as RunDirectory from "../../src/RunDirectory.ts"
import * as RunLog from "../../src/RunLog.ts"
import * as Supervisor from "../../src/Supervisor.ts"

export interface Run {
  readonly path: string
  readonly cursor: (backend?: string) => string
  readonly lastSeq: () => number
  readonly supervise: (
    factory: Backend.Factory,
    name?: string,
    lastSeq?: number
  ) => Effect.Effect<Supervisor.Supervised, never, Scope.Scope>
  /** Appends records to the log. */
  readonly append: (count: number) => ReadonlyArray<Row>
  /** Appends records to the log and offers them. */
  readonly record: (to: ReadonlyArray<Supervisor.Supervised>, count: number) => void
  readonly statistics: (rows: ReadonlyArray<Row>) => ReadonlyArray<Row>
  readonly end: () => number
}

export const context = (directory: string, runId = "r1") => ({
  runId,
  runName: undefined,
  projectName: "p",
  projectGiven: true,
  directory,
  config: { lr: 1 },
  keys: [],
  environment: {},
  createdAt: 0,
  live: true,
  facts
})

const facts = Effect.succeed({})

/** Opens a run, or goes on with it. */
export const open = (directory: string, runId = "r1"): Effect.Effect<Run, RunLog.RunLogError, Scope.Scope> =>
  Effect.gen(function*() {
    const path = Path.join(directory, RunDirectory.logName)
    Fs.mkdirSync(RunDirectory.privateDirectory(path), { recursive: true })
    const writer = yield* RunLog.writer({ path, mode: "append" })
    let seq = writer.lastSeq
    const append = (count: number): ReadonlyArray<Row> => {
      const rows = Array.from({ length: count }, (_, i): Row => ({
        seq: seq + i + 1,
        step: seq + i,
        timestamp: 0,
        rank: 0,
        metrics: { loss: seq + i + 1 },
        statistics: undefined
      }))
      seq += count
      writer.appendUnsafe(
        rows.map((row) => RunLog.recordLine(row.seq, row.step, 0, 0, `{"loss":${row.seq}}`)).join("")
      )
      return rows
    }
    return {
      path,
      cursor: (name = "mine") => RunDirectory.cursorPath(path, name),
      lastSeq: () => seq,
      supervise: (factory, name = "mine", lastSeq = writer.lastSeq) =>
        Supervisor.supervise({
          name,
          factory,
          context: context(directory, runId),
          directory: () => directory,
          log: () => path,
          cursor: () => RunDirectory.cursorPath(path, name),
          lock: () => RunDirectory.deliveryLockPath(path, name),
          outbox: () => RunDirectory.outboxPath(path),
          history: Effect.succeed({ columns: ["step"], rows: Stream.make([1]) }),
          lastSeq
        }),
      append,
      record: (to, count) => {
        const rows = append(count)
        for (const supervised of to) supervised.offer(rows, writer.end())
      },
      statistics: (rows) => {
        const closed = rows.map((row) => ({
          ...row,
          statistics: { values: { "loss/mean": row.seq }, count: 2, expected: 2 }
        }))
        writer.appendUnsafe(closed.map((row) => RunLog.statisticsLine(row)).join(""))
        return closed
      },
      end: writer.end
    }
  })

/** A backend that keeps what it acknowledged. */
export const keeping = (definition: Partial<Backend.Definition> = {}) => {
  const rows: Array<Row> = []
  const batches: Array<number> = []
  const contexts: Array<Backend.Context> = []
  const take = (batch: ReadonlyArray<Row>) => {
    batches.push(batch.length)
    for (const row of batch) rows.push(row)
  }
  const factory: Backend.Factory = (context) =>
    Effect.sync(() => {
      contexts.push(context)
      return Backend.make({ name: "mine", log: take, ...definition })
    })
  return { rows, batches, contexts, factory, take, seqs: () => rows.map((row) => row.seq) }
}

export const upTo = (count: number, from = 1): Array<number> =>
  Array.from({ length: count - from + 1 }, (_, i) => from + i)

/** Lets an effect run while time goes by. */
export const within = <A, E, R>(millis: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(millis)
    return yield* Fiber.join(fiber)
  })

export const drain = (supervised: Supervisor.Supervised) => within(60_000, supervised.drain(60_000))

/** What was warned about while an effect ran. */
export const warnings = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") lines.push(String(message))
    })
    return Effect.map(Effect.provide(effect, Logger.layer([logger])), (result) => ({ lines, result }))
  })

/** How far records have come by a cursor. */
export const cursorOf = (path: string): Pick<Supervisor.Cursor, "runId" | "offset" | "seq" | "checkpoint"> => {
  const { failed: _failed, outbox: _outbox, ...cursor } = JSON.parse(Fs.readFileSync(path, "utf8"))
  return cursor
}

/** Puts something into the outbox. */
export const put = (run: Run, to: Supervisor.Supervised, entries: ReadonlyArray<Outbox.Entry>): void => {
  Outbox.append(RunDirectory.outboxPath(run.path), entries)
  to.look()
}

export const boom = () => {
  throw new Error("boom")
}
