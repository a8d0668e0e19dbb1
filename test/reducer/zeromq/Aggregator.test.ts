import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Metrics } from "../../../src/Metrics.ts"
import * as Aggregator from "../../../src/reducer/zeromq/Aggregator.ts"
import * as Frame from "../../../src/reducer/zeromq/Frame.ts"
import * as Producer from "../../../src/reducer/zeromq/Producer.ts"
import * as Slots from "../../../src/reducer/zeromq/Slots.ts"
import type { Row } from "../../../src/Row.ts"
import { exact, ulps } from "../../support/exact.ts"

const job = 7n

interface Record {
  readonly step: number | undefined
  readonly metrics: Metrics
}

/** Ranks in nodes of so many, each but the first under an aggregator; frames go from hand to hand, when a test says so. */
const make = (worldSize: number, perNode: number, options: Partial<Slots.Options> = {}) => {
  const slots = Slots.make({ worldSize, deadlineMillis: 1000, joinUntil: 0, ...options })
  let now = 0
  let seq = 0
  let lives = 100
  const told = new Map<number, Row>()
  const order: Array<number> = []
  const producers = Array.from(
    { length: worldSize },
    (_, rank) => Producer.make({ job, rank, incarnation: 1, worldSize, batchRecords: 2 })
  )
  const nodes: Array<{ aggregator: Aggregator.Aggregator; incarnation: number; readonly ranks: Array<number> }> = []
  const nodeOf = (rank: number) => nodes[Math.floor(rank / perNode)]

  const begin = (node: (typeof nodes)[number]): void => {
    const first = node.ranks[0]!
    node.incarnation = ++lives
    node.aggregator = Aggregator.make({
      job,
      rank: first,
      incarnation: node.incarnation,
      worldSize,
      expected: perNode,
      joinUntil: 0
    })
    slots.joinAggregator(slots.aggregatorOf(first), node.incarnation)
    for (const rank of node.ranks) {
      node.aggregator.join(rank, 1, now)
      slots.join(rank, 1, now, slots.aggregatorOf(first))
      producers[rank]!.rewind(0)
    }
  }
  for (let first = 0; first < worldSize; first += perNode) {
    const ranks = Array.from({ length: Math.min(perNode, worldSize - first) }, (_, i) => first + i)
    // The root's own node has none.
    const node = {
      aggregator: Aggregator.make({ job, rank: first, incarnation: 0, worldSize, expected: 1, joinUntil: 0 }),
      incarnation: 0,
      ranks
    }
    nodes.push(node)
    if (first > 0) begin(node)
    else for (const rank of ranks) if (rank > 0) slots.join(rank, 1, now)
  }

  const settle = (): void => {
    for (const row of slots.close(now)) {
      if (!told.has(row.seq)) order.push(row.seq)
      told.set(row.seq, row)
    }
    for (const { sender, seq } of slots.acks()) {
      if (sender < worldSize) producers[sender]!.acked(seq)
      else nodeOf(sender - worldSize)!.aggregator.acked(seq)
    }
    for (const { aggregator } of nodes) for (const { sender, seq } of aggregator.acks()) producers[sender]!.acked(seq)
  }

  /** Hands the frames of a rank to who is above it. */
  const up = (rank: number, force = false): void => {
    const node = nodeOf(rank)!
    const to = node === nodes[0] ? slots : node.aggregator
    producers[rank]!.drain(now, (bytes) => {
      const frame = Frame.decode(bytes, job)
      if (Frame.isRefused(frame)) throw new Error(frame.reason)
      if (frame.type === "schema") to.schema(rank, frame.id, frame.keys, frame.bytes)
      else if (frame.type === "leaf") assert.isTrue(to.leaf(rank, frame.seq, frame.schema, frame.records, now))
      return true
    }, force)
    settle()
  }
  /** Hands what an aggregator has to say to the root. */
  const on = (index: number, force = false): void => {
    const node = nodes[index]!
    if (index === 0) return
    const sender = slots.aggregatorOf(node.ranks[0]!)
    node.aggregator.tell(now, force ? "end" : "tick")
    node.aggregator.drain(now, (bytes) => {
      const frame = Frame.decode(bytes, job)
      if (Frame.isRefused(frame)) throw new Error(frame.reason)
      if (frame.type === "schema") slots.schema(sender, frame.id, frame.keys, frame.bytes)
      else if (frame.type === "aggregate") {
        assert.isTrue(slots.aggregate(sender, frame.seq, frame.schema, frame.entries, now))
      }
      return true
    })
    settle()
  }
  return {
    record: (rank: number, { metrics, step }: Record): void => {
      if (rank > 0) return void producers[rank]!.record(metrics, step, now)
      slots.root({ seq: ++seq, step, timestamp: 0, rank: 0, metrics, statistics: undefined }, now)
      settle()
    },
    up,
    on,
    begin: (index: number) => begin(nodes[index]!),
    later: (millis: number) => {
      now += millis
      settle()
    },
    nodes,
    slots,
    kept: (rank: number) => producers[rank]!.stats().kept,
    rows: () => JSON.parse(JSON.stringify([...told.values()].sort((a, b) => a.seq - b.seq))) as ReadonlyArray<Row>,
    order: () => order
  }
}

const loss = (value: number, step: number | undefined = 1): Record => ({ step, metrics: { loss: value } })

describe("an aggregator", () => {
  it("says what its ranks say as if it were one, once all have said it", () => {
    const world = make(4, 2)
    world.record(0, loss(1))
    for (const rank of [1, 2, 3]) world.record(rank, loss(rank + 1))
    world.up(1, true)
    world.up(2, true)
    world.on(1)
    assert.strictEqual(world.nodes[1]!.aggregator.stats().frames, 0)
    world.up(3, true)
    world.on(1)
    assert.strictEqual(world.nodes[1]!.aggregator.stats().frames, 1)
    assert.deepStrictEqual(world.rows().map(({ statistics }) => statistics), [{
      values: {
        "loss/mean": 2.5,
        "loss/min": 1,
        "loss/max": 4,
        "loss/std": Math.sqrt(1.25),
        "loss/argmin": 0,
        "loss/argmax": 3
      },
      count: 4,
      expected: 4
    }])
  })

  it("waits for a rank until the deadline, and then says what comes late by itself", () => {
    const world = make(4, 2)
    world.record(0, loss(1))
    for (const rank of [1, 2]) world.record(rank, loss(rank + 1))
    world.up(1, true)
    world.up(2, true)
    world.later(499)
    world.on(1)
    assert.strictEqual(world.nodes[1]!.aggregator.stats().frames, 0)
    world.later(1)
    world.on(1)
    assert.strictEqual(world.nodes[1]!.aggregator.stats().frames, 1)
    world.later(1000)
    assert.deepStrictEqual(world.rows().map(({ statistics }) => [statistics?.count, statistics?.expected]), [[3, 4]])
    world.record(3, loss(4))
    world.up(3, true)
    world.on(1)
    assert.deepStrictEqual(world.rows().map(({ statistics }) => [statistics?.count, statistics?.values["loss/mean"]]), [
      [4, 2.5]
    ])
  })

  it("acknowledges below what was acknowledged above, and not before", () => {
    const world = make(4, 2)
    for (const rank of [1, 2, 3]) {
      world.record(rank, loss(rank))
      world.up(rank, true)
    }
    world.on(1)
    assert.deepStrictEqual([2, 3].map(world.kept), [1, 1])
    world.record(0, loss(0))
    assert.deepStrictEqual([2, 3].map(world.kept), [0, 0])
  })

  it("that begins anew loses nothing, and counts nobody twice", () => {
    const world = make(4, 2)
    for (const step of [1, 2, 3]) for (const rank of [1, 2, 3]) world.record(rank, loss(rank + 1, step))
    world.record(0, loss(1, 1))
    for (const rank of [1, 2, 3]) world.up(rank, true)
    world.on(1)
    // The first step is published, the others are at the root, where no record asks for them yet.
    assert.deepStrictEqual(world.order(), [1])
    world.begin(1)
    for (const step of [2, 3]) world.record(0, loss(1, step))
    assert.deepStrictEqual(world.order(), [1])
    for (const rank of [2, 3]) world.up(rank, true)
    world.on(1)
    assert.deepStrictEqual(
      world.rows().map(({ statistics }) => [statistics?.count, statistics?.values["loss/mean"]]),
      [[4, 2.5], [4, 2.5], [4, 2.5]]
    )
    assert.strictEqual(world.slots.counts().amended, 0)
  })

  it("asks to begin anew where a rank changes its way", () => {
    const world = make(4, 2)
    const { aggregator } = world.nodes[1]!
    assert.isUndefined(aggregator.join(2, 1, 0, aggregator.aggregatorOf(3)))
    assert.strictEqual(aggregator.join(2, 1, 0), 0)
  })

  it("asks to begin anew, from further below, for a rank that is below its own", () => {
    const options = { job, rank: 3, incarnation: 1, worldSize: 5, expected: 3, joinUntil: 0 }
    assert.isUndefined(Aggregator.make(options).join(2, 1, 0))
    assert.strictEqual(Aggregator.make({ ...options, base: 2 }).join(2, 1, 0), 0)
  })

  it("does not grow without end where a step has no end of records", () => {
    const world = make(4, 2, { remembered: 10 })
    const n = 3000
    for (let i = 0; i < n; i++) {
      for (let rank = 0; rank < 4; rank++) world.record(rank, loss(i + rank))
      if (i % 50 < 49) continue
      for (const rank of [1, 2, 3]) world.up(rank, true)
      world.on(1)
    }
    assert.deepStrictEqual(
      world.rows().map(({ statistics }) => statistics?.values["loss/mean"]),
      Array.from({ length: n }, (_, i) => i + 1.5)
    )
  })
})

describe("statistics", () => {
  const hard: ReadonlyArray<readonly [string, (rank: number) => number]> = [
    ["1e9 + 8r", (rank) => 1e9 + 8 * rank],
    ["unix time a millisecond apart", (rank) => 1.79e9 + rank / 1000],
    ["bytes, 8e10 ± 1e3", (rank) => 8e10 + (rank % 2 === 0 ? 1e3 : -1e3)],
    ["2^24 + 1", (rank) => 2 ** 24 + rank % 2],
    ["1e39", (rank) => 1e39 * (rank + 1)],
    ["a constant", () => 0.1]
  ]
  const worldSize = 8
  for (const [what, value] of hard) {
    it(`are within one ulp of the exact ones, in every order of arrival and whoever merges: ${what}`, () => {
      const reference = exact(Array.from({ length: worldSize }, (_, rank) => value(rank)))
      const seen = new Set<string>()
      const all = Array.from({ length: worldSize }, (_, rank) => rank)
      const order = fc.shuffledSubarray(all, { minLength: worldSize })
      fc.assert(
        fc.property(order, fc.constantFrom(1, 2, 3, worldSize), (order, perNode) => {
          const world = make(worldSize, perNode)
          for (const rank of order) {
            world.record(rank, loss(value(rank)))
            if (rank > 0) world.up(rank, true)
            world.on(Math.floor(rank / perNode), true)
          }
          const [row] = world.rows()
          const { "loss/mean": mean, "loss/std": std } = row?.statistics?.values ?? {}
          assert.isAtMost(ulps(Number(mean), reference.mean), 1)
          assert.isAtMost(Math.abs(Number(std) - reference.std), 1e-12 * reference.std)
          seen.add(JSON.stringify(row?.statistics))
        }),
        { numRuns: 60 }
      )
      assert.strictEqual(seen.size, 1)
    })
  }
})

describe("what an aggregator keeps", () => {
  /** One rank says a record of so many steps; `send`: whether those above can be sent anything. */
  const say = (aggregator: Aggregator.Aggregator, steps: number, send: boolean) => {
    const producer = Producer.make({ job, rank: 2, incarnation: 1, worldSize: 64, batchRecords: 1 })
    aggregator.join(2, 1, 0)
    let most = 0
    for (let step = 1; step <= steps; step++) {
      producer.record({ loss: step }, step, step)
      for (const bytes of producer.take(step, true)) {
        const frame = Frame.decode(bytes, job)
        if (Frame.isRefused(frame)) throw new Error(frame.reason)
        if (frame.type === "schema") aggregator.schema(2, frame.id, frame.keys, frame.bytes)
        else if (frame.type === "leaf") aggregator.leaf(2, frame.seq, frame.schema, frame.records, step)
      }
      producer.acked(step)
      aggregator.tell(step)
      aggregator.drain(step, () => send)
      most = Math.max(most, aggregator.stats().heldBytes)
    }
    return { most, ...aggregator.stats() }
  }
  const small = { job, rank: 2, incarnation: 1, worldSize: 64, expected: 1, joinUntil: 0, ringBytes: 256 * 1024 }

  it("is bounded where those above take all and acknowledge nothing", () => {
    const { keptBytes, most, overflowed } = say(Aggregator.make(small), 20_000, true)
    assert.isAtMost(keptBytes, small.ringBytes)
    assert.isAtMost(most, small.ringBytes)
    assert.isAbove(overflowed, 10_000)
  })

  it("is full well before it has to lose something", () => {
    const aggregator = Aggregator.make(small)
    assert.isFalse(aggregator.isFull())
    const { keptBytes, overflowed } = say(aggregator, 200, false)
    assert.isTrue(aggregator.isFull())
    assert.isBelow(keptBytes, small.ringBytes)
    assert.strictEqual(overflowed, 0)
  })

  it("is no room for numbers of what is told", () => {
    const aggregator = Aggregator.make({ ...small, ringBytes: 64 * 1024 * 1024 })
    const { heldBytes, kept } = say(aggregator, 1000, true)
    assert.strictEqual(kept, 1000)
    // Who is in it, and what a sheet is beside that.
    assert.isAtMost(heldBytes, 1000 * (64 + 256))
  })

  it("says of a rank whether all it has said is told", () => {
    const world = make(4, 2)
    const { aggregator } = world.nodes[1]!
    world.record(2, loss(1))
    world.up(2, true)
    assert.deepStrictEqual([aggregator.holds(2), aggregator.holds(3)], [true, false])
    world.record(3, loss(1))
    world.up(3, true)
    world.on(1)
    assert.deepStrictEqual([aggregator.holds(2), aggregator.holds(3)], [false, false])
  })
})

describe("the same statistics come through aggregators as without", () => {
  const key = fc.constantFrom("loss", "dt", "acc", "lr")
  const record: fc.Arbitrary<Record> = fc.record({
    step: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined, freq: 8 }),
    metrics: fc.dictionary(key, fc.oneof(fc.double({ noNaN: false }), fc.integer({ min: -5, max: 5 })), { maxKeys: 3 })
  })
  const worldSize = 7
  /** What each rank records, in which order things happen, and where an aggregator begins anew. */
  const scenario = fc.record({
    own: fc.array(record, { maxLength: 8 }),
    others: fc.array(fc.tuple(fc.integer({ min: 1, max: worldSize - 1 }), record), { maxLength: 40 }),
    moves: fc.array(fc.tuple(fc.constantFrom("up", "on", "wait", "anew"), fc.nat({ max: worldSize - 1 })), {
      maxLength: 60
    })
  })
  type Scenario = typeof scenario extends fc.Arbitrary<infer A> ? A : never
  const sorted = (records: ReadonlyArray<Record>): ReadonlyArray<Record> =>
    [...records].sort((a, b) => (a.step ?? -1) - (b.step ?? -1))

  /** One world or the other: the same is recorded, and handed on in the same order. */
  const run = (perNode: number, { moves, others, own }: Scenario, lives: "one" | "many" = "one") => {
    const world = make(worldSize, perNode, { deadlineMillis: 1e9, patienceMillis: 1e9 })
    for (const one of sorted(own)) world.record(0, one)
    for (let rank = 1; rank < worldSize; rank++) {
      for (const one of sorted(others.filter(([who]) => who === rank).map(([, one]) => one))) world.record(rank, one)
    }
    for (const [what, who] of moves) {
      if (what === "wait") world.later(200)
      else if (what === "on" && who < world.nodes.length) world.on(who)
      else if (what === "up" && who > 0) world.up(who)
      else if (what === "anew" && lives === "many" && who > 0 && who < world.nodes.length) world.begin(who)
    }
    for (let round = 0; round < 2; round++) {
      for (let rank = 1; rank < worldSize; rank++) world.up(rank, true)
      for (let index = 1; index < world.nodes.length; index++) world.on(index, true)
    }
    const rows = world.slots.flush()
    return [...world.rows(), ...(JSON.parse(JSON.stringify(rows)) as ReadonlyArray<Row>)]
  }

  it("whatever is recorded, and whoever comes first", () => {
    fc.assert(
      fc.property(scenario, (one) => {
        const direct = run(worldSize, one)
        for (const perNode of [2, 3]) assert.deepStrictEqual(run(perNode, one), direct)
      }),
      { numRuns: 150 }
    )
  })

  it("however often an aggregator begins anew", () => {
    fc.assert(
      fc.property(scenario, (one) => {
        assert.deepStrictEqual(run(3, one, "many"), run(worldSize, one))
      }),
      { numRuns: 150 }
    )
  })
})
