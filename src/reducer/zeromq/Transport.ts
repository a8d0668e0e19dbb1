/**
 * Frames between ranks and their root, over ZeroMQ.
 *
 * - The root listens with a ROUTER for each way in, a rank connects with one DEALER. Nothing here waits: what cannot be
 *   sent at once is not sent, and that is said or counted; who must not lose a frame keeps it until it is acknowledged.
 * - A rank that is not connected has no queue: frames that would arrive late, or at another root, stay with the rank.
 *   `connection` says when to begin again.
 * - A peer is named by its identity: job, rank and incarnation. Who comes with the name of another takes over from it, as
 *   a peer does whose connection broke unseen. An end that is stopped, or busy, keeps its connection, and holds up nobody;
 *   one that the network does not reach for a few seconds has none.
 * - Two ways in. `ipc`: a socket in a directory that only its owner may enter. `tcp`: encrypted with CURVE, for peers
 *   with a key of this job; others get no frame in or out. Plaintext is for loopback, elsewhere only if asked for by name.
 *
 * Frames are handed to libzmq as they are, without a copy: they must not be changed after they were sent.
 *
 * @since 0.3.0
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Router } from "zeromq"
import type * as Keys from "./Keys.ts"
import { privateDirectory } from "./transport/privateDirectory.ts"
import {
  attempt,
  codeOf,
  common,
  isLoopback,
  loaded,
  plaintext,
  pump,
  removeSocket,
  type Stats,
  type Timing,
  type TransportError
} from "./transport/sockets.ts"
import * as Zap from "./transport/Zap.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export { connect, type ConnectOptions, type Peer, type Target } from "./transport/connect.ts"
export { type Stats, type Timing, TransportError } from "./transport/sockets.ts"

export interface Received {
  readonly peer: string
  readonly frame: Uint8Array
}

export interface Root {
  /** Where peers may connect: `ipc://...`, and `tcp://host:port` for each name of this host. */
  readonly endpoints: ReadonlyArray<string>
  readonly port: number | undefined
  /** Never waits, never fails. */
  readonly send: (peer: string, frame: Uint8Array) => void
  /** False: there was no connection to it when something was sent last. */
  readonly reaches: (peer: string) => boolean
  readonly stats: () => Stats
}

export interface ListenOptions extends Timing {
  /** The path of a socket, in a directory of its own. */
  readonly ipc?: string
  readonly tcp?: {
    /** `*`: all; else an address of this host. */
    readonly interface: string
    /** Tried one after the other; 0: whichever is free. */
    readonly ports: ReadonlyArray<number>
    /** Under which names others reach this host. */
    readonly hosts: ReadonlyArray<string>
    readonly keys?: Keys.Keys | undefined
    readonly allowPlaintext?: boolean
  }
  /** Gets all that has come, in order. Must not throw. */
  readonly receive: (batch: ReadonlyArray<Received>) => void
  /** What comes may wait until then for more, which makes it cost much less. */
  readonly pace?: () => Promise<void> | undefined
}

/** What a peer is known by. */
export interface Identity {
  readonly job: string
  readonly rank: number
  readonly incarnation: number
  /** {@link thisProcess}, or another's. */
  readonly process: string
}

/**
 * A process. libzmq leaves a connection whose name another one takes open, and mute for ever: two that take each other for
 * the same rank of a job (a name that two jobs have, say), and begin at the same moment, must not have one name.
 */
export const thisProcess = Crypto.randomBytes(4).toString("hex")

/** The name of a peer: unique, and short. */
export const identity = ({ incarnation, job, process, rank }: Identity): string =>
  `${Crypto.createHash("sha256").update(job).digest("hex").slice(0, 16)}.${rank}.${incarnation}.${process}`

// -----------------------------------------------------------------------------
// Listening
// -----------------------------------------------------------------------------

/** Listens until the scope closes. */
export const listen = (options: ListenOptions): Effect.Effect<Root, TransportError, Scope.Scope> =>
  Effect.gen(function*() {
    const library = yield* loaded
    const { ipc, tcp } = options
    const stats = { sent: 0, unsent: 0, received: 0 }
    /** Through which socket a peer came last. */
    const ways = new Map<string, Router>()
    const endpoints: Array<string> = []
    let port: number | undefined
    let misspoken = 0
    let admission: Zap.Admission | undefined

    const open = (extra: ConstructorParameters<typeof Router>[0]) =>
      Effect.acquireRelease(
        Effect.sync(() =>
          new library.zmq.Router({
            context: library.context,
            ...common(options),
            mandatory: true,
            handover: true,
            ...extra
          })
        ),
        (socket) => Effect.sync(() => socket.close())
      )
    const receiveFrom = (socket: Router): Effect.Effect<void> =>
      pump(socket, (messages) => {
        const batch: Array<Received> = []
        for (const [from, frame] of messages) {
          if (from === undefined || frame === undefined) continue
          const peer = from.toString("latin1")
          if (ways.get(peer) !== socket) ways.set(peer, socket)
          batch.push({ peer, frame })
        }
        stats.received += batch.length
        options.receive(batch)
      }, options.pace)

    if (ipc !== undefined) {
      const endpoint = `ipc://${ipc}`
      const socket = yield* open({})
      yield* attempt("listen", endpoint, () => {
        privateDirectory(Path.dirname(ipc))
        socket.bindSync(endpoint)
        Fs.chmodSync(ipc, 0o600)
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => removeSocket(ipc)))
      endpoints.push(endpoint)
      yield* receiveFrom(socket)
    }

    if (tcp !== undefined) {
      const { allowPlaintext = false, keys } = tcp
      if (keys === undefined && !allowPlaintext && !isLoopback(tcp.interface)) {
        return yield* plaintext("listen", `tcp://${tcp.interface}`)
      }
      const domain = `ezpz-${Crypto.randomUUID()}`
      if (keys !== undefined) {
        admission = yield* Effect.acquireRelease(
          // The answerer before may not have let go of its address yet.
          attempt("listen", "inproc://zeromq.zap.01", () => Zap.admit(library, domain, [keys.client.publicKey])).pipe(
            Effect.retry({ times: 40, schedule: Schedule.spaced(25) })
          ),
          ({ release }) => Effect.sync(release)
        )
      }
      const socket = yield* open(
        keys === undefined
          ? {}
          : { curveServer: true, curveSecretKey: keys.server.secretKey, zapDomain: domain, zapEnforceDomain: true }
      )
      // Those who do not even speak CURVE, or not to this root, never get as far as the answerer.
      socket.events.on("handshake:error:protocol", () => void misspoken++)
      port = yield* attempt(
        "listen",
        `tcp://${tcp.interface}:${tcp.ports.join(" or ")}`,
        () => bindFirst(socket, tcp.interface, tcp.ports)
      )
      endpoints.push(...tcp.hosts.map((host) => `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`))
      yield* receiveFrom(socket)
    }

    return {
      endpoints,
      port,
      send: (peer, frame) => {
        const socket = ways.get(peer)
        if (socket === undefined || socket.closed) {
          stats.unsent++
          return
        }
        stats.sent++
        socket.send([peer, frame]).catch((error: unknown) => {
          stats.sent--
          stats.unsent++
          // Who is gone for good is forgotten; who comes back is known again by what it sends.
          if (codeOf(error) === "EHOSTUNREACH" && ways.get(peer) === socket) ways.delete(peer)
        })
      },
      reaches: (peer) => ways.has(peer),
      stats: () => ({ ...stats, refused: misspoken + (admission?.refused() ?? 0) })
    }
  })

/** The first of the ports that is free. */
const bindFirst = (socket: Router, address: string, ports: ReadonlyArray<number>): number => {
  for (const [i, port] of ports.entries()) {
    try {
      socket.bindSync(`tcp://${address.includes(":") ? `[${address}]` : address}:${port === 0 ? "*" : port}`)
      return Number(/:(\d+)$/.exec(socket.lastEndpoint ?? "")?.[1] ?? port)
    } catch (error) {
      if (codeOf(error) !== "EADDRINUSE" || i === ports.length - 1) throw error
    }
  }
  throw new Error("there is no port to listen at")
}
