/**
 * GPUs: NVIDIA's are asked about through nvidia-smi, AMD's through their files in /sys.
 *
 * nvidia-smi is a process that may take a second, or hang with its driver: one runs at a time, for at most 10 seconds,
 * and nothing but the sample waits for it. Where there is none it is not looked for again; after three failures in a row
 * it is left alone.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Environment } from "../Rank.ts"
import * as Files from "./Files.ts"
import * as Slow from "./Slow.ts"
import * as Text from "./Text.ts"

const smiTimeoutMillis = 10_000
const amdTimeoutMillis = 5000
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
 * Asks all GPUs, each by its number: NVIDIA's as NVIDIA counts them, then AMD's.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (options: Options): Effect.Effect<ReadonlyMap<number, Text.Gpu>> => {
  const cards = options.platform === "linux" ? amdCards(options.root) : []
  const amd = cards.length === 0
    ? Effect.succeed([])
    : Slow.make(() => Promise.all(cards.map(readCard)), [], amdTimeoutMillis)
  return Effect.map(
    Effect.all([nvidia(options.environment), amd], { concurrency: "unbounded" }),
    ([nvidia, amd]) => {
      const first = Math.max(-1, ...nvidia.keys()) + 1
      return new Map([...nvidia, ...amd.map((gpu, i): [number, Text.Gpu] => [first + i, gpu])])
    }
  )
}

// -----------------------------------------------------------------------------
// NVIDIA
// -----------------------------------------------------------------------------

/** A sample that comes while another waits for the answer has the previous one. */
const nvidia = (environment: Environment): Effect.Effect<ReadonlyMap<number, Text.Gpu>> => {
  const none: ReadonlyMap<number, Text.Gpu> = new Map()
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

// -----------------------------------------------------------------------------
// AMD
// -----------------------------------------------------------------------------

interface Card {
  readonly device: string
  readonly monitor: string | undefined
}

const amdVendor = "0x1002"

/** `card0`, `card1`, ... but not `card0-HDMI-A-1`. */
const amdCards = (root: string): ReadonlyArray<Card> => {
  const directory = Path.join(root, "sys/class/drm")
  return Files.names(directory)
    .flatMap((name) => /^card(\d+)$/.exec(name)?.[1] ?? [])
    .sort((a, b) => Number(a) - Number(b))
    .map((number) => Path.join(directory, `card${number}`, "device"))
    .filter((device) =>
      Files.text(Path.join(device, "vendor"))?.trim() === amdVendor &&
      Files.names(device).includes("mem_info_vram_total")
    )
    .map((device) => {
      const monitor = Files.names(Path.join(device, "hwmon"))[0]
      return { device, monitor: monitor === undefined ? undefined : Path.join(device, "hwmon", monitor) }
    })
}

/** The driver may have to ask the card, which takes milliseconds: not in the way of everything else. */
const readCard = async ({ device, monitor }: Card): Promise<Text.Gpu> => {
  const read = async (directory: string | undefined, ...names: ReadonlyArray<string>): Promise<number | undefined> => {
    for (const name of directory === undefined ? [] : names) {
      const text = await Fs.promises.readFile(Path.join(directory ?? "", name), "latin1").catch(() => undefined)
      const value = Text.integer(text)
      if (value !== undefined) return value
    }
    return undefined
  }
  const [utilization, used, total, microwatts, microwattsMost, millidegrees] = await Promise.all([
    read(device, "gpu_busy_percent"),
    read(device, "mem_info_vram_used"),
    read(device, "mem_info_vram_total"),
    read(monitor, "power1_average", "power1_input"),
    read(monitor, "power1_cap"),
    read(monitor, "temp1_input", "temp2_input")
  ])
  const divided = (value: number | undefined, by: number) => value === undefined ? undefined : value / by
  return {
    utilization,
    used,
    total,
    watts: divided(microwatts, 1e6),
    wattsMost: divided(microwattsMost, 1e6),
    celsius: divided(millidegrees, 1000)
  }
}
