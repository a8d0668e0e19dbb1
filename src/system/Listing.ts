/**
 * The GPUs of a machine in words: for people who ask what is found.
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import { getPeakFlops } from "../flops/Peak.ts"
import * as Amd from "./Amd.ts"
import type { Options } from "./Devices.ts"
import * as LevelZero from "./LevelZero.ts"
import * as Nvml from "./Nvml.ts"

/** How long drivers get to answer. */
const describeMillis = 10_000

/**
 * A line for each GPU, with its memory and peak, and one for what they were asked through, or why they could not be.
 *
 * @category describing
 * @since 0.4.0
 */
export const describe = ({ environment = process.env, root = "/" }: Options = {}): Effect.Effect<
  ReadonlyArray<string>
> =>
  Effect.promise(() => Promise.all([nvidia(environment, root), amd(root), intel(environment, root)])).pipe(
    Effect.map((kinds) => {
      const gpus = kinds.flatMap((kind) => kind.gpus).map((gpu, i) => `${i}: ${gpu}`)
      return [...(gpus.length === 0 ? ["none found"] : gpus), ...kinds.flatMap((kind) => kind.notes)]
    }),
    Effect.timeoutOrElse({
      duration: describeMillis,
      orElse: () => Effect.succeed([`a driver has not answered for ${describeMillis / 1000} s`])
    })
  )

interface Found {
  readonly gpus: ReadonlyArray<string>
  readonly notes: ReadonlyArray<string>
}

const nvidia = async (environment: NonNullable<Options["environment"]>, root: string): Promise<Found> => {
  const nvml = await Nvml.load(environment, root)
  if ("missing" in nvml) {
    return { gpus: [], notes: nvml.absent === true ? [] : [`NVML: ${nvml.missing}`] }
  }
  const gpus: Array<string> = []
  for (let i = 0, count = await nvml.count(); i < count; i++) {
    const device = await nvml.device(i)
    gpus.push(line(device?.name, (await device?.memory())?.total))
  }
  const driver = nvml.driver === undefined ? "" : `, driver ${nvml.driver}`
  return { gpus, notes: [`NVML: ${nvml.path}${driver}`] }
}

const amd = async (root: string): Promise<Found> => {
  const gpus = await Promise.all(
    Amd.cards(root).map(async ({ device, name }) => line(name ?? "AMD", (await Amd.readMemory(device)).total))
  )
  return { gpus, notes: [] }
}

const intel = async (environment: NonNullable<Options["environment"]>, root: string): Promise<Found> => {
  const devices = await LevelZero.load(environment, root)
  const gpus = await Promise.all(
    devices.map(async ({ computeUnits, memory, name }) => line(name ?? "Intel", (await memory())?.total, computeUnits))
  )
  return { gpus, notes: [] }
}

const line = (name: string | undefined, total: number | undefined, computeUnits?: number): string => {
  const peak = getPeakFlops(name, { computeUnits })
  return [
    name ?? "does not tell its name",
    ...(total === undefined ? [] : [`${(total / 2 ** 30).toFixed(1)} GiB`]),
    peak === undefined ? "peak not known" : `peak ${Number((peak / 1e12).toFixed(1))} TFLOPS`
  ].join(", ")
}
