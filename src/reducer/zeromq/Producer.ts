/**
 * A rank's side of a reduction: records in, frames out. No sockets and no timers; time is an argument, in milliseconds
 * since 1970.
 *
 * - `record` is called from the training loop. It finds the shape of the record among those that came before (the one
 *   that followed last time is tried first), and writes the numbers into a block: no allocation, no promise, no I/O.
 * - A block becomes a frame when it is full, when its first record has waited for `flushMillis`, or when a record of
 *   another schema comes: the order of records is kept. Shapes that take turns get a schema in common.
 * - The clock is looked at in `record` itself: a loop that never yields runs no timer. It returns whether there is
 *   something to `take`.
 * - Frames are kept until acknowledged, in a {@link Ring.Ring} of `ringBytes`. Nothing ever blocks: what overflows is
 *   counted.
 * - A record without numbers is sent as well: the rank has come that far.
 *
 * @since 0.3.0
 */
import type { Metrics } from "../../Metrics.ts"
import { domains, encodeLeaf, leafBytes, limits, type Origin, presenceBytes } from "./Frame.ts"
import * as Ring from "./Ring.ts"
import { leftOut, numberOf, type Schema, type Shape, Table } from "./Schema.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * @category models
 * @since 0.3.0
 */
export interface Options extends Origin {
  /** So many records make a frame, or fewer that take 256 KiB. 1024 unless said. */
  readonly batchRecords?: number
  /** So long a record waits for others. 100 ms unless said. */
  readonly flushMillis?: number
  /** So much is kept until it is acknowledged. 64 MiB unless said. */
  readonly ringBytes?: number
}

/**
 * Takes the numbers of a record by position; missing ones are not there. True: there is something to take.
 *
 * @category models
 * @since 0.3.0
 */
export type Handles = (values: ArrayLike<number>, step: number | undefined, now: number) => boolean

/**
 * A rank's records on their way.
 *
 * @category models
 * @since 0.3.0
 */
export interface Producer {
  /** Takes a record. True: there is something to take. */
  readonly record: (metrics: Metrics, step: number | undefined, now: number) => boolean
  /** A way in for records that always have the same keys, without looking at their names. */
  readonly handles: (keys: ReadonlyArray<string>) => Handles
  /**
   * Frames to send now, in this order, schemas before what needs them, at most `limit` of records. They are this
   * producer's no more, but must not be written to. With `force` no record waits for others.
   */
  readonly take: (now: number, force?: boolean, limit?: number) => ReadonlyArray<Uint8Array>
  /**
   * Sends the same one by one, as long as `send` can. What it could not send comes first the next time. True: all is
   * sent.
   */
  readonly drain: (now: number, send: (frame: Uint8Array) => boolean, force?: boolean) => boolean
  /**
   * When there is something to take though nothing more is recorded: a time that is over, where there is something now;
   * undefined where all is taken.
   */
  readonly due: () => number | undefined
  /** The receiver has no need of frames up to this number any more. */
  readonly acked: (seq: number) => void
  /** `rewind` and `take`: for a root that is new, or has lost some. */
  readonly replay: (now: number, after?: number) => ReadonlyArray<Uint8Array>
  /** All frames after this number are to be taken or drained (again), with their schemas. */
  readonly rewind: (after: number) => void
  readonly stats: () => Stats
}

/**
 * Records taken; see {@link Ring.RingStats}; values that could not take part, since their key is too long, is no Unicode
 * text, or is one too many; schemas made.
 *
 * @category models
 * @since 0.3.0
 */
export interface Stats extends Ring.RingStats {
  readonly records: number
  readonly leftOut: number
  readonly schemas: number
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * @category constructors
 * @since 0.3.0
 */
export const make = (options: Options): Producer => new Impl(options)

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** Each frame wakes up who receives it, which costs more than many records. */
const frameBytes = 256 * 1024
const defaults = { batchRecords: 1024, flushMillis: 100, ringBytes: 64 * 1024 * 1024 }

/** So many blocks may end early, since the schema changes, before shapes are joined. */
const patience = 4

class Impl implements Producer {
  readonly #table = new Table()
  readonly #ring: Ring.Ring
  readonly #batch: number
  readonly #flushMillis: number

  // The block: records of one schema.
  #schema: Schema | undefined
  #keys = 0
  #stride = 0
  #capacity = 0
  #count = 0
  #since = 0
  #dense = true
  readonly #steps: Float64Array
  readonly #domains: Uint8Array
  #values = new Float64Array(0)
  #bits = new Uint8Array(0)

  /** Where a record is looked at that does not fit the block. */
  #row = new Float64Array(64)
  /** Places of the row that have no number after all. */
  #absent = new Int32Array(64)
  #absentCount = 0

  #last: Shape | undefined
  /** The shape of the block's latest record. */
  #inBlock: Shape | undefined
  /** How many blocks a change of schema has ended, less those that got full. */
  #turns = 0
  #unsent = false
  #counted = 0
  #records = 0
  #leftOut = 0

  constructor(options: Options) {
    const { batchRecords, flushMillis, ringBytes } = { ...defaults, ...options }
    const { incarnation, job, rank, worldSize } = options
    this.#ring = Ring.make({ job, rank, incarnation, worldSize }, ringBytes)
    this.#batch = Math.max(1, Math.min(limits.records, Math.floor(batchRecords)))
    this.#flushMillis = flushMillis
    this.#steps = new Float64Array(this.#batch)
    this.#domains = new Uint8Array(this.#batch)
  }

  readonly record = (metrics: Metrics, step: number | undefined, now: number): boolean => {
    const last = this.#last
    const likely = last?.next ?? last
    const shape = likely !== undefined && this.#read(likely, metrics) ? likely : this.#look(metrics)
    if (last !== undefined) last.next = shape
    this.#last = shape
    return this.#put(shape, step, now)
  }

  readonly handles = (keys: ReadonlyArray<string>): Handles => {
    const shape = this.#table.shapeOfKeys(keys)
    const all = shape.slots.every((slot) => slot >= 0)
    this.#fit(shape.schema)
    return (values, step, now) => {
      this.#readValues(shape, all, values)
      return this.#put(shape, step, now)
    }
  }

  readonly take = (now: number, force = false, limit?: number): ReadonlyArray<Uint8Array> => {
    if (this.#count > 0 && (force || this.#isDue(now))) this.#seal(now)
    const frames = this.#ring.take(now, limit)
    this.#unsent = this.#ring.pending()
    return frames
  }

  readonly drain = (now: number, send: (frame: Uint8Array) => boolean, force = false): boolean => {
    if (this.#count > 0 && (force || this.#isDue(now))) this.#seal(now)
    const all = this.#ring.drain(now, send)
    this.#unsent = !all
    return all
  }

  readonly due = (): number | undefined =>
    this.#unsent ? -Infinity : this.#count > 0 ? this.#since + this.#flushMillis : undefined

  readonly acked = (seq: number): void => this.#ring.acked(seq)

  readonly replay = (now: number, after = 0): ReadonlyArray<Uint8Array> => {
    this.#ring.rewind(after)
    return this.take(now)
  }

  readonly rewind = (after: number): void => {
    this.#ring.rewind(after)
    this.#unsent = true
  }

  readonly stats = (): Stats => ({
    ...this.#ring.stats(),
    records: this.#records,
    leftOut: this.#leftOut,
    schemas: this.#table.made
  })

  // The hot path ---------------------------------------------------------------

  // A record of the block's schema is written to where it belongs. It counts only once it is put, so nothing is lost where
  // it turns out to be another's.

  /** Looks at the numbers of a record; false where it has another shape. */
  #read(shape: Shape, metrics: Metrics): boolean {
    const { inOrder, keys, schema, slots } = shape
    const fits = schema === this.#schema
    const row = fits ? this.#values : this.#row
    const first = fits ? this.#count * this.#keys : 0
    const width = keys.length
    if (!shape.whole) row.fill(0, first, first + schema.keys.length)
    let i = 0
    let absent = 0
    let without = 0
    for (const key in metrics) {
      if (i === width || key !== keys[i]) return false
      const value = metrics[key]
      if (typeof value === "number" && inOrder) {
        row[first + i++] = value
        continue
      }
      const slot = slots[i++]!
      const number = typeof value === "number" ? value : numberOf(value)
      if (slot >= 0) {
        if (number === undefined) {
          this.#absent[absent++] = slot
          row[first + slot] = 0
        } else row[first + slot] = number
      } else if (number !== undefined) {
        // A number at last: the shape has no place for it.
        if (slot !== leftOut) return false
        without++
      }
    }
    if (i !== width) return false
    this.#absentCount = absent
    this.#leftOut += without
    return true
  }

  /** The same by position; `all` says that every key has a place. */
  #readValues(shape: Shape, all: boolean, values: ArrayLike<number>): void {
    const { schema, slots } = shape
    const fits = schema === this.#schema
    const row = fits ? this.#values : this.#row
    const first = fits ? this.#count * this.#keys : 0
    const given = values.length
    if (!shape.whole) row.fill(0, first, first + schema.keys.length)
    let absent = 0
    if (all && given >= slots.length) {
      for (let i = 0; i < slots.length; i++) row[first + slots[i]!] = values[i]!
      this.#absentCount = 0
      return
    }
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!
      if (slot < 0) this.#leftOut++
      else if (i < given) row[first + slot] = values[i]!
      else {
        row[first + slot] = 0
        this.#absent[absent++] = slot
      }
    }
    this.#absentCount = absent
  }

  /** Takes what was looked at for the next record. */
  #put(shape: Shape, step: number | undefined, now: number): boolean {
    const turn = shape.schema !== this.#schema
    if (turn) {
      this.#begin(shape.schema, now)
      this.#values.set(this.#row.subarray(0, this.#keys))
    }
    const at = this.#count++
    if (at === 0) this.#since = now
    // A step that is no number would cost the whole frame.
    if (step === undefined || step - step !== 0) {
      this.#steps[at] = this.#counted++
      this.#domains[at] = domains.counted
    } else {
      this.#steps[at] = step
      this.#domains[at] = domains.step
    }
    if (this.#absentCount > 0 || !shape.whole) this.#sparse(at)
    if (!this.#dense) this.#mark(shape, at)
    this.#records++
    if (turn) this.#takeTurn(shape)
    this.#inBlock = shape
    if (this.#count === this.#capacity) {
      this.#turns = this.#turns > 0 ? this.#turns - 1 : this.#turns
      this.#seal(now)
    } else if (this.#isDue(now)) this.#seal(now)
    return this.#unsent
  }

  #isDue(now: number): boolean {
    // A clock that was put back says nothing about how long it has been.
    return now - this.#since >= this.#flushMillis || now < this.#since
  }

  // Now and then ---------------------------------------------------------------

  /** The shape of a record that was not what was expected, whose numbers have been looked at. */
  #look(metrics: Metrics): Shape {
    const last = this.#last
    if (last !== undefined && last.next !== last && this.#read(last, metrics)) return last
    const shape = this.#table.shapeOf(metrics)
    this.#fit(shape.schema)
    if (this.#read(shape, metrics)) return shape
    // What it inherits is not its own.
    const own: Metrics = Object.assign(Object.create(null), metrics)
    this.#read(shape, own)
    return shape
  }

  #fit(schema: Schema): void {
    if (this.#row.length >= schema.keys.length) return
    this.#row = new Float64Array(2 * schema.keys.length)
    this.#absent = new Int32Array(2 * schema.keys.length)
  }

  #begin(schema: Schema, now: number): void {
    if (this.#count > 0) {
      this.#turns++
      this.#seal(now)
    }
    this.#schema = schema
    this.#keys = schema.keys.length
    this.#stride = presenceBytes(this.#keys)
    const bytes = leafBytes(this.#keys, 1) + 16
    this.#capacity = Math.max(1, Math.min(this.#batch, Math.floor(frameBytes / bytes)))
    if (this.#values.length < this.#capacity * this.#keys) this.#values = new Float64Array(this.#capacity * this.#keys)
    if (this.#bits.length < this.#capacity * this.#stride) this.#bits = new Uint8Array(this.#capacity * this.#stride)
  }

  #seal(now: number): void {
    const schema = this.#schema!
    const count = this.#count
    const columns = { count, keys: this.#keys, steps: this.#steps, domains: this.#domains, values: this.#values }
    const bits = this.#dense ? undefined : this.#bits
    this.#ring.push(schema, count, now, (stamp, memory) => encodeLeaf(stamp, schema.id, columns, bits, memory))
    this.#count = 0
    this.#dense = true
    this.#unsent = true
  }

  /** The first record of a block that has not all values: those before it had. */
  #sparse(at: number): void {
    if (!this.#dense) return
    this.#dense = false
    this.#bits.fill(0, 0, at * this.#stride)
    for (let i = 0; i < at; i++) {
      for (let k = 0; k < this.#keys; k++) this.#bits[i * this.#stride + (k >>> 3)]! |= 1 << (k & 7)
    }
  }

  #mark(shape: Shape, at: number): void {
    const from = at * this.#stride
    this.#bits.set(shape.bits, from)
    for (let i = 0; i < this.#absentCount; i++) {
      const slot = this.#absent[i]!
      this.#bits[from + (slot >>> 3)]! &= ~(1 << (slot & 7))
    }
  }

  /** Another schema came. Where that happens more often than blocks get full, the two get one in common. */
  #takeTurn(shape: Shape): void {
    const before = this.#inBlock
    if (this.#turns < patience || before === undefined || before.schema === shape.schema) return
    this.#turns = this.#table.join(before, shape) ? 0 : -1024
    this.#fit(shape.schema)
  }
}
