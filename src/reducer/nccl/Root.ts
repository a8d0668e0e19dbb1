/**
 * The root's part of NCCL as a carrier: it brings all bridges together, says who is to send what and when, and gives up, for
 * all, at the first sign of trouble.
 *
 * What is said over the sockets, as bodies of `carry` frames (`nccl` is the verb):
 *
 * | From | Verb | |
 * | :-- | :-- | :-- |
 * | rank | `ready`, `missing` | its bridge has come up; or has not, with a `reason`. Said again every few seconds, with the `epoch` it is in |
 * | root | `begin` | all are ready: join the communicator with this `id` as `epoch` |
 * | rank | `up`, `failed` | it has joined; or something went wrong, with a `reason` |
 * | root | `go` | all have joined, and a test pattern came through: give your frames to the bridge |
 * | rank | `offer` | so many `bytes` of frames are there |
 * | root | `plan` | send just these `bytes` |
 * | rank | `leave` | its run ends |
 * | root | `end` | the epoch is over: all that is not acknowledged goes over the sockets |
 *
 * A bridge sees at once that another one is gone, and that its rank has finished is said over the sockets, which takes longer:
 * so it is waited for a little before anything is called trouble.
 *
 * An epoch that is over does not begin again: what broke once breaks again, and each time costs a delay.
 *
 * @since 0.4.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { RootCarrier, RootSide } from "../zeromq/reduction/carrier.ts"
import { tickMillis } from "../zeromq/reduction/options.ts"
import * as Batch from "./Batch.ts"
import type { Bridge, BridgeError } from "./Client.ts"
import { leaving, numberIn, type Options, textIn, type Trouble } from "./options.ts"
import { isPattern, patternBytes } from "./Pattern.ts"
import * as Plan from "./Plan.ts"

export const root = (
  options: Options,
  bridge: Effect.Effect<Bridge, BridgeError, Scope.Scope>,
  { rank: { worldSize }, take, tell }: RootSide
): Effect.Effect<RootCarrier, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { upMillis, planMillis, readyMillis, waitMillis } = options
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    const wake = yield* Latch.make(false)
    const over = yield* Deferred.make<never, Trouble>()
    const troubled = yield* Deferred.make<never, Trouble>()
    const plans = Plan.make({ worldSize, waitMillis, mostBytes: mostPlanned })
    const others = Array.from({ length: worldSize - 1 }, (_, i) => i + 1)
    /** Who is ready, in which life. */
    const ready = new Map<number, number>()
    const up = new Set<number>()
    let epoch: number | undefined
    let isOver = false
    let batches = 0
    let brought = 0

    const giveUp = (reason: string, quiet = false): void =>
      void Deferred.doneUnsafe(quiet ? over : troubled, Effect.fail({ reason, quiet }))
    const until = (holds: () => boolean): Effect.Effect<void> =>
      Effect.gen(function*() {
        while (!holds()) {
          wake.closeUnsafe()
          yield* wake.await
        }
      })
    const within = (millis: number, reason: () => string) =>
      Effect.timeoutOrElse({ duration: millis, orElse: () => Effect.fail(trouble(reason())) })
    const toAll = (body: { readonly nccl: string; readonly [key: string]: string | number }): void => {
      for (const rank of others) tell(rank, body)
    }
    const missing = (have: { readonly has: (rank: number) => boolean }): string =>
      some(others.filter((rank) => !have.has(rank)))

    const carry = Effect.gen(function*() {
      const own = yield* Effect.mapError(bridge, ({ kind, reason }) => trouble(`rank 0: ${reason}`, kind))
      yield* Effect.forkScoped(Effect.map(own.gone, (reason) => giveUp(`rank 0: its bridge ${reason}`)))
      if (own.carries !== undefined) return yield* Effect.fail(trouble(`rank 0: ${own.carries}`))
      yield* Effect.logDebug(`The bridge of rank 0 has ${own.description}`)
      yield* until(() => ready.size === others.length).pipe(
        within(readyMillis, () => `no bridge has come up at ${missing(ready)} in ${readyMillis / 1000} s`)
      )
      const failing = Effect.mapError(({ reason }: BridgeError) => trouble(`rank 0: ${reason}`))
      const communicate = Effect.gen(function*() {
        const id = yield* failing(own.uniqueId)
        epoch = now()
        toAll({ nccl: "begin", epoch, id: Buffer.from(id).toString("base64") })
        yield* failing(own.join(0, worldSize, id))
        yield* until(() => up.size === others.length)
        const pattern = yield* failing(own.receive([0, ...others.map(() => patternBytes)]))
        for (const [i, rank] of others.entries()) {
          if (isPattern(pattern.subarray(i * patternBytes, (i + 1) * patternBytes), rank, epoch)) continue
          return yield* Effect.fail(trouble(`what rank ${rank} sent is not what came`))
        }
        return epoch
      }).pipe(within(upMillis, () => `the communicator has not come up in ${upMillis / 1000} s`))
      yield* Effect.addFinalizer(() => leaving(own))
      const current = yield* communicate
      toAll({ nccl: "go", epoch: current })
      yield* Effect.logInfo(`Values of all ${worldSize} ranks go over NCCL: ${own.description}`)
      yield* Effect.addFinalizer(() => Effect.logInfo(`${brought} frames came over NCCL, in ${batches} batches`))
      for (let k = 1;; k++) {
        yield* until(() => plans.dueAt() !== undefined)
        const rest = (plans.dueAt() ?? 0) - now()
        if (rest > 0) {
          yield* until(() => (plans.dueAt() ?? Infinity) <= now()).pipe(
            Effect.timeoutOrElse({ duration: rest, orElse: () => Effect.void })
          )
        }
        const sizes = plans.next()
        for (const [rank, bytes] of sizes.entries()) {
          if (bytes > 0) tell(rank, { nccl: "plan", epoch: current, k, bytes })
        }
        const gathered = yield* failing(own.receive(sizes)).pipe(
          within(planMillis, () => `nothing has come for ${planMillis / 1000} s from ${some(from(sizes))}`)
        )
        let at = 0
        const frames = sizes.flatMap((bytes, rank) => {
          at += bytes
          return Batch.unpack(gathered.subarray(at - bytes, at)).map((frame) => ({ rank, frame }))
        })
        batches++
        brought += frames.length
        take(frames)
      }
    })

    const carryOn = Effect.raceFirst(carry, Deferred.await(troubled)).pipe(
      Effect.tapError(() => epoch === undefined ? Effect.void : Effect.sleep(wordMillis))
    )
    const run = Effect.raceFirst(carryOn, Deferred.await(over)).pipe(
      Effect.catch(({ kind, quiet, reason }: Trouble) =>
        Effect.gen(function*() {
          isOver = true
          toAll({ nccl: "end", epoch: epoch ?? 0 })
          if (quiet === true) return
          const begun = epoch !== undefined
          const text = `NCCL ${begun ? "is given up" : "is not used"}: ${reason}. ` +
            "Values go over ZeroMQ, and none is lost"
          // Who leaves the choice to us did not ask for what is not there.
          yield* options.choice === "auto" && !begun && kind !== "failed"
            ? Effect.logInfo(text)
            : Effect.logWarning(text)
        })
      ),
      // What was joined is left behind that: a bridge that hangs is waited for.
      Effect.scoped
    )
    yield* Effect.forkScoped(run)

    return {
      told: (rank, incarnation, body) => {
        const verb = body["nccl"]
        const theirs = numberIn(body, "epoch")
        if (isOver || (theirs !== undefined && theirs !== epoch)) {
          if (theirs !== undefined && verb !== "leave") tell(rank, { nccl: "end", epoch: theirs })
          return
        }
        if (verb === "ready" && epoch === undefined) ready.set(rank, incarnation)
        else if (verb === "missing") giveUp(`rank ${rank}: ${textIn(body, "reason")}`)
        else if (verb === "failed") giveUp(`rank ${rank}: ${textIn(body, "reason")}`)
        else if (verb === "leave") giveUp(`rank ${rank} has finished`, true)
        else if (verb === "up" && ready.get(rank) === incarnation) up.add(rank)
        else if (verb === "offer" && up.has(rank)) plans.offer(rank, numberIn(body, "bytes") ?? 0, now())
        wake.openUnsafe()
      },
      came: (rank, incarnation) => {
        const known = ready.get(rank)
        if (known === undefined || known === incarnation) return
        if (epoch === undefined) ready.delete(rank)
        else giveUp(`rank ${rank} was started again`)
      },
      left: (rank) => {
        if (epoch === undefined) ready.delete(rank)
        else giveUp(`rank ${rank} is gone`)
      },
      leave: () => giveUp("the run ends", true)
    }
  })

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** So long the word of a rank that finishes may take behind its bridge: some looks at the sockets. */
const wordMillis = 5 * tickMillis

/** A plan is held in memory several times over. */
const mostPlanned = 64 * 1024 * 1024

const trouble = (reason: string, kind?: Trouble["kind"]): Trouble => ({ reason, kind })

const from = (sizes: ReadonlyArray<number>): ReadonlyArray<number> =>
  sizes.flatMap((bytes, rank) => bytes > 0 ? [rank] : [])

/** Of thousands of ranks a few are enough. */
const some = (ranks: ReadonlyArray<number>): string =>
  `rank${ranks.length === 1 ? "" : "s"} ${ranks.slice(0, 8).join(", ")}${ranks.length > 8 ? " and others" : ""}`
