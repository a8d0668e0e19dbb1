/**
 * Whose turn it is to deliver to a backend, and how far delivery has come: the lock and the cursor.
 *
 * A process holds the lock while it delivers, and lets go of it between tries that fail. When it has it again and the
 * cursor has moved, another process has delivered meanwhile: {@link Superseded}.
 *
 * @since 0.2.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Backend from "../Backend.ts"
import * as Lock from "../internal/lock.ts"
import { reason } from "../internal/reason.ts"
import type { Boundary } from "./Boundary.ts"
import * as Cursor from "./Cursor.ts"
import type { Options } from "./Options.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** Another process has moved the cursor: the backend starts anew from there. */
export class Superseded extends Schema.TaggedError<Superseded>()("Superseded", {}) {}

export interface Turn {
  readonly cursor: () => Cursor.Cursor
  /** Passes over what nobody can deliver. */
  readonly skip: (next: Partial<Cursor.Cursor>) => void
  /** The backend wants everything from the first. */
  readonly restart: () => void
  /** Waits until no other process delivers; fails if one has since we did. */
  readonly take: Effect.Effect<void, Superseded>
  readonly give: Effect.Effect<void>
  readonly holds: () => boolean
  /** Who delivers instead. */
  readonly busy: () => string | undefined
  /** Moves the cursor past what the backend has taken. */
  readonly acknowledge: (to: Backend.Backend, next: Partial<Cursor.Cursor>) => Effect.Effect<void>
  readonly isSaved: () => boolean
  readonly save: Effect.Effect<void>
}

const saveEveryMillis = 1000
const busyMillis = 1000

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** `lastSeq`: of the log's last record; `onBusy` is told when another process has the lock. */
export const make = (
  options: Options,
  { call, failed, works }: Boundary,
  lastSeq: () => number,
  onBusy: () => void
): Effect.Effect<Turn> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const { name } = options
    const { runId } = options.context
    const readText = (): string => Cursor.readText(options.cursor())
    const fitting = (text: string): Cursor.Cursor => Cursor.fitting(Cursor.parse(text), runId, options.log(), lastSeq())

    let savedText = readText()
    let cursor = fitting(savedText)
    let saved = cursor
    let savedAt = now
    let lock: Lock.Held | undefined
    let busy: string | undefined
    // Whether the checkpoint is older than the cursor, which is not written then.
    let uncertain = false
    let toldUnsaved = false

    /** A file system that cannot be written has no cursor either. */
    const tryLock = Effect.sync((): Lock.Held | Lock.Holder => {
      try {
        return Lock.take(options.lock())
      } catch {
        return { release: () => {} }
      }
    })

    const take: Turn["take"] = Effect.gen(function*() {
      while (lock === undefined) {
        const taken = yield* tryLock
        if (Lock.isHeld(taken)) {
          lock = taken
          busy = undefined
        } else {
          if (busy === undefined) {
            onBusy()
            // Of one on another host it cannot be told whether it is gone.
            if (!taken.here) {
              yield* Effect.logWarning(
                `${name}: process ${taken.pid} on ${taken.host} has ${options.lock()}, and is waited for. ` +
                  "If it is gone, remove that file"
              )
            }
          }
          busy = taken.here ? `process ${taken.pid}` : `process ${taken.pid} on ${taken.host}`
          yield* Effect.sleep(busyMillis)
        }
      }
      const text = readText()
      if (text === savedText) return
      savedText = text
      cursor = fitting(text)
      saved = cursor
      return yield* new Superseded()
    })

    /** Without a cursor the backend gets records again that it had: late, but nothing is lost. */
    const save: Turn["save"] = Effect.gen(function*() {
      if (cursor === saved || uncertain || lock === undefined) return
      saved = cursor
      savedAt = yield* Clock.currentTimeMillis
      yield* Effect.try({
        try: () => {
          savedText = Cursor.write(options.cursor(), cursor)
        },
        catch: reason
      }).pipe(Effect.catch((why) => {
        if (toldUnsaved) return Effect.void
        toldUnsaved = true
        return Effect.logWarning(`${options.cursor()} cannot be written: ${why}. ${name} may get records again later`)
      }))
    })

    const acknowledge: Turn["acknowledge"] = (to, next) =>
      Effect.gen(function*() {
        yield* works
        const checkpoint = yield* Effect.result(call("checkpoint", () => to.checkpoint))
        uncertain = checkpoint._tag === "Failure"
        if (checkpoint._tag === "Failure") yield* failed(checkpoint.failure)
        cursor = {
          ...cursor,
          closed: undefined,
          ...next,
          runId,
          checkpoint: checkpoint._tag === "Failure" ? cursor.checkpoint : checkpoint.success
        }
        if ((yield* Clock.currentTimeMillis) - savedAt >= saveEveryMillis) yield* save
      })

    return {
      cursor: () => cursor,
      skip: (next) => {
        cursor = { ...cursor, ...next }
      },
      restart: () => {
        cursor = Cursor.start
      },
      take,
      // Who takes its turn next goes on from here.
      give: Effect.andThen(
        save,
        Effect.sync(() => {
          lock?.release()
          lock = undefined
        })
      ),
      holds: () => lock !== undefined,
      busy: () => busy,
      acknowledge,
      isSaved: () => cursor === saved,
      save
    }
  })
