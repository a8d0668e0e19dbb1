/**
 * The columns of a run's table, and a record's place in them.
 *
 * Columns are `step`, `timestamp`, then a column for each key in order of first appearance: a record's metrics, then
 * its statistics across ranks. A metric and a statistic of the same name are two columns. Names that are taken get
 * `_2`, `_3`; a key called `step` or `timestamp` a trailing `_`. So a column's name depends on the keys before it alone.
 *
 * A record becomes the stretches of neighbouring cells it fills, never its empty cells: a record of a few keys costs
 * the same in a table of 40 columns and of 20,000.
 *
 * @since 0.1.0
 */
import type { Metrics, Value } from "../../Metrics.ts"
import type { Row } from "../../Row.ts"
import * as Cell from "./Cell.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Where a column's values come from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Key {
  readonly kind: "metric" | "statistic"
  readonly key: string
}

/**
 * `count` cells of a row from column `start` on: CSV text with the commas between them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stretch {
  readonly start: number
  readonly count: number
  readonly text: string
}

/**
 * The columns known so far. `line` adds the columns that a record brings along.
 *
 * @category models
 * @since 0.1.0
 */
export interface Layout {
  readonly names: ReadonlyArray<string>
  readonly keys: ReadonlyArray<Key>
  readonly line: (row: Row) => ReadonlyArray<Stretch>
}

/**
 * The columns that every table has, before those of the keys.
 *
 * @category models
 * @since 0.1.0
 */
export const fixed: ReadonlyArray<string> = ["step", "timestamp"]

/** Empty cells up to so many are written out rather than begin a new stretch. */
const near = 8

/** Runs alternate between a few shapes of records: training, evaluation. */
const maxShapes = 4

/**
 * The keys of a record in its order, and where their values go: `from[i]` is which of the record's values stands in
 * column `to[i]`, `to` ascending. In a dense shape that is value `i` in column `i`.
 */
interface Shape {
  readonly metrics: ReadonlyArray<string>
  readonly statistics: ReadonlyArray<string>
  readonly from: ReadonlyArray<number>
  readonly to: ReadonlyArray<number>
  readonly dense: boolean
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * A layout that knows the columns of `keys` already.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (known: Iterable<Key> = []): Layout => {
  const names = [...fixed]
  const taken = new Set(names)
  const keys: Array<Key> = []
  const columns = { metric: new Map<string, number>(), statistic: new Map<string, number>() }
  const shapes: Array<Shape> = []

  const column = (kind: Key["kind"], key: string): number => {
    const found = columns[kind].get(key)
    if (found !== undefined) return found
    const index = names.length
    const name = nameOf(key, taken)
    taken.add(name)
    names.push(name)
    keys.push({ kind, key })
    columns[kind].set(key, index)
    return index
  }
  for (const { key, kind } of known) column(kind, key)

  const enter = (row: Row): Shape => {
    const metrics = keysOf(row.metrics)
    const statistics = keysOf(row.statistics?.values ?? none)
    const to = [
      0,
      1,
      ...metrics.map((key) => column("metric", key)),
      ...statistics.map((key) => column("statistic", key))
    ]
    const from = to.map((_, i) => i).sort((a, b) => (to[a] ?? 0) - (to[b] ?? 0))
    const shape: Shape = {
      metrics,
      statistics,
      from,
      to: from.map((i) => to[i] ?? 0),
      dense: to.every((at, i) => at === i)
    }
    shapes.unshift(shape)
    if (shapes.length > maxShapes) shapes.pop()
    return shape
  }

  const line = (row: Row): ReadonlyArray<Stretch> => {
    for (const shape of shapes) {
      const values = match(shape, row)
      if (values !== undefined) return stretches(shape, values)
    }
    const shape = enter(row)
    return stretches(shape, match(shape, row) ?? [])
  }
  return { names, keys, line }
}

const nameOf = (key: string, taken: ReadonlySet<string>): string => {
  const text = key.toWellFormed()
  const base = fixed.includes(text) ? `${text}_` : text
  for (let n = 1;; n++) {
    const name = n === 1 ? base : `${base}_${n}`
    if (!taken.has(name)) return name
  }
}

// -----------------------------------------------------------------------------
// Rows
// -----------------------------------------------------------------------------

/** A record's values in its own order; undefined where its keys are not those of the shape. */
const match = (shape: Shape, row: Row): Array<Value | undefined> | undefined => {
  const values: Array<Value | undefined> = [row.step, row.timestamp]
  return pick(shape.metrics, row.metrics, values) && pick(shape.statistics, row.statistics?.values ?? none, values)
    ? values
    : undefined
}

const none: Metrics = {}

const keysOf = (record: Metrics): Array<string> => {
  const keys: Array<string> = []
  for (const key in record) keys.push(key)
  return keys
}

const pick = (keys: ReadonlyArray<string>, record: Metrics, into: Array<Value | undefined>): boolean => {
  let i = 0
  for (const key in record) {
    if (keys[i++] !== key) return false
    into.push(record[key])
  }
  return i === keys.length
}

const stretches = (shape: Shape, values: ReadonlyArray<Value | undefined>): ReadonlyArray<Stretch> => {
  if (shape.dense && values.every(isPlainNumber)) {
    // Nothing formats numbers faster than this.
    return [{ start: 0, count: values.length, text: JSON.stringify(values).slice(1, -1) }]
  }
  const out: Array<Stretch> = []
  let cells: Array<string> = []
  let start = 0
  const end = () => {
    if (cells.length > 0) out.push({ start, count: cells.length, text: cells.join(",") })
  }
  for (let i = 0; i < shape.to.length; i++) {
    const text = Cell.cell(values[shape.from[i] ?? 0])
    if (text === "") continue
    const at = shape.to[i] ?? 0
    if (cells.length === 0 || at - start - cells.length > near) {
      end()
      cells = []
      start = at
    }
    while (start + cells.length < at) cells.push("")
    cells.push(text)
  }
  end()
  return out
}

const isPlainNumber = (value: Value | undefined): boolean => typeof value === "number" && Cell.isPlain(value)
