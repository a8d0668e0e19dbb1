/**
 * Intel's GPUs, asked through Level Zero's system management (Sysman): names and memory.
 *
 * The library is looked for as EZPZ_LEVEL_ZERO says (a path; `off`: not at all), else as `libze_loader.so.1`, where the kernel
 * shows an Intel graphics device. Devices are what frameworks take for one: each stack ("tile") of a card, unless
 * ZE_FLAT_DEVICE_HIERARCHY is COMPOSITE, which makes a card one. Only memory of the device itself counts: a processor's graphics
 * have none.
 *
 * @since 0.4.0
 */
import * as Path from "node:path"
import type { Environment } from "../Rank.ts"
import * as Files from "./Files.ts"
import * as Foreign from "./Foreign.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * One device. `computeUnits`: its vector engines, where the driver tells.
 *
 * @category models
 * @since 0.4.0
 */
export interface Device {
  readonly name: string | undefined
  readonly computeUnits: number | undefined
  readonly memory: () => Promise<{ readonly total: number; readonly used: number } | undefined>
}

// -----------------------------------------------------------------------------
// Loading
// -----------------------------------------------------------------------------

const loaded = new Map<string, Promise<ReadonlyArray<Device>>>()

/**
 * The devices of this machine; none where they cannot be asked.
 *
 * @category constructors
 * @since 0.4.0
 */
export const load = (environment: Environment, root = "/"): Promise<ReadonlyArray<Device>> => {
  const asked = environment["EZPZ_LEVEL_ZERO"]?.trim() ?? ""
  if (/^(?:off|none|no|false|0)$/i.test(asked) || (asked === "" && !present(root))) return Promise.resolve([])
  const composite = environment["ZE_FLAT_DEVICE_HIERARCHY"]?.trim().toUpperCase() === "COMPOSITE"
  const key = `${composite}${asked}`
  const known = loaded.get(key)
  if (known !== undefined) return known
  const loading = devices(asked === "" ? ["libze_loader.so.1"] : [asked], composite).catch(() => [])
  loaded.set(key, loading)
  return loading
}

const intelVendor = "0x8086"

const present = (root: string): boolean => {
  const directory = Path.join(root, "sys/class/drm")
  return process.platform === "linux" &&
    Files.names(directory).some((name) =>
      /^card\d+$/.test(name) && Files.text(Path.join(directory, name, "device/vendor"))?.trim() === intelVendor
    )
}

// -----------------------------------------------------------------------------
// Functions
// -----------------------------------------------------------------------------

const success = 0
const handleSize = 8

/** Structures as zes_api.h and ze_api.h have them; the core's properties are part of a device's. */
const deviceProperties = { type: 1, size: 776, euPerSubslice: 80, subslices: 84, slices: 88, name: 128, nameEnd: 384 }
const memoryProperties = { type: 0xb, size: 48, onSubdevice: 20, subdevice: 24, location: 28, local: 1 }
const memoryState = { type: 0x1e, size: 40, free: 24, total: 32 }

const devices = async (paths: ReadonlyArray<string>, composite: boolean): Promise<ReadonlyArray<Device>> => {
  const library = await Foreign.open(paths)
  if (!Foreign.isLibrary(library)) return []
  const init = library.call("zesInit", ["uint32"])
  if (init === undefined || await init(0) !== success) return []
  const getDrivers = library.call("zesDriverGet", ["void *", "void *"])
  const getDevices = library.call("zesDeviceGet", ["uintptr", "void *", "void *"])
  const getProperties = library.call("zesDeviceGetProperties", ["uintptr", "void *"])
  const getModules = library.call("zesDeviceEnumMemoryModules", ["uintptr", "void *", "void *"])
  const getModule = library.call("zesMemoryGetProperties", ["uintptr", "void *"])
  const getState = library.call("zesMemoryGetState", ["uintptr", "void *"])

  const structure = async (call: Foreign.Call | undefined, handle: bigint, { size, type }: typeof memoryState) => {
    const memory = Buffer.alloc(size)
    memory.writeUInt32LE(type)
    return call !== undefined && await call(handle, memory) === success ? memory : undefined
  }

  const found: Array<Device> = []
  for (const driver of await list(getDrivers, [])) {
    for (const card of await list(getDevices, [driver])) {
      const properties = await structure(getProperties, card, { ...memoryState, ...deviceProperties })
      /** The modules of a stack; where a card is one device, of all of it. */
      const stacks = new Map<number, Array<bigint>>()
      for (const module of await list(getModules, [card])) {
        const about = await structure(getModule, module, { ...memoryState, ...memoryProperties })
        if (about?.readUInt32LE(memoryProperties.location) !== memoryProperties.local) continue
        const isPart = about[memoryProperties.onSubdevice] !== 0 && !composite
        const stack = isPart ? about.readUInt32LE(memoryProperties.subdevice) : 0
        stacks.set(stack, [...(stacks.get(stack) ?? []), module])
      }
      for (const [, modules] of [...stacks].sort(([a], [b]) => a - b)) {
        found.push({
          name: properties === undefined
            ? undefined
            : Foreign.cString(properties, deviceProperties.name, deviceProperties.nameEnd) || undefined,
          computeUnits: units(properties, stacks.size),
          memory: async () => {
            let [total, used] = [0, 0]
            for (const module of modules) {
              const state = await structure(getState, module, memoryState)
              if (state === undefined) return undefined
              const size = Number(state.readBigUInt64LE(memoryState.total))
              total += size
              used += size - Number(state.readBigUInt64LE(memoryState.free))
            }
            return { total, used }
          }
        })
      }
    }
  }
  return found
}

/** Asked for their number first, then for the handles. */
const list = async (
  call: Foreign.Call | undefined,
  of: ReadonlyArray<bigint>
): Promise<ReadonlyArray<bigint>> => {
  const count = Buffer.alloc(4)
  if (call === undefined || await call(...of, count, null) !== success) return []
  const handles = Buffer.alloc(Math.max(1, count.readUInt32LE()) * handleSize)
  if (count.readUInt32LE() === 0 || await call(...of, count, handles) !== success) return []
  return Array.from({ length: count.readUInt32LE() }, (_, i) => handles.readBigUInt64LE(i * handleSize))
}

const units = (properties: Buffer | undefined, stacks: number): number | undefined => {
  if (properties === undefined) return undefined
  const { euPerSubslice, slices, subslices } = deviceProperties
  const all = [euPerSubslice, subslices, slices].reduce((product, at) => product * properties.readUInt32LE(at), 1)
  return all > 0 ? all / stacks : undefined
}
