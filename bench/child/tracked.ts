/**
 * One of several ranks that train: a loop of 100 ms a step of its thread, which records 32 metrics a step in phases, and in
 * others does not. Rank 0 has a log and the csv backend, as in a real run.
 *
 *     node tracked.ts KEYS PHASES MILLIS DIRECTORY
 *
 * It says `ready`, is told when the first phase is, and prints for each what a step took on the average of its thread and of
 * what else it and other threads did, on a processor; and how long each `update` took.
 */
import * as Effect from "effect/Effect"
import koffi from "koffi"
import * as History from "../../src/History.ts"
import type { Phase } from "../ranks/overhead.ts"
import { begin, clock, until } from "./told.ts"

const [keys = 32, phases = 8, millis = 500] = process.argv.slice(2, 5).map(Number)
const [directory = "."] = process.argv.slice(5)
const names = Array.from({ length: keys }, (_, i) => `train/metric_${i}`)
const stepMillis = 100
/** So many steps come before. */
const warmup = 2000
/** What was recorded before is on its way still, or waits to be. */
const settling = 0.25

const weights = Float64Array.from({ length: 16_384 }, (_, i) => Math.sin(i))
/** Something to do: reads and writes what fits in a core's own memory. */
const compute = (rounds: number): number => {
  let sum = 0
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i]!
      sum += weight * weight
      weights[i] = weight * 0.999_999 + 1e-9
    }
  }
  return sum
}
/** Nanoseconds exactly, where Node's own are a few milliseconds old. */
const libc = koffi.load(null)
const timespec = koffi.struct("timespec", { seconds: "int64", nanoseconds: "int64" })
const read = libc.func("clock_gettime", "int", ["int", koffi.out(koffi.pointer(timespec))])
const clockOf = (id: number) => (): number => {
  const time = { seconds: 0, nanoseconds: 0 }
  read(id, time)
  return Number(time.seconds) + Number(time.nanoseconds) / 1e9
}
const processSeconds = clockOf(2)
const threadSeconds = clockOf(3)
/** How many rounds are a step. */
const calibrate = (): number => {
  compute(200)
  const rounds = 400
  const took = Array.from({ length: 5 }, () => {
    const before = threadSeconds()
    compute(rounds)
    return 1000 * (threadSeconds() - before)
  })
  return Math.max(1, Math.round(rounds * stepMillis / Math.min(...took)))
}

const program = Effect.gen(function*() {
  const history = yield* History.make({
    environment: process.env,
    backends: "csv",
    outdir: directory,
    distributedHistory: true
  })
  const rounds = calibrate()
  let sum = 0
  let step = 0
  let calls: Array<number> = []
  const track = Effect.suspend(() => {
    const before = performance.now()
    const metrics = Object.fromEntries(names.map((name, i) => [name, i + sum]))
    return Effect.map(history.update(metrics, { step: step++ }), () => {
      calls.push((performance.now() - before) / 1000)
    })
  })
  // Code that has run a few times only is slower: trainings are longer than what is measured here.
  for (let i = 0; i < warmup; i++) {
    sum += compute(Math.ceil(rounds / 200))
    yield* track
    yield* Effect.sleep(0)
  }
  const from = yield* begin("ready")
  const all: Array<Phase> = []
  for (let phase = 0; phase < phases; phase++) {
    // A B B A: what drifts meets both alike.
    const tracked = phase % 4 === 1 || phase % 4 === 2
    const start = from + phase * millis
    yield* until(start)
    let computing = 0
    const one = Effect.gen(function*() {
      const before = threadSeconds()
      sum += compute(rounds)
      computing += threadSeconds() - before
      if (tracked) yield* track
      // Whatever else there is to do has its turn, in both.
      yield* Effect.sleep(0)
    })
    while (clock() < start + settling * millis) yield* one
    const [thread, whole] = [threadSeconds(), processSeconds()]
    computing = 0
    calls = []
    let steps = 0
    do {
      yield* one
      steps++
    } while (clock() < start + millis)
    const spent = threadSeconds() - thread
    all.push({
      tracked,
      step: computing / steps,
      beside: (spent - computing) / steps,
      others: (processSeconds() - whole - spent) / steps,
      calls
    })
  }
  console.log(JSON.stringify(all))
  yield* history.finish()
}).pipe(Effect.scoped)

await Effect.runPromise(program)
process.exit(0)
