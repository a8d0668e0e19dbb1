/**
 * What backends get beside the records: a log of its own, that each backend reads from a cursor of its own.
 *
 * `.ezpz/outbox.jsonl`, one JSON object a line, only ever appended to:
 *
 * - `{"kind":"system","seq":1,"timestamp":...,"metrics":{...}}`: a sample of the machine
 * - `{"kind":"image","name":"...","path":"...","kept":true,"caption":"...","step":1}`
 * - `{"kind":"table","name":"...","path":"...","kept":true}`: a file of JSON lines, the columns first, then each row
 * - `{"kind":"history","name":"training_history"}`: the run's records as a table, read from the log when it is asked for
 * - `{"kind":"artifacts","paths":[...],"directory":"..."}`
 * - `{"kind":"summary","values":{...}}`
 *
 * `"backend":"wandb"` in an entry keeps it from all others. Paths are relative to the run's directory where they lie in
 * it; of a `kept` file, to the folder `outbox/` beside, which goes where the log goes. What of `paths` did not move with
 * the run is still in `directory`, which was the run's when they were given.
 *
 * What is there survives the process, so a server that was away gets it later; entries of a kind that a reader does not
 * know, and torn lines, are passed over. A run that is folded again appends the same entries again: of equal ones on a
 * page the last one counts.
 *
 * @since 0.2.0
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { ImageOptions, Sample } from "./Backend.ts"
import { makeDirectory } from "./internal/makeDirectory.ts"
import type { Metrics } from "./Metrics.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Something for backends. `backend` is who gets it; nobody named, all do.
 *
 * @category models
 * @since 0.2.0
 */
export type Entry =
  & { readonly backend?: string }
  & (
    | ({ readonly kind: "system" } & Sample)
    | ({ readonly kind: "image" } & File & ImageOptions)
    | ({ readonly kind: "table" } & File)
    | { readonly kind: "history"; readonly name: string }
    | { readonly kind: "artifacts"; readonly paths: ReadonlyArray<string>; readonly directory?: string }
    | { readonly kind: "summary"; readonly values: Metrics }
  )

/**
 * A file under a name. `kept`: it is a copy of ours, in {@link folder}.
 *
 * @category models
 * @since 0.2.0
 */
export interface File {
  readonly name: string
  readonly path: string
  readonly kept?: boolean
}

/**
 * An entry with where its line begins and where the next one does.
 *
 * @category models
 * @since 0.2.0
 */
export interface Item {
  readonly entry: Entry
  readonly at: number
  readonly end: number
}

/**
 * Some items, and where to read on. Without items and with the same `end` there is no more for now.
 *
 * @category models
 * @since 0.2.0
 */
export interface Page {
  readonly items: ReadonlyArray<Item>
  readonly end: number
}

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/**
 * Where files are kept for the backends of an outbox.
 *
 * @category writing
 * @since 0.2.0
 */
export const folder = (path: string): string => path.replace(/\.jsonl$/, "")

/**
 * Appends entries. Throws where the file cannot be written.
 *
 * @category writing
 * @since 0.2.0
 */
export const append = (path: string, entries: ReadonlyArray<Entry>): void => {
  if (entries.length === 0) return
  makeDirectory(Path.dirname(path))
  // After a torn line of a process that was killed, ours begins a line of its own.
  Fs.appendFileSync(path, (isTorn(path) ? "\n" : "") + entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""))
}

const isTorn = (path: string): boolean => {
  const size = Fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0
  return size > 0 && readBytes(path, size - 1, 1)[0] !== newline
}

const newline = 0x0a

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

const pageSize = 256 * 1024

/**
 * Reads whole lines from a byte offset on. A file that is not there is empty.
 *
 * @category reading
 * @since 0.2.0
 */
export const read = (path: string, from: number): Page => {
  if (!Fs.existsSync(path)) return { items: [], end: from }
  for (let size = pageSize;; size *= 2) {
    const bytes = readBytes(path, from, size)
    const last = bytes.lastIndexOf(newline)
    // A line that is longer than what was read, or one that is being written.
    if (last < 0 && bytes.length === size) continue
    const items = new Map<string, Item>()
    for (let start = 0; start <= last;) {
      const end = bytes.indexOf(newline, start) + 1
      const line = bytes.toString("utf8", start, end)
      const entry = decode(line)
      // In the place of the last one, behind what came between.
      items.delete(line)
      if (entry !== undefined) items.set(line, { entry, at: from + start, end: from + end })
      start = end
    }
    return { items: [...items.values()], end: from + last + 1 }
  }
}

/**
 * How many things for a backend stand behind an offset, beside samples of the machine.
 *
 * @category reading
 * @since 0.2.0
 */
export const count = (path: string, from: number, backend: string): number => counter(backend)(path, from)

/**
 * Counts like {@link count} time and again, and reads each line once. What cannot be read counts as one.
 *
 * @category reading
 * @since 0.2.0
 */
export const counter = (backend: string): (path: string, from: number) => number => {
  let outputs: Array<number> = []
  let began = 0
  let until = 0
  return (path, from) => {
    if (from < began) {
      outputs = []
      until = from
    }
    began = from
    outputs = outputs.filter((at) => at >= from)
    until = Math.max(until, from)
    try {
      for (;;) {
        const { end, items } = read(path, until)
        if (end === until) return outputs.length
        for (const { at, entry } of items) if (entry.kind !== "system" && isFor(entry, backend)) outputs.push(at)
        until = end
      }
    } catch {
      return outputs.length + 1
    }
  }
}

/**
 * The seq of the last sample of the machine; 0 if there is none.
 *
 * @category reading
 * @since 0.2.0
 */
export const lastSample = (path: string): number => {
  const all = size(path)
  // They count up: the last one is near the end. What a page begins in the middle of is no entry.
  for (let back = pageSize;; back *= 2) {
    let seq = 0
    for (let at = Math.max(0, all - back);;) {
      const { end, items } = read(path, at)
      if (end === at) break
      for (const { entry } of items) if (entry.kind === "system") seq = entry.seq
      at = end
    }
    if (seq > 0 || back >= all) return seq
  }
}

/**
 * Where it ends now.
 *
 * @category reading
 * @since 0.2.0
 */
export const size = (path: string): number => Fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0

/**
 * Whether a backend gets an entry.
 *
 * @category reading
 * @since 0.2.0
 */
export const isFor = (entry: Entry, backend: string): boolean =>
  entry.backend === undefined || entry.backend === backend

const kinds = new Set(["system", "image", "table", "history", "artifacts", "summary"])

const decode = (line: string): Entry | undefined => {
  try {
    const entry: unknown = JSON.parse(line)
    return isEntry(entry) ? entry : undefined
  } catch {
    return undefined
  }
}

/** What we wrote ourselves is looked at as far as a reader relies on it. */
const isEntry = (entry: unknown): entry is Entry => {
  if (typeof entry !== "object" || entry === null || !("kind" in entry)) return false
  const { kind } = entry
  if (typeof kind !== "string" || !kinds.has(kind)) return false
  const has = (name: string, type: string): boolean => typeof Reflect.get(entry, name) === type
  switch (kind) {
    case "system":
      return has("seq", "number") && has("timestamp", "number") && has("metrics", "object")
    case "artifacts":
      return Array.isArray(Reflect.get(entry, "paths"))
    case "summary":
      return has("values", "object")
    case "history":
      return has("name", "string")
    default:
      return has("name", "string") && has("path", "string")
  }
}

const readBytes = (path: string, from: number, size: number): Buffer => {
  const fd = Fs.openSync(path, "r")
  try {
    const bytes = Buffer.alloc(size)
    let got = 0
    while (got < size) {
      const read = Fs.readSync(fd, bytes, got, size - got, from + got)
      if (read === 0) break
      got += read
    }
    return bytes.subarray(0, got)
  } finally {
    Fs.closeSync(fd)
  }
}
