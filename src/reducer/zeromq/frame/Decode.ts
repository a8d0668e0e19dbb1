/**
 * Bytes to frames, whatever the bytes.
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
  domains,
  type Fault,
  type Frame,
  type Head,
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
  type Refused
} from "./Model.ts"

// -----------------------------------------------------------------------------
// Decoding
// -----------------------------------------------------------------------------

/**
 * What bytes say, or why they say nothing; frames of another job are refused where one is given.
 *
 * Numbers are views of the bytes where these are aligned: they stay alive as long as the frame does, and must not be
 * written to.
 *
 * @category decoding
 * @since 0.3.0
 */
export const decode = (bytes: Uint8Array, job?: bigint): Frame | Refused => {
  // Other versions are only promised to start like this.
  if (bytes.length < 8) return refuse("truncated", `${bytes.length} bytes are no frame`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(at.magic, true) !== magic) return refuse("magic", "not a frame of ezpz-stream")
  if (bytes[at.major] !== major) {
    return refuse("version", `speaks version ${bytes[at.major]} of the protocol, this is version ${major}`)
  }
  if (bytes.length < headerBytes) return refuse("truncated", `a header of ${bytes.length} bytes`)
  if (bytes.length > limits.frameBytes) return refuse("length", `a frame of ${bytes.length} bytes`)
  const payload = view.getUint32(at.payload, true)
  if (bytes.length < headerBytes + payload) return refuse("truncated", "a frame that is cut short")
  if (bytes.length > headerBytes + payload) return refuse("length", "a frame with something behind it")
  if (view.getUint32(at.checksum, true) !== checksum(bytes)) return refuse("checksum", "a frame that was damaged")
  const head: Head = {
    flags: view.getUint16(at.flags, true),
    job: view.getBigUint64(at.job, true),
    rank: view.getUint32(at.rank, true),
    incarnation: view.getUint32(at.incarnation, true),
    worldSize: view.getUint32(at.worldSize, true),
    seq: view.getFloat64(at.seq, true),
    sentAt: view.getFloat64(at.sentAt, true)
  }
  if (job !== undefined && head.job !== job) return refuse("job", "a frame of another job")
  if (!Number.isSafeInteger(head.seq) || head.seq < 0) return refuse("malformed", "a frame without a number")
  if (!Number.isFinite(head.sentAt)) return refuse("malformed", "a frame without a time")
  if (head.rank >= head.worldSize) return refuse("malformed", `rank ${head.rank} of ${head.worldSize}`)
  const type = types[bytes[at.type]!]
  switch (type) {
    case undefined:
      return { ...head, type: "unknown", code: bytes[at.type]! }
    case "ack":
    case "heartbeat":
      return payload === 0 ? { ...head, type } : refuse("malformed", `a ${type} with a payload`)
    case "schema":
      return schemaOf(head, bytes, view)
    case "leaf":
    case "aggregate":
      return columnsOf(head, type, bytes, view)
    default:
      return bodyOf(head, type, bytes)
  }
}

// -----------------------------------------------------------------------------
// Contents
// -----------------------------------------------------------------------------

const types = Object.keys(codes).reduce<Array<keyof typeof codes | undefined>>((types, name) => {
  const type = name as keyof typeof codes
  types[codes[type]] = type
  return types
}, [undefined])

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const bodyOf = (
  head: Head,
  type: "hello" | "welcome" | "result" | "bye" | "carry",
  bytes: Uint8Array
): Frame | Refused => {
  if (bytes.length - headerBytes > limits.bodyBytes) return refuse("length", `a ${type} of ${bytes.length} bytes`)
  try {
    const body: JsonObject = JSON.parse(utf8.decode(bytes.subarray(headerBytes)))
    return typeof body === "object" && body !== null && !Array.isArray(body)
      ? { ...head, type, body }
      : refuse("malformed", `a ${type} that is no object`)
  } catch {
    return refuse("malformed", `a ${type} that is not JSON`)
  }
}

const schemaOf = (head: Head, bytes: Uint8Array, view: DataView): Frame | Refused => {
  const id = view.getUint32(at.schema, true)
  const count = view.getUint32(at.keys, true)
  if (id === 0) return refuse("malformed", "a schema without a number")
  if (count > limits.keys) return refuse("malformed", `a schema of ${count} keys`)
  const keys: Array<string> = []
  let from = headerBytes
  try {
    for (let k = 0; k < count; k++) {
      if (from + 4 > bytes.length) return refuse("malformed", "a schema with fewer keys than it says")
      const length = view.getUint32(from, true)
      from += 4
      if (length > limits.keyBytes || from + length > bytes.length) return refuse("malformed", "a key that is too long")
      keys.push(utf8.decode(bytes.subarray(from, from + length)))
      from += length
    }
  } catch {
    return refuse("malformed", "a key that is not UTF-8")
  }
  if (bytes.length - from > 7) return refuse("malformed", "a schema with more than its keys")
  if (new Set(keys).size !== keys.length) return refuse("malformed", "a schema that names a key twice")
  return { ...head, type: "schema", id, keys, bytes: bytes.length }
}

const columnsOf = (
  head: Head,
  type: "leaf" | "aggregate",
  bytes: Uint8Array,
  view: DataView
): Frame | Refused => {
  const schema = view.getUint32(at.schema, true)
  const keys = view.getUint32(at.keys, true)
  const count = view.getUint32(at.count, true)
  const dense = (head.flags & denseFlag) !== 0
  if (schema === 0) return refuse("malformed", `a ${type} without a schema`)
  if (keys > limits.keys) return refuse("malformed", `a ${type} of ${keys} keys`)
  if (count === 0 || count > limits.records) return refuse("malformed", `a ${type} of ${count} records`)
  const from = layout(type, keys, count, dense)
  const end = headerBytes + from.bytes
  const all = type === "leaf" ? end : endOfRankSets(view, end, count)
  if (all !== bytes.length) return refuse("malformed", `a ${type} of another length than it says`)
  const steps = doubles(bytes, headerBytes + from.steps, count)
  const domain = bytes.subarray(headerBytes + from.domains, headerBytes + from.domains + count)
  for (let i = 0; i < count; i++) {
    if (!Number.isFinite(steps[i])) return refuse("malformed", "a step that is no number")
    if (domain[i]! > domains.counted) return refuse("malformed", "a step that counts nothing known")
  }
  const presence = bytes.subarray(headerBytes + from.presence, headerBytes + from.values)
  const values = doubles(bytes, headerBytes + from.values, from.numbers)
  const columns = { count, keys, steps, domains: domain, dense, present: presentIn(presence, keys, dense) }
  if (type === "leaf") {
    const records: Leaf = { ...columns, values }
    return { ...head, type, schema, keys, records }
  }
  const sets = words(bytes, headerBytes + from.sets, count)
  const several = view.getUint32(end, true)
  for (let i = 0; i < count; i++) {
    if (sets[i]! >= several) return refuse("malformed", "an entry of ranks that are not told")
  }
  if (!areMoments(values, count, keys, dense ? undefined : presence, head.worldSize)) {
    return refuse("malformed", "statistics that cannot be")
  }
  const ranks = rankSetsAt(view, end, head.worldSize)
  if (ranks === undefined) return refuse("malformed", "ranks that are no set")
  const occurrences = words(bytes, headerBytes + from.occurrences, count)
  const entries: Aggregate = { ...columns, occurrences, sets, ranks, moments: values }
  return { ...head, type, schema, keys, entries }
}

const presentIn = (bits: Uint8Array, keys: number, dense: boolean): (record: number, key: number) => boolean => {
  if (dense) return () => true
  const stride = presenceBytes(keys)
  return (record, key) => (bits[record * stride + (key >>> 3)]! & (1 << (key & 7))) !== 0
}

/**
 * Whether everything that is there can be moments: what reads them counts on it. Each number that a root takes from its
 * aggregators comes by here, so nothing is made on the way.
 */
const areMoments = (
  moments: Float64Array,
  count: number,
  keys: number,
  bits: Uint8Array | undefined,
  worldSize: number
): boolean => {
  const stride = presenceBytes(keys)
  let at = 0
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < keys; k++, at += momentFields) {
      if (bits !== undefined && (bits[i * stride + (k >>> 3)]! & (1 << (k & 7))) === 0) continue
      const n = moments[at]!
      if (!isCount(n) || !isCount(moments[at + 1]!)) return false
      const scale = moments[at + 6]!
      if (scale !== 0 && scale !== 1 && scale !== -1) return false
      if (n === 0) continue
      const min = moments[at + 2]!
      const max = moments[at + 3]!
      if (!(-Infinity < min && min <= max && max < Infinity)) return false
      const argmin = moments[at + 4]!
      const argmax = moments[at + 5]!
      if (!isCount(argmin) || argmin >= worldSize || !isCount(argmax) || argmax >= worldSize) return false
      for (let field = 7; field < momentFields; field++) if (!Number.isFinite(moments[at + field]!)) return false
    }
  }
  return true
}

/**
 * Where a frame ends whose rank sets begin at `from`; -1 where they reach beyond it, are none, or are more than entries.
 */
const endOfRankSets = (view: DataView, from: number, entries: number): number => {
  const end = view.byteLength
  if (from + 4 > end) return -1
  const sets = view.getUint32(from, true)
  if (sets === 0 || sets > entries) return -1
  let at = from + 4
  for (let s = 0; s < sets; s++) {
    if (at + 4 > end) return -1
    at += 4 + 8 * view.getUint32(at, true)
  }
  return at <= end ? padded(at) : -1
}

/** Copies: whoever keeps a set must not keep the whole frame with it. */
const rankSetsAt = (view: DataView, from: number, worldSize: number): ReadonlyArray<RankSet> | undefined => {
  const sets: Array<RankSet> = []
  let at = from + 4
  for (let s = view.getUint32(from, true); s > 0; s--) {
    const set = new Uint32Array(2 * view.getUint32(at, true))
    at += 4
    for (let i = 0; i < set.length; i++, at += 4) set[i] = view.getUint32(at, true)
    if (!isCanonical(set, worldSize)) return undefined
    sets.push(set)
  }
  return sets
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const refuse = (fault: Fault, reason: string): Refused => ({ _tag: "Refused", fault, reason })

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

const header = new Uint8Array(headerBytes)

/** Of the frame as it was before the checksum was put in. */
const checksum = (bytes: Uint8Array): number => {
  header.set(bytes.subarray(0, headerBytes))
  header.fill(0, at.checksum, at.checksum + 4)
  const start = crc32(header)
  return bytes.length === headerBytes ? start : crc32(bytes.subarray(headerBytes), start)
}

const doubles = (bytes: Uint8Array, from: number, count: number): Float64Array => {
  const start = bytes.byteOffset + from
  if (start % 8 === 0 && !bigEndian) return new Float64Array(bytes.buffer, start, count)
  const copy = new Float64Array(count)
  new Uint8Array(copy.buffer).set(bytes.subarray(from, from + 8 * count))
  if (bigEndian) Buffer.from(copy.buffer).swap64()
  return copy
}

const words = (bytes: Uint8Array, from: number, count: number): Uint32Array => {
  const start = bytes.byteOffset + from
  if (start % 4 === 0 && !bigEndian) return new Uint32Array(bytes.buffer, start, count)
  const copy = new Uint32Array(count)
  new Uint8Array(copy.buffer).set(bytes.subarray(from, from + 4 * count))
  if (bigEndian) Buffer.from(copy.buffer).swap32()
  return copy
}
