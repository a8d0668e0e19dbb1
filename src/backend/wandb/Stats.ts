/**
 * A sample of the machine as a line of W&B's events.
 *
 * Values stand under `system.`, those that W&B draws itself under its own names and in its units: `system.cpu`,
 * `system.memory_percent`, `system.gpu.0.gpu`. All others keep their name.
 *
 * @since 0.2.0
 */
import type { Sample } from "../../Backend.ts"
import * as History from "./History.ts"

/**
 * A sample's line as JSON text, without an end of line.
 *
 * @category lines
 * @since 0.2.0
 */
export const line = (sample: Sample, createdAt: number): string =>
  JSON.stringify({
    ...Object.fromEntries(items(sample)),
    _timestamp: sample.timestamp,
    _runtime: History.runtime(sample.timestamp, createdAt),
    _wandb: true
  })

/**
 * What a sample says, finite numbers only, by the names that W&B has for it.
 *
 * @category lines
 * @since 0.2.0
 */
export const items = (sample: Sample): ReadonlyArray<readonly [name: string, value: number]> =>
  Object.entries(sample.metrics).flatMap(([name, value]) => Number.isFinite(value) ? [item(name, value)] : [])

const item = (name: string, value: number): readonly [name: string, value: number] => {
  const gpu = /^gpu_(\d+)_(.*)$/.exec(name)
  const [known, factor = 1] = (gpu === null ? ofMachine[name] : ofGpu[gpu[2] ?? ""]) ?? []
  if (known === undefined) return [`system.${name}`, value]
  return [gpu === null ? `system.${known}` : `system.gpu.${gpu[1]}.${known}`, value * factor]
}

type Names = { readonly [name: string]: readonly [name: string, factor?: number] }

const megabyte = 1_000_000

const ofMachine: Names = {
  cpu_utilization_percentage: ["cpu"],
  system_memory_usage_percentage: ["memory_percent"],
  network_receive_megabytes: ["network.recv", megabyte],
  network_transmit_megabytes: ["network.sent", megabyte],
  process_memory_megabytes: ["proc.memory.rssMB", megabyte / 1024 ** 2]
}

const ofGpu: Names = {
  utilization_percentage: ["gpu"],
  memory_usage_percentage: ["memoryAllocated"],
  memory_usage_megabytes: ["memoryAllocatedBytes", megabyte],
  power_usage_watts: ["powerWatts"],
  power_usage_percentage: ["powerPercent"],
  temperature_celsius: ["temp"]
}
