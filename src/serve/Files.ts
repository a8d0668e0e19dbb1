/**
 * The files of a run that can be had: its log, and what was made of it. Nothing else that may lie in the directory, nothing
 * hidden, and nothing through a link.
 *
 * @since 0.5.0
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type * as Api from "./Api.ts"

// -----------------------------------------------------------------------------
// Which
// -----------------------------------------------------------------------------

const mostFiles = 5000
const deepest = 6

/**
 * What a file is by its path in the run's directory; undefined where it is none of ours.
 *
 * @category predicates
 * @since 0.5.0
 */
export const kindOf = (path: string): Api.File["kind"] | undefined => {
  const parts = path.split("/")
  if (parts.length > deepest || path.length > 4096) return undefined
  // Hidden, empty, a way up; a separator of another system; characters no file of ours has.
  if (parts.some((part) => part === "" || part.startsWith(".") || /[\\\p{Cc}]/u.test(part))) return undefined
  const name = parts.at(-1) ?? ""
  if (parts[0] === "plots" && parts.length > 1) return /\.(png|svg|txt|json)$/.test(name) ? "plot" : undefined
  if (parts[0] === "tables" && parts.length === 2) return name.endsWith(".csv") ? "table" : undefined
  if (parts.length > 1) return undefined
  return name.endsWith(".jsonl") && name !== "outbox.jsonl"
    ? "log"
    : name.endsWith(".h5")
    ? "dataset"
    : name === "metrics.csv" || name === "training_history.csv"
    ? "table"
    : /^report\.(md|html)$/.test(name)
    ? "report"
    : name === "config.json" || name === "run_info.json"
    ? "other"
    : undefined
}

/**
 * The files of a run's directory.
 *
 * @category reading
 * @since 0.5.0
 */
export const list = (directory: string): ReadonlyArray<Api.File> => {
  const found: Array<Api.File> = []
  const visit = (inside: string): void => {
    for (const entry of entriesOf(Path.join(directory, inside))) {
      if (found.length >= mostFiles) return
      const path = inside === "" ? entry.name : `${inside}/${entry.name}`
      if (entry.isDirectory() && /^(plots|tables)(\/|$)/.test(path) && path.split("/").length < deepest) visit(path)
      const kind = entry.isFile() ? kindOf(path) : undefined
      const stat = kind === undefined ? undefined : statOf(Path.join(directory, path))
      if (kind !== undefined && stat !== undefined) found.push({ path, bytes: stat.size, kind })
    }
  }
  visit("")
  const order = ["report", "log", "dataset", "table", "other", "plot"]
  return found.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || (a.path < b.path ? -1 : 1))
}

const entriesOf = (directory: string): ReadonlyArray<Fs.Dirent> => {
  try {
    return Fs.readdirSync(directory, { withFileTypes: true })
  } catch {
    return []
  }
}

const statOf = (path: string): Fs.Stats | undefined => {
  try {
    return Fs.lstatSync(path)
  } catch {
    return undefined
  }
}

// -----------------------------------------------------------------------------
// Opening
// -----------------------------------------------------------------------------

/**
 * An open file, to be closed by who asked for it.
 *
 * @category models
 * @since 0.5.0
 */
export interface Opened {
  readonly fd: number
  readonly size: number
}

/**
 * Opens a file of a run to read it; undefined where it is not one that can be had. It is opened first and looked at then:
 * what was looked at is what is read.
 *
 * @category reading
 * @since 0.5.0
 */
export const open = (directory: string, path: string): Opened | undefined => {
  if (kindOf(path) === undefined) return undefined
  const wanted = Path.join(directory, path)
  let fd: number | undefined
  try {
    // A FIFO would wait for its writer.
    fd = Fs.openSync(wanted, Fs.constants.O_RDONLY | Fs.constants.O_NOFOLLOW | Fs.constants.O_NONBLOCK)
    const stat = Fs.fstatSync(fd)
    // A folder on the way may be a link, too.
    const real = Fs.realpathSync(wanted)
    const there = Fs.statSync(real)
    if (
      stat.isFile() && real === Path.join(Fs.realpathSync(directory), path) && there.ino === stat.ino &&
      there.dev === stat.dev
    ) return { fd, size: stat.size }
  } catch {
    // Not there, or not to be read.
  }
  if (fd !== undefined) Fs.closeSync(fd)
  return undefined
}

/**
 * What a browser is told that a file is. Only pictures are shown, everything else is kept.
 *
 * @category reading
 * @since 0.5.0
 */
export const typeOf = (path: string): string =>
  path.endsWith(".png")
    ? "image/png"
    : /\.(csv|txt|md)$/.test(path)
    ? "text/plain; charset=utf-8"
    : path.endsWith(".json")
    ? "application/json"
    : "application/octet-stream"
