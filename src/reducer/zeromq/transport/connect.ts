/** A rank's end: one DEALER, which connects to one endpoint at a time. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Dealer } from "zeromq"
import type * as Keys from "../Keys.ts"
import {
  attempt,
  codeOf,
  common,
  isLoopback,
  loaded,
  plaintext,
  pump,
  type Stats,
  type Timing,
  type TransportError
} from "./sockets.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Peer {
  /** False: it could not be sent now (no connection, or more than fits on its way). Never waits, never fails. */
  readonly send: (frame: Uint8Array) => boolean
  readonly connected: () => boolean
  /** Connects elsewhere: the root is another process now. */
  readonly redirect: (target: Target) => void
  readonly stats: () => Stats
}

/** Where a root is. Several endpoints are tried one after the other until one answers. */
export interface Target {
  readonly endpoints: ReadonlyArray<string>
  /** What `tcp` needs. */
  readonly keys?: { readonly server: Pick<Keys.Pair, "publicKey">; readonly client: Keys.Pair } | undefined
}

export interface ConnectOptions extends Timing {
  readonly target: Target
  /** {@link identity}. */
  readonly identity: string
  readonly allowPlaintext?: boolean
  /** How long an endpoint may not answer before the next is tried; longer when none has answered. */
  readonly patienceMillis?: number
  /** Gets all that has come, in order. Must not throw. */
  readonly receive: (batch: ReadonlyArray<Uint8Array>) => void
  /** The connection is there, or is gone. After `true` the root may be another one. */
  readonly connection?: (connected: boolean) => void
}

// -----------------------------------------------------------------------------
// Connecting
// -----------------------------------------------------------------------------

/**
 * Without these a connection that was begun while the network was away is waited for long after it is back: the kernel
 * asks after 1, 3, 7, 15, 31 s, and for a handshake libzmq waits for 30 s.
 */
const connectMillis = 4000
const handshakeMillis = 15_000
/** So many times longer than at first an endpoint is waited for at most. A handshake takes four round trips. */
const mostPatience = 6

/** Connects, and keeps trying, until the scope closes. Returns at once: whether the root is there, `connection` says. */
export const connect = (options: ConnectOptions): Effect.Effect<Peer, TransportError, Scope.Scope> =>
  Effect.gen(function*() {
    const library = yield* loaded
    const start = Effect.runSyncWith(yield* Effect.context())
    const stats = { sent: 0, unsent: 0, received: 0, refused: 0 }
    let target = options.target
    let turn = 0
    /** The endpoint that is tried, the one that answered last, and how many were tried in vain since. */
    let at = 0
    let answered: number | undefined
    let vain = 0
    let socket: Dealer | undefined
    let connected = false
    let waited = 0

    const tell = (now: boolean): void => {
      if (now === connected) return
      connected = now
      waited = 0
      if (now) {
        answered = at
        vain = 0
      }
      options.connection?.(now)
    }
    const open = (): void => {
      socket?.close()
      const endpoint = target.endpoints[at]
      if (endpoint === undefined) return
      const opened = new library.zmq.Dealer({
        context: library.context,
        ...common(options),
        routingId: options.identity,
        // Without a connection there is no queue.
        immediate: true,
        reconnectInterval: 100,
        reconnectMaxInterval: 2000,
        connectTimeout: connectMillis,
        handshakeInterval: handshakeMillis,
        ...(target.keys === undefined || !endpoint.startsWith("tcp:")
          ? {}
          : {
            curveServerKey: target.keys.server.publicKey,
            curvePublicKey: target.keys.client.publicKey,
            curveSecretKey: target.keys.client.secretKey
          })
      })
      socket = opened
      const current = (then: () => void) => () => {
        if (socket === opened) then()
      }
      opened.events.on("handshake", current(() => tell(true)))
      opened.events.on("disconnect", current(() => tell(false)))
      for (const refusal of ["handshake:error:auth", "handshake:error:protocol"] as const) {
        opened.events.on(refusal, current(() => void stats.refused++))
      }
      connectTo(opened, endpoint)
      start(pump(opened, (messages) => {
        if (socket !== opened) return
        stats.received += messages.length
        options.receive(messages.flatMap(([frame]) => frame === undefined ? [] : [frame]))
      }))
    }
    const tryOpen = Effect.suspend(() => attempt("connect", target.endpoints.join(", "), open)).pipe(
      Effect.catch((error) => Effect.logWarning(error.message))
    )
    const usable = (to: Target): TransportError | undefined => {
      const bare = to.keys !== undefined || options.allowPlaintext === true
        ? undefined
        : to.endpoints.find((endpoint) => !isLocal(endpoint))
      return bare === undefined ? undefined : plaintext("connect", bare)
    }

    const refusal = usable(target)
    if (refusal !== undefined) return yield* refusal
    yield* Effect.acquireRelease(
      attempt("connect", target.endpoints.join(", "), open),
      () =>
        Effect.sync(() => {
          const last = socket
          socket = undefined
          connected = false
          last?.close()
        })
    )
    const { patienceMillis = 2000 } = options
    yield* Effect.gen(function*() {
      for (;;) {
        yield* Effect.sleep(patienceMillis)
        // Whole intervals only: a connection that has just gone gets its chance to come back.
        const patience = Math.min(2 ** Math.floor(vain / target.endpoints.length), mostPatience)
        if (connected || target.endpoints.length < 2 || waited++ < patience) continue
        waited = 0
        vain++
        // The one that has answered before is tried every other time.
        at = answered !== undefined && at !== answered ? answered : ++turn % target.endpoints.length
        yield* tryOpen
      }
    }).pipe(Effect.forkScoped)

    return {
      send: (frame) => {
        if (socket === undefined || !connected) {
          stats.unsent++
          return false
        }
        // Asking whether there is room swallows the signal that something has come; sending, also in vain, gives it back.
        const room = socket.writable
        socket.send(frame).catch(() => undefined)
        if (room) stats.sent++
        else stats.unsent++
        return room
      },
      connected: () => connected,
      redirect: (to) => {
        if (socket === undefined || usable(to) !== undefined) return
        target = to
        turn = 0
        at = 0
        vain = 0
        waited = 0
        answered = undefined
        tell(false)
        start(tryOpen)
      },
      stats: () => ({ ...stats })
    }
  })

/** A signal may come in between. */
const connectTo = (socket: Dealer, endpoint: string): void => {
  for (let tries = 1;; tries++) {
    try {
      return socket.connect(endpoint)
    } catch (error) {
      if (codeOf(error) !== "EINTR" || tries === 10) throw error
    }
  }
}

const isLocal = (endpoint: string): boolean =>
  !endpoint.startsWith("tcp:") || isLoopback(/^tcp:\/\/(.*):\d+$/.exec(endpoint)?.[1] ?? "")
