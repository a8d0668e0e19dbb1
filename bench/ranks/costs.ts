/** What a frame costs who takes it, without the sockets: of a rank at an aggregator, of an aggregator at another, and at the root. */
import * as Aggregator from "../../src/reducer/zeromq/Aggregator.ts"
import * as Frame from "../../src/reducer/zeromq/Frame.ts"
import * as Producer from "../../src/reducer/zeromq/Producer.ts"
import * as RankSet from "../../src/reducer/zeromq/RankSet.ts"
import * as Slots from "../../src/reducer/zeromq/Slots.ts"
import { median } from "../measure.ts"

/** Seconds. */
export interface Costs {
  /** A rank's frame of two records, with its part in what is told of them. */
  readonly leaf: number
  readonly aggregate: number
  readonly atRoot: number
}

const local = 64
const fanIn = 64
const worldSize = local * fanIn
const rounds = 60
const warmup = 20
const perFrame = 2

export const measure = (keys: number): Costs => {
  const names = Array.from({ length: keys }, (_, i) => `train/metric_${i}`)
  const values = Float64Array.from(names, (_, i) => i / 7)
  const origin = (rank: number) => ({ job: 1n, rank, incarnation: 1, worldSize })
  const aggregator = (expected: number) =>
    Aggregator.make({ ...origin(0), expected, joinUntil: Number.MAX_SAFE_INTEGER, deadlineMillis: 1e9 })

  // Ranks below an aggregator.
  const near = aggregator(local)
  const ranks = Array.from({ length: local }, (_, rank) => {
    near.join(rank, 1, 0)
    const producer = Producer.make({ ...origin(rank), batchRecords: perFrame })
    const record = producer.handles(names)
    return { producer, record, rank }
  })
  const leaf = perFrameOf(local, (round) =>
    ranks.flatMap(({ producer, rank, record }) => {
      for (let i = 0; i < perFrame; i++) record(values, round * perFrame + i, round)
      return producer.take(round, true).map((frame) => [rank, frame] as const)
    }), (frames, round) => {
    for (const [sender, bytes] of frames) take(near, sender, bytes, round)
    say(near, round)
  })

  // Aggregators below another one, and below the root.
  const momentsOf = (count: number): Float64Array =>
    Float64Array.from({ length: keys * Frame.momentFields }, (_, i) => [count, 0, 0, 9, 0, 1][i % 11] ?? 1)
  const sets = Array.from(
    { length: fanIn },
    (_, node) => RankSet.of(Array.from({ length: local }, (_, rank) => node * local + rank).filter((rank) => rank > 0))
  )
  const told = (round: number) =>
    sets.flatMap((set, node): ReadonlyArray<readonly [number, Uint8Array]> => {
      const stamp = { ...origin(node * local), seq: round + 1, sentAt: round }
      const frame = Frame.encodeAggregate(stamp, 1, {
        count: 1,
        keys,
        steps: Float64Array.of(round),
        domains: Uint8Array.of(0),
        occurrences: Uint32Array.of(0),
        sets: Uint32Array.of(0),
        ranks: [set],
        moments: momentsOf(RankSet.size(set))
      })
      const schema: ReadonlyArray<readonly [number, Uint8Array]> = round === 0
        ? [[node, Frame.encodeSchema({ ...stamp, seq: 0 }, 1, names)]]
        : []
      return [...schema, [node, frame]]
    })
  const join = (below: Aggregator.Aggregator | Slots.Slots): void => {
    for (const [node, set] of sets.entries()) {
      const sender = below.aggregatorOf(node * local)
      below.joinAggregator(sender, 1)
      RankSet.each(set, (rank) => void below.join(rank, 1, 0, sender))
    }
  }
  const inner = aggregator(worldSize - 1)
  join(inner)
  const aggregate = perFrameOf(fanIn, told, (frames, round) => {
    for (const [node, bytes] of frames) take(inner, inner.aggregatorOf(node * local), bytes, round)
    say(inner, round)
  })

  const root = Slots.make({ worldSize, deadlineMillis: 1e9, joinUntil: 0 })
  root.join(0, 1, 0)
  join(root)
  const metrics = Object.fromEntries(names.map((name, i) => [name, i]))
  const atRoot = perFrameOf(fanIn, told, (frames, round) => {
    root.root({ seq: round + 1, step: round, timestamp: round, rank: 0, metrics, statistics: undefined }, round)
    for (const [node, bytes] of frames) {
      take(root, root.aggregatorOf(node * local), bytes, round)
      // As after each batch that comes.
      if (root.close(round).some(({ statistics }) => statistics?.count !== worldSize)) {
        throw new Error("ranks are missing")
      }
    }
    root.acks()
  })
  return { leaf, aggregate, atRoot }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

type From = readonly [sender: number, frame: Uint8Array]

/** Making the frames is not measured. */
const perFrameOf = (
  frames: number,
  make: (round: number) => ReadonlyArray<From>,
  run: (frames: ReadonlyArray<From>, round: number) => void
): number => {
  const made = Array.from({ length: warmup + rounds }, (_, round) => make(round))
  const took = made.map((some, round) => {
    const before = performance.now()
    run(some, round)
    return (performance.now() - before) / 1000 / frames
  })
  return median(took.slice(warmup))
}

const take = (below: Aggregator.Aggregator | Slots.Slots, sender: number, bytes: Uint8Array, now: number): void => {
  const frame = Frame.decode(bytes)
  if (Frame.isRefused(frame)) throw new Error("what was made is no frame")
  let taken = true
  if (frame.type === "schema") below.schema(sender, frame.id, frame.keys, frame.bytes)
  if (frame.type === "leaf") taken = below.leaf(sender, frame.seq, frame.schema, frame.records, now)
  if (frame.type === "aggregate") taken = below.aggregate(sender, frame.seq, frame.schema, frame.entries, now)
  if (!taken) throw new Error("a frame is missing")
}

const say = (aggregator: Aggregator.Aggregator, now: number): void => {
  let seq = 0
  aggregator.tell(now)
  aggregator.drain(now, (bytes) => {
    const frame = Frame.decode(bytes)
    if (!Frame.isRefused(frame)) seq = Math.max(seq, frame.seq)
    return true
  })
  if (seq === 0) throw new Error("nothing is told")
  aggregator.acked(seq)
  aggregator.acks()
}
