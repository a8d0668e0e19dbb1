/**
 * What a W&B server knows of its runs, in memory.
 *
 * file_stream, as the service does it: each file is a list of lines, and a chunk says at which line it begins. Lines
 * that are there already are replaced, so that sending again changes nothing; that a line came again with other content
 * and that a chunk began beyond the end are both written down, as `conflicts` and `errors`.
 */

export interface Run {
  /** The server's own id; `name` is the one that the client chose. */
  readonly id: string
  readonly name: string
  readonly entity: string
  readonly project: string
  displayName: string
  group: string | undefined
  jobType: string | undefined
  notes: string | undefined
  host: string | undefined
  program: string | undefined
  commit: string | undefined
  repo: string | undefined
  tags: ReadonlyArray<string>
  /** As it came: `{key: {value}}`. */
  config: Record<string, unknown>
  summary: Record<string, unknown>
  readonly history: Array<string>
  readonly events: Array<string>
  readonly output: Array<string>
  readonly files: Map<string, Buffer>
  readonly uploaded: Set<string>
  complete: boolean
  exitCode: number | undefined
  upserts: number
  posts: number
  heartbeats: number
  /** Lines that came again with the same content. */
  repeated: number
  readonly conflicts: Array<string>
  readonly errors: Array<string>
}

export interface Artifact {
  readonly id: string
  readonly type: string
  readonly name: string
  readonly digest: string
  readonly run: string | undefined
  readonly files: Map<string, Buffer>
  committed: boolean
}

export interface Store {
  readonly runs: Map<string, Run>
  readonly artifacts: Map<string, Artifact>
  readonly run: (entity: string, project: string, name: string) => Run | undefined
  readonly createRun: (entity: string, project: string, name: string) => Run
}

export const make = (): Store => {
  const runs = new Map<string, Run>()
  const key = (entity: string, project: string, name: string) => `${entity}/${project}/${name}`
  return {
    runs,
    artifacts: new Map(),
    run: (entity, project, name) => runs.get(key(entity, project, name)),
    createRun: (entity, project, name) => {
      const run: Run = {
        id: Buffer.from(`Run:v1:${name}:${project}:${entity}`).toString("base64"),
        name,
        entity,
        project,
        displayName: `bright-fox-${runs.size + 1}`,
        group: undefined,
        jobType: undefined,
        notes: undefined,
        host: undefined,
        program: undefined,
        commit: undefined,
        repo: undefined,
        tags: [],
        config: {},
        summary: {},
        history: [],
        events: [],
        output: [],
        files: new Map(),
        uploaded: new Set(),
        complete: false,
        exitCode: undefined,
        upserts: 0,
        posts: 0,
        heartbeats: 0,
        repeated: 0,
        conflicts: [],
        errors: []
      }
      runs.set(key(entity, project, name), run)
      return run
    }
  }
}

/** A history or events file as the records in it. */
export const records = (lines: ReadonlyArray<string>): ReadonlyArray<Record<string, unknown>> =>
  lines.map((line) => {
    const record = parseLine(line)
    if (record === undefined) throw new Error(`not a JSON object: ${line}`)
    return record
  })

/** The service is Python's: numbers may be a bare NaN, Infinity or -Infinity. They become these strings here. */
const parseLine = (line: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(
      line.replaceAll(
        /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g,
        (token) => token.startsWith("\"") ? token : `"${token}"`
      )
    )
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Takes one request of file_stream. What does not look like one is an error; nothing of it is taken then. */
export const stream = (run: Run, body: unknown): string | undefined => {
  if (!isRecord(body)) return "not an object"
  const files = body["files"] ?? {}
  if (!isRecord(files)) return "files is not an object"
  const chunks: Array<{ readonly name: string; readonly offset: number; readonly content: ReadonlyArray<string> }> = []
  for (const [name, chunk] of Object.entries(files)) {
    if (!isRecord(chunk)) return `${name} is not an object`
    const { content, offset } = chunk
    if (typeof offset !== "number" || !Number.isSafeInteger(offset) || offset < 0) return `${name} has no offset`
    if (!Array.isArray(content) || !content.every((line) => typeof line === "string")) return `${name} has no content`
    if (name !== "output.log" && !content.every((line) => parseLine(line) !== undefined)) {
      return `${name} has lines that are not JSON objects`
    }
    chunks.push({ name, offset, content })
  }
  run.posts++
  if (chunks.length === 0 && body["complete"] === undefined && body["uploaded"] === undefined) run.heartbeats++
  for (const { content, name, offset } of chunks) {
    if (name === "wandb-summary.json") {
      const last = content.at(-1)
      if (last !== undefined) run.summary = parseLine(last) ?? {}
    } else if (name === "wandb-history.jsonl") place(run, name, run.history, offset, content)
    else if (name === "wandb-events.jsonl") place(run, name, run.events, offset, content)
    else if (name === "output.log") place(run, name, run.output, offset, content, true)
    else run.errors.push(`unknown file ${name}`)
  }
  if (Array.isArray(body["uploaded"])) { for (const path of body["uploaded"]) run.uploaded.add(String(path)) }
  if (body["complete"] === true) {
    run.complete = true
    const code = body["exitcode"]
    run.exitCode = typeof code === "number" ? code : undefined
  }
  return undefined
}

const place = (
  run: Run,
  name: string,
  lines: Array<string>,
  offset: number,
  content: ReadonlyArray<string>,
  mayChange = false
) => {
  if (offset > lines.length) run.errors.push(`${name}: a gap, line ${offset} after ${lines.length}`)
  content.forEach((line, i) => {
    const at = offset + i
    while (lines.length < at) lines.push("{}")
    const known = lines[at]
    if (known === line) run.repeated++
    else if (known !== undefined && !mayChange) run.conflicts.push(`${name}:${at}: ${known} became ${line}`)
    lines[at] = line
  })
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
