import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Metrics, Value } from "../../../src/Metrics.ts"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"
import * as Producer from "../../../src/reducer/zeromq/Producer.ts"
import { numberOf, Window, window } from "../../../src/reducer/zeromq/Schema.ts"

const origin = { job: Frame.jobOf("job"), rank: 3, incarnation: 7, worldSize: 8 }
const batch = { batchRecords: 16, flushMillis: 100 }

const make = (options: Partial<Producer.Options> = {}) => Producer.make({ ...origin, ...batch, ...options })

interface Said {
  readonly domain: number
  readonly step: number
  readonly values: Record<string, number>
}

/** A receiver that takes frames in order, and nothing else. */
class Receiver {
  readonly schemas = new Window<ReadonlyArray<string>>()
  readonly records: Array<Said> = []
  readonly types: Array<string> = []
  /** Of which nothing more may come. */
  seq = 0

  take(frames: ReadonlyArray<Uint8Array>): void {
    for (const bytes of frames) {
      const frame = Frame.decode(bytes, origin.job)
      assert(!Frame.isRefused(frame))
      assert.deepStrictEqual([frame.rank, frame.incarnation, frame.worldSize], [3, 7, 8])
      this.types.push(frame.type)
      if (frame.type === "heartbeat") this.seq = Math.max(this.seq, frame.seq)
      else if (frame.type === "schema") this.schemas.set(frame.id, frame.keys, frame.bytes)
      else {
        assert(frame.type === "leaf")
        const keys = this.schemas.get(frame.schema)
        assert(keys !== undefined && keys.length === frame.keys)
        if (frame.seq <= this.seq) continue
        assert.strictEqual(frame.seq, ++this.seq)
        for (let i = 0; i < frame.records.count; i++) this.records.push(record(keys, frame.records, i))
      }
    }
  }
}

const record = (keys: ReadonlyArray<string>, { domains, present, steps, values }: Frame.Leaf, i: number): Said => {
  const entries = keys.flatMap((key, k) => present(i, k) ? [[key, values[i * keys.length + k]!] as const] : [])
  for (const k of keys.keys()) if (!present(i, k)) assert.strictEqual(values[i * keys.length + k], 0)
  return { domain: domains[i]!, step: steps[i]!, values: Object.fromEntries(entries) }
}

const numbers = (metrics: Metrics): Record<string, number> =>
  Object.fromEntries(
    Object.entries(metrics).flatMap(([key, value]) => {
      const number = numberOf(value)
      return number === undefined ? [] : [[key, number]]
    })
  )

/** All of what a producer has said. */
const all = (producer: Producer.Producer): Receiver => {
  const receiver = new Receiver()
  receiver.take(producer.take(0, true))
  return receiver
}

describe("a producer", () => {
  it("says numbers as they are, arrays as their mean, and nothing of booleans, strings and null", () => {
    const producer = make()
    producer.record({ a: NaN, b: Infinity, c: -0, d: [1, 2, 6], e: true, f: "x", g: null, h: [[1, 3], [5, 7]] }, 1, 0)
    producer.record({ a: 1, b: null, c: "gone", d: [], e: false, f: "y", g: null, h: [1, NaN] }, 2, 0)
    const { records } = all(producer)
    assert.deepStrictEqual(records, [
      { domain: 0, step: 1, values: { a: NaN, b: Infinity, c: -0, d: 3, h: 4 } },
      { domain: 0, step: 2, values: { a: 1, h: NaN } }
    ])
  })

  it("counts the records without a step, apart from those with one", () => {
    const producer = make()
    for (const step of [undefined, 10, undefined, 5, undefined]) producer.record({ a: 1 }, step, 0)
    const at = all(producer).records.map(({ domain, step }) => [domain, step])
    assert.deepStrictEqual(at, [[1, 0], [0, 10], [1, 1], [0, 5], [1, 2]])
  })

  it("says what is an object's own, and counts a record whose step is no number", () => {
    const producer = make()
    const metrics: Metrics = Object.assign(Object.create({ inherited: 1 }), { a: 2 })
    producer.record(metrics, NaN, 0)
    producer.record(metrics, Infinity, 0)
    assert.deepStrictEqual(all(producer).records, [
      { domain: 1, step: 0, values: { a: 2 } },
      { domain: 1, step: 1, values: { a: 2 } }
    ])
  })

  it("tells of a record without numbers that it was there", () => {
    const producer = make()
    producer.record({ note: "x" }, 4, 0)
    producer.record({}, 5, 0)
    assert.deepStrictEqual(all(producer).records, [
      { domain: 0, step: 4, values: {} },
      { domain: 0, step: 5, values: {} }
    ])
  })

  it("makes a frame of so many records, and of fewer where the first has waited long enough", () => {
    const producer = make()
    const due = Array.from({ length: 33 }, (_, i) => producer.record({ a: i }, i, 1000))
    assert.deepStrictEqual(due.flatMap((is, i) => is ? [i] : [])[0], 15)
    assert.deepStrictEqual(all(make()).types, [])
    const receiver = new Receiver()
    receiver.take(producer.take(1000))
    assert.deepStrictEqual(receiver.types, ["schema", "leaf", "leaf"])
    assert.strictEqual(producer.record({ a: 33 }, 33, 1099), false)
    assert.deepStrictEqual(producer.take(1099), [])
    // No timer fires in a loop that never yields: the next record looks at the clock.
    assert.strictEqual(producer.record({ a: 34 }, 34, 1100), true)
    receiver.take(producer.take(1100))
    assert.strictEqual(receiver.records.length, 35)
    // Nor does a clock that is put back keep anything.
    assert.strictEqual(producer.record({ a: 35 }, 35, 1200), false)
    receiver.take(producer.take(500))
    assert.strictEqual(receiver.records.length, 36)
  })

  it("says when there is something to take though nothing more is recorded", () => {
    const producer = make()
    assert.isUndefined(producer.due())
    producer.record({ a: 1 }, 1, 1000)
    assert.strictEqual(producer.due(), 1100)
    producer.record({ a: 2 }, 2, 1050)
    assert.strictEqual(producer.due(), 1100)
    assert.isFalse(producer.drain(1100, () => false))
    // What could not be sent is to be sent at once.
    assert.strictEqual(producer.due(), -Infinity)
    assert.isTrue(producer.drain(1100, () => true))
    assert.isUndefined(producer.due())
  })

  it("makes frames of 256 KiB at most, of one record where that is larger", () => {
    const wide = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, i]))
    assert.isTrue(Producer.make(origin).record(wide, 1, 0))
    const producer = Producer.make(origin)
    const narrow = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, i]))
    const sizes: Array<number> = []
    for (let step = 0; step < 1000; step++) producer.record(narrow, step, 0)
    producer.drain(0, (frame) => sizes.push(frame.length) > 0)
    assert.isAtMost(Math.max(...sizes), 256 * 1024)
    assert.isAbove(Math.max(...sizes), 100 * 1024)
  })

  it("gives frames that stay as they are, whatever is recorded next", () => {
    const producer = make()
    for (let i = 0; i < 16; i++) producer.record({ a: i }, i, 0)
    const frames = producer.take(0)
    const before = frames.map((bytes) => [...bytes])
    for (let i = 0; i < 1000; i++) producer.record({ a: -i, b: i }, i, 0)
    producer.take(0, true)
    assert.deepStrictEqual(frames.map((bytes) => [...bytes]), before)
  })

  it("keeps the order of records and all their numbers, whatever their keys, their order and their kinds", () => {
    const value: fc.Arbitrary<Value> = fc.oneof(
      { weight: 5, arbitrary: fc.double() },
      fc.constantFrom<Value>(null, "x", true, [], [1, 2])
    )
    const key = fc.constantFrom("a", "b", "c", "loss", "0", "7", "__proto__", "constructor", "toString", "\0", "é", "")
    const metrics = fc.dictionary(key, value, { maxKeys: 6 })
    const steps = fc.option(fc.integer({ min: -5, max: 50 }), { nil: undefined })
    const pool = fc.array(metrics, { minLength: 1, maxLength: 5 })
    const records = pool.chain((pool) =>
      fc.array(fc.tuple(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...pool) }, metrics), steps, fc.nat(60)), {
        maxLength: 80
      })
    )
    const property = fc.property(
      records,
      fc.integer({ min: 1, max: 20 }),
      fc.boolean(),
      (records, batchRecords, own) => {
        const producer = make({ batchRecords })
        const receiver = new Receiver()
        const expected: Array<Said> = []
        let now = 0
        let counted = 0
        for (const [metrics, step, wait] of records) {
          now += wait
          const keys = Object.keys(metrics)
          const values = Object.values(metrics)
          if (own && values.every((value) => typeof value === "number")) producer.handles(keys)(values, step, now)
          else producer.record(metrics, step, now)
          expected.push({ domain: step === undefined ? 1 : 0, step: step ?? counted++, values: numbers(metrics) })
          if (wait % 7 === 0) receiver.take(producer.take(now, wait % 2 === 0))
        }
        receiver.take(producer.take(now, true))
        assert.deepStrictEqual(receiver.records, expected)
        assert.strictEqual(producer.stats().records, records.length)
      }
    )
    fc.assert(property, { numRuns: 2000, seed: 20261123 })
  })

  it("finds keys in another order to be the same", () => {
    const producer = make()
    for (let i = 0; i < 50; i++) producer.record(i % 2 === 0 ? { a: i, b: -i } : { b: -i, a: i }, i, 0)
    const { records, types } = all(producer)
    assert.deepStrictEqual(types, ["schema", "leaf", "leaf", "leaf", "leaf"])
    assert(records.every(({ step, values }) => values["a"] === step && values["b"] === -step))
  })

  it("puts records whose keys take turns into frames together, soon", () => {
    const producer = make()
    for (let i = 0; i < 300; i++) {
      producer.record({ loss: i, dt: 1 }, i, 0)
      producer.record({ "data/wait": i }, i, 0)
      if (i % 3 === 0) producer.record({ "eval/loss": i, note: "x" }, i, 0)
    }
    const { frames, records, schemas } = producer.stats()
    assert.isBelow(frames, records / 16 + 20)
    assert.isBelow(schemas, 8)
    const receiver = all(producer)
    assert.strictEqual(receiver.records.length, records)
    assert.deepStrictEqual(receiver.records.at(-1)!.values, { "data/wait": 299 })
  })

  it("does not make records much larger for that", () => {
    const producer = make()
    const wide = Array.from(
      { length: 40 },
      (_, g) => Object.fromEntries(Array.from({ length: 32 }, (_, k) => [`${g}/${k}`, k]))
    )
    for (let i = 0; i < 4000; i++) producer.record(wide[i % 40]!, i, 0)
    assert.isBelow(producer.stats().bytes, 4000 * (64 + 4 * 32 * 8 + 64))
    assert.strictEqual(all(producer).records.length, 4000)
  })

  it("leaves out and counts what no frame can name, and says the rest", () => {
    const producer = make()
    const long = "x".repeat(Frame.limits.keyBytes + 1)
    producer.record({ a: 1, [long]: 2, "\ud800": 3, b: 4 }, 1, 0)
    producer.record({ a: 1, [long]: 2, "\ud800": 3, b: 4 }, 2, 0)
    producer.handles(["a", long])([5, 6], 3, 0)
    const many = Object.fromEntries(Array.from({ length: Frame.limits.keys + 2 }, (_, k) => [`k${k}`, k]))
    producer.record(many, 4, 0)
    const { records } = all(producer)
    assert.deepStrictEqual(records.slice(0, 3).map(({ values }) => values), [{ a: 1, b: 4 }, { a: 1, b: 4 }, { a: 5 }])
    assert.strictEqual(Object.keys(records[3]!.values).length, Frame.limits.keys)
    assert.strictEqual(producer.stats().leftOut, 2 + 2 + 1 + 2)
  })

  it("takes the numbers it is handed by position; those that are missing are not there", () => {
    const producer = make()
    const log = producer.handles(["loss", "dt"])
    log(Float64Array.of(0.5, NaN), 1, 0)
    log([0.25], 2, 0)
    producer.record({ dt: 3, loss: 1 }, 3, 0)
    const { records, types } = all(producer)
    assert.deepStrictEqual(records.map(({ values }) => values), [{ loss: 0.5, dt: NaN }, { loss: 0.25 }, {
      loss: 1,
      dt: 3
    }])
    assert.deepStrictEqual(types, ["schema", "leaf"])
  })
})

describe("what was sent", () => {
  const five = (options: Partial<Producer.Options> = {}) => {
    const producer = make({ batchRecords: 2, ...options })
    for (let i = 0; i < 10; i++) producer.record(i < 6 ? { a: i } : { b: i }, i, 0)
    return producer
  }

  it("is kept until it is acknowledged, up to the number that is", () => {
    const producer = five()
    const frames = producer.take(0)
    assert.strictEqual(producer.stats().kept, 5)
    assert.deepStrictEqual(producer.take(0, true), [])
    producer.acked(3)
    producer.acked(2)
    assert.strictEqual(producer.stats().kept, 2)
    assert.strictEqual(frames.length, 7)
    producer.acked(1e9)
    assert.deepStrictEqual([producer.stats().kept, producer.stats().keptBytes], [0, 0])
    producer.record({ a: 1 }, 10, 0)
    // What has not been taken cannot have arrived, whoever says so.
    producer.record({ a: 2 }, 11, 0)
    producer.acked(1e9)
    assert.strictEqual(producer.stats().kept, 1)
  })

  it("comes again whole for a root that knows nothing, schemas first", () => {
    const producer = five()
    const first = new Receiver()
    first.take(producer.take(0))
    producer.acked(1)
    const second = new Receiver()
    second.take(producer.replay(0))
    assert.deepStrictEqual(second.types, ["heartbeat", "schema", "leaf", "leaf", "schema", "leaf", "leaf"])
    assert.deepStrictEqual(second.records, first.records.slice(2))
    // And again what the next records need.
    producer.record({ a: 10 }, 10, 0)
    second.take(producer.take(0, true))
    assert.deepStrictEqual(second.types.slice(7), ["leaf"])
    assert.strictEqual(second.seq, 6)
  })

  it("comes again from where a root has it", () => {
    const producer = five()
    producer.take(0)
    const types = producer.replay(0, 4).map((bytes) => (Frame.decode(bytes) as Frame.Frame).type)
    assert.deepStrictEqual(types, ["schema", "leaf"])
  })

  it("does not come twice to a root that had it, however often connections break", () => {
    const cut = fc.record({
      count: fc.nat(30),
      lost: fc.nat(6),
      acks: fc.boolean(),
      wait: fc.nat(60),
      limit: fc.nat(4)
    })
    const property = fc.property(fc.array(cut, { maxLength: 12 }), (cuts) => {
      const producer = make({ batchRecords: 3 })
      const receiver = new Receiver()
      let step = 0
      let now = 0
      for (const { acks, count, limit, lost, wait } of cuts) {
        now += wait
        for (let i = 0; i < count; i++, step++) {
          producer.record(step % 5 === 0 ? { a: step, c: 1 } : { a: step }, step, now)
        }
        // The end of what is sent is lost, and the connection with it.
        const sent = producer.take(now, false, limit)
        receiver.take(sent.slice(0, Math.max(0, sent.length - lost)))
        receiver.schemas.clear()
        receiver.take(producer.replay(now, receiver.seq))
        if (acks) producer.acked(receiver.seq)
      }
      receiver.take(producer.take(now, true))
      assert.deepStrictEqual(receiver.records.map(({ step }) => step), Array.from({ length: step }, (_, i) => i))
      producer.acked(receiver.seq)
      assert.strictEqual(producer.stats().kept, 0)
    })
    fc.assert(property, { numRuns: 1000, seed: 20261123 })
  })

  it("can be taken back by a transport that did not get rid of it", () => {
    const producer = five()
    const receiver = new Receiver()
    receiver.take(producer.take(0, false, 2))
    producer.take(0)
    producer.rewind(2)
    receiver.take(producer.take(0))
    assert.deepStrictEqual(receiver.records.map(({ step }) => step), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it("goes on from what could not be sent, as long as that takes", () => {
    const producer = five()
    const receiver = new Receiver()
    producer.take(0)
    producer.acked(1)
    producer.rewind(0)
    for (let calls = 0, all = false; !all; calls++) {
      assert.isBelow(calls, 20)
      let room = calls % 3
      all = producer.drain(0, (frame) => {
        if (room-- === 0) return false
        receiver.take([frame])
        return true
      })
    }
    assert.deepStrictEqual(receiver.records.map(({ step }) => step), [2, 3, 4, 5, 6, 7, 8, 9])
    assert.deepStrictEqual(receiver.types, ["heartbeat", "schema", "leaf", "leaf", "schema", "leaf", "leaf"])
    // Nor does a rank wait for a record to be told that there is something left.
    assert.strictEqual(producer.record({ a: 1 }, 10, 0), false)
    assert.strictEqual(producer.drain(0, () => false, true), false)
    assert.strictEqual(producer.record({ a: 1 }, 10, 0), true)
  })

  it("is pushed out by what is newer once it takes too much memory, and counted, and nobody waits for it", () => {
    const producer = make({ ringBytes: 64 * 1024, batchRecords: 4 })
    const receiver = new Receiver()
    for (let i = 0; i < 4; i++) producer.record({ a: i }, i, 0)
    receiver.take(producer.take(0))
    for (let i = 4; i < 10_000; i++) {
      producer.record({ a: i }, i, 0)
      assert.isAtMost(producer.stats().keptBytes, 64 * 1024)
    }
    receiver.take(producer.take(0))
    const { kept, overflowed, records } = producer.stats()
    assert.strictEqual(kept * 4 + overflowed, records)
    assert.deepStrictEqual(receiver.types.slice(0, 5), ["schema", "leaf", "heartbeat", "leaf", "leaf"])
    const steps = receiver.records.map(({ step }) => step)
    assert.deepStrictEqual([steps.length, steps.at(-1)], [4 + kept * 4, 9999])
    const late = new Receiver()
    late.take(producer.replay(0))
    assert.deepStrictEqual(late.records, receiver.records.slice(4))
  })

  it("stays bounded where every record has another key, and stays right", () => {
    const producer = make({ ringBytes: 256 * 1024 })
    const receiver = new Receiver()
    for (let i = 0; i < 10_000; i++) {
      producer.record({ [`key${i}`]: i, always: -i }, i, 0)
      if (i % 100 !== 99) continue
      receiver.take(producer.take(0))
      producer.acked(receiver.seq)
      assert.isAtMost(receiver.schemas.size, window.schemas)
    }
    receiver.take(producer.take(0, true))
    assert.strictEqual(receiver.records.length, 10_000)
    for (const { step, values } of receiver.records) {
      assert.deepStrictEqual(values, { [`key${step}`]: step, always: -step })
    }
    assert.isAtMost(producer.stats().keptBytes, 256 * 1024)
  })

  it("can be read where more schemas take turns than anybody remembers", () => {
    const producer = make()
    const receiver = new Receiver()
    const most = window.schemas + 10
    for (let i = 0; i < 2 * most; i++) {
      // Too wide to be joined.
      const base = 40 * (i % most)
      producer.record(Object.fromEntries(Array.from({ length: 40 }, (_, k) => [`k${base + k}`, i])), i, 0)
      if (i % 100 === 0) receiver.take(producer.take(0))
    }
    receiver.take(producer.take(0, true))
    assert.strictEqual(receiver.records.length, 2 * most)
    assert(receiver.records.every(({ step, values }) => Object.values(values).every((value) => value === step)))
  })
})

describe("the memory of frames", () => {
  const keys = Array.from({ length: 300 }, (_, k) => `k${k}`)
  /** A record so wide that a frame of 16 has memory of its own. */
  const record = (producer: Producer.Producer, step: number): boolean =>
    producer.record(Object.fromEntries(keys.map((key) => [key, step])), step, 0)

  it("is used again once they are acknowledged", () => {
    const producer = make()
    const buffers = new Set<ArrayBufferLike>()
    for (let step = 0, seq = 0; step < 16 * 50; step++) {
      if (!record(producer, step)) continue
      for (const frame of producer.take(0)) if (frame.length > 16 * 1024) buffers.add(frame.buffer)
      producer.acked(++seq)
    }
    assert.strictEqual(buffers.size, 1)
  })

  it("is not, as long as a copy of what was in it may be read", () => {
    const actions = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.constant("record" as const) },
        fc.record({ ack: fc.nat({ max: 3 }) }),
        fc.record({ rewind: fc.nat({ max: 3 }) })
      ),
      { maxLength: 60 }
    )
    fc.assert(
      fc.property(actions, (actions) => {
        const producer = make()
        let [step, acked, last] = [0, 0, 0]
        /** What was given out, the second time it was as well: only what was once and is acknowledged is done with. */
        const given: Array<{ readonly seq: number; readonly frame: Uint8Array; readonly copy: Buffer }> = []
        const take = (): void => {
          for (const bytes of producer.take(0)) {
            const frame = Frame.decode(bytes)
            assert(!Frame.isRefused(frame))
            if (frame.type !== "leaf") continue
            last = Math.max(last, frame.seq)
            given.push({ seq: frame.seq, frame: bytes, copy: Buffer.from(bytes) })
          }
        }
        for (const action of actions) {
          if (action === "record") { for (let i = 0; i < 16; i++) record(producer, step++) }
          else if ("ack" in action) producer.acked(acked = Math.min(last, acked + action.ack))
          else producer.rewind(Math.max(acked, last - action.rewind))
          take()
          for (const { copy, frame, seq } of given) {
            const isDone = seq <= acked && given.filter((one) => one.seq === seq).length === 1
            assert.isTrue(isDone || copy.equals(frame), `frame ${seq} of ${last}, ${acked} acknowledged`)
          }
        }
      }),
      { numRuns: 200 }
    )
  })
})
