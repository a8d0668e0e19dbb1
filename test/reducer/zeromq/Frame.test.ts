import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { readFileSync } from "node:fs"
import { setState, stateAt } from "../../../src/internal/states.ts"
import * as Moments from "../../../src/Moments.ts"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"
import * as RankSet from "../../../src/reducer/zeromq/RankSet.ts"
import { aggregate, aggregateBytes, decoded, fault, frames, rankSet, reseal, runs, stamp } from "./frames.ts"

/** What a frame says, without what is only a way to read it. */
const said = (frame: Frame.Frame): unknown => {
  if (frame.type === "leaf") return { ...frame, records: columns(frame.records) }
  if (frame.type === "aggregate") return { ...frame, entries: columns(frame.entries) }
  return frame
}

const columns = (all: Frame.Leaf | Frame.Aggregate) => {
  const present = Array.from(
    { length: all.count * all.keys },
    (_, i) => all.present(Math.floor(i / all.keys), i % all.keys)
  )
  const { steps, domains } = all
  const numbers = "values" in all ? all.values : all.moments
  const more = "values" in all ? [] : [[...all.occurrences], [...all.sets], all.ranks.map((set) => [...set])]
  return {
    count: all.count,
    keys: all.keys,
    steps: [...steps],
    domains: [...domains],
    present,
    numbers: [...numbers],
    more
  }
}

describe("a frame", () => {
  it("says what was put into it, wherever its bytes lie", () => {
    for (const { bytes, expected } of fc.sample(frames, { numRuns: 500, seed: 1 })) {
      const frame = decoded(bytes)
      for (const [name, value] of Object.entries(expected.head)) assert.deepStrictEqual(Reflect.get(frame, name), value)
      if (frame.type === "leaf") {
        assert.deepStrictEqual<unknown>(columns(frame.records), { ...expected.columns, more: [] })
      }
      if (frame.type === "aggregate") {
        assert.deepStrictEqual<unknown>(columns(frame.entries), expected.columns)
      }
      for (const offset of [1, 4, 7]) {
        const moved = new Uint8Array(bytes.length + 16)
        moved.set(bytes, offset)
        assert.deepStrictEqual(said(decoded(moved.subarray(offset, offset + bytes.length))), said(frame))
        // A Buffer has a slice of its own, that shares.
        assert.deepStrictEqual(said(decoded(Buffer.from(moved.buffer, offset, bytes.length))), said(frame))
      }
    }
  })

  it("is what the specification shows", () => {
    const page = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8")
    const shown = [...page.matchAll(/```hex\n([^`]*)```/g)].map(([, hex = ""]) => hex.trim().split(/\s+/).join(""))
    const origin = { job: 0x0807060504030201n, incarnation: 5, worldSize: 8, sentAt: 0 }
    const one = {
      count: 1,
      keys: 2,
      steps: Float64Array.of(10),
      domains: Uint8Array.of(0),
      values: Float64Array.of(0.5, 0)
    }
    const loss = [Moments.of(0.5, 1), Moments.of(1.5, 2), Moments.of(1, 4)].reduce(Moments.merge, Moments.empty)
    const three = {
      ...one,
      occurrences: Uint32Array.of(0),
      sets: Uint32Array.of(0),
      ranks: [RankSet.of([1, 2, 4])],
      moments: new Float64Array(2 * Frame.momentFields)
    }
    setState(three.moments, 0, loss)
    const first = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)
    const made = [
      Frame.encodeSchema({ ...origin, rank: 1, seq: 0 }, 1, ["loss", "dt"]),
      Frame.encodeLeaf({ ...origin, rank: 1, seq: 3 }, 1, one, first),
      Frame.encodeAggregate({ ...origin, incarnation: 6, rank: 1, seq: 1 }, 1, three, first),
      Frame.encodeSignal("ack", { ...origin, rank: 0, seq: 3 })
    ]
    assert.deepStrictEqual(made.map((bytes) => Buffer.from(bytes).toString("hex")), shown)
  })

  it("of aligned bytes is read where it lies", () => {
    const bytes = Frame.encodeLeaf(stamp, 1, leaf)
    const frame = decoded(bytes)
    assert(frame.type === "leaf")
    assert.strictEqual(frame.records.values.buffer, bytes.buffer)
  })

  it("is memory that no other frame has", () => {
    const one = Frame.encodeLeaf(stamp, 1, leaf)
    const before = [...one]
    const others = Array.from({ length: 2000 }, () => Frame.encodeSignal("ack", stamp))
    for (const other of others) other.fill(0xff)
    assert.deepStrictEqual([...one], before)
  })

  it("holds NaN, the infinities, zero with its sign and every other double, bit for bit", () => {
    const values = Float64Array.of(NaN, Infinity, -Infinity, -0, 5e-324, Number.MAX_VALUE, 0.1, 2 ** 53 + 2)
    const one = { count: 1, keys: values.length, steps: Float64Array.of(-0.5), domains: Uint8Array.of(0), values }
    const frame = decoded(Frame.encodeLeaf(stamp, 1, one))
    assert(frame.type === "leaf")
    for (const [k, value] of values.entries()) assert(Object.is(frame.records.values[k], value), String(value))
  })

  it("holds moments so that they merge as if they had never travelled", () => {
    const all = [Moments.fromValues([1e9, 1e9 + 8, 1e9 + 16]), Moments.fromValues([NaN, 1e300, -1e300]), Moments.empty]
    const moments = new Float64Array(all.length * Frame.momentFields)
    for (const [k, one] of all.entries()) setState(moments, k * Frame.momentFields, one)
    const bytes = Frame.encodeAggregate(stamp, 1, {
      count: 1,
      keys: all.length,
      steps: Float64Array.of(3),
      domains: Uint8Array.of(0),
      occurrences: Uint32Array.of(2),
      sets: Uint32Array.of(0),
      ranks: [RankSet.of([0, 1, 5])],
      moments
    })
    const frame = decoded(bytes)
    assert(frame.type === "aggregate")
    assert.deepStrictEqual(
      all.map((_, k) => stateAt(frame.entries.moments, k * Frame.momentFields)),
      all
    )
    assert.deepStrictEqual([frame.entries.occurrences[0], frame.entries.sets[0]], [2, 0])
    assert.deepStrictEqual(frame.entries.ranks, [Uint32Array.of(0, 1, 5, 5)])
  })

  it("is refused by name where it is cut short, damaged, too long, of another job, another version or nobody's", () => {
    const bytes = Frame.encodeLeaf(stamp, 1, leaf)
    for (let length = 0; length < bytes.length; length++) {
      assert.strictEqual(fault(bytes.subarray(0, length)), "truncated")
    }
    assert.strictEqual(fault(Buffer.concat([bytes, Buffer.alloc(8)])), "length")
    for (let i = 64; i < bytes.length; i++) {
      assert.strictEqual(fault(bytes.with(i, bytes[i]! ^ 1)), "checksum")
    }
    for (let i = 0; i < 64; i++) {
      assert.include(
        ["magic", "version", "truncated", "length", "checksum"],
        fault(bytes.with(i, bytes[i]! ^ 1)),
        String(i)
      )
    }
    assert.strictEqual(fault(bytes, stamp.job), "a leaf")
    assert.strictEqual(fault(bytes, stamp.job + 1n), "job")
    assert.strictEqual(fault(new TextEncoder().encode("GET / HTTP/1.1\r\n")), "magic")
    // Of another version only the first eight bytes are known.
    const other = Frame.decode(bytes.subarray(0, 8).with(4, 2))
    assert.deepStrictEqual(other, {
      _tag: "Refused",
      fault: "version",
      reason: "speaks version 2 of the protocol, this is version 1"
    })
  })

  it("of a type that is not known is told as such, whatever it holds", () => {
    const bytes = Frame.encodeLeaf(stamp, 1, leaf)
    bytes[5] = 77
    const frame = decoded(reseal(bytes))
    assert.strictEqual(frame.type, "unknown")
    assert.strictEqual(frame.seq, stamp.seq)
    assert(frame.type === "unknown" && frame.code === 77)
  })

  it("that contradicts itself is refused", () => {
    const set = (bytes: Uint8Array, at: number, ...to: ReadonlyArray<number>) => {
      const copy = bytes.slice()
      copy.set(to, at)
      return fault(reseal(copy))
    }
    const leafBytes = Frame.encodeLeaf(stamp, 1, leaf)
    const nan = new Uint8Array(Float64Array.of(NaN).buffer)
    assert.strictEqual(set(leafBytes, 24, ...nan), "malformed", "seq")
    assert.strictEqual(set(leafBytes, 56, ...nan), "malformed", "sentAt")
    assert.strictEqual(set(leafBytes, 64, ...nan), "malformed", "step")
    assert.strictEqual(set(leafBytes, 16, 8), "malformed", "rank")
    assert.strictEqual(set(leafBytes, 32, 0), "malformed", "schema")
    assert.strictEqual(set(leafBytes, 36, 3), "malformed", "keys")
    assert.strictEqual(set(leafBytes, 40, 0), "malformed", "no records")
    assert.strictEqual(set(leafBytes, 40, 0xff, 0xff, 0xff, 0xff), "malformed", "records")
    assert.strictEqual(set(leafBytes, 64 + 16, 2), "malformed", "domain")
    const schema = Frame.encodeSchema(stamp, 1, ["a", "b"])
    assert.strictEqual(set(schema, 36, 0xff, 0xff), "malformed", "more keys than there are")
    assert.strictEqual(set(schema, 36, 0), "malformed", "fewer keys than there are")
    assert.strictEqual(set(schema, 64, 0xff, 0xff, 0xff, 0xff), "malformed", "a key that does not end")
    assert.strictEqual(set(schema, 68, 0xff), "malformed", "a key that is not UTF-8")
    assert.strictEqual(set(schema, 68, 0x62), "malformed", "a key twice")
    const hello = Frame.encodeBody("hello", stamp, { a: 1 })
    for (const text of ["[1,2,3]", "nul    ", "123    ", "null   ", "{\"a\":\xff"]) {
      assert.strictEqual(set(hello, 64, ...Buffer.from(text, "latin1")), "malformed", text)
    }
  })

  it("of statistics that cannot be is refused", () => {
    const changed = (change: (payload: DataView, header: DataView) => void) => {
      const copy = aggregateBytes.slice()
      const at = (from: number) => new DataView(copy.buffer, from)
      change(at(64), at(0))
      return fault(reseal(copy))
    }
    assert.strictEqual(changed(() => {}), "an aggregate")
    // steps 0, domains 16, occurrences 24, sets 32, moments 40, rank sets 216: 2, then 1 run at 220, 2 runs at 232.
    const numbers: ReadonlyArray<readonly [what: string, field: number, ...values: ReadonlyArray<number>]> = [
      ["count", 0, -1, 0.5, NaN, 2 ** 53],
      ["non-finite count", 1, -1, 0.5, NaN, Infinity],
      ["min", 2, NaN, -Infinity, 1e9],
      ["max", 3, NaN, Infinity, -1e9],
      ["argmin", 4, NaN, -1, 0.5, 8],
      ["argmax", 5, NaN, -1, 0.5, 8],
      ["scale", 6, NaN, 2, -2, 0.5],
      ["sum", 7, NaN, Infinity],
      ["sum low", 8, NaN, -Infinity],
      ["M2", 9, NaN, Infinity],
      ["M2 low", 10, NaN, Infinity]
    ]
    for (const [what, field, ...values] of numbers) {
      for (const entry of [0, 1]) {
        for (const value of values) {
          const at = 40 + 8 * (field + entry * Frame.momentFields)
          assert.strictEqual(changed((to) => to.setFloat64(at, value, true)), "malformed", `${what} ${value}`)
        }
      }
    }
    // The last rank that there is can be the one; of no values there is nothing to be looked at.
    assert.strictEqual(changed((to) => to.setFloat64(40 + 32, 7, true)), "an aggregate")
    assert.strictEqual(
      changed((to) => [40, 40 + 8, 40 + 16].forEach((at, i) => to.setFloat64(at, [0, 3, NaN][i]!, true))),
      "an aggregate"
    )
    // A smaller world.
    assert.strictEqual(changed((_, header) => header.setUint32(52, 6, true)), "malformed")
  })

  it("is as long as is said before, and an aggregate not longer than its header and its entries", () => {
    const sizes = fc.record({
      keys: fc.integer({ min: 0, max: 70 }),
      ranks: fc.array(rankSet, { minLength: 1, maxLength: 9 }),
      shared: fc.nat(3),
      dense: fc.boolean()
    })
    fc.assert(fc.property(sizes, ({ dense, keys, ranks, shared }) => {
      const count = ranks.length + shared
      const columns = { count, keys, steps: new Float64Array(count), domains: new Uint8Array(count) }
      const sets = Uint32Array.from(columns.steps, (_, i) => i % ranks.length)
      const moments = new Float64Array(count * keys * Frame.momentFields)
      const presence = dense ? undefined : new Uint8Array(count * Math.ceil(keys / 64) * 8)
      const world = { ...stamp, worldSize: 100_000 }
      const entries = { ...columns, occurrences: new Uint32Array(count), sets, ranks, moments }
      const { length } = Frame.encodeAggregate(world, 1, entries, presence)
      assert.strictEqual(Frame.aggregateBytes(keys, count, ranks, dense), length)
      let most = Frame.headerBytes
      for (const set of sets) most += Frame.entryBytes(keys, ranks[set]!)
      assert.isAtLeast(most, length)
      const leaf = Frame.encodeLeaf(stamp, 1, { ...columns, values: new Float64Array(count * keys) }, presence)
      assert.strictEqual(Frame.leafBytes(keys, count, dense), leaf.length)
    }))
  })

  it("beyond a limit is never made", () => {
    const large = { ...leaf, count: Frame.limits.records + 1 }
    const sets = (ranks: ReadonlyArray<RankSet.RankSet>, ...sets: ReadonlyArray<number>) => () =>
      Frame.encodeAggregate(stamp, 1, { ...aggregate, ranks, sets: Uint32Array.from(sets) })
    const [one, two] = [RankSet.of([1]), RankSet.of([2, 7])]
    sets([one, two], 0, 1)()
    assert.throws(sets([one, two], 0, 2), RangeError)
    assert.throws(sets([], 0, 0), RangeError)
    assert.throws(sets([one, two, one], 0, 1), RangeError)
    for (const other of [[], [1], [8, 8], [2, 1], [1, 2, 3, 4]]) {
      assert.throws(sets([one, Uint32Array.from(other)], 0, 1), RangeError)
    }
    assert.throws(() => Frame.encodeLeaf(stamp, 1, large), RangeError)
    assert.throws(() => Frame.encodeSchema(stamp, 1, ["x".repeat(Frame.limits.keyBytes + 1)]), RangeError)
    assert.throws(() => Frame.encodeBody("bye", stamp, { reason: "x".repeat(Frame.limits.bodyBytes) }), RangeError)
  })

  it("of arbitrary bytes is never more than refused", () => {
    const property = fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      Frame.decode(bytes)
      // As what it would be with a header that holds.
      if (bytes.length < 64) return
      bytes.set([0x45, 0x5a, 0x50, 0x5a, 1, bytes[5]! % 11])
      new DataView(bytes.buffer).setUint32(44, bytes.length - 64, true)
      for (const at of [38, 39, 42, 43]) bytes[at] = 0
      bytes.set(new Uint8Array(Float64Array.of(1, 2).buffer, 0, 8), 24)
      bytes.set(new Uint8Array(Float64Array.of(2).buffer), 56)
      use(Frame.decode(reseal(bytes)))
    })
    fc.assert(property, { numRuns: runs, seed: 20261123 })
  })

  it("that was mutated is never more than refused, and what is still one can be read to its end", () => {
    const mutation = fc.tuple(
      frames,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }),
      fc.option(fc.nat()),
      fc.boolean()
    )
    const property = fc.property(mutation, ([{ bytes }, changes, cut, head]) => {
      let mutated = bytes.slice()
      for (const [at, to] of changes) mutated[at % (head ? 64 : mutated.length)] = to
      if (cut !== null) mutated = mutated.slice(0, cut % mutated.length)
      Frame.decode(mutated)
      if (mutated.length < 64) return
      mutated.set(bytes.subarray(0, 5))
      new DataView(mutated.buffer).setUint32(44, mutated.length - 64, true)
      use(Frame.decode(reseal(mutated)))
    })
    fc.assert(property, { numRuns: runs, seed: 20261123 })
  })

  it("that promises much and holds little takes no memory", () => {
    const bytes = Frame.encodeLeaf(stamp, 1, leaf)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    const before = process.memoryUsage()
    for (const type of [3, 4, 5]) {
      for (
        const [keys, count] of [[65_536, 65_536], [65_536, 1], [1, 65_536], [0, 65_536], [2 ** 32 - 1, 2 ** 32 - 1]]
      ) {
        for (const flags of [0, 1]) {
          bytes[5] = type
          view.setUint16(6, flags, true)
          view.setUint32(36, keys!, true)
          view.setUint32(40, count!, true)
          for (let i = 0; i < 200; i++) assert.strictEqual(fault(reseal(bytes)), "malformed")
        }
      }
    }
    const after = process.memoryUsage()
    assert.isBelow(after.arrayBuffers - before.arrayBuffers, 16 * 1024 * 1024)
    assert.isBelow(after.heapUsed - before.heapUsed, 64 * 1024 * 1024)
  })
})

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const leaf = {
  count: 2,
  keys: 2,
  steps: Float64Array.of(1, 2),
  domains: Uint8Array.of(0, 1),
  values: Float64Array.of(1, 2, 3, 4)
}

/** Reads everything: no view reaches beyond the bytes. */
const use = (frame: Frame.Frame | Frame.Refused): void => {
  if (Frame.isRefused(frame)) return
  if (frame.type === "leaf") {
    const { count, keys, values, steps, domains } = frame.records
    assert.deepStrictEqual([steps.length, domains.length, values.length], [count, count, count * keys])
    columns(frame.records)
  } else if (frame.type === "aggregate") {
    const { count, entries, keys } = { count: frame.entries.count, ...frame }
    assert.strictEqual(entries.moments.length, count * keys * Frame.momentFields)
    assert.deepStrictEqual([entries.occurrences.length, entries.sets.length], [count, count])
    assert.isAtMost(entries.ranks.length, count)
    for (const set of entries.ranks) {
      assert(RankSet.isCanonical(set, frame.worldSize))
      assert.isAtLeast(RankSet.size(set), 1)
    }
    for (let i = 0; i < count; i++) {
      assert.isAtLeast(RankSet.first(entries.ranks[entries.sets[i]!]!), 0)
      let all = Moments.empty
      for (let k = 0; k < keys; k++) {
        if (entries.present(i, k)) {
          all = Moments.merge(all, stateAt(entries.moments, (i * entries.keys + k) * Frame.momentFields))
        }
      }
      Moments.std(all)
    }
  } else if (frame.type === "schema") {
    assert.strictEqual(new Set(frame.keys).size, frame.keys.length)
  }
}
