/**
 * What keeps a backend from hurting a run.
 *
 * Each backend has a fiber of its own. Records reach it from memory, in batches; when it falls so far behind that
 * memory would grow, it is told nothing more and reads on from the log at its cursor. A batch is handed over until the
 * backend has acknowledged it: with a time-out, again and again, each time later. Whatever a backend throws, a warning
 * is all that comes of it: one per kind of failure, then a count.
 *
 * The cursor is the promise that nothing is lost. It is a file beside the log, moved only after acknowledgement:
 * `{"offset":n,"seq":n,"checkpoint":...}`. What lies before `offset` in the log, and what has a `seq` up to the
 * cursor's, is delivered; `checkpoint` is the backend's own note about where it stood then.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Backend from "./Backend.ts"
import type { Row } from "./Row.ts"
import * as RunLog from "./RunLog.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A backend under supervision.
 *
 * `offer` hands records over; it never waits. `offset` is where in the log the first record lies that has not been
 * offered yet. `attempt` asks something else of the backend and never fails: false says that it could not be done.
 * `finish` delivers what is left and closes the run, within `timeout`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Supervised {
  readonly name: string
  readonly backend: Effect.Effect<Backend.Backend | undefined>
  readonly offer: (rows: ReadonlyArray<Row>, offset: number) => void
  readonly attempt: (
    operation: string,
    call: (backend: Backend.Backend) => Effect.Effect<void, Backend.BackendError>
  ) => Effect.Effect<boolean>
  readonly drain: (timeoutMillis: number) => Effect.Effect<Delivered>
  readonly finish: (state: Backend.RunState, timeoutMillis: number) => Effect.Effect<Delivered>
}

/**
 * How far a backend has come: `undelivered` counts the records that it has not acknowledged.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delivered {
  readonly backend: string
  readonly seq: number
  readonly undelivered: number
  readonly failures: number
  readonly lastFailure: string | undefined
}

/**
 * Up to where a backend has acknowledged.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cursor {
  readonly offset: number
  readonly seq: number
  readonly checkpoint: unknown
}

/** Beyond so many records in memory, a backend reads on from the log. */
const maxQueued = 8192
/** The most records one call of `log` gets. */
const maxBatch = 4096
const callTimeoutMillis = 30_000
const firstPauseMillis = 500
const longestPauseMillis = 60_000
const cursorEveryMillis = 1000
/** Records wait for others to be delivered with: until there are so many, or for so long. */
const batchEnough = 256
const batchMillis = 200

// -----------------------------------------------------------------------------
// Cursor
// -----------------------------------------------------------------------------

/**
 * Reads a cursor; a missing or broken one is the start of the log.
 *
 * @category cursor
 * @since 0.1.0
 */
export const readCursor = (path: string): Effect.Effect<Cursor> =>
  Effect.sync(() => {
    try {
      const { checkpoint, offset, seq }: Partial<Cursor> = JSON.parse(Fs.readFileSync(path, "utf8"))
      return typeof offset === "number" && typeof seq === "number" ? { offset, seq, checkpoint } : start
    } catch {
      return start
    }
  })

const start: Cursor = { offset: 0, seq: 0, checkpoint: undefined }

const writeCursor = (path: string, cursor: Cursor): Effect.Effect<void> =>
  Effect.try(() => {
    Fs.writeFileSync(`${path}.tmp`, JSON.stringify(cursor))
    Fs.renameSync(`${path}.tmp`, path)
  }).pipe(
    // Without a cursor the backend gets records again that it had: late, but nothing is lost.
    Effect.ignore
  )

// -----------------------------------------------------------------------------
// Supervision
// -----------------------------------------------------------------------------

/**
 * Starts a backend and its fiber. Returns at once: a backend that does not start is started again, later, and
 * meanwhile falls behind. The fiber ends with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const supervise = (options: {
  readonly name: string
  readonly factory: Backend.Factory
  readonly context: Omit<Backend.Context, "checkpoint">
  readonly log: () => string
  readonly cursor: () => string
  /** The seq of the last record in the log when the run was opened. */
  readonly lastSeq: number
}): Effect.Effect<Supervised, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { name } = options
    // What the backend opens, whenever that is, is closed after everything that is registered from here on.
    const scope = yield* Scope.fork(yield* Effect.scope)
    const wake = yield* Latch.make(false)
    const hurry = yield* Latch.make(false)
    const caughtUp = yield* Latch.make(false)

    let backend: Backend.Backend | undefined
    let cursor = yield* readCursor(options.cursor())
    let saved = cursor
    let savedAt = yield* Clock.currentTimeMillis
    let offered = options.lastSeq
    let queue: Array<{ readonly rows: ReadonlyArray<Row>; readonly offset: number }> = []
    let queued = 0
    // A run that goes on, or a server that was away, starts from the log.
    let behind = cursor.seq < options.lastSeq
    let draining = 0
    let failures = 0
    let lastFailure: string | undefined
    const warned = new Set<string>()

    const failed = (error: Backend.BackendError): Effect.Effect<void> =>
      Effect.suspend(() => {
        failures++
        lastFailure = error.message
        if (warned.has(error.message) || warned.size >= 20) return Effect.void
        warned.add(error.message)
        return Effect.logWarning(error.message)
      })

    /** Runs one call in its error boundary: a failure, a defect and a time-out are all a BackendError. */
    const bounded = <A>(operation: string, call: Effect.Effect<A, Backend.BackendError>) =>
      call.pipe(
        Effect.timeoutOption(callTimeoutMillis),
        Effect.flatMap(Option.match({
          onNone: () =>
            Effect.fail(
              new Backend.BackendError({
                backend: name,
                operation,
                cause: new Error(`no answer within ${callTimeoutMillis / 1000} s`)
              })
            ),
          onSome: Effect.succeed
        })),
        Effect.catchCauseIf(
          (cause) => !Cause.hasInterruptsOnly(cause),
          (cause) => {
            const error = Cause.squash(cause)
            return Effect.fail(
              error instanceof Backend.BackendError
                ? error
                : new Backend.BackendError({ backend: name, operation, cause: error })
            )
          }
        )
      )

    /** Again and again until it succeeds, each time later (to the longest pause), with jitter. */
    const insist = <A>(operation: string, call: Effect.Effect<A, Backend.BackendError>): Effect.Effect<A> =>
      Effect.gen(function*() {
        for (let pause = firstPauseMillis;; pause = Math.min(pause * 2, longestPauseMillis)) {
          const result = yield* Effect.result(bounded(operation, call))
          if (result._tag === "Success") return result.success
          yield* failed(result.failure)
          yield* Effect.sleep(pause * (0.5 + (yield* Random.next)))
        }
      })

    const acknowledge = (rows: ReadonlyArray<Row>, offset: number): Effect.Effect<void> =>
      Effect.gen(function*() {
        cursor = {
          offset,
          seq: Math.max(cursor.seq, rows.at(-1)?.seq ?? 0),
          checkpoint: backend === undefined ? cursor.checkpoint : yield* backend.checkpoint
        }
        const now = yield* Clock.currentTimeMillis
        if (now - savedAt >= cursorEveryMillis) yield* save(now)
      })

    const save = (now: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (cursor === saved) return Effect.void
        saved = cursor
        savedAt = now
        return writeCursor(options.cursor(), cursor)
      })

    const deliver = (to: Backend.Backend, rows: ReadonlyArray<Row>, offset: number): Effect.Effect<void> =>
      rows.length === 0
        ? acknowledge(rows, offset)
        : Effect.andThen(insist("log", Effect.suspend(() => to.log(rows))), acknowledge(rows, offset))

    const deliverQueue = (to: Backend.Backend): Effect.Effect<void> =>
      Effect.suspend(() => {
        const rows: Array<Row> = []
        let offset = cursor.offset
        let taken = 0
        for (const chunk of queue) {
          if (taken > 0 && rows.length + chunk.rows.length > maxBatch) break
          for (const row of chunk.rows) rows.push(row)
          offset = chunk.offset
          taken++
        }
        queue = queue.slice(taken)
        queued -= rows.length
        return deliver(to, rows, offset)
      })

    const readOn = (to: Backend.Backend): Effect.Effect<void> =>
      RunLog.pages(options.log(), { from: cursor.offset }).pipe(
        Stream.runForEach((page) =>
          deliver(to, page.entries.filter(RunLog.isRow).filter((row) => row.seq > cursor.seq), page.end)
        ),
        Effect.catch((error) =>
          Effect.andThen(
            failed(new Backend.BackendError({ backend: name, operation: "log", cause: error })),
            Effect.sleep(firstPauseMillis)
          )
        ),
        Effect.andThen(Effect.sync(() => {
          if (cursor.seq >= offered) behind = false
        }))
      )

    const work = Effect.gen(function*() {
      const to = yield* insist(
        "start",
        Scope.provide(
          Effect.suspend(() => options.factory({ ...options.context, checkpoint: cursor.checkpoint })),
          scope
        )
      )
      backend = to
      if (to.restart) {
        cursor = start
        queue = []
        queued = 0
        behind = offered > 0
      }
      yield* insist("logConfig", to.logConfig(options.context.config))
      while (true) {
        if (behind && queue.length === 0) yield* readOn(to)
        else if (queue.length > 0) {
          yield* Effect.timeoutOption(hurry.await, batchMillis)
          if (draining === 0) hurry.closeUnsafe()
          yield* deliverQueue(to)
        } else {
          wake.closeUnsafe()
          caughtUp.openUnsafe()
          if (cursor === saved) yield* wake.await
          else if (Option.isNone(yield* Effect.timeoutOption(wake.await, cursorEveryMillis))) {
            yield* save(yield* Clock.currentTimeMillis)
          }
        }
      }
    })
    yield* Effect.forkScoped(work)

    const delivered = (): Delivered => ({
      backend: name,
      seq: cursor.seq,
      undelivered: Math.max(0, offered - cursor.seq),
      failures,
      lastFailure
    })

    const drain = (timeoutMillis: number): Effect.Effect<Delivered> =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          draining++
          hurry.openUnsafe()
        }),
        () => Effect.timeoutOption(caughtUp.await, timeoutMillis),
        () => Effect.sync(() => draining--)
      ).pipe(
        Effect.andThen(Clock.currentTimeMillis),
        Effect.flatMap(save),
        Effect.andThen(Effect.sync(delivered))
      )

    const attempt: Supervised["attempt"] = (operation, call) =>
      Effect.suspend(() =>
        backend === undefined
          ? Effect.succeed(false)
          : bounded(operation, call(backend)).pipe(
            Effect.as(true),
            Effect.catch((error) => Effect.as(failed(error), false))
          )
      )

    return {
      name,
      backend: Effect.sync(() => backend),
      offer: (rows, offset) => {
        const last = rows.at(-1)
        if (last === undefined) return
        offered = Math.max(offered, last.seq)
        if (behind || queued + rows.length > maxQueued) behind = true
        else {
          queue.push({ rows, offset })
          queued += rows.length
        }
        if (behind || queued >= batchEnough) hurry.openUnsafe()
        caughtUp.closeUnsafe()
        wake.openUnsafe()
      },
      attempt,
      drain,
      finish: (state, timeoutMillis) =>
        Effect.gen(function*() {
          const left = yield* drain(timeoutMillis)
          if (left.undelivered === 0) yield* attempt("finish", (to) => to.finish(state))
          return { ...delivered(), undelivered: left.undelivered }
        })
    }
  })
