/**
 * The runs that are looked at: each is followed as long as somebody looks, and forgotten a while after.
 *
 * However many ask for a run, it is read once. More than {@link mostOpen} are kept only while somebody listens to each; of
 * the others the one that was asked for longest ago goes first.
 *
 * @since 0.5.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Live from "../view/Live.ts"
import * as Runs from "../view/Runs.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A run that is followed.
 *
 * @category models
 * @since 0.5.0
 */
export interface Opened {
  readonly id: string
  readonly live: Live.Live
}

/**
 * The runs of a root, and those of them that are followed.
 *
 * @category models
 * @since 0.5.0
 */
export interface Library {
  readonly root: string
  readonly list: Effect.Effect<ReadonlyArray<Runs.Listed>>
  /** A run by its id, with something of it read. */
  readonly open: (id: string) => Effect.Effect<Opened, Refusal>
  /** Answers come before reading on: while there are some, logs wait a little. */
  readonly first: <A, E, R>(answer: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Until the scope closes, the run is followed, once it has been opened. */
  readonly hold: (id: string) => Effect.Effect<void, never, Scope.Scope>
}

/**
 * So many runs are followed at a time, and so many at most if all are listened to.
 *
 * @category models
 * @since 0.5.0
 */
export const mostOpen = 12
const mostHeld = 48

interface Following extends Opened {
  readonly fiber: Fiber.Fiber<void>
  usedAt: number
}

/** About 25 MB a run at most; what is finer is read again when one zooms in. */
const limits = { bins: 1 << 18, capacity: 1 << 13 }

/** How long a run is followed that nobody asks for. */
const idleMillis = 60_000
const listMillis = 1000

/** How often a log is looked at; how long the rest of a long one waits for its first look to be shown, and for an answer. */
const lookMillis = 100
const firstLookMillis = 1000
const answerMillis = 40

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The runs below a directory, until the scope closes.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (directory: string): Effect.Effect<Library, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runs = Runs.make(directory)
    const followed = new Map<string, Following>()
    const held = new Map<string, number>()
    let answering = 0
    const scope = yield* Effect.scope
    let listed: { readonly at: number; readonly runs: ReadonlyArray<Runs.Listed> } | undefined

    const forget = (one: Following): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (followed.get(one.id) === one) followed.delete(one.id)
        return Effect.asVoid(Fiber.interrupt(one.fiber))
      })

    /** Who is here is not wanted any more, or has no room. */
    const tidy = (now: number, most: number): Effect.Effect<void> => {
      const idle = [...followed.values()].filter((one) => !held.has(one.id)).sort((a, b) => a.usedAt - b.usedAt)
      const over = followed.size - most
      return Effect.forEach(idle.filter((one, nth) => nth < over || now - one.usedAt > idleMillis), forget, {
        discard: true
      })
    }

    yield* Effect.forkIn(
      Effect.forever(Effect.andThen(
        Effect.sleep(idleMillis / 4),
        Effect.flatMap(Clock.currentTimeMillis, (now) => tidy(now, Infinity))
      )),
      scope
    )

    const follow = (live: Live.Live): Effect.Effect<void> =>
      Effect.gen(function*() {
        if (live.sampled) yield* Effect.sleep(firstLookMillis)
        for (;;) {
          const more = yield* live.poll
          yield* more ? answering > 0 ? Effect.sleep(answerMillis) : Effect.yieldNow : Effect.sleep(lookMillis)
        }
      })

    const open: Library["open"] = (id) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const there = followed.get(id)
        // What was deleted may be another one now.
        if (there !== undefined && there.live.state !== "gone") {
          there.usedAt = now
          return there
        }
        const found = yield* Effect.result(runs.find(id))
        if (found._tag === "Failure") {
          if (there !== undefined) return there
          return yield* new Refusal({ status: 404, problem: "There is no such run." })
        }
        yield* tidy(now, mostOpen - 1)
        if (followed.size >= mostHeld) {
          return yield* new Refusal({
            status: 503,
            problem: `${mostHeld} runs are being looked at: no more at a time.`
          })
        }
        const live = yield* Live.open(found.success, { limits }).pipe(
          Effect.mapError(() => new Refusal({ status: 404, problem: "There is no such run." }))
        )
        yield* live.poll
        // Somebody else may have asked for it meanwhile.
        const other = followed.get(id)
        if (other !== undefined && other.live.state !== "gone") return other
        if (other !== undefined) yield* forget(other)
        const fiber = yield* Effect.forkIn(follow(live), scope)
        const one: Following = { id, live, fiber, usedAt: now }
        followed.set(id, one)
        return one
      })

    return {
      root: runs.root,
      list: Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        if (listed !== undefined && now - listed.at < listMillis) return listed.runs
        const found = yield* runs.list
        listed = { at: now, runs: found }
        return found
      }),
      open,
      first: (answer) =>
        Effect.suspend(() => {
          answering++
          return Effect.ensuring(
            answer,
            Effect.sync(() => {
              answering--
            })
          )
        }),
      hold: (id) =>
        Effect.acquireRelease(
          Effect.sync(() => held.set(id, (held.get(id) ?? 0) + 1)),
          () =>
            Effect.sync(() => {
              const left = (held.get(id) ?? 1) - 1
              if (left > 0) held.set(id, left)
              else held.delete(id)
            })
        )
    }
  })

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * What was asked for is not given, and why.
 *
 * @category errors
 * @since 0.5.0
 */
export class Refusal extends Schema.TaggedError<Refusal>()("Refusal", {
  status: Schema.Finite,
  problem: Schema.String
}) {}
