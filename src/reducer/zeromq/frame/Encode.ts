/**
 * Frames to bytes. What is beyond a limit is the caller's mistake and throws a RangeError.
 *
 * @since 0.3.0
 */
import { crc32 } from "node:zlib"
import { isCanonical, type RankSet } from "../RankSet.ts"
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
  momentFields,
  padded,
  presenceBytes,
  rankSetBytes,
  type Stamp
} from "./Model.ts"

/**
 * Memory of this length that nobody needs, if there is some.
 *
 * @category models
 * @since 0.5.2
 */
export type Memory = (length: number) => Uint8Array<ArrayBuffer> | undefined

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
  type: "hello" | "welcome" | "result" | "bye" | "carry",
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
  presence?: Uint8Array,
  memory?: Memory
): Uint8Array<ArrayBuffer> => {
  const { count, keys } = leaf
  const to = layout("leaf", keys, count, presence === undefined)
  const frame = openColumns("leaf", stamp, schema, leaf, to, presence, 0, memory)
  putDoubles(frame.bytes, headerBytes + to.values, leaf.values, to.numbers)
  return close(frame)
}

/**
 * A frame of statistics. `presence` as in {@link encodeLeaf}; there are at most as many rank sets as entries.
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
  const { count, keys, ranks, sets } = entries
  within("rank sets", ranks.length, count)
  for (const set of ranks) {
    if (!isCanonical(set, stamp.worldSize)) throw new RangeError(`rank set: ${set.join()} of ${stamp.worldSize}`)
  }
  const to = layout("aggregate", keys, count, presence === undefined)
  const frame = openColumns("aggregate", stamp, schema, entries, to, presence, rankSetBytes(ranks))
  for (let i = 0; i < count; i++) {
    within("the rank set of an entry", sets[i]!, ranks.length - 1)
    frame.view.setUint32(headerBytes + to.occurrences + 4 * i, entries.occurrences[i]!, true)
    frame.view.setUint32(headerBytes + to.sets + 4 * i, sets[i]!, true)
  }
  putDoubles(frame.bytes, headerBytes + to.values, entries.moments, to.numbers)
  putRankSets(frame.view, headerBytes + to.bytes, ranks)
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

/**
 * How long an aggregate frame is.
 *
 * @category reading
 * @since 0.3.0
 */
export const aggregateBytes = (keys: number, count: number, ranks: ReadonlyArray<RankSet>, dense = false): number =>
  headerBytes + layout("aggregate", keys, count, dense).bytes + rankSetBytes(ranks)

/**
 * How much an entry with a rank set of its own takes in an aggregate frame, at most: a frame is not longer than its
 * header and its entries together.
 *
 * @category reading
 * @since 0.3.0
 */
export const entryBytes = (keys: number, ranks: RankSet): number =>
  40 + presenceBytes(keys) + 8 * momentFields * keys + 4 * ranks.length

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

/** All is 0 but the numbers, which the caller writes: `numbers` of them, `values` bytes behind the header. */
const open = (
  type: keyof typeof codes,
  stamp: Stamp,
  payload: number,
  values = 0,
  numbers = 0,
  memory?: Memory
): Open => {
  within("frame", headerBytes + payload, limits.frameBytes)
  const from = headerBytes + values
  const bytes = memoryOf(headerBytes + payload, from, from + 8 * numbers, memory)
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

const memoryOf = (length: number, from: number, to: number, memory?: Memory): Uint8Array<ArrayBuffer> => {
  if (length > slabBytes / 4) {
    // What is written anyway need not be cleared, which costs more than writing it.
    const bytes = memory?.(length) ?? new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    return bytes.fill(0, 0, from).fill(0, to)
  }
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
  presence: Uint8Array | undefined,
  behind = 0,
  memory?: Memory
): Open => {
  const { count, keys } = columns
  within("records", count, limits.records)
  within("keys", keys, limits.keys)
  const frame = open(type, stamp, to.bytes + behind, to.values, to.numbers, memory)
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

const putRankSets = (view: DataView, at: number, ranks: ReadonlyArray<RankSet>): void => {
  view.setUint32(at, ranks.length, true)
  let to = at + 4
  for (const set of ranks) {
    view.setUint32(to, set.length / 2, true)
    to += 4
    for (let i = 0; i < set.length; i++, to += 4) view.setUint32(to, set[i]!, true)
  }
}
