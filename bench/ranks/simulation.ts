/**
 * A simulation of many ranks, event by event: when each sends its frames, and how these wait, cost and go on at each
 * aggregator and at the root. What things cost is measured; what follows from it for 100,000 ranks is not.
 *
 * - Each rank records 10 steps a second, at its own time within the 100 ms. Two records make a frame, which leaves with the
 *   second one, or at the rank's next look at the time.
 * - Who takes frames looks every 50 ms at what has come, each at its own time, or at once where that is more than a tenth of
 *   what it does; and takes them one after the other. A frame of an aggregator leaves when it has looked and the last rank
 *   of a step is in.
 */
import * as Frame from "../../src/reducer/zeromq/Frame.ts"
import { levelsOf, parentOf } from "../../src/reducer/zeromq/reduction/topology.ts"
import { median, quantile } from "../measure.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** Seconds; `base`: a share of a core, of a root to which nothing comes. */
export interface Inputs {
  /** A frame that comes through a socket, without what is done with it. */
  readonly message: number
  readonly leaf: number
  readonly aggregate: number
  readonly atRoot: number
  /** From one process to another, without what it waits there. */
  readonly hop: number
  readonly base: number
}

export interface World {
  readonly ranks: number
  readonly local: number
  readonly keys: number
  /** The ranks of a node talk to their aggregator through sockets. */
  readonly nearby: boolean
}

export interface Outputs {
  readonly nodes: number
  /** How many connections are between a rank and the root. */
  readonly depth: number
  /** How many come to the root. */
  readonly connections: number
  /** From the last rank's record, and from when that rank sent it. */
  readonly lag: number
  readonly most: number
  readonly way: number
  readonly root: Load
  /** The aggregator with the most to do. */
  readonly busiest: Load
}

export interface Load {
  readonly frames: number
  /** What comes in. */
  readonly bytes: number
  readonly cpu: number
}

const period = 0.1
const tick = 0.05
const busyShare = 0.1
const steps = 24
/** At the beginning and at the end something is missing. */
const edge = 4

// -----------------------------------------------------------------------------
// Simulating
// -----------------------------------------------------------------------------

/** A frame on its way: when it comes, of which steps it completes what its sender has to say, when the last of them left. */
interface Coming {
  readonly at: number
  readonly first: number
  readonly last: number
  readonly bytes: number
  readonly isLeaf: boolean
}

export const simulate = ({ keys, local, nearby, ranks }: World, inputs: Inputs): Outputs => {
  const { aggregate, atRoot, base, hop, leaf, message } = inputs
  const random = seeded()
  const nodes = Math.ceil(ranks / local)
  const recorded = new Float64Array(steps)
  const sent = new Float64Array(steps)
  const inbox = Array.from({ length: nodes }, () => new Array<Coming>())
  const senders = new Uint32Array(nodes)
  const leafBytes = Frame.leafBytes(keys, 2)
  const near = nearby ? message : 0
  const duration = (steps - 2 * edge) * period

  const speak = (inbox: Array<Coming>, throughSocket: boolean): void => {
    const phase = random() * period
    for (let step = 0; step < steps; step++) recorded[step] = Math.max(recorded[step]!, step * period + phase)
    for (let first = random() < 0.5 ? -1 : 0; first < steps; first += 2) {
      const last = Math.min(steps - 1, first + 1)
      const left = (first + 1) * period + phase + (random() < 0.5 ? 0 : random() * tick)
      for (let step = Math.max(0, first); step <= last; step++) sent[step] = Math.max(sent[step]!, left)
      inbox.push({
        at: left + (throughSocket ? hop : 0),
        first: Math.max(0, first),
        last,
        bytes: leafBytes,
        isLeaf: true
      })
    }
  }

  const loadOf = (coming: ReadonlyArray<Coming>, cost: (frame: Coming) => number): Load => {
    const counted = coming.filter(({ at }) => at >= edge * period && at < (steps - edge) * period)
    const perSecond = (of: (frame: Coming) => number): number =>
      counted.reduce((sum, one) => sum + of(one), 0) / duration
    return { frames: perSecond(() => 1), bytes: perSecond(({ bytes }) => bytes), cpu: perSecond(cost) }
  }

  /** Takes all that comes, and gives when each step was complete, frame by frame. */
  const serve = (coming: Array<Coming>, from: number, cost: (frame: Coming) => number) => {
    const load = loadOf(coming, cost)
    const beat = load.cpu > busyShare ? undefined : random() * tick
    const lookAt = (at: number): number => beat === undefined ? at : beat + Math.ceil((at - beat) / tick) * tick
    const missing = new Uint32Array(steps).fill(from)
    const told: Array<{ readonly at: number; readonly first: number; readonly last: number }> = []
    let free = 0
    let next = 0
    coming.sort((a, b) => a.at - b.at)
    for (let i = 0; i < coming.length;) {
      const now = Math.max(free, lookAt(coming[i]!.at))
      free = now
      for (; i < coming.length && coming[i]!.at <= now; i++) {
        const frame = coming[i]!
        free += cost(frame)
        for (let step = frame.first; step <= frame.last; step++) missing[step]!--
      }
      const first = next
      while (next < steps && missing[next] === 0) next++
      if (next > first) told.push({ at: free, first, last: next - 1 })
    }
    return { told, load }
  }

  for (let rank = 1; rank < ranks; rank++) {
    const node = Math.floor(rank / local)
    speak(inbox[node]!, nearby || node === 0)
    senders[node]!++
  }
  let busiest: Load = { frames: 0, bytes: 0, cpu: 0 }
  let connections = senders[0]!
  for (let node = nodes - 1; node > 0; node--) {
    const { load, told } = serve(
      inbox[node]!,
      senders[node]!,
      ({ isLeaf }) => isLeaf ? leaf + near : aggregate + message
    )
    if (load.cpu > busiest.cpu) busiest = load
    const above = parentOf(node, nodes) ?? 0
    if (above === 0) connections++
    senders[above]!++
    for (const { at, first, last } of told) {
      const bytes = Frame.aggregateBytes(keys, last - first + 1, [new Uint32Array(2)], true)
      inbox[above]!.push({ at: at + hop, first, last, bytes, isLeaf: false })
    }
    inbox[node] = []
  }
  const { load, told } = serve(inbox[0]!, senders[0]!, () => atRoot + message)
  const published = new Float64Array(steps)
  for (const { at, first, last } of told) published.fill(at, first, last + 1)
  const since = (times: Float64Array): ReadonlyArray<number> =>
    Array.from(published, (time, step) => time - times[step]!).slice(edge, -edge)
  const levels = levelsOf(nodes)
  return {
    nodes,
    depth: nodes === 1 ? 1 : 2 + levels,
    connections,
    lag: median(since(recorded)),
    most: quantile(since(recorded), 0.99),
    way: median(since(sent)),
    root: { ...load, cpu: load.cpu + base },
    busiest
  }
}

/** The same each time. */
const seeded = (): () => number => {
  let state = 42
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
