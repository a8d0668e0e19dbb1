/**
 * Datasets: one HDF5 file per group of a run, `<group>.h5` (`dataset.h5` for the empty group), for
 * `xarray.open_dataset`, h5py and whatever else reads HDF5 1.8 or netCDF-4.
 *
 *     /               attributes run_id, group
 *     draw            0, 1, 2, ... without what warm-up dropped; the dimension of everything below (int64)
 *     chain leapfrog  0, 1, 2, ... where a metric is a vector or a matrix (int64)
 *     step timestamp  coordinates along draw (float64; seconds since 1970; a missing step is NaN)
 *     <variable>      each metric with numbers, (draw), (draw, chain) or (draw, chain, leapfrog) (float64), with its
 *                     full key as attribute metric; a statistic across ranks has attributes statistic and of, too
 *
 * - What is absent is NaN. Values are those of the log, to the last bit.
 * - A dimension has one size in a file: where the vectors of a group differ, the largest extent is `chain` and another
 *   one, of 12, say, `chain_12`. Vectors whose length changes from draw to draw end in NaN.
 * - Dimensions are real dimension scales, named in every reader. `coordinates` is the CF convention's attribute.
 * - A variable takes place in the file only where it has values. The same run gives the same bytes.
 * - A file is written beside its place and renamed into it when its group's last batch is in. A group without draws
 *   has none.
 *
 * Reading is lazy: a {@link DatasetFile} says what is in a file, {@link values} reads one variable of it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { join, resolve } from "node:path"
import * as Census from "../Census.ts"
import type * as Columns from "../Columns.ts"
import * as Fold from "../Fold.ts"
import { makeDirectory } from "../internal/makeDirectory.ts"
import { ArtifactError } from "./ArtifactError.ts"
import * as Hdf5 from "./dataset/Hdf5.ts"
import * as Layout from "./dataset/Layout.ts"
import * as Writer from "./dataset/Writer.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A dataset that has been written: what it holds, and where. `group` is the prefix its metrics share (empty for the
 * empty group), `path` (absolute) where the file is, `draws` how many draws it has.
 *
 * @category models
 * @since 0.1.0
 */
export interface DatasetFile {
  readonly group: string
  readonly path: string
  readonly draws: number
  readonly variables: ReadonlyArray<DatasetVariable>
}

/**
 * One metric of a {@link DatasetFile}: its name there, the full key of the metric, and its dimensions with their
 * sizes, `draw` first.
 *
 * @category models
 * @since 0.1.0
 */
export interface DatasetVariable {
  readonly name: string
  readonly metric: string
  readonly dims: ReadonlyArray<string>
  readonly shape: ReadonlyArray<number>
}

/**
 * A dataset that is open for reading. `variables` holds its coordinates and dimensions, too; `values` reads one of
 * them, row by row (all of a draw before the next).
 *
 * @category models
 * @since 0.1.0
 */
export interface Dataset {
  readonly path: string
  readonly attributes: Attributes
  readonly variables: ReadonlyMap<string, Variable>
  readonly values: (name: string) => Effect.Effect<Float64Array, DatasetReadError>
}

/**
 * A variable, coordinate or dimension of an open dataset.
 *
 * @category models
 * @since 0.1.0
 */
export interface Variable {
  readonly name: string
  readonly dims: ReadonlyArray<string>
  readonly shape: ReadonlyArray<number>
  readonly attributes: Attributes
}

/**
 * The textual attributes of a dataset or a variable.
 *
 * @category models
 * @since 0.1.0
 */
export type Attributes = Readonly<Record<string, string>>

/**
 * What {@link fold} needs: the directory the files go to (it is made if need be), the run's id for the attribute
 * `run_id`, and how many draws of each group are left out (below 1 a fraction, else a count; as given to
 * `Columns.fromRows`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly directory: string
  readonly runId: string
  readonly warmup?: number | undefined
}

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/** This many files are open at once, at most. */
const maxOpen = 32

/**
 * The fold that writes a run's datasets, in the order of the census's groups. Where it fails or is interrupted, the
 * files of groups that had ended stay, and nothing of the others does.
 *
 * @category folds
 * @since 0.1.0
 */
export const fold = (
  census: Census.Census,
  options: Options
): Fold.Fold<Columns.Batch, ReadonlyArray<DatasetFile>, ArtifactError> =>
  Fold.fromEffect(Effect.gen(function*() {
    const { runId, warmup = 0 } = options
    const directory = resolve(options.directory)
    const hdf5 = yield* Effect.tryPromise({ try: Hdf5.load, catch: failed(directory) })
    yield* attempt(directory, () => makeDirectory(directory))
    // The files under way; those that are open stand at the end, the longest unused first.
    const writers = new Map<string, Writer.Writer>()
    const finished = new Map<string, DatasetFile>()
    yield* Effect.addFinalizer(() => Effect.sync(() => writers.forEach(Writer.abandon)))

    const writerOf = Effect.fnUntraced(function*(batch: Columns.Batch) {
      const { group } = batch
      const known = writers.get(group.file)
      if (known?.handle !== undefined) return known
      const open = [...writers.values()].filter((each) => each.handle !== undefined)
      const oldest = open.length < maxOpen ? undefined : open[0]
      if (oldest !== undefined) yield* attempt(oldest.path, () => Writer.putAway(oldest))
      if (known !== undefined) return known
      const layout = Layout.make(group, group.draws - Census.dropped(group, warmup))
      const writer = Writer.make(join(directory, `${group.file}.h5`), layout)
      writers.set(group.file, writer)
      yield* Writer.create(writer, hdf5, { run_id: runId, group: group.name }, batch)
      return writer
    })

    const push = Effect.fnUntraced(function*(batches: ReadonlyArray<Columns.Batch>) {
      for (const batch of batches) {
        const { draws, file, name } = batch.group
        if (draws === 0) continue
        const writer = yield* writerOf(batch)
        writers.delete(file)
        writers.set(file, writer)
        yield* attempt(writer.path, () => {
          Writer.append(writer, hdf5, batch)
          if (batch.last) Writer.finish(writer)
        })
        if (!batch.last) continue
        writers.delete(file)
        finished.set(file, describe(name, writer))
      }
    })

    const done = Effect.sync(() =>
      census.groups.flatMap((group) => {
        const file = finished.get(group.file)
        return file === undefined ? [] : [file]
      })
    )
    return { push, done }
  }))

const describe = (group: string, { layout, path }: Writer.Writer): DatasetFile => ({
  group,
  path,
  draws: layout.draws,
  variables: layout.variables.map(({ dimensions, shape, variable }) => ({
    name: variable.name,
    metric: variable.key,
    dims: dimensions,
    shape
  }))
})

const failed = (path: string) => (cause: unknown): ArtifactError =>
  new ArtifactError({ artifact: "dataset", path, cause: Hdf5.reason(cause) })

const attempt = <A>(path: string, action: () => A): Effect.Effect<A, ArtifactError> =>
  Effect.try({ try: action, catch: failed(path) })

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/** This many bytes are read at once, at most (a whole row at least): the library has memory of its own for them. */
const maxBytes = 8_388_608

/**
 * Opens a dataset file for reading, until the scope is closed.
 *
 * @category reading
 * @since 0.1.0
 */
export const open = (path: string): Effect.Effect<Dataset, DatasetReadError, Scope.Scope> =>
  Effect.gen(function*() {
    const handle = yield* Effect.acquireRelease(handleOf(path), (handle) => Effect.sync(() => handle.close()))
    return yield* attemptRead(path, () => {
      const variables = new Map<string, Variable>()
      for (const name of handle.keys()) variables.set(name, variableOf(handle, name))
      return {
        path,
        attributes: attributesOf(handle),
        variables,
        values: (name: string) => attemptRead(path, () => readVariable(handle, name))
      }
    })
  })

/**
 * Reads one variable or coordinate of a dataset: all its values, draw by draw. The file is open only meanwhile.
 *
 * @category reading
 * @since 0.1.0
 */
export const values = (
  file: { readonly path: string },
  name: string
): Effect.Effect<Float64Array, DatasetReadError> =>
  Effect.acquireUseRelease(
    handleOf(file.path),
    (handle) => attemptRead(file.path, () => readVariable(handle, name)),
    (handle) => Effect.sync(() => handle.close())
  )

const attemptRead = <A>(path: string, action: () => A): Effect.Effect<A, DatasetReadError> =>
  Effect.try({ try: action, catch: (cause) => new DatasetReadError({ path, cause: Hdf5.reason(cause) }) })

const handleOf = (path: string): Effect.Effect<Hdf5.Handle, DatasetReadError> =>
  Effect.tryPromise({ try: Hdf5.load, catch: (cause) => new DatasetReadError({ path, cause }) }).pipe(
    Effect.flatMap((hdf5) =>
      attemptRead(path, () => {
        Hdf5.check(path)
        return new hdf5.File(path, "r")
      })
    )
  )

const datasetOf = (handle: Hdf5.Handle, name: string) => {
  const dataset = handle.get(name)
  if (dataset === null || !("get_attached_scales" in dataset)) throw new Error(`there is no variable ${name}`)
  return { dataset, shape: dataset.shape ?? [] }
}

const variableOf = (handle: Hdf5.Handle, name: string): Variable => {
  const { dataset, shape } = datasetOf(handle, name)
  const dims = dataset.get_scale_name() !== null
    ? [name]
    : shape.map((_, index) => dataset.get_attached_scales(index)[0]?.slice(1) ?? "")
  return { name, dims, shape, attributes: attributesOf(dataset) }
}

const attributesOf = (of: Pick<Hdf5.Handle, "attrs" | "get_attribute">): Attributes => {
  const attributes: Record<string, string> = {}
  for (const name in of.attrs) {
    if (name === "DIMENSION_LIST" || name === "REFERENCE_LIST") continue
    const value = of.get_attribute(name, true)
    if (typeof value === "string") attributes[name] = value
  }
  return attributes
}

const readVariable = (handle: Hdf5.Handle, name: string): Float64Array => {
  const { dataset, shape } = datasetOf(handle, name)
  const [rows = 1, ...extents] = shape
  const width = extents.reduce((product, extent) => product * extent, 1)
  const step = Math.max(1, Math.floor(maxBytes / 8 / Math.max(1, width)))
  const numbers = new Float64Array(rows * width)
  for (let row = 0; row < rows; row += step) {
    const read = dataset.slice([[row, Math.min(rows, row + step)]])
    if (read instanceof Float64Array) numbers.set(read, row * width)
    else if (read instanceof BigInt64Array) numbers.set(Float64Array.from(read, Number), row * width)
    else throw new Error(`the variable ${name} does not hold numbers of 64 bits`)
  }
  return numbers
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * A dataset could not be read: the file is not there, is not one of ours, or has no such variable.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatasetReadError extends Schema.TaggedError<DatasetReadError>()("DatasetReadError", {
  path: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const reason = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `The dataset ${this.path} could not be read: ${reason}. \`ezpz-stream finalize\` writes a run's datasets again.`
  }
}
