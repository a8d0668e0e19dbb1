/**
 * AMD's GPUs, as their driver shows them in /sys.
 *
 * @since 0.2.0
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Files from "./Files.ts"
import * as Text from "./Text.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A card: where it tells of itself. `uniqueId` is what ROCR_VISIBLE_DEVICES may name it by.
 *
 * @category models
 * @since 0.2.0
 */
export interface Card {
  readonly device: string
  readonly monitor: string | undefined
  readonly name: string | undefined
  readonly uniqueId: string | undefined
}

const vendor = "0x1002"

/** Boards that do not tell their name, by PCI device (as pci.ids has them): those whose peak is known. */
const names = new Map([
  ["0x7408", "AMD Instinct MI250X"],
  ["0x740c", "AMD Instinct MI250X"],
  ["0x74a1", "AMD Instinct MI300X"],
  ["0x74a5", "AMD Instinct MI325X"],
  ["0x75a3", "AMD Instinct MI355X"]
])

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/**
 * All cards, by number: `card0`, `card1`, ... but not `card0-HDMI-A-1`.
 *
 * @category reading
 * @since 0.2.0
 */
export const cards = (root: string): ReadonlyArray<Card> => {
  const directory = Path.join(root, "sys/class/drm")
  return Files.names(directory)
    .flatMap((name) => /^card(\d+)$/.exec(name)?.[1] ?? [])
    .sort((a, b) => Number(a) - Number(b))
    .map((number) => Path.join(directory, `card${number}`, "device"))
    .filter((device) => line(device, "vendor") === vendor && Files.names(device).includes("mem_info_vram_total"))
    .map((device) => {
      const monitor = Files.names(Path.join(device, "hwmon"))[0]
      return {
        device,
        monitor: monitor === undefined ? undefined : Path.join(device, "hwmon", monitor),
        name: line(device, "product_name") ?? names.get(line(device, "device") ?? ""),
        uniqueId: line(device, "unique_id")
      }
    })
}

const line = (directory: string, name: string): string | undefined =>
  Files.text(Path.join(directory, name))?.trim() || undefined

/**
 * What a card tells. The driver may have to ask it, which takes milliseconds: not in the way of everything else.
 *
 * @category reading
 * @since 0.2.0
 */
export const read = async ({ device, monitor }: Card): Promise<Text.Gpu> => {
  const [memory, utilization, microwatts, microwattsMost, millidegrees] = await Promise.all([
    readMemory(device),
    number(device, "gpu_busy_percent"),
    number(monitor, "power1_average", "power1_input"),
    number(monitor, "power1_cap"),
    number(monitor, "temp1_input", "temp2_input")
  ])
  const divided = (value: number | undefined, by: number) => value === undefined ? undefined : value / by
  return {
    ...memory,
    utilization,
    watts: divided(microwatts, 1e6),
    wattsMost: divided(microwattsMost, 1e6),
    celsius: divided(millidegrees, 1000)
  }
}

/**
 * A card's memory, in bytes.
 *
 * @category reading
 * @since 0.4.0
 */
export const readMemory = async (
  device: string
): Promise<{ readonly used: number | undefined; readonly total: number | undefined }> => {
  const [used, total] = await Promise.all([number(device, "mem_info_vram_used"), number(device, "mem_info_vram_total")])
  return { used, total }
}

const number = async (
  directory: string | undefined,
  ...names: ReadonlyArray<string>
): Promise<number | undefined> => {
  for (const name of directory === undefined ? [] : names) {
    const text = await Fs.promises.readFile(Path.join(directory ?? "", name), "latin1").catch(() => undefined)
    const value = Text.integer(text)
    if (value !== undefined) return value
  }
  return undefined
}
