/** What all ranks of a job compute alike: directories, ports; and what only the root knows, its own names. */
import * as Crypto from "node:crypto"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Environment, Job } from "../../../Rank.ts"
import { privateDirectory } from "../transport/privateDirectory.ts"

export interface Options {
  readonly environment: Environment
  readonly job: Job
  /** Where the shared and the local directories are; by default this user's. */
  readonly home?: string
  readonly temporary?: string
}

/** The shared one first. A directory that was asked for by name stands alone. */
export const directoriesOf = (
  options: Options
): ReadonlyArray<{ readonly directory: string; readonly shared: boolean }> => {
  const { environment, home = Os.homedir(), job } = options
  const name = nameOf(job.id)
  const said = environment["EZPZ_RENDEZVOUS_DIR"]?.trim()
  if (said !== undefined && said !== "") return [{ directory: Path.resolve(said, name), shared: true }]
  return [
    { directory: Path.join(home, ".ezpz-stream", name), shared: true },
    { directory: localDirectory(options), shared: false }
  ]
}

/** Jobs of one name that meet at different places are different ones. */
const localDirectory = ({ environment, job, temporary = Os.tmpdir() }: Options): string => {
  const said = environment["EZPZ_RENDEZVOUS_DIR"]?.trim() || undefined
  const name = hashOf(said === undefined ? job.id : `${job.id} ${Path.resolve(said)}`)
  return Path.join(temporary, `ezpz-stream-${process.getuid?.() ?? "user"}`, name)
}

/** This node: its ranks share a host, or what a person says is one. */
export const nodeOf = (environment: Environment): string => environment["EZPZ_NODE"]?.trim() || Os.hostname()

/** Where this node's aggregator listens. */
export const nodePath = (options: Options): string =>
  socketPath(options, `node-${hashOf(nodeOf(options.environment)).slice(0, 8)}`)

/** The path of a socket is at most 107 bytes long, on some systems 103. */
export const socketPath = (options: Options, name: string): string => {
  const path = Path.join(localDirectory(options), name)
  const short = path.length <= 100 ? path : Path.join(localDirectory({ ...options, temporary: "/tmp" }), name)
  privateDirectory(Path.dirname(Path.dirname(short)))
  privateDirectory(Path.dirname(short))
  return short
}

/** Readable where it can be, and different for different jobs. */
const nameOf = (id: string): string => `${id.replaceAll(/[^A-Za-z0-9._-]/g, "_").slice(0, 60)}-${hashOf(id)}`

const hashOf = (id: string): string => Crypto.createHash("sha256").update(id).digest("hex").slice(0, 16)

/** Below those that systems give out by themselves, and away from the training's own and those beside it. */
export const portsOf = ({ id, masterPort }: Job): ReadonlyArray<number> => {
  const hash = Crypto.createHash("sha256").update(`${id} ${masterPort ?? ""}`).digest()
  return Array.from({ length: 8 }, (_, i) => 20_000 + hash.readUInt32LE(i * 4) % 12_000)
    .filter((port, i, ports) => ports.indexOf(port) === i && Math.abs(port - (masterPort ?? -100)) > 16)
    .slice(0, 4)
}

/** Under which names ranks on other hosts may reach this one: as the launcher calls it, by name, by address. */
export const namesOf = ({ rootHosts }: Job): ReadonlyArray<string> => {
  const addresses = Object.values(Os.networkInterfaces()).flatMap((interfaces) =>
    (interfaces ?? []).filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => address)
  )
  const name = Os.hostname()
  const here = new Set([name, name.split(".")[0], ...addresses])
  const called = rootHosts.filter((host) => here.has(host) || here.has(host.split(".")[0]))
  return [...new Set([...called, name, ...addresses])]
}

export const bracketed = (host: string): string => host.includes(":") ? `[${host}]` : host
