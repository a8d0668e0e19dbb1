/** What both ends have in common: how sockets are set up and read, and what goes wrong with them. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Dealer, Message, Router } from "zeromq"
import { reason } from "../../../internal/reason.ts"
import { load } from "./library.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Timing {
  /** How often ZMTP heartbeats go out. */
  readonly heartbeatMillis?: number
  /** After which silence of the other end the connection is over. */
  readonly silentMillis?: number
  /** How long frames may still be sent after the end. */
  readonly lingerMillis?: number
  /** So many frames may be on their way to (and from) one peer. */
  readonly highWaterMark?: number
}

/** Counts since the beginning. `unsent`: what could not be sent. `refused`: peers that had no key, or a wrong one. */
export interface Stats {
  readonly sent: number
  readonly unsent: number
  readonly received: number
  readonly refused: number
}

const mostFrameBytes = 64 * 1024 * 1024
const mostInBatch = 256

// -----------------------------------------------------------------------------
// Sockets
// -----------------------------------------------------------------------------

export const common = (
  { heartbeatMillis = 200, highWaterMark = 1000, lingerMillis = 1000, silentMillis }: Timing,
  silence: number
) => ({
  sendTimeout: 0,
  linger: lingerMillis,
  heartbeatInterval: heartbeatMillis,
  heartbeatTimeout: silentMillis ?? silence,
  sendHighWaterMark: highWaterMark,
  receiveHighWaterMark: highWaterMark,
  maxMessageSize: mostFrameBytes,
  backlog: 4096
})

/** Hands on what comes, all that is there at once, until the socket is closed. */
export const pump = (
  socket: Router | Dealer,
  deliver: (messages: ReadonlyArray<ReadonlyArray<Message>>) => void
): Effect.Effect<void> =>
  Effect.map(Effect.context(), (context) => {
    const report = Effect.runForkWith(context)
    const run = async (): Promise<void> => {
      while (!socket.closed) {
        const messages: Array<ReadonlyArray<Message>> = []
        try {
          messages.push(await socket.receive())
          while (messages.length < mostInBatch && !socket.closed && socket.readable) {
            messages.push(await socket.receive())
          }
        } catch {
          // Closed meanwhile; or else not to be tried again at once.
          await new Promise((resume) => setImmediate(resume))
        }
        if (socket.closed || messages.length === 0) continue
        try {
          deliver(messages)
        } catch (error) {
          report(Effect.logError(`Frames were received and then lost: ${reason(error)}`))
        }
      }
    }
    void run()
  })

export const isLoopback = (host: string): boolean => /^(?:127\.\d+\.\d+\.\d+|localhost|\[?::1\]?)$/.test(host)

export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

export const loaded = Effect.tryPromise({
  try: load,
  catch: (cause) => new TransportError({ operation: "load", endpoint: "", cause })
})

export const attempt = <A>(operation: string, endpoint: string, run: () => A): Effect.Effect<A, TransportError> =>
  Effect.try({ try: run, catch: (cause) => new TransportError({ operation, endpoint, cause }) })

export const plaintext = (operation: string, endpoint: string): TransportError =>
  new TransportError({
    operation,
    endpoint,
    cause: new Error("without keys everybody could read along and take part: give keys, or allow plaintext by name")
  })

/** A socket that could not be used. */
export class TransportError extends Schema.TaggedError<TransportError>()("TransportError", {
  operation: Schema.String,
  endpoint: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    if (this.operation === "load") return `ZeroMQ cannot be used here: ${reason(this.cause)}`
    return `Could not ${this.operation} at ${this.endpoint}: ${reason(this.cause)}`
  }
}
