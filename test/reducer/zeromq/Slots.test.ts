import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Moments from "../../../src/Moments.ts"
import * as Slots from "../../../src/reducer/zeromq/Slots.ts"
import type { Row } from "../../../src/Row.ts"
import { row } from "./row.ts"

/** A reduction whose ranks all have joined at 0. */
const make = (worldSize: number, options: Partial<Slots.Options> = {}) => {
  const slots = Slots.make({ worldSize, deadlineMillis: 1000, joinUntil: 5000, ...options })
  const keys = new Map<string, number>()
  const seqs = new Map<number, number>()
  const join = (rank: number, incarnation = 1, now = 0) => {
    seqs.set(rank, 0)
    return slots.join(rank, incarnation, now)
  }
  const send = (rank: number, seq: number, step: number | undefined, metrics: Record<string, number>, now = 0) => {
    const names = Object.keys(metrics)
    const shape = JSON.stringify(names)
    const id = keys.get(shape) ?? keys.size + 1
    keys.set(shape, id)
    slots.schema(rank, id, names, 0)
    return slots.leaf(rank, seq, id, {
      count: 1,
      keys: names.length,
      dense: true,
      steps: Float64Array.of(step ?? seq - 1),
      domains: Uint8Array.of(step === undefined ? 1 : 0),
      present: () => true,
      values: Float64Array.from(Object.values(metrics))
    }, now)
  }
  /** The next record of a rank. */
  const give = (rank: number, step: number | undefined, metrics: Record<string, number>, now = 0) => {
    const seq = (seqs.get(rank) ?? 0) + 1
    seqs.set(rank, seq)
    return send(rank, seq, step, metrics, now)
  }
  for (let rank = 1; rank < worldSize; rank++) join(rank)
  return { ...slots, join, send, give }
}

const statistics = (rows: ReadonlyArray<Row>): unknown =>
  JSON.parse(JSON.stringify(rows.map(({ seq, statistics }) => [seq, statistics])))

describe("a record closes", () => {
  it("when every rank has given all of it, whoever comes first", () => {
    const all = make(3)
    all.give(2, 1, { loss: 5 })
    all.root(row(1, 1, { loss: 1 }), 0)
    assert.deepStrictEqual(all.close(0), [])
    all.give(1, 1, { loss: 3 })
    assert.deepStrictEqual(statistics(all.close(0)), [[1, {
      count: 3,
      expected: 3,
      values: {
        "loss/mean": 3,
        "loss/min": 1,
        "loss/max": 5,
        "loss/std": Math.sqrt(8 / 3),
        "loss/argmin": 0,
        "loss/argmax": 2
      }
    }]])
  })

  it("in the root's order, however the steps become complete", () => {
    const all = make(2)
    for (const step of [1, 2, 3]) all.root(row(step, step, { loss: step }), 0)
    for (const step of [1, 2]) all.give(1, step, { loss: step })
    assert.deepStrictEqual(all.close(0).map(({ seq }) => seq), [1, 2])
    all.give(1, 3, { loss: 3 })
    assert.deepStrictEqual(all.close(0).map(({ seq }) => seq), [3])
  })

  it("when a rank without one of its keys has moved on, with a lower count of that key", () => {
    const all = make(2)
    all.root(row(1, 1, { loss: 1, acc: 1 }), 0)
    all.give(1, 1, { loss: 3 })
    assert.deepStrictEqual(all.close(0), [])
    all.give(1, 2, { loss: 3 })
    const [closed] = all.close(0)
    assert.deepInclude(closed?.statistics?.values, { "loss/mean": 2, "acc/mean": 1, "acc/std": 0 })
    assert.deepInclude(closed?.statistics, { count: 2, expected: 2 })
  })

  it("without a rank that is dead, and waits for one that is not until the deadline", () => {
    const all = make(3)
    all.root(row(1, 1, { loss: 1 }), 100)
    all.give(1, 1, { loss: 3 }, 100)
    assert.deepStrictEqual(all.close(1099), [])
    assert.strictEqual(all.nextDeadline(1099), 1100)
    const [late] = all.close(1100)
    assert.deepInclude(late?.statistics, { count: 2, expected: 3 })
    all.leave(2)
    all.root(row(2, 2, { loss: 1 }), 2000)
    all.give(1, 2, { loss: 3 }, 2000)
    const [closed] = all.close(2000)
    assert.deepInclude(closed?.statistics, { count: 2, expected: 2 })
    assert.strictEqual(all.counts().partial, 1)
  })

  it("not before all have joined, or are no longer waited for", () => {
    const slots = Slots.make({ worldSize: 2, deadlineMillis: 1000, joinUntil: 5000 })
    slots.root(row(1, 1, { loss: 1 }), 0)
    assert.deepStrictEqual(slots.close(4999), [])
    assert.strictEqual(slots.nextDeadline(0), 5000)
    const [closed] = slots.close(5000)
    assert.deepInclude(closed?.statistics, { count: 1, expected: 1 })
  })

  it("not before each has begun, or has had its time to; later all have a deadline", () => {
    const all = make(3, { startMillis: 9000 })
    all.root(row(1, 1, { loss: 1 }), 0)
    all.give(1, 1, { loss: 1 })
    assert.deepStrictEqual(all.close(5000), [])
    all.give(2, 1, { loss: 1 }, 5000)
    assert.deepStrictEqual(all.close(5000).map((one) => one.statistics?.count), [3])
    all.root(row(2, 2, { loss: 1 }), 6000)
    assert.deepStrictEqual(all.close(7000).map((one) => one.statistics?.count), [1])

    const never = make(2, { startMillis: 9000 })
    never.root(row(1, 1, { loss: 1 }), 0)
    assert.deepStrictEqual(never.close(8999), [])
    assert.strictEqual(never.close(9000).length, 1)
    never.root(row(2, 2, { loss: 1 }), 20_000)
    assert.strictEqual(never.close(21_000).length, 1)
  })

  it("a slow rank that comes along is waited for: the deadline counts from its last progress", () => {
    const all = make(2)
    for (let step = 1; step <= 5; step++) all.root(row(step, step, { loss: 1 }), 0)
    for (let step = 1; step <= 5; step++) {
      const now = step * 900
      assert.deepStrictEqual(all.close(now), [])
      all.give(1, step, { loss: 3 }, now)
      assert.deepStrictEqual(all.close(now).map((one) => one.statistics?.count), [2])
    }
  })

  it("without a rank that goes on, but only where the record is not: without steps, or before it", () => {
    const all = make(2, { patienceMillis: 5000 })
    all.root(row(1, 1, { loss: 1 }), 0)
    all.give(1, undefined, { loss: 3 }, 900)
    assert.deepStrictEqual(all.close(999), [])
    assert.deepStrictEqual(all.close(1000).map((one) => one.statistics?.count), [1])

    all.root(row(2, 100, { loss: 1 }), 2000)
    let now = 2000
    for (; all.close(now).length === 0; now += 500) all.give(1, 10 + now / 500, { loss: 3 }, now)
    assert.strictEqual(now, 7000)
  })

  it("where the root alone went back, as soon as the others are beyond all it has come to", () => {
    const all = make(2)
    const train = (seq: number, step: number) => {
      all.root(row(seq, step, { loss: 1 }), 0)
      all.give(1, step, { loss: 3 })
    }
    train(1, 100)
    assert.strictEqual(all.close(0).length, 1)
    // By epochs, which are other numbers.
    all.root(row(2, 1, { accuracy: 1 }), 0)
    assert.strictEqual(all.close(0).length, 0)
    train(3, 101)
    assert.deepStrictEqual(all.close(0).map(({ seq }) => seq), [2, 3])
    all.root(row(4, 101, { temperature: 1 }), 0)
    train(5, 102)
    assert.deepStrictEqual(all.close(0).map(({ seq }) => seq), [4, 5])
  })

  it("at the end with what there is", () => {
    const all = make(2)
    all.root(row(1, 1, { loss: 1 }), 0)
    assert.deepStrictEqual(all.flush().map((one) => one.statistics?.count), [1])
  })

  it("without waiting where too many wait", () => {
    const all = make(2, { waiting: 3 })
    for (let step = 1; step <= 5; step++) all.root(row(step, step, { loss: 1 }), 0)
    assert.deepStrictEqual(all.close(0).map(({ seq }) => seq), [1, 2])
  })
})

describe("who is missing", () => {
  it("is who was there, or had come that far before it left; whenever the record closes", () => {
    const all = make(4)
    for (const step of [1, 2, 3]) {
      for (const rank of [1, 2, 3]) if (rank !== 1 || step !== 2) all.give(rank, step, { loss: rank })
    }
    all.leave(1)
    all.leave(2)
    for (const step of [1, 2, 3, 4]) all.root(row(step, step, { loss: 0 }), 0)
    all.give(3, 4, { loss: 3 })
    const told = all.close(0).map(({ statistics }) => [statistics?.count, statistics?.expected])
    assert.deepStrictEqual(told, [[4, 4], [3, 4], [4, 4], [2, 2]])
    assert.strictEqual(all.counts().partial, 1)
  })

  it("is nobody any more once all is known, and nobody from what rank 0 alone records", () => {
    const all = make(2)
    all.root(row(1, 1, { loss: 1 }), 0)
    assert.strictEqual(all.close(2000)[0]?.statistics?.count, 1)
    assert.strictEqual(all.counts().partial, 1)
    all.give(1, 1, { loss: 3 }, 2000)
    assert.strictEqual(all.close(2000)[0]?.statistics?.count, 2)
    assert.strictEqual(all.counts().partial, 0)
    all.root(row(2, 1, { "eval/acc": 1 }), 2000)
    all.root(row(3, 2, { loss: 1 }), 2000)
    all.give(1, 2, { loss: 3 }, 2000)
    assert.deepStrictEqual(all.close(2000).map(({ statistics }) => statistics?.count), [1, 2])
    assert.strictEqual(all.counts().partial, 0)
  })
})

describe("values are aligned", () => {
  it("by key and occurrence: evaluation on rank 0 alone shifts nothing, and a step may be told in parts", () => {
    const all = make(2)
    all.root(row(1, 1, { loss: 1 }), 0)
    all.root(row(2, 1, { "eval/acc": 0.5 }), 0)
    all.root(row(3, 1, { loss: 10 }), 0)
    all.root(row(4, 2, { loss: 2 }), 0)
    all.give(1, 1, { loss: 3 })
    all.give(1, 1, { loss: 30 })
    all.give(1, 2, { loss: 4 })
    const means = all.close(0).map((one) => one.statistics?.values)
    assert.deepStrictEqual(means.map((values) => values?.["loss/mean"]), [2, undefined, 20, 3])
    assert.strictEqual(means[1]?.["eval/acc/mean"], 0.5)
  })

  it("by their number where there is no step", () => {
    const all = make(2)
    for (const seq of [1, 2]) all.root(row(seq, undefined, { loss: seq }), 0)
    for (const value of [3, 4]) all.give(1, undefined, { loss: value })
    assert.deepStrictEqual(all.close(0).map((one) => one.statistics?.values["loss/mean"]), [2, 3])
  })

  it("where the steps begin anew, on all ranks", () => {
    const all = make(2)
    let seq = 0
    for (const step of [1, 2, 3, 1, 2, 3]) {
      all.root(row(++seq, step, { loss: seq }), 0)
      assert.deepStrictEqual(all.close(0), [], `before rank 1 has given ${seq}`)
      all.give(1, step, { loss: seq + 2 })
      assert.deepStrictEqual(all.close(0).map((one) => one.statistics?.values["loss/mean"]), [seq + 1])
    }
  })
})

describe("whatever ranks record", () => {
  const worldSize = 4
  const metrics = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.integer({ min: -9, max: 9 }), { maxKeys: 3 })
  const record = fc.tuple(fc.integer({ min: 0, max: 3 }), metrics)
  const ranks = fc.array(fc.array(record, { maxLength: 8 }), { minLength: worldSize, maxLength: worldSize })

  it("the n-th value of a key at a step meets the n-th of all others", () => {
    fc.assert(
      fc.property(ranks, fc.array(fc.nat({ max: worldSize - 1 }), { maxLength: 40 }), (given, order) => {
        const all = make(worldSize)
        const left = given.map((records) => [...records].sort(([a], [b]) => a - b))
        /** By rank, what it has said of a key at a step, one after the other. */
        const said = left.map((records) =>
          records.reduce((values, [step, metrics]) => {
            for (const [key, value] of Object.entries(metrics)) {
              const name = `${step} ${key}`
              values.set(name, [...values.get(name) ?? [], value])
            }
            return values
          }, new Map<string, ReadonlyArray<number>>())
        )
        let seq = 0
        const next = (rank: number): void => {
          const [one] = left[rank]!.splice(0, 1)
          if (one === undefined) return
          if (rank === 0) all.root(row(++seq, one[0], one[1]), 0)
          else all.give(rank, ...one)
        }
        for (const rank of order) next(rank)
        for (let rank = 0; rank < worldSize; rank++) while (left[rank]!.length > 0) next(rank)
        const seen = new Map<string, number>()
        for (const { metrics, statistics, step } of all.flush()) {
          const ranks = new Set<number>()
          for (const key of Object.keys(metrics)) {
            const name = `${step} ${key}`
            const n = seen.get(name) ?? 0
            seen.set(name, n + 1)
            const values = said.flatMap((one, rank) => {
              const value = one.get(name)?.[n]
              if (value !== undefined) ranks.add(rank)
              return value ?? []
            })
            assert.strictEqual(statistics?.values[`${key}/mean`], Moments.mean(Moments.fromValues(values)))
            assert.strictEqual(statistics?.values[`${key}/max`], Math.max(...values))
          }
          if (ranks.size > 0) assert.strictEqual(statistics?.count, ranks.size)
        }
      }),
      { numRuns: 200 }
    )
  })
})

describe("a value that comes late", () => {
  it("amends its record, once for all that came", () => {
    const all = make(3)
    all.root(row(1, 1, { loss: 1 }), 0)
    all.root(row(2, 2, { loss: 1 }), 0)
    assert.deepStrictEqual(all.close(1000).map((one) => one.statistics?.count), [1, 1])
    all.give(1, 1, { loss: 4 }, 1500)
    all.give(2, 1, { loss: 7 }, 1500)
    const again = all.close(1500)
    assert.deepStrictEqual(
      again.map(({ seq, statistics }) => [seq, statistics?.count, statistics?.values["loss/mean"]]),
      [
        [1, 3, 4]
      ]
    )
    assert.deepStrictEqual(all.close(1500), [])
  })

  it("is forgotten with its record", () => {
    const all = make(2, { remembered: 2 })
    for (let step = 1; step <= 10; step++) all.root(row(step, step, { loss: 1 }), 0)
    all.close(1000)
    all.give(1, 1, { loss: 4 }, 1500)
    assert.deepStrictEqual(all.close(1500), [])
  })
})

describe("frames", () => {
  it("that come again change nothing", () => {
    const all = make(2)
    all.root(row(1, 1, { loss: 1 }), 0)
    all.root(row(2, 1, { loss: 1 }), 0)
    for (let i = 0; i < 3; i++) all.send(1, 1, 1, { loss: 3 })
    assert.deepStrictEqual(all.close(0).map((one) => one.statistics?.values["loss/mean"]), [2])
  })

  it("are acknowledged when all they were about is closed, and not before", () => {
    const all = make(2)
    all.give(1, 1, { loss: 3 })
    all.give(1, 2, { loss: 3 })
    assert.deepStrictEqual(all.acks(), [])
    all.root(row(1, 1, { loss: 1 }), 0)
    all.close(0)
    assert.deepStrictEqual(all.acks(), [{ sender: 1, seq: 1 }])
    all.root(row(2, 2, { loss: 1 }), 0)
    all.close(0)
    assert.deepStrictEqual(all.acks(), [{ sender: 1, seq: 2 }])
  })

  it("behind one that is missing are refused until that comes, or never will", () => {
    const all = make(2)
    assert.isTrue(all.send(1, 1, 1, { loss: 3 }))
    assert.isFalse(all.send(1, 4, 4, { loss: 3 }))
    assert.strictEqual(all.counts().lost, 0)
    all.floor(1, 3)
    assert.strictEqual(all.counts().lost, 2)
    assert.isTrue(all.send(1, 4, 4, { loss: 3 }))
  })

  it("that a root before had no need of any more are not lost; others that never come are", () => {
    const all = make(2)
    all.floor(1, 5)
    assert.strictEqual(all.counts().lost, 0)
    assert.isTrue(all.send(1, 6, 1, { loss: 1 }))
    all.floor(1, 8)
    assert.strictEqual(all.counts().lost, 2)
  })

  it("of steps far ahead of the root are kept until it comes there", () => {
    const all = make(2, { remembered: 10 })
    const n = 10_000
    for (let step = 1; step <= n; step++) all.give(1, step, { loss: 2 })
    for (let step = 1; step <= n; step++) all.root(row(step, step, { loss: 4 }), 0)
    const rows = all.close(0)
    assert.strictEqual(rows.length, n)
    assert.isTrue(rows.every((one) => one.statistics?.values["loss/mean"] === 3))
  })

  it("of steps too far ahead are let go of, and counted", () => {
    const all = make(2)
    const n = 100_000
    for (let step = 1; step <= n; step++) all.give(1, step, { loss: 2 })
    let alone = 0
    for (let step = 1; step <= n; step++) {
      all.root(row(step, step, { loss: 4 }), 0)
      for (const one of all.close(0)) if (one.statistics?.values["loss/mean"] !== 3) alone++
    }
    assert.isAbove(alone, 0)
    assert.isBelow(alone, n / 2)
    assert.strictEqual(all.counts().overflowed, alone)
  })

  it("of a new incarnation count from the first again", () => {
    const all = make(2)
    for (const seq of [1, 2, 3, 4]) all.send(1, seq, seq, { loss: 3 })
    assert.strictEqual(all.join(1, 1), 4)
    assert.strictEqual(all.join(1, 2), 0)
    all.root(row(1, 5, { loss: 1 }), 0)
    all.send(1, 1, 5, { loss: 3 })
    assert.deepStrictEqual(all.close(0).map((one) => one.statistics?.values["loss/mean"]), [2])
  })

  it("with a schema that was never told are refused", () => {
    const slots = Slots.make({ worldSize: 2, deadlineMillis: 1, joinUntil: 0 })
    slots.join(1, 1, 0)
    const none = {
      count: 0,
      keys: 0,
      dense: true,
      steps: new Float64Array(),
      domains: new Uint8Array(),
      present: () => false
    }
    assert.isFalse(slots.leaf(1, 1, 7, { ...none, values: new Float64Array() }, 0))
  })
})

describe("statistics", () => {
  const hard: ReadonlyArray<readonly [string, (rank: number) => number]> = [
    ["1e9 + 8r", (rank) => 1e9 + 8 * rank],
    ["unix time", (rank) => 1.79e9 + rank / 1000],
    ["bytes", (rank) => 8e10 + (rank % 2 === 0 ? 1e3 : -1e3)],
    ["2^24 + 1", () => 2 ** 24 + 1],
    ["1e39", (rank) => 1e39 * (rank + 1)],
    ["NaN and infinities among them", (rank) => [NaN, Infinity, 1, 2, -Infinity, 3, 4, 5][rank] ?? 0]
  ]

  for (const [what, value] of hard) {
    it(`are the same bits in every order of arrival: ${what}`, () => {
      const worldSize = 8
      const seen = new Set<string>()
      fc.assert(
        fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 8 }), (order) => {
          const all = make(worldSize)
          for (const rank of order) {
            if (rank === 0) all.root(row(1, 1, { x: value(0) }), 0)
            else all.give(rank, 1, { x: value(rank) })
          }
          seen.add(JSON.stringify(all.close(0).map((one) => one.statistics)))
        }),
        { numRuns: 60 }
      )
      assert.strictEqual(seen.size, 1)
    })
  }

  it("count what is not finite, and leave it out of all else", () => {
    const all = make(3)
    all.root(row(1, 1, { x: NaN, y: Infinity }), 0)
    all.give(1, 1, { x: 2, y: NaN })
    all.give(2, 1, { x: 4, y: NaN })
    const [closed] = all.close(0)
    assert.deepInclude(closed?.statistics?.values, { "x/mean": 3, "x/nonfinite": 1, "x/argmax": 2, "y/nonfinite": 3 })
    assert.isUndefined(closed?.statistics?.values["y/mean"])
  })

  it("are taken of arrays' means, and not of texts", () => {
    const all = make(2)
    all.root(row(1, 1, { chain: [1, 2, 3], note: "a", on: true, nothing: null }), 0)
    all.give(1, 1, { chain: 4 })
    const [closed] = all.close(0)
    assert.strictEqual(closed?.statistics?.values["chain/mean"], 3)
    assert.deepStrictEqual(Object.keys(closed?.statistics?.values ?? {}).filter((key) => !key.startsWith("chain/")), [])
  })
})
