/**
 * Bytes to frames, whatever the bytes.
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

const bodyOf = (head: Head, type: "hello" | "welcome" | "result" | "bye", bytes: Uint8Array): Frame | Refused => {
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
  if (headerBytes + from.bytes !== bytes.length) return refuse("malformed", `a ${type} of another length than it says`)
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
  const entries: Aggregate = {
    ...columns,
    occurrences: words(view, headerBytes + from.occurrences, count),
    ranks: words(view, headerBytes + from.ranks, count),
    moments: values
  }
  return areMoments(entries)
    ? { ...head, type, schema, keys, entries }
    : refuse("malformed", "statistics that cannot be")
}

const presentIn = (bits: Uint8Array, keys: number, dense: boolean): (record: number, key: number) => boolean => {
  if (dense) return () => true
  const stride = presenceBytes(keys)
  return (record, key) => (bits[record * stride + (key >>> 3)]! & (1 << (key & 7))) !== 0
}

/** Whether everything that is there can be moments: what reads them counts on it. */
const areMoments = (entries: Aggregate): boolean => {
  const { count, keys, moments, present } = entries
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < keys; k++) {
      if (!present(i, k)) continue
      const from = (i * keys + k) * momentFields
      const [n, nonFinite, min, max, argmin, argmax, scale] = moments.subarray(from, from + momentFields)
      if (!isCount(n!) || !isCount(nonFinite!) || (scale !== 0 && scale !== 1 && scale !== -1)) return false
      if (n === 0) continue
      if (!(-Infinity < min! && min! <= max! && max! < Infinity) || !isCount(argmin!) || !isCount(argmax!)) return false
      for (let field = 7; field < momentFields; field++) if (!Number.isFinite(moments[from + field])) return false
    }
  }
  return true
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

const words = (view: DataView, from: number, count: number): Uint32Array => {
  const out = new Uint32Array(count)
  for (let i = 0; i < count; i++) out[i] = view.getUint32(from + 4 * i, true)
  return out
}
