/**
 * An offline run on disk: the folder `wandb/offline-run-YYYYMMDD_HHMMSS-ID` with `run-ID.wandb`, `files/` and `logs/`,
 * where and as the official client leaves it. The time is when the run began, in the machine's own time zone.
 *
 * Appending
 * - A batch is one write at the end of what counts. A write that fails, or is torn by a crash, leaves something beyond
 *   that end, which is cut off before the next one.
 *
 * Going on
 * - The position says where a record lies that was whole, and which one. From there the file is read to its end: what
 *   was written after the position was taken is known, so that no line stands there twice, however old the position.
 * - The end is the last whole record, or where the run was closed: what goes on is not closed. Opening changes nothing,
 *   the first append does; then the mark that the run has been synced is removed, since there is news.
 * - Where the position does not fit, the file is read from its beginning. Records that are lost come again then, those
 *   that are not are passed over. A file that is gone, or another one, begins anew.
 *
 * The functions are synchronous and throw errors that name the path.
 *
 * @since 0.2.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeDirectory } from "../../internal/makeDirectory.ts"
import { explain } from "../../internal/systemError.ts"
import * as Datastore from "./Datastore.ts"
import * as Records from "./Records.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How far a file had come: the last record lay between `start` and `end`, its number was `num`, and `step` is the
 * `_step` of the last line of history (-1: none). `folder` is the run's, within `wandb/`.
 *
 * @category models
 * @since 0.2.0
 */
export type Position = typeof Position.Type

/**
 * The schema of a {@link Position}, as it is kept between runs.
 *
 * @category models
 * @since 0.2.0
 */
export const Position = Schema.Struct({
  version: Schema.Literal(1),
  folder: Schema.String.check(Schema.isPattern(/^offline-run-[A-Za-z0-9_-]+$/)),
  start: Schema.Natural,
  end: Schema.Natural,
  num: Schema.Natural,
  step: Schema.Int
})

/**
 * The open file. `restarted` says that it lacks records that were written once: all are wanted again. `closedWith` is
 * the exit code it has been closed with, as long as nothing is appended.
 *
 * `append` is given a batch to fill, and `step`, the greatest `_step` of the rows in it.
 *
 * @category models
 * @since 0.2.0
 */
export interface RunFile {
  readonly restarted: boolean
  readonly path: () => string
  /** Where the files are that belong to the run. */
  readonly files: () => string
  readonly position: () => Position
  readonly closedWith: () => number | undefined
  readonly append: (write: (out: Records.Batch) => void, step?: number) => void
  readonly move: (directory: string) => void
  readonly close: () => void
}

// -----------------------------------------------------------------------------
// Opening
// -----------------------------------------------------------------------------

/**
 * Opens a run's file in a directory: a new one in place of what is there, which `begin` fills, or, given the position it
 * had, the one that is there.
 *
 * @category constructors
 * @since 0.2.0
 */
export const open = (options: {
  readonly directory: string
  readonly runId: string
  readonly createdAt: number
  readonly position: unknown
  readonly begin: (out: Records.Batch) => void
}): RunFile => {
  const { begin, createdAt, directory, runId } = options
  const known = Option.getOrUndefined(Schema.decodeUnknownOption(Position)(options.position))
  const folder = known?.folder ?? `offline-run-${timeOf(createdAt)}-${runId}`
  const resumed = known === undefined ? undefined : goOn(pathOf(directory, folder, runId), known)
  if (resumed !== undefined) return make(directory, folder, runId, resumed, resumed.step < (known?.step ?? -1))
  const file = make(directory, folder, runId, create(directory, folder, runId), options.position !== undefined)
  try {
    file.append(begin)
  } catch (error) {
    file.close()
    throw error
  }
  return file
}

interface State {
  fd: number
  start: number
  end: number
  num: number
  step: number
  closedWith: number | undefined
}

const timeOf = (seconds: number): string => {
  const date = new Date(seconds * 1000)
  const two = (value: number) => String(value).padStart(2, "0")
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}_` +
    `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`
}

const folderOf = (directory: string, folder: string): string => Path.join(directory, "wandb", folder)

const pathOf = (directory: string, folder: string, runId: string): string =>
  Path.join(folderOf(directory, folder), `run-${runId}.wandb`)

const create = (directory: string, folder: string, runId: string): State => {
  const path = pathOf(directory, folder, runId)
  return at(path, () => {
    // What `wandb sync` knows of the run stays: that it may send the same lines again, not after those it has sent.
    Fs.rmSync(Path.join(folderOf(directory, folder), "files"), { recursive: true, force: true })
    makeDirectory(Path.join(folderOf(directory, folder), "files"))
    makeDirectory(Path.join(folderOf(directory, folder), "logs"))
    return { fd: Fs.openSync(path, "w+"), start: 0, end: 0, num: 0, step: -1, closedWith: undefined }
  })
}

/** Undefined where there is no such file. */
const goOn = (path: string, known: Position): State | undefined => {
  if (!Fs.existsSync(path)) return undefined
  const fd = at(path, () => Fs.openSync(path, "r+"))
  let state: State | undefined
  try {
    if (Datastore.isDatastore(fd)) {
      state = scan(fd, known.start, known) ?? scan(fd, Datastore.fileHeader.length)
    }
  } finally {
    if (state === undefined) Fs.closeSync(fd)
  }
  return state
}

/** Reads a file to its end, from a record that must be the one that is known, or from the first one. */
const scan = (fd: number, from: number, known?: Position): State | undefined => {
  const state: State = { fd, start: 0, end: 0, num: 0, step: known?.step ?? -1, closedWith: undefined }
  let closed = false
  Datastore.scan(fd, from, (bytes, start, end) => {
    const record = Records.read(bytes)
    if (record === undefined) return true
    if (closed) {
      state.closedWith = record.exitCode ?? state.closedWith
      return false
    }
    closed = record.closing
    if (closed) return false
    if (known !== undefined && state.end === 0 && (end !== known.end || record.num !== known.num)) return true
    state.start = start
    state.end = end
    state.num = record.num
    state.step = Math.max(state.step, record.step ?? -1)
    return false
  })
  return state.end === 0 ? undefined : state
}

// -----------------------------------------------------------------------------
// The open file
// -----------------------------------------------------------------------------

const make = (initial: string, folder: string, runId: string, state: State, restarted: boolean): RunFile => {
  let directory = initial
  let fresh = false
  const path = () => pathOf(directory, folder, runId)

  const append: RunFile["append"] = (write, step = -1) => {
    const out = Records.batch(state.num)
    write(out)
    if (out.ends.length === 0) return
    const from = state.end === 0 ? Datastore.fileHeader.length : state.end
    const framed = Datastore.frame(out.writer.finish(), out.ends, from)
    const bytes = state.end === 0 ? Buffer.concat([Datastore.fileHeader, framed.bytes]) : framed.bytes
    at(path(), () => {
      tidy(state)
      if (!fresh) Fs.rmSync(`${path()}.synced`, { force: true })
      fresh = true
      for (let done = 0; done < bytes.length;) {
        done += Fs.writeSync(state.fd, bytes, done, bytes.length - done, state.end + done)
      }
    })
    state.start = from + framed.lastStart
    state.end = from + framed.bytes.length
    state.num = out.num
    state.step = Math.max(state.step, step)
    state.closedWith = undefined
  }

  return {
    restarted,
    path,
    files: () => Path.join(folderOf(directory, folder), "files"),
    position: () => ({
      version: 1,
      folder,
      start: state.start,
      end: state.end,
      num: state.num,
      step: state.step
    }),
    closedWith: () => state.closedWith,
    append,
    move: (to) => {
      const from = folderOf(directory, folder)
      const target = folderOf(to, folder)
      if (Path.resolve(from) === Path.resolve(target)) return
      at(target, () => moveFolder(from, target))
      directory = to
      const fd = at(path(), () => Fs.openSync(path(), "r+"))
      quietly(() => Fs.closeSync(state.fd))
      state.fd = fd
      // The folder above, if it holds nothing else.
      quietly(() => Fs.rmdirSync(Path.dirname(from)))
    },
    close: () => quietly(() => Fs.closeSync(state.fd))
  }
}

/** Sees to it that what counts of the file is all there is of it. */
const tidy = ({ end, fd }: State): void => {
  const { nlink, size } = Fs.fstatSync(fd)
  if (nlink === 0) throw new Error("it has been removed or replaced by somebody else")
  if (size < end) throw new Error("it is shorter than what was written to it")
  if (size > end) Fs.ftruncateSync(fd, end)
}

/** Renames it, or copies it where that cannot be done. What fails leaves it where it was. */
const moveFolder = (from: string, to: string): void => {
  makeDirectory(Path.dirname(to))
  try {
    Fs.rmSync(to, { recursive: true, force: true })
    Fs.renameSync(from, to)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error
    try {
      Fs.cpSync(from, to, { recursive: true, preserveTimestamps: true })
    } catch (error) {
      quietly(() => Fs.rmSync(to, { recursive: true, force: true }))
      throw error
    }
    quietly(() => Fs.rmSync(from, { recursive: true, force: true }))
  }
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

const quietly = (run: () => void): void => {
  try {
    run()
  } catch {
    // The failure that led here, if any, is the one to tell.
  }
}

const at = <A>(path: string, run: () => A): A => {
  try {
    return run()
  } catch (cause) {
    throw new Error(`${path} could not be written: ${explain(cause)}`, { cause })
  }
}
