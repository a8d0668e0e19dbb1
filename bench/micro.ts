/** The inner loops, one by one. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Series from "../src/artifact/Series.ts"
import * as TerminalPlot from "../src/artifact/TerminalPlot.ts"
import * as ColumnFile from "../src/backend/csv/ColumnFile.ts"
import * as Census from "../src/Census.ts"
import * as Columns from "../src/Columns.ts"
import * as Fold from "../src/Fold.ts"
import * as Metrics from "../src/Metrics.ts"
import type { Row } from "../src/Row.ts"
import * as RunLog from "../src/RunLog.ts"
import * as Summary from "../src/Summary.ts"
import { logged, narrowKeys, printed, steady, wideKeys } from "./data.ts"
import { type Context, perCall, type Spread } from "./measure.ts"
import { type Findings, ratio, times } from "./report.ts"

export const title = "the inner loops"

export const about =
  "In one process, warm. A record of the run log is read with `JSON.parse` and checked; a line that comes in is parsed, " +
  "checked, and its text prepared for the log. A pass of a fold is over records that are in memory."

/** So many records are gone through in a call: what a fold does once in a pass does not count, nor do cached numbers. */
const batch = 4096

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const millis = quick ? 10 : 300
  const of = (spread: Spread, per: number): Spread => ({
    median: spread.median / per,
    min: spread.min / per,
    max: spread.max / per
  })
  /** The time for one of the records that a call goes through. */
  const each = (call: () => unknown): Spread => of(perCall(call, millis), batch)
  const rows: Array<ReadonlyArray<string>> = []
  const plots: Array<ReadonlyArray<string>> = []

  for (const keys of [narrowKeys, wideKeys]) {
    const job = steady(keys)
    const toLog = logged(steady(keys))
    const lines = Array.from({ length: batch }, () => printed(job).trimEnd())
    const entries = Array.from({ length: batch }, () => toLog().trimEnd())
    const records = entries.map(RunLog.decodeLine).filter((entry): entry is Row =>
      !("_tag" in entry) && RunLog.isRow(entry)
    )
    const formatter = Summary.make()
    const file = ColumnFile.open(`${directory}/${keys.length}`, undefined, keys)
    const census = await Effect.runPromise(Fold.run(Stream.fromIterable(records), Census.fold))
    const pass = <B>(fold: Fold.Fold<Row, B>) => () =>
      Effect.runSync(
        Effect.scoped(Effect.flatMap(fold.open, (running) => Effect.andThen(running.push(records), running.done)))
      )
    const series = Columns.fromRows(Series.fold(census), census)

    const parse = each(() => lines.forEach((line) => JSON.parse(line)))
    const decode = each(() => lines.forEach((line) => Metrics.decodeLine(line)))
    const parseLog = each(() => entries.forEach((line) => JSON.parse(line)))
    const decodeLog = each(() => entries.forEach(RunLog.decodeLine))
    const row = (what: string, spread: Spread, against?: Spread) =>
      rows.push([
        what,
        String(keys.length),
        times(spread),
        times(of(spread, keys.length)),
        against === undefined ? "" : ratio(spread.median / against.median)
      ])
    row("JSON.parse of a line", parse)
    row("Metrics.decodeLine", decode, parse)
    row("JSON.parse of a line of the run log", parseLog)
    row("RunLog.decodeLine", decodeLog, parseLog)
    row(
      "Summary line",
      each(() => records.forEach(({ metrics, step }) => formatter.format(metrics, undefined, { step })))
    )
    row("csv row, written", each(() => file.append(records)))
    row("Census, a pass", each(pass(Census.fold)))
    row("Columns, a pass", each(pass(Columns.fromRows(nothing, census))))
    row("Columns and Series, a pass", each(pass(series)))
    file.close()

    const one = pass(series)().series[0]
    if (one !== undefined) {
      plots.push([`TerminalPlot of ${one.variable.key}`, times(perCall(() => TerminalPlot.render(one), millis))])
    }
  }
  return {
    tables: [
      { columns: ["a record", "metrics", "per record", "per value", "of JSON.parse"], rows },
      { columns: ["a plot", "time"], rows: plots }
    ],
    checks: []
  }
}

const nothing: Fold.Fold<Columns.Batch, void> = Fold.make(() => {}, () => {}, () => {})
