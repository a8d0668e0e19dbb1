/**
 * Rows of CSV as bytes: collecting them into few large writes, and finding where they end in a file.
 *
 * A row ends at a `\n` outside quotes. A quoted quote is two of them, so outside and inside simply alternate.
 *
 * @since 0.1.0
 */
import * as Fs from "node:fs"
import * as Files from "./Files.ts"
import type { Stretch } from "./Layout.ts"

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/**
 * Collects rows, and writes them from `position` on. What was handed over by the end of a row is written whole: in one
 * write, or where it is more than a mebibyte in several, each of whole rows. `end` writes what is left, and gives the
 * position after it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Output {
  readonly row: (line: ReadonlyArray<Stretch>, width: number) => void
  readonly text: (text: string) => void
  readonly bytes: (from: Buffer, start: number, end: number) => void
  readonly commas: (count: number) => void
  readonly endOfRow: () => void
  readonly written: () => number
  readonly end: () => number
}

const enough = 1024 * 1024
const comma = 0x2c
const lineFeed = 0x0a
const quote = 0x22

/**
 * An output to a file from a position on. Its functions throw what `node:fs` throws.
 *
 * @category constructors
 * @since 0.1.0
 */
export const output = (fd: number, from: number): Output => {
  let buffer = Buffer.allocUnsafe(16 * 1024)
  let length = 0
  let position = from

  const reserve = (bytes: number): void => {
    if (length + bytes <= buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(buffer.length * 2, length + bytes))
    buffer.copy(larger, 0, 0, length)
    buffer = larger
  }
  const flush = (): void => {
    Files.writeFully(fd, buffer.subarray(0, length), position)
    position += length
    length = 0
  }
  const text = (text: string): void => {
    reserve(text.length * 3)
    length += buffer.write(text, length)
  }
  const commas = (count: number): void => {
    reserve(count)
    if (count < 16) { for (let i = 0; i < count; i++) buffer[length + i] = comma }
    else buffer.fill(comma, length, length + count)
    length += count
  }
  const endOfRow = (): void => {
    reserve(1)
    buffer[length++] = lineFeed
    if (length >= enough) flush()
  }
  return {
    row: (line, width) => {
      let column = 0
      for (const stretch of line) {
        commas(stretch.start - column)
        text(stretch.text)
        column = stretch.start + stretch.count - 1
      }
      commas(width - 1 - column)
      endOfRow()
    },
    text,
    bytes: (source, start, end) => {
      reserve(end - start)
      length += source.copy(buffer, length, start, end)
    },
    commas,
    endOfRow,
    written: () => position - from,
    end: () => {
      flush()
      return position
    }
  }
}

/**
 * Appends what `write` hands over to a file, or nothing of it.
 *
 * @category writing
 * @since 0.1.0
 */
export const append = (file: Files.OpenFile, write: (out: Output) => void): void => {
  Files.at(file.path, () => Files.tidy(file))
  const out = output(file.fd, file.length)
  try {
    write(out)
    file.length = out.end()
  } catch (cause) {
    Files.quietly(() => Files.cut(file, file.length))
    throw Files.failure(file.path, cause)
  }
}

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/**
 * Finds the ends of rows in a file that is read chunk by chunk. `chunk` begins a new chunk; `next` gives the index of
 * the next `\n` that ends a row, or -1 where the chunk holds no more of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scanner {
  readonly chunk: (bytes: Buffer) => void
  readonly next: () => number
}

/**
 * A scanner at the start of a row.
 *
 * @category constructors
 * @since 0.1.0
 */
export const scanner = (): Scanner => {
  let bytes: Buffer = Buffer.alloc(0)
  let at = 0
  let quoted = false
  // Where the next ones are, from `at` on: so that a chunk is searched for each but once.
  let nextQuote = -1
  let nextEnd = -1
  const find = (byte: number): number => {
    const found = bytes.indexOf(byte, at)
    return found < 0 ? bytes.length : found
  }
  return {
    chunk: (chunk) => {
      bytes = chunk
      at = 0
      nextQuote = nextEnd = -1
    },
    next: () => {
      while (true) {
        if (nextQuote < at) nextQuote = find(quote)
        if (!quoted) {
          if (nextEnd < at) nextEnd = find(lineFeed)
          if (nextEnd < nextQuote) {
            at = nextEnd + 1
            return nextEnd
          }
        }
        if (nextQuote === bytes.length) {
          at = bytes.length
          return -1
        }
        quoted = !quoted
        at = nextQuote + 1
      }
    }
  }
}

/**
 * Reads a file's first `length` bytes, chunk by chunk. `next` gives undefined at the end; a chunk holds until then.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reader = (
  { fd, length }: Readonly<Files.OpenFile>
): { readonly next: () => Buffer | undefined; readonly position: () => number } => {
  const buffer = Buffer.allocUnsafe(64 * 1024)
  let position = 0
  return {
    position: () => position,
    next: () => {
      const count = Fs.readSync(fd, buffer, 0, Math.min(buffer.length, length - position), position)
      position += count
      return count === 0 ? undefined : buffer.subarray(0, count)
    }
  }
}
