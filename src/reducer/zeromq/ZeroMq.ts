/**
 * Reductions over ZeroMQ: every rank sends its records to rank 0, which closes its own with what all ranks said.
 *
 * A rank never waits. Its records are frames that are kept until the root has no need of them any more (Producer.ts), so
 * a root that is late, slow, stopped or started over costs nothing but memory, up to a limit that is counted and told.
 * The root's own `offer` only looks at what is there: records close when frames arrive, and on a timer for deadlines.
 *
 * @since 0.3.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Rank from "../../Rank.ts"
import { type Publish, type Reducer, ReducerError, type Reduction } from "../../Reducer.ts"
import { version } from "../../version.ts"
import * as Frame from "./Frame.ts"
import * as Producer from "./Producer.ts"
import * as Rendezvous from "./Rendezvous.ts"
import * as Slots from "./Slots.ts"
import * as Transport from "./Transport.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * `deadlineMillis`: how long a rank that makes no progress is waited for (1000). `joinMillis`: how long ranks that have
 * not come yet are waited for at the start (60,000).
 *
 * @category models
 * @since 0.3.0
 */
export interface Options {
  readonly environment: Rank.Environment
  readonly deadlineMillis?: number | undefined
  readonly joinMillis?: number | undefined
}

const defaultDeadlineMillis = 1000
const defaultJoinMillis = 60_000
/** How often ranks and root look at the time. */
const tickMillis = 50
const heartbeatMillis = 1000
const askMillis = 200
/** A rank that has not been heard of for so long is not waited for. */
const silentMillis = 10_000
/** How long the end waits: for the ranks at the root, for the root at a rank. */
const flushMillis = 30_000
const farewellMillis = 500
/** How long a rank looks for its root before it says that it cannot find it, and looks on. */
const findMillis = 60_000
/** How long a connection may be gone before another root is looked for. */
const goneMillis = 2000

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The reducer of this process, which must be one of several ranks.
 *
 * @category constructors
 * @since 0.3.0
 */
export const make = (options: Options): Reducer["Service"] => {
  const rank = Rank.fromEnvironment(options.environment)
  return {
    rank,
    open: (runId, publish) => (rank.rank === 0 ? root(options, rank, runId, publish) : follower(options, rank))
  }
}

const readText = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

const failed = (operation: string) => (cause: unknown): ReducerError => new ReducerError({ operation, cause })

// -----------------------------------------------------------------------------
// Rank 0
// -----------------------------------------------------------------------------

const root = (
  options: Options,
  rank: Rank.Rank,
  runId: string,
  publish: Publish
): Effect.Effect<Reduction, ReducerError, Scope.Scope> =>
  Effect.gen(function*() {
    const { environment } = options
    const { worldSize } = rank
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    const job = Rank.jobFromEnvironment(environment, readText)
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
      joinUntil: now() + (options.joinMillis ?? defaultJoinMillis)
    })
    const origin: Frame.Origin = { job: Frame.jobOf(job.id), rank: 0, incarnation: claim.incarnation, worldSize }
    const stamp = (seq = 0): Frame.Stamp => ({ ...origin, seq, sentAt: now() })
    const peers = new Map<
      number,
      { readonly peer: string; readonly incarnation: number; heardAt: number; askedAt: number }
    >()
    let refused = 0
    let told = 0
    let published = 0
    let ended = false

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
        if (known !== undefined) transport.send(known.peer, Frame.encodeSignal("ack", stamp(seq)))
      }
    }

    const welcome = (peer: string, acked: number): void =>
      transport.send(peer, Frame.encodeBody("welcome", stamp(acked), { version, run: claim.run }))

    const handle = (peer: string, frame: Frame.Frame): void => {
      const { incarnation, rank } = frame
      if (rank === 0 || rank >= worldSize || frame.worldSize !== worldSize) {
        refused++
        return
      }
      const known = peers.get(rank)
      if (frame.type === "hello") {
        peers.set(rank, { peer, incarnation, heardAt: now(), askedAt: 0 })
        welcome(peer, slots.join(rank, incarnation, now()))
        return
      }
      // From before it said hello to this root, or from a life that is over.
      if (known === undefined || known.incarnation !== incarnation) return
      known.heardAt = now()
      slots.alive(rank, now())
      if (frame.type === "schema") slots.schema(rank, frame.id, frame.keys, frame.bytes)
      else if (frame.type === "leaf") {
        // What is missing is asked for once, and again only after a while: many may be on their way behind it.
        if (!slots.leaf(rank, frame.seq, frame.schema, frame.records, now()) && now() - known.askedAt > askMillis) {
          known.askedAt = now()
          welcome(peer, slots.join(rank, incarnation, now()))
        }
      } else if (frame.type === "heartbeat") slots.floor(rank, frame.seq)
      else if (frame.type === "bye") {
        peers.delete(rank)
        slots.leave(rank)
      }
    }

    const transport: Transport.Root = yield* Transport.listen({
      ...claim.listen,
      receive: (batch) => {
        for (const { frame, peer } of batch) {
          const decoded = Frame.decode(frame, origin.job)
          if (Frame.isRefused(decoded)) refused++
          else handle(peer, decoded)
        }
        settle()
      }
    }).pipe(Effect.mapError(failed("be listened to")))
    // A last word that is on its way when the socket closes does not arrive: who has had it says goodbye.
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        for (let waited = 0; ended && peers.size > 0 && waited < farewellMillis; waited += 10) yield* Effect.sleep(10)
      })
    )
    yield* claim.publish(transport.endpoints).pipe(Effect.mapError(failed("be told where their root is")))

    const tick = Effect.gen(function*() {
      for (const [rank, known] of peers) {
        if (now() - known.heardAt > silentMillis) slots.leave(rank)
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

    const flush = Effect.gen(function*() {
      const until = now() + flushMillis
      settle()
      while (slots.counts().waiting > 0 && now() < until) {
        yield* Effect.sleep(tickMillis)
        settle()
      }
      const rest = slots.flush().filter((row) => row.seq > published)
      if (rest.length > 0) publish(rest)
      settle()
      if (ended) return
      ended = true
      const { joined, lost, partial } = slots.counts()
      if (joined < worldSize) {
        yield* Effect.logWarning(`${worldSize - joined} of ${worldSize} ranks never came`)
      }
      if (partial > 0) yield* Effect.logInfo(`${partial} records closed without all ranks (their count says how many)`)
      // They keep for nobody what no record of ours has asked for.
      for (const { peer } of peers.values()) {
        transport.send(peer, Frame.encodeBody("bye", stamp(), { reason: "finished" }))
      }
      if (lost > 0) yield* Effect.logWarning(`${lost} frames were lost by ranks that could not keep them longer`)
    })

    return {
      offer: (rows) => {
        const time = now()
        for (const row of rows) slots.root(row, time)
        settle()
      },
      flush
    }
  })

// -----------------------------------------------------------------------------
// Every other rank
// -----------------------------------------------------------------------------

const follower = (options: Options, rank: Rank.Rank): Effect.Effect<Reduction, ReducerError, Scope.Scope> =>
  Effect.gen(function*() {
    const { environment } = options
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    const job = Rank.jobFromEnvironment(environment, readText)
    const origin: Frame.Origin = {
      job: Frame.jobOf(job.id),
      rank: rank.rank,
      incarnation: Math.floor(now() / 1000) % 2 ** 32,
      worldSize: rank.worldSize
    }
    const stamp = (): Frame.Stamp => ({ ...origin, seq: 0, sentAt: now() })
    const producer = Producer.make(origin)
    let peer: Transport.Peer | undefined
    let welcomed = false
    let goneSince: number | undefined = now()
    let run: string | undefined
    let overflowed = false
    // The root has published its last record.
    let finished = false

    const send = (force = false): void => {
      const to = peer
      if (to !== undefined && welcomed) producer.drain(now(), to.send, force)
    }

    const receive = (batch: ReadonlyArray<Uint8Array>): void => {
      for (const bytes of batch) {
        const frame = Frame.decode(bytes, origin.job)
        if (Frame.isRefused(frame)) continue
        if (frame.type === "welcome") {
          const { run: told } = frame.body
          if (typeof told === "string") run = told
          welcomed = true
          producer.acked(frame.seq)
          producer.rewind(frame.seq)
          send()
        } else if (frame.type === "ack") producer.acked(frame.seq)
        else if (frame.type === "bye") finished = true
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
          if (connected) peer?.send(Frame.encodeBody("hello", stamp(), { version, launcher: rank.launcher }))
        }
      })

    const find = (other?: Rendezvous.Place) =>
      Effect.gen(function*() {
        for (let first = true;; first = false) {
          const found = yield* Effect.result(
            Rendezvous.find({ environment, job, timeoutMillis: findMillis, other, run })
          )
          if (found._tag === "Success") return found.success
          if (first && other === undefined) {
            yield* Effect.logWarning(`${found.failure.message} It is looked for further`)
          }
        }
      })

    /** Looks for the root, connects, and follows it where it goes. */
    const follow = Effect.gen(function*() {
      let place = yield* find()
      peer = yield* connect(place)
      let saidAt = 0
      while (true) {
        yield* Effect.sleep(tickMillis)
        send()
        if (welcomed && now() - saidAt >= heartbeatMillis) {
          saidAt = now()
          peer.send(Frame.encodeSignal("heartbeat", stamp()))
        }
        if (!overflowed && producer.stats().overflowed > 0) {
          overflowed = true
          yield* Effect.logWarning(`Rank ${rank.rank} cannot reach rank 0, and keeps only its latest records`)
        }
        if (goneSince !== undefined && now() - goneSince > goneMillis) {
          place = yield* find(place)
          peer.redirect(place)
          goneSince = now()
        }
      }
    })
    yield* Effect.forkScoped(follow.pipe(
      Effect.catch((error) => Effect.logWarning(`${error.message}: the records of rank ${rank.rank} stay with it`))
    ))

    const flush = Effect.gen(function*() {
      const until = now() + flushMillis
      send(true)
      while (!finished && producer.stats().kept > 0 && now() < until) {
        yield* Effect.sleep(tickMillis / 5)
        send(true)
      }
      const { kept, overflowed } = producer.stats()
      if (!finished && kept > 0) {
        yield* Effect.logWarning(`Rank 0 has not taken the last ${kept} batches of records of rank ${rank.rank}`)
      }
      if (overflowed > 0) {
        yield* Effect.logWarning(`${overflowed} records of rank ${rank.rank} were lost: rank 0 was away for too long`)
      }
      if (welcomed) peer?.send(Frame.encodeBody("bye", stamp(), { reason: "finished" }))
    })

    return {
      offer: (rows) => {
        let ready = false
        const time = now()
        for (const row of rows) ready = producer.record(row.metrics, row.step, time) || ready
        if (ready) send()
      },
      flush
    }
  })
