/**
 * Every other rank's side of a reduction: what it records goes up (uplink.ts), to the aggregator of its node or to the root.
 * The first rank of a node has that aggregator in its process.
 *
 * Once the root has finished, records are for nobody, and are not kept.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type { Rank } from "../../../Rank.ts"
import type { Reduction } from "../../../Reducer.ts"
import * as Frame from "../Frame.ts"
import * as Producer from "../Producer.ts"
import * as Transport from "../Transport.ts"
import * as Aggregator from "./aggregator.ts"
import type { FollowerCarrier } from "./carrier.ts"
import { flushMillisOf, jobOf, nextIncarnation, type Options, tickMillis } from "./options.ts"
import * as Uplink from "./uplink.ts"

export const follower = (options: Options, rank: Rank): Effect.Effect<Reduction, never, Scope.Scope> =>
  Effect.gen(function*() {
    const own = yield* Scope.fork(yield* Effect.scope)
    const { flush, offer } = yield* Scope.provide(follow(options, rank), own)
    return { offer, flush: Effect.andThen(flush, Scope.close(own, Exit.void)) }
  })

const follow = (options: Options, rank: Rank): Effect.Effect<Reduction, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { environment } = options
    const flushMillis = flushMillisOf(options)
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    const job = jobOf(environment)
    const origin: Frame.Origin = {
      job: Frame.jobOf(job.id),
      rank: rank.rank,
      incarnation: nextIncarnation(now()),
      worldSize: rank.worldSize
    }
    const producer = Producer.make(origin)
    /** Whether all that there was has been sent. */
    let sent = true
    let closed = false
    let carrier: FollowerCarrier | undefined

    const deliver = (frame: Uint8Array): boolean => carrier?.isUp() === true ? carrier.send(frame) : uplink.send(frame)
    const send = (force = false): void => {
      // At the end: what waits for others to make a frame with is kept, and waited for, too.
      if (uplink.ready() || force) sent = producer.drain(now(), uplink.ready() ? deliver : nowhere, force)
      carrier?.sent()
    }
    const uplink = yield* Uplink.make({
      options,
      rank,
      job,
      name: `Rank ${rank.rank}`,
      identity: Transport.identity({
        job: job.id,
        rank: rank.rank,
        incarnation: origin.incarnation,
        process: Transport.thisProcess
      }),
      origin: () => origin,
      near: Aggregator.isNear(rank, options) ? Aggregator.pathOf({ environment, job }) : undefined,
      welcomed: (ackUpTo) => {
        // What it has taken is kept all the same: should it be killed, the next one needs it.
        producer.rewind(ackUpTo)
        send()
      },
      acked: producer.acked,
      carry: (body) => carrier?.told(body)
    })
    carrier = yield* options.carrier?.follower({
      rank,
      tell: (body) =>
        uplink.ready() && uplink.send(Frame.encodeBody("carry", { ...origin, seq: 0, sentAt: now() }, body)),
      again: uplink.hello
    }) ?? Effect.undefined
    const aggregator = Aggregator.isWanted(rank, options) ? yield* aggregate(options, rank) : undefined

    /** Something was recorded: waking up costs a rank far more than what it does then, so it is not done in vain. */
    const some = yield* Latch.make(false)
    let overflowed = false
    const sendDue = Effect.gen(function*() {
      yield* some.await
      some.closeUnsafe()
      for (let due = producer.due(); due !== undefined && !uplink.state().finished; due = producer.due()) {
        const wait = due - now()
        yield* Effect.sleep(wait > 0 ? wait : tickMillis)
        send()
      }
      if (!overflowed && producer.stats().overflowed > 0) {
        overflowed = true
        yield* Effect.logWarning(`Rank ${rank.rank} cannot reach rank 0, and keeps only its latest records`)
      }
    })
    yield* Effect.forkScoped(Effect.forever(sendDue))

    const flush = Effect.gen(function*() {
      if (closed) return
      const from = now()
      closed = true
      carrier?.leave()
      for (;;) {
        send(true)
        // Whoever waits for more of this rank need not.
        if (uplink.ready() && sent && !uplink.state().saidBye) uplink.goodbye()
        const { ackedAt, everWelcomed, finished } = uplink.state()
        // Also of a rank that has recorded nothing: or it would be waited for.
        const done = everWelcomed && producer.stats().kept === 0
        if (done && !finished) uplink.goodbye(true)
        if (finished || done || now() >= Math.max(from, ackedAt) + flushMillis) break
        yield* Effect.sleep(tickMillis / 5)
      }
      const { everWelcomed, finished } = uplink.state()
      const { frames, kept, overflowed, records } = producer.stats()
      if (!finished && !everWelcomed && (frames > 0 || records > 0)) {
        yield* Effect.logWarning(
          `Rank 0 was not there in the ${flushMillis / 1000} s that rank ${rank.rank} waited at its end: ` +
            `its ${records} records are in no run`
        )
      } else if (!finished && kept > 0 && !(uplink.ready() && sent)) {
        yield* Effect.logWarning(`Rank 0 has not taken the last ${kept} batches of records of rank ${rank.rank}`)
      }
      if (overflowed > 0) {
        yield* Effect.logWarning(`${overflowed} records of rank ${rank.rank} were lost: rank 0 was away for too long`)
      }
      if (aggregator !== undefined) yield* aggregator.leave
    })

    return {
      offer: (rows) => {
        if (closed || uplink.state().finished) return
        const { eager } = uplink.state()
        let ready = eager
        const time = now()
        for (const row of rows) ready = producer.record(row.metrics, row.step, time) || ready
        if (ready) send(eager)
        some.openUnsafe()
      },
      flush
    }
  })

const nowhere = (): boolean => false

/** Has the node's aggregator in this process, as soon as it listens. */
const aggregate = (
  options: Options,
  rank: Rank
): Effect.Effect<Pick<Aggregator.Running, "leave">, never, Scope.Scope> =>
  Effect.gen(function*() {
    let running: Aggregator.Running | undefined
    yield* Aggregator.make(options, rank).pipe(
      Effect.tap((made) =>
        Effect.sync(() => {
          running = made
        })
      ),
      Effect.catch((error) => Effect.logWarning(`${error.message}: the ranks of this node go to rank 0 one by one`)),
      Effect.andThen(Effect.never),
      Effect.forkScoped
    )
    return { leave: Effect.suspend(() => running?.leave ?? Effect.void) }
  })
