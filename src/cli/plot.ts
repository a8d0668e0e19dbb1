/** `ezpz-stream plot RUN|LOG`: terminal plots of a run, or of any file of JSON lines. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  Census,
  Columns,
  Finalize,
  Fold,
  History,
  Lines,
  Metrics,
  type Row,
  RunDirectory,
  RunLog,
  Series,
  TerminalPlot
} from "../index.ts"
import { type ExitWith, failure, usage } from "./Exit.ts"
import * as Input from "./Input.ts"
import { plotColumns, Screen } from "./Screen.ts"

export const handler = (
  path: string,
  options: { readonly metrics: ReadonlyArray<string>; readonly warmup: number | undefined }
) =>
  Effect.gen(function*() {
    const screen = yield* Screen
    const logPath = yield* RunDirectory.findLog(path).pipe(Effect.mapError((error) => usage(error.message)))
    const warmup = options.warmup ?? 0
    const isLog = yield* RunLog.isLog(logPath)
    const counted = isLog
      ? yield* Finalize.count(logPath)
      : { census: yield* Fold.run(plainRows(logPath), Census.fold), window: 0, corrupt: [] }
    const rows: Stream.Stream<Row.Row, ExitWith | RunLog.RunLogError> = isLog
      ? RunLog.rows(logPath, counted.window)
      : plainRows(logPath)
    const { series } = yield* Fold.run(
      rows,
      Columns.fromRows(Series.fold(counted.census, { warmup }), counted.census, warmup)
    )
    const drawn = options.metrics.length === 0
      ? series.filter((one) => one.drawn)
      : series.filter((one) => options.metrics.some((wanted) => matches(one.variable.key, wanted)))
    const missing = options.metrics.filter((wanted) => !series.some((one) => matches(one.variable.key, wanted)))
    if (missing.length > 0) {
      const known = series.map((one) => cut(one.variable.key))
      return yield* usage(
        `There is no numeric metric ${missing.map(cut).join(", ")}. There are: ${known.slice(0, 20).join(", ")}` +
          (known.length > 20 ? ` and ${known.length - 20} more` : "")
      )
    }
    const { notes, options: style } = TerminalPlot.optionsFromEnv(yield* History.environment)
    yield* screen.error(notes.map((note) => `${note}\n`).join(""))
    if (drawn.length === 0) yield* screen.error(`There are no numeric metrics in ${path}.\n`)
    for (const [i, one] of drawn.entries()) {
      const text = TerminalPlot.overlay([one], {
        ...style,
        width: plotColumns(screen),
        height: 24,
        color: screen.color && process.stdout.isTTY === true
      })
      yield* screen.out(i === 0 ? text : `\n${text}`)
    }
    return 0
  }).pipe(Effect.mapError((error) => error._tag === "ExitWith" ? error : failure(error.message)))

/** Names come from the job, and may be of any length. */
const cut = (name: string): string => {
  const chars = Array.from(name)
  return chars.length <= 60 ? name : `${chars.slice(0, 59).join("")}…`
}

/** `loss` finds `loss` and `train/loss`; a full key only itself. */
const matches = (key: string, wanted: string): boolean => key === wanted || Metrics.withoutGroup(key) === wanted

/** Plain records, numbered as they come; lines that are no records are left out. */
const plainRows = (path: string): Stream.Stream<Row.Row, ExitWith> =>
  Stream.unwrap(Effect.map(Input.file(path, false), (input) => {
    const splitter = Lines.splitter()
    let seq = 0
    const rows = (lines: ReadonlyArray<string | Lines.Damaged>): ReadonlyArray<Row.Row> =>
      lines.flatMap((line) => {
        const decoded = typeof line === "string" ? Metrics.decodeLine(line) : line
        return decoded._tag === "Decoded"
          ? [{ seq: ++seq, step: decoded.step, timestamp: 0, rank: 0, metrics: decoded.metrics, statistics: undefined }]
          : []
      })
    return Stream.concat(
      Stream.flatMap(input.bytes, (bytes) => Stream.fromIterable(rows(splitter.push(bytes)))),
      Stream.suspend(() => {
        const rest = splitter.end()
        return Stream.fromIterable(rest === undefined ? [] : rows([rest]))
      })
    )
  }))
