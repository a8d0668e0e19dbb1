/** What a root's slots take, of time and of memory, where ranks record as few do. A test that would take an hour is one that fails. */
import { assert, describe, it } from "@effect/vitest"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { setState } from "../../../src/internal/states.ts"
import type { Metrics } from "../../../src/Metrics.ts"
import * as Moments from "../../../src/Moments.ts"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"
import * as RankSet from "../../../src/reducer/zeromq/RankSet.ts"
import * as Slots from "../../../src/reducer/zeromq/Slots.ts"
import type { Row } from "../../../src/Row.ts"

/** Ranks that all have joined, and say the same as the root. */
const make = (worldSize: number, options: Partial<Slots.Options> = {}) => {
  const slots = Slots.make({ worldSize, deadlineMillis: 1000, joinUntil: 0, ...options })
  const ids = new Map<string, number>()
  const rows: Array<Row> = []
  let seq = 0
  for (let rank = 1; rank < worldSize; rank++) slots.join(rank, 1, 0)
  const leaf = (rank: number, n: number, step: number, metrics: Record<string, number>, domain = 0): boolean => {
    const keys = Object.keys(metrics)
    const name = keys.join()
    if (!ids.has(name)) {
      ids.set(name, ids.size + 1)
      for (let rank = 1; rank < worldSize; rank++) slots.schema(rank, ids.get(name)!, keys, 0)
    }
    return slots.leaf(rank, n, ids.get(name)!, {
      count: 1,
      keys: keys.length,
      dense: true,
      steps: Float64Array.of(step),
      domains: Uint8Array.of(domain),
      present: () => true,
      values: Float64Array.from(Object.values(metrics))
    }, 0)
  }
  const root = (step: number | undefined, metrics: Metrics): void => {
    slots.root({ seq: ++seq, step, timestamp: 0, rank: 0, metrics, statistics: undefined }, 0)
  }
  const close = (): void => void rows.push(...slots.close(0))
  return {
    slots,
    rows,
    leaf,
    root,
    close,
    all: (step: number, metrics: Record<string, number>): void => {
      for (let rank = 1; rank < worldSize; rank++) leaf(rank, seq + 1, step, metrics)
      root(step, metrics)
      close()
      slots.acks()
    }
  }
}

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

const heap = (): number => {
  collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

describe("a step that has no end of records", () => {
  it("of other keys now and then takes no longer for each, and is aligned", () => {
    const { all, rows } = make(4)
    for (let i = 0; i < 20_000; i++) all(1, i % 10 === 9 ? { loss: i, accuracy: 1 } : { loss: i, lr: 1 })
    assert.strictEqual(rows.length, 20_000)
    for (const [i, { statistics }] of rows.entries()) {
      assert.strictEqual(statistics?.count, 4)
      assert.strictEqual(statistics?.values["loss/min"], i)
      assert.strictEqual(statistics?.values["loss/max"], i)
    }
  })

  it("is not looked through whenever something comes", () => {
    const { all, rows } = make(8)
    const metrics = Object.fromEntries(Array.from({ length: 32 }, (_, k) => [`k${k}`, k]))
    for (let i = 0; i < 5000; i++) all(1, metrics)
    assert.strictEqual(rows.length, 5000)
  })
})

describe("many sets of keys", () => {
  it("at one step are not compared with one another", () => {
    const { all, rows } = make(3)
    const before = heap()
    for (let step = 0; step < 3; step++) for (let k = 0; k < 4000; k++) all(step, { [`k${k}`]: k })
    assert.strictEqual(rows.length, 12_000)
    assert.isTrue(rows.every(({ statistics }) => statistics?.count === 3))
    assert.isBelow(heap() - before, 200e6)
  })
})

describe("many keys", () => {
  it("of which each record has others do not add up", () => {
    const { rows, slots } = make(2)
    const width = 20_000
    slots.schema(1, 1, Array.from({ length: width }, (_, k) => `k${k}`), 0)
    const values = new Float64Array(width)
    const before = heap()
    for (let n = 1; n <= 400; n++) {
      assert.isTrue(slots.leaf(1, n, 1, {
        count: 1,
        keys: width,
        dense: false,
        steps: Float64Array.of(n),
        domains: Uint8Array.of(0),
        present: (_, key) => key !== n,
        values
      }, 0))
      slots.root({ seq: n, step: n, timestamp: 0, rank: 0, metrics: { other: 1 }, statistics: undefined }, 0)
      rows.push(...slots.close(0))
      slots.acks()
    }
    assert.isBelow(heap() - before, 400e6)
  })
})

describe("what aggregators say", () => {
  it("of records that have closed is remembered within its bounds", () => {
    const [nodes, perNode, width] = [400, 8, 64]
    const worldSize = 1 + nodes * perNode
    const { rows, root, slots } = make(worldSize)
    const keys = Array.from({ length: width }, (_, k) => `k${k}`)
    const moments = new Float64Array(width * Frame.momentFields)
    for (let k = 0; k < width; k++) {
      setState(moments, k * Frame.momentFields, Moments.fromValues([1, 2, 3, 4, 5, 6, 7, 8]))
    }
    const firsts = Array.from({ length: nodes }, (_, node) => 1 + node * perNode)
    for (const first of firsts) {
      const sender = slots.aggregatorOf(first)
      slots.joinAggregator(sender, 1)
      slots.schema(sender, 1, keys, 0)
      for (let rank = first; rank < first + perNode; rank++) slots.join(rank, 1, 0, sender)
    }
    const before = heap()
    for (let step = 0; step < 180; step++) {
      root(step, Object.fromEntries(keys.map((key) => [key, 1])))
      for (const first of firsts) {
        slots.aggregate(slots.aggregatorOf(first), step + 1, 1, {
          count: 1,
          keys: width,
          dense: true,
          steps: Float64Array.of(step),
          domains: Uint8Array.of(0),
          occurrences: Uint32Array.of(0),
          sets: Uint32Array.of(0),
          ranks: [RankSet.of(Array.from({ length: perNode }, (_, i) => first + i))],
          present: () => true,
          moments
        }, 0)
      }
      rows.push(...slots.close(0))
      slots.acks()
    }
    assert.strictEqual(rows.length, 180)
    assert.strictEqual(rows.at(-1)?.statistics?.count, worldSize)
    // All of it would be 405 MB.
    assert.isBelow(heap() - before, 250e6)
  })
})

describe("frames about steps that the root never comes to", () => {
  it("are acknowledged once there are more than anybody has to keep, and not held for ever", () => {
    const { leaf, root, slots } = make(2)
    // The root's records all have steps; this one has none.
    leaf(1, 1, 0, { setup: 1 }, 1)
    let acked = 0
    const before = heap()
    for (let n = 2; n < 200_000; n++) {
      leaf(1, n, n, { loss: n })
      root(n, { loss: n })
      assert.strictEqual(slots.close(0).length, 1)
      for (const { seq } of slots.acks()) acked = seq
      if (n < 60_000) assert.strictEqual(acked, 0)
      if (n > 70_000) assert.isAtLeast(acked, n - 66_000)
    }
    assert.isBelow(heap() - before, 100e6)
  })

  it("are let go of when their sender has none of them any more", () => {
    const { leaf, root, slots } = make(2)
    leaf(1, 1, 0, { setup: 1 }, 1)
    leaf(1, 2, 1, { loss: 1 })
    root(1, { loss: 1 })
    slots.close(0)
    assert.deepStrictEqual(slots.acks(), [])
    slots.floor(1, 1)
    leaf(1, 3, 2, { loss: 1 })
    slots.close(0)
    assert.deepStrictEqual(slots.acks(), [{ sender: 1, seq: 2 }])
    assert.strictEqual(slots.counts().lost, 0)
  })
})

describe("frames that hold together and make no sense", () => {
  const row = (metrics: Metrics): Row => ({ seq: 1, step: 1, timestamp: 0, rank: 0, metrics, statistics: undefined })
  /** What the root says at last, when an aggregator of ranks 1 and 2 has said this before what is true. */
  const after = (occurrence: number, ranks: ReadonlyArray<number>, keys: number, values: ReadonlyArray<number>) => {
    const slots = Slots.make({ worldSize: 3, deadlineMillis: 1000, joinUntil: 0 })
    const sender = slots.aggregatorOf(1)
    slots.joinAggregator(sender, 1)
    slots.join(1, 1, 0, sender)
    slots.join(2, 1, 0, sender)
    slots.schema(sender, 1, ["loss"], 0)
    const say = (seq: number, n: number, who: ReadonlyArray<number>, width: number, of: ReadonlyArray<number>) => {
      const moments = new Float64Array(width * Frame.momentFields)
      for (let k = 0; k < width; k++) setState(moments, k * Frame.momentFields, Moments.fromValues(of))
      assert.isTrue(slots.aggregate(sender, seq, 1, {
        count: 1,
        keys: width,
        dense: true,
        steps: Float64Array.of(1),
        domains: Uint8Array.of(0),
        occurrences: Uint32Array.of(n),
        sets: Uint32Array.of(0),
        ranks: [RankSet.of(who)],
        present: () => true,
        moments
      }, 0))
    }
    say(1, occurrence, ranks, keys, values)
    say(2, 0, [1, 2], 1, [2, 3])
    slots.root(row({ loss: 1, other: 1 }), 0)
    slots.root({ ...row({ loss: 1 }), seq: 2, step: 2 }, 0)
    const rows = slots.flush()
    assert.strictEqual(rows[0]?.statistics?.values["loss/mean"], 2)
    assert.strictEqual(rows[0]?.statistics?.count, 3)
    assert.strictEqual(slots.counts().dropped, 1)
    assert.deepStrictEqual(slots.acks(), [{ sender, seq: 2 }])
  }

  it("are not taken: an occurrence beyond all that can be", () => {
    after(2 ** 32 - 2, [1, 2], 1, [2, 3])
    after(2 ** 32 - 1, [1, 2], 1, [2, 3])
  })
  it("are not taken: the root's own rank", () => after(0, [0, 1], 1, [2, 3]))
  it("are not taken: more values than ranks", () => after(0, [1, 2], 1, [2, 3, 4]))
  it("are not taken: fewer values than ranks", () => after(0, [1, 2], 1, [2]))
  it("are not taken: of more keys than the schema has", () => after(0, [1, 2], 2, [2, 3]))
  it("are not taken: of fewer keys", () => after(0, [1, 2], 0, []))

  it("are not taken: a rank's, of other keys than the schema has", () => {
    const { slots } = make(2)
    slots.schema(1, 1, ["loss", "lr"], 0)
    for (const [n, keys] of [1, 3, 0, 2].entries()) {
      assert.isTrue(slots.leaf(1, n + 1, 1, {
        count: 1,
        keys,
        dense: true,
        steps: Float64Array.of(1),
        domains: Uint8Array.of(0),
        present: () => true,
        values: new Float64Array(keys).fill(5)
      }, 0))
    }
    slots.root(row({ loss: 1, lr: 1 }), 0)
    assert.strictEqual(slots.close(0)[0]?.statistics?.values["lr/mean"], 3)
    assert.strictEqual(slots.counts().dropped, 3)
  })
})
