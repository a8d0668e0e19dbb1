import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"
import * as RankSet from "../../../src/reducer/zeromq/RankSet.ts"
import { aggregateBytes, decoded, fault, reseal, runs } from "./frames.ts"

const most = 2 ** 32 - 1

/** Ranks that lie close together, or far apart, up to the highest there can be. */
const ranks = fc.oneof(
  fc.uniqueArray(fc.nat(30), { maxLength: 20 }),
  fc.uniqueArray(fc.oneof(fc.nat(9), fc.integer({ min: most - 9, max: most })), { maxLength: 12 })
).map((ranks) => ranks.toSorted((a, b) => a - b))

const listed = (set: RankSet.RankSet): Array<number> => {
  const all: Array<number> = []
  RankSet.each(set, (rank) => void all.push(rank))
  return all
}

describe("a set of ranks", () => {
  it("has the ranks it was made of, in ascending order", () => {
    fc.assert(fc.property(ranks, (ranks) => {
      const set = RankSet.of(ranks)
      assert.deepStrictEqual(listed(set), ranks)
      assert.strictEqual(RankSet.size(set), ranks.length)
      assert.strictEqual(RankSet.first(set), ranks[0] ?? -1)
    }))
  })

  it("is written in one way only, whatever it was made from", () => {
    fc.assert(fc.property(ranks, ranks, (one, other) => {
      const [a, b] = [RankSet.of(one), RankSet.of(other)]
      const both = [...new Set([...one, ...other])].toSorted((a, b) => a - b)
      const whole = RankSet.of(both)
      for (const set of [RankSet.union(a, b), RankSet.union(b, a), RankSet.union(whole, a)]) {
        assert.deepStrictEqual([...set], [...whole])
        assert(RankSet.equals(set, whole))
        assert.strictEqual(RankSet.isCanonical(set, most + 1), both.length > 0)
      }
      assert.strictEqual(RankSet.equals(a, b), one.join() === other.join())
    }))
    assert.deepStrictEqual([...RankSet.of([0, 1, 2, 2, 4, 6, 7])], [0, 2, 4, 4, 6, 7])
    assert.deepStrictEqual([...RankSet.of(Int32Array.of(3, 4, 0, 0), 2)], [3, 4])
    assert.deepStrictEqual([...RankSet.union(Uint32Array.of(0, 9), Uint32Array.of(2, 3, 10, 11))], [0, 11])
  })

  it("is not made of ranks out of order", () => {
    for (const ranks of [[1, 0], [0, 1, NaN], [5, 5, 4]]) assert.throws(() => RankSet.of(ranks), RangeError)
  })

  it("from elsewhere is looked at: any other way to write one is told apart", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(12), { maxLength: 8 }), fc.integer({ min: 1, max: 12 }), (words, worldSize) => {
        const set = Uint32Array.from(words)
        const expected = words.length > 0 && words.length % 2 === 0 && words.every((word) => word < worldSize) &&
          words.every((word, i) => i === 0 || (i % 2 === 1 ? word >= words[i - 1]! : word > words[i - 1]! + 1))
        assert.strictEqual(RankSet.isCanonical(set, worldSize), expected)
      })
    )
    assert(RankSet.isCanonical(Uint32Array.of(0, most), most + 1))
    assert(!RankSet.isCanonical(Uint32Array.of(0, most, 1, 1), most))
  })
})

describe("the rank sets of an aggregate", () => {
  it("are refused where they are no sets, none, or not written in the one way there is", () => {
    const words = (at: number, ...to: ReadonlyArray<number>) => {
      const copy = aggregateBytes.slice()
      const view = new DataView(copy.buffer, 64)
      for (const [i, word] of to.entries()) view.setUint32(at + 4 * i, word, true)
      return fault(reseal(copy))
    }
    const most = 2 ** 32 - 1
    assert.strictEqual(aggregateBytes.length, 64 + 216 + 4 + 12 + 20 + 4)
    assert.strictEqual(words(216, 2, 1, 0, 0, 2, 1, 2, 5, 6), "an aggregate")
    assert.strictEqual(words(216, 2, 1, 7, 7, 2, 0, 0, 2, 7), "an aggregate", "sets may be in any order, and meet")
    for (const index of [2, 3, most]) assert.strictEqual(words(32, index), "malformed", `set ${index} of 2`)
    for (const sets of [0, 1, 3, most]) assert.strictEqual(words(216, sets), "malformed", `${sets} sets`)
    for (const runs of [0, 2, 3, 2 ** 29, most]) assert.strictEqual(words(220, runs), "malformed", `${runs} runs`)
    for (const runs of [0, 1, 3, 2 ** 29, most]) assert.strictEqual(words(232, runs), "malformed", `${runs} runs`)
    for (const run of [[1, 0], [0, 8], [8, 8], [most, most], [0, most]]) {
      assert.strictEqual(words(224, ...run), "malformed", `the run ${run.join()}`)
    }
    for (const runs of [[1, 2, 2, 4], [1, 2, 3, 4], [4, 4, 1, 1], [1, 1, 1, 1], [2, 1, 4, 4], [0, most, 1, 1]]) {
      assert.strictEqual(words(236, ...runs), "malformed", `the runs ${runs.join()}`)
    }
  })

  it("are just those bytes that the specification says", () => {
    const word = fc.oneof({ weight: 9, arbitrary: fc.nat(7) }, fc.integer({ min: 0, max: 2 ** 32 - 1 }))
    const sample = fc.oneof(
      fc.array(word, { maxLength: 14 }),
      // Mostly right.
      fc.tuple(fc.array(fc.array(word, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }), fc.nat(9)).map(
        ([sets, wrong]) => [
          sets.length,
          ...sets.flatMap((ranks) => {
            const sorted = [...RankSet.of(ranks.map((rank) => rank % 8).toSorted((a, b) => a - b))]
            return wrong === 0 ? [sorted.length / 2, ...sorted, 7] : [sorted.length / 2, ...sorted]
          })
        ]
      )
    )
    let taken = 0
    const property = fc.property(sample, fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }), (told, indices) => {
      const fill = told.length % 2
      const bytes = new Uint8Array(64 + 24 + 8 + 16 + 16 + 4 * (told.length + fill))
      bytes.set(aggregateBytes.subarray(0, 64))
      const view = new DataView(bytes.buffer)
      view.setUint32(36, 0, true)
      view.setUint32(40, 3, true)
      view.setUint32(44, bytes.length - 64, true)
      for (const [i, index] of indices.entries()) view.setUint32(64 + 48 + 4 * i, index, true)
      for (const [i, word] of told.entries()) view.setUint32(128 + 4 * i, word, true)
      const frame = Frame.decode(reseal(bytes))
      const expected = setsIn(fill === 0 ? told : [...told, 0], 3, 8)
      if (expected === undefined || indices.some((index) => index >= expected.length)) {
        assert(Frame.isRefused(frame) && frame.fault === "malformed")
        return
      }
      taken++
      assert(!Frame.isRefused(frame) && frame.type === "aggregate")
      assert.deepStrictEqual(frame.entries.ranks.map((set) => [...set]), expected)
      assert.deepStrictEqual([...frame.entries.sets], indices)
    })
    fc.assert(property, { numRuns: runs, seed: 20261125 })
    assert.isAbove(taken, runs / 100)
  })

  it("keep nothing of the message", () => {
    const frame = decoded(aggregateBytes)
    assert(frame.type === "aggregate")
    assert.strictEqual(frame.entries.moments.buffer, aggregateBytes.buffer)
    assert.strictEqual(frame.entries.sets.buffer, aggregateBytes.buffer)
    for (const set of frame.entries.ranks) assert.strictEqual(set.buffer.byteLength, 4 * set.length)
  })
})

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** Rank sets by the letter of the specification; undefined where the words are none. */
const setsIn = (
  words: ReadonlyArray<number>,
  entries: number,
  worldSize: number
): ReadonlyArray<ReadonlyArray<number>> | undefined => {
  const rest = [...words]
  const sets: Array<ReadonlyArray<number>> = []
  const count = rest.shift() ?? 0
  if (count < 1 || count > entries) return undefined
  for (let s = 0; s < count; s++) {
    const runs = rest.shift() ?? 0
    if (runs < 1 || 2 * runs > rest.length) return undefined
    const set = rest.splice(0, 2 * runs)
    for (let i = 0; i < set.length; i += 2) {
      if (set[i]! > set[i + 1]! || set[i + 1]! >= worldSize || (i > 0 && set[i]! < set[i - 1]! + 2)) return undefined
    }
    sets.push(set)
  }
  return rest.length <= (words.length - rest.length) % 2 ? sets : undefined
}
