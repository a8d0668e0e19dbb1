/**
 * Rank 0's side of a reduction: it listens, closes its records with what those below say (downlink.ts), and tells them what
 * they need not keep. Aggregators of nodes that have a parent are told where that is.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type { Rank } from "../../../Rank.ts"
import type { Publish, ReducerError, Reduction } from "../../../Reducer.ts"
import { version } from "../../../version.ts"
import * as Frame from "../Frame.ts"
import * as Rendezvous from "../Rendezvous.ts"
import * as Slots from "../Slots.ts"
import * as Transport from "../Transport.ts"
import { Attendance } from "./attendance.ts"
import type { RootCarrier } from "./carrier.ts"
import * as Downlink from "./downlink.ts"
import {
  acknowledgeBytes,
  acknowledgeMillis,
  deadlineMillisOf,
  failed,
  farewellMillis,
  flushMillisOf,
  hurriedMillis,
  hurryMillis,
  jobOf,
  joinMillisOf,
  type Options,
  parentMillis,
  startMillis,
  tickMillis,
  unknownTimes
} from "./options.ts"
import { Pulse } from "./pulse.ts"
import { parentOf } from "./topology.ts"

/** So many records of rank 0 may wait to be looked at. */
const mostUnsettled = 256

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
    for (const unknown of unknownTimes(options)) yield* Effect.logWarning(unknown)
    for (const note of claim.notes) yield* Effect.logInfo(note)

    const joinUntil = now() + joinMillisOf(options)
    const slots = Slots.make({
      worldSize,
      deadlineMillis: deadlineMillisOf(options),
      startMillis,
      joinUntil
    })
    const attendance = new Attendance(now(), joinUntil)
    slots.join(0, claim.incarnation, now())
    const origin: Frame.Origin = { job: Frame.jobOf(job.id), rank: 0, incarnation: claim.incarnation, worldSize }
    const directory = new Map<number, ReadonlyArray<string>>()
    const nodes = Math.ceil(worldSize / (rank.localWorldSize ?? 1))
    let told = 0
    let published = 0
    let ending = false
    let ended = false
    const pulse = new Pulse()
    let transport: Transport.Root | undefined
    let carrier: RootCarrier | undefined

    const downlink = Downlink.make({
      job: origin.job,
      worldSize,
      now,
      send: (peer, frame) => transport?.send(peer, frame),
      reaches: (peer) => transport?.reaches(peer) ?? false,
      origin: () => origin,
      below: () => slots,
      // Of several nodes each counts the starts for itself, so that all have the same job's id.
      together: rank.launcher === "torchrun",
      welcome: () => ({
        version,
        incarnation: claim.incarnation,
        run: claim.run,
        ...(options.sync === true ? { options: { flushMillis: 0 } } : {})
      }),
      run: () => claim.run,
      came: (index, incarnation) => {
        attendance.came(index, now())
        carrier?.came(index, incarnation)
      },
      left: (index, _, lost) => {
        if (lost) attendance.lost(index, now())
        else hurriedUntil = now() + hurryMillis
        carrier?.left(index)
      },
      carry: (index, incarnation, body) => carrier?.told(index, incarnation, body),
      via: (node, listens, askedFor) => {
        directory.set(node, listens)
        const parent = parentOf(node, nodes, options.topology)
        if (parent === undefined) return undefined
        return directory.get(parent) ?? (askedFor < parentMillis ? "later" : undefined)
      }
    })

    let acknowledgedAt = 0
    /** How many bytes have come since, and until when somebody waits for it. */
    let taken = 0
    let hurriedUntil = 0
    const acknowledge = (): void => {
      acknowledgedAt = now()
      taken = 0
      downlink.acknowledge(slots.acks())
    }
    const isToAcknowledge = (): boolean => {
      if (options.sync === true || taken >= acknowledgeBytes) return true
      const time = now()
      return time - acknowledgedAt >= (time < hurriedUntil ? hurriedMillis : acknowledgeMillis)
    }
    /** Records are closed after the call that brought them, which is the training's; a loop that never yields closes some. */
    const due = yield* Latch.make(false)
    let unsettled = 0
    const settle = (): void => {
      unsettled = 0
      const rows = slots.close(now())
      if (rows.length > 0) {
        const amended = rows.filter((row) => row.seq <= published)
        const closed = amended.length === 0 ? rows : rows.filter((row) => row.seq > published)
        if (amended.length > 0) publish(amended, true)
        published = closed.at(-1)?.seq ?? published
        if (closed.length > 0) publish(closed)
      }
      if (isToAcknowledge()) acknowledge()
    }

    transport = yield* Transport.listen({
      ...claim.listen,
      pace: () => options.sync === true || ending ? undefined : pulse.next(),
      receive: (batch) => {
        for (const { frame } of batch) taken += frame.length
        downlink.receive(batch)
        if (!ended) settle()
      }
    }).pipe(Effect.mapError(failed("be listened to")))
    yield* claim.publish(transport.endpoints).pipe(Effect.mapError(failed("be told where their root is")))

    carrier = yield* options.carrier?.root({
      rank,
      tell: (index, body) => {
        const peer = downlink.peerOf(index)
        if (peer !== undefined) {
          transport?.send(peer, Frame.encodeBody("carry", { ...origin, seq: 0, sentAt: now() }, body))
        }
      },
      take: (frames) => {
        if (ended) {
          return
        }
        downlink.receive(frames.flatMap(({ frame, rank: index }) => {
          const peer = downlink.peerOf(index)
          return peer === undefined ? [] : [{ peer, frame }]
        }))
        settle()
      }
    }) ?? Effect.undefined

    const sayAttendance = (force = false): Effect.Effect<void> => {
      const { joined, waiting } = slots.counts()
      const state = { absent: slots.absent, isComplete: joined === worldSize, isWaiting: waiting > 0 }
      return Effect.forEach(
        attendance.say(now(), state, force),
        ({ isWarning, text }) => isWarning ? Effect.logWarning(text) : Effect.logInfo(text),
        { discard: true }
      )
    }

    const tick = Effect.gen(function*() {
      pulse.beat()
      downlink.tick()
      settle()
      if (downlink.refused() > told) {
        yield* told === 0
          ? Effect.logWarning("Frames of another job, another version or another world size were refused")
          : Effect.void
        told = downlink.refused()
      }
      if (!ended) yield* sayAttendance()
      yield* Effect.sleep(tickMillis)
    })
    yield* Effect.forkScoped(Effect.forever(tick))
    const settleSoon = Effect.sync(() => {
      due.closeUnsafe()
      if (unsettled > 0 && !ended) settle()
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(due.await, settleSoon)))

    const flush = Effect.gen(function*() {
      if (ended) return
      const from = now()
      ending = true
      pulse.beat()
      carrier?.leave()
      settle()
      while (slots.counts().waiting > 0 && now() < Math.max(from, downlink.tookAt()) + flushMillis) {
        yield* Effect.sleep(tickMillis)
        settle()
      }
      yield* sayAttendance(true)
      const rest = slots.flush().filter((row) => row.seq > published)
      if (rest.length > 0) publish(rest)
      settle()
      acknowledge()
      ended = true
      const { dropped, joined, lost, overflowed, partial } = slots.counts()
      if (joined < worldSize) yield* Effect.logWarning(`${worldSize - joined} of ${worldSize} ranks never came`)
      const { aggregators, direct, spoken } = downlink.shape()
      yield* Effect.logDebug(`${direct + 1} ranks came by themselves, ${spoken} through ${aggregators} aggregators`)
      if (partial > 0) yield* Effect.logInfo(`${partial} records closed without all ranks (their count says how many)`)
      if (lost > 0) yield* Effect.logWarning(`${lost} frames were lost by ranks that could not keep them longer`)
      if (overflowed > 0) {
        yield* Effect.logWarning(
          `Ranks were so far ahead of rank 0 that what they said of ${overflowed} steps could not be kept`
        )
      }
      if (dropped > 0) yield* Effect.logDebug(`${dropped} parts of frames were of ranks that had come another way`)
      downlink.farewell()
      // A last word that is on its way when the socket closes does not arrive: who has had it says goodbye.
      for (let waited = 0; downlink.present() > 0 && waited < farewellMillis; waited += 10) yield* Effect.sleep(10)
    })

    return {
      offer: (rows) => {
        if (ended) return
        const time = now()
        for (const row of rows) slots.root(row, time)
        unsettled += rows.length
        if (options.sync === true || unsettled >= mostUnsettled) settle()
        else due.openUnsafe()
      },
      flush
    }
  })
