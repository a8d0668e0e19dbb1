/**
 * One bridge for a rank, whoever needs it: the reducer, and what reads metrics from a device. It has a CUDA context, which
 * takes some hundred MiB of the device.
 *
 * It ends with its last user. One that is gone is not shared any more: who asks then gets another.
 *
 * @since 0.4.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Client from "./Client.ts"
import type { Opening } from "./Engine.ts"

interface Entry {
  readonly bridge: Deferred.Deferred<Client.Bridge, Client.BridgeError>
  readonly scope: Scope.Closeable
  users: number
  /** A communicator is one reduction's. */
  carries: boolean
  isOver: boolean
}

const entries = new Map<number, Entry>()

/**
 * The bridge of a rank of this process; `use` says what for.
 *
 * @category constructors
 * @since 0.4.0
 */
export const share = (
  opening: Opening,
  use: "carry" | "read"
): Effect.Effect<Client.Bridge, Client.BridgeError, Scope.Scope> =>
  Effect.gen(function*() {
    const entry = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const known = entries.get(opening.rank)
        const free = known === undefined || known.isOver || (use === "carry" && known.carries)
        return free ? begin(opening, use) : Effect.succeed(join(known, use))
      }),
      leave
    )
    return yield* Deferred.await(entry.bridge)
  })

const join = (entry: Entry, use: "carry" | "read"): Entry => {
  entry.users++
  entry.carries ||= use === "carry"
  return entry
}

const begin = (opening: Opening, use: "carry" | "read"): Effect.Effect<Entry> =>
  Effect.gen(function*() {
    const entry: Entry = {
      bridge: yield* Deferred.make<Client.Bridge, Client.BridgeError>(),
      scope: yield* Scope.make(),
      users: 1,
      carries: use === "carry",
      isOver: false
    }
    entries.set(opening.rank, entry)
    const over = Effect.sync(() => void (entry.isOver = true))
    const running = Client.start(opening).pipe(
      Effect.onExit((exit) => Deferred.done(entry.bridge, exit)),
      Effect.flatMap(({ gone }) => gone),
      Effect.ignore,
      Effect.ensuring(over)
    )
    yield* Effect.forkIn(Scope.provide(running, entry.scope), entry.scope)
    return entry
  })

const leave = (entry: Entry): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (--entry.users > 0) return Effect.void
    entry.isOver = true
    return Scope.close(entry.scope, Exit.void)
  })
