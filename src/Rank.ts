/**
 * Who this process is among those that train together: its rank, how many there are, and who started them.
 *
 * Read from the environment that launchers set, first match wins: torchrun (`RANK`, `WORLD_SIZE`), Open MPI
 * (`OMPI_COMM_WORLD_*`), PALS and MPICH (`PALS_*`, `PMI_*`), Slurm (`SLURM_PROCID`, `SLURM_NTASKS`), Flux (`FLUX_*`);
 * else one rank.
 *
 * @since 0.1.0
 */

/**
 * A process's place among the ranks.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rank {
  readonly rank: number
  readonly worldSize: number
  readonly localRank: number
  readonly launcher: string
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

/**
 * The only rank of a run.
 *
 * @category constructors
 * @since 0.1.0
 */
export const single: Rank = { rank: 0, worldSize: 1, localRank: 0, launcher: "none" }

const launchers: ReadonlyArray<{
  readonly launcher: string
  readonly rank: string
  readonly worldSize: string
  readonly localRank: string
}> = [
  { launcher: "torchrun", rank: "RANK", worldSize: "WORLD_SIZE", localRank: "LOCAL_RANK" },
  {
    launcher: "Open MPI",
    rank: "OMPI_COMM_WORLD_RANK",
    worldSize: "OMPI_COMM_WORLD_SIZE",
    localRank: "OMPI_COMM_WORLD_LOCAL_RANK"
  },
  { launcher: "PALS", rank: "PALS_RANKID", worldSize: "PALS_SIZE", localRank: "PALS_LOCAL_RANKID" },
  { launcher: "MPICH", rank: "PMI_RANK", worldSize: "PMI_SIZE", localRank: "MPI_LOCALRANKID" },
  { launcher: "Slurm", rank: "SLURM_PROCID", worldSize: "SLURM_NTASKS", localRank: "SLURM_LOCALID" },
  { launcher: "Flux", rank: "FLUX_TASK_RANK", worldSize: "FLUX_JOB_SIZE", localRank: "FLUX_TASK_LOCAL_ID" }
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
export const fromEnvironment = (environment: Environment): Rank => {
  for (const names of launchers) {
    const rank = integer(environment[names.rank])
    const worldSize = integer(environment[names.worldSize])
    if (rank === undefined || worldSize === undefined || rank >= worldSize) continue
    return { rank, worldSize, localRank: integer(environment[names.localRank]) ?? 0, launcher: names.launcher }
  }
  return single
}

const integer = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
