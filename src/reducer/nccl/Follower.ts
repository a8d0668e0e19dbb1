/**
 * Every other rank's part of NCCL as a carrier (Root.ts says what the two tell each other): it keeps frames until the root
 * asks for them, and gives them to the bridge then.
 *
 * Whatever goes wrong, the rank says so and goes back to its socket. There the root says up to where it has taken frames,
 * and all others are sent again.
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { FollowerCarrier, FollowerSide } from "../zeromq/reduction/carrier.ts"
import * as Batch from "./Batch.ts"
import type { Bridge, BridgeError } from "./Client.ts"
import { leaving, numberIn, type Options } from "./options.ts"
import { pattern } from "./Pattern.ts"

/** How often a rank says how its bridge is. */
const sayMillis = 2000
const retryMillis = 50
/** So much is kept for the next plan; what is more stays in the ring. */
const mostKept = 8 * 1024 * 1024
/** So much is offered at once, or one frame. */
const mostOffered = 1024 * 1024

export const follower = (
  { upMillis }: Options,
  start: Effect.Effect<Bridge, BridgeError, Scope.Scope>,
  { again, rank: { rank, worldSize }, tell }: FollowerSide
): Effect.Effect<FollowerCarrier, never, Scope.Scope> =>
  Effect.gen(function*() {
    const fork = yield* FiberSet.makeRuntime()
    let bridge: Bridge | undefined
    let missing: string | undefined
    let epoch: number | undefined
    let phase: "apart" | "joining" | "up" = "apart"
    let left = false
    let queue: Array<Uint8Array> = []
    let kept = 0
    /** The offer that no plan has come for yet: so many frames. */
    let offered = 0

    /** What the root has to know; it is said until it could be. */
    const say = (body: { readonly nccl: string; readonly [key: string]: string | number }): void => {
      const asIn = epoch
      if (tell(body)) return
      fork(Effect.gen(function*() {
        const isDone = (): boolean => epoch !== asIn || tell(body)
        while (!isDone()) yield* Effect.sleep(retryMillis)
      }))
    }
    const fallBack = (): void => {
      const wasUp = phase === "up"
      if (bridge !== undefined && phase !== "apart") fork(leaving(bridge))
      phase = "apart"
      epoch = undefined
      queue = []
      kept = 0
      offered = 0
      if (wasUp) again()
    }
    const fail = (reason: string): void => {
      if (phase === "apart" || epoch === undefined) return
      const told = tell({ nccl: "failed", epoch, reason })
      // Else the root hears of it by the epoch that this rank is not in.
      if (!told) missing = reason
      fallBack()
    }

    const join = (known: Bridge, current: number, id: Uint8Array) =>
      known.join(rank, worldSize, id).pipe(
        Effect.andThen(Effect.sync(() => {
          if (epoch === current) say({ nccl: "up", epoch: current })
        })),
        Effect.andThen(known.send(pattern(rank, current))),
        Effect.timeoutOrElse({
          duration: upMillis,
          orElse: () => Effect.sync(() => fail(`the communicator has not come up in ${upMillis / 1000} s`))
        }),
        Effect.catch(({ reason }) => Effect.sync(() => void (epoch === current && fail(reason))))
      )

    const offer = (): void => {
      if (phase !== "up" || offered > 0 || queue.length === 0 || epoch === undefined) return
      let bytes = 0
      let frames = 0
      for (const frame of queue) {
        if (frames > 0 && bytes + Batch.bytesOf(frame) > mostOffered) break
        bytes += Batch.bytesOf(frame)
        frames++
      }
      if (tell({ nccl: "offer", epoch, bytes })) offered = frames
    }
    const send = (known: Bridge, current: number): void => {
      const block = Batch.pack(queue.slice(0, offered))
      queue = queue.slice(offered)
      kept -= block.length
      offered = 0
      fork(
        known.send(block).pipe(
          Effect.catch(({ reason }) => Effect.sync(() => void (epoch === current && fail(reason))))
        )
      )
      offer()
    }

    const live = Effect.gen(function*() {
      const known = yield* start
      bridge = known
      missing = known.carries
      const reason = yield* known.gone
      missing = `its bridge ${reason}`
      fail(missing)
    })
    yield* live.pipe(
      Effect.catch(({ reason }) => Effect.sync(() => void (missing = reason))),
      Effect.forkScoped
    )
    yield* Effect.forkScoped(Effect.gen(function*() {
      const isKnown = (): boolean => bridge !== undefined || missing !== undefined
      while (!isKnown()) yield* Effect.sleep(retryMillis)
      for (;;) {
        const said = left || tell(
          missing === undefined
            ? { nccl: "ready", ...(epoch === undefined ? {} : { epoch }) }
            : { nccl: "missing", reason: missing }
        )
        yield* Effect.sleep(said ? sayMillis : retryMillis)
      }
    }))

    return {
      isUp: () => phase === "up",
      send: (frame) => {
        if (kept >= mostKept) return false
        queue.push(frame)
        kept += Batch.bytesOf(frame)
        return true
      },
      sent: offer,
      told: (body) => {
        const current = numberIn(body, "epoch")
        const verb = body["nccl"]
        if (verb === "begin" && typeof body["id"] === "string" && bridge !== undefined && !bridge.isGone() && !left) {
          fallBack()
          epoch = current
          if (current === undefined) return
          phase = "joining"
          fork(join(bridge, current, Buffer.from(body["id"], "base64")))
        } else if (current !== epoch || epoch === undefined) return
        else if (verb === "go" && phase === "joining") phase = "up"
        else if (verb === "plan" && phase === "up" && bridge !== undefined) send(bridge, epoch)
        else if (verb === "end") fallBack()
      },
      leave: () => {
        if (epoch !== undefined) tell({ nccl: "leave", epoch })
        left = true
        fallBack()
      }
    }
  })
