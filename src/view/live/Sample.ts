/**
 * The shape of a long log, at once: lines from places spread evenly over it, and its end.
 *
 * @since 0.5.0
 */
import * as Fs from "node:fs"
import { decodeLine, type Entry } from "../../runlog/Entry.ts"

const blockBytes = 16 * 1024
const allBytes = 4 * 1024 * 1024
const mostBlocks = 128
const longestLine = 4 * 1024 * 1024

/**
 * Entries from all over a file, in their order. Throws where the file cannot be read.
 *
 * @category reading
 * @since 0.5.0
 */
export const entries = (path: string, size: number): ReadonlyArray<Entry> => {
  const fd = Fs.openSync(path, "r")
  try {
    const first = Buffer.allocUnsafe(Math.min(size, longestLine))
    const line = first.subarray(0, Fs.readSync(fd, first, 0, first.length, 0)).indexOf(newline) + 1
    const block = Math.max(blockBytes, 4 * line)
    const count = Math.max(2, Math.min(mostBlocks, Math.floor(allBytes / block)))
    const buffer = Buffer.allocUnsafe(block)
    const found: Array<Entry> = []
    let until = 0
    for (let nth = 0; nth < count; nth++) {
      const at = Math.max(until, Math.floor((size - block) * nth / (count - 1)))
      const bytes = buffer.subarray(0, Fs.readSync(fd, buffer, 0, block, at))
      // Its first line began before it, its last one ends after it; between two blocks there are none.
      const from = at === 0 ? 0 : bytes.indexOf(newline) + 1
      const to = bytes.lastIndexOf(newline)
      until = at + bytes.length
      if (to <= from) continue
      for (const text of bytes.toString("utf8", from, to).split("\n")) {
        const entry = decodeLine(text)
        if (!("_tag" in entry)) found.push(entry)
      }
    }
    return found
  } finally {
    Fs.closeSync(fd)
  }
}

const newline = 0x0a
