/**
 * Making one table of two files: the rows of the old table, which lack the newest columns, and those of the tail.
 *
 * @since 0.1.0
 */
import type { OpenFile } from "./Files.ts"
import type { Stretch } from "./Layout.ts"
import * as Rows from "./Rows.ts"

/**
 * A row as a line of the tail.
 *
 * @category encoding
 * @since 0.1.0
 */
export const tailLine = (line: ReadonlyArray<Stretch>): string =>
  JSON.stringify(line.flatMap(({ count, start, text }) => [start, count, text]))

const stretchesOf = (text: string): ReadonlyArray<Stretch> => {
  const flat: ReadonlyArray<unknown> = JSON.parse(text)
  const line: Array<Stretch> = []
  for (let i = 0; i + 2 < flat.length; i += 3) {
    line.push({ start: Number(flat[i]), count: Number(flat[i + 1]), text: String(flat[i + 2]) })
  }
  return line
}

/**
 * Writes the rows of `main`, whose header has `from` columns, and then those of `tail`, all `to` columns wide. Each call
 * writes about a mebibyte; true says that it was the last.
 *
 * @category merging
 * @since 0.1.0
 */
export const steps = (
  { from, main, out, tail, to }: {
    readonly main: Readonly<OpenFile>
    readonly tail: Readonly<OpenFile>
    readonly from: number
    readonly to: number
    readonly out: Rows.Output
  }
): () => boolean => {
  const table = Rows.reader(main)
  const scanner = Rows.scanner()
  let header = true
  const widen = (chunk: Buffer): void => {
    scanner.chunk(chunk)
    let start = 0
    for (let end = scanner.next(); end >= 0; end = scanner.next()) {
      if (!header) {
        out.bytes(chunk, start, end)
        out.commas(to - from)
        out.endOfRow()
      }
      header = false
      start = end + 1
    }
    if (!header) out.bytes(chunk, start, chunk.length)
  }

  const waiting = Rows.reader(tail)
  let torn: ReadonlyArray<Buffer> = []
  const render = (chunk: Buffer): void => {
    let start = 0
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
      const text = torn.length === 0
        ? chunk.toString("utf8", start, end)
        : Buffer.concat([...torn, chunk.subarray(start, end)]).toString("utf8")
      torn = []
      out.row(stretchesOf(text), to)
      start = end + 1
    }
    if (start < chunk.length) torn = [...torn, Buffer.from(chunk.subarray(start))]
  }

  let inTail = false
  return () => {
    const before = out.written()
    for (let chunks = 0; chunks < 64 && out.written() - before < 1024 * 1024; chunks++) {
      const chunk = (inTail ? waiting : table).next()
      if (chunk !== undefined) (inTail ? render : widen)(chunk)
      else {
        const [file, reader] = inTail ? [tail, waiting] : [main, table]
        if (reader.position() < file.length) throw new Error(`${file.path} is shorter than what was written to it`)
        if (inTail) return true
        inTail = true
      }
    }
    return false
  }
}
