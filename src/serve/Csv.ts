/**
 * A run's records as a table, made from the log while it is read: `step`, `timestamp`, then a column for each metric, as
 * the csv backend writes them.
 *
 * @since 0.5.0
 */
import * as Stream from "effect/Stream"
import * as Cell from "../backend/csv/Cell.ts"
import * as RunLog from "../RunLog.ts"

/** Statistics come after their record, as soon as the step has closed. */
const window = 4096

/**
 * The lines of the table, in pieces. `columns` are keys of records or of their statistics.
 *
 * @category encoding
 * @since 0.5.0
 */
export const text = (
  log: string,
  columns: ReadonlyArray<string>,
  statistics: boolean
): Stream.Stream<string, RunLog.RunLogError> => {
  const titles = columns.map((key) => key === "step" || key === "timestamp" ? `${key}_` : key)
  return Stream.concat(
    Stream.make(Cell.lines([["step", "timestamp", ...titles]])),
    RunLog.rows(log, statistics ? window : 0).pipe(
      Stream.filter((row) => columns.some((key) => Object.hasOwn(row.metrics, key))),
      Stream.mapArray((rows) => {
        const lines = rows.map(({ metrics, statistics, step, timestamp }) =>
          [step, timestamp, ...columns.map((key) => own(metrics, key) ?? own(statistics?.values, key))]
            .map(Cell.cell).join(",")
        )
        return [`${lines.join("\n")}\n`]
      })
    )
  )
}

const own = <A>(record: Readonly<Record<string, A>> | undefined, key: string): A | undefined =>
  record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined
