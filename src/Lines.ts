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
  let carry: Array<Buffer> = []
  let carried = 0
  let start = true

  const keep = (part: Buffer): void => {
    // An overlong line is counted to its end, but no more of it is kept than can be shown. A copy, for the chunk may be
    // a buffer that its reader fills again.
    if (carried <= limit) carry.push(Buffer.from(part))
    else if (carry.length > 1) carry = [carry[0]?.subarray(0, shown) ?? Buffer.alloc(0)]
    carried += part.length
  }

  const takeCarry = (): string | Damaged => {
    const line = carried > limit
      ? overlong(limit, carry[0] ?? Buffer.alloc(0), carried)
      : decodeLine(Buffer.concat(carry), verbatim)
    carry = []
    carried = 0
    return line
  }

  return {
    push: (chunk) => {
      let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      if (start && bytes.length > 0) {
        // A mark cut in two chunks is not worth the code: three bytes never are, outside of tests.
        if (!verbatim && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3)
        start = false
      }
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
      return lines
    },
    end: () => carried === 0 ? undefined : takeCarry(),
    pending: () => carried
  }
}

const shown = 200

const decodeLines = (bytes: Buffer, limit: number, verbatim: boolean, lines: Array<string | Damaged>): void => {
  if (bytes.length <= limit && isUtf8(bytes)) {
    for (const line of bytes.toString("utf8").split("\n")) lines.push(verbatim ? line : withoutReturn(line))
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
  if (!isUtf8(bytes)) return { _tag: "Damaged", reason: "not UTF-8", bytes: bytes.length, raw: bytes }
  const line = bytes.toString("utf8")
  return verbatim ? line : withoutReturn(line)
}

const withoutReturn = (line: string): string => line.endsWith("\r") ? line.slice(0, -1) : line

const overlong = (limit: number, start: Buffer, bytes: number): Damaged => ({
  _tag: "Damaged",
  reason: `longer than ${limit / 1024 / 1024} MiB`,
  bytes,
  raw: start.subarray(0, shown)
})
