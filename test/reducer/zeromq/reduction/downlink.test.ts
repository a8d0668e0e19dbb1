import { assert, describe, it } from "@effect/vitest"
import * as Aggregator from "../../../../src/reducer/zeromq/Aggregator.ts"
import type { Below } from "../../../../src/reducer/zeromq/Below.ts"
import * as Frame from "../../../../src/reducer/zeromq/Frame.ts"
import * as Producer from "../../../../src/reducer/zeromq/Producer.ts"
import * as RankSet from "../../../../src/reducer/zeromq/RankSet.ts"
import * as Downlink from "../../../../src/reducer/zeromq/reduction/downlink.ts"
import * as Slots from "../../../../src/reducer/zeromq/Slots.ts"

const job = 7n
const worldSize = 8

/** The root of a job, or an aggregator, and those below it as names of connections. Nothing waits for anything. */
const make = (of: "root" | "aggregator" = "root") => {
  let now = 1000
  let isOpen = true
  let isFull = false
  const gone = new Set<string>()
  const log: Array<string> = []
  const sent: Array<{ readonly peer: string; readonly frame: Frame.Frame }> = []
  const slots = Slots.make({ worldSize, deadlineMillis: 1000, joinUntil: 0 })
  const aggregator = () => Aggregator.make({ job, rank: 2, incarnation: 1, worldSize, expected: 2, joinUntil: 0 })
  let below: Below = of === "root" ? slots : aggregator()
  const downlink = Downlink.make({
    job,
    worldSize,
    now: () => now,
    send: (peer, bytes) => {
      const frame = Frame.decode(bytes, job)
      if (Frame.isRefused(frame)) throw new Error(frame.reason)
      sent.push({ peer, frame })
    },
    reaches: (peer) => !gone.has(peer),
    origin: () => ({ job, rank: 0, incarnation: 1, worldSize }),
    below: () => below,
    welcome: () => isOpen ? { run: "run", incarnation: 1 } : undefined,
    run: () => "run",
    came: (rank, incarnation) => void log.push(`${rank}.${incarnation} came`),
    left: (rank, incarnation, lost) => void log.push(`${rank}.${incarnation} ${lost ? "is lost" : "left"}`),
    anew: () => void log.push("anew"),
    full: () => isFull
  })
  const stamp = (rank: number, incarnation: number): Frame.Stamp => ({
    job,
    rank,
    incarnation,
    worldSize,
    seq: 0,
    sentAt: now
  })
  const receive = (peer: string, frame: Uint8Array): void => downlink.receive([{ peer, frame }])
  return {
    downlink,
    slots,
    hello: (peer: string, rank: number, incarnation: number, body: Frame.JsonObject = {}) =>
      receive(peer, Frame.encodeBody("hello", stamp(rank, incarnation), body)),
    bye: (peer: string, rank: number, incarnation: number, body: Frame.JsonObject = {}) =>
      receive(peer, Frame.encodeBody("bye", stamp(rank, incarnation), body)),
    beat: (peer: string, rank: number, incarnation: number) =>
      receive(peer, Frame.encodeSignal("heartbeat", stamp(rank, incarnation))),
    receive,
    /** What a connection was told since it was asked last. */
    told: (peer: string): ReadonlyArray<string> => {
      const to = sent.filter((one) => one.peer === peer)
      for (const one of to) sent.splice(sent.indexOf(one), 1)
      return to.map(({ frame }) => {
        if (frame.type === "welcome") return `welcome ${frame.body["to"]}: ${frame.body["ackUpTo"]}`
        if (frame.type !== "bye") return frame.type
        return frame.body["anew"] === true ? `anew without ${frame.body["rank"]}` : "bye"
      })
    },
    log: (): ReadonlyArray<string> => log.splice(0),
    later: (millis: number) => {
      now += millis
      downlink.tick()
    },
    open: (open: boolean) => void (isOpen = open),
    fill: (full: boolean) => void (isFull = full),
    cut: (peer: string) => void gone.add(peer),
    mend: (peer: string) => void gone.delete(peer),
    begin: (forget?: { readonly rank: number; readonly incarnation: number }) => {
      below = aggregator()
      downlink.again(forget)
    }
  }
}

const isAggregator = { aggregator: true, node: 1 }
const names = (ranks: ReturnType<Downlink.Downlink["ranks"]>) => ranks.map(({ rank }) => rank).sort((a, b) => a - b)

/** Rank 2 and its aggregator, which speaks for ranks 2 and 3. */
const withNode = () => {
  const world = make()
  world.hello("a", 2, 10, isAggregator)
  world.hello("a", 2, 5)
  world.hello("a", 3, 5)
  assert.deepStrictEqual(world.told("a"), ["welcome 10: 0"])
  assert.deepStrictEqual(world.log(), ["2.5 came", "3.5 came"])
  return world
}

describe("a rank that comes by itself", () => {
  it("which an aggregator has spoken for: that begins anew, and what it said in that life is over", () => {
    const { downlink, hello, told } = withNode()
    hello("three", 3, 5)
    assert.deepStrictEqual(told("three"), ["welcome 5: 0"])
    assert.deepStrictEqual(told("a"), ["anew without 3"])
    assert.deepStrictEqual(names(downlink.ranks()), [3], "the others are to be named again")
    // The word was lost with a connection: the same life says hello again.
    hello("a", 2, 10, isAggregator)
    assert.deepStrictEqual(told("a"), ["anew without 3"])
    hello("a", 2, 11, isAggregator)
    hello("a", 2, 5)
    assert.deepStrictEqual(told("a"), ["welcome 11: 0"])
    assert.deepStrictEqual(names(downlink.ranks()), [2, 3])
  })

  it("is not taken for gone by an aggregator that has not heard of it: that begins anew without it", () => {
    const { downlink, hello, log, told } = withNode()
    hello("three", 3, 5)
    told("three")
    told("a")
    log()
    hello("a", 2, 11, isAggregator)
    hello("a", 3, 5)
    assert.deepStrictEqual(told("a"), ["welcome 11: 0", "anew without 3"])
    assert.deepStrictEqual(told("three"), [])
    assert.deepStrictEqual(names(downlink.ranks()), [3])
    assert.deepStrictEqual(log(), [])
  })

  it("and what its aggregator still passes on then, before it knows, is nobody's own word", () => {
    const { downlink, hello, told } = withNode()
    hello("three", 3, 5)
    hello("a", 2, 5)
    hello("a", 4, 5)
    assert.deepStrictEqual(names(downlink.ranks()), [3])
    assert.deepStrictEqual(told("a"), ["anew without 3"])
  })

  it("in an earlier life than the one that an aggregator speaks for, is not welcome", () => {
    const { downlink, hello, told } = withNode()
    hello("three", 3, 4)
    assert.deepStrictEqual([told("three"), told("a")], [[], []])
    assert.deepStrictEqual(names(downlink.ranks()), [2, 3])
  })

  it("in a later life than one that came by itself, through an aggregator, takes its place", () => {
    const { downlink, hello, told } = withNode()
    hello("three", 3, 5)
    told("a")
    hello("a", 2, 11, isAggregator)
    hello("a", 3, 6)
    assert.deepStrictEqual(told("a"), ["welcome 11: 0"])
    assert.deepStrictEqual(downlink.ranks().map(({ incarnation, rank }) => [rank, incarnation]), [[3, 6]])
  })
})

describe("the end", () => {
  it("waits for a rank whose connection is broken just then, and tells it again when it is back", () => {
    const { bye, cut, downlink, hello, later, mend, told } = make()
    hello("a", 1, 5)
    hello("b", 2, 5)
    bye("a", 1, 5)
    bye("b", 2, 5, { settled: true })
    cut("a")
    downlink.farewell()
    assert.strictEqual(downlink.present(), 1)
    told("a")
    later(2500)
    assert.strictEqual(downlink.present(), 1)
    mend("a")
    hello("a", 1, 5)
    assert.deepStrictEqual(told("a").slice(-1), ["bye"])
    bye("a", 1, 5)
    assert.strictEqual(downlink.present(), 1, "that was on its way")
    bye("a", 1, 5, { settled: true })
    assert.strictEqual(downlink.present(), 0)
  })

  it("does not wait for those who said that they need no last word, nor for long for one that does not come back", () => {
    const { bye, cut, downlink, hello, later } = make()
    hello("a", 1, 5)
    hello("b", 2, 5)
    bye("b", 2, 5, { settled: true })
    cut("a")
    cut("b")
    downlink.farewell()
    assert.strictEqual(downlink.present(), 1)
    later(5000)
    assert.strictEqual(downlink.present(), 0)
  })
})

describe("an aggregator", () => {
  it("names its ranks after each welcome: whom it does not is gone", () => {
    const { hello, later, log } = withNode()
    hello("a", 2, 10, isAggregator)
    hello("a", 2, 5)
    later(1999)
    assert.deepStrictEqual(log(), ["2.5 came"])
    later(1)
    assert.deepStrictEqual(log(), ["3.5 is lost"])
  })

  it("that is gone takes its ranks with it, and brings them back", () => {
    const { beat, cut, downlink, later, log } = withNode()
    cut("a")
    later(2001)
    assert.deepStrictEqual(log(), ["2.5 is lost", "3.5 is lost"])
    assert.deepStrictEqual(downlink.ranks(), [])
    beat("a", 2, 10)
    assert.deepStrictEqual(log(), ["2.5 came", "3.5 came"])
  })

  it("that goes another way with its ranks: the one before begins anew without them", () => {
    const { downlink, hello, log, told } = withNode()
    // As if the ranks of the second came through the first until now.
    hello("a", 4, 5)
    hello("a", 5, 5)
    log()
    hello("b", 4, 12, { aggregator: true, node: 2 })
    hello("b", 4, 5)
    hello("b", 5, 5)
    assert.deepStrictEqual(told("a"), ["anew without 4"])
    assert.deepStrictEqual(log(), ["4.5 came", "5.5 came"])
    hello("a", 2, 11, isAggregator)
    hello("a", 2, 5)
    hello("a", 3, 5)
    assert.deepStrictEqual(told("b"), ["welcome 12: 0"])
    assert.deepStrictEqual(names(downlink.ranks()), [2, 3, 4, 5])
  })

  it("says goodbye for a rank that has, also to another root, and nobody takes that for a new life", () => {
    const { bye, downlink, hello, log } = withNode()
    bye("a", 3, 5)
    assert.deepStrictEqual(log(), ["3.5 left"])
    hello("a", 2, 10, isAggregator)
    hello("a", 2, 5)
    hello("a", 3, 5)
    hello("a", 3, 6)
    assert.deepStrictEqual(log(), ["2.5 came"])
    assert.deepStrictEqual(downlink.ranks().map(({ left, rank }) => [rank, left]), [[2, false], [3, true]])
  })

  it("that was about to begin anew when the root ended hears of that", () => {
    const { downlink, hello, told } = withNode()
    downlink.farewell()
    assert.deepStrictEqual(told("a"), ["bye"])
    hello("a", 2, 11, isAggregator)
    assert.deepStrictEqual(told("a"), ["welcome 11: 0", "bye"])
    hello("stranger", 5, 5)
    assert.deepStrictEqual(told("stranger"), [])
  })

  it("below another, with a rank that has come another way, begins anew, too", () => {
    const { begin, downlink, hello, told } = make("aggregator")
    hello("two", 2, 5)
    hello("b", 4, 12, { aggregator: true, node: 2 })
    hello("b", 4, 5)
    hello("b", 5, 5)
    told("two")
    told("b")
    begin({ rank: 5, incarnation: 5 })
    assert.deepStrictEqual(told("two"), ["welcome 5: 0"])
    assert.deepStrictEqual(told("b"), ["anew without 5"])
    assert.deepStrictEqual(names(downlink.ranks()), [2])
    hello("b", 4, 13, { aggregator: true, node: 2 })
    hello("b", 4, 5)
    assert.deepStrictEqual(names(downlink.ranks()), [2, 4])
  })

  it("begins anew with those that are there, and with all that they keep", () => {
    const { begin, cut, downlink, hello, later, log, told } = make("aggregator")
    for (const [peer, rank] of [["two", 2], ["three", 3], ["four", 4]] as const) hello(peer, rank, 5)
    cut("four")
    later(2001)
    assert.deepStrictEqual(log().at(-1), "4.5 is lost")
    for (const peer of ["two", "three", "four"]) told(peer)
    begin({ rank: 3, incarnation: 5 })
    assert.deepStrictEqual([told("two"), told("three")], [["welcome 5: 0"], []])
    assert.deepStrictEqual(names(downlink.ranks()), [2])
    // A later life of it is another matter.
    hello("three", 3, 6)
    begin({ rank: 3, incarnation: 5 })
    assert.deepStrictEqual(names(downlink.ranks()), [2, 3])
  })

  it("welcomes those that came before it was welcome itself, each once", () => {
    const { downlink, hello, log, open, told } = make("aggregator")
    open(false)
    hello("two", 2, 5)
    hello("two", 2, 5)
    hello("three", 3, 4)
    hello("three again", 3, 5)
    assert.deepStrictEqual([told("two"), log()], [[], []])
    open(true)
    downlink.admit()
    assert.deepStrictEqual([told("two"), told("three again")], [["welcome 5: 0"], ["welcome 5: 0"]])
    assert.deepStrictEqual(log(), ["2.5 came", "3.4 came", "3.5 came"])
    downlink.admit()
    assert.deepStrictEqual(told("two"), [])
  })

  it("that has no room takes nothing, and asks for it when it has", () => {
    const { fill, hello, later, receive, told } = make("aggregator")
    const producer = Producer.make({ job, rank: 2, incarnation: 5, worldSize, batchRecords: 1 })
    const send = (step: number): void => {
      producer.record({ loss: step }, step, 1000)
      producer.drain(1000, (frame) => {
        receive("two", frame)
        return true
      }, true)
    }
    hello("two", 2, 5)
    told("two")
    send(1)
    fill(true)
    send(2)
    later(300)
    assert.deepStrictEqual(told("two"), [])
    // What comes behind a gap is not taken either.
    fill(false)
    send(3)
    later(300)
    assert.deepStrictEqual(told("two"), ["welcome 5: 1"])
    producer.rewind(1)
    send(4)
    later(300)
    assert.deepStrictEqual(told("two"), [])
  })
})

describe("the ranks of one aggregator and one rank by itself", () => {
  it("are each counted once, whoever says it first", () => {
    const { hello, receive, slots } = withNode()
    slots.root({ seq: 1, step: 1, timestamp: 0, rank: 0, metrics: { loss: 1 }, statistics: undefined }, 1000)
    const moments = Float64Array.of(2, 0, 3, 4, 2, 3, 0, 7, 0, 0.5, 0)
    const stamp = { job, rank: 2, incarnation: 10, worldSize, sentAt: 1000 }
    receive("a", Frame.encodeSchema({ ...stamp, seq: 0 }, 1, ["loss"]))
    receive(
      "a",
      Frame.encodeAggregate({ ...stamp, seq: 1 }, 1, {
        count: 1,
        keys: 1,
        steps: Float64Array.of(1),
        domains: Uint8Array.of(0),
        occurrences: Uint32Array.of(0),
        sets: Uint32Array.of(0),
        ranks: [RankSet.of([2, 3])],
        moments
      })
    )
    // Rank 3 says the same by itself; rank 2 says it again through an aggregator that has begun anew, or not at all.
    hello("three", 3, 5)
    const producer = Producer.make({ job, rank: 3, incarnation: 5, worldSize })
    producer.record({ loss: 4 }, 1, 1000)
    for (const frame of producer.take(1000, true)) receive("three", frame)
    const [row] = slots.flush()
    assert.deepStrictEqual([row?.statistics?.count, row?.statistics?.values["loss/mean"]], [2, 2.5])
  })
})
