/**
 * A rank of a job with a topology of its own choice, as a process: it records the lines `{"step": 1, "loss": 0.5}` of its
 * standard input, and rank 0 tells each row that closes, or is amended, as a JSON line. At the end of its input it waits for
 * the others.
 *
 *     node member.ts STAR FAN_IN
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Fs from "node:fs"
import { createInterface } from "node:readline"
import * as ZeroMq from "../../../src/reducer/zeromq/ZeroMq.ts"

const [star = 2, fanIn = 2] = process.argv.slice(2).map(Number)

const logger = Logger.make(({ logLevel, message }) => {
  Fs.writeSync(2, `${logLevel}: ${Array.isArray(message) ? message.join(" ") : message}\n`)
})

const program = Effect.gen(function*() {
  const reducer = ZeroMq.make({ environment: process.env, topology: { star, fanIn } })
  const reduction = yield* reducer.open("tree", (rows, amended = false) => {
    for (const { seq, statistics, step } of rows) {
      Fs.writeSync(1, `${JSON.stringify({ seq, step, amended, statistics })}\n`)
    }
  })
  let seq = 0
  yield* Effect.promise(async () => {
    for await (const line of createInterface({ input: process.stdin })) {
      const { step, ...metrics }: { readonly step: number; readonly loss: number } = JSON.parse(line)
      reduction.offer([{ seq: ++seq, step, timestamp: 0, rank: reducer.rank.rank, metrics, statistics: undefined }])
    }
  })
  yield* reduction.flush
}).pipe(
  Effect.scoped,
  Effect.provide(Logger.layer([logger])),
  Effect.provideService(References.MinimumLogLevel, "Debug")
)

await Effect.runPromise(program)
