/**
 * Bytes to lines, chunk by chunk, however the bytes were cut.
 *
 * A line ends with `\n`; a `\r` before it is not part of it, nor is a byte order mark at the very start (`verbatim`
 * keeps both, for who passes lines on). Lines are decoded a chunk at a time. What cannot be a line of text (invalid
 * UTF-8, longer than {@link maxBytes}) comes out in its place as a {@link Damaged}; one that is too long is not kept in
 * memory.
 *
 * @since 0.1.0
 */
import { isUtf8 } from "node:buffer"

/**
 * A line that is not text, and why. `raw` is the line as it came; of one that is too long, its first 200 bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Damaged {
  readonly _tag: "Damaged"
  readonly reason: string
  readonly bytes: number
  readonly raw: Buffer
}

/**
 * The longest line that is read, in bytes.
 *
 * @category models
 * @since 0.1.0
 */
export const maxBytes = 64 * 1024 * 1024

/**
 * Cuts chunks of bytes into lines. `push` gives the lines that a chunk completes, `end` what stands after the last
 * `\n`, if anything does. `pending` is how many bytes wait for their line to end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Splitter {
  readonly push: (chunk: Uint8Array) => Array<string | Damaged>
  readonly end: () => string | Damaged | undefined
  readonly pending: () => number
}

/**
 * A splitter at the start of its input. `limit` is the longest line it takes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const splitter = (
  { limit = maxBytes, verbatim = false }: { readonly limit?: number; readonly verbatim?: boolean } = {}
): Splitter => {
  // The start of a line that waits for its end: a copy, for a chunk may be a buffer that its reader fills again. Of a
  // line that is too long only what can be shown is kept, and the rest counted.
  let held = Buffer.alloc(0)
  let size = 0
  let carried = 0
  let first = true

  const keep = (part: Buffer): void => {
    carried += part.length
    const most = carried > limit ? shown : limit
    if (size > most) {
      held = Buffer.from(held.subarray(0, most))
      size = most
    }
    const more = Math.min(part.length, most - size)
    if (size + more > held.length) {
      const larger = Buffer.alloc(Math.max(size + more, Math.min(2 * held.length, most)))
      held.copy(larger, 0, 0, size)
      held = larger
    }
    part.copy(held, size, 0, more)
    size += more
  }

  const takeCarry = (): string | Damaged => {
    const line = carried > limit
      ? overlong(limit, held.subarray(0, size), carried)
      : decodeLine(held.subarray(0, size), verbatim)
    if (held.length > keptCapacity) held = Buffer.alloc(0)
    size = 0
    carried = 0
    return line
  }

  /** The first line of all loses its mark only now: it may have come in pieces. */
  const withoutMark = (line: string | Damaged): string | Damaged => {
    first = false
    return !verbatim && typeof line === "string" && line.charCodeAt(0) === 0xfeff ? line.slice(1) : line
  }

  return {
    push: (chunk) => {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      const last = bytes.lastIndexOf(0x0a)
      if (last < 0) {
        if (bytes.length > 0) keep(bytes)
        return []
      }
      const lines: Array<string | Damaged> = []
      let from = 0
      if (carried > 0) {
        from = bytes.indexOf(0x0a) + 1
        keep(bytes.subarray(0, from - 1))
        lines.push(takeCarry())
      }
      if (from <= last) decodeLines(bytes.subarray(from, last), limit, verbatim, lines)
      if (last + 1 < bytes.length) keep(bytes.subarray(last + 1))
      if (first && lines[0] !== undefined) lines[0] = withoutMark(lines[0])
      return lines
    },
    end: () => {
      if (carried === 0) return undefined
      const line = takeCarry()
      return first ? withoutMark(line) : line
    },
    pending: () => carried
  }
}

/** A longer line than this gives its memory back. */
const keptCapacity = 1024 * 1024

const shown = 200

/** Text is made of so many bytes at a time: a string as long as a chunk does not stay in the processor's cache. */
const pieceSize = 32 * 1024

const decodeLines = (bytes: Buffer, limit: number, verbatim: boolean, lines: Array<string | Damaged>): void => {
  if (bytes.length <= limit && isUtf8(bytes)) {
    for (let from = 0; from <= bytes.length;) {
      const at = from + pieceSize < bytes.length ? bytes.indexOf(0x0a, from + pieceSize) : -1
      const to = at < 0 ? bytes.length : at
      for (const line of bytes.toString("utf8", from, to).split("\n")) lines.push(verbatim ? line : withoutReturn(line))
      from = to + 1
    }
    return
  }
  for (let from = 0; from <= bytes.length;) {
    const at = bytes.indexOf(0x0a, from)
    const to = at < 0 ? bytes.length : at
    const line = bytes.subarray(from, to)
    lines.push(line.length > limit ? overlong(limit, line, line.length) : decodeLine(line, verbatim))
    from = to + 1
  }
}

const decodeLine = (bytes: Buffer, verbatim: boolean): string | Damaged => {
  if (!isUtf8(bytes)) return { _tag: "Damaged", reason: "not UTF-8", bytes: bytes.length, raw: Buffer.from(bytes) }
  const line = bytes.toString("utf8")
  return verbatim ? line : withoutReturn(line)
}

const withoutReturn = (line: string): string => line.endsWith("\r") ? line.slice(0, -1) : line

const overlong = (limit: number, start: Buffer, bytes: number): Damaged => ({
  _tag: "Damaged",
  reason: `longer than ${limit / 1024 / 1024} MiB`,
  bytes,
  raw: Buffer.from(start.subarray(0, shown))
})
