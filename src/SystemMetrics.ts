/**
 * The state of the machine a run is on, as numbers for its backends.
 *
 * Names and units are those of MLflow's own system metrics (a megabyte is 1,000,000 bytes), so that its pages know them:
 *
 * - `cpu_utilization_percentage`: of all processors, since the last sample
 * - `system_memory_usage_megabytes`, `system_memory_usage_percentage`: in a container, of what it may use
 * - `disk_usage_megabytes`, `disk_available_megabytes`, `disk_usage_percentage`: of the file system of a directory
 * - `network_receive_megabytes`, `network_transmit_megabytes`: since the sampler was made, without the loopback
 * - `gpu_<i>_utilization_percentage`, `gpu_<i>_memory_usage_megabytes`, `gpu_<i>_memory_usage_percentage`,
 *   `gpu_<i>_power_usage_watts`, `gpu_<i>_power_usage_percentage` (of its limit)
 *
 * and beside them `disk_read_megabytes` and `disk_write_megabytes` (of all local disks, since the sampler was made),
 * `load_average_1m`, `gpu_<i>_temperature_celsius`, and of the process `process_memory_megabytes` and
 * `process_cpu_percentage`, where 100 is one processor. What cannot be had is left out; of Intel's GPUs that is all but their
 * memory.
 *
 * A sample costs a fraction of a millisecond. What may take longer (GPUs, a file system over a network) does not hold
 * the process up, and the sample not for long: what has not answered by then is left out.
 *
 * @since 0.2.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import type { Environment } from "./Rank.ts"
import * as Gpus from "./system/Gpus.ts"
import * as Host from "./system/Host.ts"
import type { Values } from "./system/Host.ts"
import * as Listing from "./system/Listing.ts"
import * as Slow from "./system/Slow.ts"
import type { Gpu } from "./system/Text.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Takes samples of the machine.
 *
 * @category models
 * @since 0.2.0
 */
export interface Sampler {
  readonly sample: Effect.Effect<{ readonly [name: string]: number }>
}

/**
 * What is sampled.
 *
 * - `disk`: a directory on the file system whose space is told; the root of all unless given
 * - `environment`: what drivers' libraries and nvidia-smi are found with: the shell's, not what a `.env` says
 * - `gpus`: false: they are not asked
 * - `root`, `platform`: where /proc and /sys are, and what they are
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly disk?: string
  readonly environment?: Environment
  readonly gpus?: boolean
  readonly root?: string
  readonly platform?: NodeJS.Platform
}

const megabyte = 1_000_000

/** How long a sample waits for a file system. */
const diskMillis = 1000

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * A sampler, which counts from now.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<Sampler> {
  const { environment = process.env, gpus = true, platform = process.platform, root = "/" } = options
  const host = Host.make(root, platform)
  const own = ownProcess(yield* Clock.currentTimeMillis)
  const disk = Slow.make(() => space(options.disk ?? root), {}, diskMillis)
  const asked = gpus
    ? Effect.map(Gpus.make({ root, platform, environment }), gpuValues)
    : Effect.succeed({})
  const slow = Effect.all([disk, asked], { concurrency: "unbounded" })

  const sample = Effect.gen(function*() {
    const values = { ...host(), ...own(yield* Clock.currentTimeMillis) }
    const [space, gpus] = yield* slow
    return rounded({ ...values, ...space, ...gpus })
  })
  return { sample }
})

/**
 * The GPUs in words, a line each, and what they were asked through or why they could not be.
 *
 * @category describing
 * @since 0.4.0
 */
export const describeGpus = (
  options: Pick<Options, "environment" | "root"> = {}
): Effect.Effect<ReadonlyArray<string>> => Listing.describe(options)

// -----------------------------------------------------------------------------
// Parts
// -----------------------------------------------------------------------------

const ownProcess = (start: number): (now: number) => Values => {
  let last = { at: start, micros: cpuMicros() }
  let percentage: number | undefined
  return (now) => {
    const micros = cpuMicros()
    if (now > last.at) {
      percentage = (micros - last.micros) / 1000 / (now - last.at) * 100
      last = { at: now, micros }
    }
    return {
      process_cpu_percentage: percentage,
      process_memory_megabytes: process.memoryUsage.rss() / megabyte
    }
  }
}

const cpuMicros = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

/** As `df` has it: what is kept for the administrator is neither used nor available. */
const space = async (directory: string): Promise<Values> => {
  const { bavail, bfree, blocks, bsize } = await Fs.promises.statfs(directory)
  const used = blocks - bfree
  return {
    disk_usage_megabytes: used * bsize / megabyte,
    disk_available_megabytes: bavail * bsize / megabyte,
    disk_usage_percentage: used + bavail === 0 ? undefined : used / (used + bavail) * 100
  }
}

const gpuValues = (gpus: ReadonlyMap<number, Gpu>): Values =>
  Object.fromEntries([...gpus].flatMap((gpu) => Object.entries(ofGpu(gpu))))

const ofGpu = ([i, gpu]: readonly [number: number, gpu: Gpu]): Values => ({
  [`gpu_${i}_utilization_percentage`]: gpu.utilization,
  [`gpu_${i}_memory_usage_megabytes`]: gpu.used === undefined ? undefined : gpu.used / megabyte,
  [`gpu_${i}_memory_usage_percentage`]: percent(gpu.used, gpu.total),
  [`gpu_${i}_power_usage_watts`]: gpu.watts,
  [`gpu_${i}_power_usage_percentage`]: percent(gpu.watts, gpu.wattsMost),
  [`gpu_${i}_temperature_celsius`]: gpu.celsius
})

const percent = (part: number | undefined, whole: number | undefined): number | undefined =>
  part === undefined || whole === undefined || whole <= 0 ? undefined : part / whole * 100

/** To three decimals: more would be noise. */
const rounded = (values: Values): { readonly [name: string]: number } =>
  Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      value === undefined || !Number.isFinite(value) ? [] : [[name, Math.round(value * 1000) / 1000]]
    )
  )
