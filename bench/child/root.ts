/**
 * Rank 0 of a world of any size: records 10 steps a second, and takes part in their reduction as it always does. Prints
 * when each was published, how many ranks were in it, and what that took of this process: its processor time, with all
 * threads, and its memory.
 *
 *     node root.ts KEYS WARMUP STEPS     WARMUP: steps that are not measured, before STEPS that are
 *
 * It says `listens`, and is told when the first step is.
 */
import * as Effect from "effect/Effect"
import * as ZeroMq from "../../src/reducer/zeromq/ZeroMq.ts"
import type { OfRoot } from "../ranks/many.ts"
import { begin, clock, until } from "./told.ts"

const [keys = 32, warmup = 20, steps = 100] = process.argv.slice(2).map(Number)
const names = Array.from({ length: keys }, (_, i) => `train/metric_${i}`)
const period = 100
/** How long the last records may take. */
const patience = 5000

const program = Effect.gen(function*() {
  const published = new Array<readonly [time: number, count: number, expected: number]>()
  let amended = 0
  const reduction = yield* ZeroMq.make({ environment: process.env }).open("bench", (rows, again) => {
    const time = clock()
    for (const { statistics } of rows) {
      // What a log would have to write of it.
      JSON.stringify(statistics?.values)
      if (again === true) amended++
      else published.push([time, statistics?.count ?? 0, statistics?.expected ?? 0])
    }
  })
  const offer = (step: number): void => {
    const metrics = Object.fromEntries(names.map((name, i) => [name, i + step / 7]))
    reduction.offer([{ seq: step + 2, step, timestamp: clock() / 1000, rank: 0, metrics, statistics: undefined }])
  }
  // Everybody is there before the clock runs.
  offer(-1)
  const from = yield* begin("listens")
  let before = process.cpuUsage()
  let began = clock()
  for (let step = 0; step < warmup + steps; step++) {
    yield* until(from + step * period)
    if (step === warmup) {
      before = process.cpuUsage()
      began = clock()
    }
    offer(step)
  }
  const { system, user } = process.cpuUsage(before)
  const cpu = (user + system) / 1000 / (clock() - began)
  const rss = process.memoryUsage().rss
  const last = clock()
  while (published.length <= warmup + steps && clock() < last + patience) yield* Effect.sleep(10)
  const found: OfRoot = {
    published: published.slice(1),
    amended,
    cpu,
    rss,
    peak: process.resourceUsage().maxRSS * 1024
  }
  console.log(JSON.stringify(found))
  yield* reduction.flush
}).pipe(Effect.scoped)

await Effect.runPromise(program)
process.exit(0)
