/** A connection to the root, of a rank or of an aggregator, that does what the protocol asks of one where nothing goes wrong. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"
import * as Transport from "../../../src/reducer/zeromq/Transport.ts"
import { version } from "../../../src/version.ts"
import { incarnation, job, stampOf, worldSize } from "./world.ts"

export interface Link {
  readonly send: (frame: Uint8Array) => boolean
  readonly isReady: () => boolean
  /** The root has said that all is published. */
  readonly isOver: () => boolean
  readonly beat: () => void
  /** What was sent with a number, or with schemas. */
  readonly traffic: () => { readonly frames: number; readonly bytes: number }
}

export interface LinkOptions {
  readonly target: Transport.Target
  readonly rank: number
  /** What its hello says beside the usual. */
  readonly hello: Frame.JsonObject
  readonly welcomed: (ackUpTo: number, send: (frame: Uint8Array) => boolean) => void
  readonly acked: (seq: number) => void
}

export const connect = (
  { acked, hello, rank, target, welcomed }: LinkOptions
): Effect.Effect<Link, Transport.TransportError, Scope.Scope> =>
  Effect.gen(function*() {
    let ready = false
    let over = false
    let frames = 0
    let bytes = 0
    const say = (type: "hello" | "bye", body: Frame.JsonObject): void =>
      void peer.send(Frame.encodeBody(type, stampOf(rank), body))
    const sayHello = (): void => say("hello", { version, worldSize, launcher: "bench", ...hello })
    const receive = (message: Uint8Array): void => {
      const frame = Frame.decode(message)
      if (Frame.isRefused(frame)) throw new Error("the root has sent what is no frame")
      if (frame.type === "ack") acked(frame.seq)
      else if (frame.type === "welcome") {
        const { ackUpTo, via } = frame.body
        if (via !== undefined) throw new Error(`the root has sent rank ${rank} elsewhere`)
        welcomed(typeof ackUpTo === "number" ? ackUpTo : 0, peer.send)
        ready = true
      } else if (frame.type === "bye") {
        if (frame.body["anew"] === true) throw new Error(`the root has told rank ${rank} to begin anew`)
        over = true
        say("bye", { reason: "finished", ...hello })
      }
    }
    const peer: Transport.Peer = yield* Transport.connect({
      target,
      identity: `${Transport.identity({ job: job.id, rank, incarnation, process: Transport.thisProcess })}${
        hello["aggregator"] === true ? ".a" : ""
      }`,
      connection: (connected) => {
        ready = false
        if (connected) sayHello()
      },
      receive: (batch) => batch.forEach(receive)
    })
    if (peer.connected()) sayHello()
    return {
      send: (frame) => {
        const sent = peer.send(frame)
        if (sent) {
          frames++
          bytes += frame.length
        }
        return sent
      },
      isReady: () => ready,
      isOver: () => over,
      beat: () => void peer.send(Frame.encodeSignal("heartbeat", stampOf(rank))),
      traffic: () => ({ frames, bytes })
    }
  })
