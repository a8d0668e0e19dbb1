import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Metrics } from "../../../src/Metrics.ts"
import * as Slots from "../../../src/reducer/zeromq/Slots.ts"
import type { Row } from "../../../src/Row.ts"
import { row } from "./row.ts"

type Numbers = Readonly<Record<string, number>>
type Said = readonly [step: number | undefined, numbers: Numbers]

/** A root, and what ranks say to it: in frames that wait as they came, or that go to slots at once. */
class Job {
  readonly slots: Slots.Slots
  readonly #isDense: boolean
  readonly #seqs = new Map<number, number>()
  readonly #told = new Map<number, unknown>()
  readonly acknowledged = new Map<number, number>()
  #seq = 0

  constructor(worldSize: number, isDense: boolean, options: Partial<Slots.Options> = {}) {
    this.slots = Slots.make({ worldSize, deadlineMillis: 1000, joinUntil: 5000, ...options })
    this.#isDense = isDense
    for (let rank = 1; rank < worldSize; rank++) this.join(rank, 1)
  }

  join(rank: number, incarnation: number): void {
    this.slots.join(rank, incarnation, 0)
    this.#seqs.set(rank, 0)
  }

  /** Records of the same keys. */
  frame(rank: number, records: ReadonlyArray<Said>, now = 0): void {
    const seq = this.#seqs.get(rank)! + 1
    this.#seqs.set(rank, seq)
    const keys = Object.keys(records[0]![1])
    this.slots.schema(rank, seq, keys, 0)
    this.slots.leaf(rank, seq, seq, {
      count: records.length,
      keys: keys.length,
      dense: this.#isDense,
      steps: Float64Array.from(records, ([step], i) => step ?? i),
      domains: Uint8Array.from(records, ([step]) => step === undefined ? 1 : 0),
      present: () => true,
      values: Float64Array.from(records.flatMap(([, numbers]) => Object.values(numbers)))
    }, now)
  }

  root([step, metrics]: Said, now = 0): void {
    this.slots.root(row(++this.#seq, step, metrics), now)
  }

  /** What is told: which record, of how many, and its greatest loss. */
  close(now = 0): ReadonlyArray<readonly [seq: number, count: number | undefined, max: unknown]> {
    const rows = this.slots.close(now)
    this.#tell(rows)
    return rows.map(({ seq, statistics }) => [seq, statistics?.count, statistics?.values["loss/max"]])
  }

  /** What is known of each record at last. */
  end(): unknown {
    this.#tell(this.slots.flush())
    this.#tell(this.slots.close(0))
    for (const { sender, seq } of this.slots.acks()) this.acknowledged.set(sender, seq)
    return [...this.#told].sort(([a], [b]) => a - b)
  }

  #tell(rows: ReadonlyArray<Row>): void {
    for (const { seq, statistics } of rows) this.#told.set(seq, JSON.parse(JSON.stringify(statistics ?? null)))
    for (const { sender, seq } of this.slots.acks()) this.acknowledged.set(sender, seq)
  }
}

// -----------------------------------------------------------------------------
// What ranks do
// -----------------------------------------------------------------------------

const worldSize = 3
const variants: ReadonlyArray<ReadonlyArray<string>> = [
  ["a", "b"],
  ["a", "b"],
  ["a", "b"],
  ["b", "a"],
  ["a"],
  ["c"],
  []
]

/** The steps of a training: mostly one after the other, some told in parts, or left out, and sometimes it begins anew. */
const script = fc.array(
  fc.record({ move: fc.constantFrom(0, 1, 1, 1, 1, 1, 2, -3), variant: fc.nat({ max: variants.length - 1 }) }),
  { minLength: 1, maxLength: 25 }
).map((moves) => {
  let step = 0
  return moves.map(({ move, variant }) => [step = Math.max(0, step + move), variants[variant]!] as const)
})

/** What a rank does differently: at a place of it, it leaves one out, says it twice, other keys, or another step. */
const change = fc.record({ at: fc.nat(), kind: fc.constantFrom("drop", "twice", "keys", "step") })

const jobs = fc.record({
  script,
  changes: fc.array(fc.array(change, { maxLength: 2 }), { minLength: worldSize, maxLength: worldSize }),
  sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 }),
  order: fc.array(fc.nat({ max: worldSize }), { maxLength: 60 })
})

const recordsOf = (
  script: ReadonlyArray<readonly [number, ReadonlyArray<string>]>,
  changes: ReadonlyArray<{ readonly at: number; readonly kind: string }>,
  rank: number
): ReadonlyArray<Said> => {
  const all = [...script]
  for (const { at, kind } of changes) {
    const i = at % Math.max(1, all.length)
    const one = all[i]
    if (one === undefined) continue
    if (kind === "drop") all.splice(i, 1)
    else if (kind === "twice") all.splice(i, 0, one)
    else if (kind === "keys") all[i] = [one[0], ["b", "c"]]
    else all[i] = [one[0] + 5, one[1]]
  }
  return all.map(([step, keys], n) => [step, Object.fromEntries(keys.map((key, k) => [key, 100 * n + 10 * k + rank]))])
}

/** Cut where the keys change, and at these sizes. */
const framesOf = (records: ReadonlyArray<Said>, sizes: ReadonlyArray<number>): Array<ReadonlyArray<Said>> => {
  const frames: Array<Array<Said>> = []
  let name = ""
  for (const record of records) {
    const keys = Object.keys(record[1]).join()
    const last = frames.at(-1)
    if (last === undefined || keys !== name || last.length >= sizes[frames.length % sizes.length]!) {
      frames.push([record])
    } else last.push(record)
    name = keys
  }
  return frames
}

// -----------------------------------------------------------------------------

describe("records that all ranks are at", () => {
  it("are told as those are that are put together in slots, whatever ranks do, and no less is acknowledged", () => {
    fc.assert(
      fc.property(jobs, ({ changes, order, script, sizes }) => {
        const [own, ...others] = changes.map((some, rank) => recordsOf(script, some, rank))
        const ended = [true, false].map((isDense) => {
          const job = new Job(worldSize, isDense)
          const left = [...own!]
          const frames = others.map((records) => framesOf(records, sizes))
          const next = (who: number): void => {
            if (who === worldSize) return void job.close()
            const one = who === 0 ? left.shift() : undefined
            if (one !== undefined) job.root(one)
            const frame = who === 0 ? undefined : frames[who - 1]!.shift()
            if (frame !== undefined) job.frame(who, frame)
          }
          for (const who of order) next(who)
          while (left.length > 0) next(0)
          for (const [i, some] of frames.entries()) while (some.length > 0) next(i + 1)
          return { told: job.end(), partial: job.slots.counts().partial, acknowledged: job.acknowledged }
        })
        const [waited, put] = ended
        assert.deepStrictEqual(waited!.told, put!.told)
        assert.strictEqual(waited!.partial, put!.partial)
        // Where the root goes back, what it has not come to again is acknowledged or not, as it happens.
        if (own!.some(([step], i) => i > 0 && step! < own![i - 1]![0]!)) return
        for (const [rank, seq] of put!.acknowledged) assert.isAtLeast(waited!.acknowledged.get(rank) ?? 0, seq)
      }),
      { numRuns: 2000 }
    )
  })

  it("are not taken for others where a rank says them again, another way", () => {
    const job = new Job(2, true)
    const steps = [1, 2, 3, 4].map((step): Said => [step, { loss: 10 * step }])
    job.frame(1, steps)
    for (const step of [1, 2]) job.root([step, { loss: 0 }])
    job.close()
    // Through an aggregator, which says nothing of it, and by itself again.
    job.slots.join(1, 1, 0, job.slots.aggregatorOf(1))
    job.join(1, 1)
    job.frame(1, steps)
    // A second one of step 2 that the rank does not have.
    job.root([2, { loss: 1 }])
    for (const step of [3, 4]) job.root([step, { loss: 0 }])
    job.close()
    job.frame(1, [[5, { loss: 0 }]])
    const told = job.end() as ReadonlyArray<[number, { readonly count: number; readonly values: Metrics }]>
    assert.deepStrictEqual(told.map(([seq, { count, values }]) => [seq, count, values["loss/max"]]), [
      [1, 2, 10],
      [2, 2, 20],
      [3, 1, 1],
      [4, 2, 30],
      [5, 2, 40]
    ])
  })

  it("are told with all that they came with", () => {
    const job = new Job(2, true)
    job.frame(1, [[1, { loss: 3 }]])
    const own = { ...row(1, 1, { loss: 1 }), stepKey: "iteration" }
    job.slots.root(own, 0)
    const [told] = job.slots.close(0)
    assert.deepInclude(told, { ...own, statistics: told!.statistics })
    assert.strictEqual(told?.statistics?.values["loss/mean"], 2)
  })

  it("are acknowledged with the frame they were in, once all of it is told", () => {
    const job = new Job(2, true)
    job.frame(1, [1, 2, 3].map((step): Said => [step, { loss: 1 }]))
    for (const step of [1, 2]) job.root([step, { loss: 0 }])
    job.close()
    assert.strictEqual(job.acknowledged.size, 0)
    job.root([3, { loss: 0 }])
    job.close()
    assert.deepStrictEqual([...job.acknowledged], [[1, 1]])
  })

  it("need not be as the root has them: keys in another order, and numbers that are none", () => {
    const job = new Job(3, true)
    job.root([1, { b: 1, a: 10 }])
    job.frame(1, [[1, { a: 20, b: 2 }]])
    job.frame(2, [[1, { b: NaN, a: 60 }]])
    job.close()
    assert.deepStrictEqual(job.end(), [[1, {
      count: 3,
      expected: 3,
      values: {
        ...{ "b/nonfinite": 1, "b/mean": 1.5, "b/min": 1, "b/max": 2, "b/std": 0.5, "b/argmin": 0, "b/argmax": 1 },
        ...{ "a/mean": 30, "a/min": 10, "a/max": 60, "a/std": Math.sqrt(1400 / 3), "a/argmin": 0, "a/argmax": 2 }
      }
    }]])
  })
})

describe("what a record needs that waits", () => {
  it("is kept, whatever is forgotten: others of its step that closed", () => {
    const job = new Job(2, true, { remembered: 1 })
    job.root([8, { loss: 0 }])
    assert.deepStrictEqual(job.close(1000), [[1, 1, 0]])
    job.frame(1, [[8, { loss: 1 }], [8, { loss: 2 }]], 1000)
    assert.deepStrictEqual(job.close(1000), [[1, 2, 1]])
    job.root([undefined, { z: 1 }], 1001)
    job.root([8, { loss: 5 }], 1001)
    assert.deepStrictEqual(job.close(2100), [[2, 1, undefined], [3, 2, 5]])
  })

  it("is kept, however far the others are ahead of a rank that is late", () => {
    const n = 80_000
    const job = new Job(3, false, { waiting: n })
    const records = Array.from({ length: n }, (_, step): Said => [step, { loss: 1 }])
    for (const one of records) job.root(one)
    for (const rank of [2, 1]) {
      for (let at = 0; at < n; at += 500) job.frame(rank, records.slice(at, at + 500))
      if (rank === 2) assert.deepStrictEqual(job.close(), [])
    }
    const counts = job.slots.close(0).map(({ statistics }) => statistics?.count)
    assert.strictEqual(counts.length, n)
    assert.deepStrictEqual(new Set(counts), new Set([3]))
    assert.strictEqual(job.slots.counts().overflowed, 0)
  })

  it("is not acknowledged: where the root went back, or records something without a step between", () => {
    const back = new Job(3, true)
    back.root([12, { loss: 0 }])
    back.root([9, { loss: 0 }])
    back.frame(1, [[9, { loss: 7 }]])
    back.frame(1, [[20, { loss: 7 }]])
    back.close(10)
    assert.strictEqual(back.acknowledged.size, 0)

    const between = new Job(3, false)
    between.root([6, { loss: 0 }])
    between.root([undefined, { z: 1 }])
    between.root([6, { loss: 0 }])
    between.frame(1, [[6, { loss: 1 }], [6, { loss: 2 }]])
    between.frame(2, [[6, { loss: 1 }]])
    between.frame(2, [[7, { loss: 3 }]])
    assert.deepStrictEqual(between.close(10), [[1, 3, 1]])
    assert.isUndefined(between.acknowledged.get(1))
  })

  it("is not taken twice, however often a rank goes to an aggregator and comes back", () => {
    const job = new Job(2, true)
    const said = [1, 2, 3].map((step): Said => [step, { loss: step }])
    job.frame(1, said)
    for (const step of [1, 2]) job.root([step, { loss: 0 }])
    job.close()
    for (const _ of [1, 2]) {
      job.slots.join(1, 1, 0, job.slots.aggregatorOf(1))
      job.join(1, 1)
      job.frame(1, said)
    }
    job.root([2, { loss: 0 }])
    assert.deepStrictEqual(job.close(), [[3, 1, 0]])
  })
})

describe("what is late", () => {
  it("amends, also where the root has gone back", () => {
    const job = new Job(2, true)
    job.root([10, { loss: 0 }])
    assert.deepStrictEqual(job.close(1000), [[1, 1, 0]])
    job.root([3, { loss: 0 }], 1100)
    job.frame(1, [[10, { loss: 7 }]], 1100)
    assert.deepStrictEqual(job.close(1200), [[1, 2, 7]])
  })

  it("amends, also where the record is cut in the meantime", () => {
    const job = new Job(2, true)
    job.root([1, { loss: 0, other: 0 }])
    assert.deepStrictEqual(job.close(1000), [[1, 1, 0]])
    job.frame(1, [[1, { loss: 7, other: 8 }]], 1000)
    job.frame(1, [[1, { loss: 9 }]], 1000)
    assert.deepStrictEqual(job.close(1000), [[1, 2, 7]])
  })
})
