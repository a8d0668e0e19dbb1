/**
 * Records in the shape of real training logs, the same ones on every run: numbers of full precision that wander, as
 * Python's json writes them (a blank after every comma and colon).
 */
import { closeSync, openSync, writeSync } from "node:fs"
import * as RunLog from "../src/RunLog.ts"

/** The records of a job, one after the other. */
export interface Job {
  readonly next: () => { readonly step: number; readonly metrics: string }
}

// -----------------------------------------------------------------------------
// Chance
// -----------------------------------------------------------------------------

/** Uniform in [0, 1). The state is a Weyl sequence, its bits are mixed by two rounds of multiply and xor-shift. */
const uniform = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let bits = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32
  }
}

// -----------------------------------------------------------------------------
// Jobs
// -----------------------------------------------------------------------------

/** What a small job logs. */
export const narrowKeys: ReadonlyArray<string> = [
  "train/loss",
  "train/accuracy",
  "train/lr",
  "train/grad_norm",
  "train/tokens_per_s",
  "train/dt",
  "train/dt_forward",
  "train/dt_backward"
]

/** What a detection model logs: three losses of each of ten decoder layers, and what goes with them. */
export const wideKeys: ReadonlyArray<string> = [
  "data_time",
  "eta_seconds",
  ...["loss_class", "loss_box", "loss_mask"].flatMap((loss) =>
    Array.from({ length: 10 }, (_, layer) => layer === 0 ? loss : `${loss}_${layer - 1}`)
  ),
  "grad_norm",
  "lr",
  "memory_gb",
  "time",
  "throughput",
  "total_loss"
]

/** A job that logs the same keys at every step. */
export const steady = (keys: ReadonlyArray<string>, seed = 1): Job => {
  const next = wandering(keys, uniform(seed))
  let step = 0
  return { next: () => ({ step: step++, metrics: next() }) }
}

const agentKeys: ReadonlyArray<string> = [
  ...["loss", "opt", "rand", "value"].flatMap((part) => Array.from({ length: 8 }, (_, i) => `train/${part}/m${i}`)),
  ...["avg", "max", "sum", "rate"].map((name) => `epstats/reward/${name}`),
  ...["items", "chunks", "streams", "ram", "inserts", "samples", "updates", "ratio"].map((name) => `replay/${name}`),
  ...Array.from({ length: 15 }, (_, i) => `usage/host/gauge${i}`),
  "fps/policy",
  "fps/train"
]

/**
 * A reinforcement learner: mostly the two numbers of an episode, every 39th time the 61 of everything else, in five
 * groups at once; steps jump by an episode's length.
 */
export const agent = (seed = 1): Job => {
  const random = uniform(seed)
  const episode = wandering(["episode/score", "episode/length"], random)
  const learner = wandering(agentKeys, random)
  let step = 0
  let records = 0
  return {
    next: () => {
      step += 20 + Math.floor(random() * 350)
      return { step, metrics: ++records % 39 === 0 ? learner() : episode() }
    }
  }
}

/** Values that drift and jitter, each at a scale of its own. */
const wandering = (keys: ReadonlyArray<string>, random: () => number): () => string => {
  const heads = keys.map((key, i) => `${i === 0 ? "{" : ", "}${JSON.stringify(key)}: `)
  const levels = Float64Array.from(keys, () => 10 ** (3 * random() - 2))
  return () => {
    let text = ""
    for (const [i, head] of heads.entries()) {
      const level = levels[i] ?? 0
      levels[i] = level * (1 + 0.002 * (random() - 0.5))
      text += head + String(level * (1 + 0.1 * random()))
    }
    return `${text}}`
  }
}

// -----------------------------------------------------------------------------
// Lines
// -----------------------------------------------------------------------------

/** A job's next record as it prints it. */
export const printed = (job: Job): string => {
  const { metrics, step } = job.next()
  return `{"step": ${step}, ${metrics.slice(1)}\n`
}

/** A job's records as lines of a run log. */
export const logged = (job: Job): () => string => {
  let seq = 0
  return () => {
    const { metrics, step } = job.next()
    seq++
    return RunLog.recordLine(seq, step, 1_790_000_000 + seq / 8, 0, metrics)
  }
}

/** What was written to a file. */
export interface Written {
  readonly path: string
  readonly lines: number
  readonly bytes: number
}

/** Writes lines to a file until there are so many, or so many bytes. */
export const write = (
  path: string,
  next: () => string,
  until: { readonly lines?: number; readonly bytes?: number }
): Written => {
  const fd = openSync(path, "w")
  let lines = 0
  let bytes = 0
  while (lines < (until.lines ?? Infinity) && bytes < (until.bytes ?? Infinity)) {
    let block = ""
    for (let i = 0; i < 256 && lines < (until.lines ?? Infinity); i++) {
      block += next()
      lines++
    }
    bytes += writeSync(fd, block)
  }
  closeSync(fd)
  return { path, lines, bytes }
}
