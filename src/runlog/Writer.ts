/**
 * Writing a log, after looking at how it was left.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeDirectory } from "../internal/makeDirectory.ts"
import { decodeLine, isRow, notJson } from "./Entry.ts"
import { firstOf, openFile, RunLogError } from "./File.ts"

// -----------------------------------------------------------------------------
// Recovery
// -----------------------------------------------------------------------------

/**
 * What stands at the end of a log: the last record's `seq` (0: none), where the last whole line ends, and how many
 * bytes of a torn line come after it.
 *
 * @category recovery
 * @since 0.1.0
 */
export interface Tail {
  readonly seq: number
  readonly end: number
  readonly torn: number
  /** Whether the last whole line lacks its `\n`. */
  readonly unended: boolean
}

/**
 * Looks at the end of a log, reading backwards as far as it must.
 *
 * @category recovery
 * @since 0.1.0
 */
export const tail = (path: string): Effect.Effect<Tail, RunLogError> =>
  Effect.scoped(
    Effect.flatMap(openFile(path, "r"), (fd) =>
      Effect.try({
        try: () => readTail(fd),
        catch: (cause) => new RunLogError({ path, operation: "read", cause })
      }))
  )

const readTail = (fd: number): Tail => {
  const size = Fs.fstatSync(fd).size
  for (let length = Math.min(size, 64 * 1024); length <= mostBackwards; length = Math.min(size, length * 8)) {
    const bytes = Buffer.alloc(length)
    for (let got = 0; got < length;) {
      const read = Fs.readSync(fd, bytes, got, length - got, size - length + got)
      if (read === 0) break
      got += read
    }
    const whole = length === size
    const lastBreak = bytes.lastIndexOf(0x0a)
    // The first line of what was read may have been cut by where reading began.
    const first = whole ? 0 : bytes.indexOf(0x0a) + 1
    const rest = lastBreak >= 0 || whole ? bytes.subarray(lastBreak + 1).toString("utf8") : ""
    let seq = recordSeq(rest, undefined)
    for (const line of bytes.subarray(first, Math.max(first, lastBreak)).toString("utf8").split("\n")) {
      seq = recordSeq(line, seq)
    }
    if (seq !== undefined || whole) return tailOf(size, seq, length - lastBreak - 1, rest)
  }
  // No record among so much: a log like no other, and read from its start.
  let seq: number | undefined
  let rest = ""
  let bytes = 0
  firstOf(fd, true, (line) => {
    rest = typeof line === "string" ? line : ""
    bytes = typeof line === "string" ? Buffer.byteLength(line) : line.bytes
    seq = recordSeq(rest, seq)
    return undefined
  })
  const last = Buffer.alloc(1)
  Fs.readSync(fd, last, 0, 1, size - 1)
  return last[0] === 0x0a ? tailOf(size, seq, 0, "") : tailOf(size, seq, bytes, rest)
}

const mostBackwards = 32 * 1024 * 1024

/** What stands after the last line break, in bytes and as text, is a line nevertheless where it is JSON: not cut. */
const tailOf = (size: number, seq: number | undefined, bytes: number, rest: string): Tail => {
  const entry = decodeLine(rest)
  const unended = !("_tag" in entry) || entry.reason !== notJson
  const torn = unended ? 0 : bytes
  return { seq: seq ?? 0, end: size - torn, torn, unended }
}

/** The greater of a seq and a line's, if that is a record: statistics carry the seq of an earlier one. */
const recordSeq = (line: string, seq: number | undefined): number | undefined => {
  const entry = decodeLine(line)
  return !("_tag" in entry) && isRow(entry) && entry.seq > (seq ?? 0) ? entry.seq : seq
}

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/**
 * The one writer of a log.
 *
 * `append` writes whole lines, and returns once the kernel has them; `end` is where the next one goes. `lastSeq` is
 * the last record's when the log was opened. `append` throws {@link RunLogError}: it is called for every record of an
 * `update`, where an Effect would cost more than the write.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writer {
  readonly path: string
  readonly lastSeq: number
  readonly end: () => number
  readonly appendUnsafe: (lines: string) => void
}

/**
 * Opens a log for writing: `create` fails where one has records, `append` goes on with it (or creates it), `overwrite`
 * empties it. The file is closed with the scope.
 *
 * @category writing
 * @since 0.1.0
 */
export const writer = (options: {
  readonly path: string
  readonly mode: "create" | "append" | "overwrite"
  readonly fsync?: boolean
}): Effect.Effect<Writer, RunLogError, Scope.Scope> =>
  Effect.gen(function*() {
    const { fsync = false, mode, path } = options
    const attempt = <A>(operation: string, run: () => A) =>
      Effect.try({ try: run, catch: (cause) => new RunLogError({ path, operation, cause }) })
    yield* attempt("create the directory of", () => makeDirectory(Path.dirname(path)))
    const found = mode === "append" && Fs.existsSync(path) ? yield* tail(path) : undefined
    // Always at the end: after a write that was taken back, the position of any other would be beyond it.
    const fd = yield* openFile(path, "a")
    if (mode === "create" && Fs.fstatSync(fd).size > 0) {
      return yield* new RunLogError({
        path,
        operation: "create",
        cause: Object.assign(new Error(), { code: "EEXIST" })
      })
    }
    if (mode === "overwrite") yield* attempt("empty", () => Fs.ftruncateSync(fd))
    let end = found?.end ?? 0

    let torn = false
    // A descriptor that was closed may be another file's by now.
    let closed = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
      })
    )

    const appendUnsafe = (text: string): void => {
      if (closed) throw new RunLogError({ path, operation: "append to", cause: new Error("it is closed") })
      const lines = torn ? `\n${text}` : text
      let written = 0
      try {
        const start = torn ? Fs.fstatSync(fd).size : end
        const length = Buffer.byteLength(lines)
        written = Fs.writeSync(fd, lines)
        if (written < length) {
          const bytes = Buffer.from(lines)
          while (written < length) written += Fs.writeSync(fd, bytes, written)
        }
        if (fsync) Fs.fdatasyncSync(fd)
        end = start + length
        torn = false
      } catch (cause) {
        takeBack()
        throw new RunLogError({ path, operation: "append to", cause })
      }
    }
    const takeBack = (): void => {
      try {
        Fs.ftruncateSync(fd, end)
        torn = false
      } catch {
        // What stands behind `end` stays there, and the next write puts an end to its line.
        torn = true
      }
    }

    if (found !== undefined) {
      yield* attempt("recover", () => {
        if (found.torn > 0) Fs.ftruncateSync(fd, found.end)
        if (found.unended) appendUnsafe("\n")
      })
    }
    return { path, lastSeq: found?.seq ?? 0, end: () => end, appendUnsafe }
  })
