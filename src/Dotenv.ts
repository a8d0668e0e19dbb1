/**
 * Settings and credentials from files: `~/.amsc.env`, then the `.env` of the working directory.
 *
 * - The project's file comes before `~/.amsc.env`, and neither before what the shell has set; a variable that the shell
 *   has set to nothing is set. Files are read by Node's own parser (`node:util` parseEnv); `${NAME}` stays as it stands.
 * - The process's environment is not touched. What comes of it is for looking settings up, not for starting programs: a
 *   `.env` is part of whatever directory one works in. For the same reason variables that make programs load code are
 *   not taken from it (`PATH`, `NODE_OPTIONS`, `LD_PRELOAD`, ...), wherever the result may be handed on to.
 * - A file that is not there is no matter, nor is a directory of that name (Python's virtual environments). One that
 *   cannot be read, or is no text, is a warning with the file's name: never with what it says.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { parseEnv } from "node:util"
import type { Environment } from "./Rank.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Where the files are looked for. Without a home there is no `~/.amsc.env`.
 *
 * @category models
 * @since 0.2.0
 */
export interface Places {
  readonly home: string | undefined
  readonly directory: string
}

/**
 * An environment, and for each variable that a file has set which file it was. `files` are those that were read.
 *
 * @category models
 * @since 0.2.0
 */
export interface Loaded {
  readonly environment: Environment
  readonly sources: { readonly [name: string]: string }
  readonly files: ReadonlyArray<string>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The environment with what the files add to it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const load = (environment: Environment, places: Places): Effect.Effect<Environment> =>
  Effect.map(read(environment, places), (loaded) => loaded.environment)

/**
 * The same, and where each variable comes from.
 *
 * @category constructors
 * @since 0.2.0
 */
export const read = Effect.fnUntraced(function*(
  environment: Environment,
  { directory, home }: Places
): Effect.fn.Return<Loaded> {
  const variables = new Map<string, { readonly value: string; readonly path: string }>()
  const files: Array<string> = []
  const paths = home === undefined || home === "" ? [] : [Path.join(home, ".amsc.env")]
  for (const path of [...paths, Path.resolve(directory, ".env")]) {
    const found = yield* variablesOf(path)
    if (found === undefined) continue
    files.push(path)
    for (const [name, value] of found) {
      if (environment[name] === undefined && !loadsCode.test(name)) variables.set(name, { value, path })
    }
  }
  return {
    environment: { ...environment, ...Object.fromEntries(Array.from(variables, ([name, { value }]) => [name, value])) },
    sources: Object.fromEntries(Array.from(variables, ([name, { path }]) => [name, path])),
    files
  }
})

// -----------------------------------------------------------------------------
// Files
// -----------------------------------------------------------------------------

const loadsCode = /^(?:PATH|NODE_OPTIONS|NODE_PATH|BASH_ENV|PYTHONPATH|PYTHONSTARTUP|LD_.*|DYLD_.*|GIT_.*)$/i

const mostBytes = 1024 * 1024

const variablesOf = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<ReadonlyArray<readonly [string, string]> | undefined> {
  const bytes = yield* Effect.sync(() => readBytes(path))
  // As UTF-8, without the mark that Windows begins it with.
  const text = bytes instanceof Uint8Array ? decoded(bytes) : undefined
  const problem = typeof bytes === "string"
    ? bytes
    : bytes !== undefined && text === undefined
    ? "it is not UTF-8 text"
    : ""
  if (problem !== "") yield* Effect.logWarning(`${path} is passed over: ${problem}`)
  return text === undefined ? undefined : Object.entries(parseEnv(text)).flatMap(defined)
})

const defined = ([name, value]: [string, string | undefined]): Array<readonly [string, string]> =>
  value === undefined ? [] : [[name, value]]

/**
 * The content of a file, or what is wrong with it; undefined if it is not there. Read at once: a run that opens must not
 * wait for the world where time is a TestClock's.
 */
const readBytes = (path: string): Uint8Array | string | undefined => {
  try {
    const stat = Fs.statSync(path)
    if (stat.isDirectory()) return undefined
    // Not opened: a pipe would wait for somebody to write into it.
    if (!stat.isFile()) return "it is not a file"
    return stat.size > mostBytes ? "it is larger than a megabyte" : Fs.readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "failed"
    return code === "ENOENT" || code === "ENOTDIR" ? undefined : `it cannot be read (${code})`
  }
}

const decoded = (bytes: Uint8Array): string | undefined => {
  if (bytes.includes(0)) return undefined
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
