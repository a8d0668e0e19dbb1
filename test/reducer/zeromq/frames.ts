/** Frames as they may come, and what they should say. */
import * as fc from "fast-check"
import { crc32 } from "node:zlib"
import * as Moments from "../../../src/Moments.ts"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"

export interface Sample {
  readonly bytes: Uint8Array
  readonly expected: {
    readonly head: Record<string, unknown>
    readonly columns?: Record<string, unknown>
  }
}

/** Makes the checksum of changed bytes right. */
export const reseal = (bytes: Uint8Array): Uint8Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  view.setUint32(48, 0, true)
  view.setUint32(48, crc32(bytes), true)
  return bytes
}

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })

const stamp: fc.Arbitrary<Frame.Stamp> = fc.record({
  job: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  rank: fc.nat(99_999),
  incarnation: u32,
  worldSize: fc.integer({ min: 100_000, max: 2 ** 32 - 1 }),
  seq: fc.maxSafeNat(),
  sentAt: fc.double({ noDefaultInfinity: true, noNaN: true })
})

const id = fc.integer({ min: 1, max: 2 ** 32 - 1 })

const body = fc.dictionary(
  fc.string(),
  fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Frame.Json),
  {
    noNullPrototype: true
  }
)

const bodies: fc.Arbitrary<Sample> = fc.tuple(
  fc.constantFrom("hello", "welcome", "result", "bye"),
  stamp,
  body
).map(([type, stamp, body]) => ({
  bytes: Frame.encodeBody(type, stamp, body),
  expected: { head: { ...stamp, type, body: JSON.parse(JSON.stringify(body)) } }
}))

const schemas: fc.Arbitrary<Sample> = fc.tuple(
  stamp,
  id,
  fc.uniqueArray(fc.string({ unit: "grapheme", maxLength: 20 }), { maxLength: 12 })
).map(([stamp, id, keys]) => {
  const bytes = Frame.encodeSchema(stamp, id, keys)
  return { bytes, expected: { head: { ...stamp, type: "schema", id, keys, bytes: bytes.length } } }
})

const signals: fc.Arbitrary<Sample> = fc.tuple(fc.constantFrom("ack", "heartbeat"), stamp).map(([type, stamp]) => ({
  bytes: Frame.encodeSignal(type, stamp),
  expected: { head: { ...stamp, type } }
}))

const step = fc.double({ noDefaultInfinity: true, noNaN: true })

const shape = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.constantFrom(0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 130)).chain(
  ([count, keys]) =>
    fc.record({
      stamp,
      id,
      count: fc.constant(count),
      keys: fc.constant(keys),
      steps: fc.array(step, { minLength: count, maxLength: count }),
      domains: fc.array(fc.nat(1), { minLength: count, maxLength: count }),
      whole: fc.array(u32, { minLength: 2 * count, maxLength: 2 * count }),
      values: fc.array(fc.double(), { minLength: 1, maxLength: 9 }),
      bits: fc.option(fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }))
    })
)

const spread = (bits: ReadonlyArray<boolean> | null, count: number, keys: number) => {
  const present = Array.from({ length: count * keys }, (_, i) => bits === null || bits[i % bits.length]!)
  if (bits === null) return { present, presence: undefined }
  const stride = Math.ceil(keys / 64) * 8
  const presence = new Uint8Array(count * stride)
  for (const [i, is] of present.entries()) {
    const k = i % keys
    if (is) presence[Math.floor(i / keys) * stride + (k >> 3)]! |= 1 << (k & 7)
  }
  return { present, presence }
}

const leaves: fc.Arbitrary<Sample> = shape.map(({ bits, count, domains, id, keys, stamp, steps, values }) => {
  const { presence, present } = spread(bits, count, keys)
  const numbers = Array.from({ length: count * keys }, (_, i) => values[i % values.length]!)
  const leaf = {
    count,
    keys,
    steps: Float64Array.from(steps),
    domains: Uint8Array.from(domains),
    values: Float64Array.from(numbers)
  }
  return {
    bytes: Frame.encodeLeaf(stamp, id, leaf, presence),
    expected: {
      head: { ...stamp, type: "leaf", schema: id, keys },
      columns: { count, keys, steps, domains, present, numbers }
    }
  }
})

const aggregates: fc.Arbitrary<Sample> = shape.map((sample) => {
  const { bits, count, domains, id, keys, stamp, steps, values, whole } = sample
  const { presence, present } = spread(bits, count, keys)
  const moments = new Float64Array(count * keys * Frame.momentFields)
  for (let i = 0; i < count * keys; i++) {
    Frame.setMoments(moments, i * Frame.momentFields, Moments.fromValues(values.slice(i % values.length)))
  }
  const entries = {
    count,
    keys,
    steps: Float64Array.from(steps),
    domains: Uint8Array.from(domains),
    occurrences: Uint32Array.from(whole.slice(0, count)),
    ranks: Uint32Array.from(whole.slice(count)),
    moments
  }
  const more = [[...entries.occurrences], [...entries.ranks]]
  return {
    bytes: Frame.encodeAggregate(stamp, id, entries, presence),
    expected: {
      head: { ...stamp, type: "aggregate", schema: id, keys },
      columns: { count, keys, steps, domains, present, numbers: [...moments], more }
    }
  }
})

export const frames: fc.Arbitrary<Sample> = fc.oneof(bodies, schemas, signals, leaves, aggregates)
