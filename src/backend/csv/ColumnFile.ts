/**
 * A CSV file that is a whole table whenever it is looked at, while rows are appended and columns come along.
 *
 * Files
 * - `metrics.csv`: the header, and the rows up to now, all of the header's width. Appended to in whole rows while no new
 *   column comes; never changed otherwise but by renaming a new file into its place.
 * - `.ezpz/csv/tail.jsonl`: the rows since a column came that the header lacks. A line is `[start, count, text, ...]`:
 *   the stretches of cells the row fills. So a row costs what it holds, however wide the table is.
 * - `.ezpz/csv/columns.jsonl`: where each column's values come from, `{"metric":"loss"}`, in order. Written before the
 *   first row that needs it.
 *
 * Merging writes `metrics.csv` anew from both, with every column, in pieces and in constant memory, renames it into
 * place and empties the tail. When that is worth it the caller decides, by `pending`: to merge when the tail has
 * `outgrown` the table at least doubles the table each time, so that all merges together write less than twice what
 * they leave, whatever the pattern of new keys.
 *
 * Going on after a crash
 * - The header of `metrics.csv` changes with each merge and never else. So where it has as many columns as at the
 *   checkpoint, both files have only grown since, and are cut back to where they were.
 * - Where it has more, a merge took all rows of the checkpoint into `metrics.csv`: the tail is dropped, the table is cut
 *   after as many rows. Columns that came later stay, empty until their records come again.
 * - Else (a file is missing, shorter or another one) the files do not fit, and the table begins anew.
 *
 * The functions are synchronous and throw an `Error` that names the path and the system's reason. An append that fails
 * is taken back: its rows can be handed over again.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeDirectory } from "../../internal/makeDirectory.ts"
import type { Row } from "../../Row.ts"
import * as Cell from "./Cell.ts"
import * as Files from "./Files.ts"
import * as Layout from "./Layout.ts"
import * as Merging from "./Merge.ts"
import * as Rows from "./Rows.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How far the files had come: `rows` in all, of which `tailRows` in the `tail` bytes of the tail; `columns` known, of
 * which `header` in the `bytes` bytes of metrics.csv.
 *
 * @category models
 * @since 0.1.0
 */
export type Position = typeof Position.Type

/**
 * The schema of a {@link Position}, as it is kept between runs.
 *
 * @category models
 * @since 0.1.0
 */
export const Position = Schema.Struct({
  version: Schema.Literal(1),
  rows: Schema.Finite,
  columns: Schema.Finite,
  header: Schema.Finite,
  bytes: Schema.Finite,
  tail: Schema.Finite,
  tailRows: Schema.Finite
})

/**
 * What waits in the tail: so many rows; a merge would write so many bytes; whether the tail weighs more than the table.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pending {
  readonly rows: number
  readonly bytes: number
  readonly outgrown: boolean
}

/**
 * A merge under way. `step` writes some more and says whether that was the end of it; `abort` leaves all as it was.
 *
 * @category models
 * @since 0.1.0
 */
export interface Merge {
  readonly step: () => boolean
  readonly abort: () => void
}

/**
 * The open table. `restarted` says that what was there did not fit its position, and that it holds no rows now.
 *
 * `move` takes the files to another directory, and `others` (relative paths, if they are there) with them; where
 * that fails, everything is where it was.
 *
 * @category models
 * @since 0.1.0
 */
export interface ColumnFile {
  readonly restarted: boolean
  readonly directory: () => string
  readonly path: () => string
  readonly append: (rows: ReadonlyArray<Row>) => void
  readonly position: () => Position
  readonly pending: () => Pending
  readonly merge: () => Merge
  readonly move: (directory: string, others: Iterable<string>) => void
  readonly close: () => void
}

interface OpenFiles {
  readonly main: Files.OpenFile
  readonly tail: Files.OpenFile
  readonly columns: Files.OpenFile
}

/** Everything that is known when a table is opened. */
interface State {
  readonly files: OpenFiles
  readonly layout: Layout.Layout
  header: number
  rows: number
  tailRows: number
}

const relative = {
  main: "metrics.csv",
  tail: Path.join(".ezpz", "csv", "tail.jsonl"),
  columns: Path.join(".ezpz", "csv", "columns.jsonl")
}

// -----------------------------------------------------------------------------
// Opening
// -----------------------------------------------------------------------------

/**
 * Opens the table of a directory: a new one in place of what is there, or, given a position, the one that is there,
 * cut back to it. A new one has columns for `metrics` from the start.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = (directory: string, position: unknown, metrics: ReadonlyArray<string> = []): ColumnFile => {
  const root = Path.resolve(directory)
  Files.at(root, () => makeDirectory(Path.join(root, ".ezpz", "csv")))
  const known = position === undefined ? undefined : Option.getOrUndefined(decodePosition(position))
  const resumed = known === undefined ? undefined : goOn(root, known)
  return make(root, resumed ?? begin(root, metrics), position !== undefined && resumed === undefined)
}

const decodePosition = Schema.decodeUnknownOption(Position)

const openFiles = (directory: string, flags: Files.Flags): OpenFiles => {
  const opened: Array<Files.OpenFile> = []
  const one = (name: keyof typeof relative): Files.OpenFile => {
    const file = Files.open(Path.join(directory, relative[name]), flags)
    opened.push(file)
    return file
  }
  try {
    return { tail: one("tail"), columns: one("columns"), main: one("main") }
  } catch (error) {
    opened.forEach(Files.close)
    throw error
  }
}

const closeFiles = (files: OpenFiles): void => Object.values(files).forEach(Files.close)

const begin = (directory: string, metrics: ReadonlyArray<string>): State => {
  const layout = Layout.make(metrics.map((key) => ({ kind: "metric", key })))
  Files.replace(Path.join(directory, relative.main), `${Cell.line(layout.names)}\n`)
  const files = openFiles(directory, "r+ or new")
  try {
    Files.cut(files.tail, 0)
    Files.cut(files.columns, 0)
    Files.append(files.columns, layout.keys.map(keyLine).join(""))
  } catch (error) {
    closeFiles(files)
    throw error
  }
  return { files, layout, header: layout.names.length, rows: 0, tailRows: 0 }
}

/** Undefined where the files do not fit the position. */
const goOn = (directory: string, position: Position): State | undefined => {
  if (!Object.values(relative).every((name) => Fs.existsSync(Path.join(directory, name)))) return undefined
  const files = openFiles(directory, "r+")
  let state: State | undefined
  try {
    state = cutBack(files, position)
  } finally {
    if (state === undefined) closeFiles(files)
  }
  return state
}

const cutBack = (files: OpenFiles, position: Position): State | undefined => {
  const known = readKeys(files.columns)
  const header = readHeader(files.main, known)
  if (header === undefined || known.length + Layout.fixed.length < position.columns) return undefined
  let columns = position.columns
  let { tail, tailRows } = position
  let bytes: number | undefined = position.bytes
  if (header === position.header) {
    if (!endsRow(files.main, bytes) || !endsRow(files.tail, tail)) return undefined
  } else {
    bytes = header < position.columns ? undefined : afterRows(files.main, position.rows)
    if (bytes === undefined) return undefined
    columns = header
    tail = tailRows = 0
  }
  const keys = known.slice(0, columns - Layout.fixed.length)
  Files.cut(files.main, bytes)
  Files.cut(files.tail, tail)
  Files.cut(files.columns, keys.reduce((length, key) => length + Buffer.byteLength(keyLine(key)), 0))
  return { files, layout: Layout.make(keys), header, rows: position.rows, tailRows }
}

/** The keys in the file, up to the first line that is torn. */
const readKeys = (file: Files.OpenFile): ReadonlyArray<Layout.Key> => {
  const lines = Files.at(file.path, () => Fs.readFileSync(file.path, "utf8")).split("\n").slice(0, -1)
  const keys: Array<Layout.Key> = []
  for (const line of lines) {
    const key = Option.getOrUndefined(decodeKey(line))
    if (key === undefined) break
    keys.push("metric" in key ? { kind: "metric", key: key.metric } : { kind: "statistic", key: key.statistic })
  }
  return keys
}

const decodeKey = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Union([
  Schema.Struct({ metric: Schema.String }),
  Schema.Struct({ statistic: Schema.String })
])))

const keyLine = ({ key, kind }: Layout.Key): string => `${JSON.stringify({ [kind]: key })}\n`

/** How many columns the header has; undefined where it is not made of the keys. */
const readHeader = (file: Files.OpenFile, keys: ReadonlyArray<Layout.Key>): number | undefined => {
  const end = afterRows(file, 0)
  if (end === undefined) return undefined
  const header = Buffer.alloc(end)
  Files.at(file.path, () => Fs.readSync(file.fd, header, 0, end, 0))
  const text = header.toString("utf8")
  let count = 1
  let quoted = false
  for (const char of text) {
    if (char === "\"") quoted = !quoted
    else if (char === "," && !quoted) count++
  }
  const { names } = Layout.make(keys.slice(0, Math.max(0, count - Layout.fixed.length)))
  return text === `${Cell.line(names)}\n` ? count : undefined
}

/** Where the header and so many rows end. */
const afterRows = (file: Files.OpenFile, rows: number): number | undefined => {
  const reader = Rows.reader(file)
  const scanner = Rows.scanner()
  let seen = -1
  for (let start = 0;; start = reader.position()) {
    const chunk = Files.at(file.path, reader.next)
    if (chunk === undefined) return undefined
    scanner.chunk(chunk)
    for (let end = scanner.next(); end >= 0; end = scanner.next()) {
      if (++seen === rows) return start + end + 1
    }
  }
}

const endsRow = (file: Files.OpenFile, length: number): boolean => {
  if (length === 0) return true
  const last = Buffer.alloc(1)
  return file.length >= length && Files.at(file.path, () => Fs.readSync(file.fd, last, 0, 1, length - 1)) === 1 &&
    last[0] === 0x0a
}

// -----------------------------------------------------------------------------
// The open table
// -----------------------------------------------------------------------------

const make = (initial: string, state: State, restarted: boolean): ColumnFile => {
  const { files, layout } = state
  let directory = initial
  let savedKeys = layout.keys.length

  const saveKeys = (): void => {
    if (savedKeys === layout.keys.length) return
    Rows.append(files.columns, (out) => {
      for (const key of layout.keys.slice(savedKeys)) {
        out.text(keyLine(key).slice(0, -1))
        out.endOfRow()
      }
    })
    savedKeys = layout.keys.length
  }

  const append = (rows: ReadonlyArray<Row>): void => {
    if (rows.length === 0) return
    const lines = rows.map(layout.line)
    saveKeys()
    const width = layout.names.length
    if (width === state.header) {
      Rows.append(files.main, (out) => {
        for (const line of lines) out.row(line, width)
      })
    } else {
      Rows.append(files.tail, (out) => {
        for (const line of lines) {
          out.text(Merging.tailLine(line))
          out.endOfRow()
        }
      })
      state.tailRows += rows.length
    }
    state.rows += rows.length
  }

  const merge = (): Merge => {
    const { main, tail } = files
    const width = layout.names.length
    const file = Files.open(Files.temporary(main.path), "w+")
    const out = Rows.output(file.fd, 0)
    out.text(Cell.line(layout.names))
    out.endOfRow()
    const steps = Merging.steps({ main, tail, from: state.header, to: width, out })
    return {
      step: () => {
        if (!Files.at(main.path, steps)) return false
        const length = Files.at(main.path, out.end)
        Files.at(main.path, () => Fs.renameSync(file.path, main.path))
        Files.close(main)
        main.fd = file.fd
        main.length = length
        // Where this cannot be done it is done before the next line is appended; until then it counts for nothing.
        tail.length = 0
        Files.quietly(() => Files.cut(tail, 0))
        state.header = width
        state.tailRows = 0
        return true
      },
      abort: () => {
        Files.close(file)
        Files.quietly(() => Fs.rmSync(file.path, { force: true }))
      }
    }
  }

  const move = (to: string, others: Iterable<string>): void => {
    const target = Path.resolve(to)
    if (target === directory) return
    let moved = files
    Files.move(directory, target, [...Object.values(relative), ...others], () => {
      moved = openFiles(target, "r+")
    })
    for (const name of ["main", "tail", "columns"] as const) {
      Files.close(files[name])
      files[name].fd = moved[name].fd
      files[name].path = moved[name].path
    }
    Files.quietly(() => Fs.rmdirSync(Path.join(directory, ".ezpz", "csv")))
    directory = target
  }

  return {
    restarted,
    directory: () => directory,
    path: () => files.main.path,
    append,
    position: () => ({
      version: 1,
      rows: state.rows,
      columns: layout.names.length,
      header: state.header,
      bytes: files.main.length,
      tail: files.tail.length,
      tailRows: state.tailRows
    }),
    pending: () => {
      const width = layout.names.length
      const mainRows = state.rows - state.tailRows
      const tail = files.tail.length + state.tailRows * width
      return {
        rows: state.tailRows,
        bytes: files.main.length + mainRows * (width - state.header) + tail,
        outgrown: mainRows === 0 || tail >= files.main.length
      }
    },
    merge,
    move,
    close: () => closeFiles(files)
  }
}
