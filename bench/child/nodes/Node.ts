/**
 * An aggregator with what is below it: ranks, or other aggregators, which say their frames to it by a call.
 *
 * Each has, as every aggregator, memory for the whole world. That of many of them would not fit in one process, so here
 * each counts from its own first rank, and numbers are changed on the way up.
 */
import * as Aggregator from "../../../src/reducer/zeromq/Aggregator.ts"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"
import type { Link } from "./Link.ts"
import { incarnation, localWorldSize, originOf, stampOf, worldSize } from "./world.ts"

/** Longer than on real nodes, each of which has processors of its own: this one process may be held up. */
const patience = 5000

export class Node {
  readonly first: number
  readonly end: number
  readonly state: Aggregator.Aggregator
  /** To the root, where that is above it. */
  link: Link | undefined
  readonly #parent: Node | undefined
  /** Who is to hear of acknowledgements. */
  readonly #below = new Map<number, (seq: number) => void>()
  /** Those below. */
  readonly #ranks: Array<number> = []
  /** What has come, until it is looked at. */
  #inbox: Array<{ readonly frame: Uint8Array; readonly sender: number }> = []

  /** `span`: so many ranks are below it. */
  constructor(index: number, span: number, parent: Node | undefined) {
    this.first = index * localWorldSize
    this.end = Math.min(worldSize, this.first + localWorldSize)
    this.#parent = parent
    this.state = Aggregator.make({
      ...originOf(0),
      worldSize: span,
      expected: this.end - this.first,
      joinUntil: Date.now() + 60_000,
      deadlineMillis: patience
    })
    if (parent === undefined) return
    const sender = this.#senderIn(parent)
    parent.state.joinAggregator(sender, incarnation)
    parent.#below.set(sender, this.acked)
  }

  #senderIn(parent: Node): number {
    return parent.state.aggregatorOf(this.first - parent.first)
  }

  /** A rank of this node; gives a way to say something to it. */
  join(rank: number, acked: (seq: number) => void): (frame: Uint8Array) => boolean {
    const sender = rank - this.first
    this.#below.set(sender, acked)
    this.#name(rank, sender)
    return (frame) => this.#come(frame, sender)
  }

  #come(frame: Uint8Array, sender: number): true {
    this.#inbox.push({ frame, sender })
    return true
  }

  #name(rank: number, via: number): void {
    this.#ranks.push(rank)
    this.state.join(rank - this.first, incarnation, Date.now(), via)
    const parent = this.#parent
    if (parent !== undefined) parent.#name(rank, this.#senderIn(parent))
  }

  #take(bytes: Uint8Array, sender: number): void {
    const frame = Frame.decode(bytes)
    const now = Date.now()
    let taken = true
    if (Frame.isRefused(frame)) throw new Error("what was said is no frame")
    if (frame.type === "schema") this.state.schema(sender, frame.id, frame.keys, frame.bytes)
    else if (frame.type === "leaf") taken = this.state.leaf(sender, frame.seq, frame.schema, frame.records, now)
    else if (frame.type === "aggregate") {
      taken = this.state.aggregate(sender, frame.seq, frame.schema, frame.entries, now)
    }
    if (!taken) throw new Error(`a frame to ${this.first} is missing`)
  }

  /** Looks at what has come, and says above what there is to say. */
  advance(): void {
    const now = Date.now()
    const inbox = this.#inbox
    this.#inbox = []
    for (const { frame, sender } of inbox) this.#take(frame, sender)
    this.state.tell(now, "tick")
    const { link } = this
    const parent = this.#parent
    if (link?.isReady() === true) this.state.drain(now, (frame) => link.send(numbered(frame, this.first, 0)))
    if (parent !== undefined) {
      this.state.drain(now, (frame) => parent.#come(numbered(frame, this.first, parent.first), this.#senderIn(parent)))
    }
  }

  /** The root has welcomed it. */
  welcomed(ackUpTo: number, send: (frame: Uint8Array) => boolean): void {
    for (const rank of this.#ranks) send(Frame.encodeBody("hello", stampOf(rank), { worldSize }))
    this.state.rewind(ackUpTo)
  }

  readonly acked = (seq: number): void => {
    this.state.acked(seq)
    for (const ack of this.state.acks()) this.#below.get(ack.sender)?.(ack.seq)
  }
}

/** A frame of the aggregator of this rank, with numbers that count from another one. */
const numbered = (bytes: Uint8Array, first: number, from: number): Uint8Array => {
  const frame = Frame.decode(bytes)
  if (Frame.isRefused(frame)) throw new Error("an aggregator says what is no frame")
  const stamp = { ...stampOf(first), seq: frame.seq, sentAt: frame.sentAt }
  if (frame.type === "schema") return Frame.encodeSchema(stamp, frame.id, frame.keys)
  if (frame.type !== "aggregate") throw new Error(`an aggregator says ${frame.type}`)
  const { entries } = frame
  const base = first - from
  const moments = entries.moments.slice()
  for (let at = 0; at < moments.length; at += Frame.momentFields) {
    // Where nothing is finite there is no least and no greatest one.
    if (moments[at] === 0) continue
    moments[at + 4]! += base
    moments[at + 5]! += base
  }
  const ranks = entries.ranks.map((set) => set.map((rank) => rank + base))
  return Frame.encodeAggregate(stamp, frame.schema, { ...entries, moments, ranks })
}
