/** What `update` takes beside backends that do all they can to be in the way. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { join } from "node:path"
import * as Backend from "../../src/Backend.ts"
import * as History from "../../src/History.ts"
import { narrowKeys } from "../data.ts"
import { type Context, median, quantile } from "../measure.ts"
import { atMost, count, type Findings, ratio, seconds } from "../report.ts"
import { decoded, paced } from "./calls.ts"

export const title = "what misbehaving backends do to update"

export const about =
  "Single calls of `history.update` with 8 metrics, ten together and then a pause of a millisecond: without a backend, " +
  "and with three at once, of which one throws, one never answers, and one takes a second to say 403 or 429. Both in " +
  "one process, block by block in turn."

export const measure = ({ directory, quick }: Context): Promise<Findings> =>
  Effect.runPromise(
    Effect.scoped(Effect.gen(function*() {
      const block = quick ? 200 : 500
      const rounds = quick ? 5 : 60
      const records = decoded(narrowKeys, block)
      const open = (name: string, backends: string) =>
        History.make({ outdir: join(directory, name), projectName: "misbehaving", backends, environment: {} })

      let calls = 0
      const behaviours: { readonly [name: string]: Backend.Definition["log"] } = {
        throws: () => {
          calls++
          throw new Error("no")
        },
        hangs: () => {
          calls++
          return Effect.never
        },
        refuses: () => {
          const limited = calls++ % 2 === 0
          return Effect.andThen(
            Effect.sleep(1000),
            Effect.fail(
              new Backend.BackendError({
                backend: "refuses",
                operation: "log",
                cause: new Error("no"),
                kind: limited ? "HTTP 429" : "HTTP 403",
                ...(limited ? { retryAfterMillis: 100 } : {})
              })
            )
          )
        }
      }
      for (const [name, log] of Object.entries(behaviours)) {
        yield* Backend.register(name, () => Effect.succeed(Backend.make({ name, log })))
      }
      const candidates = [
        { name: "no backend", history: yield* open("none", "none") },
        { name: "three that misbehave", history: yield* open("three", Object.keys(behaviours).join()) }
      ].map((candidate) => ({
        ...candidate,
        calls: new Array<number>(),
        medians: new Array<number>(),
        tails: new Array<number>()
      }))
      for (let round = -4; round < rounds; round++) {
        for (const { calls, history, medians, tails } of candidates) {
          const taken = yield* paced(history, records, block, (round + 4) * block)
          if (round < 0) continue
          medians.push(quantile(taken, 0.5))
          tails.push(quantile(taken, 0.99))
          for (const call of taken) calls.push(call)
        }
      }
      if (calls < 3) throw new Error(`the backends were asked ${calls} times only`)

      const [none, three] = candidates
      const compare = (name: "medians" | "tails") =>
        median((three?.[name] ?? []).map((value, i) => value / (none?.[name][i] ?? NaN)))
      return {
        tables: [{
          columns: ["8 metrics", "calls", "p50", "p99", "longest"],
          rows: candidates.map(({ calls, name }) => [
            name,
            count(calls.length),
            seconds(quantile(calls, 0.5)),
            seconds(quantile(calls, 0.99)),
            seconds(calls.reduce((most, call) => Math.max(most, call), 0))
          ])
        }],
        checks: [
          atMost("p50 at most 1.25x that without a backend", compare("medians"), 1.25, ratio),
          atMost("p99 at most 1.25x that without a backend", compare("tails"), 1.25, ratio)
        ]
      }
    })).pipe(Effect.provide(Logger.layer([])))
  )
