/** What both ends have in common: how sockets are set up and read, and what goes wrong with them. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import type { Dealer, Message, Router } from "zeromq"
import { reason } from "../../../internal/reason.ts"
import { load } from "./library.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Timing {
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
/** Who sends as much at a time does not wake anybody up for little. */
const muchBytes = 64 * 1024
/** Where more than this share of the last so many milliseconds was spent on what comes, nothing is waited for. */
const busyShare = 0.1
const busyMillis = 100
/** On a bad network the kernel has tried again five times or more by then. */
const unreachedMillis = 5000

// -----------------------------------------------------------------------------
// Sockets
// -----------------------------------------------------------------------------

/**
 * libzmq's own heartbeats stay off: it ends the process when one is due on a connection whose other end is gone while what
 * came from there has not been read (an assertion on its I/O error; seen at the end of runs, and where a loop is busy).
 * Whether a host is there is left to the kernel: what it has not acknowledged for a while ends the connection, and both
 * ends say something each second. An end that is stopped, or busy, keeps its connection.
 */
export const common = ({ highWaterMark = 1000, lingerMillis = 1000 }: Timing) => ({
  sendTimeout: 0,
  linger: lingerMillis,
  tcpMaxRetransmitTimeout: unreachedMillis,
  tcpKeepalive: 1,
  tcpKeepaliveIdle: 20,
  tcpKeepaliveInterval: 5,
  tcpKeepaliveCount: 3,
  sendHighWaterMark: highWaterMark,
  receiveHighWaterMark: highWaterMark,
  maxMessageSize: mostFrameBytes,
  backlog: 4096
})

/**
 * Hands on what comes, all that is there at once, until the socket is closed. Waking up costs far more than reading a message:
 * after each batch it waits for what `pace` gives, unless there is much to do.
 */
export const pump = (
  socket: Router | Dealer,
  deliver: (messages: ReadonlyArray<ReadonlyArray<Message>>) => void,
  pace: () => Promise<void> | undefined = () => undefined
): Effect.Effect<void> =>
  Effect.map(Effect.context(), (context) => {
    const report = Effect.runForkWith(context)
    const run = async (): Promise<void> => {
      let share = 0
      let before = performance.now()
      while (!socket.closed) {
        const messages: Array<ReadonlyArray<Message>> = []
        let began = before
        try {
          messages.push(await socket.receive())
          began = performance.now()
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
        const now = performance.now()
        const passed = now - before
        share += (now - began - share * passed) / Math.max(passed, busyMillis)
        before = now
        if (share < busyShare && messages.length < mostInBatch && bytesOf(messages) < muchBytes) await pace()
      }
    }
    void run()
  })

const bytesOf = (messages: ReadonlyArray<ReadonlyArray<Message>>): number => {
  let bytes = 0
  for (const parts of messages) for (const { length } of parts) bytes += length
  return bytes
}

/**
 * Removes a socket's file, if it is there. After `Fs.rmSync` of a socket Node 22 resolves imports without following
 * symbolic links: in a `node_modules` made of them, as pnpm's is, ZeroMQ would load as an empty module.
 */
export const removeSocket = (path: string): void => {
  try {
    Fs.unlinkSync(path)
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error
  }
}

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
