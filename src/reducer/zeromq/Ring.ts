/**
 * What was sent and is not yet acknowledged, to be sent again: of a rank, or of an aggregator.
 *
 * - Frames get their numbers here, from 1, without gaps. An acknowledgement is cumulative.
 * - A frame goes out with the schema it needs in front, unless that was told since the peer last began anew.
 * - It is bounded by bytes. What does not fit pushes out the oldest, sent or not; a heartbeat then says up to which number
 *   nothing will come any more, so that the receiver does not wait for it.
 * - The memory of a large frame is used again once it is acknowledged: a frame for each is what collecting garbage would be
 *   about. Only of one that was given out once: another copy may still be on its way.
 *
 * @since 0.3.0
 */
import { encodeSchema, encodeSignal, type Memory, type Origin, type Stamp } from "./Frame.ts"
import { type Schema, Window } from "./Schema.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Frames that wait to be sent, or to be acknowledged.
 *
 * @category models
 * @since 0.3.0
 */
export interface Ring {
  /** Keeps a frame of so many records, made with the number it gets. */
  readonly push: (
    schema: Schema,
    records: number,
    now: number,
    encode: (stamp: Stamp, memory: Memory) => Uint8Array<ArrayBuffer>
  ) => void
  /** Sends what is to be sent now, until `send` says that it could not: from there it goes on the next time. */
  readonly drain: (now: number, send: (frame: Uint8Array, numbered: boolean) => boolean) => boolean
  /** The same as a list, with at most `limit` of those that are numbered. */
  readonly take: (now: number, limit?: number) => ReadonlyArray<Uint8Array>
  /** Whether there is something to take. */
  readonly pending: () => boolean
  /** Frames up to this number need not be kept. */
  readonly acked: (seq: number) => void
  /** All after this number is to be sent (again), to a peer that knows no schema. */
  readonly rewind: (seq: number) => void
  readonly stats: () => RingStats
}

/**
 * Frames made, and their bytes; frames and bytes kept; records that were pushed out.
 *
 * @category models
 * @since 0.3.0
 */
export interface RingStats {
  readonly frames: number
  readonly bytes: number
  readonly kept: number
  readonly keptBytes: number
  readonly overflowed: number
}

interface Entry {
  readonly seq: number
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly cost: number
  readonly records: number
  readonly schema: Schema
  /** How often it was given out. */
  given: number
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * `recordBytes`: what its user keeps for each record of a frame, as long as the frame is kept.
 *
 * @category constructors
 * @since 0.3.0
 */
export const make = (origin: Origin, ringBytes: number, recordBytes = 0): Ring =>
  new Impl(origin, ringBytes, recordBytes)

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** What keeping a frame costs beside its bytes, about. */
const entryBytes = 256

const nothing: ReadonlyArray<Uint8Array> = []

/** So much is kept to be written anew. */
const mostSpareBytes = 8 * 1024 * 1024

class Impl implements Ring {
  readonly #origin: Origin
  readonly #ringBytes: number
  readonly #recordBytes: number
  readonly #told = new Window<true>()

  /** Those before `first` are gone, those before `next` were taken. */
  #entries: Array<Entry | undefined> = []
  #first = 0
  #next = 0
  #lastSeq = 0
  #takenSeq = 0
  /** Nothing up to this number will be sent any more, and whether the peer has been told. */
  #floor = 0
  #floorTold = true
  #lastSchema: Schema | undefined
  /** Memory that can be used again, of the length that was asked for last. */
  #spare: Array<Uint8Array<ArrayBuffer>> = []
  #wanted = 0
  #keptBytes = 0
  #bytes = 0
  #overflowed = 0

  constructor(origin: Origin, ringBytes: number, recordBytes: number) {
    this.#origin = origin
    this.#recordBytes = recordBytes
    this.#ringBytes = ringBytes
  }

  readonly push: Ring["push"] = (schema, records, now, encode) => {
    const seq = ++this.#lastSeq
    const bytes = encode(this.#stamp(seq, now), this.#memory)
    // A schema that is held for the sake of this frame counts.
    const cost = bytes.length + entryBytes + records * this.#recordBytes +
      (schema === this.#lastSchema ? 0 : schema.bytes)
    this.#lastSchema = schema
    this.#entries.push({ seq, bytes, cost, records, schema, given: 0 })
    this.#bytes += bytes.length
    this.#keptBytes += cost
    while (this.#keptBytes > this.#ringBytes && this.#entries.length - this.#first > 1) {
      this.#overflowed += this.#dropFirst()
      this.#floorTold = false
    }
  }

  readonly drain: Ring["drain"] = (now, send) => {
    if (!this.#floorTold) {
      if (!send(encodeSignal("heartbeat", this.#stamp(this.#floor, now)), false)) return false
      this.#floorTold = true
    }
    for (; this.#next < this.#entries.length; this.#next++) {
      const entry = this.#entries[this.#next]!
      const { bytes, schema, seq } = entry
      if (!this.#told.has(schema.id)) {
        if (!send(encodeSchema(this.#stamp(0, now), schema.id, schema.keys), false)) return false
        this.#told.set(schema.id, true, schema.bytes)
      }
      entry.given++
      if (!send(bytes, true)) return false
      this.#takenSeq = Math.max(this.#takenSeq, seq)
    }
    return true
  }

  readonly take: Ring["take"] = (now, limit = Infinity) => {
    if (!this.pending()) return nothing
    const frames: Array<Uint8Array> = []
    let left = limit
    this.drain(now, (frame, numbered) => {
      if (numbered && left-- <= 0) return false
      frames.push(frame)
      return true
    })
    return frames
  }

  readonly pending = (): boolean => this.#next < this.#entries.length || !this.#floorTold

  readonly acked = (seq: number): void => {
    // What was never taken cannot have been received.
    const last = Math.min(seq, this.#takenSeq)
    while (this.#first < this.#entries.length && this.#entries[this.#first]!.seq <= last) {
      this.#keep(this.#entries[this.#first]!)
      this.#dropFirst()
    }
  }

  readonly rewind = (seq: number): void => {
    this.#next = this.#first
    while (this.#next < this.#entries.length && this.#entries[this.#next]!.seq <= seq) this.#next++
    this.#told.clear()
    this.#floorTold = this.#floor === 0
  }

  readonly stats = (): RingStats => ({
    frames: this.#lastSeq,
    bytes: this.#bytes,
    kept: this.#entries.length - this.#first,
    keptBytes: this.#keptBytes,
    overflowed: this.#overflowed
  })

  readonly #memory: Memory = (length) => {
    if (length !== this.#wanted) this.#spare = []
    this.#wanted = length
    return this.#spare.pop()
  }

  /** Keeps the memory of what is acknowledged, where somebody wants it. */
  #keep({ bytes, given }: Entry): void {
    const { length } = bytes
    if (given !== 1 || length !== this.#wanted || length < bytes.buffer.byteLength) return
    if ((this.#spare.length + 1) * length <= mostSpareBytes) this.#spare.push(bytes)
  }

  #stamp(seq: number, now: number): Stamp {
    return { ...this.#origin, seq, sentAt: now }
  }

  /** Gives the number of its records. */
  #dropFirst(): number {
    const { cost, records, seq } = this.#entries[this.#first]!
    this.#entries[this.#first++] = undefined
    this.#next = Math.max(this.#next, this.#first)
    this.#floor = seq
    this.#keptBytes -= cost
    if (this.#first > 1024 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#next -= this.#first
      this.#first = 0
    }
    return records
  }
}
