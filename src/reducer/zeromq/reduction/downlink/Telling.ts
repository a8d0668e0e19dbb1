/** What those below are told. */
import * as Frame from "../../Frame.ts"
import type { Life, Options, Sender } from "./Model.ts"

type To = Pick<Sender, "peer" | "incarnation">

export class Telling {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /** All after this frame is to be sent (again). */
  welcome(to: To, ackUpTo: number): void {
    this.#welcome(to, { ackUpTo })
  }

  /** It is to go to one of these. */
  elsewhere(to: To, via: ReadonlyArray<string>): void {
    this.#welcome(to, { via })
  }

  /** It is to begin anew, without this rank. */
  anew(peer: string, { incarnation, rank }: Life): void {
    this.#send(peer, "bye", { reason: `rank ${rank} has come another way`, anew: true, rank, incarnation })
  }

  finished(peer: string): void {
    this.#send(peer, "bye", { reason: "finished" })
  }

  /** A sign of life, and what is acknowledged. */
  beat(to: Sender): void {
    const { acked, peer } = to
    to.toldAt = this.#options.now()
    const type = acked > 0 ? "ack" : "heartbeat"
    this.#options.send(peer, Frame.encodeSignal(type, this.#stamp(acked)))
  }

  /** An aggregator may have begun anew meanwhile: a welcome says which life it is for. */
  #welcome({ incarnation, peer }: To, more: Frame.JsonObject): void {
    const body = this.#options.welcome()
    if (body !== undefined) this.#send(peer, "welcome", { ...body, to: incarnation, ...more })
  }

  #send(peer: string, type: "welcome" | "bye", body: Frame.JsonObject): void {
    this.#options.send(peer, Frame.encodeBody(type, this.#stamp(), body))
  }

  #stamp(seq = 0): Frame.Stamp {
    return { ...this.#options.origin(), seq, sentAt: this.#options.now() }
  }
}
