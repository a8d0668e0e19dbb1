/**
 * A node's aggregator, or that of several nodes: it lives in the process of a node's first rank, takes what is below it
 * (downlink.ts) and says it above (uplink.ts).
 *
 * It has nothing that is not somewhere else, too. So it may begin anew under another incarnation whenever it does not know
 * what it has said already, and may leave at any time: what is below it then goes to the root.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Lock from "../../../internal/lock.ts"
import type { Environment, Job, Rank } from "../../../Rank.ts"
import { version } from "../../../version.ts"
import * as Aggregator from "../Aggregator.ts"
import * as Frame from "../Frame.ts"
import type * as Keys from "../Keys.ts"
import * as Rendezvous from "../Rendezvous.ts"
import * as Transport from "../Transport.ts"
import { attempt, removeSocket } from "../transport/sockets.ts"
import * as Downlink from "./downlink.ts"
import type { Life } from "./downlink/Model.ts"
import {
  aggregateMillisOf,
  farewellMillis,
  flushMillisOf,
  gatherMillis,
  jobOf,
  nextIncarnation,
  type Options,
  tickMillis
} from "./options.ts"
import { Pulse } from "./pulse.ts"
import { levelsOf } from "./topology.ts"
import * as Uplink from "./uplink.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** `leave` waits until those below are done and all is said, then the aggregator is closed with its scope. */
export interface Running {
  readonly leave: Effect.Effect<void>
}

/** Whether this rank's process is to have one: it is the first of its node. The root's node has none. */
export const isWanted = (rank: Rank, options: Options): boolean =>
  rank.rank > 0 && rank.localRank === 0 && isOfUse(rank, options)

/** Whether this rank is on a node that should have one. */
export const isNear = (rank: Rank, options: Options): boolean => rank.rank !== rank.localRank && isOfUse(rank, options)

/** Where this node's aggregator listens; undefined: no such place can be used, and its ranks go to the root. */
export const pathOf = (options: Rendezvous.Options): string | undefined => {
  try {
    return Rendezvous.nodePath(options)
  } catch {
    return undefined
  }
}

/** There are several ranks on a node to speak for, or several nodes. */
const isOfUse = ({ localWorldSize, worldSize }: Rank, { carrier, topology }: Options): boolean =>
  carrier === undefined && localWorldSize !== undefined && localWorldSize < worldSize &&
  (localWorldSize > 1 || levelsOf(worldSize, topology) > 0)

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const make = (options: Options, rank: Rank): Effect.Effect<Running, Transport.TransportError, Scope.Scope> =>
  Effect.gen(function*() {
    const { environment } = options
    const { localWorldSize = 1, worldSize } = rank
    const job = jobOf(environment)
    const near = yield* attempt("listen", "this node's socket", () => Rendezvous.nodePath({ environment, job }))
    // Where nobody says which rank is the first of its node, all would be.
    const place = yield* Effect.acquireRelease(
      attempt("listen", near, () => Lock.take(`${near}.lock`)),
      (taken) => Effect.sync(() => Lock.isHeld(taken) ? taken.release() : undefined)
    )
    if (!Lock.isHeld(place)) return { leave: Effect.void }
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    const nodes = Math.ceil(worldSize / localWorldSize)
    const node = Math.floor(rank.rank / localWorldSize)
    const joinUntil = now() + gatherMillis
    const begin = (base: number) => {
      const origin: Frame.Origin = {
        job: Frame.jobOf(job.id),
        rank: rank.rank,
        incarnation: nextIncarnation(now()),
        worldSize
      }
      const state = Aggregator.make({
        ...origin,
        base,
        expected: localWorldSize,
        joinUntil,
        deadlineMillis: aggregateMillisOf(options)
      })
      return { origin, state }
    }
    let { origin, state } = begin(rank.rank)
    let transport: Transport.Root | undefined
    /** Ranks that are there, with their lives, until that is passed on. */
    const coming = new Map<number, number>()
    /** Whether all that is told has been sent. */
    let sent = true
    let ending = false
    const pulse = new Pulse()
    /** Ranks that are gone, until what they said before is on its way. */
    const leaving = new Map<number, { readonly incarnation: number; readonly lost: boolean }>()

    const pass = (type: "hello" | "bye", index: number, incarnation: number, body: Frame.JsonObject): boolean => {
      const { run } = uplink.state()
      const stamp = { ...origin, rank: index, incarnation, seq: 0, sentAt: now() }
      return uplink.ready() &&
        uplink.send(Frame.encodeBody(type, stamp, run === undefined ? body : { ...body, run }))
    }
    const passAll = (): void => {
      coming.clear()
      for (const { incarnation, left, rank: index, reached } of downlink.ranks()) {
        if (left || reached) coming.set(index, incarnation)
        if (left) leaving.set(index, { incarnation, lost: false })
      }
    }
    const advance = (when?: "tick" | "end"): void => {
      state.tell(now(), when)
      sent = false
      if (!uplink.ready()) return
      for (const [index, incarnation] of coming) {
        if (!pass("hello", index, incarnation, { worldSize })) return
        coming.delete(index)
      }
      sent = state.drain(now(), uplink.send)
      for (const [index, { incarnation, lost }] of sent ? leaving : none) {
        if (state.holds(index)) continue
        const body = lost ? { reason: "it is not heard of", lost } : { reason: "finished" }
        if (pass("bye", index, incarnation, body)) leaving.delete(index)
      }
    }
    const anew = (gone?: Life): void => {
      ;({ origin, state } = begin(Math.min(rank.rank, ...downlink.ranks().map((one) => one.rank))))
      coming.clear()
      leaving.clear()
      downlink.again(gone)
      uplink.hello()
    }

    const downlink = Downlink.make({
      job: origin.job,
      worldSize,
      now,
      send: (peer, frame) => transport?.send(peer, frame),
      reaches: (peer) => transport?.reaches(peer) ?? false,
      origin: () => origin,
      below: () => state,
      welcome: () => {
        const { eager, everWelcomed, run } = uplink.state()
        if (!everWelcomed || run === undefined) return undefined
        const body = { version, incarnation: origin.incarnation, run }
        return eager ? { ...body, options: { flushMillis: 0 } } : body
      },
      run: () => uplink.state().run,
      came: (index, incarnation) => {
        leaving.delete(index)
        coming.set(index, incarnation)
      },
      left: (index, incarnation, lost) => void leaving.set(index, { incarnation, lost }),
      anew,
      // Who cannot be sent what there is need not be sent more.
      full: () => !sent && state.isFull()
    })

    const tree = levelsOf(nodes, options.topology) > 0
    const keys = tree ? yield* keysOf(environment, job) : undefined
    const listens = yield* Latch.make()
    const uplink = yield* Uplink.make({
      options,
      rank,
      job,
      name: `The aggregator of rank ${rank.rank}'s node`,
      identity: `${
        Transport.identity({
          job: job.id,
          rank: rank.rank,
          incarnation: origin.incarnation,
          process: Transport.thisProcess
        })
      }.a`,
      origin: () => origin,
      after: listens.await,
      hello: () => ({
        aggregator: true,
        node,
        listens: transport?.endpoints.filter((one) => one.startsWith("tcp:")) ?? []
      }),
      welcomed: (ackUpTo) => {
        downlink.admit()
        passAll()
        state.rewind(ackUpTo)
        advance()
      },
      acked: (seq) => {
        state.acked(seq)
        downlink.acknowledge(state.acks())
      },
      finished: () => downlink.farewell(),
      anew
    })
    // What an aggregator left that was killed: the place is ours.
    yield* attempt("listen", near, () => removeSocket(near))
    transport = yield* Transport.listen({
      ipc: near,
      ...(tree
        ? {
          tcp: { interface: "*", ports: [0], hosts: Rendezvous.namesOf(job), keys, allowPlaintext: false }
        }
        : {}),
      pace: () => uplink.state().eager || ending ? undefined : pulse.next(),
      receive: (batch) => {
        downlink.receive(batch)
        advance()
      }
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => removeEmpty(Path.dirname(near))))
    yield* listens.open

    const tick = Effect.gen(function*() {
      yield* Effect.sleep(tickMillis)
      pulse.beat()
      downlink.tick()
      advance("tick")
    })
    yield* Effect.forkScoped(Effect.forever(tick))

    const leave = Effect.gen(function*() {
      const flushMillis = flushMillisOf(options)
      const from = now()
      ending = true
      pulse.beat()
      for (;;) {
        const { ackedAt, finished } = uplink.state()
        const { kept, waiting } = state.stats()
        const alone = downlink.ranks().every(({ left }) => left)
        if (finished || (alone && leaving.size === 0 && kept === 0 && waiting === 0)) break
        if (now() >= Math.max(from, downlink.tookAt(), ackedAt) + flushMillis) break
        yield* Effect.sleep(tickMillis / 5)
        if (alone) advance("end")
      }
      uplink.goodbye(true)
      for (let waited = 0; uplink.state().finished && downlink.present() > 0 && waited < farewellMillis; waited += 10) {
        yield* Effect.sleep(10)
      }
    })
    return { leave }
  })

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const none: ReadonlyArray<never> = []

/** The root has them: without it there is nobody to listen for. */
const keysOf = (environment: Environment, job: Job): Effect.Effect<Keys.Keys | undefined> =>
  Effect.eventually(Rendezvous.find({ environment, job })).pipe(Effect.map(({ keys }) => keys))

const removeEmpty = (directory: string): void => {
  try {
    Fs.rmdirSync(directory)
  } catch {
    // Something of others is in it.
  }
}
