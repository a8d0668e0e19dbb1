/**
 * NVIDIA's management library (NVML), which nvidia-smi is made of, asked directly: no process is started.
 *
 * The library is looked for as EZPZ_NVML says (a path; `off`: not at all), else as `libnvidia-ml.so.1` where the system has
 * its libraries (LD_LIBRARY_PATH among them), else where WSL, NixOS and container runtimes put it; on Windows as
 * `nvml.dll`. It is not looked for where the kernel shows no NVIDIA device. It is initialized once in the life of the process
 * and never shut down: others in the process may use it.
 *
 * What a device cannot tell (most MIG slices have no power of their own) is undefined.
 *
 * @since 0.4.0
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Environment } from "../Rank.ts"
import * as Foreign from "./Foreign.ts"
import type { Gpu } from "./Text.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The library, initialized.
 *
 * @category models
 * @since 0.4.0
 */
export interface Nvml {
  readonly path: string
  readonly driver: string | undefined
  readonly count: () => Promise<number>
  /** By the number nvidia-smi gives it, or by its UUID (also a MIG slice's). */
  readonly device: (which: number | string) => Promise<Device | undefined>
}

/**
 * One device. Memory in bytes: `used` by processes, `reserved` by the driver and the firmware.
 *
 * @category models
 * @since 0.4.0
 */
export interface Device {
  readonly name: string | undefined
  readonly uuid: string | undefined
  readonly memory: () => Promise<Memory | undefined>
  readonly gpu: () => Promise<Gpu>
}

/**
 * A device's memory, in bytes.
 *
 * @category models
 * @since 0.4.0
 */
export interface Memory {
  readonly total: number
  readonly used: number
  readonly reserved: number
}

/**
 * Why there is no library to ask. `absent`: because there is nothing to ask about.
 *
 * @category models
 * @since 0.4.0
 */
export interface Missing {
  readonly missing: string
  readonly absent?: boolean
}

// -----------------------------------------------------------------------------
// Loading
// -----------------------------------------------------------------------------

const loaded = new Map<string, Promise<Nvml | Missing>>()

/**
 * The library of this process, loaded when it is first asked for.
 *
 * @category constructors
 * @since 0.4.0
 */
export const load = (environment: Environment, root = "/"): Promise<Nvml | Missing> => {
  const asked = environment["EZPZ_NVML"]?.trim() ?? ""
  if (/^(?:off|none|no|false|0)$/i.test(asked)) return Promise.resolve({ missing: "EZPZ_NVML turns it off" })
  if (asked === "" && !present(root)) return Promise.resolve({ missing: "there is no NVIDIA device", absent: true })
  const known = loaded.get(asked)
  if (known !== undefined) return known
  const loading = initialize(asked === "" ? places() : [asked]).catch((error: unknown) => ({ missing: String(error) }))
  loaded.set(asked, loading)
  return loading
}

/** What the kernel, WSL, or Windows shows where there is a driver. Cheap, unlike loading koffi to find nothing. */
const present = (root: string): boolean =>
  process.platform === "win32" ||
  ["proc/driver/nvidia/version", "dev/nvidiactl", "dev/dxg"].some((path) => Fs.existsSync(Path.join(root, path)))

const places = (): ReadonlyArray<string> =>
  process.platform === "win32"
    ? ["nvml.dll", "C:\\Program Files\\NVIDIA Corporation\\NVSMI\\nvml.dll"]
    : [
      "libnvidia-ml.so.1",
      "/usr/lib/wsl/lib/libnvidia-ml.so.1",
      "/run/opengl-driver/lib/libnvidia-ml.so.1",
      "/usr/local/nvidia/lib64/libnvidia-ml.so.1"
    ]

const initialize = async (paths: ReadonlyArray<string>): Promise<Nvml | Missing> => {
  const library = await Foreign.open(paths)
  if (!Foreign.isLibrary(library)) return { missing: `${library.looked.join(", ")}: ${library.reason}` }
  const init = library.call("nvmlInit_v2", [])
  if (init === undefined) return { missing: `${library.path} is no NVML` }
  const status = await init()
  if (status !== success) return { missing: `${library.path} does not start: ${errors.get(status) ?? status}` }
  return bind(library)
}

const success = 0

/** nvmlReturn_t, of what nvmlInit_v2 may give. */
const errors = new Map([
  [2, "invalid argument"],
  [4, "no permission"],
  [8, "the GPUs have no power"],
  [9, "the driver is not loaded"],
  [11, "a kernel interrupt problem"],
  [12, "the library is incomplete"],
  [15, "a GPU is lost"],
  [17, "the operating system blocks it"],
  [18, "library and driver have different versions"],
  [999, "unknown error"]
])

// -----------------------------------------------------------------------------
// Functions
// -----------------------------------------------------------------------------

/** Structures as nvml.h has them; the second version of memory is known from driver 510 on. */
const memoryV2 = { size: 40, version: 2, total: 8, reserved: 16, used: 32 }
const memoryV1 = { size: 24, total: 0, used: 16 }
const nameLength = 96

const bind = async (library: Foreign.Library): Promise<Nvml> => {
  const driverVersion = library.call("nvmlSystemGetDriverVersion", ["void *", "uint32"])
  const getCount = library.call("nvmlDeviceGetCount_v2", ["void *"])
  const byIndex = library.call("nvmlDeviceGetHandleByIndex_v2", ["uint32", "void *"])
  const byUuid = library.call("nvmlDeviceGetHandleByUUID", ["str", "void *"])
  const getName = library.call("nvmlDeviceGetName", ["uintptr", "void *", "uint32"])
  const getUuid = library.call("nvmlDeviceGetUUID", ["uintptr", "void *", "uint32"])
  const memoryNew = library.call("nvmlDeviceGetMemoryInfo_v2", ["uintptr", "void *"])
  const memoryOld = library.call("nvmlDeviceGetMemoryInfo", ["uintptr", "void *"])
  const utilization = library.call("nvmlDeviceGetUtilizationRates", ["uintptr", "void *"])
  const temperature = library.call("nvmlDeviceGetTemperature", ["uintptr", "uint32", "void *"])
  const power = library.call("nvmlDeviceGetPowerUsage", ["uintptr", "void *"])
  const powerLimit = library.call("nvmlDeviceGetEnforcedPowerLimit", ["uintptr", "void *"])

  /** What a function writes behind its last pointer. */
  const asked = async (
    call: Foreign.Call | undefined,
    size: number,
    args: (memory: Buffer) => ReadonlyArray<Foreign.Argument>
  ): Promise<Buffer | undefined> => {
    const memory = Buffer.alloc(size)
    return call !== undefined && await call(...args(memory)) === success ? memory : undefined
  }
  const text = async (call: Foreign.Call | undefined, first: ReadonlyArray<Foreign.Argument>) => {
    const memory = await asked(call, nameLength, (memory) => [...first, memory, nameLength])
    return memory === undefined ? undefined : Foreign.cString(memory)
  }

  const memoryOf = async (handle: bigint): Promise<Memory | undefined> => {
    const now = await asked(memoryNew, memoryV2.size, (memory) => {
      memory.writeUInt32LE(memoryV2.size | memoryV2.version << 24)
      return [handle, memory]
    })
    if (now !== undefined) {
      const { reserved, total, used } = memoryV2
      return { total: long(now, total), used: long(now, used), reserved: long(now, reserved) }
    }
    // The first version counts what is reserved as used.
    const old = await asked(memoryOld, memoryV1.size, (memory) => [handle, memory])
    return old === undefined
      ? undefined
      : { total: long(old, memoryV1.total), used: long(old, memoryV1.used), reserved: 0 }
  }

  const gpuOf = async (handle: bigint): Promise<Gpu> => {
    const memory = await memoryOf(handle)
    const rates = await asked(utilization, 8, (memory) => [handle, memory])
    const celsius = await asked(temperature, 4, (memory) => [handle, 0, memory])
    const milliwatts = await asked(power, 4, (memory) => [handle, memory])
    const milliwattsMost = await asked(powerLimit, 4, (memory) => [handle, memory])
    return {
      utilization: rates?.readUInt32LE(),
      used: memory?.used,
      total: memory?.total,
      watts: thousandth(milliwatts?.readUInt32LE()),
      wattsMost: thousandth(milliwattsMost?.readUInt32LE()),
      celsius: celsius?.readUInt32LE()
    }
  }

  return {
    path: library.path,
    driver: await text(driverVersion, []),
    count: async () => (await asked(getCount, 4, (memory) => [memory]))?.readUInt32LE() ?? 0,
    device: async (which) => {
      const found = typeof which === "number"
        ? await asked(byIndex, 8, (memory) => [which, memory])
        : await asked(byUuid, 8, (memory) => [which, memory])
      if (found === undefined) return undefined
      const handle = found.readBigUInt64LE()
      return {
        name: await text(getName, [handle]),
        uuid: await text(getUuid, [handle]),
        memory: () => memoryOf(handle),
        gpu: () => gpuOf(handle)
      }
    }
  }
}

/** Beyond 2^53 bytes there is no memory. */
const long = (memory: Buffer, at: number): number => Number(memory.readBigUInt64LE(at))

const thousandth = (value: number | undefined): number | undefined => value === undefined ? undefined : value / 1000
