/**
 * The framing of a `.wandb` file: records of bytes in blocks, so that a torn end is known and costs what is torn.
 *
 * - The file begins with 7 bytes: `:W&B`, 0xBEE1 (u16, little endian), version 0. They count into the first block.
 * - A block is 32768 bytes and holds chunks: crc32 (u32) of the type and the data, length of the data (u16), type (u8),
 *   the data; all numbers little endian.
 * - A record is one chunk of type 1 (full), or a first (2), middle ones (3) and a last (4) where it does not fit what is
 *   left of its block. Fewer than 7 bytes at the end of a block are zeros.
 *
 * Reading stops at the first chunk that is not whole, or does not follow from the one before it.
 *
 * @since 0.2.0
 */
import * as Fs from "node:fs"
import { crc32 } from "node:zlib"

const blockLength = 32_768
const headerLength = 7

const full = 1
const first = 2
const middle = 3
const last = 4

/** The checksum begins with the type. */
const checksums = [0, full, first, middle, last].map((type) => crc32(Uint8Array.of(type)))

/** zlib begins anew where there is no memory behind the data, which may be so where there is no data. */
const checksum = (data: Uint8Array, type: number): number =>
  data.length === 0 ? checksums[type] ?? 0 : crc32(data, checksums[type])

/**
 * What a file begins with.
 *
 * @category framing
 * @since 0.2.0
 */
export const fileHeader: Uint8Array = Uint8Array.of(0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0)

/**
 * Records that lie one after the other in `bytes`, each up to one of `ends`, as the bytes that stand in a file from
 * `position` on; in these, the last record begins at `lastStart`.
 *
 * @category framing
 * @since 0.2.0
 */
export const frame = (
  bytes: Uint8Array,
  ends: ReadonlyArray<number>,
  position: number
): { readonly bytes: Buffer; readonly lastStart: number } => {
  const blocks = Math.ceil((bytes.length + ends.length * headerLength) / (blockLength - 2 * headerLength)) + 1
  const out = Buffer.allocUnsafe(bytes.length + (ends.length + 2 * blocks) * headerLength)
  let at = 0
  let from = 0
  let lastStart = 0
  for (const end of ends) {
    for (let begun = false;; begun = true) {
      let room = blockLength - (position + at) % blockLength
      if (room < headerLength) {
        out.fill(0, at, at + room)
        at += room
        room = blockLength
      }
      if (!begun) lastStart = at
      const length = Math.min(end - from, room - headerLength)
      const whole = from + length === end
      const type = whole ? begun ? last : full : begun ? middle : first
      out.writeUInt32LE(checksum(bytes.subarray(from, from + length), type), at)
      out.writeUInt16LE(length, at + 4)
      out[at + 6] = type
      out.set(bytes.subarray(from, from + length), at + headerLength)
      at += headerLength + length
      from += length
      if (whole) break
    }
  }
  return { bytes: out.subarray(0, at), lastStart }
}

/**
 * Reads the records of an open file from a position where one begins, and gives the position where the last one ends
 * that is whole. `visit` is told where each begins and ends, and may say that it has seen enough.
 *
 * @category reading
 * @since 0.2.0
 */
export const scan = (
  fd: number,
  position: number,
  visit: (record: Uint8Array, start: number, end: number) => boolean | void
): number => {
  const block = Buffer.alloc(blockLength)
  let loaded = -1
  let length = 0
  /** The bytes of the block that a position is in, from it on. */
  const from = (at: number): Buffer => {
    const number = Math.floor(at / blockLength)
    if (number !== loaded) {
      loaded = number
      length = read(fd, block, number * blockLength)
    }
    return block.subarray(at % blockLength, length)
  }
  let parts: Array<Uint8Array> = []
  let start = position
  let end = position
  for (let at = position;;) {
    const room = blockLength - at % blockLength
    if (room < headerLength) {
      at += room
      continue
    }
    const rest = from(at)
    if (rest.length < headerLength) return end
    const type = rest[6] ?? 0
    const data = rest.subarray(headerLength, headerLength + rest.readUInt16LE(4))
    const fits = parts.length === 0 ? type === full || type === first : type === middle || type === last
    if (!fits || data.length < rest.readUInt16LE(4) || checksum(data, type) !== rest.readUInt32LE(0)) return end
    if (parts.length === 0) start = at
    at += headerLength + data.length
    parts.push(Uint8Array.from(data))
    if (type !== full && type !== last) continue
    const record = parts.length === 1 ? parts[0] ?? data : Buffer.concat(parts)
    parts = []
    if (visit(record, start, at) === true) return at
    end = at
  }
}

/**
 * Whether an open file begins as one of these does.
 *
 * @category reading
 * @since 0.2.0
 */
export const isDatastore = (fd: number): boolean => {
  const start = Buffer.alloc(fileHeader.length)
  return read(fd, start, 0) === start.length && start.equals(fileHeader)
}

const read = (fd: number, into: Buffer, position: number): number => {
  let length = 0
  while (length < into.length) {
    const more = Fs.readSync(fd, into, length, into.length - length, position + length)
    if (more === 0) break
    length += more
  }
  return length
}
