/**
 * A world of many ranks on this host: one real root, and all others simulated by two processes, over real connections.
 */
import { median, quantile } from "../measure.ts"
import { type Job, start } from "./processes.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** What the root has found. Times are milliseconds since 1970, `cpu` is a share of a core. */
export interface OfRoot {
  readonly published: ReadonlyArray<readonly [time: number, count: number, expected: number]>
  readonly amended: number
  readonly cpu: number
  readonly rss: number
  readonly peak: number
}

/** What the others have. By step: when the last rank recorded it, and when the last frame about it left a rank. */
export interface OfNodes {
  readonly recordedAt: ReadonlyArray<number>
  readonly sentAt: ReadonlyArray<number>
  readonly links: number
  /** What came to the root while it was measured. */
  readonly frames: number
  readonly bytes: number
  readonly cpu: number
  /** How late a rank recorded at worst, in milliseconds; of a world, in seconds. */
  readonly latest: number
}

export interface World {
  readonly ranks: number
  readonly local: number
  readonly keys: number
  readonly warmup: number
  readonly steps: number
}

export interface Measured extends World {
  readonly links: number
  /** A share of a core, of the root and of all that is simulated. */
  readonly cpu: number
  readonly simulated: number
  readonly latest: number
  readonly rss: number
  readonly peak: number
  readonly framesPerSecond: number
  readonly bytesPerSecond: number
  /** Seconds from the last rank's record to when it is published, and from when that rank sent it. */
  readonly lag: Lag
  readonly way: Lag
  /** Records that closed with all ranks, and with fewer; those that were told again. */
  readonly whole: number
  readonly partial: number
  readonly amended: number
}

export interface Lag {
  readonly median: number
  readonly most: number
}

// -----------------------------------------------------------------------------
// Measuring
// -----------------------------------------------------------------------------

const stepsPerSecond = 10
/** So long hellos are on their way, at most. */
const settleMillis = 1000
/** One process alone could fall behind. */
const parts = 2

export const measure = async (directory: string, world: World): Promise<Measured> => {
  const { keys, local, ranks, steps, warmup } = world
  const job: Job = { directory, id: `many-${ranks}-${local}`, worldSize: ranks, localWorldSize: local }
  const root = start("root.ts", [keys, warmup, steps], job, 0)
  await root.line()
  const others = Array.from(
    { length: parts },
    (_, part) => start("nodes.ts", [keys, warmup + steps, warmup, part, parts], job, 1)
  )
  await Promise.all(others.map(({ line }) => line()))
  const from = Date.now() + settleMillis
  for (const one of [root, ...others]) one.say(`begin ${from}`)
  const ofRoot: OfRoot = JSON.parse(await root.line())
  const ofNodes = await Promise.all(others.map(async ({ line }): Promise<OfNodes> => JSON.parse(await line())))
  await Promise.all([root, ...others].map(({ ended }) => ended))
  const published = ofRoot.published.slice(warmup)
  const lagFrom = (times: (one: OfNodes) => ReadonlyArray<number>): Lag => {
    const last = (step: number): number => Math.max(...ofNodes.map((one) => times(one)[step] ?? NaN))
    const lags = published.map(([time], i) => (time - last(warmup + i)) / 1000)
    return { median: median(lags), most: quantile(lags, 0.99) }
  }
  const whole = published.filter(([, count]) => count === ranks).length
  const sum = (of: (one: OfNodes) => number): number => ofNodes.reduce((all, one) => all + of(one), 0)
  const { amended, cpu, peak, rss } = ofRoot
  return {
    ...world,
    links: sum(({ links }) => links),
    cpu,
    simulated: sum(({ cpu }) => cpu),
    latest: Math.max(...ofNodes.map(({ latest }) => latest)) / 1000,
    rss,
    peak,
    framesPerSecond: sum(({ frames }) => frames) * stepsPerSecond / steps,
    bytesPerSecond: sum(({ bytes }) => bytes) * stepsPerSecond / steps,
    lag: lagFrom(({ recordedAt }) => recordedAt),
    way: lagFrom(({ sentAt }) => sentAt),
    whole,
    partial: steps - whole,
    amended
  }
}
