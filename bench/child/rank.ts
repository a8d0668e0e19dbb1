/**
 * One of several ranks, which are told who they are by the environment: hands over as many records as it is told, as fast
 * as it can. Rank 0 prints how long the statistics of so many steps took in the middle of that, in seconds.
 *
 *     node rank.ts KEYS WARMUP STEPS     WARMUP: steps before those that are measured
 *
 * No rank is far ahead of the statistics, as none is where training all-reduces: rank 0 says `published N` now and then,
 * and the others are told.
 */
import * as Effect from "effect/Effect"
import type { Metrics } from "../../src/Metrics.ts"
import * as ZeroMq from "../../src/reducer/zeromq/ZeroMq.ts"
import type { Row } from "../../src/Row.ts"
import { clock, told } from "./told.ts"

const [keys = 32, warmup = 1000, steps = 1000] = process.argv.slice(2).map(Number)
/** No two ranks have the same to say. */
const rank = Number(process.env["EZPZ_RANK"])
const names = Array.from({ length: keys }, (_, i) => `train/metric_${i}`)
/** Made beforehand, as a line of JSON gives them: making them is not what is measured, nor is fetching them from memory. */
const metrics = Array.from(
  { length: 16 },
  (_, i): Metrics => JSON.parse(JSON.stringify(Object.fromEntries(names.map((name, k) => [name, k + (i + rank) / 7]))))
)
const rows = (from: number): ReadonlyArray<Row> => {
  const rows: Array<Row> = []
  for (let step = from; step < from + turn; step++) {
    const seq = step + 1
    rows.push({ seq, step, timestamp: step, rank: 0, metrics: metrics[step % metrics.length]!, statistics: undefined })
  }
  return rows
}
/** So often this loop lets others have a turn, as MPI's never does: as many records as two frames have. */
const turn = 2048
/** So far a rank is ahead of the statistics at most. Rank 0 knows at once, the others are told now and then. */
const ahead = 8192

const program = Effect.gen(function*() {
  const reducer = ZeroMq.make({ environment: process.env })
  const isRoot = reducer.rank.rank === 0
  const hear = yield* told
  let published = 0
  let said = 0
  let known = 0
  let more = () => {}
  let from = 0
  const reduction = yield* reducer.open("bench", (closed) => {
    if (published < warmup && published + closed.length >= warmup) from = clock()
    const before = published
    published += closed.length
    if (before < warmup + steps && published >= warmup + steps) console.log((clock() - from) / 1000)
    known = published
    more()
    if (published < said + ahead / 2) return
    said = published
    console.log(`published ${said}`)
  })
  const wait = (): Promise<void> => {
    if (isRoot) return new Promise((resume) => more = resume)
    return hear("published").then((steps) => void (known = steps))
  }
  // There is always more to come: a last record would wait for others to make a frame with.
  for (let at = 0; at < warmup + steps + ahead; at += turn) {
    reduction.offer(rows(at))
    yield* Effect.yieldNow
    const enough = at + turn - (isRoot ? ahead / 2 : ahead)
    for (let steps = known; steps < enough; steps = known) yield* Effect.promise(wait)
  }
  yield* reduction.flush
}).pipe(Effect.scoped)

await Effect.runPromise(program)
process.exit(0)
