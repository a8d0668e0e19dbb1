/** Frames as they may come, and what they should say. */
import { assert } from "@effect/vitest"
import * as fc from "fast-check"
import { crc32 } from "node:zlib"
import { setState } from "../../../src/internal/states.ts"
import * as Moments from "../../../src/Moments.ts"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"
import * as RankSet from "../../../src/reducer/zeromq/RankSet.ts"

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

const stamps: fc.Arbitrary<Frame.Stamp> = fc.record({
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
  fc.constantFrom("hello", "welcome", "result", "bye", "carry"),
  stamps,
  body
).map(([type, stamp, body]) => ({
  bytes: Frame.encodeBody(type, stamp, body),
  expected: { head: { ...stamp, type, body: JSON.parse(JSON.stringify(body)) } }
}))

const schemas: fc.Arbitrary<Sample> = fc.tuple(
  stamps,
  id,
  fc.uniqueArray(fc.string({ unit: "grapheme", maxLength: 20 }), { maxLength: 12 })
).map(([stamp, id, keys]) => {
  const bytes = Frame.encodeSchema(stamp, id, keys)
  return { bytes, expected: { head: { ...stamp, type: "schema", id, keys, bytes: bytes.length } } }
})

const signals: fc.Arbitrary<Sample> = fc.tuple(fc.constantFrom("ack", "heartbeat"), stamps).map(([type, stamp]) => ({
  bytes: Frame.encodeSignal(type, stamp),
  expected: { head: { ...stamp, type } }
}))

const step = fc.double({ noDefaultInfinity: true, noNaN: true })

/** Sparse and dense ones, up to the highest rank that there is in every sample. */
export const rankSet: fc.Arbitrary<RankSet.RankSet> = fc.oneof(
  fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: 12 }),
  fc.uniqueArray(fc.nat(99_999), { minLength: 1, maxLength: 5 }),
  fc.tuple(fc.nat(90_000), fc.integer({ min: 1, max: 200 }))
    .map(([first, n]) => Array.from({ length: n }, (_, i) => first + i))
).map((ranks) => RankSet.of(ranks.toSorted((a, b) => a - b)))

const shape = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.constantFrom(0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 130)).chain(
  ([count, keys]) =>
    fc.record({
      stamp: stamps,
      id,
      count: fc.constant(count),
      keys: fc.constant(keys),
      steps: fc.array(step, { minLength: count, maxLength: count }),
      domains: fc.array(fc.nat(1), { minLength: count, maxLength: count }),
      occurrences: fc.array(u32, { minLength: count, maxLength: count }),
      sets: fc.array(fc.nat(), { minLength: count, maxLength: count }),
      ranks: fc.array(rankSet, { minLength: 1, maxLength: count }),
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
  const { bits, count, domains, id, keys, occurrences, ranks, sets, stamp, steps, values } = sample
  const { presence, present } = spread(bits, count, keys)
  const moments = new Float64Array(count * keys * Frame.momentFields)
  for (let i = 0; i < count * keys; i++) {
    setState(moments, i * Frame.momentFields, Moments.fromValues(values.slice(i % values.length)))
  }
  const entries = {
    count,
    keys,
    steps: Float64Array.from(steps),
    domains: Uint8Array.from(domains),
    occurrences: Uint32Array.from(occurrences),
    sets: Uint32Array.from(sets, (set) => set % ranks.length),
    ranks,
    moments
  }
  const more = [occurrences, [...entries.sets], ranks.map((set) => [...set])]
  return {
    bytes: Frame.encodeAggregate(stamp, id, entries, presence),
    expected: {
      head: { ...stamp, type: "aggregate", schema: id, keys },
      columns: { count, keys, steps, domains, present, numbers: [...moments], more }
    }
  }
})

export const frames: fc.Arbitrary<Sample> = fc.oneof(bodies, schemas, signals, leaves, aggregates)

/** More by hand: EZPZ_FUZZ=1000000. */
export const runs = Number(process.env["EZPZ_FUZZ"] ?? 30_000)

export const decoded = (bytes: Uint8Array, job?: bigint) => {
  const frame = Frame.decode(bytes, job)
  assert(!Frame.isRefused(frame), Frame.isRefused(frame) ? frame.reason : "")
  return frame
}

export const fault = (bytes: Uint8Array, job?: bigint) => {
  const frame = Frame.decode(bytes, job)
  return Frame.isRefused(frame) ? frame.fault : `${frame.type === "aggregate" ? "an" : "a"} ${frame.type}`
}

/** For tests of single frames. */
export const stamp: Frame.Stamp = {
  job: Frame.jobOf("job"),
  rank: 3,
  incarnation: 7,
  worldSize: 8,
  seq: 12,
  sentAt: 1.5
}

export const aggregate = {
  count: 2,
  keys: 1,
  steps: Float64Array.of(1, 2),
  domains: Uint8Array.of(0, 0),
  occurrences: Uint32Array.of(0, 0),
  sets: Uint32Array.of(0, 1),
  ranks: [RankSet.of([0]), RankSet.of([1, 2, 6])],
  // Rank 0 said 5; ranks 1, 2 and 6 said 1, 2 and 6.
  moments: Float64Array.of(1, 0, 5, 5, 0, 0, 0, 5, 0, 0, 0, 3, 0, 1, 6, 1, 6, 0, 9, 0, 14, 0)
}

export const aggregateBytes = Frame.encodeAggregate(stamp, 1, aggregate)
