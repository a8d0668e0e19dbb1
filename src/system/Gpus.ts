/**
 * All GPUs of the machine: NVIDIA's are asked about through NVML, and where it cannot be loaded through nvidia-smi; AMD's
 * through their files in /sys, Intel's through Level Zero.
 *
 * A driver may take a second, or hang: nothing but the sample waits for it, and what has not answered is not asked again
 * until it has. nvidia-smi is a process: one runs at a time, for at most 10 seconds. Where there is none it is not looked for
 * again; after three failures in a row it is left alone.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import type { Environment } from "../Rank.ts"
import * as Amd from "./Amd.ts"
import * as LevelZero from "./LevelZero.ts"
import * as Nvml from "./Nvml.ts"
import * as Slow from "./Slow.ts"
import * as Text from "./Text.ts"

const smiTimeoutMillis = 10_000
const driverTimeoutMillis = 5000
const mostFailures = 3

/**
 * Where GPUs are looked for. `environment` is what nvidia-smi is started with: it should be the shell's.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly root: string
  readonly platform: NodeJS.Platform
  readonly environment: Environment
}

/**
 * Asks all GPUs, each by its number: NVIDIA's as NVIDIA counts them, then AMD's, then Intel's.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (options: Options): Effect.Effect<ReadonlyMap<number, Text.Gpu>> => {
  const cards = options.platform === "linux" ? Amd.cards(options.root) : []
  const amd = cards.length === 0 ? Effect.succeed([]) : ask(() => Promise.all(cards.map(Amd.read)))
  return Effect.map(
    Effect.all([nvidia(options), amd, ask(() => intel(options))], { concurrency: "unbounded" }),
    ([nvidia, ...others]) => {
      const first = Math.max(-1, ...nvidia.keys()) + 1
      return new Map([...nvidia, ...others.flat().map((gpu, i): [number, Text.Gpu] => [first + i, gpu])])
    }
  )
}

const ask = (gpus: () => Promise<ReadonlyArray<Text.Gpu>>): Effect.Effect<ReadonlyArray<Text.Gpu>> =>
  Slow.make(gpus, [], driverTimeoutMillis)

/** Of Intel's GPUs memory alone is told. */
const intel = async ({ environment, root }: Options): Promise<ReadonlyArray<Text.Gpu>> =>
  Promise.all((await LevelZero.load(environment, root)).map(async ({ memory }) => {
    const { total, used } = await memory() ?? {}
    return { total, used, utilization: undefined, watts: undefined, wattsMost: undefined, celsius: undefined }
  }))

// -----------------------------------------------------------------------------
// NVIDIA
// -----------------------------------------------------------------------------

const none: ReadonlyMap<number, Text.Gpu> = new Map()

const nvidia = (options: Options): Effect.Effect<ReadonlyMap<number, Text.Gpu>> => {
  const smi = throughSmi(options.environment)
  // The first answer may take as long as nvidia-smi itself: it wakes GPUs that sleep.
  const library = Slow.make(() => throughNvml(options), none, smiTimeoutMillis)
  return Effect.filterOrElse(library, (gpus): gpus is ReadonlyMap<number, Text.Gpu> => gpus !== undefined, () => smi)
}

/** undefined where there is no such library. */
const throughNvml = async ({ environment, root }: Options): Promise<ReadonlyMap<number, Text.Gpu> | undefined> => {
  const nvml = await Nvml.load(environment, root)
  if ("missing" in nvml) return undefined
  const gpus = new Map<number, Text.Gpu>()
  for (let i = 0, count = await nvml.count(); i < count; i++) {
    const device = await nvml.device(i)
    if (device !== undefined) gpus.set(i, await device.gpu())
  }
  return gpus
}

/** A sample that comes while another waits for the answer has the previous one. */
const throughSmi = (environment: Environment): Effect.Effect<ReadonlyMap<number, Text.Gpu>> => {
  let last = none
  let failures = 0
  let running = false
  return Effect.suspend(() => {
    if (failures >= mostFailures || running) return Effect.succeed(last)
    running = true
    return smi(environment).pipe(
      Effect.map((answer) => {
        failures = answer.missing ? mostFailures : answer.failed ? failures + 1 : 0
        last = answer.failed ? none : Text.nvidia(answer.text)
        return last
      }),
      Effect.ensuring(Effect.sync(() => {
        running = false
      }))
    )
  })
}

interface Answer {
  readonly text: string
  readonly failed: boolean
  readonly missing: boolean
}

const smi = (environment: Environment): Effect.Effect<Answer> =>
  Effect.callback<Answer>((resume) => {
    const failed = (error: unknown): Answer => ({
      text: "",
      failed: true,
      missing: error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "EACCES")
    })
    try {
      const child = execFile(
        "nvidia-smi",
        [`--query-gpu=${Text.nvidiaQuery}`, "--format=csv,noheader,nounits"],
        // Another process's time is real: a program's TestClock must not decide what it says.
        { env: { ...environment, LC_ALL: "C" }, timeout: smiTimeoutMillis, killSignal: "SIGKILL", maxBuffer: 1 << 20 },
        (error, text) =>
          resume(Effect.succeed(error === null ? { text, failed: false, missing: false } : failed(error)))
      )
      return Effect.sync(() => {
        child.kill("SIGKILL")
        child.stdout?.destroy()
        child.stderr?.destroy()
        child.unref()
      })
    } catch (error) {
      resume(Effect.succeed(failed(error)))
      return Effect.void
    }
  })
