/**
 * Which keys a record has numbers for, and in which order its sender gives them.
 *
 * - Records with numbers for the same keys have the same {@link Columns}, whoever sends them and in whatever order: their
 *   numbers are rows of one sheet.
 * - A {@link Reading} says where a sender puts them. Where some are left out (presence bits) it is another set of keys, so
 *   other columns.
 *
 * @since 0.3.0
 */
import type { Metrics } from "../../../Metrics.ts"
import { momentFields, presenceBytes } from "../Frame.ts"
import { numberOf } from "../Schema.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** A set of keys, in the order in which it was met first. */
export interface Columns {
  readonly keys: ReadonlyArray<string>
  readonly indexOf: ReadonlyMap<string, number>
  /** Sets that were compared with this one: whether they have a key in common. */
  readonly meets: WeakMap<Columns, boolean>
  /** Some of them, once those were asked for. */
  readonly some: Map<string, Columns>
}

/** Columns, and where the number of each is in what a sender gives: at the same place where `from` is undefined. */
export interface Reading {
  readonly columns: Columns
  readonly from: Int32Array | undefined
}

/** A schema that a sender has told. */
export interface Told {
  readonly keys: ReadonlyArray<string>
  readonly whole: Reading
  /** By their presence bits. */
  readonly parts: Map<string, Reading>
}

/** What records of this process with the same properties have in common. A {@link Reading} of what {@link Catalog.read} writes. */
export interface Shape {
  readonly all: ReadonlyArray<string>
  /** The column of each of `all`; -1 of what has no number. */
  readonly at: Int32Array
  readonly columns: Columns
  /** Those with numbers, as the record has them, and the column of each. */
  readonly keys: ReadonlyArray<string>
  readonly places: Int32Array
  /** The columns are in the record's order. */
  readonly inOrder: boolean
  /** All of it are numbers, in the order of columns. */
  readonly isPlain: boolean
  /** Its numbers are read in the order of columns. */
  readonly from: undefined
  /** What came after it the last time. */
  next: Shape | undefined
}

// -----------------------------------------------------------------------------
// Catalog
// -----------------------------------------------------------------------------

/**
 * So many sets of keys are known, and so many readings of a schema and shapes of records, with so many keys in all. Beyond,
 * they are made anew.
 */
const most = 4096
const mostKeys = 2 ** 20

export class Catalog {
  readonly #known = new Map<string, Columns>()
  readonly #shapes = new Map<string, Shape>()
  #last: Shape | undefined
  /** How many keys those are that are known. */
  #keys = 0

  columnsOf(keys: ReadonlyArray<string>): Columns {
    const name = JSON.stringify(keys.toSorted())
    const known = this.#known.get(name)
    if (known !== undefined) return known
    this.#keys += keys.length
    if (this.#known.size >= most || this.#keys > mostKeys) {
      this.#known.clear()
      this.#keys = keys.length
    }
    const columns = makeColumns([...keys])
    this.#known.set(name, columns)
    return columns
  }

  told(keys: ReadonlyArray<string>): Told {
    return { keys, whole: this.#reading(keys), parts: new Map() }
  }

  /** The reading of one record of a schema, of which not everything is there. */
  part(told: Told, present: (key: number) => boolean): Reading {
    const bits = new Uint8Array(presenceBytes(told.keys.length))
    for (let k = 0; k < told.keys.length; k++) if (present(k)) bits[k >>> 3]! |= 1 << (k & 7)
    const name = Buffer.from(bits.buffer).toString("latin1")
    const known = told.parts.get(name)
    if (known !== undefined) return known
    if (told.parts.size >= most || told.parts.size * told.keys.length > mostKeys) told.parts.clear()
    const reading = this.#reading(told.keys, (k) => (bits[k >>> 3]! & (1 << (k & 7))) !== 0)
    told.parts.set(name, reading)
    return reading
  }

  /** The shape of a record of this process, whose numbers are written to `row`, at its place. */
  read(metrics: Metrics, row: Row): Shape {
    const last = this.#last
    const likely = last?.next ?? last
    const shape = likely !== undefined && readAs(likely, metrics, row) ? likely : this.#shape(metrics, row)
    if (last !== undefined) last.next = shape
    this.#last = shape
    return shape
  }

  #shape(metrics: Metrics, row: Row): Shape {
    const all = Object.keys(metrics)
    const keys = all.filter((key) => numberOf(metrics[key]) !== undefined)
    const name = JSON.stringify([all, keys])
    let shape = this.#shapes.get(name)
    if (shape === undefined) {
      if (this.#shapes.size >= most) this.#shapes.clear()
      const columns = this.columnsOf(keys)
      const numbers = new Set(keys)
      const place = (key: string): number => numbers.has(key) ? columns.indexOf.get(key)! : -1
      const places = Int32Array.from(keys, place)
      const inOrder = places.every((column, i) => column === i)
      const isPlain = inOrder && keys.length === all.length
      const at = Int32Array.from(all, place)
      shape = { all, at, columns, keys, places, inOrder, isPlain, from: undefined, next: undefined }
      this.#shapes.set(name, shape)
    }
    readAs(shape, metrics, row)
    return shape
  }

  #reading(keys: ReadonlyArray<string>, present: (key: number) => boolean = () => true): Reading {
    const places = keys.flatMap((_, k) => present(k) ? [k] : [])
    const own = places.map((k) => keys[k]!)
    const columns = this.columnsOf(own)
    const from = new Int32Array(columns.keys.length)
    const isInOrder = own.every((key, i) => key === columns.keys[i])
    for (const [i, k] of places.entries()) from[isInOrder ? i : columns.indexOf.get(keys[k]!)!] = k
    return { columns, from: from.every((k, i) => k === i) ? undefined : from }
  }
}

/** Some of them by themselves. */
export const someOf = (columns: Columns, keys: ReadonlyArray<string>): Columns => {
  if (keys.length === columns.keys.length) return columns
  const name = JSON.stringify(keys)
  let some = columns.some.get(name)
  if (some === undefined) {
    if (columns.some.size >= 64) columns.some.clear()
    columns.some.set(name, some = makeColumns(keys))
  }
  return some
}

const makeColumns = (keys: ReadonlyArray<string>): Columns => new Made(keys)

/** Which column a key is, is asked of few: it takes ten times what the keys do. */
class Made implements Columns {
  readonly keys: ReadonlyArray<string>
  readonly meets = new WeakMap<Columns, boolean>()
  readonly some = new Map<string, Columns>()
  #indexOf: Map<string, number> | undefined

  constructor(keys: ReadonlyArray<string>) {
    this.keys = keys
  }

  get indexOf(): ReadonlyMap<string, number> {
    return this.#indexOf ??= new Map(this.keys.map((key, i) => [key, i]))
  }
}

/** Writes the moments of some columns to where they are among others. */
export const place = (from: Float64Array, some: Columns, to: Float64Array, all: Columns): void => {
  for (let k = 0; k < some.keys.length; k++) {
    const at = all.indexOf.get(some.keys[k]!)! * momentFields
    for (let i = 0; i < momentFields; i++) to[at + i] = from[k * momentFields + i]!
  }
}

/** The moments of columns that stand elsewhere: where `from` says. */
export const placed = (moments: Float64Array, from: Int32Array): Float64Array => {
  const out = new Float64Array(from.length * momentFields)
  for (let k = 0; k < from.length; k++) {
    const at = from[k]! * momentFields
    out.set(moments.subarray(at, at + momentFields), k * momentFields)
  }
  return out
}

/** Whether two sets have a key in common. */
export const meet = (a: Columns, b: Columns): boolean => {
  const known = a.meets.get(b)
  if (known !== undefined) return known
  const [few, many] = a.keys.length < b.keys.length ? [a, b] : [b, a]
  const met = many.keys.some((key) => few.indexOf.has(key))
  a.meets.set(b, met)
  b.meets.set(a, met)
  return met
}

// -----------------------------------------------------------------------------
// Rows
// -----------------------------------------------------------------------------

/** Where the numbers of records are read to, one after the other. */
export class Row {
  values = new Float64Array(0)
  /** Where the next record begins. */
  at = 0

  /** Makes room for a record. */
  open(width: number): void {
    if (this.at + width <= this.values.length) return
    this.values = new Float64Array(Math.max(width, rowSize))
    this.at = 0
  }
}

const rowSize = 8192

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** Reads a record that has a shape; false where it has another. */
const readAs = (shape: Shape, metrics: Metrics, row: Row): boolean => {
  const { all, at, isPlain } = shape
  row.open(all.length)
  const { at: first, values } = row
  let i = 0
  for (const key in metrics) {
    if (i === all.length || key !== all[i]) return false
    const value = metrics[key]
    if (typeof value === "number" && isPlain) {
      values[first + i++] = value
      continue
    }
    const number = typeof value === "number" ? value : numberOf(value)
    const place = at[i++]!
    if (number === undefined ? place >= 0 : place < 0) return false
    if (number !== undefined) values[first + place] = number
  }
  return i === all.length
}
