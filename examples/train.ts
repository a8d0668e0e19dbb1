/**
 * A real training job, to have something to track: a small classifier of points on interleaved spirals, trained by
 * gradient descent, in plain TypeScript. It knows nothing about ezpz-stream: it prints one JSON object per step.
 *
 *     node examples/train.ts | ezpz-stream
 *
 * --steps N (300)   --seed N (0)   --delay MS (8): a pause after each step, so that there is something to watch
 *
 * --rank N (0): which of several that train side by side, from the same start and each on points of its own. Only the
 * first one evaluates, and talks.
 */
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    steps: { type: "string", default: "300" },
    seed: { type: "string", default: "0" },
    delay: { type: "string", default: "8" },
    rank: { type: "string", default: "0" }
  }
})
const steps = Number(values.steps)
const seed = Number(values.seed)
const delay = Number(values.delay)
const rank = Number(values.rank)
const say = (text: string): void => {
  if (rank === 0) console.error(text)
}
if (!Number.isInteger(steps) || !Number.isInteger(seed) || !Number.isInteger(rank) || !(delay >= 0)) {
  say("usage: train.ts [--steps N] [--seed N] [--delay MS] [--rank N]")
  process.exit(2)
}

// -----------------------------------------------------------------------------
// Chance: the same seed gives the same run
// -----------------------------------------------------------------------------

let state = (seed + 1) * 0x9e3779b9 >>> 0

/** Uniform in [0, 1): mulberry32. */
const random = (): number => {
  state = (state + 0x6d2b79f5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), state | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

// -----------------------------------------------------------------------------
// Data: three arms of a spiral, one class each
// -----------------------------------------------------------------------------

const classes = 3

interface Batch {
  readonly size: number
  readonly points: Float64Array
  readonly labels: Uint8Array
}

const sample = (size: number): Batch => {
  const points = new Float64Array(size * 2)
  const labels = new Uint8Array(size)
  for (let i = 0; i < size; i++) {
    const label = i % classes
    const along = random()
    const angle = along * 5 + (label * 2 * Math.PI) / classes + normal() * 0.1
    points[2 * i] = along * Math.cos(angle)
    points[2 * i + 1] = along * Math.sin(angle)
    labels[i] = label
  }
  return { size, points, labels }
}

const held = sample(600)

// -----------------------------------------------------------------------------
// Model: 2 -> 48 -> 48 -> 3, tanh between, softmax at the end
// -----------------------------------------------------------------------------

const widths = [2, 48, 48, classes]

interface Layer {
  readonly inputs: number
  readonly outputs: number
  /** One row of inputs + 1 numbers per output; the last is the bias. */
  readonly weights: Float64Array
  readonly gradient: Float64Array
  readonly mean: Float64Array
  readonly square: Float64Array
}

const layers = widths.slice(1).map((outputs, i): Layer => {
  const inputs = widths[i]!
  const size = outputs * (inputs + 1)
  const weights = Float64Array.from({ length: size }, () => normal() / Math.sqrt(inputs))
  return {
    inputs,
    outputs,
    weights,
    gradient: new Float64Array(size),
    mean: new Float64Array(size),
    square: new Float64Array(size)
  }
})

/** What every layer gives for a batch; the last are the probabilities of the classes. */
const forward = ({ points, size }: Batch): Array<Float64Array> => {
  const activations = [points]
  for (const [l, { inputs, outputs, weights }] of layers.entries()) {
    const from = activations[l]!
    const to = new Float64Array(size * outputs)
    for (let n = 0; n < size; n++) {
      for (let o = 0; o < outputs; o++) {
        const row = o * (inputs + 1)
        let sum = weights[row + inputs]!
        for (let i = 0; i < inputs; i++) sum += weights[row + i]! * from[n * inputs + i]!
        to[n * outputs + o] = l === layers.length - 1 ? sum : Math.tanh(sum)
      }
    }
    activations.push(to)
  }
  softmax(activations.at(-1)!, size)
  return activations
}

const softmax = (logits: Float64Array, size: number): void => {
  for (let n = 0; n < size; n++) {
    const row = logits.subarray(n * classes, (n + 1) * classes)
    const top = Math.max(...row)
    let sum = 0
    for (let c = 0; c < classes; c++) sum += row[c] = Math.exp(row[c]! - top)
    for (let c = 0; c < classes; c++) row[c]! /= sum
  }
}

const score = (probabilities: Float64Array, { labels, size }: Batch): { loss: number; accuracy: number } => {
  let [loss, right] = [0, 0]
  for (let n = 0; n < size; n++) {
    const row = probabilities.subarray(n * classes, (n + 1) * classes)
    loss -= Math.log(Math.max(row[labels[n]!]!, 1e-12))
    if (row.indexOf(Math.max(...row)) === labels[n]) right++
  }
  return { loss: loss / size, accuracy: right / size }
}

/** Leaves the gradient of the mean loss in the layers; gives its norm. */
const backward = (activations: ReadonlyArray<Float64Array>, { labels, size }: Batch): number => {
  let delta = Float64Array.from(
    activations.at(-1)!,
    (p, k) => (p - (k % classes === labels[Math.floor(k / classes)] ? 1 : 0)) / size
  )
  let norm = 0
  for (let l = layers.length - 1; l >= 0; l--) {
    const { gradient, inputs, outputs, weights } = layers[l]!
    const from = activations[l]!
    const below = new Float64Array(size * inputs)
    gradient.fill(0)
    for (let n = 0; n < size; n++) {
      for (let o = 0; o < outputs; o++) {
        const d = delta[n * outputs + o]!
        const row = o * (inputs + 1)
        gradient[row + inputs]! += d
        for (let i = 0; i < inputs; i++) {
          gradient[row + i]! += d * from[n * inputs + i]!
          below[n * inputs + i]! += d * weights[row + i]!
        }
      }
    }
    delta = below.map((d, k) => d * (1 - from[k]! ** 2))
    for (const g of gradient) norm += g * g
  }
  return Math.sqrt(norm)
}

/** Adam. */
const descend = (step: number, lr: number): void => {
  const [keepMean, keepSquare] = [0.9, 0.99]
  for (const { gradient, mean, square, weights } of layers) {
    for (let k = 0; k < weights.length; k++) {
      const g = gradient[k]!
      mean[k] = keepMean * mean[k]! + (1 - keepMean) * g
      square[k] = keepSquare * square[k]! + (1 - keepSquare) * g * g
      const unbiased = Math.sqrt(square[k]! / (1 - keepSquare ** step))
      weights[k]! -= (lr * mean[k]!) / (1 - keepMean ** step) / (unbiased + 1e-8)
    }
  }
}

// -----------------------------------------------------------------------------
// Training
// -----------------------------------------------------------------------------

/** Rises for a twentieth of the run, then falls along a cosine. */
const learningRate = (step: number): number =>
  0.02 * Math.min(1, step / (steps / 20)) * (0.55 + 0.45 * Math.cos((Math.PI * step) / steps))

// Whoever reads may go away (`| head`): then there is nobody to train for.
process.stdout.on("error", () => process.exit(0))

const parameters = layers.reduce((sum, layer) => sum + layer.weights.length, 0)
say(`training ${parameters} parameters for ${steps} steps, seed ${seed}`)
// The points that are held out and the first weights are those of all ranks; from here on each has its own chance.
state = (state + rank * 0x85ebca6b) >>> 0
for (let step = 1; step <= steps; step++) {
  const started = performance.now()
  const batch = sample(192)
  const activations = forward(batch)
  const train = score(activations.at(-1)!, batch)
  const gradNorm = backward(activations, batch)
  const lr = learningRate(step)
  descend(step, lr)
  const record: Record<string, number> = {
    step,
    "train/loss": train.loss,
    "train/accuracy": train.accuracy,
    "train/grad_norm": gradNorm,
    "train/lr": lr,
    "train/dt": (performance.now() - started) / 1000
  }
  if (rank === 0 && (step % 10 === 1 || step === steps)) {
    const evaluated = score(forward(held).at(-1)!, held)
    record["eval/loss"] = evaluated.loss
    record["eval/accuracy"] = evaluated.accuracy
  }
  console.log(JSON.stringify(record))
  await new Promise((resume) => setTimeout(resume, delay))
}
const { accuracy } = score(forward(held).at(-1)!, held)
say(`trained: ${(accuracy * 100).toFixed(1)}% of ${held.size} held-out points are classified rightly`)
