/**
 * All ranks of a job but the first, in one process or a few: they record 10 steps a second, each at its own time within the 100 ms.
 *
 * - The ranks of a node say their frames to an aggregator, both as they are in a real process, by a call in place of a
 *   socket, which it looks at every 50 ms. What it says goes to the root over a connection of its own (tcp with CURVE, as from another host).
 * - The ranks of the root's own node have a connection each (ipc), as they would.
 * - Where there are more nodes than the root takes, each 64 in a row have the aggregator of their first one above them.
 *
 *     node nodes.ts KEYS STEPS WARMUP PART PARTS     the world, and how many ranks are on a node, as the environment says it
 *
 * It says `ready`, is told when the first step is, and prints at the end when each step was recorded by the last rank,
 * and when the last frame about it left its rank; and what went to the root after the steps that are not measured.
 */
import * as Effect from "effect/Effect"
import * as Producer from "../../src/reducer/zeromq/Producer.ts"
import { defaultTopology, levelsOf, parentOf } from "../../src/reducer/zeromq/reduction/topology.ts"
import * as Rendezvous from "../../src/reducer/zeromq/Rendezvous.ts"
import type * as Transport from "../../src/reducer/zeromq/Transport.ts"
import type { OfNodes } from "../ranks/many.ts"
import { connect, type Link } from "./nodes/Link.ts"
import { Node } from "./nodes/Node.ts"
import { job, localWorldSize, nodeCount, originOf, worldSize } from "./nodes/world.ts"
import { begin, clock } from "./told.ts"

const [keys = 32, steps = 120, warmup = 20, part = 0, parts = 1] = process.argv.slice(2).map(Number)
const period = 100
const tickMillis = 50
const heartbeatMillis = 1000
/** How long the end may take. */
const patience = 10_000

interface Simulated {
  readonly rank: number
  readonly producer: Producer.Producer
  readonly send: (frame: Uint8Array) => boolean
  readonly isReady: () => boolean
  step: number
  /** The first step that has not left it. */
  kept: number
}

const links: Array<Link> = []
const nodes: Array<Node> = []
const ranks: Array<Simulated> = []
const recordedAt = new Float64Array(steps)
const sentAt = new Float64Array(steps)

// -----------------------------------------------------------------------------
// Ranks
// -----------------------------------------------------------------------------

/** Spread over the period. */
const phaseOf = (rank: number): number => rank * 61 % period

const addRank = (
  rank: number,
  producer: Producer.Producer,
  send: (frame: Uint8Array) => boolean,
  isReady: () => boolean = () => true
): void => {
  const one: Simulated = {
    rank,
    producer,
    isReady,
    step: -1,
    kept: 0,
    send: (frame) => {
      for (; one.kept <= one.step; one.kept++) sentAt[one.kept] = clock()
      return send(frame)
    }
  }
  ranks.push(one)
  // All keys are known before the clock runs, as they are after the first steps of a training.
  producer.record(valuesOf(one), -1, Date.now())
  if (isReady()) producer.drain(Date.now(), send, true)
}

/** Few records are in a frame at this pace: blocks need not be large. */
const producerOf = (rank: number) => Producer.make({ ...originOf(rank), batchRecords: 8 })

const values = Object.fromEntries(Array.from({ length: keys }, (_, i): [string, number] => [`train/metric_${i}`, i]))

const valuesOf = ({ rank }: Simulated) => {
  values["train/metric_0"] = rank
  return values
}

const record = (some: ReadonlyArray<Simulated>, step: number): void => {
  for (const rank of some) {
    const now = Date.now()
    rank.step = step
    if (rank.producer.record(valuesOf(rank), step, now)) drain(rank)
  }
  if (some.length > 0) recordedAt[step] = clock()
}

const drain = ({ isReady, producer, send }: Simulated): void => {
  if (isReady()) producer.drain(Date.now(), send)
}

// -----------------------------------------------------------------------------
// Nodes
// -----------------------------------------------------------------------------

/** The ranks of the root's own node. */
const beside = (target: Transport.Target) =>
  Effect.gen(function*() {
    for (let rank = 1; rank < Math.min(localWorldSize, worldSize); rank++) {
      const producer = producerOf(rank)
      const { acked, rewind } = producer
      const link = yield* connect({ target, rank, hello: {}, welcomed: rewind, acked })
      links.push(link)
      addRank(rank, producer, link.send, link.isReady)
    }
  })

/** All others, below the root or below another one. */
const elsewhere = (target: Transport.Target) =>
  Effect.gen(function*() {
    const { fanIn } = defaultTopology
    const together = levelsOf(nodeCount) > 0 ? fanIn : 1
    for (let index = 1; index < nodeCount; index++) {
      if (Math.floor(index / together) % parts !== part) continue
      const above = parentOf(index, nodeCount)
      const span = localWorldSize * (index % together === 0 ? together : 1)
      const node = new Node(index, span, above === undefined ? undefined : nodes[above])
      nodes[index] = node
      for (let rank = node.first; rank < node.end; rank++) {
        const producer = producerOf(rank)
        addRank(rank, producer, node.join(rank, producer.acked))
      }
    }
    // Only now all that are below are known.
    for (const [index, node] of nodes.entries()) {
      if (node === undefined || parentOf(index, nodeCount) !== undefined) continue
      node.link = yield* connect({
        target,
        rank: node.first,
        hello: { aggregator: true, node: index, listens: [] },
        welcomed: (ackUpTo, send) => node.welcomed(ackUpTo, send),
        acked: node.acked
      })
      links.push(node.link)
    }
  })

// -----------------------------------------------------------------------------
// Time
// -----------------------------------------------------------------------------

const trafficOf = () => {
  const all = links.map((link) => link.traffic())
  return {
    frames: all.reduce((sum, { frames }) => sum + frames, 0),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}

/** All steps, until the root has said that it is over. */
const live = (from: number) =>
  Effect.promise(() =>
    new Promise<Pick<OfNodes, "frames" | "bytes" | "latest">>((resolve) => {
      const phases = Array.from({ length: period }, (_, phase) => ranks.filter(({ rank }) => phaseOf(rank) === phase))
      /** Each looks every 50 ms at what has come, those above others last. */
      const beats = Array.from(
        { length: tickMillis },
        (_, t) => nodes.filter((_, index) => index * 7 % tickMillis === t).toReversed()
      )
      let before = trafficOf()
      let after = before
      let latest = 0
      let millis = 0
      const one = (): void => {
        const now = clock() - from
        for (; millis <= now; millis++) {
          const step = Math.floor(millis / period)
          if (millis === warmup * period) before = trafficOf()
          if (millis === steps * period) after = trafficOf()
          if (step < steps) {
            latest = Math.max(latest, clock() - from - millis)
            record(phases[millis % period] ?? [], step)
          } else {
            // What has waited for others long enough is sent.
            for (const rank of phases[millis % period] ?? []) if (rank.kept <= rank.step) drain(rank)
          }
          if (millis % heartbeatMillis === 0) { for (const link of links) link.beat() }
          for (const node of beats[millis % tickMillis] ?? []) node.advance()
        }
        if (links.every((link) => link.isOver()) || now > steps * period + patience) {
          resolve({ frames: after.frames - before.frames, bytes: after.bytes - before.bytes, latest })
        } else setTimeout(one, 1)
      }
      one()
    })
  )

const program = Effect.gen(function*() {
  if (part === 0) yield* beside(yield* Rendezvous.find({ environment: process.env, job }))
  // Who is on another host is told of other ways.
  yield* elsewhere(yield* Rendezvous.find({ environment: { ...process.env, EZPZ_NODE: "elsewhere" }, job }))
  while (!links.every((link) => link.isReady())) yield* Effect.sleep(20)
  for (const { producer, send } of ranks) producer.drain(Date.now(), send, true)
  for (const node of nodes.toReversed()) node?.advance()
  const from = yield* begin("ready")
  yield* Effect.sleep(Math.max(0, from - clock()))
  const before = process.cpuUsage()
  const lived = yield* live(from)
  const { system, user } = process.cpuUsage(before)
  const cpu = (user + system) / 1000 / (clock() - from)
  const found: OfNodes = { ...lived, recordedAt: [...recordedAt], sentAt: [...sentAt], links: links.length, cpu }
  console.log(JSON.stringify(found))
}).pipe(Effect.scoped)

await Effect.runPromise(program)
process.exit(0)
