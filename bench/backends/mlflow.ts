/** Records to a real MLflow server until it has acknowledged them, against MLflow's own Python client. */
import * as Effect from "effect/Effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as History from "../../src/History.ts"
import * as Mlflow from "../../test/integration/mlflow/server.ts"
import { python } from "../../test/integration/python.ts"
import { narrowKeys } from "../data.ts"
import { alternate, type Context, median, spread } from "../measure.ts"
import { atLeast, count, type Findings, ratio, times } from "../report.ts"
import { decoded } from "./calls.ts"
import * as Python from "./python.ts"

export const title = "records to an MLflow server"

export const about =
  "A real MLflow server on this machine, with a database of its own (sqlite), as `mlflow server` starts it (four " +
  "workers), and with one worker, which answers small requests sooner (its answers do not wait for the client's " +
  "acknowledgement of their first half) and has one processor only. Ours: `history.update` for every record with the mlflow backend, then waiting until " +
  "the server has acknowledged all. MLflow's own Python client: one `mlflow.log_metrics(metrics, step=i)` a step; and, " +
  "to see what the server can do, `MlflowClient.log_batch` with as many records as a request takes. 8 metrics a record, " +
  "in turn, each to a run of its own; afterwards the server is asked whether it has every point of ours."

const ways = {
  calls: "Python: log_metrics a step",
  batches: "Python: log_batch of 125 records",
  ours: "history.update, until acknowledged"
}

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const records = decoded(narrowKeys, 1000)
  const file = join(directory, "records.jsonl")
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(""))
  const sizes = quick ? { calls: 20, batches: 500, ours: 500 } : { calls: 50, batches: 1250, ours: 2500 }
  const servers = []
  for (const [name, workers] of [["mlflow server", 4], ["one worker", 1]] as const) {
    const own = join(directory, `workers${workers}`)
    mkdirSync(own)
    const all = await compare(own, workers, { file, records, sizes, rounds: quick ? 2 : 5 })
    // Each round is compared within itself.
    const times = (way: keyof typeof ways) =>
      all.calls.map((seconds, i) => seconds / sizes.calls / ((all[way][i] ?? NaN) / sizes[way]))
    servers.push({ name, all, ratio: { calls: 1, batches: median(times("batches")), ours: median(times("ours")) } })
  }
  return {
    tables: [{
      columns: ["server", "8 metrics", "per record", "records", "speed"],
      rows: servers.flatMap(({ all, name, ratio: speeds }) =>
        (["calls", "batches", "ours"] as const).map((way) => {
          const perRecord = spread(all[way].map((seconds) => seconds / sizes[way]))
          const rate = `${count(Math.round(1 / perRecord.median))}/s`
          return [name, ways[way], times(perRecord), rate, ratio(speeds[way])]
        })
      )
    }],
    checks: servers.map(({ name, ratio: { ours } }) =>
      atLeast(`${name}: at least 20x the records/s of one log_metrics a step`, ours, 20, ratio)
    )
  }
}

interface Work {
  readonly file: string
  readonly records: ReadonlyArray<Record<string, number>>
  readonly sizes: { readonly [way in keyof typeof ways]: number }
  readonly rounds: number
}

/** The seconds of each round. */
const compare = async (directory: string, workers: number, { file, records, rounds, sizes }: Work) => {
  const server = await Mlflow.make({
    args: ["--artifacts-destination", join(directory, "artifacts"), "--workers", String(workers)]
  })
  try {
    await server.start()
    const client = await Python.start(await python(Mlflow.requirements), "mlflow_log.py", [server.url, file], {
      directory,
      env: { MLFLOW_DISABLE_TELEMETRY: "true" }
    })
    const measured = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const history = yield* History.make({
        outdir: join(directory, "ours"),
        projectName: "ours",
        backends: "mlflow",
        environment: { MLFLOW_TRACKING_URI: server.url, EZPZ_SYSTEM_METRICS: "0" }
      })
      let step = 0
      const ours = Effect.gen(function*() {
        const from = performance.now()
        for (let i = 0; i < sizes.ours; i++, step++) {
          yield* history.update(records[step % records.length] ?? {}, { step })
        }
        const [delivered] = yield* history.tracker.drain(300_000)
        if (delivered?.undelivered !== 0) throw new Error(`not delivered: ${delivered?.lastFailure}`)
        return (performance.now() - from) / 1000
      })
      const runPromise = Effect.runPromiseWith(yield* Effect.context())
      const candidates = {
        calls: () => client.measure("log_metrics", sizes.calls),
        batches: () => client.measure("log_batch", sizes.batches),
        ours: () => runPromise(ours)
      }
      // Every worker's first requests are slower.
      yield* Effect.promise(() => alternate(1, candidates))
      const all = yield* Effect.promise(() => alternate(rounds, candidates))
      const run = (yield* history.tracker.getBackend("mlflow"))?.run
      if (run === undefined) throw new Error("no run")
      yield* Effect.promise(() => verify(server.url, run.id, step))
      return all
    })))
    await client.stop()
    return measured
  } finally {
    await server.remove()
  }
}

/** Every key has a point at every step, once. */
const verify = async (url: string, run: string, records: number): Promise<void> => {
  for (const key of narrowKeys) {
    const steps = new Set<number>()
    let points = 0
    let token = ""
    do {
      const query = new URLSearchParams({ run_id: run, metric_key: key, max_results: "25000", page_token: token })
      if (token === "") query.delete("page_token")
      const response = await fetch(`${url}/api/2.0/mlflow/metrics/get-history?${query}`)
      const page = await response.json() as {
        readonly metrics?: ReadonlyArray<{ readonly step: number }>
        readonly next_page_token?: string
      }
      for (const { step } of page.metrics ?? []) steps.add(step)
      points += page.metrics?.length ?? 0
      token = page.next_page_token ?? ""
    } while (token !== "")
    if (steps.size !== records || points !== records) {
      throw new Error(`${key}: the server has ${points} points at ${steps.size} steps of ${records}`)
    }
  }
}
