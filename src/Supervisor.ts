/**
 * What keeps a backend from hurting a run.
 *
 * Each backend has a fiber of its own. Records reach it from memory, in batches; when it falls so far behind that
 * memory would grow, it is told nothing more and reads on from the log at its cursor. A batch is handed over until the
 * backend has acknowledged it: with a time-out, again and again, each time later, or when the server says. Whatever a
 * backend throws, a warning is all that comes of it: one per kind of failure, then a count (supervisor/Boundary.ts).
 *
 * Beside the records there is the outbox (Outbox.ts): tables, images, artifacts, samples of the machine. It is read when
 * there are no records to deliver. What fails there for good, or when the run is about to end, is set aside in the
 * cursor and tried once more at the end, and by `ezpz-stream sync`.
 *
 * The cursor (supervisor/Cursor.ts) is the promise that nothing is lost: a file, moved only after acknowledgement.
 *
 * One process at a time delivers to a backend: it holds a lock while it does, and lets go of it between tries that fail.
 * So `ezpz-stream sync`, where the server can be reached from, delivers what a running job cannot; the job then sees
 * that the cursor has moved, starts the backend anew and goes on from there.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backend from "./Backend.ts"
import * as Lock from "./internal/lock.ts"
import * as Outbox from "./Outbox.ts"
import type { Row } from "./Row.ts"
import * as RunDirectory from "./RunDirectory.ts"
import * as RunLog from "./RunLog.ts"
import * as Boundary from "./supervisor/Boundary.ts"
import * as Cursor from "./supervisor/Cursor.ts"
import * as Give from "./supervisor/Give.ts"
import * as Inbox from "./supervisor/Inbox.ts"

export { type Cursor, readCursor } from "./supervisor/Cursor.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A backend under supervision.
 *
 * `offer` hands records over; it never waits. `offset` is where in the log the first record lies that has not been
 * offered yet. `look` says that the outbox has something. `attempt` asks something else of the backend and never fails:
 * false says that it could not be done. `drain` delivers what there is, `finish` also closes the run; both take at most
 * `timeoutMillis`. `state` says how far the backend has come.
 *
 * @category models
 * @since 0.1.0
 */
export interface Supervised {
  readonly name: string
  readonly backend: Effect.Effect<Backend.Backend | undefined>
  readonly offer: (rows: ReadonlyArray<Row>, offset: number) => void
  readonly look: () => void
  readonly attempt: (
    operation: string,
    call: (backend: Backend.Backend) => Effect.Effect<void, Backend.BackendError>
  ) => Effect.Effect<boolean>
  readonly move: (directory: string) => Effect.Effect<void>
  readonly drain: (timeoutMillis: number) => Effect.Effect<Delivered>
  readonly finish: (state: Backend.RunState, timeoutMillis: number) => Effect.Effect<Delivered>
  readonly state: Effect.Effect<Delivered>
}

/**
 * How far a backend has come: `undelivered` counts the records that it has not acknowledged, `outputs` the tables,
 * images and other things. `closed`: whether the run is closed there. `busy` says which other process delivers to it,
 * `permanent` that it cannot start as things are (no credentials, say), and is not waited for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delivered {
  readonly backend: string
  readonly seq: number
  readonly undelivered: number
  readonly outputs: number
  readonly closed: boolean
  readonly failures: number
  readonly lastFailure: string | undefined
  readonly busy: string | undefined
  readonly permanent: boolean
}

/**
 * Whether a backend has all of a run.
 *
 * @category models
 * @since 0.2.0
 */
export const isComplete = ({ closed, outputs, undelivered }: Delivered): boolean =>
  undelivered === 0 && outputs === 0 && closed

/**
 * How far a backend has come by what its files say, without starting it.
 *
 * @category models
 * @since 0.2.0
 */
export const peek = (log: string, backend: string, lastSeq: number): Effect.Effect<Delivered> =>
  Effect.map(Cursor.readCursor(RunDirectory.cursorPath(log, backend)), ({ closed, failed, outbox, seq }) => ({
    backend,
    seq,
    undelivered: Math.max(0, lastSeq - seq),
    outputs: Outbox.count(RunDirectory.outboxPath(log), outbox, backend) + failed.length,
    closed: closed !== undefined,
    failures: 0,
    lastFailure: undefined,
    busy: undefined,
    permanent: false
  }))

/**
 * What a supervisor needs to know. Paths are asked for each time: a run's directory may move.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly name: string
  readonly factory: Backend.Factory
  readonly context: Omit<Backend.Context, "checkpoint" | "directory">
  readonly directory: () => string
  readonly log: () => string
  readonly cursor: () => string
  readonly lock: () => string
  readonly outbox: () => string
  /** The run's records as a table. */
  readonly history: () => Effect.Effect<Backend.Table, Backend.BackendError>
  /** The seq of the last record in the log when the run was opened. */
  readonly lastSeq: number
}

/** The most records one call of `log` gets. */
const maxBatch = 4096
const firstPauseMillis = 500
const longestPauseMillis = 60_000
const cursorEveryMillis = 1000
const graceMillis = 1000
/** Records wait for others to be delivered with, for so long. */
const batchMillis = 200
/** How long one output may take: artifacts can be large. */
const outputTimeoutMillis = 600_000
/** The most samples of the machine that one call gets. */
const maxSamples = 500
const busyMillis = 1000

/** Another process has moved the cursor: the backend starts anew from there. */
class Superseded extends Schema.TaggedError<Superseded>()("Superseded", {}) {}

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
export const supervise = (options: Options): Effect.Effect<Supervised, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { name } = options
    const { environment, runId } = options.context
    const boundary = yield* Boundary.make(name, environment)
    const wake = yield* Latch.make(false)
    const hurry = yield* Latch.make(false)
    /** Open once the backend has started, or failed to for the first time. */
    const tried = yield* Latch.make(false)
    const caughtUp = yield* Latch.make(false)
    /** Open while the end of the run waits. */
    const ending = yield* Latch.make(false)

    const readCursor = (): string => Cursor.readText(options.cursor())
    const fitting = (text: string): Cursor.Cursor =>
      Cursor.fitting(Cursor.parse(text), runId, options.log(), Math.max(options.lastSeq, inbox.offered()))

    const inbox = Inbox.make(options.lastSeq)
    let backend: Backend.Backend | undefined
    let savedText = readCursor()
    let cursor = fitting(savedText)
    let saved = cursor
    let savedAt = yield* Clock.currentTimeMillis
    let lock: Lock.Held | undefined
    let busy: string | undefined
    // Whether the checkpoint is older than the cursor, which is not written then.
    let uncertain = false
    let draining = 0
    let configured = false
    // Whether the outbox may have something that has not been looked at.
    let look = true
    // Outputs that are tried once more.
    let again: Array<number> = options.context.live ? [] : [...cursor.failed]
    // Whether it was waited for in vain: the end of a run does not wait for it twice.
    let hadItsTime = false
    let permanent = false
    // Whether this process has closed the run, and nothing came after that.
    let closed = false

    const { failed } = boundary

    // ---------------------------------------------------------------------------
    // Lock and cursor
    // ---------------------------------------------------------------------------

    /** Waits until no other process delivers; fails if one has since we did. */
    const takeTurn: Effect.Effect<void, Superseded> = Effect.gen(function*() {
      while (lock === undefined) {
        const taken = yield* Effect.sync(() => {
          try {
            return Lock.take(options.lock())
          } catch {
            // A file system that cannot be written has no cursor either.
            return { release: () => {} }
          }
        })
        if (Lock.isHeld(taken)) {
          lock = taken
          busy = undefined
        } else {
          if (busy === undefined) tried.openUnsafe()
          busy = taken.here ? `process ${taken.pid}` : `process ${taken.pid} on ${taken.host}`
          yield* Effect.sleep(busyMillis)
        }
      }
      const text = readCursor()
      if (text === savedText) return
      savedText = text
      cursor = fitting(text)
      saved = cursor
      inbox.readFromLog()
      look = true
      return yield* new Superseded()
    })

    const giveTurn = Effect.sync(() => {
      lock?.release()
      lock = undefined
    })

    /** Without a cursor the backend gets records again that it had: late, but nothing is lost. */
    const save = (now: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (cursor === saved || uncertain) return Effect.void
        saved = cursor
        savedAt = now
        return Effect.try({
          try: () => {
            savedText = Cursor.write(options.cursor(), cursor)
          },
          catch: (cause) => new Backend.BackendError({ backend: name, operation: "cursor", cause })
        }).pipe(Effect.catch(failed))
      })

    const acknowledge = (to: Backend.Backend, next: Partial<Cursor.Cursor>): Effect.Effect<void> =>
      Effect.gen(function*() {
        yield* boundary.works
        const checkpoint = yield* Effect.result(boundary.call("checkpoint", () => to.checkpoint))
        uncertain = checkpoint._tag === "Failure"
        closed = false
        if (checkpoint._tag === "Failure") yield* failed(checkpoint.failure)
        cursor = {
          ...cursor,
          closed: undefined,
          ...next,
          runId,
          checkpoint: checkpoint._tag === "Failure" ? cursor.checkpoint : checkpoint.success
        }
        const now = yield* Clock.currentTimeMillis
        if (now - savedAt >= cursorEveryMillis) yield* save(now)
      })

    // ---------------------------------------------------------------------------
    // Calls
    // ---------------------------------------------------------------------------

    // What the backend opens is closed after everything that is registered from here on, the fiber too.
    const scope = yield* Effect.acquireRelease(
      Scope.make(),
      (scope, exit) =>
        boundary.call("close", () => Scope.close(scope, exit)).pipe(
          Effect.catch(failed),
          Effect.andThen(Clock.currentTimeMillis),
          Effect.flatMap((now) => lock === undefined ? Effect.void : save(now)),
          Effect.andThen(giveTurn)
        )
    )

    /**
     * Again and again until it succeeds, each time later (to the longest pause), with jitter; at once when the run is
     * about to end, but not before the server wants it. Others may deliver meanwhile.
     */
    const insist = <A>(
      operation: string,
      call: () => Effect.Effect<A, Backend.BackendError>
    ): Effect.Effect<A, Superseded> =>
      Effect.gen(function*() {
        for (let pause = firstPauseMillis;; pause = Math.min(pause * 2, longestPauseMillis)) {
          const result = yield* Effect.result(boundary.call(operation, call))
          if (result._tag === "Success") return result.success
          yield* failed(result.failure)
          yield* restBefore(pause, result.failure)
        }
      })

    const restBefore = (pause: number, error: Backend.BackendError): Effect.Effect<void, Superseded> =>
      Effect.gen(function*() {
        yield* giveTurn
        const asked = Math.min(error.retryAfterMillis ?? 0, mostAskedMillis)
        const jittered = pause * (0.5 + (yield* Random.next))
        if (asked > 0) yield* Effect.sleep(asked)
        // The end does not wait for a pause that began before it.
        const rest = Effect.sleep(Math.max(0, jittered - asked))
        yield* draining > 0 ? rest : Effect.raceFirst(rest, ending.await)
        yield* takeTurn
      })

    /** An attempt to start that fails closes what it has opened. */
    const open = (into: Scope.Scope) =>
      Effect.gen(function*() {
        const own = yield* Scope.fork(into)
        return yield* Scope.provide(
          Effect.suspend(() =>
            options.factory({ ...options.context, directory: options.directory(), checkpoint: cursor.checkpoint })
          ),
          own
        ).pipe(Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(own, exit) : Effect.void))
      })

    // ---------------------------------------------------------------------------
    // Records
    // ---------------------------------------------------------------------------

    const deliver = (
      to: Backend.Backend,
      rows: ReadonlyArray<Row>,
      offset: number
    ): Effect.Effect<void, Superseded> =>
      Effect.gen(function*() {
        for (let from = 0; from < rows.length; from += maxBatch) {
          const batch = rows.slice(from, from + maxBatch)
          yield* insist("log", () => to.log(batch))
          const whole = from + maxBatch >= rows.length
          yield* acknowledge(to, {
            seq: Math.max(cursor.seq, batch.at(-1)?.seq ?? 0),
            ...(whole ? { offset } : {})
          })
        }
      })

    /**
     * Delivers the records up to the gap's end from the log. What comes after that in the log is in the inbox, or its
     * step has not closed yet, so the offset stays before it.
     */
    const readOn = (to: Backend.Backend): Effect.Effect<void, Superseded> =>
      Effect.suspend(() => {
        const until = inbox.gap()
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
          Effect.catchTag("RunLogError", (cause) =>
            Effect.andThen(
              failed(new Backend.BackendError({ backend: name, operation: "log", cause })),
              Effect.sleep(firstPauseMillis)
            ))
        )
      })

    // ---------------------------------------------------------------------------
    // Outputs
    // ---------------------------------------------------------------------------

    const hasRecords = (): boolean => cursor.seq < inbox.gap() || inbox.waits()

    /** Gives one thing; sets it aside where trying again is of no use, or when there is no time for it. */
    const output = (to: Backend.Backend, { at, entry }: Outbox.Item): Effect.Effect<boolean, Superseded> =>
      Effect.gen(function*() {
        if (!Outbox.isFor(entry, name)) return true
        const call = () => Give.give(to, entry, options.directory(), options.history)
        for (let pause = firstPauseMillis;; pause = Math.min(pause * 2, longestPauseMillis)) {
          const result = yield* Effect.result(
            boundary.call(Give.operationOf(entry), call, outputTimeoutMillis)
          )
          if (result._tag === "Success") return true
          yield* failed(result.failure)
          if (result.failure.permanent === true || draining > 0 || again.includes(at)) return false
          yield* restBefore(pause, result.failure)
        }
      })

    const lookIntoOutbox = (to: Backend.Backend): Effect.Effect<void, Superseded> =>
      Effect.gen(function*() {
        const { end, items } = yield* Effect.sync(() => Outbox.read(options.outbox(), cursor.outbox))
        if (items.length === 0) {
          look = false
          if (end > cursor.outbox) cursor = { ...cursor, outbox: end }
          return
        }
        for (let i = 0; i < items.length && !hasRecords();) {
          const samples = to.wantsSystem ? leadingSamples(items, i) : []
          const last = items[Math.max(i, i + samples.length - 1)]
          const item = items[i]
          if (item === undefined || last === undefined) return
          if (samples.length > 0) {
            yield* insist("logSystem", () => to.logSystem(samples))
            yield* acknowledge(to, { outbox: last.end })
          } else {
            const done = item.entry.kind === "system" || (yield* output(to, item))
            const failed = done ? cursor.failed : [...cursor.failed, item.at]
            yield* acknowledge(to, { outbox: item.end, failed })
          }
          i += Math.max(1, samples.length)
        }
      })

    const tryAgain = (to: Backend.Backend): Effect.Effect<void, Superseded> =>
      Effect.gen(function*() {
        const [at] = again
        if (at === undefined) return
        const item = yield* Effect.sync(() => Outbox.read(options.outbox(), at).items[0])
        const done = item === undefined || (yield* output(to, item))
        again = again.filter((other) => other !== at)
        if (done) yield* acknowledge(to, { failed: cursor.failed.filter((other) => other !== at) })
      })

    // ---------------------------------------------------------------------------
    // The fiber
    // ---------------------------------------------------------------------------

    /** Nobody waits for what will not come. */
    const cannot = (error: Backend.BackendError) =>
      Effect.sync(() => {
        permanent = error.permanent === true
        if (permanent) caughtUp.openUnsafe()
      })

    const begin = (to: Backend.Backend): Effect.Effect<void> =>
      Effect.gen(function*() {
        backend = to
        permanent = false
        caughtUp.closeUnsafe()
        yield* tried.open
        if (to.restart) {
          cursor = Cursor.start
          inbox.readFromLog()
          look = true
        }
        // Before the records, if it can be; a config that is refused does not hold them up.
        const logConfig = () =>
          configured
            ? Effect.void
            : Effect.map(to.logConfig(options.context.config), () => {
              configured = true
            })
        yield* boundary.call("logConfig", logConfig).pipe(
          Effect.catch((error) =>
            failed(error).pipe(
              Effect.andThen(Effect.sleep(firstPauseMillis)),
              Effect.andThen(insistQuietly("logConfig", logConfig)),
              Effect.forkChild
            )
          )
        )
      })

    /** Beside the records: who delivers them decides whose turn it is. */
    const insistQuietly = (operation: string, call: () => Effect.Effect<void, Backend.BackendError>) =>
      Effect.gen(function*() {
        for (let pause = firstPauseMillis;; pause = Math.min(pause * 2, longestPauseMillis)) {
          const result = yield* Effect.result(boundary.call(operation, call))
          if (result._tag === "Success") return
          yield* failed(result.failure)
          yield* Effect.sleep(Math.max(pause * (0.5 + (yield* Random.next)), result.failure.retryAfterMillis ?? 0))
        }
      })

    /** One life of the backend: until another process has delivered. */
    const life = Effect.gen(function*() {
      const own = yield* Scope.fork(scope)
      yield* Effect.gen(function*() {
        yield* takeTurn
        const to = yield* insist(
          "start",
          () => Effect.onExit(open(own), () => tried.open).pipe(Effect.tapError(cannot))
        )
        yield* begin(to)
        while (true) {
          if (cursor.seq < inbox.gap()) yield* readOn(to)
          else if (inbox.queued() > 0) {
            yield* Effect.timeoutOption(hurry.await, batchMillis)
            if (draining === 0) hurry.closeUnsafe()
            const { offset, rows } = inbox.take(maxBatch, cursor.offset)
            yield* deliver(to, rows, offset)
          } else if (inbox.catchUp()) continue
          else if (look) yield* lookIntoOutbox(to)
          else if (again.length > 0) yield* tryAgain(to)
          else {
            wake.closeUnsafe()
            caughtUp.openUnsafe()
            if (cursor === saved) yield* wake.await
            else if (Option.isNone(yield* Effect.timeoutOption(wake.await, cursorEveryMillis))) {
              yield* save(yield* Clock.currentTimeMillis)
            }
          }
        }
      }).pipe(
        Effect.catchTag("Superseded", () =>
          Effect.andThen(
            Effect.sync(() => {
              backend = undefined
            }),
            boundary.call("close", () => Scope.close(own, Exit.void)).pipe(Effect.catch(failed))
          ))
      )
    })
    yield* Effect.forkScoped(Effect.forever(life))

    // ---------------------------------------------------------------------------
    // The end
    // ---------------------------------------------------------------------------

    const state = Effect.sync((): Delivered => ({
      backend: name,
      seq: cursor.seq,
      undelivered: Math.max(0, inbox.offered() - cursor.seq),
      outputs: Outbox.count(options.outbox(), cursor.outbox, name) + cursor.failed.length,
      closed: cursor.closed !== undefined,
      failures: boundary.failures(),
      lastFailure: boundary.lastFailure(),
      busy,
      permanent
    }))

    const drain = (timeoutMillis: number): Effect.Effect<Delivered> =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          draining++
          hurry.openUnsafe()
          ending.openUnsafe()
        }),
        () =>
          Effect.map(Effect.timeoutOption(caughtUp.await, timeoutMillis), (reached) => {
            hadItsTime = Option.isNone(reached)
          }),
        () =>
          Effect.sync(() => {
            draining--
            if (draining === 0) ending.closeUnsafe()
          })
      ).pipe(
        Effect.andThen(Clock.currentTimeMillis),
        Effect.flatMap(save),
        Effect.andThen(state)
      )

    const attempt: Supervised["attempt"] = (operation, call) =>
      Effect.suspend(() => {
        const to = backend
        return to === undefined ? Effect.succeed(false) : boundary.call(operation, () => call(to)).pipe(
          Effect.as(true),
          Effect.catch((error) => Effect.as(failed(error), false))
        )
      })

    const stir = (): void => {
      if (!permanent) caughtUp.closeUnsafe()
      wake.openUnsafe()
    }

    const finish: Supervised["finish"] = (how, timeoutMillis) =>
      Effect.gen(function*() {
        const until = (yield* Clock.currentTimeMillis) + timeoutMillis
        const within = (effect: Effect.Effect<unknown>) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.timeoutOption(effect, Math.max(0, until - now)))
        if (cursor.failed.length > 0) {
          again = [...cursor.failed]
          stir()
        }
        const left = yield* drain(hadItsTime ? Math.min(graceMillis, timeoutMillis) : timeoutMillis)
        if (left.undelivered > 0 || closed) return left
        const to = backend
        if (to === undefined || lock === undefined) return left
        // A config that was refused so far gets its last chance before the run is closed.
        if (!configured) yield* within(attempt("logConfig", (to) => to.logConfig(options.context.config)))
        yield* within(Effect.gen(function*() {
          if (!(yield* attempt("finish", (to) => to.finish(how)))) return
          yield* acknowledge(to, { closed: how })
          closed = true
        }))
        yield* save(yield* Clock.currentTimeMillis)
        return yield* state
      })

    return {
      name,
      backend: Effect.andThen(
        Effect.timeoutOption(tried.await, Boundary.callTimeoutMillis),
        Effect.sync(() => backend)
      ),
      offer: (rows, offset) => {
        if (rows.length === 0) return
        if (inbox.offer(rows, offset)) hurry.openUnsafe()
        stir()
      },
      look: () => {
        look = true
        stir()
      },
      attempt,
      move: (directory) =>
        Effect.gen(function*() {
          yield* attempt("move", (to) => to.move(directory))
          // The lock is where the run was.
          yield* giveTurn
          yield* Effect.ignore(takeTurn)
        }),
      drain,
      finish,
      state
    }
  })

/** However long a server wants to be left alone. */
const mostAskedMillis = 3_600_000

/** Samples of the machine that stand together. */
const leadingSamples = (items: ReadonlyArray<Outbox.Item>, from: number): ReadonlyArray<Backend.Sample> => {
  const samples: Array<Backend.Sample> = []
  for (let i = from; i < items.length && samples.length < maxSamples; i++) {
    const entry = items[i]?.entry
    if (entry?.kind !== "system") break
    samples.push({ seq: entry.seq, timestamp: entry.timestamp, metrics: entry.metrics })
  }
  return samples
}
