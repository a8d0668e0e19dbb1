/**
 * Ranks on hosts of their own, and a network between them that can be slow, lossy and cut.
 *
 * A host is a set of namespaces of the kernel: a network, a host name, an /etc/hosts, a temporary directory. A switch in
 * user space (network.py) joins them. Directories are the same for all, as on a file system that hosts share, where
 * a test does not say otherwise. Namespaces need root; where they are not allowed, `unavailable` says why.
 */
import { afterAll } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { main } from "../../cli/command.ts"
import { read, type Running, start, surroundings, temporary } from "./processes.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface HostOptions {
  /** In the order in which the host itself gives them out; the switch knows all of them. */
  readonly addresses?: ReadonlyArray<string>
  /** Those that lead nowhere, before the others. */
  readonly deadAddresses?: ReadonlyArray<string>
}

export interface Link {
  /** Milliseconds, one way. */
  readonly delay?: number
  /** So much later at most, each packet by itself: they overtake one another. */
  readonly jitter?: number
  /** From 0 to 1. */
  readonly loss?: number
  readonly cut?: boolean
}

export interface Host {
  readonly name: string
  readonly address: string
  readonly directory: string
  /** Starts something there. */
  readonly start: (command: ReadonlyArray<string>, env: NodeJS.ProcessEnv) => Running
  /** Runs `ip` there: `link set net0 down`. */
  readonly ip: (args: string) => void
}

export interface Network {
  readonly hosts: ReadonlyArray<Host>
  /** Both ways, unless `one way`. */
  readonly link: (from: Host, to: Host, link: Link, way?: "one way") => Promise<void>
  /** Between a host and all others. */
  readonly links: (of: Host, link: Link) => Promise<void>
  /** Counts packets with this text in them. */
  readonly watch: (text: string) => Promise<void>
  readonly counts: () => Promise<{ readonly passed: number; readonly lost: number; readonly seen: number }>
}

export interface NetworkOptions {
  readonly names: Readonly<Record<string, HostOptions>>
  /** Whether hosts know one another's names. Without, a name server is asked that never answers. */
  readonly namesKnown?: boolean
  readonly seed?: number
}

const python = fileURLToPath(new URL("network.py", import.meta.url))

/** Why hosts cannot be simulated here; undefined: they can. */
export const unavailable: string | undefined = (() => {
  if (process.platform !== "linux") return "namespaces are Linux's"
  if (process.getuid?.() !== 0) return "namespaces need root"
  if (!Fs.existsSync("/dev/net/tun")) return "there is no /dev/net/tun"
  for (const command of [["ip", "-V"], ["python3", "--version"]]) {
    if (spawnSync(command[0] ?? "", command.slice(1)).status !== 0) return `there is no ${command[0]}`
  }
  const { status, stderr } = spawnSync("unshare", ["--net", "--uts", "--mount", "true"])
  return status === 0 ? undefined : `namespaces are not allowed here: ${String(stderr).trim()}`
})()

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** Lives until the end of the tests of a file. */
export const network = async ({ names, namesKnown = true, seed = 1 }: NetworkOptions): Promise<Network> => {
  const directory = temporary()
  const ask = toSwitch(seed)
  const described = Object.entries(names).map(([name, { addresses, deadAddresses = [] }], i) => {
    const live = addresses ?? [`10.77.0.${i + 1}`]
    return { name, address: live[0] ?? "", live, all: [...deadAddresses, ...live], dead: deadAddresses }
  })
  const lines = ["127.0.0.1 localhost"]
  if (namesKnown) { for (const { address, name } of described) lines.push(`${address} ${name}`) }

  const hosts: Array<Host> = []
  for (const { address, all, dead, name } of described) {
    const own = Path.join(directory, name)
    Fs.mkdirSync(own)
    const files = { "/etc/hosts": Path.join(own, "hosts"), "/etc/resolv.conf": Path.join(own, "resolv.conf") }
    Fs.writeFileSync(files["/etc/hosts"], `${lines.join("\n")}\n`)
    Fs.writeFileSync(files["/etc/resolv.conf"], namesKnown ? "" : "nameserver 10.77.0.254\n")
    const { pid } = await ask({ host: name, addresses: all, dead, files })
    const inside = ["--target", String(pid), "--net", "--uts", "--mount", "--"]
    hosts.push({
      name,
      address,
      directory: own,
      start: (command, env) =>
        start("nsenter", [...inside, "sh", "-c", `cd "$0" && exec "$@"`, own, ...command], own, {
          ...surroundings(),
          TMPDIR: own,
          ...env
        }),
      ip: (args) => {
        const { status, stderr } = spawnSync("nsenter", [...inside, "ip", ...args.split(" ")])
        if (status !== 0) throw new Error(`ip ${args}: ${String(stderr)}`)
      }
    })
  }
  const oneWay = async (from: Host, to: Host, link: Link): Promise<void> => {
    await ask({ link: { from: from.name, to: to.name, ...link } })
  }
  const both = async (from: Host, to: Host, link: Link): Promise<void> => {
    await oneWay(from, to, link)
    await oneWay(to, from, link)
  }
  return {
    hosts,
    link: (from, to, link, way) => (way === undefined ? both : oneWay)(from, to, link),
    links: async (of, link) => {
      for (const other of hosts) if (other !== of) await both(of, other, link)
    },
    watch: async (text) => {
      await ask({ watch: text })
    },
    counts: async () => {
      const { lost = 0, passed = 0, seen = 0 } = await ask({ counts: true })
      return { lost, passed, seen }
    }
  }
}

/** A job with a rank on each of these hosts, in this order; a host may come several times. */
export const jobOn = (hosts: ReadonlyArray<Host>, id = "job") => {
  const directory = temporary()
  const run = Path.join(directory, "run")
  return {
    directory,
    run,
    log: () => read(run),
    rank: (
      rank: number,
      args: ReadonlyArray<string> = [],
      env: Readonly<Record<string, string>> = {},
      host = hosts[rank]
    ): Running => {
      if (host === undefined) throw new Error(`there is no host for rank ${rank}`)
      return host.start(
        [process.execPath, main, "--backends", "csv", "--no-plots", "--outdir", run, ...args],
        {
          EZPZ_RANK: String(rank),
          EZPZ_WORLD_SIZE: String(hosts.length),
          EZPZ_LOCAL_WORLD_SIZE: String(hosts.filter((other) => other === host).length),
          EZPZ_JOB_ID: id,
          EZPZ_RENDEZVOUS_DIR: Path.join(directory, "rendezvous"),
          ...env
        }
      )
    }
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const switches = new Set<() => Promise<void>>()

afterAll(async () => {
  for (const end of switches) await end()
})

type Answer = Readonly<Record<string, number>> & { readonly error?: never } | { readonly error: string }

/** Commands to the switch, answered in order. It ends with its stdin, and everything with it. */
const toSwitch = (seed: number) => {
  const child = spawn("python3", [python, String(seed)], { stdio: ["pipe", "pipe", "inherit"] })
  const waiting: Array<(line: string | undefined) => void> = []
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(line))
  child.stdin.on("error", () => {})
  const ended = new Promise<void>((resolve) =>
    child.once("close", () => {
      for (const answer of waiting.splice(0)) answer(undefined)
      resolve()
    })
  )
  switches.add(() => {
    child.stdin.end()
    return ended
  })
  return (command: unknown): Promise<Readonly<Record<string, number>>> =>
    new Promise((resolve, reject) => {
      waiting.push((line) => {
        const answer: Answer = line === undefined ? { error: "the switch is gone" } : JSON.parse(line)
        if (answer.error === undefined) resolve(answer)
        else reject(new Error(String(answer.error)))
      })
      child.stdin.write(`${JSON.stringify(command)}\n`)
    })
}
