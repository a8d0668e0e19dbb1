/**
 * The way up: to the root, or to the aggregator of this node. Every other rank has it, and so has an aggregator.
 *
 * - Nothing numbered is sent before a welcome on this connection. Then all that has not been taken is sent (again).
 * - A connection that is gone for a while may mean another root: one that goes on with the same run is looked for, while
 *   the old one may come back at any time. An aggregator that is gone, or silent, is passed over: what is above it is asked
 *   instead.
 * - A welcome may name another place to go to (`via`). Who is not welcome there comes back, and stays.
 * - A root that cannot be found for a minute, or does not answer where it was found (a firewall, a broken network, keys
 *   of another job), is a warning, once; that it answers again is said, too.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import type * as Rank from "../../../Rank.ts"
import { version } from "../../../version.ts"
import * as Frame from "../Frame.ts"
import * as Rendezvous from "../Rendezvous.ts"
import * as Transport from "../Transport.ts"
import type { Life } from "./downlink/Model.ts"
import {
  goneMillis,
  heartbeatMillis,
  joinMillisOf,
  nearMillis,
  type Options,
  silentMillis,
  tickMillis,
  unwelcomeMillis,
  viaMillis,
  watchMillis
} from "./options.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface UplinkOptions {
  readonly options: Options
  readonly rank: Rank.Rank
  readonly job: Rank.Job
  /** For people: `Rank 5`. */
  readonly name: string
  readonly identity: string
  readonly origin: () => Frame.Origin
  /** What a hello says beside the usual. */
  readonly hello?: () => Frame.JsonObject
  /** The socket of this node's aggregator, where there should be one. */
  readonly near?: string | undefined
  /** Frames up to this number have been taken: all others are to be sent (again). */
  readonly welcomed: (ackUpTo: number) => void
  readonly acked: (seq: number) => void
  /** The root says something of another way for frames. */
  readonly carry?: (body: Frame.JsonObject) => void
  /** The root has published its last record. */
  readonly finished?: () => void
  /** What was said is not believed any more, since a rank has come another way. */
  readonly anew?: (gone: Life | undefined) => void
  /** Nothing is begun before. */
  readonly after?: Effect.Effect<void>
}

export interface Uplink {
  /** False: it could not be sent now. */
  readonly send: (frame: Uint8Array) => boolean
  /** Whether numbered frames may be sent. */
  readonly ready: () => boolean
  readonly hello: () => void
  /** Nothing new comes; `settled`: nor is anything of it waited for any more. */
  readonly goodbye: (settled?: boolean) => boolean
  readonly state: () => State
}

export interface State {
  readonly everWelcomed: boolean
  readonly finished: boolean
  /** When something was acknowledged last. */
  readonly ackedAt: number
  readonly run: string | undefined
  /** Rank 0 waits for each step: nothing is to wait for others to make a frame with. */
  readonly eager: boolean
  /** Whether those above know, on this connection, that nothing more comes. */
  readonly saidBye: boolean
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const make = (given: UplinkOptions): Effect.Effect<Uplink, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { identity, job, name, near, options, origin, rank } = given
    const { environment } = options
    const findMillis = joinMillisOf(options)
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    let peer: Transport.Peer | undefined
    let welcomed = false
    let everWelcomed = false
    let saidBye = false
    let finished = false
    let helloAt = 0
    let beatAt = 0
    let ackedAt = 0
    let acked = 0
    let eager = false
    let goneSince: number | undefined
    let run: string | undefined
    /**
     * Where it is connected to, if that is not the root; and for how long nothing has come from there. Only what this
     * process was awake for counts: one that was stopped, or got no time, has not looked.
     */
    let beside: "near" | "via" | undefined
    let waited = 0
    /** It is to be taken where it says hello: where it was sent to, nobody answered. */
    let direct = false
    /** Where the root was found last. */
    let place: Rendezvous.Place | undefined
    let unansweredSince: number | undefined = now()
    let heardAt = 0
    let complained = false

    const isSent = (): boolean => beside === "via"
    const stamp = (): Frame.Stamp => ({ ...origin(), seq: 0, sentAt: now() })
    const hello = (): void => {
      helloAt = now()
      welcomed = false
      const { launcher, worldSize } = rank
      const body = { version, host: Os.hostname(), pid: process.pid, worldSize, launcher, ...given.hello?.() }
      peer?.send(Frame.encodeBody("hello", stamp(), {
        ...body,
        ...(run === undefined ? {} : { run }),
        ...(direct ? { direct } : {})
      }))
    }
    const goodbye = (settled = false): boolean => {
      const body = { reason: "finished", ...(settled ? { settled } : {}), ...given.hello?.() }
      const said = peer?.send(Frame.encodeBody("bye", stamp(), body)) ?? false
      saidBye ||= said
      return said
    }
    const go = (to: Transport.Target, where: typeof beside): void => {
      beside = where
      waited = 0
      welcomed = false
      goneSince = now()
      peer?.redirect(to)
    }

    const welcome = ({ ackUpTo, options: agreed, run: told, to, via }: Frame.JsonObject): void => {
      // From before it began anew.
      if (to !== undefined && to !== origin().incarnation) return
      // At an address that a person gave, or that was derived, another run may have begun.
      if (run !== undefined && told !== run) return
      if (typeof told === "string") run = told
      unansweredSince = undefined
      if (Array.isArray(via)) {
        // It is there already, or cannot go there.
        if (isSent() || via.length === 0) {
          direct = true
          return hello()
        }
        return go({ endpoints: via.filter((one) => typeof one === "string"), keys: place?.keys }, "via")
      }
      welcomed = true
      waited = 0
      everWelcomed = true
      saidBye = false
      if (isObject(agreed)) eager = agreed["flushMillis"] === 0
      given.welcomed(typeof ackUpTo === "number" ? ackUpTo : 0)
    }
    const receive = (batch: ReadonlyArray<Uint8Array>): void => {
      for (const bytes of batch) {
        const frame = Frame.decode(bytes, origin().job)
        if (Frame.isRefused(frame)) {
          continue
        }
        heardAt = now()
        if (welcomed) {
          unansweredSince = undefined
          waited = 0
        }
        if (frame.type === "welcome") welcome(frame.body)
        else if (frame.type === "ack") {
          // The last one is said again each second: that is no progress.
          if (frame.seq > acked) ackedAt = now()
          acked = frame.seq
          given.acked(frame.seq)
        } else if (frame.type === "carry") given.carry?.(frame.body)
        else if (frame.type === "bye" && frame.body["anew"] === true) given.anew?.(lifeIn(frame.body))
        else if (frame.type === "bye" && welcomed) {
          finished = true
          given.finished?.()
          goodbye(true)
        }
      }
    }

    const connect = (target: Transport.Target) =>
      Transport.connect({
        target,
        identity,
        receive,
        connection: (connected) => {
          welcomed = false
          goneSince = connected ? undefined : now()
          unansweredSince ??= now()
          if (connected) hello()
        }
      })

    const find = (timeoutMillis: number, other?: Rendezvous.Place) =>
      Effect.result(Rendezvous.find({ environment, job, timeoutMillis, other, run }))

    /** The aggregator of this node, if the root is elsewhere and it comes in time. */
    const nearby = (root: Rendezvous.Place) =>
      Effect.gen(function*() {
        if (near === undefined || root.endpoints.every((endpoint) => !endpoint.startsWith("tcp:"))) return undefined
        for (const from = now(); now() - from < nearMillis; yield* Effect.sleep(tickMillis)) {
          if (Fs.existsSync(near)) return { endpoints: [`ipc://${near}`] }
        }
        return undefined
      })

    const patienceOf = ({ connected }: Transport.Peer): number => {
      if (welcomed) return silentMillis
      if (isSent()) return viaMillis
      return connected() ? findMillis : goneMillis
    }

    /** Looks for the root, connects, and looks for the one that takes its place. */
    const seek = Effect.gen(function*() {
      yield* given.after ?? Effect.void
      let found = yield* find(findMillis)
      if (found._tag === "Failure") {
        complained = true
        yield* Effect.logWarning(`${found.failure.message}. It is looked for further`)
        while (found._tag === "Failure") found = yield* find(findMillis)
      }
      place = found.success
      const aggregator = yield* nearby(place)
      beside = aggregator === undefined ? undefined : "near"
      goneSince = now()
      peer = yield* connect(aggregator ?? place)
      if (peer.connected()) hello()
      for (let lookedAt = now();;) {
        yield* Effect.sleep(watchMillis)
        if (finished) return
        const passed = Math.min(now() - lookedAt, 2 * watchMillis)
        lookedAt = now()
        if (beside !== undefined) {
          waited += passed
          if (waited < patienceOf(peer)) continue
          // Whoever was here before: the root says now where to go, or takes it.
          const again: Effect.Success<ReturnType<typeof find>> = yield* find(goneMillis)
          if (again._tag === "Failure" || waited === 0) continue
          direct = true
          place = again.success
          go(place, undefined)
          continue
        }
        // One that never said welcome was about to leave.
        if (goneSince === undefined || now() - goneSince < (everWelcomed ? goneMillis : unwelcomeMillis)) continue
        const other: Effect.Success<ReturnType<typeof find>> = yield* find(goneMillis, place)
        if (other._tag === "Failure" || peer.connected()) continue
        place = other.success
        go(place, undefined)
      }
    })
    yield* Effect.forkScoped(seek.pipe(
      Effect.catch((error) => Effect.logWarning(`${error.message}: what ${lower(name)} records stays with it`))
    ))

    const tick = Effect.gen(function*() {
      yield* Effect.sleep(watchMillis)
      if (finished) return
      if (peer?.connected() === true && !welcomed && now() - helloAt >= heartbeatMillis) hello()
      if (welcomed && now() - beatAt >= heartbeatMillis) {
        beatAt = now()
        peer?.send(Frame.encodeSignal("heartbeat", stamp()))
      }
      // Its process is stopped, or too busy to say that it is there; or this one was, and looks now.
      if (welcomed && now() - heardAt >= silentMillis) unansweredSince ??= now()
      if (complained && welcomed && unansweredSince === undefined) {
        complained = false
        yield* Effect.logInfo(`${name} has reached rank 0`)
      } else if (!complained && place !== undefined && now() - (unansweredSince ?? now()) >= findMillis) {
        complained = true
        const refused = (peer?.stats().refused ?? 0) > 0 ? ", where its keys are refused" : ""
        yield* Effect.logWarning(
          `${name} has had no answer from rank 0 for ${findMillis / 1000} s, at ${
            place.endpoints.join(", ")
          }${refused}. ` +
            "It is tried further, and records are kept"
        )
      }
    })
    yield* Effect.forkScoped(Effect.forever(tick))

    return {
      send: (frame) => peer?.send(frame) ?? false,
      ready: () => peer !== undefined && welcomed,
      hello,
      goodbye,
      state: () => ({ everWelcomed, finished, ackedAt, run, eager, saidBye })
    }
  })

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const isObject = (json: Frame.Json | undefined): json is Frame.JsonObject =>
  typeof json === "object" && json !== null && !Array.isArray(json)

const lifeIn = ({ incarnation, rank }: Frame.JsonObject): Life | undefined =>
  typeof rank === "number" && typeof incarnation === "number" ? { rank, incarnation } : undefined

const lower = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1)
