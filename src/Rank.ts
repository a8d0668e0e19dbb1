/**
 * Who this process is among those that train together: its rank, how many there are, who started them, which job they
 * are, and where the root may be found.
 *
 * Read from the environment, first match wins: what a person says (`EZPZ_RANK`, `EZPZ_WORLD_SIZE`), torchrun (`RANK`,
 * `WORLD_SIZE`), Open MPI (`OMPI_COMM_WORLD_*`), PALS and MPICH (`PALS_*`, `PMI_*`), Slurm (`SLURM_PROCID`,
 * `SLURM_NTASKS`), Flux (`FLUX_*`); else one rank. A scheduler alone makes no ranks: the script of a batch job has
 * `SLURM_PROCID`, too, and nobody beside it, and PBS only says which job and which hosts.
 *
 * The id of a job is the same for all its ranks, and for no other launch: what the launcher calls it, with the
 * scheduler's job, and how often it was started over. MPICH's launcher gives no name: the port stands in for it at which
 * its helpers report to it, which their command lines tell. Where nothing tells (variables set by hand), `EZPZ_JOB_ID`
 * tells two jobs apart that run at the same time.
 *
 * @since 0.1.0
 */

/**
 * A process's place among the ranks. `localWorldSize`: how many of them are on this host, where that is known.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rank {
  readonly rank: number
  readonly worldSize: number
  readonly localRank: number
  readonly localWorldSize?: number
  readonly launcher: string
}

/**
 * Which job the ranks are, and the hosts on which rank 0 may be, the likeliest first. `masterPort` belongs to the
 * training's own rendezvous: never to be bound, but known to all ranks.
 *
 * @category models
 * @since 0.3.0
 */
export interface Job {
  readonly id: string
  readonly rootHosts: ReadonlyArray<string>
  readonly masterPort: number | undefined
}

/**
 * The environment variables of a process.
 *
 * @category models
 * @since 0.1.0
 */
export interface Environment {
  readonly [name: string]: string | undefined
}

// -----------------------------------------------------------------------------
// Ranks
// -----------------------------------------------------------------------------

/**
 * The only rank of a run.
 *
 * @category constructors
 * @since 0.1.0
 */
export const single: Rank = { rank: 0, worldSize: 1, localRank: 0, localWorldSize: 1, launcher: "none" }

interface Launcher {
  readonly launcher: string
  readonly rank: string
  /** First one that is set, after `EZPZ_WORLD_SIZE`. */
  readonly worldSize: ReadonlyArray<string>
  readonly localRank: string
  readonly localWorldSize: (environment: Environment, worldSize: number) => number | undefined
  /** What says that the variables are somebody else's. */
  readonly unless?: (environment: Environment) => boolean
  readonly job: (environment: Environment, readFile: ReadFile) => ReadonlyArray<string | undefined>
}

type ReadFile = (path: string) => string | undefined

const named = (name: string) => (environment: Environment): number | undefined => positive(environment[name])

const explicit: Launcher = {
  launcher: "EZPZ_RANK",
  rank: "EZPZ_RANK",
  worldSize: [],
  localRank: "EZPZ_LOCAL_RANK",
  localWorldSize: named("EZPZ_LOCAL_WORLD_SIZE"),
  job: (environment) => [environment["MASTER_ADDR"], environment["MASTER_PORT"]]
}

const launchers: ReadonlyArray<Launcher> = [
  explicit,
  {
    launcher: "torchrun",
    rank: "RANK",
    worldSize: ["WORLD_SIZE"],
    localRank: "LOCAL_RANK",
    localWorldSize: named("LOCAL_WORLD_SIZE"),
    // Without --rdzv-id every torchrun of several nodes is called "none". Workers that are started over are a run of
    // their own; but each node counts its own failures alone, so that of several nodes the counts differ.
    job: (environment) => [
      environment["TORCHELASTIC_RUN_ID"],
      environment["MASTER_ADDR"],
      environment["MASTER_PORT"],
      (positive(environment["GROUP_WORLD_SIZE"]) ?? 1) > 1
        ? undefined
        : again(environment["TORCHELASTIC_RESTART_COUNT"])
    ]
  },
  {
    launcher: "Open MPI",
    rank: "OMPI_COMM_WORLD_RANK",
    worldSize: ["OMPI_COMM_WORLD_SIZE"],
    localRank: "OMPI_COMM_WORLD_LOCAL_RANK",
    localWorldSize: named("OMPI_COMM_WORLD_LOCAL_SIZE"),
    job: (environment) => [environment["PMIX_NAMESPACE"] ?? environment["OMPI_MCA_ess_base_jobid"]]
  },
  {
    launcher: "PALS",
    rank: "PALS_RANKID",
    // Not every PALS says how many ranks there are; the MPI beside it does.
    worldSize: ["PALS_SIZE", "PMI_SIZE", "WORLD_SIZE"],
    localRank: "PALS_LOCAL_RANKID",
    localWorldSize: named("PALS_LOCAL_SIZE"),
    job: (environment) => [environment["PALS_APID"]]
  },
  {
    launcher: "MPICH",
    rank: "PMI_RANK",
    worldSize: ["PMI_SIZE"],
    localRank: "MPI_LOCALRANKID",
    localWorldSize: named("MPI_LOCALNRANKS"),
    // Slurm offers the same to MPI programs (srun --mpi=pmi2), and has more to say itself.
    unless: (environment) => {
      const step = stepOf(environment)
      return step !== undefined && environment["PMI_JOBID"] === `${environment["SLURM_JOB_ID"]}.${step}`
    },
    job: (environment, readFile) => [environment["PMI_JOBID"] ?? hydraOf(readFile)]
  },
  {
    launcher: "Slurm",
    rank: "SLURM_PROCID",
    worldSize: ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
    localRank: "SLURM_LOCALID",
    localWorldSize: (environment, worldSize) => {
      const nodes = environment["SLURM_STEP_NUM_NODES"] ?? environment["SLURM_NNODES"]
      if (nodes === "1") return worldSize
      return tasksOn(
        environment["SLURM_STEP_TASKS_PER_NODE"] ?? environment["SLURM_TASKS_PER_NODE"],
        integer(environment["SLURM_NODEID"])
      )
    },
    // The script of a batch job, before srun.
    unless: (environment) =>
      environment["SLURM_JOB_ID"] !== undefined && (stepOf(environment) === undefined || isInherited(environment)),
    job: (environment) => [stepOf(environment)]
  },
  {
    launcher: "Flux",
    rank: "FLUX_TASK_RANK",
    worldSize: ["FLUX_JOB_SIZE"],
    localRank: "FLUX_TASK_LOCAL_ID",
    localWorldSize: (environment, worldSize) => environment["FLUX_JOB_NNODES"] === "1" ? worldSize : undefined,
    job: (environment) => [environment["FLUX_JOB_ID"]]
  }
]

/**
 * Reads the rank from a process's environment. What does not make sense (a rank beyond the world) is passed over.
 *
 * @example
 * ```ts
 * import { Rank } from "ezpz-stream"
 *
 * const { rank, worldSize, launcher } = Rank.fromEnvironment({ SLURM_PROCID: "3", SLURM_NTASKS: "8" })
 * assert.deepStrictEqual([rank, worldSize, launcher], [3, 8, "Slurm"])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromEnvironment = (environment: Environment): Rank => found(environment)?.rank ?? single

/**
 * What an environment says of ranks and is not believed, for a person to read: numbers that make no sense, and a launcher
 * that knows of more ranks than the one that comes first. Each such process would be a run of its own.
 *
 * @example
 * ```ts
 * import { Rank } from "ezpz-stream"
 *
 * assert.deepStrictEqual(Rank.doubts({ EZPZ_RANK: "4", EZPZ_WORLD_SIZE: "4" }), ["EZPZ_RANK is 4, of EZPZ_WORLD_SIZE 4"])
 * assert.deepStrictEqual(Rank.doubts({ RANK: "0", WORLD_SIZE: "1", PMI_RANK: "2", PMI_SIZE: "3" }), [
 *   "RANK says 0 of 1, PMI_RANK 2 of 3"
 * ])
 * ```
 *
 * @category constructors
 * @since 0.5.1
 */
export const doubts = (environment: Environment): ReadonlyArray<string> => {
  const chosen = found(environment)
  const all: Array<string> = []
  let isPast = false
  for (const launcher of launchers) {
    const said = text(environment[launcher.rank])
    if (said === undefined || launcher.unless?.(environment) === true) continue
    const sized = sizeOf(launcher, environment)
    // Names as common as these may be somebody else's.
    if (launcher.rank === "RANK" && sized === undefined) continue
    const own = rankOf(launcher, environment)
    if (launcher === chosen?.launcher) isPast = true
    else if (own === undefined && !isPast) {
      if (integer(said) === undefined) all.push(`${launcher.rank} is "${said}", which is no rank`)
      else if (sized === undefined) {
        const names = ["EZPZ_WORLD_SIZE", ...launcher.worldSize].join(" or ")
        all.push(`${launcher.rank} is ${said}, but nothing says of how many (${names})`)
      } else all.push(`${launcher.rank} is ${said}, of ${sized.name} ${sized.size}`)
    } else if (own !== undefined && chosen !== undefined && isFewer(chosen, own)) {
      const { rank, worldSize } = chosen.rank
      all.push(`${chosen.launcher.rank} says ${rank} of ${worldSize}, ${launcher.rank} ${own.rank} of ${own.worldSize}`)
    }
  }
  const size = text(environment["EZPZ_WORLD_SIZE"])
  if (chosen === undefined && all.length === 0 && size !== undefined && size !== "1") {
    all.push(`EZPZ_WORLD_SIZE is ${size}, but nothing says which of them this is (EZPZ_RANK)`)
  }
  return all
}

const found = (
  environment: Environment
): { readonly launcher: Launcher; readonly rank: Rank } | undefined => {
  for (const launcher of launchers) {
    const rank = launcher.unless?.(environment) === true ? undefined : rankOf(launcher, environment)
    if (rank !== undefined) return { launcher, rank }
  }
  return undefined
}

/** What a person says is meant. */
const isFewer = ({ launcher, rank }: { readonly launcher: Launcher; readonly rank: Rank }, other: Rank): boolean =>
  launcher !== explicit && other.worldSize > rank.worldSize

const sizeOf = (
  { worldSize }: Launcher,
  environment: Environment
): { readonly name: string; readonly size: number } | undefined => {
  for (const name of ["EZPZ_WORLD_SIZE", ...worldSize]) {
    const size = integer(environment[name])
    if (size !== undefined) return { name, size }
  }
  return undefined
}

/** What a launcher says, where that makes sense. */
const rankOf = (launcher: Launcher, environment: Environment): Rank | undefined => {
  const rank = integer(environment[launcher.rank])
  const worldSize = sizeOf(launcher, environment)?.size
  if (rank === undefined || worldSize === undefined || rank >= worldSize) return undefined
  const localRank = integer(environment[launcher.localRank]) ?? 0
  const local = launcher.localWorldSize(environment, worldSize)
  const sensible = local !== undefined && local > localRank && local <= worldSize
  return { rank, worldSize, localRank, ...(sensible ? { localWorldSize: local } : {}), launcher: launcher.launcher }
}

// -----------------------------------------------------------------------------
// Jobs
// -----------------------------------------------------------------------------

/**
 * Reads from a process's environment which job it belongs to. `readFile` gives the text of a file: of the list of hosts
 * that PBS leaves in one, of what Linux knows of MPICH's launcher; undefined where it cannot be read.
 *
 * @example
 * ```ts
 * import { Rank } from "ezpz-stream"
 *
 * const job = Rank.jobFromEnvironment({
 *   SLURM_PROCID: "3",
 *   SLURM_NTASKS: "8",
 *   SLURM_JOB_ID: "4711",
 *   SLURM_STEP_ID: "0",
 *   SLURM_STEP_NODELIST: "node[007-008]"
 * })
 * assert.deepStrictEqual(job, { id: "slurm-4711.0", rootHosts: ["node007"], masterPort: undefined })
 * ```
 *
 * @category constructors
 * @since 0.3.0
 */
export const jobFromEnvironment = (
  environment: Environment,
  readFile: ReadFile = () => undefined
): Job => {
  const masterPort = integer(environment["MASTER_PORT"])
  const hostFile = text(environment["PBS_NODEFILE"])
  return {
    id: idOf(environment, readFile),
    rootHosts: [
      ...new Set(
        [
          text(environment["MASTER_ADDR"]),
          firstHost(environment["SLURM_STEP_NODELIST"] ?? environment["SLURM_JOB_NODELIST"]),
          hostFile === undefined ? undefined : text(readFile(hostFile)?.split(/\s/)[0])
        ].filter((host) => host !== undefined)
      )
    ],
    masterPort: masterPort !== undefined && masterPort > 0 && masterPort < 65536 ? masterPort : undefined
  }
}

/** The scheduler's job is part of it: launchers count from anew in each. */
const idOf = (environment: Environment, readFile: ReadFile): string => {
  const said = text(environment["EZPZ_JOB_ID"])
  if (said !== undefined) return said
  const launcher = found(environment)?.launcher
  const own = launcher?.job(environment, readFile).filter((part) => text(part) !== undefined) ?? []
  const isSlurm = launcher?.launcher === "Slurm"
  const parts = [
    ...schedulers.flatMap(([name, variable]) => {
      const id = text(environment[variable])
      return id === undefined ? [] : [`${name}-${id}${isSlurm && own.length > 0 ? `.${own[0]}` : ""}`]
    }),
    again(environment["SLURM_RESTART_COUNT"]),
    ...(launcher === undefined || isSlurm ? [] : [launcher.launcher.toLowerCase().replaceAll(/[^a-z]/g, ""), ...own])
  ]
  return parts.filter((part) => part !== undefined).join("-") || "job"
}

const schedulers = [["slurm", "SLURM_JOB_ID"], ["pbs", "PBS_JOBID"], ["lsf", "LSB_JOBID"]] as const

const again = (count: string | undefined): string | undefined =>
  integer(count) === undefined || integer(count) === 0 ? undefined : `again${count}`

/**
 * A batch job that a step submitted has the step's variables all the same; but its script is the only task of its node.
 */
const isInherited = (environment: Environment): boolean =>
  environment["SLURM_GTIDS"] === "0" &&
  (tasksOn(environment["SLURM_STEP_TASKS_PER_NODE"], integer(environment["SLURM_NODEID"])) ?? 1) > 1

/**
 * The port at which all helpers of one mpiexec report to it, on whichever host: `host:port`. The helper is an ancestor of
 * its ranks.
 */
const hydraOf = (readFile: ReadFile): string | undefined => {
  for (let pid = "self", depth = 0; pid !== "0" && depth < 64; depth++) {
    // `12 (name) S 11 ...`, and a name may hold anything.
    const [, name, parent] = /^\d+ \((.*)\) . (\d+) /s.exec(readFile(`/proc/${pid}/stat`) ?? "") ?? []
    if (name === undefined || parent === undefined) return undefined
    if (name === "hydra_pmi_proxy") {
      return /\0--control-port\0([^\0]+)/.exec(readFile(`/proc/${pid}/cmdline`) ?? "")?.[1]
    }
    pid = parent
  }
  return undefined
}

const stepOf = (environment: Environment): string | undefined =>
  text(environment["SLURM_STEP_ID"]) ?? text(environment["SLURM_STEPID"])

// -----------------------------------------------------------------------------
// Lists as schedulers write them
// -----------------------------------------------------------------------------

/** The first of `node[007-012,020],login1`: `node007`. */
const firstHost = (list: string | undefined): string | undefined => {
  const first = /^(?:[^,[\]]|\[[^\]]*\])+/.exec(list ?? "")?.[0]
  return text(first?.replaceAll(/\[([^\],-]*)[^\]]*\]/g, "$1"))
}

/** How many tasks the `node`-th node of `4(x2),3` has. */
const tasksOn = (list: string | undefined, node: number | undefined): number | undefined => {
  let before = node ?? NaN
  for (const part of list?.split(",") ?? []) {
    const [, tasks, times = "1"] = /^(\d{1,9})(?:\(x(\d{1,9})\))?$/.exec(part) ?? []
    if (tasks === undefined || Number.isNaN(before)) return undefined
    if (before < Number(times)) return Number(tasks)
    before -= Number(times)
  }
  return undefined
}

const integer = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined

const positive = (text: string | undefined): number | undefined => integer(text) || undefined

const text = (value: string | undefined): string | undefined => value?.trim() || undefined
