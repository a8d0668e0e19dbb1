/**
 * Every other rank's side of a reduction: it looks for the root, sends it what it records, and follows it where it goes.
 *
 * - Nothing is sent before the root has said welcome on this connection. Then all that it has not taken is sent (again).
 * - A connection that is gone for a while may mean another root: one that goes on with the same run is looked for, while
 *   the old one may come back at any time.
 * - Once the root has finished, records are for nobody, and are not kept.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Os from "node:os"
import type { Rank } from "../../../Rank.ts"
import type { Reduction } from "../../../Reducer.ts"
import { version } from "../../../version.ts"
import * as Frame from "../Frame.ts"
import * as Producer from "../Producer.ts"
import * as Rendezvous from "../Rendezvous.ts"
import * as Transport from "../Transport.ts"
import {
  findMillis,
  flushMillisOf,
  goneMillis,
  heartbeatMillis,
  jobOf,
  nextIncarnation,
  type Options,
  tickMillis,
  unwelcomeMillis
} from "./options.ts"

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
    const stamp = (): Frame.Stamp => ({ ...origin, seq: 0, sentAt: now() })
    const producer = Producer.make(origin)
    let peer: Transport.Peer | undefined
    let welcomed = false
    let everWelcomed = false
    let helloAt = 0
    let goneSince: number | undefined
    let run: string | undefined
    /** Whether all that there was has been sent. */
    let sent = true
    let ackedAt = 0
    /** The root has published its last record. */
    let finished = false
    let closed = false
    /** Whether the root knows, on this connection, that nothing more comes. */
    let saidBye = false

    const send = (force = false): void => {
      const to = peer
      if (to !== undefined && welcomed) sent = producer.drain(now(), to.send, force)
      // At the end: what waits for others to make a frame with is kept, and waited for, too.
      else if (force) sent = producer.drain(now(), () => false, force)
    }
    const hello = (): void => {
      helloAt = now()
      const { launcher, worldSize } = rank
      const body = { version, host: Os.hostname(), pid: process.pid, worldSize, launcher }
      peer?.send(Frame.encodeBody("hello", stamp(), run === undefined ? body : { ...body, run }))
    }
    const goodbye = (): boolean => peer?.send(Frame.encodeBody("bye", stamp(), { reason: "finished" })) ?? false

    const receive = (batch: ReadonlyArray<Uint8Array>): void => {
      for (const bytes of batch) {
        const frame = Frame.decode(bytes, origin.job)
        if (Frame.isRefused(frame)) continue
        if (frame.type === "welcome") {
          const { ackUpTo, run: told } = frame.body
          // At an address that a person gave, or that was derived, another run may have begun.
          if (run !== undefined && told !== run) continue
          if (typeof told === "string") run = told
          welcomed = true
          everWelcomed = true
          saidBye = false
          // What it has taken is kept all the same: should it be killed, the next one needs it.
          producer.rewind(typeof ackUpTo === "number" ? ackUpTo : 0)
          send()
        } else if (frame.type === "ack") {
          ackedAt = now()
          producer.acked(frame.seq)
        } else if (frame.type === "bye" && welcomed) {
          finished = true
          goodbye()
        }
      }
    }

    const connect = (place: Rendezvous.Place) =>
      Transport.connect({
        target: place,
        identity: Transport.identity({ job: job.id, rank: rank.rank, incarnation: origin.incarnation }),
        receive,
        connection: (connected) => {
          welcomed = false
          goneSince = connected ? undefined : now()
          if (connected) hello()
        }
      })

    const find = (timeoutMillis: number, other?: Rendezvous.Place) =>
      Effect.result(Rendezvous.find({ environment, job, timeoutMillis, other, run }))

    /** Looks for the root, connects, and looks for the one that takes its place. */
    const seek = Effect.gen(function*() {
      let found = yield* find(findMillis)
      if (found._tag === "Failure") {
        yield* Effect.logWarning(`${found.failure.message} It is looked for further`)
        while (found._tag === "Failure") found = yield* find(findMillis)
      }
      let place = found.success
      goneSince = now()
      peer = yield* connect(place)
      if (peer.connected()) hello()
      for (;;) {
        yield* Effect.sleep(tickMillis)
        if (finished) return
        // One that never said welcome was about to leave.
        if (goneSince === undefined || now() - goneSince < (everWelcomed ? goneMillis : unwelcomeMillis)) continue
        const other = yield* find(goneMillis, place)
        if (other._tag === "Failure" || peer.connected()) continue
        place = other.success
        peer.redirect(place)
        goneSince = now()
      }
    })
    yield* Effect.forkScoped(seek.pipe(
      Effect.catch((error) => Effect.logWarning(`${error.message}: the records of rank ${rank.rank} stay with it`))
    ))

    let overflowed = false
    let beatAt = 0
    const tick = Effect.gen(function*() {
      yield* Effect.sleep(tickMillis)
      if (finished) return
      if (peer?.connected() === true && !welcomed && now() - helloAt >= heartbeatMillis) hello()
      send()
      if (welcomed && now() - beatAt >= heartbeatMillis) {
        beatAt = now()
        peer?.send(Frame.encodeSignal("heartbeat", stamp()))
      }
      if (!overflowed && producer.stats().overflowed > 0) {
        overflowed = true
        yield* Effect.logWarning(`Rank ${rank.rank} cannot reach rank 0, and keeps only its latest records`)
      }
    })
    yield* Effect.forkScoped(Effect.forever(tick))

    const flush = Effect.gen(function*() {
      if (closed) return
      const from = now()
      closed = true
      for (;;) {
        send(true)
        // Whoever waits for more of this rank need not.
        if (welcomed && sent && !saidBye) saidBye = goodbye()
        // Also of a rank that has recorded nothing: or it would be waited for.
        const done = everWelcomed && producer.stats().kept === 0
        if (finished || done || now() >= Math.max(from, ackedAt) + flushMillis) break
        yield* Effect.sleep(tickMillis / 5)
      }
      const { frames, kept, overflowed, records } = producer.stats()
      if (!finished && !everWelcomed && (frames > 0 || records > 0)) {
        yield* Effect.logWarning(
          `Rank 0 was not there in the ${flushMillis / 1000} s that rank ${rank.rank} waited at its end: ` +
            `its ${records} records are in no run`
        )
      } else if (!finished && kept > 0 && !(welcomed && sent)) {
        yield* Effect.logWarning(`Rank 0 has not taken the last ${kept} batches of records of rank ${rank.rank}`)
      }
      if (overflowed > 0) {
        yield* Effect.logWarning(`${overflowed} records of rank ${rank.rank} were lost: rank 0 was away for too long`)
      }
    })

    return {
      offer: (rows) => {
        if (finished || closed) return
        let ready = false
        const time = now()
        for (const row of rows) ready = producer.record(row.metrics, row.step, time) || ready
        if (ready) send()
      },
      flush
    }
  })
