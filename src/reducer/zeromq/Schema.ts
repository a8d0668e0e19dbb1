/**
 * Keys and the numbers that stand for them: a schema names the keys of records once, records then say its id.
 *
 * - A shape is the keys of a record as they come, in their order; a schema is the set of those that have numbers. So
 *   records whose keys come in another order share a schema, and a key without a number now and then is a bit, not
 *   another schema.
 * - An id is never used for anything else within an incarnation: what was told of it cannot be out of date.
 * - Both sides remember what was told last, by the same rule ({@link Window}): the sender tells again before it uses what
 *   the receiver may have forgotten. So neither grows, whatever keys a job makes up.
 *
 * @since 0.3.0
 */
import type { Metrics, Value } from "../../Metrics.ts"
import * as Moments from "../../Moments.ts"
import { headerBytes, limits, padded, presenceBytes } from "./Frame.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Keys under one id.
 *
 * @category models
 * @since 0.3.0
 */
export interface Schema {
  readonly id: number
  readonly keys: ReadonlyArray<string>
  /** How long the frame is that names them. */
  readonly bytes: number
}

/**
 * The keys of a record in the order they come, and where the value of each goes in the records of a schema: {@link noNumber}
 * where there is none, {@link leftOut} where it cannot take part.
 *
 * @category models
 * @since 0.3.0
 */
export interface Shape {
  readonly keys: ReadonlyArray<string>
  schema: Schema
  slots: Int32Array
  /** The bits of the keys that are there. */
  bits: Uint8Array
  /** Whether these are all the keys of the schema. */
  whole: boolean
  /** Whether they are, in its order. */
  inOrder: boolean
  /** What came after it the last time. */
  next: Shape | undefined
}

/**
 * The place of a key that had no number yet.
 *
 * @category constants
 * @since 0.3.0
 */
export const noNumber = -1

/**
 * The place of a key that cannot take part: it is too long, no Unicode text, or one too many.
 *
 * @category constants
 * @since 0.3.0
 */
export const leftOut = -2

/**
 * So many schemas, and so many bytes of them, are remembered of a sender.
 *
 * @category constants
 * @since 0.3.0
 */
export const window = { schemas: 4096, bytes: limits.frameBytes } as const

/** So many shapes and so many schemas, with so many keys in all, are known by a sender. */
const most = { each: 4096, keys: 2 ** 20 } as const

/** Schemas may have so many keys, however few of them a record has: that is less than a frame of its own costs. */
const small = 64

/**
 * What a value counts as: a number itself, an array as the mean of its numbers (NaN where one of them is not finite).
 * Everything else takes no part.
 *
 * @category reading
 * @since 0.3.0
 */
export const numberOf = (value: Value | undefined): number | undefined => {
  if (typeof value === "number") return value
  if (!Array.isArray(value)) return undefined
  accumulator.reset()
  const items: ReadonlyArray<number | ReadonlyArray<number>> = value
  for (const item of items) {
    if (typeof item === "number") accumulator.add(item)
    else accumulator.addRange(item)
  }
  const moments = accumulator.result()
  return moments.nonFinite > 0 ? NaN : moments.count === 0 ? undefined : Moments.mean(moments)
}

/**
 * How long the frame is that names these keys.
 *
 * @category reading
 * @since 0.3.0
 */
export const schemaBytes = (keys: ReadonlyArray<string>): number =>
  headerBytes + padded(keys.reduce((bytes, key) => bytes + 4 + Buffer.byteLength(key), 0))

/** Made once: it holds a kilobyte. */
const accumulator = new Moments.Accumulator()

// -----------------------------------------------------------------------------
// What was told
// -----------------------------------------------------------------------------

/**
 * The schemas that were told last, as a receiver has to remember them; a sender keeps the same of what it told.
 *
 * @category models
 * @since 0.3.0
 */
export class Window<A> {
  readonly #entries = new Map<number, { readonly value: A; readonly bytes: number }>()
  #bytes = 0

  get size(): number {
    return this.#entries.size
  }

  get(id: number): A | undefined {
    return this.#entries.get(id)?.value
  }

  has(id: number): boolean {
    return this.#entries.has(id)
  }

  /** What was told longest ago makes place. */
  set(id: number, value: A, bytes: number): void {
    this.#remove(id)
    this.#entries.set(id, { value, bytes })
    this.#bytes += bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size === 1 || (this.#entries.size <= window.schemas && this.#bytes <= window.bytes)) return
      this.#remove(oldest)
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }

  #remove(id: number): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    this.#entries.delete(id)
    this.#bytes -= entry.bytes
  }
}

/**
 * The schemas a receiver knows of one incarnation of a sender.
 *
 * @category models
 * @since 0.3.0
 */
export type Received = Window<ReadonlyArray<string>>

// -----------------------------------------------------------------------------
// The sender's table
// -----------------------------------------------------------------------------

/**
 * The shapes and schemas a sender knows.
 *
 * @category models
 * @since 0.3.0
 */
export class Table {
  readonly #shapes = new Map<string, Shape>()
  readonly #schemas = new Map<string, Schema>()
  #keys = 0
  #lastId = 0

  /** How many schemas there have been. */
  get made(): number {
    return this.#lastId
  }

  /** How many shapes and schemas are known. */
  get size(): number {
    return this.#shapes.size + this.#schemas.size
  }

  /** The shape of a record: one with a place for each of its numbers. */
  shapeOf(metrics: Metrics): Shape {
    const keys = Object.keys(metrics)
    const name = JSON.stringify(keys)
    const known = this.#shapes.get(name)
    let fits = known !== undefined
    let room: number = limits.keys
    const slots = Int32Array.from(keys, (key, i) => {
      const before = known?.slots[i] ?? noNumber
      if (before === noNumber) {
        if (numberOf(metrics[key]) === undefined) return noNumber
        fits = false
      }
      return before === leftOut || !canBeKey(key) || room-- <= 0 ? leftOut : 0
    })
    if (known !== undefined && fits) return known
    const shape = makeShape(keys, slots, this.schemaOf(keys.filter((_, i) => slots[i] === 0)))
    this.#makeRoom(keys.length)
    this.#shapes.set(name, shape)
    return shape
  }

  /** A shape of keys that all have numbers. It is not remembered: whoever asks holds it. */
  shapeOfKeys(keys: ReadonlyArray<string>): Shape {
    const able = [...new Set(keys)].filter(canBeKey).slice(0, limits.keys)
    return makeShape([...keys], new Int32Array(keys.length).fill(leftOut), this.schemaOf(able))
  }

  /** The schema of a set of keys. */
  schemaOf(keys: ReadonlyArray<string>): Schema {
    const name = JSON.stringify(keys.toSorted())
    const known = this.#schemas.get(name)
    if (known !== undefined) return known
    this.#makeRoom(keys.length)
    const schema: Schema = { id: ++this.#lastId, keys, bytes: schemaBytes(keys) }
    this.#schemas.set(name, schema)
    return schema
  }

  /**
   * Lets two shapes share a schema, where that does not make their records much larger: those that take turns can then be
   * in one frame. Shapes that share their schemas go along.
   */
  join(a: Shape, b: Shape): boolean {
    const keys = [...new Set([...a.schema.keys, ...b.schema.keys])]
    const from = new Set([a.schema, b.schema])
    const together = [a, b, ...this.#shapes.values()].filter((shape) => from.has(shape.schema))
    const largest = together.reduce((most, shape) => Math.max(most, shape.keys.length), 0)
    if (keys.length > Math.min(limits.keys, Math.max(4 * largest, small))) return false
    const schema = this.schemaOf(keys)
    for (const shape of together) move(shape, schema)
    return true
  }

  /** Beyond its limits a table starts anew. Shapes that are still in use are found again, with new ids. */
  #makeRoom(keys: number): void {
    if (this.#schemas.size >= most.each || this.#shapes.size >= most.each || this.#keys + keys > most.keys) {
      this.#shapes.clear()
      this.#schemas.clear()
      this.#keys = 0
    }
    this.#keys += keys
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const canBeKey = (key: string): boolean => key.isWellFormed() && Buffer.byteLength(key) <= limits.keyBytes

const makeShape = (keys: ReadonlyArray<string>, slots: Int32Array, schema: Schema): Shape => {
  const shape: Shape = { keys, schema, slots, bits: new Uint8Array(), whole: false, inOrder: false, next: undefined }
  move(shape, schema)
  return shape
}

const move = (shape: Shape, schema: Schema): void => {
  const slotOf = new Map(schema.keys.map((key, slot) => [key, slot]))
  shape.schema = schema
  shape.slots = shape.slots.map((before, i) => slotOf.get(shape.keys[i]!) ?? before)
  shape.bits = new Uint8Array(presenceBytes(schema.keys.length))
  for (const slot of shape.slots) if (slot >= 0) shape.bits[slot >>> 3]! |= 1 << (slot & 7)
  shape.whole = new Set(shape.slots.filter((slot) => slot >= 0)).size === schema.keys.length
  shape.inOrder = shape.slots.length === schema.keys.length && shape.slots.every((slot, i) => slot === i)
}
