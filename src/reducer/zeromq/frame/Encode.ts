/**
 * Frames to bytes. What is beyond a limit is the caller's mistake and throws a RangeError.
 *
 * @since 0.3.0
 */
import { crc32 } from "node:zlib"
import {
  type Aggregate,
  at,
  bigEndian,
  codes,
  denseFlag,
  headerBytes,
  type JsonObject,
  layout,
  type Leaf,
  limits,
  magic,
  major,
  padded,
  presenceBytes,
  type Stamp
} from "./Model.ts"

// -----------------------------------------------------------------------------
// Encoding
// -----------------------------------------------------------------------------

/**
 * A frame whose content is JSON.
 *
 * @category encoding
 * @since 0.3.0
 */
export const encodeBody = (
  type: "hello" | "welcome" | "result" | "bye",
  stamp: Stamp,
  body: JsonObject
): Uint8Array<ArrayBuffer> => {
  const text = utf8.encode(JSON.stringify(body))
  within("body", text.length, limits.bodyBytes)
  // Padded with spaces, which JSON does not mind.
  const frame = open(type, stamp, padded(text.length))
  frame.bytes.set(text, headerBytes)
  frame.bytes.fill(0x20, headerBytes + text.length)
  return close(frame)
}

/**
 * A frame that names the keys of a schema.
 *
 * @category encoding
 * @since 0.3.0
 */
export const encodeSchema = (stamp: Stamp, id: number, keys: ReadonlyArray<string>): Uint8Array<ArrayBuffer> => {
  within("keys", keys.length, limits.keys)
  const texts = keys.map((key) => utf8.encode(key))
  let length = 0
  for (const text of texts) {
    within("key", text.length, limits.keyBytes)
    length += 4 + text.length
  }
  const frame = open("schema", stamp, padded(length))
  frame.view.setUint32(at.schema, id, true)
  frame.view.setUint32(at.keys, keys.length, true)
  let to = headerBytes
  for (const text of texts) {
    frame.view.setUint32(to, text.length, true)
    frame.bytes.set(text, to + 4)
    to += 4 + text.length
  }
  return close(frame)
}

/**
 * A frame of records, the first `count` of the columns. `presence` are the bits of each record, {@link Leaf.keys} of
 * them filled up to whole 64; undefined where every value is there.
 *
 * @category encoding
 * @since 0.3.0
 */
export const encodeLeaf = (
  stamp: Stamp,
  schema: number,
  leaf: Pick<Leaf, "count" | "keys" | "steps" | "domains" | "values">,
  presence?: Uint8Array
): Uint8Array<ArrayBuffer> => {
  const { count, keys } = leaf
  const to = layout("leaf", keys, count, presence === undefined)
  const frame = openColumns("leaf", stamp, schema, leaf, to, presence)
  putDoubles(frame.bytes, headerBytes + to.values, leaf.values, to.numbers)
  return close(frame)
}

/**
 * A frame of statistics. `presence` as in {@link encodeLeaf}.
 *
 * @category encoding
 * @since 0.3.0
 */
export const encodeAggregate = (
  stamp: Stamp,
  schema: number,
  entries: Omit<Aggregate, "dense" | "present">,
  presence?: Uint8Array
): Uint8Array<ArrayBuffer> => {
  const { count, keys } = entries
  const to = layout("aggregate", keys, count, presence === undefined)
  const frame = openColumns("aggregate", stamp, schema, entries, to, presence)
  for (let i = 0; i < count; i++) {
    frame.view.setUint32(headerBytes + to.occurrences + 4 * i, entries.occurrences[i]!, true)
    frame.view.setUint32(headerBytes + to.ranks + 4 * i, entries.ranks[i]!, true)
  }
  putDoubles(frame.bytes, headerBytes + to.values, entries.moments, to.numbers)
  return close(frame)
}

/**
 * A frame that is a header alone. In both, `seq` tells which frames are done with: an `ack` says that those up to it
 * need not be kept, a `heartbeat` that those up to it will not be sent (again).
 *
 * @category encoding
 * @since 0.3.0
 */
export const encodeSignal = (type: "ack" | "heartbeat", stamp: Stamp): Uint8Array<ArrayBuffer> =>
  close(open(type, stamp, 0))

/**
 * How long a leaf frame is.
 *
 * @category reading
 * @since 0.3.0
 */
export const leafBytes = (keys: number, count: number, dense = false): number =>
  headerBytes + layout("leaf", keys, count, dense).bytes

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

interface Open {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly view: DataView
}

const utf8 = new TextEncoder()

const within = (what: string, size: number, limit: number): void => {
  if (size > limit) throw new RangeError(`${what}: ${size} is beyond the limit of ${limit}`)
}

const open = (type: keyof typeof codes, stamp: Stamp, payload: number): Open => {
  within("frame", headerBytes + payload, limits.frameBytes)
  const bytes = fresh(headerBytes + payload)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  view.setUint32(at.magic, magic, true)
  view.setUint8(at.major, major)
  view.setUint8(at.type, codes[type])
  view.setBigUint64(at.job, stamp.job, true)
  view.setUint32(at.rank, stamp.rank, true)
  view.setUint32(at.incarnation, stamp.incarnation, true)
  view.setFloat64(at.seq, stamp.seq, true)
  view.setUint32(at.payload, payload, true)
  view.setUint32(at.worldSize, stamp.worldSize, true)
  view.setFloat64(at.sentAt, stamp.sentAt, true)
  return { bytes, view }
}

/** Small frames are pieces of larger buffers, which come at a third of the price; no piece is given out twice. */
const slabBytes = 64 * 1024
let slab = new ArrayBuffer(0)
let used = 0

const fresh = (length: number): Uint8Array<ArrayBuffer> => {
  if (length > slabBytes / 4) return new Uint8Array(length)
  if (used + length > slab.byteLength) {
    slab = new ArrayBuffer(slabBytes)
    used = 0
  }
  const bytes = new Uint8Array(slab, used, length)
  used += length
  return bytes
}

const close = ({ bytes, view }: Open): Uint8Array<ArrayBuffer> => {
  view.setUint32(at.checksum, crc32(bytes), true)
  return bytes
}

const openColumns = (
  type: "leaf" | "aggregate",
  stamp: Stamp,
  schema: number,
  columns: Pick<Leaf, "count" | "keys" | "steps" | "domains">,
  to: ReturnType<typeof layout>,
  presence: Uint8Array | undefined
): Open => {
  const { count, keys } = columns
  within("records", count, limits.records)
  within("keys", keys, limits.keys)
  const frame = open(type, stamp, to.bytes)
  frame.view.setUint16(at.flags, presence === undefined ? denseFlag : 0, true)
  frame.view.setUint32(at.schema, schema, true)
  frame.view.setUint32(at.keys, keys, true)
  frame.view.setUint32(at.count, count, true)
  putDoubles(frame.bytes, headerBytes, columns.steps, count)
  for (let i = 0; i < count; i++) frame.bytes[headerBytes + to.domains + i] = columns.domains[i]!
  if (presence !== undefined) {
    frame.bytes.set(presence.subarray(0, count * presenceBytes(keys)), headerBytes + to.presence)
  }
  return frame
}

const putDoubles = (bytes: Uint8Array<ArrayBuffer>, at: number, values: Float64Array, count: number): void => {
  const from = bytes.byteOffset + at
  new Float64Array(bytes.buffer, from, count).set(values.length === count ? values : values.subarray(0, count))
  if (bigEndian) Buffer.from(bytes.buffer, from, 8 * count).swap64()
}
