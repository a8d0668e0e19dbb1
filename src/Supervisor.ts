/**
 * What keeps a backend from hurting a run.
 *
 * Each backend has a fiber of its own. Records reach it from memory, in batches; when it falls so far behind that
 * memory would grow, it is told nothing more and reads on from the log at its cursor. A batch is handed over until the
 * backend has acknowledged it: with a time-out, again and again, each time later. Whatever a backend throws, a warning
 * is all that comes of it: one per kind of failure, then a count.
 *
 * A backend is asked one thing at a time. Each call runs in a fiber that nobody waits for longer than its time-out, so
 * that not even a call that cannot be interrupted holds up more than its backend.
 *
 * The cursor is the promise that nothing is lost. It is a file beside the log, moved only after acknowledgement:
 * `{"runId":"...","offset":n,"seq":n,"checkpoint":...}`. What lies before `offset` in the log, and what has a `seq` up
 * to the cursor's, is delivered; `checkpoint` is the backend's own note about where it stood then.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Backend from "./Backend.ts"
import type { Row } from "./Row.ts"
import * as RunLog from "./RunLog.ts"
import * as Secrets from "./Secrets.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A backend under supervision.
 *
 * `offer` hands records over; it never waits. `offset` is where in the log the first record lies that has not been
 * offered yet. `attempt` asks something else of the backend and never fails: false says that it could not be done.
 * `finish` delivers what is left, then the outputs, and closes the run, all within `timeoutMillis`.
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
  readonly finish: (
    state: Backend.RunState,
    timeoutMillis: number,
    outputs: ReadonlyArray<Output>
  ) => Effect.Effect<Delivered>
}

/**
 * Something a backend gets when a run is folded: a table, an image, files.
 *
 * @category models
 * @since 0.1.0
 */
export interface Output {
  readonly operation: string
  readonly give: (backend: Backend.Backend) => Effect.Effect<void, Backend.BackendError>
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
  readonly runId: string | undefined
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
const graceMillis = 1000
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
      const { checkpoint, offset, runId, seq }: Partial<Cursor> = JSON.parse(Fs.readFileSync(path, "utf8"))
      return isCount(offset) && isCount(seq) ? { runId, offset, seq, checkpoint } : start
    } catch {
      return start
    }
  })

const start: Cursor = { runId: undefined, offset: 0, seq: 0, checkpoint: undefined }

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

/**
 * A cursor as it fits a log: one of another run counts for nothing, and where the log has lost its end (with the power)
 * what is written there now is new.
 */
const fitting = (cursor: Cursor, runId: string, logPath: string, lastSeq: number): Effect.Effect<Cursor> =>
  Effect.sync(() => {
    if (cursor.runId !== undefined && cursor.runId !== runId) return start
    const size = Fs.statSync(logPath, { throwIfNoEntry: false })?.size ?? 0
    return cursor.seq > lastSeq || cursor.offset > size
      ? { ...cursor, offset: 0, seq: Math.min(cursor.seq, lastSeq) }
      : cursor
  })

const writeCursor = (path: string, cursor: Cursor): Effect.Effect<void, unknown> =>
  Effect.try(() => {
    Fs.writeFileSync(`${path}.tmp`, JSON.stringify(cursor))
    Fs.renameSync(`${path}.tmp`, path)
  })

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
  readonly context: Omit<Backend.Context, "checkpoint" | "directory">
  readonly directory: () => string
  readonly log: () => string
  readonly cursor: () => string
  /** The seq of the last record in the log when the run was opened. */
  readonly lastSeq: number
}): Effect.Effect<Supervised, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { name } = options
    const one = yield* Semaphore.make(1)
    const wake = yield* Latch.make(false)
    const hurry = yield* Latch.make(false)
    /** Open once the backend has started, or failed to for the first time. */
    const tried = yield* Latch.make(false)
    const caughtUp = yield* Latch.make(false)

    let backend: Backend.Backend | undefined
    let cursor = yield* Effect.flatMap(
      readCursor(options.cursor()),
      (found) => fitting(found, options.context.runId, options.log(), options.lastSeq)
    )
    let saved = cursor
    let savedAt = yield* Clock.currentTimeMillis
    let offered = options.lastSeq
    let queue: Array<{ readonly rows: ReadonlyArray<Row>; readonly offset: number }> = []
    let queued = 0
    // Records up to this one come from the log, before those of the queue: of a run that goes on, or whose server was
    // away, and those the queue had no room for.
    let gap = options.lastSeq
    // Whether the queue has no room, and what is offered is left to the log.
    let behind = false
    // Whether the checkpoint is older than the cursor, which is not written then.
    let uncertain = false
    let draining = 0
    let configured = false
    // Whether it was waited for in vain: the end of a run does not wait for it twice.
    let hadItsTime = false
    let failures = 0
    let lastFailure: string | undefined
    const warned = new Set<string>()
    const mask = Secrets.masker(options.context.environment)

    const failed = (error: Backend.BackendError): Effect.Effect<void> =>
      Effect.suspend(() => {
        failures++
        // Servers like to repeat what they were sent.
        const message = mask(error.message)
        lastFailure = message
        if (warned.has(message) || warned.size >= 20) return Effect.void
        warned.add(message)
        return Effect.logWarning(message)
      })

    /** Runs one call in its error boundary: a failure, a defect, an interruption and a time-out are all a BackendError. */
    const bounded = <A, E>(
      operation: string,
      call: () => Effect.Effect<A, E>
    ): Effect.Effect<A, Backend.BackendError> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          Effect.forkDetach(one.withPermit(Effect.suspend(call)), { startImmediately: true }),
          (fiber) =>
            restore(Effect.timeoutOption(Fiber.await(fiber), callTimeoutMillis)).pipe(
              Effect.ensuring(Effect.sync(() => fiber.interruptUnsafe())),
              Effect.flatMap((exit) => {
                if (Option.isSome(exit) && Exit.isSuccess(exit.value)) return Effect.succeed(exit.value.value)
                const cause = Option.isNone(exit)
                  ? new Error(`no answer within ${callTimeoutMillis / 1000} s`)
                  : Exit.isFailure(exit.value)
                  ? Cause.squash(exit.value.cause)
                  : undefined
                return Effect.fail(
                  cause instanceof Backend.BackendError
                    ? cause
                    : new Backend.BackendError({ backend: name, operation, cause })
                )
              })
            )
        )
      )

    // What the backend opens is closed after everything that is registered from here on, the fiber too.
    const scope = yield* Effect.acquireRelease(
      Scope.make(),
      (scope, exit) => bounded("close", () => Scope.close(scope, exit)).pipe(Effect.catch(failed))
    )

    /** Again and again until it succeeds, each time later (to the longest pause), with jitter. */
    const insist = <A>(operation: string, call: () => Effect.Effect<A, Backend.BackendError>): Effect.Effect<A> =>
      Effect.gen(function*() {
        for (let pause = firstPauseMillis;; pause = Math.min(pause * 2, longestPauseMillis)) {
          const result = yield* Effect.result(bounded(operation, call))
          if (result._tag === "Success") return result.success
          yield* failed(result.failure)
          yield* Effect.sleep(pause * (0.5 + (yield* Random.next)))
        }
      })

    /** An attempt to start that fails closes what it has opened. */
    const open = Effect.gen(function*() {
      const own = yield* Scope.fork(scope)
      return yield* Scope.provide(
        Effect.suspend(() =>
          options.factory({ ...options.context, directory: options.directory(), checkpoint: cursor.checkpoint })
        ),
        own
      ).pipe(Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(own, exit) : Effect.void))
    })

    const acknowledge = (to: Backend.Backend, seq: number, offset: number): Effect.Effect<void> =>
      Effect.gen(function*() {
        const checkpoint = yield* Effect.result(bounded("checkpoint", () => to.checkpoint))
        uncertain = checkpoint._tag === "Failure"
        if (checkpoint._tag === "Failure") yield* failed(checkpoint.failure)
        cursor = {
          runId: options.context.runId,
          offset,
          seq: Math.max(cursor.seq, seq),
          checkpoint: checkpoint._tag === "Failure" ? cursor.checkpoint : checkpoint.success
        }
        const now = yield* Clock.currentTimeMillis
        if (now - savedAt >= cursorEveryMillis) yield* save(now)
      })

    /** Without a cursor the backend gets records again that it had: late, but nothing is lost. */
    const save = (now: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (cursor === saved || uncertain) return Effect.void
        saved = cursor
        savedAt = now
        return writeCursor(options.cursor(), cursor).pipe(
          Effect.catch((cause) => failed(new Backend.BackendError({ backend: name, operation: "cursor", cause })))
        )
      })

    const deliver = (to: Backend.Backend, rows: ReadonlyArray<Row>, offset: number): Effect.Effect<void> =>
      Effect.gen(function*() {
        for (let from = 0; from < rows.length; from += maxBatch) {
          const batch = rows.slice(from, from + maxBatch)
          yield* insist("log", () => to.log(batch))
          const whole = from + maxBatch >= rows.length
          yield* acknowledge(to, batch.at(-1)?.seq ?? 0, whole ? offset : cursor.offset)
        }
      })

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

    /**
     * Delivers the records up to the gap's end from the log. What comes after that in the log is in the queue, or its
     * step has not closed yet, so the offset stays before it.
     */
    const readOn = (to: Backend.Backend): Effect.Effect<void> =>
      Effect.suspend(() => {
        const until = gap
        let missing = until - cursor.seq
        return RunLog.rowPages(options.log(), cursor.offset).pipe(
          Stream.takeUntil((page) => (page.rows.at(-1)?.seq ?? 0) >= until),
          Stream.runForEach((page) => {
            const rows = page.rows.filter((row) => row.seq > cursor.seq && row.seq <= until)
            missing -= rows.length
            const whole = (page.rows.at(-1)?.seq ?? 0) <= until
            return deliver(to, rows, whole ? page.end : cursor.offset)
          }),
          Effect.andThen(Effect.suspend(() => {
            cursor = { ...cursor, seq: Math.max(cursor.seq, until) }
            return missing <= 0 ? Effect.void : Effect.logWarning(
              `${missing} records of ${options.log()} cannot be read: the ${name} backend does not get them`
            )
          })),
          Effect.catch((error) =>
            Effect.andThen(
              failed(new Backend.BackendError({ backend: name, operation: "log", cause: error })),
              Effect.sleep(firstPauseMillis)
            )
          )
        )
      })

    const work = Effect.gen(function*() {
      const to = yield* insist("start", () => Effect.onExit(open, () => tried.open))
      backend = to
      yield* tried.open
      if (to.restart) {
        cursor = start
        queue = []
        queued = 0
        behind = false
        gap = offered
      }
      // Before the records, if it can be; a config that is refused does not hold them up.
      const logConfig = () =>
        configured
          ? Effect.void
          : Effect.map(to.logConfig(options.context.config), () => {
            configured = true
          })
      yield* bounded("logConfig", logConfig).pipe(
        Effect.catch((error) =>
          failed(error).pipe(
            Effect.andThen(Effect.sleep(firstPauseMillis)),
            Effect.andThen(insist("logConfig", logConfig)),
            Effect.forkChild
          )
        )
      )
      while (true) {
        if (cursor.seq < gap) yield* readOn(to)
        else if (queue.length > 0) {
          yield* Effect.timeoutOption(hurry.await, batchMillis)
          if (draining === 0) hurry.closeUnsafe()
          yield* deliverQueue(to)
        } else if (behind) {
          // What is offered from now on waits in the queue again.
          gap = offered
          behind = false
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
        () =>
          Effect.map(Effect.timeoutOption(caughtUp.await, timeoutMillis), (reached) => {
            hadItsTime = Option.isNone(reached)
          }),
        () => Effect.sync(() => draining--)
      ).pipe(
        Effect.andThen(Clock.currentTimeMillis),
        Effect.flatMap(save),
        Effect.andThen(Effect.sync(delivered))
      )

    const tooLate = (timeoutMillis: number) =>
      new Backend.BackendError({
        backend: name,
        operation: "finish",
        cause: new Error(`not all outputs were taken within ${timeoutMillis / 1000} s`)
      })

    const attempt: Supervised["attempt"] = (operation, call) =>
      Effect.suspend(() => {
        const to = backend
        return to === undefined ? Effect.succeed(false) : bounded(operation, () => call(to)).pipe(
          Effect.as(true),
          Effect.catch((error) => Effect.as(failed(error), false))
        )
      })

    return {
      name,
      backend: Effect.andThen(
        Effect.timeoutOption(tried.await, callTimeoutMillis),
        Effect.sync(() => backend)
      ),
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
      finish: (state, timeoutMillis, outputs) =>
        Effect.gen(function*() {
          const until = (yield* Clock.currentTimeMillis) + timeoutMillis
          const within = (effect: Effect.Effect<unknown>) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.timeoutOption(effect, Math.max(0, until - now)))
          const left = yield* drain(hadItsTime ? Math.min(graceMillis, timeoutMillis) : timeoutMillis)
          if (left.undelivered > 0) return left
          // A config that was refused so far gets its last chance before the run is closed.
          if (!configured) yield* within(attempt("logConfig", (to) => to.logConfig(options.context.config)))
          const given = yield* within(
            Effect.forEach(outputs, ({ give, operation }) => attempt(operation, give), { discard: true })
          )
          if (Option.isNone(given)) yield* failed(tooLate(timeoutMillis))
          yield* within(attempt("finish", (to) => to.finish(state)))
          return delivered()
        })
    }
  })
