/**
 * The frames of a sender that are not acknowledged, and what they are about.
 *
 * They are acknowledged in their order, each when all its slots are settled. A root may never come to some: where more is
 * open than its sender has to keep, the oldest are acknowledged all the same.
 *
 * @since 0.3.0
 */
import type { Slot } from "./Sheets.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** So much of a sender may be open. `perRecord`: what it keeps for a record beside its numbers. */
export interface Most {
  readonly bytes: number
  readonly records: number
  readonly perRecord: number
}

/** Half of what they keep. */
export const mostOfRank: Most = { bytes: 32 * 1024 * 1024, records: 65_536, perRecord: 0 }

export const mostOfAggregator = (worldSize: number): Most => ({
  bytes: 128 * 1024 * 1024,
  records: 65_536,
  perRecord: worldSize + 400
})

export interface Frame {
  readonly seq: number
  /** Where its records are. */
  readonly slots: Array<Slot>
  /** How many of them are in no slot yet, see Lane.ts. */
  waiting: number
  readonly records: number
  readonly bytes: number
}

/** What a frame takes of its sender beside all else, about. */
const frameBytes = 512

// -----------------------------------------------------------------------------
// Open
// -----------------------------------------------------------------------------

export class Open {
  readonly #most: Most | undefined
  readonly #frames: Array<Frame> = []
  #records = 0
  #bytes = 0

  /** Without a bound unless there is one. */
  constructor(most: Most | undefined) {
    this.#most = most
  }

  push(seq: number, records: number, numberBytes: number): Frame {
    const bytes = frameBytes + numberBytes + records * (this.#most?.perRecord ?? 0)
    const frame: Frame = { seq, slots: [], waiting: 0, records, bytes }
    if (seq === 0) return frame
    this.#frames.push(frame)
    this.#records += records
    this.#bytes += bytes
    return frame
  }

  /** Frames up to this number are no more with their sender. */
  gone(seq: number): void {
    let n = 0
    while (n < this.#frames.length && this.#frames[n]!.seq <= seq) n++
    this.#drop(n)
  }

  /** Lets go of what can be acknowledged, and gives its last number; 0: there is none. */
  settle(isSettled: (slot: Slot) => boolean): number {
    let n = 0
    for (const { slots, waiting } of this.#frames) {
      if (waiting > 0) break
      while (slots.length > 0 && isSettled(slots.at(-1)!)) slots.pop()
      if (slots.length > 0) break
      n++
    }
    const settled = this.#drop(n)
    return this.#giveUp() || settled
  }

  #giveUp(): number {
    if (this.#most === undefined) return 0
    let [bytes, records, n] = [this.#bytes, this.#records, 0]
    for (; n < this.#frames.length && (bytes > this.#most.bytes || records > this.#most.records); n++) {
      bytes -= this.#frames[n]!.bytes
      records -= this.#frames[n]!.records
    }
    return this.#drop(n)
  }

  #drop(n: number): number {
    if (n === 0) return 0
    const dropped = this.#frames.splice(0, n)
    for (const { bytes, records } of dropped) {
      this.#bytes -= bytes
      this.#records -= records
    }
    return dropped.at(-1)!.seq
  }
}
