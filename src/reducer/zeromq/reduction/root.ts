/**
 * Rank 0's side of a reduction: it listens, closes its records with what ranks say, and tells them what they need not
 * keep.
 *
 * - A rank is known from its hello on, by its incarnation: frames of an earlier life are dropped, and so is the hello of
 *   one that was thought dead, unless the later life is not heard of any more.
 * - A rank is not waited for when it has said goodbye, when its connection is gone for a while, or when nothing is heard
 *   of it. Whatever comes from it brings it back, but for one that has said goodbye: what follows is another run's.
 * - The last acknowledgement is sent again each second: as a sign of life, and since one may be lost.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Rank } from "../../../Rank.ts"
import type { Publish, ReducerError, Reduction } from "../../../Reducer.ts"
import { version } from "../../../version.ts"
import * as Frame from "../Frame.ts"
import * as Rendezvous from "../Rendezvous.ts"
import * as Slots from "../Slots.ts"
import * as Transport from "../Transport.ts"
import {
  askMillis,
  defaultDeadlineMillis,
  defaultJoinMillis,
  failed,
  farewellMillis,
  flushMillisOf,
  heartbeatMillis,
  isBefore,
  jobOf,
  type Options,
  silentMillis,
  startMillis,
  tickMillis,
  unreachableMillis
} from "./options.ts"

/** One life of another rank. */
interface Peer {
  readonly peer: string
  readonly incarnation: number
  heardAt: number
  askedAt: number
  reachedAt: number
  acked: number
  /** It has said goodbye: nothing new comes. */
  left: boolean
  /** It has had our last word. */
  gone: boolean
}

export const root = (
  options: Options,
  rank: Rank,
  runId: string,
  publish: Publish
): Effect.Effect<Reduction, ReducerError, Scope.Scope> =>
  Effect.gen(function*() {
    const own = yield* Scope.fork(yield* Effect.scope)
    const { flush, offer } = yield* Scope.provide(serve(options, rank, runId, publish), own)
    return { offer, flush: Effect.andThen(flush, Scope.close(own, Exit.void)) }
  })

const serve = (
  options: Options,
  rank: Rank,
  runId: string,
  publish: Publish
): Effect.Effect<Reduction, ReducerError, Scope.Scope> =>
  Effect.gen(function*() {
    const { environment } = options
    const { worldSize } = rank
    const flushMillis = flushMillisOf(options)
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    const job = jobOf(environment)
    const claim = yield* Rendezvous.claim({
      environment,
      job,
      runId,
      hosts: rank.localWorldSize === worldSize ? "one" : "several"
    }).pipe(Effect.mapError(failed("be joined")))
    for (const note of claim.notes) yield* Effect.logInfo(note)

    const slots = Slots.make({
      worldSize,
      deadlineMillis: options.deadlineMillis ?? defaultDeadlineMillis,
      startMillis,
      joinUntil: now() + (options.joinMillis ?? defaultJoinMillis)
    })
    const origin: Frame.Origin = { job: Frame.jobOf(job.id), rank: 0, incarnation: claim.incarnation, worldSize }
    const stamp = (seq = 0): Frame.Stamp => ({ ...origin, seq, sentAt: now() })
    const peers = new Map<number, Peer>()
    let refused = 0
    let told = 0
    let published = 0
    let tookAt = now()
    let beatAt = now()
    let ended = false

    const acknowledge = ({ acked, peer }: Peer): void =>
      transport.send(
        peer,
        acked > 0 ? Frame.encodeSignal("ack", stamp(acked)) : Frame.encodeSignal("heartbeat", stamp())
      )

    const settle = (): void => {
      const rows = slots.close(now())
      if (rows.length > 0) {
        const amended = rows.filter((row) => row.seq <= published)
        const closed = rows.filter((row) => row.seq > published)
        if (amended.length > 0) publish(amended, true)
        published = closed.at(-1)?.seq ?? published
        if (closed.length > 0) publish(closed)
      }
      for (const { rank, seq } of slots.acks()) {
        const known = peers.get(rank)
        if (known === undefined) continue
        known.acked = seq
        acknowledge(known)
      }
    }

    const welcome = (peer: string, ackUpTo: number): void => {
      const body = { version, incarnation: claim.incarnation, run: claim.run, ackUpTo }
      transport.send(peer, Frame.encodeBody("welcome", stamp(), body))
    }

    const hello = (peer: string, rank: number, incarnation: number): void => {
      const known = peers.get(rank)
      const time = now()
      if (known !== undefined && known.incarnation !== incarnation) {
        if (known.left) return
        if (isBefore(incarnation, known.incarnation) && time - known.heardAt < silentMillis) return
      }
      const acked = known?.incarnation === incarnation ? known.acked : 0
      peers.set(rank, {
        peer,
        incarnation,
        heardAt: time,
        askedAt: 0,
        reachedAt: time,
        acked,
        left: false,
        gone: false
      })
      welcome(peer, slots.join(rank, incarnation, time))
    }

    const handle = (peer: string, frame: Frame.Frame): void => {
      const { incarnation, rank } = frame
      if (rank === 0 || rank >= worldSize || frame.worldSize !== worldSize) {
        refused++
        return
      }
      if (frame.type === "hello") {
        // One that has been welcomed before names the run that it takes part in.
        if (frame.body["run"] === undefined || frame.body["run"] === claim.run) hello(peer, rank, incarnation)
        return
      }
      const known = peers.get(rank)
      // From before it said hello to this root, or from a life that is over.
      if (known === undefined || known.incarnation !== incarnation) return
      known.heardAt = now()
      // After its goodbye something may come again that was lost on the way.
      if (!known.left) slots.alive(rank, now())
      if (frame.type === "schema") slots.schema(rank, frame.id, frame.keys, frame.bytes)
      else if (frame.type === "leaf") {
        tookAt = now()
        // What is missing is asked for once, and again only after a while: many may be on their way behind it.
        if (!slots.leaf(rank, frame.seq, frame.schema, frame.records, now()) && now() - known.askedAt > askMillis) {
          known.askedAt = now()
          welcome(peer, slots.join(rank, incarnation, now()))
        }
      } else if (frame.type === "heartbeat") slots.floor(rank, frame.seq)
      else if (frame.type === "bye") {
        known.left = true
        known.gone = ended
        slots.leave(rank)
      }
    }

    const transport: Transport.Root = yield* Transport.listen({
      ...claim.listen,
      receive: (batch) => {
        for (const { frame, peer } of batch) {
          const decoded = Frame.decode(frame, origin.job)
          if (Frame.isRefused(decoded)) refused++
          // After the end, who comes is for another run.
          else if (!ended || decoded.type === "bye") handle(peer, decoded)
        }
        if (!ended) settle()
      }
    }).pipe(Effect.mapError(failed("be listened to")))
    yield* claim.publish(transport.endpoints).pipe(Effect.mapError(failed("be told where their root is")))

    const tick = Effect.gen(function*() {
      const time = now()
      const beat = time - beatAt >= heartbeatMillis
      if (beat) beatAt = time
      for (const [rank, known] of peers) {
        if (beat) acknowledge(known)
        if (known.left) continue
        if (transport.reaches(known.peer)) known.reachedAt = time
        if (time - known.reachedAt > unreachableMillis || time - known.heardAt > silentMillis) slots.leave(rank)
      }
      settle()
      if (refused > told) {
        yield* told === 0
          ? Effect.logWarning("Frames of another job, another version or another world size were refused")
          : Effect.void
        told = refused
      }
      yield* Effect.sleep(tickMillis)
    })
    yield* Effect.forkScoped(Effect.forever(tick))

    const present = (): ReadonlyArray<Peer> =>
      [...peers.values()].filter(({ gone, heardAt, peer }) =>
        !gone && now() - heardAt < silentMillis && transport.reaches(peer)
      )

    const flush = Effect.gen(function*() {
      if (ended) return
      const from = now()
      settle()
      while (slots.counts().waiting > 0 && now() < Math.max(from, tookAt) + flushMillis) {
        yield* Effect.sleep(tickMillis)
        settle()
      }
      const rest = slots.flush().filter((row) => row.seq > published)
      if (rest.length > 0) publish(rest)
      settle()
      ended = true
      const { joined, lost, partial } = slots.counts()
      if (joined < worldSize) yield* Effect.logWarning(`${worldSize - joined} of ${worldSize} ranks never came`)
      if (partial > 0) yield* Effect.logInfo(`${partial} records closed without all ranks (their count says how many)`)
      if (lost > 0) yield* Effect.logWarning(`${lost} frames were lost by ranks that could not keep them longer`)
      // They keep for nobody what no record of ours has asked for.
      for (const { peer } of peers.values()) {
        transport.send(peer, Frame.encodeBody("bye", stamp(), { reason: "finished" }))
      }
      // A last word that is on its way when the socket closes does not arrive: who has had it says goodbye.
      for (let waited = 0; present().length > 0 && waited < farewellMillis; waited += 10) yield* Effect.sleep(10)
    })

    return {
      offer: (rows) => {
        if (ended) return
        const time = now()
        for (const row of rows) slots.root(row, time)
        settle()
      },
      flush
    }
  })
