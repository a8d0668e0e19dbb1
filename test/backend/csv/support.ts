import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Csv from "../../../src/backend/csv/Csv.ts"
import type { Metrics } from "../../../src/Metrics.ts"
import type { Row } from "../../../src/Row.ts"

/** Reads CSV as RFC 4180 defines it (a line ends in `\n`), and throws at whatever it does not allow. */
export const parse = (text: string): Array<Array<string>> => {
  const rows: Array<Array<string>> = []
  let row: Array<string> = []
  for (let at = 0; at < text.length;) {
    let field = ""
    if (text[at] === "\"") {
      for (at++;; at++) {
        if (at >= text.length) throw new Error("unterminated quotes")
        if (text[at] !== "\"") field += text[at]
        else if (text[at + 1] === "\"") field += text[++at]
        else break
      }
      at++
    } else {
      while (at < text.length && text[at] !== "," && text[at] !== "\n") {
        if (text[at] === "\"" || text[at] === "\r") throw new Error(`bare ${JSON.stringify(text[at])} at ${at}`)
        field += text[at++]
      }
    }
    row.push(field)
    if (at >= text.length) throw new Error("the last line has no end")
    if (text[at] === "\n") {
      rows.push(row)
      row = []
    } else if (text[at] !== ",") throw new Error(`text after quotes at ${at}`)
    at++
    if (at >= text.length && row.length > 0) throw new Error("the last line has no end")
  }
  return rows
}

/** A file as a table: its header, and its rows, all of which are as wide. */
export const table = (path: string): { readonly header: Array<string>; readonly rows: Array<Array<string>> } => {
  const [header, ...rows] = parse(Fs.readFileSync(path, "utf8"))
  if (header === undefined) throw new Error("no header")
  if (new Set(header).size < header.length) throw new Error(`two columns of one name: ${header.join()}`)
  for (const row of rows) {
    if (row.length !== header.length) throw new Error(`${row.length} cells under ${header.length} columns`)
  }
  return { header, rows }
}

export const row = (seq: number, metrics: Metrics, statistics?: Metrics): Row => ({
  seq,
  step: seq - 1,
  timestamp: 1_764_000_000 + seq / 4,
  rank: 0,
  metrics,
  statistics: statistics === undefined ? undefined : { values: statistics, count: 1, expected: 1 }
})

/** A directory that is gone after the test. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "csv-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

export const start = (path: string, checkpoint?: unknown, keys: ReadonlyArray<string> = []) =>
  Csv.factory({
    runId: "run",
    runName: undefined,
    projectName: "project",
    projectGiven: true,
    directory: path,
    config: {},
    keys,
    environment: {},
    createdAt: 1_764_000_000,
    live: true,
    facts: Effect.succeed({}),
    checkpoint
  })

/** A backend in a scope of its own: `kill` is all that a process that dies does. */
export const startProcess = (path: string, checkpoint?: unknown) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const csv = yield* Scope.provide(start(path, checkpoint), scope)
    return { csv, kill: Scope.close(scope, Exit.void) }
  })

/** What a supervisor keeps of a checkpoint. */
export const kept = (checkpoint: unknown): unknown => JSON.parse(JSON.stringify(checkpoint))
