/**
 * What is sent of records online: lines in pieces that fit into a request, and the small files that W&B shows beside a
 * run.
 *
 * @since 0.2.0
 */
import { Buffer } from "node:buffer"
import type * as Backend from "../../Backend.ts"
import type { Row } from "../../Row.ts"
import type { Upload } from "./Files.ts"
import * as FileStream from "./FileStream.ts"
import * as History from "./History.ts"
import * as Summary from "./Summary.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The place of the last record in the run.
 *
 * @category models
 * @since 0.2.0
 */
export interface Last {
  readonly seq: number
  readonly step: number
  readonly timestamp: number
}

/**
 * Before the first record.
 *
 * @category constructors
 * @since 0.2.0
 */
export const first = (createdAt: number): Last => ({ seq: 0, step: 0, timestamp: createdAt })

/**
 * Whether that is one.
 *
 * @category models
 * @since 0.2.0
 */
export const isLast = (last: unknown): last is Last =>
  typeof last === "object" && last !== null &&
  ["seq", "step", "timestamp"].every((name) => typeof Reflect.get(last, name) === "number")

/**
 * Lines for one request, as JSON strings. `shortened` of them were too long and are without their long values.
 *
 * @category models
 * @since 0.2.0
 */
export interface Piece {
  readonly content: ReadonlyArray<string>
  readonly last: Last
  readonly shortened: number
}

/**
 * A key and its value as JSON text.
 *
 * @category models
 * @since 0.2.0
 */
export type Item = readonly [key: string, json: string]

/** W&B takes no line of more than 10 MiB. */
const mostOfLine = 10 * 1000 * 1000
const mostOfValue = 64 * 1024
/** Records that are encoded in one go: some milliseconds. */
const pauseEvery = 256

// -----------------------------------------------------------------------------
// History
// -----------------------------------------------------------------------------

/**
 * The lines of records after `after`, piece by piece as they are asked for. `more` stands in the first one. `note` gets
 * each value. Where there is nothing yet, undefined: who does other things, too, may do some.
 *
 * @category constructors
 * @since 0.2.0
 */
export const pieces = function*(
  rows: ReadonlyArray<Row>,
  after: number,
  createdAt: number,
  more: ReadonlyArray<Item>,
  note: (key: string, json: string) => void
): Generator<Piece | undefined> {
  let pending = more
  let content: Array<string> = []
  let bytes = 0
  let shortened = 0
  let last = first(createdAt)
  for (const row of rows) {
    if (row.seq <= after) continue
    let line = lineOf(row, createdAt, pending, Infinity, note)
    if (line.length * 3 > mostOfLine && Buffer.byteLength(line) > mostOfLine) {
      line = lineOf(row, createdAt, pending, mostOfValue, note)
      shortened++
    }
    pending = []
    const encoded = JSON.stringify(line)
    const size = Buffer.byteLength(encoded) + 1
    if (content.length > 0 && bytes + size > FileStream.mostBytes) {
      yield { content, last, shortened }
      content = []
      bytes = 0
      shortened = 0
    }
    content.push(encoded)
    if (content.length % pauseEvery === 0) yield undefined
    bytes += size
    last = { seq: row.seq, step: row.step ?? History.stepOf(row), timestamp: row.timestamp }
  }
  if (content.length > 0) yield { content, last, shortened }
}

const lineOf = (
  row: Row,
  createdAt: number,
  more: ReadonlyArray<Item>,
  most: number,
  note: (key: string, json: string) => void
): string => {
  let text = "{"
  History.each(row, createdAt, (key, json) => {
    if (json.length > most) return
    text += `${text.length > 1 ? "," : ""}${JSON.stringify(key)}:${json}`
    // A value that a line has no room for is none that a summary has room for.
    if (json.length <= mostOfValue) note(key, json)
  })
  for (const [key, json] of more) text += `,${JSON.stringify(key)}:${json}`
  return `${text}}`
}

/**
 * A line that is no record's, after the last one: it shows `more`.
 *
 * @category history
 * @since 0.2.0
 */
export const closing = (last: Last, createdAt: number, more: ReadonlyArray<Item>): string =>
  JSON.stringify(Summary.object([
    ["_step", String(last.seq)],
    ["_timestamp", String(last.timestamp)],
    ["_runtime", String(History.runtime(last.timestamp, createdAt))],
    [History.stepKey, History.text(last.step)],
    ...more
  ]))

/**
 * What W&B is told of metrics, in its own short form: 1 is a name, 2 a pattern, 5 the step metric's place in the list
 * (from 1), 6 options (1: the step is filled in, 3: defined by the user).
 *
 * @category history
 * @since 0.2.0
 */
export const definitions: ReadonlyArray<{ readonly [field: string]: unknown }> = History.definitions.map((definition) =>
  "name" in definition
    ? { 1: definition.name, 6: [3], 7: [] }
    : {
      2: definition.globName,
      5: History.definitions.findIndex((other) => "name" in other && other.name === definition.stepMetric) + 1,
      6: [1],
      7: []
    }
)

// -----------------------------------------------------------------------------
// Files
// -----------------------------------------------------------------------------

/**
 * The files that W&B's own client leaves in a run: the summary, the config and where the run comes from.
 *
 * @category files
 * @since 0.2.0
 */
export const files = (
  summary: Iterable<readonly [key: string, json: string]>,
  config: Iterable<readonly [key: string, json: string]>,
  facts: Backend.Facts,
  context: Pick<Backend.Context, "createdAt" | "directory">
): ReadonlyArray<Upload> => {
  const metadata = {
    os: facts["os"],
    host: facts["hostname"],
    username: facts["user"],
    program: facts["command"],
    root: facts["working_directory"],
    node: facts["node"],
    cpu_count: facts["cores"],
    git: facts["git_commit"] === undefined ? undefined : { commit: facts["git_commit"] },
    startedAt: new Date(context.createdAt * 1000).toISOString()
  }
  // JSON is YAML.
  const yaml = [...config].map(([key, json]) => `${JSON.stringify(key)}:\n    value: ${json}\n`).join("")
  return [
    { path: "wandb-summary.json", from: Buffer.from(Summary.object(summary)) },
    { path: "wandb-metadata.json", from: Buffer.from(JSON.stringify(metadata, null, 2)) },
    { path: "config.yaml", from: Buffer.from(yaml === "" ? "{}\n" : yaml) }
  ]
}
