/**
 * What the environment says about W&B.
 *
 * - Mode: `WANDB_DISABLED` (1, true, yes, on), else `WANDB_MODE` (online, offline, disabled, and what they are also
 *   called: dryrun, shared), else online.
 * - Project: the program's argument, else `WB_PROJECT`, `WANDB_PROJECT`, `WB_PROJECT_NAME`, else derived from the script.
 * - Server: `WANDB_BASE_URL`, else the public one. Key: `WANDB_API_KEY`, else the password that `~/.netrc` (or the file
 *   that `NETRC` names) holds for the server's host, where `wandb login` leaves it.
 * - The run: `WANDB_ENTITY`, `WANDB_NAME`, `WANDB_RUN_GROUP`, `WANDB_JOB_TYPE`, `WANDB_TAGS` (with commas between them),
 *   `WANDB_NOTES`; `WANDB_DIR` is where offline runs are put, else the run's directory.
 *
 * The run id is ours as W&B allows it: other characters than letters, digits, `_`, `-` become `-`, and where that or a
 * cut to 64 changes it, a hash of the whole is appended. So a run that goes on is the same run there.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type * as Backend from "../../Backend.ts"
import type { Environment } from "../../Rank.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Where a run goes to.
 *
 * @category models
 * @since 0.2.0
 */
export type Mode = "online" | "offline" | "disabled"

/**
 * Everything that is known of a run's place before it starts. `directory` is where offline runs are put. `apiKey` is
 * not to be written anywhere. `warnings` are for the user, once.
 *
 * @category models
 * @since 0.2.0
 */
export interface Settings {
  readonly mode: Mode
  readonly baseUrl: string
  readonly apiKey: string | undefined
  readonly runId: string
  readonly project: string
  readonly entity: string | undefined
  readonly displayName: string | undefined
  readonly group: string | undefined
  readonly jobType: string | undefined
  readonly tags: ReadonlyArray<string>
  readonly notes: string | undefined
  readonly directory: string
  readonly warnings: ReadonlyArray<string>
}

/**
 * The server that is used where none is named.
 *
 * @category models
 * @since 0.2.0
 */
export const publicUrl = "https://api.wandb.ai"

type From = Pick<
  Backend.Context,
  "runId" | "runName" | "projectName" | "projectGiven" | "directory" | "environment"
>

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The settings of a run, given the text of the netrc file.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (from: From, netrc: string): Settings => {
  const { environment } = from
  const text = (name: string) => value(environment, name)
  const { mode, warning } = modeOf(environment)
  const baseUrl = baseUrlOf(environment)
  const project = (from.projectGiven ? from.projectName : undefined) ?? text("WB_PROJECT") ?? text("WANDB_PROJECT") ??
    text("WB_PROJECT_NAME") ?? from.projectName
  return {
    mode,
    baseUrl,
    apiKey: text("WANDB_API_KEY") ?? password(netrc, baseUrl),
    runId: runId(from.runId),
    project: projectName(project),
    entity: text("WANDB_ENTITY"),
    displayName: from.runName ?? text("WANDB_NAME"),
    group: text("WANDB_RUN_GROUP"),
    jobType: text("WANDB_JOB_TYPE"),
    tags: [...new Set((text("WANDB_TAGS") ?? "").split(",").map((tag) => tag.trim()).filter((tag) => tag !== ""))],
    notes: text("WANDB_NOTES"),
    directory: Path.resolve(text("WANDB_DIR") ?? from.directory),
    warnings: warning === undefined ? [] : [warning]
  }
}

/**
 * The settings of a run, with the key from the netrc file if that is where it is.
 *
 * @category constructors
 * @since 0.2.0
 */
export const load = (from: From, home: string = Os.homedir()): Effect.Effect<Settings> =>
  Effect.sync(() => make(from, readNetrc(from.environment, home)))

/**
 * How a run would reach W&B, for `ezpz-stream doctor`: names and hosts, never a value that is secret.
 *
 * @category formatting
 * @since 0.2.0
 */
export const describe = (environment: Environment, home: string = Os.homedir()): string => {
  const { mode, warning } = modeOf(environment)
  const note = warning === undefined ? "" : ` (${warning})`
  if (mode === "disabled") return `disabled (WANDB_DISABLED or WANDB_MODE)${note}`
  if (mode === "offline") return `offline: written to ${offlineDirectory(environment)}, no key needed${note}`
  const baseUrl = baseUrlOf(environment)
  if (hostOf(baseUrl) === undefined) return `online, but WANDB_BASE_URL is no address of a server${note}`
  const with_ = value(environment, "WANDB_API_KEY") !== undefined
    ? "with WANDB_API_KEY"
    : password(readNetrc(environment, home), baseUrl) !== undefined
    ? `with the key in ${netrcPath(environment, home)}`
    : `but there is no key: ${remedy}`
  return `online at ${hostOf(baseUrl)}, ${with_}${note}`
}

/**
 * What a user does who has no key.
 *
 * @category formatting
 * @since 0.2.0
 */
export const remedy = "set WANDB_API_KEY, or run `wandb login`, or set WANDB_MODE=offline, which needs none"

/**
 * What keeps a run from going online, if anything does.
 *
 * @category predicates
 * @since 0.2.0
 */
export const obstacle = ({ apiKey, baseUrl }: Settings): string | undefined =>
  hostOf(baseUrl) === undefined
    ? "WANDB_BASE_URL is no address of a server: it should be like https://wandb.example.org"
    : apiKey === undefined
    ? `no key for ${hostOf(baseUrl)}: ${remedy}`
    : undefined

// -----------------------------------------------------------------------------
// internals
// -----------------------------------------------------------------------------

const value = (environment: Environment, name: string): string | undefined => {
  const text = environment[name]?.trim()
  return text === undefined || text === "" ? undefined : text
}

const modes: { readonly [name: string]: Mode } = {
  online: "online",
  run: "online",
  shared: "online",
  offline: "offline",
  dryrun: "offline",
  disabled: "disabled"
}

const modeOf = (environment: Environment): { readonly mode: Mode; readonly warning?: string } => {
  if (/^(?:1|true|yes|on)$/i.test(value(environment, "WANDB_DISABLED") ?? "")) return { mode: "disabled" }
  const named = value(environment, "WANDB_MODE")
  const mode = named === undefined ? "online" : Object.hasOwn(modes, named.toLowerCase()) && modes[named.toLowerCase()]
  return mode
    ? { mode }
    : { mode: "online", warning: "WANDB_MODE is none of online, offline, disabled: it is taken for online" }
}

const baseUrlOf = (environment: Environment): string =>
  (value(environment, "WANDB_BASE_URL") ?? publicUrl).replace(/\/+$/, "")

const offlineDirectory = (environment: Environment): string => {
  const directory = value(environment, "WANDB_DIR")
  return directory === undefined ? "wandb/ in the run's directory" : Path.join(Path.resolve(directory), "wandb")
}

/** With its port, if it has one. */
const hostOf = (baseUrl: string): string | undefined => {
  if (!URL.canParse(baseUrl)) return undefined
  const { host, protocol } = new URL(baseUrl)
  return host === "" || !/^https?:$/.test(protocol) ? undefined : host
}

const runId = (id: string): string => {
  const clean = id.replaceAll(/[^A-Za-z0-9_-]/g, "-")
  if (clean === id && id.length <= mostOfId && id !== "") return id
  const hash = createHash("sha256").update(id).digest("hex").slice(0, 8)
  return `${clean.slice(0, mostOfId - hash.length - 1)}-${hash}`
}

const mostOfId = 64

/** As W&B allows it. */
const projectName = (name: string): string => {
  const clean = name.replaceAll(/[/\\#?%:]/g, "-").slice(0, 128)
  return clean.trim() === "" ? "uncategorized" : clean
}

const netrcPath = (environment: Environment, home: string): string =>
  value(environment, "NETRC")?.replace(/^~(?=\/|$)/, () => home) ?? Path.join(home, ".netrc")

const readNetrc = (environment: Environment, home: string): string => {
  try {
    return Fs.readFileSync(netrcPath(environment, home), "utf8")
  } catch {
    return ""
  }
}

/** The password for the host of an address, its port included or not. */
const password = (netrc: string, baseUrl: string): string | undefined => {
  const host = hostOf(baseUrl)
  if (host === undefined) return undefined
  const passwords = netrcPasswords(netrc)
  return passwords.get(host) ?? passwords.get(new URL(baseUrl).hostname)
}

/**
 * `machine NAME login NAME password WORD`, in any order and layout; words may be in quotes. Macros (up to an empty
 * line), comments and `default` are passed over: a key is not for just any server.
 */
const netrcPasswords = (text: string): ReadonlyMap<string, string> => {
  const passwords = new Map<string, string>()
  const plain = text.replaceAll(/^[ \t]*macdef\b.*\n(?:.*\S.*\n?)*/gm, "\n").replaceAll(/^[ \t]*#.*$/gm, "")
  const words = Array.from(
    plain.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g),
    ([, double, single, bare]) => double?.replaceAll(/\\(.)/g, "$1") ?? single ?? bare ?? ""
  )
  let machine: string | undefined
  for (let at = 0; at < words.length; at++) {
    const word = words[at]
    if (word === "default") machine = undefined
    else if (word === "machine") machine = words[++at]
    else if (word === "login" || word === "account") at++
    else if (word === "password") {
      const secret = words[++at] ?? ""
      if (machine !== undefined && secret !== "" && !passwords.has(machine)) passwords.set(machine, secret)
    }
  }
  return passwords
}
