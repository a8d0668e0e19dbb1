/**
 * The runs below a directory: which there are, how they are, and what they said last.
 *
 * The rules. A run is a directory with a log in it; its id is its path below the root, with `/`, and `.` is the root
 * itself. Links are not followed, so nothing outside the root is ever listed or found: {@link Runs.find} takes only an id
 * as it is listed, and looks at where it really is. What has been read of a run is read again when its log or its run.json
 * has changed, and of a log no more than its end.
 *
 * @since 0.5.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Config } from "../Backend.ts"
import type * as Metrics from "../Metrics.ts"
import * as RunDirectory from "../RunDirectory.ts"
import { decodeLine } from "../RunLog.ts"
import type { State } from "./Live.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A run in a list. `records` is its last record's seq; `values` are the numbers that its last records had, at most
 * {@link mostValues}. Times are seconds since 1970; `createdAt` is 0 where nothing says when that was.
 *
 * @category models
 * @since 0.5.0
 */
export interface Listed {
  readonly id: string
  readonly runId: string
  readonly runName: string | null
  readonly project: string
  readonly state: State
  readonly createdAt: number
  readonly lastTime: number
  readonly lastStep: number | undefined
  readonly records: number
  readonly bytes: number
  readonly config: Config
  readonly values: Readonly<Record<string, number>>
  /** Why something of it cannot be read. */
  readonly error: string | undefined
}

/**
 * So many values of each run are listed.
 *
 * @category models
 * @since 0.5.0
 */
export const mostValues = 64

/**
 * The runs below a root.
 *
 * @category models
 * @since 0.5.0
 */
export interface Runs {
  readonly root: string
  /** All of them, the newest first. */
  readonly list: Effect.Effect<ReadonlyArray<Listed>>
  /** The log of a run by its id. */
  readonly find: (id: string) => Effect.Effect<string, NoSuchRun>
}

/**
 * There is no run of that id below the root.
 *
 * @category errors
 * @since 0.5.0
 */
export class NoSuchRun extends Schema.TaggedError<NoSuchRun>()("NoSuchRun", { id: Schema.String }) {
  override get message(): string {
    return "There is no such run."
  }
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** Deeper than this there are no runs; folders of a run are not looked into. */
const deepest = 6
const mostRuns = 20_000
const tailBytes = 32 * 1024

interface Known {
  readonly stamp: string
  readonly listed: Listed
  readonly run: RunDirectory.Run | undefined
}

/**
 * The runs below a directory. Nothing is read before `list` is asked for.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (directory: string): Runs => {
  const root = Path.resolve(directory)
  const known = new Map<string, Known>()
  return {
    root,
    list: Effect.gen(function*() {
      const logs = yield* Effect.sync(() => logsBelow(root))
      const found: Array<Listed> = []
      const ids = new Set<string>()
      for (const [nth, [id, log]] of logs.entries()) {
        // Who looks at a run meanwhile gets a turn.
        if (nth % 32 === 31) yield* Effect.yieldNow
        const listed = yield* listedOf(id, log, known)
        if (listed === undefined) continue
        ids.add(id)
        found.push(listed)
      }
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id)
      return found.sort((a, b) => (b.createdAt || b.lastTime) - (a.createdAt || a.lastTime) || (a.id < b.id ? 1 : -1))
    }),
    find: (id) =>
      Effect.suspend(() => {
        const log = isId(id) ? logIn(Path.join(root, id)) : undefined
        return log !== undefined && isInside(root, log)
          ? Effect.succeed(log)
          : Effect.fail(new NoSuchRun({ id }))
      })
  }
}

/** Names joined with `/`, none of them hidden, empty or a way up. */
const isId = (id: string): boolean =>
  id === "." || (id.length <= 4096 && !/[\\\0]/.test(id) && id.split("/").every((part) => /^[^.]/.test(part)))

/** Where a file really is. */
const isInside = (root: string, path: string): boolean => {
  try {
    const inside = Path.relative(Fs.realpathSync(root), Fs.realpathSync(path))
    return inside !== "" && !Path.isAbsolute(inside) && inside.split(Path.sep)[0] !== ".."
  } catch {
    return false
  }
}

/** The log in a directory, as a plain file. */
const logIn = (directory: string): string | undefined =>
  [RunDirectory.logName, `${Path.basename(directory)}.jsonl`]
    .map((name) => Path.join(directory, name))
    .find((path) => {
      try {
        return Fs.lstatSync(path).isFile()
      } catch {
        return false
      }
    })

const logsBelow = (root: string): ReadonlyArray<readonly [id: string, log: string]> => {
  const found: Array<readonly [string, string]> = []
  const visit = (directory: string, id: string, depth: number): void => {
    if (found.length >= mostRuns) return
    const log = logIn(directory)
    if (log !== undefined) {
      found.push([id === "" ? "." : id, log])
      return
    }
    if (depth >= deepest) return
    for (const entry of entriesOf(directory)) {
      if (!entry.isDirectory() || entry.name.startsWith(".") || entry.name === "node_modules") continue
      visit(Path.join(directory, entry.name), id === "" ? entry.name : `${id}/${entry.name}`, depth + 1)
    }
  }
  visit(root, "", 0)
  return found
}

const entriesOf = (directory: string): ReadonlyArray<Fs.Dirent> => {
  try {
    return Fs.readdirSync(directory, { withFileTypes: true })
  } catch {
    return []
  }
}

const stampOf = (path: string): string => {
  const stat = Fs.statSync(path, { throwIfNoEntry: false })
  return stat === undefined ? "" : `${stat.size} ${stat.mtimeMs} ${stat.ino}`
}

const listedOf = (id: string, log: string, known: Map<string, Known>): Effect.Effect<Listed | undefined> =>
  Effect.gen(function*() {
    const stamp = `${stampOf(log)}|${stampOf(Path.join(RunDirectory.privateDirectory(log), "run.json"))}`
    let one = known.get(id)
    if (one?.stamp !== stamp) {
      const read = yield* Effect.result(RunDirectory.readRun(log))
      const run = read._tag === "Success" ? read.success : undefined
      const end = yield* Effect.sync(() => endOf(log))
      if (end === undefined) return undefined
      const failure = read._tag === "Failure" ? read.failure.message : end.error
      const listed: Listed = {
        id,
        runId: run?.runId ?? Path.basename(id === "." ? Path.dirname(log) : id),
        runName: run?.runName ?? null,
        project: run?.projectName ?? "",
        state: run?.state ?? "unknown",
        createdAt: run?.createdAt ?? 0,
        config: run?.config ?? {},
        ...end,
        error: failure
      }
      one = { stamp, listed, run }
      known.set(id, one)
    }
    // Whether somebody writes it changes without a file of it changing.
    if (one.run?.state !== "running") return one.listed
    const writer = yield* RunDirectory.writerOf(log)
    return writer === undefined ? { ...one.listed, state: "killed" as const } : one.listed
  })

type End = Pick<Listed, "lastTime" | "lastStep" | "records" | "bytes" | "values" | "error">

/** What a log's last lines say. */
const endOf = (log: string): End | undefined => {
  let fd: number | undefined
  try {
    fd = Fs.openSync(log, "r")
    const { mtimeMs, size } = Fs.fstatSync(fd)
    const values: Record<string, number> = {}
    const end = { lastTime: mtimeMs / 1000, records: 0, bytes: size, values, error: undefined }
    let lastStep: number | undefined
    let hasValues = false
    // Lines may be longer than what was read: once more, then, and a good deal of it.
    for (const bytes of size > tailBytes ? [tailBytes, 32 * tailBytes] : [tailBytes]) {
      const from = Math.max(0, size - bytes)
      const buffer = Buffer.allocUnsafe(size - from)
      const text = buffer.toString("utf8", 0, Fs.readSync(fd, buffer, 0, buffer.length, from))
      const lines = text.split("\n")
      for (let nth = lines.length - 1; nth >= (from > 0 ? 1 : 0); nth--) {
        if (lines[nth] === "") continue
        const entry = decodeLine(lines[nth] ?? "")
        if ("_tag" in entry || (entry.metrics === undefined && entry.statistics === undefined)) continue
        if (end.records === 0) {
          end.lastTime = entry.timestamp
          lastStep = entry.step
        }
        end.records = Math.max(end.records, entry.seq)
        if (entry.metrics === undefined) continue
        hasValues = true
        if (!addValues(values, entry.metrics)) break
      }
      if (hasValues) break
    }
    return { ...end, lastStep }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    return {
      lastTime: 0,
      lastStep: undefined,
      records: 0,
      bytes: 0,
      values: {},
      error: error instanceof Error ? error.message : String(error)
    }
  } finally {
    if (fd !== undefined) Fs.closeSync(fd)
  }
}

/** Later ones stand. False: there is no room for more. */
const addValues = (values: Record<string, number>, metrics: Metrics.Metrics): boolean => {
  let count = Object.keys(values).length
  for (const key in metrics) {
    const value = metrics[key]
    if (typeof value !== "number" || Object.hasOwn(values, key)) continue
    if (count++ >= mostValues) return false
    Object.defineProperty(values, key, { value, enumerable: true, configurable: true, writable: true })
  }
  return true
}
