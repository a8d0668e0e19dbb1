/**
 * A table as a file that `mlflow.load_table` reads: `{"columns":["a",...],"data":[[1,...],...]}`.
 *
 * It is written row by row: however long it is, memory holds a part of it.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { BackendError, type Table } from "../../Backend.ts"
import { makeDirectory } from "../../internal/makeDirectory.ts"
import * as SystemError from "../../internal/systemError.ts"
import type { Value } from "../../Metrics.ts"

/**
 * Writes a table into a directory; the file is gone with the scope.
 *
 * @category constructors
 * @since 0.2.0
 */
export const write = (directory: string, table: Table): Effect.Effect<string, BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const file = Path.join(directory, `table-${process.pid}-${++count}.json`)
    const attempt = <A>(run: () => A) =>
      Effect.try({
        try: run,
        catch: (cause) =>
          new BackendError({
            backend: "mlflow",
            operation: "logTable",
            cause: new Error(`${file}: ${SystemError.explain(cause)}`)
          })
      })
    yield* attempt(() => makeDirectory(directory))
    yield* Effect.acquireRelease(Effect.void, () => Effect.sync(() => Fs.rmSync(file, { force: true })))
    const append = (text: string) => attempt(() => Fs.appendFileSync(file, text))
    yield* attempt(() => Fs.writeFileSync(file, `{"columns":${JSON.stringify(table.columns)},"data":[`))
    let first = true
    yield* Stream.runForEachArray(table.rows, (rows) =>
      Effect.suspend(() => {
        const text = rows.map((row) => JSON.stringify(row, cell)).join(",\n")
        const comma = first ? "\n" : ",\n"
        first = false
        return append(comma + text)
      }))
    yield* append("\n]}\n")
    return file
  })

let count = 0

/** What is not finite as in the log; what is absent as null. */
const cell = (_key: string, value: Value | undefined): unknown =>
  typeof value === "number" && !Number.isFinite(value) ? String(value) : value
