/** One `update` of a program, against what it costs to append its line to a file and do nothing else. */
import * as Effect from "effect/Effect"
import { appendFileSync, closeSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import * as History from "../src/History.ts"
import * as RunLog from "../src/RunLog.ts"
import { narrowKeys, steady } from "./data.ts"
import { type Context, median, quantile, spread } from "./measure.ts"
import { atMost, type Findings, ratio, seconds, times } from "./report.ts"

export const title = "what one update costs a program"

export const about =
  "`yield* history.update(metrics, { step })` with 8 metrics in an Effect program: the record is in the log when it " +
  "returns, and its console line is formatted. Against `fs.appendFileSync` and against `fs.writeSync` to an open " +
  "descriptor, of the same line. All four in one process, block by block in turn; a time is that of a block by its " +
  "calls, so with csv it holds what the csv backend does as well, to the last row. p50 and p99 are of single calls."

export const measure = ({ directory, quick }: Context): Promise<Findings> =>
  Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const block = quick ? 500 : 2000
    const rounds = quick ? 5 : 50
    const job = steady(narrowKeys)
    const records = Array.from({ length: block }, () => {
      const { metrics, step } = job.next()
      const values: Record<string, number> = JSON.parse(metrics)
      return {
        values,
        step,
        line: RunLog.recordLine(1_000_000 + step, step, 1_790_000_000.125, 0, JSON.stringify(values))
      }
    })

    const appended = join(directory, "appended.jsonl")
    const fd = openSync(join(directory, "written.jsonl"), "a")
    const open = (name: string, backends: string) =>
      History.make({ outdir: join(directory, name), backends, environment: {} })
    const plain = yield* open("plain", "")
    const csv = yield* open("csv", "csv")

    type Block = (calls: Float64Array) => Effect.Effect<void, History.UpdateError>
    const synchronous = (append: (line: string) => void): Block => (calls) =>
      Effect.sync(() => {
        for (const [i, { line }] of records.entries()) {
          const from = performance.now()
          append(line)
          calls[i] = performance.now() - from
        }
      })
    const updates = (history: History.History): Block => (calls) =>
      Effect.gen(function*() {
        for (const [i, { step, values }] of records.entries()) {
          const from = performance.now()
          yield* history.update(values, { step })
          calls[i] = performance.now() - from
        }
        yield* history.tracker.drain(60_000)
      })
    const candidates: ReadonlyArray<{ readonly name: string; readonly run: Block }> = [
      { name: "fs.appendFileSync", run: synchronous((line) => appendFileSync(appended, line)) },
      { name: "fs.writeSync", run: synchronous((line) => writeSync(fd, line)) },
      { name: "history.update", run: updates(plain) },
      { name: "history.update, csv", run: updates(csv) }
    ]

    const measured = candidates.map((candidate) => ({
      ...candidate,
      means: new Array<number>(),
      calls: new Array<number>()
    }))
    const calls = new Float64Array(block)
    for (let round = -2; round < rounds; round++) {
      for (const { calls: all, means, run } of measured) {
        const from = performance.now()
        yield* run(calls)
        const mean = (performance.now() - from) / block / 1000
        if (round < 0) continue
        means.push(mean)
        for (const call of calls) all.push(call / 1000)
      }
    }
    closeSync(fd)

    const [append = NaN, write = NaN, update = NaN, updateCsv = NaN] = measured.map(({ means }) => median(means))
    return {
      tables: [{
        columns: ["8 metrics", "per call", "p50", "p99", "of appendFileSync", "of writeSync"],
        rows: measured.map(({ calls, means, name }) => [
          name,
          times(spread(means)),
          seconds(quantile(calls, 0.5)),
          seconds(quantile(calls, 0.99)),
          ratio(median(means) / append),
          ratio(median(means) / write)
        ])
      }],
      checks: [
        atMost("no backend: at most 3x a bare synchronous append", update / append, 3, ratio),
        atMost("with csv: at most 3x a bare synchronous append", updateCsv / append, 3, ratio)
      ]
    }
  })))
