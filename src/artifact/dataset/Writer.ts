/**
 * One dataset file being written: created with all its variables when its first batch arrives, filled batch by batch,
 * sealed and renamed into place after its last.
 *
 * - Variables are chunked along `draw`, a chunk being as long as the first batch: all but the last batch of a group are
 *   equally long, so that each chunk is written once. Chunks of a variable that is absent are not written at all.
 * - A chunk that is written in part (a batch that ends inside it) is filled up with NaN.
 * - Every attached variable makes the library rewrite the scale's list of references, which stops at 64 KB and costs a
 *   square. No reader of dimensions needs that list, so where it would get long it is not kept.
 * - A file can be put away and is opened again when its next batch comes: a run may have more groups than a process
 *   may have open files.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { basename, dirname, join } from "node:path"
import type * as Columns from "../../Columns.ts"
import { ArtifactError } from "../ArtifactError.ts"
import * as Hdf5 from "./Hdf5.ts"
import type * as Layout from "./Layout.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** A file under way. `layout` says what is in it, `path` where it will be; until then it is at `temporary`. */
export interface Writer {
  readonly path: string
  readonly temporary: string
  readonly layout: Layout.Layout
  handle: Hdf5.Handle | undefined
  chunk: number
  /** The last chunk each variable has been written to, -1 before the first. */
  readonly written: Int32Array
  /** The headers of the variables, which get a fill value, and of the coordinates. */
  readonly variables: Array<number>
  readonly coordinates: Array<number>
}

/** The coordinates along `draw`, which every file has. */
export const coordinates = ["step", "timestamp"]

/** Up to this many variables on a dimension have its list of references kept. */
const references = 1024

/** This many variables are created in one go, before others get their turn. */
const turn = 64

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** A writer that has touched nothing yet. */
export const make = (path: string, layout: Layout.Layout): Writer => ({
  path,
  // One process at a time writes a run: what a killed one left is written over.
  temporary: join(dirname(path), `.${basename(path)}.tmp`),
  layout,
  handle: undefined,
  chunk: 0,
  written: new Int32Array(layout.variables.length).fill(-1),
  variables: [],
  coordinates: []
})

// -----------------------------------------------------------------------------
// Operations
// -----------------------------------------------------------------------------

/** Creates the file with its attributes, dimensions, coordinates and variables. */
export const create = Effect.fnUntraced(function*(
  writer: Writer,
  hdf5: Hdf5.Hdf5,
  attributes: Readonly<Record<string, string>>,
  batch: Columns.Batch
) {
  const { draws, dimensions, variables } = writer.layout
  // The system's own error where the directory cannot be written to: the library's says less.
  yield* attempt(writer, () => fs.closeSync(fs.openSync(writer.temporary, "w")))
  const handle = yield* attempt(writer, () => {
    const handle = new hdf5.File(writer.temporary, "w", { libver: Hdf5.libver })
    writer.handle = handle
    writer.chunk = Math.max(1, Math.min(draws, batch.length))
    for (const name in attributes) handle.create_attribute(name, attributes[name] ?? "")
    handle.create_attribute("coordinates", coordinates.join(" "))
    chunked(handle, "draw", [draws], writer.chunk, new BigInt64Array(0)).make_scale("draw")
    for (const { name, size } of dimensions) {
      handle.create_dataset({ name, data: count(0, size), shape: [size] }).make_scale(name)
    }
    for (const name of coordinates) {
      chunked(handle, name, [draws], writer.chunk, new Float64Array(0)).attach_scale(0, "/draw")
    }
    return handle
  })
  const attached = new Map<string, number>()
  for (const [nth, { dimensions, shape, variable }] of variables.entries()) {
    if (nth % turn === turn - 1) yield* Effect.yieldNow
    yield* attempt(writer, () => {
      const dataset = chunked(handle, variable.name, shape, writer.chunk, new Float64Array(0))
      dataset.create_attribute("metric", variable.key)
      if (variable.statistic !== undefined) {
        dataset.create_attribute("statistic", variable.statistic.name)
        dataset.create_attribute("of", variable.statistic.of)
      }
      dataset.create_attribute("coordinates", coordinates.join(" "))
      for (const [index, dimension] of dimensions.entries()) {
        dataset.attach_scale(index, `/${dimension}`)
        const before = attached.get(dimension) ?? 0
        attached.set(dimension, before + 1)
        if (before % references === references - 1) forget(hdf5, handle, dimension)
      }
      writer.variables.push(Hdf5.address(hdf5, handle, variable.name))
    })
  }
  yield* attempt(writer, () => {
    for (const [dimension, variables] of attached) {
      if (variables > references) forget(hdf5, handle, dimension)
    }
    for (const name of ["draw", ...dimensions.map((each) => each.name), ...coordinates]) {
      writer.coordinates.push(Hdf5.address(hdf5, handle, name))
    }
  })
})

/** Writes a batch. */
export const append = (writer: Writer, hdf5: Hdf5.Hdf5, batch: Columns.Batch): void => {
  const { first, length } = batch
  if (length === 0) return
  if (first + length > writer.layout.draws) throw new Error("its group has more draws than the census counted")
  const handle = writer.handle ?? new hdf5.File(writer.temporary, "a", { libver: Hdf5.libver })
  writer.handle = handle
  Hdf5.write(hdf5, handle, "draw", [first], [length], count(first, length))
  Hdf5.write(hdf5, handle, "step", [first], [length], batch.step)
  Hdf5.write(hdf5, handle, "timestamp", [first], [length], batch.timestamp)
  for (const [nth, { shape, variable }] of writer.layout.variables.entries()) {
    const column = batch.columns.get(variable.index)
    if (column === undefined) continue
    const { from, to, values } = whole(writer, nth, first, length, column)
    const zeros = shape.map(() => 0)
    Hdf5.write(hdf5, handle, variable.name, zeros.with(0, from), shape.with(0, to - from), values)
  }
}

/** Closes the file for now. */
export const putAway = (writer: Writer): void => {
  const handle = writer.handle
  writer.handle = undefined
  if (handle !== undefined && handle.close() < 0) throw new Error("HDF5 could not close the file")
}

/** Closes the file for good and moves it to its place. */
export const finish = (writer: Writer): void => {
  putAway(writer)
  Hdf5.seal(writer.temporary, writer.variables, writer.coordinates)
  fs.renameSync(writer.temporary, writer.path)
}

/** Leaves nothing behind. */
export const abandon = (writer: Writer): void => {
  const { temporary } = writer
  // A file that the library cannot close (the disk is full) stays open in it: emptied, it takes no place at least.
  const emptied = () => fs.existsSync(temporary) && fs.truncateSync(temporary)
  for (const undo of [() => putAway(writer), emptied, () => fs.rmSync(temporary, { force: true })]) {
    try {
      undo()
    } catch {
      // What cannot be closed can be removed all the same, and what cannot be removed stays.
    }
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const attempt = <A>(writer: Writer, action: () => A) =>
  Effect.try({
    try: action,
    catch: (cause) => new ArtifactError({ artifact: "dataset", path: writer.path, cause: Hdf5.reason(cause) })
  })

/** An empty dataset, extended: the library allocates nothing for it. */
const chunked = (
  handle: Hdf5.Handle,
  name: string,
  shape: ReadonlyArray<number>,
  chunk: number,
  data: Float64Array | BigInt64Array
) => {
  const dataset = handle.create_dataset({
    name,
    data,
    shape: shape.with(0, 0),
    maxshape: [...shape],
    chunks: shape.with(0, chunk)
  })
  dataset.resize([...shape])
  return dataset
}

const forget = (hdf5: Hdf5.Hdf5, handle: Hdf5.Handle, dimension: string): void => {
  if (hdf5.module.get_attribute_names(handle.file_id, dimension).includes("REFERENCE_LIST")) {
    hdf5.module.delete_attribute(handle.file_id, dimension, "REFERENCE_LIST")
  }
}

const count = (first: number, length: number): BigInt64Array => {
  const numbers = new BigInt64Array(length)
  for (let i = 0; i < length; i++) numbers[i] = BigInt(first + i)
  return numbers
}

/** A column with NaN around it, up to the ends of the chunks it is the first to touch. */
const whole = (writer: Writer, nth: number, first: number, length: number, column: Float64Array) => {
  const { chunk, layout, written } = writer
  const startsIn = Math.floor(first / chunk)
  const endsIn = Math.floor((first + length - 1) / chunk)
  const from = startsIn > (written[nth] ?? -1) ? startsIn * chunk : first
  const to = Math.min(layout.draws, (endsIn + 1) * chunk)
  written[nth] = endsIn
  if (from === first && to === first + length) return { from, to, values: column }
  const width = column.length / length
  const values = new Float64Array((to - from) * width).fill(NaN)
  values.set(column, (first - from) * width)
  return { from, to, values }
}
