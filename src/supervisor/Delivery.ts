/**
 * Handing a backend what it has not had: records from memory or from the log, and what is in the outbox. Whatever it
 * does not take is handed over again.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as Backend from "../Backend.ts"
import * as Outbox from "../Outbox.ts"
import type { Row } from "../Row.ts"
import * as RunLog from "../RunLog.ts"
import type { Boundary } from "./Boundary.ts"
import * as Give from "./Give.ts"
import type { Inbox } from "./Inbox.ts"
import type { Options } from "./Options.ts"
import type { Superseded, Turn } from "./Turn.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Delivery {
  /** The next thing there is to do; undefined: there is nothing. */
  readonly next: (to: Backend.Backend) => Effect.Effect<void, Superseded> | undefined
  /**
   * Again and again until it succeeds, each time later (to the longest pause), with jitter; at once when the run is
   * about to end, but not before the server wants it. Others may deliver meanwhile.
   */
  readonly insist: <A>(
    operation: string,
    call: () => Effect.Effect<A, Backend.BackendError>
  ) => Effect.Effect<A, Superseded>
  /** While this runs, the end of the run waits: what fails is not waited for. */
  readonly hurrying: <A>(effect: Effect.Effect<A>) => Effect.Effect<A>
  /** Records should not wait for others to be delivered with. */
  readonly hurry: () => void
  /** The outbox may have something that has not been looked at. */
  readonly look: () => void
  /** Outputs that were set aside are tried once more. */
  readonly tryAgain: () => void
}

/** The most records one call of `log` gets. */
const maxBatch = 4096
/** The most samples of the machine that one call gets. */
const maxSamples = 500
/** Records wait for others to be delivered with, for so long. */
const batchMillis = 200
/** How long one output may take: artifacts can be large. */
const outputTimeoutMillis = 600_000
const firstPauseMillis = 500
const longestPauseMillis = 60_000
/** However long a server wants to be left alone. */
const mostAskedMillis = 3_600_000

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const make = (
  options: Options,
  { call, failed }: Boundary,
  turn: Turn,
  inbox: Inbox
): Effect.Effect<Delivery> =>
  Effect.gen(function*() {
    const { name } = options
    const hurry = yield* Latch.make(false)
    /** Open while the end of the run waits. */
    const ending = yield* Latch.make(false)
    let waiting = 0
    let look = true
    let again: ReadonlyArray<number> = options.context.live ? [] : turn.cursor().failed

    // ---------------------------------------------------------------------------
    // Patience
    // ---------------------------------------------------------------------------

    const restBefore = (pause: number, error: Backend.BackendError): Effect.Effect<void, Superseded> =>
      Effect.gen(function*() {
        yield* turn.give
        const asked = Math.min(error.retryAfterMillis ?? 0, mostAskedMillis)
        // 0: it goes on where it was, and nothing has to get better first.
        const millis = error.retryAfterMillis === 0 ? firstPauseMillis : pause
        const jittered = millis * (0.5 + (yield* Random.next))
        if (asked > 0) yield* Effect.sleep(asked)
        // The end does not wait for a pause that began before it.
        const rest = Effect.sleep(Math.max(0, jittered - asked))
        yield* waiting > 0 ? rest : Effect.raceFirst(rest, ending.await)
        yield* turn.take
      })

    /** Until it succeeds, is of no use, or `enough`; says whether it has succeeded. */
    const persist = (
      operation: string,
      enough: () => boolean,
      run: () => Effect.Effect<void, Backend.BackendError>,
      timeoutMillis?: number
    ): Effect.Effect<boolean, Superseded> =>
      Effect.gen(function*() {
        for (let pause = firstPauseMillis;; pause = Math.min(pause * 2, longestPauseMillis)) {
          const result = yield* Effect.result(call(operation, run, timeoutMillis))
          if (result._tag === "Success") return true
          yield* failed(result.failure)
          if (result.failure.permanent === true || enough()) return false
          yield* restBefore(pause, result.failure)
        }
      })

    const insist: Delivery["insist"] = (operation, run) =>
      Effect.gen(function*() {
        for (let pause = firstPauseMillis;; pause = Math.min(pause * 2, longestPauseMillis)) {
          const result = yield* Effect.result(call(operation, run))
          if (result._tag === "Success") return result.success
          yield* failed(result.failure)
          yield* restBefore(pause, result.failure)
        }
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
          yield* turn.acknowledge(to, {
            seq: Math.max(turn.cursor().seq, batch.at(-1)?.seq ?? 0),
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
        let missing = until - turn.cursor().seq
        return RunLog.rowPages(options.log(), turn.cursor().offset).pipe(
          Stream.takeUntil((page) => (page.rows.at(-1)?.seq ?? 0) >= until),
          Stream.runForEach((page) => {
            const rows = page.rows.filter((row) => row.seq > turn.cursor().seq && row.seq <= until)
            missing -= rows.length
            const whole = (page.rows.at(-1)?.seq ?? 0) <= until
            return deliver(to, rows, whole ? page.end : turn.cursor().offset)
          }),
          Effect.andThen(Effect.suspend(() => {
            turn.skip({ seq: Math.max(turn.cursor().seq, until) })
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

    const fromInbox = (to: Backend.Backend): Effect.Effect<void, Superseded> =>
      Effect.gen(function*() {
        yield* Effect.timeoutOption(hurry.await, batchMillis)
        if (waiting === 0) hurry.closeUnsafe()
        const { offset, rows } = inbox.take(maxBatch, turn.cursor().offset)
        yield* deliver(to, rows, offset)
      })

    // ---------------------------------------------------------------------------
    // Outputs
    // ---------------------------------------------------------------------------

    const hasRecords = (): boolean => turn.cursor().seq < inbox.gap() || inbox.waits()

    /** Gives one thing; sets it aside where trying again is of no use, or when there is no time for it. */
    const output = (to: Backend.Backend, { at, entry }: Outbox.Item): Effect.Effect<boolean, Superseded> =>
      Effect.gen(function*() {
        if (!Outbox.isFor(entry, name)) return true
        const give = () => Give.give(to, entry, options)
        return yield* persist(
          Give.operationOf(entry),
          () => waiting > 0 || again.includes(at),
          give,
          outputTimeoutMillis
        )
      })

    const fromOutbox = (to: Backend.Backend): Effect.Effect<void, Superseded> =>
      Effect.gen(function*() {
        const { end, items } = yield* Effect.sync(() => Outbox.read(options.outbox(), turn.cursor().outbox))
        if (items.length === 0) {
          if (end > turn.cursor().outbox) turn.skip({ outbox: end })
          else look = false
          return
        }
        for (let i = 0; i < items.length && !hasRecords();) {
          const samples = to.wantsSystem ? leadingSamples(items, i) : []
          const last = items[Math.max(i, i + samples.length - 1)]
          const item = items[i]
          if (item === undefined || last === undefined) return
          if (samples.length > 0) {
            // What a backend refuses for good does not hold up what comes after: there will be other samples.
            yield* persist("logSystem", () => false, () => to.logSystem(samples))
            yield* turn.acknowledge(to, { outbox: last.end })
          } else {
            const done = item.entry.kind === "system" || (yield* output(to, item))
            const { failed } = turn.cursor()
            yield* turn.acknowledge(to, { outbox: item.end, failed: done ? failed : [...failed, item.at] })
          }
          i += Math.max(1, samples.length)
        }
      })

    const once = (to: Backend.Backend, at: number): Effect.Effect<void, Superseded> =>
      Effect.gen(function*() {
        const item = yield* Effect.sync(() => Outbox.read(options.outbox(), at).items.find((one) => one.at === at))
        const done = item === undefined || (yield* output(to, item))
        again = again.filter((other) => other !== at)
        if (done) yield* turn.acknowledge(to, { failed: turn.cursor().failed.filter((other) => other !== at) })
      })

    // ---------------------------------------------------------------------------
    // One after the other
    // ---------------------------------------------------------------------------

    const next: Delivery["next"] = (to) => {
      if (turn.cursor().seq < inbox.gap()) return readOn(to)
      if (inbox.queued() > 0) return fromInbox(to)
      if (inbox.catchUp()) return Effect.void
      if (look) return fromOutbox(to)
      const [at] = again
      return at === undefined ? undefined : once(to, at)
    }

    return {
      next,
      insist,
      hurrying: (effect) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            waiting++
            hurry.openUnsafe()
            ending.openUnsafe()
          }),
          () => effect,
          () =>
            Effect.sync(() => {
              waiting--
              if (waiting === 0) ending.closeUnsafe()
            })
        ),
      hurry: () => hurry.openUnsafe(),
      look: () => {
        look = true
      },
      tryAgain: () => {
        again = turn.cursor().failed
      }
    }
  })

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
