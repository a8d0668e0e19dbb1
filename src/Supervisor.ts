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
import * as Scope from "effect/Scope"
import type * as Backend from "./Backend.ts"
import { BackendError } from "./Backend.ts"
import * as Outbox from "./Outbox.ts"
import type { Row } from "./Row.ts"
import * as RunDirectory from "./RunDirectory.ts"
import * as Boundary from "./supervisor/Boundary.ts"
import * as Cursor from "./supervisor/Cursor.ts"
import * as Delivery from "./supervisor/Delivery.ts"
import * as Inbox from "./supervisor/Inbox.ts"
import type { Options } from "./supervisor/Options.ts"
import * as Turn from "./supervisor/Turn.ts"

export { type Cursor, readCursor } from "./supervisor/Cursor.ts"
export type { Options } from "./supervisor/Options.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A backend under supervision.
 *
 * `offer` hands records over; it never waits. `offset` is where in the log the first record lies that has not been
 * offered yet. `look` says that the outbox has something. `attempt` asks something else of the backend and never fails:
 * false says that it could not be done. `files` are those of a backend that has started. `drain` delivers what there is,
 * `finish` also closes the run; both, and `move`, take at most `timeoutMillis`. `state` says how far the backend has come; `givesOutput` that it is being given
 * an output, which may take long.
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
    call: (backend: Backend.Backend) => Effect.Effect<void, Backend.BackendError>,
    timeoutMillis?: number
  ) => Effect.Effect<boolean>
  readonly files: Effect.Effect<ReadonlyArray<string>>
  readonly move: (directory: string, timeoutMillis: number) => Effect.Effect<void>
  readonly drain: (timeoutMillis: number) => Effect.Effect<Delivered>
  readonly finish: (state: Backend.RunState, timeoutMillis: number) => Effect.Effect<Delivered>
  readonly state: Effect.Effect<Delivered>
  readonly givesOutput: () => boolean
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

// -----------------------------------------------------------------------------
// Supervision
// -----------------------------------------------------------------------------

const saveAfterMillis = 1000
const graceMillis = 1000
const closeMillis = 5000

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
    const boundary = yield* Boundary.make(name, options.context.environment)
    const { failed } = boundary
    const wake = yield* Latch.make(false)
    const caughtUp = yield* Latch.make(false)
    /** Open once the backend has started, or failed to for the first time. */
    const tried = yield* Latch.make(false)
    const inbox = Inbox.make(options.lastSeq)
    const turn = yield* Turn.make(options, boundary, inbox.offered, () => tried.openUnsafe())
    const delivery = yield* Delivery.make(options, boundary, turn, inbox)

    let backend: Backend.Backend | undefined
    let configured = false
    // Whether it cannot start as things are: nobody waits for what will not come.
    let permanent = false
    // Whether this process has closed the run, and nothing came after that.
    let closed = false
    // Whether it was waited for in vain: the end of a run does not wait for it twice.
    let hadItsTime = false
    const outputs = Outbox.counter(name)

    const stir = (): void => {
      closed = false
      if (!permanent) caughtUp.closeUnsafe()
      wake.openUnsafe()
    }

    // ---------------------------------------------------------------------------
    // The backend's life
    // ---------------------------------------------------------------------------

    // What the backend opens is closed after everything that is registered from here on, the fiber too.
    const scope = yield* Effect.acquireRelease(
      Scope.make(),
      (scope, exit) =>
        boundary.call("close", () => Scope.close(scope, exit), closeMillis).pipe(
          Effect.catch(failed),
          Effect.andThen(turn.give)
        )
    )

    /** An attempt to start that fails closes what it has opened. */
    const open = (into: Scope.Scope) =>
      Effect.gen(function*() {
        const own = yield* Scope.fork(into)
        const { checkpoint } = turn.cursor()
        return yield* Scope.provide(
          Effect.suspend(() => options.factory({ ...options.context, directory: options.directory(), checkpoint })),
          own
        ).pipe(Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(own, exit) : Effect.void))
      }).pipe(
        Effect.tapError((error) =>
          Effect.sync(() => {
            permanent = error.permanent === true
            if (permanent) caughtUp.openUnsafe()
          })
        ),
        Effect.onExit(() => tried.open)
      )

    const begin = (to: Backend.Backend, own: Scope.Scope): Effect.Effect<void> =>
      Effect.gen(function*() {
        backend = to
        permanent = false
        caughtUp.closeUnsafe()
        if (to.restart) {
          turn.restart()
          inbox.readFromLog()
          delivery.look()
        }
        // Before the records, if it can be; a config that is refused does not hold them up.
        yield* boundary.call("logConfig", () => logConfig(to)).pipe(
          Effect.catch((error) => Effect.forkIn(Effect.andThen(failed(error), configLater(to)), own))
        )
      })

    const logConfig = (to: Backend.Backend): Effect.Effect<void, Backend.BackendError> =>
      configured
        ? Effect.void
        : Effect.map(to.logConfig(options.context.config), () => {
          configured = true
        })

    /** Beside the records, which decide whose turn it is. */
    const configLater = (to: Backend.Backend): Effect.Effect<void> =>
      Effect.gen(function*() {
        for (let pause = firstConfigMillis;; pause = Math.min(pause * 2, longestConfigMillis)) {
          yield* Effect.sleep(pause * (0.5 + (yield* Random.next)))
          const result = yield* Effect.result(boundary.call("logConfig", () => logConfig(to)))
          if (result._tag === "Success") return
          yield* failed(result.failure)
        }
      })

    /** From its start until another process has delivered. */
    const life = Effect.gen(function*() {
      const own = yield* Scope.fork(scope)
      const end = Effect.suspend(() => {
        backend = undefined
        inbox.readFromLog()
        delivery.look()
        return boundary.call("close", () => Scope.close(own, Exit.void), closeMillis).pipe(Effect.catch(failed))
      })
      yield* Effect.gen(function*() {
        yield* turn.take
        const to = yield* delivery.insist("start", () => open(own))
        yield* begin(to, own)
        while (true) {
          const work = delivery.next(to)
          if (work !== undefined) {
            yield* work
            continue
          }
          // At one go: what is offered a moment later opens one and closes the other.
          wake.closeUnsafe()
          caughtUp.openUnsafe()
          if (turn.isSaved()) yield* wake.await
          else if (Option.isNone(yield* Effect.timeoutOption(wake.await, saveAfterMillis))) yield* turn.save
        }
      }).pipe(
        Effect.catchTag("Superseded", () => end),
        // Not the backend's, but the file system's: an outbox that cannot be read, for a while.
        Effect.catchDefect((cause) =>
          failed(new BackendError({ backend: name, operation: "deliver", cause })).pipe(
            Effect.andThen(end),
            Effect.andThen(Effect.sleep(saveAfterMillis))
          )
        )
      )
    })
    yield* Effect.forkScoped(Effect.forever(life))

    // ---------------------------------------------------------------------------
    // What others ask
    // ---------------------------------------------------------------------------

    const state = Effect.sync((): Delivered => {
      const cursor = turn.cursor()
      const unanswered = boundary.underWay()
      return {
        backend: name,
        seq: cursor.seq,
        undelivered: Math.max(0, inbox.offered() - cursor.seq),
        outputs: outputs(options.outbox(), cursor.outbox) + cursor.failed.length,
        closed: cursor.closed !== undefined,
        failures: boundary.failures(),
        lastFailure: boundary.lastFailure() ?? (unanswered === undefined ? undefined : `${unanswered}() was under way`),
        busy: turn.busy(),
        permanent
      }
    })

    const attempt: Supervised["attempt"] = (operation, call, timeoutMillis) =>
      Effect.suspend(() => {
        const to = backend
        return to === undefined ? Effect.succeed(false) : boundary.call(operation, () => call(to), timeoutMillis).pipe(
          Effect.as(true),
          Effect.catch((error) => Effect.as(failed(error), false))
        )
      })

    const drain = (timeoutMillis: number): Effect.Effect<Delivered> =>
      delivery.hurrying(Effect.map(Effect.timeoutOption(caughtUp.await, timeoutMillis), (reached) => {
        hadItsTime = Option.isNone(reached)
      })).pipe(
        Effect.andThen(turn.save),
        Effect.andThen(state)
      )

    const finish: Supervised["finish"] = (how, timeoutMillis) =>
      Effect.gen(function*() {
        const until = (yield* Clock.currentTimeMillis) + timeoutMillis
        const within = (effect: Effect.Effect<unknown>) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.timeoutOption(effect, Math.max(0, until - now)))
        if (turn.cursor().failed.length > 0) {
          delivery.tryAgain()
          stir()
        }
        const left = yield* drain(hadItsTime ? Math.min(graceMillis, timeoutMillis) : timeoutMillis)
        const to = backend
        if (left.undelivered > 0 || closed || to === undefined || !turn.holds()) return left
        // A config that was refused so far gets its last chance before the run is closed.
        if (!configured) yield* within(attempt("logConfig", logConfig))
        yield* within(Effect.gen(function*() {
          for (const pause of finishPausesMillis) {
            yield* Effect.sleep(pause)
            if (!(yield* attempt("finish", (to) => to.finish(how)))) continue
            yield* turn.acknowledge(to, { closed: how })
            closed = true
            return
          }
        }))
        yield* turn.save
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
        if (inbox.offer(rows, offset)) delivery.hurry()
        stir()
      },
      look: () => {
        delivery.look()
        stir()
      },
      attempt,
      files: Effect.suspend(() => backend?.files ?? Effect.succeed([])).pipe(
        Effect.timeoutOrElse({ duration: graceMillis, orElse: () => Effect.succeed([]) }),
        Effect.catchCause(() => Effect.succeed([]))
      ),
      move: (directory, timeoutMillis) =>
        Effect.gen(function*() {
          yield* attempt("move", (to) => to.move(directory), timeoutMillis)
          // The lock is where the run was.
          yield* turn.give
          yield* Effect.ignore(turn.take)
        }),
      drain,
      finish,
      state,
      givesOutput: () => outputCalls.has(boundary.underWay() ?? "")
    }
  })

const outputCalls: ReadonlySet<string> = new Set(["logImage", "logTable", "logArtifacts"])
/** Before each try to close a run. */
const finishPausesMillis = [0, 500, 2000]
const firstConfigMillis = 1000
const longestConfigMillis = 60_000
