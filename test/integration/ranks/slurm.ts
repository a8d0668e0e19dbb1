/**
 * A Slurm of a test's own: Debian's munged and slurmctld, and a slurmd for each of two nodes of this one host, on ports
 * that were free, with all that they write in a temporary directory. No accounting, no cgroups, nothing of the system's
 * own Slurm is touched.
 *
 * The nodes are called 127.0.0.1 and 127.0.0.2: names that can be reached. All ends with the tests: jobs first, as
 * their processes are not the daemons' children, then the daemons, which also end should the tests be killed.
 */
import { afterAll } from "@effect/vitest"
import { execFile, spawnSync } from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"
import { freePorts } from "./launched.ts"
import { type Running, start, surroundings, temporary, until } from "./processes.ts"

/** Daemons are where only root's PATH may lead. */
const withDaemons = (path: string | undefined): string => `${path}:/usr/sbin:/sbin`

export const isInstalled = ["munged", "slurmctld", "slurmd", "srun", "sbatch"].every((name) =>
  spawnSync("sh", ["-c", `command -v ${name}`], { env: { PATH: withDaemons(process.env["PATH"]) } }).status === 0
)

export interface Cluster {
  /** What a command of Slurm's needs in its environment. */
  readonly env: NodeJS.ProcessEnv
  /** Runs a command and gives what it printed. */
  readonly run: (command: string, ...args: ReadonlyArray<string>) => Promise<string>
}

/** Starts it. It has two nodes with eight processors each, whatever this host has. */
export const cluster = async (): Promise<Cluster> => {
  const directory = temporary()
  // Munge insists that others may pass.
  Fs.chmodSync(directory, 0o755)
  const at = (name: string): string => Path.join(directory, name)
  for (const name of ["munge", "state", "spool"]) Fs.mkdirSync(at(name), { mode: 0o755 })
  Fs.writeFileSync(at("munge.key"), Crypto.randomBytes(128), { mode: 0o400 })
  const [controller = 0, ...ports] = await freePorts(1 + nodes.length)
  Fs.writeFileSync(at("slurm.conf"), configuration(directory, controller, ports))
  const env = { ...surroundings(), PATH: withDaemons(surroundings()["PATH"]), SLURM_CONF: at("slurm.conf") }

  const run = async (command: string, ...args: ReadonlyArray<string>): Promise<string> =>
    (await promisify(execFile)(command, args, { env, cwd: directory })).stdout
  const daemons: Array<readonly [name: string, daemon: Running]> = []
  const daemon = (name: string, ...args: ReadonlyArray<string>): void =>
    void daemons.push([name, start("setpriv", ["--pdeathsig", "TERM", name, ...args], directory, env)])
  const account = (): string =>
    daemons.map(([name, { error, out }]) => `${name}: ${out()}${error()}`).join("\n").slice(-4000)

  afterAll(async () => {
    await run("scancel", "--user", Os.userInfo().username, "--signal", "KILL", "--full").catch(() => "")
    await run("scancel", "--user", Os.userInfo().username).catch(() => "")
    await until(() => spawnSync("squeue", ["--noheader"], { env }).stdout.length === 0, account, 10).catch(() => {})
    for (const [, { kill }] of [...daemons].reverse()) kill("SIGTERM")
    await Promise.race([
      Promise.all(daemons.map(([, { ended }]) => ended)),
      new Promise((resolve) => setTimeout(resolve, 5000))
    ])
  })

  daemon(
    "munged",
    "--foreground",
    "--num-threads=2",
    `--key-file=${at("munge.key")}`,
    `--socket=${at("munge/socket")}`,
    ...["pid", "log", "seed"].map((name) => `--${name}-file=${at(`munge/${name}`)}`)
  )
  await until(() => Fs.existsSync(at("munge/socket")), account)
  daemon("slurmctld", "-D")
  for (const node of nodes) daemon("slurmd", "-D", "-N", node)
  const states = (): string => spawnSync("sinfo", ["--noheader", "--Node", "--format=%T"], { env }).stdout.toString()
  await until(() => states() === "idle\n".repeat(nodes.length), account)
  return { env, run }
}

const nodes = ["127.0.0.1", "127.0.0.2"]

const configuration = (directory: string, controller: number, ports: ReadonlyArray<number>): string => {
  const host = Os.hostname().split(".")[0]
  const user = Os.userInfo().username
  return `
ClusterName=test
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${controller}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=${directory}/munge/socket
StateSaveLocation=${directory}/state
SlurmdSpoolDir=${directory}/spool/%n
SlurmctldPidFile=${directory}/slurmctld.pid
SlurmdPidFile=${directory}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1
KillWait=30
${nodes.map((node, i) => `NodeName=${node} NodeHostname=${host} Port=${ports[i]} CPUs=8 State=UNKNOWN`).join("\n")}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`
}
