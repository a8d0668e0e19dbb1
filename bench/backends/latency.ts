/** What `update` takes while its backend's server is near, far, or not there. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { join } from "node:path"
import * as History from "../../src/History.ts"
import { narrowKeys } from "../data.ts"
import { type Context, median, quantile } from "../measure.ts"
import { atMost, count, type Findings, ratio, seconds } from "../report.ts"
import { decoded, paced } from "./calls.ts"
import * as Recorder from "./recorder.ts"

export const title = "what a server's latency does to update"

export const about =
  "Single calls of `history.update` with 8 metrics, ten together and then a pause of a millisecond, so that delivery " +
  "goes on in between. Without a backend; with mlflow and a server (another process) that waits so long before it " +
  "answers, every time; and with one that nothing listens for. All in one process, block by block in turn; between " +
  "blocks what is left is delivered."

const latencies = [0, 50, 500]

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const block = quick ? 200 : 500
  const rounds = quick ? 3 : 16
  const records = decoded(narrowKeys, block)
  const servers = await Promise.all(latencies.map((latency) => Recorder.start({ latency })))
  const nowhere = `http://127.0.0.1:${await Recorder.freePort()}`
  try {
    return await Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const open = (name: string, backends: string, url = "") =>
          History.make({
            outdir: join(directory, name),
            projectName: "latency",
            backends,
            environment: { MLFLOW_TRACKING_URI: url, EZPZ_SYSTEM_METRICS: "0" }
          })
        const candidates = [
          { name: "no backend", waits: false, history: yield* open("none", "none") },
          ...(yield* Effect.forEach(
            servers,
            ({ url }, i) =>
              Effect.map(open(`server${i}`, "mlflow", url), (history) => ({
                name: `mlflow, answers after ${latencies[i]} ms`,
                waits: true,
                history
              }))
          )),
          { name: "mlflow, not there", waits: false, history: yield* open("nowhere", "mlflow", nowhere) }
        ].map((candidate) => ({
          ...candidate,
          calls: new Array<number>(),
          medians: new Array<number>(),
          tails: new Array<number>()
        }))
        for (let round = -2; round < rounds; round++) {
          for (const { calls, history, medians, name, tails, waits } of candidates) {
            const taken = yield* paced(history, records, block, (round + 2) * block)
            if (waits) {
              const [delivered] = yield* history.tracker.drain(120_000)
              if (delivered?.undelivered !== 0) throw new Error(`${name}: ${delivered?.lastFailure}`)
            }
            if (round < 0) continue
            medians.push(quantile(taken, 0.5))
            tails.push(quantile(taken, 0.99))
            for (const call of taken) calls.push(call)
          }
        }
        yield* Effect.forEach(servers, (server, i) =>
          Effect.promise(async () => {
            const { again, missing, points } = await server.counts()
            if (again + missing > 0 || points !== (rounds + 2) * block * narrowKeys.length) {
              throw new Error(`${latencies[i]} ms: ${points} points, ${again} twice, ${missing} missing`)
            }
          }))

        const near = candidates[1]
        const compare = (name: "medians" | "tails", fractionOf: number) =>
          candidates.slice(2).map((candidate) =>
            atMost(
              `p${fractionOf * 100}, ${candidate.name}: at most 1.25x that of a server that answers at once`,
              median(candidate[name].map((value, i) => value / (near?.[name][i] ?? NaN))),
              1.25,
              ratio
            )
          )
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
          checks: [...compare("medians", 0.5), ...compare("tails", 0.99)]
        }
      })).pipe(Effect.provide(Logger.layer([])))
    )
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}
