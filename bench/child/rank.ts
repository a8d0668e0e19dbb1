/**
 * One of several ranks, which are told who they are by the environment: hands over as many records as it is told, as fast
 * as it can, and waits for the reduction of all. Rank 0 prints how long that took from the first record to the last
 * statistics, in seconds.
 *
 *     node rank.ts KEYS STEPS
 */
import * as Effect from "effect/Effect"
import * as ZeroMq from "../../src/reducer/zeromq/ZeroMq.ts"
import type { Row } from "../../src/Row.ts"

const [keys = 32, steps = 1000] = process.argv.slice(2).map(Number)
const names = Array.from({ length: keys }, (_, i) => `train/metric_${i}`)
/** Rows that are made beforehand: making them is not what is measured. */
const rows = Array.from({ length: steps }, (_, step): Row => ({
  seq: step + 1,
  step,
  timestamp: step,
  rank: 0,
  metrics: Object.fromEntries(names.map((name, i) => [name, i + step / 7])),
  statistics: undefined
}))
/** So often a training loop lets others have a turn. */
const turn = 64

const program = Effect.gen(function*() {
  const reducer = ZeroMq.make({ environment: process.env })
  let published = 0
  const reduction = yield* reducer.open("bench", (closed) => {
    published += closed.length
  })
  const isMissing = (count: number): boolean => published < count
  // Everybody is there before the clock runs.
  reduction.offer([{ ...rows[0]!, step: -1 }])
  if (reducer.rank.rank === 0) { while (isMissing(1)) yield* Effect.sleep(5) }
  else yield* Effect.sleep(50)
  const from = performance.now()
  for (let i = 0; i < steps; i += turn) {
    reduction.offer(rows.slice(i, i + turn))
    yield* Effect.yieldNow
  }
  while (reducer.rank.rank === 0 && isMissing(steps + 1)) yield* Effect.sleep(1)
  const seconds = (performance.now() - from) / 1000
  yield* reduction.flush
  if (reducer.rank.rank === 0) console.log(seconds)
}).pipe(Effect.scoped)

await Effect.runPromise(program)
