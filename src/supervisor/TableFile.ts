/**
 * A table that waits for backends, as a file of JSON lines: the columns, then each row. Numbers that JSON does not have
 * are `{"number":"NaN"}`, no value is null.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { BackendError, type Table } from "../Backend.ts"
import { makeDirectory } from "../internal/makeDirectory.ts"
import * as Lines from "../Lines.ts"
import type { Value } from "../Metrics.ts"

/** Writes a table to a file. */
export const write = (path: string, table: Table): Effect.Effect<void, BackendError> =>
  Effect.acquireUseRelease(
    attempt("log", () => {
      makeDirectory(Path.dirname(path))
      return Fs.openSync(path, "w")
    }),
    (fd) => {
      const lines = (rows: ReadonlyArray<ReadonlyArray<unknown>>) =>
        attempt("log", () => {
          Fs.writeSync(fd, rows.map((row) => `${JSON.stringify(row.map(encode))}\n`).join(""))
        })
      return Effect.andThen(lines([table.columns]), Stream.runForEachArray(table.rows, lines))
    },
    (fd) => Effect.sync(() => Fs.closeSync(fd))
  )

/** The table in a file; its rows are read when they are asked for. */
export const read = (backend: string, path: string): Effect.Effect<Table, BackendError> =>
  attempt(backend, () => {
    const [first = "[]"] = head(path).split("\n", 1)
    const columns: ReadonlyArray<string> = JSON.parse(first)
    return { columns, rows: Stream.drop(rowsOf(backend, path), 1) }
  })

const encode = (value: unknown): unknown =>
  value === undefined ? null : typeof value === "number" && !Number.isFinite(value) ? { number: String(value) } : value

type Encoded = Exclude<Value, null> | null | { readonly number: string }

const decode = (value: Encoded): Value | undefined =>
  value === null ? undefined : typeof value === "object" && "number" in value ? Number(value.number) : value

const head = (path: string): string => {
  const fd = Fs.openSync(path, "r")
  try {
    for (let size = 64 * 1024;; size *= 2) {
      const bytes = Buffer.alloc(size)
      const read = Fs.readSync(fd, bytes, 0, size, 0)
      if (read < size || bytes.includes(0x0a)) return bytes.toString("utf8", 0, read)
    }
  } finally {
    Fs.closeSync(fd)
  }
}

/** Opened when the rows are asked for: nobody may. */
const rowsOf = (backend: string, path: string): Table["rows"] =>
  Stream.suspend(() =>
    Stream.fromAsyncIterable(
      Fs.createReadStream(path),
      (cause) => new BackendError({ backend, operation: "logTable", cause, permanent: true })
    )
  ).pipe(
    Stream.mapAccumArray(() => Lines.splitter(), (splitter, chunk: ReadonlyArray<Buffer>) =>
      [
        splitter,
        chunk.flatMap((bytes) => splitter.push(bytes)).flatMap(rowOf)
      ] as const)
  )

const rowOf = (line: string | Lines.Damaged): ReadonlyArray<ReadonlyArray<Value | undefined>> => {
  if (typeof line !== "string") return []
  const row: ReadonlyArray<Encoded> = JSON.parse(line)
  return [row.map(decode)]
}

/** A file that is gone does not come back. */
const attempt = <A>(backend: string, run: () => A): Effect.Effect<A, BackendError> =>
  Effect.try({
    try: run,
    catch: (cause) => new BackendError({ backend, operation: "logTable", cause, permanent: true })
  })
