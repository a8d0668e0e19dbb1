/**
 * Where CUDA's driver and NCCL are looked for, and how they are called: on this thread, since a device belongs to a thread.
 *
 * The driver, `libcuda.so.1`, in this order: EZPZ_CUDA_LIBRARY (a path, and then nowhere else); where the system has its
 * libraries (LD_LIBRARY_PATH among them); where WSL, NixOS and container runtimes put it.
 *
 * NCCL, `libnccl.so.2`: EZPZ_NCCL_LIBRARY (and then nowhere else); where the system has its libraries; in the CUDA toolkit
 * (CUDA_HOME, CUDA_PATH, /usr/local/cuda); in the Python environment (VIRTUAL_ENV, CONDA_PREFIX, and that of the first
 * `python3` and `python` in PATH): from its packages nvidia-nccl-cu12, -cu13 or of whichever CUDA, or conda's own.
 *
 * @since 0.4.0
 */
import type * as Koffi from "koffi"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Environment } from "../../../Rank.ts"
import { EngineError } from "../Engine.ts"

// -----------------------------------------------------------------------------
// Places
// -----------------------------------------------------------------------------

/**
 * @category places
 * @since 0.4.0
 */
export const cudaPlaces = (environment: Environment): ReadonlyArray<string> =>
  asked(environment, "EZPZ_CUDA_LIBRARY") ?? [
    "libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
    "/run/opengl-driver/lib/libcuda.so.1",
    "/usr/local/nvidia/lib64/libcuda.so.1"
  ]

/**
 * @category places
 * @since 0.4.0
 */
export const ncclPlaces = (environment: Environment): ReadonlyArray<string> => {
  const given = asked(environment, "EZPZ_NCCL_LIBRARY")
  if (given !== undefined) return given
  const toolkits = [environment["CUDA_HOME"], environment["CUDA_PATH"], "/usr/local/cuda"].flatMap((home) =>
    home === undefined || home === "" ? [] : [`${home}/lib64/${ncclName}`, `${home}/lib/${ncclName}`]
  )
  return [...new Set([ncclName, ...toolkits.filter(exists), ...pythonPrefixes(environment).flatMap(inPython)])]
}

const ncclName = "libnccl.so.2"

const asked = (environment: Environment, name: string): ReadonlyArray<string> | undefined => {
  const path = environment[name]?.trim() ?? ""
  return path === "" ? undefined : [path]
}

/** Python environments, the likeliest first. */
const pythonPrefixes = (environment: Environment): ReadonlyArray<string> => {
  const prefixes = [environment["VIRTUAL_ENV"], environment["CONDA_PREFIX"]]
  for (const directory of (environment["PATH"] ?? "").split(Path.delimiter)) {
    for (const name of ["python3", "python"]) {
      const python = Path.join(directory, name)
      if (directory === "" || !exists(python)) continue
      // A virtual environment's python is a link to one elsewhere, and both may have packages.
      prefixes.push(Path.dirname(directory), Path.dirname(Path.dirname(real(python))))
    }
  }
  return prefixes.flatMap((prefix) => prefix === undefined || prefix === "" ? [] : [prefix])
}

const inPython = (prefix: string): ReadonlyArray<string> => {
  const lib = Path.join(prefix, "lib")
  const versions = list(lib).filter((name) => /^python3(?:\.\d+)?$/.test(name))
  const packages = versions.flatMap((version) =>
    ["site-packages", "dist-packages"].map((name) => Path.join(lib, version, name, "nvidia", "nccl", "lib", ncclName))
  )
  return [...packages, Path.join(lib, ncclName)].filter(exists)
}

const exists = (path: string): boolean => Fs.existsSync(path)

const real = (path: string): string => {
  try {
    return Fs.realpathSync(path)
  } catch {
    return path
  }
}

const list = (directory: string): ReadonlyArray<string> => {
  try {
    return Fs.readdirSync(directory)
  } catch {
    return []
  }
}

// -----------------------------------------------------------------------------
// Loading
// -----------------------------------------------------------------------------

/**
 * What a function takes: numbers, addresses, memory, or bytes that are passed by value.
 *
 * @category models
 * @since 0.4.0
 */
export type Argument = number | bigint | Uint8Array | null | { readonly bytes: Uint8Array }

/**
 * The type of an argument; `bytes64` and `bytes128` are structures of so many bytes, by value.
 *
 * @category models
 * @since 0.4.0
 */
export type ArgumentType = "int" | "uint32" | "size_t" | "uintptr" | "void *" | "bytes64" | "bytes128"

/**
 * A library that is loaded. `call` throws where it has no such function.
 *
 * @category models
 * @since 0.4.0
 */
export interface Library {
  readonly path: string
  readonly call: (name: string, types: ReadonlyArray<ArgumentType>) => (...args: ReadonlyArray<Argument>) => number
  /** A function that gives a text. */
  readonly text: (name: string, type: ArgumentType) => (argument: Argument) => string
  /** A function that writes the address of a text. */
  readonly textAt: (name: string) => (status: number) => string | undefined
}

/**
 * The first of these that can be loaded; `what` is what people call it.
 *
 * @category constructors
 * @since 0.4.0
 */
export const load = async (what: string, paths: ReadonlyArray<string>): Promise<Library> => {
  const koffi = await import("koffi").catch((error: unknown) => {
    throw new EngineError("missing", `koffi, which calls libraries, cannot be loaded: ${message(error)}`)
  })
  const reasons: Array<string> = []
  for (const path of paths) {
    try {
      return bind(koffi, path, koffi.load(path))
    } catch (error) {
      reasons.push(message(error))
    }
  }
  // What the loader says of a file that is there says more than that another is not.
  const reason = reasons.find((text) => !text.includes("No such file")) ?? reasons[0] ?? ""
  throw new EngineError("missing", `${what} cannot be loaded: ${paths.join(", ")}: ${reason}`)
}

/**
 * The process ends with the one that has started it, even while it waits in a library for ever.
 *
 * @category constructors
 * @since 0.4.0
 */
export const endWithParent = async (): Promise<void> => {
  if (process.platform !== "linux") return
  const { load } = await import("koffi")
  const setDeathSignal = 1
  load(null).func("prctl", "int", ["int", "uintptr"])(setDeathSignal, 9)
  // It may have ended before.
  if (process.ppid === 1) process.exit(1)
}

const bind = (koffi: typeof Koffi, path: string, library: Koffi.LibraryHandle): Library => {
  const value = (type: ArgumentType): string | Koffi.TypeObject =>
    type === "bytes64" ? blob(koffi, 64) : type === "bytes128" ? blob(koffi, 128) : type
  return {
    path,
    call: (name, types) => {
      const called = library.func(name, "int", types.map(value))
      return (...args) => called(...args)
    },
    text: (name, type) => {
      const called = library.func(name, "str", [value(type)])
      return (argument) => called(argument)
    },
    textAt: (name) => {
      const called = library.func(name, "int", ["int", koffi.out(koffi.pointer("str"))])
      return (status) => {
        const out: Array<string | null> = [null]
        called(status, out)
        return out[0] ?? undefined
      }
    }
  }
}

const blobs = new Map<number, Koffi.TypeObject>()

const blob = (koffi: typeof Koffi, size: number): Koffi.TypeObject => {
  const known = blobs.get(size) ?? koffi.struct({ bytes: koffi.array("uint8_t", size) })
  blobs.set(size, known)
  return known
}

const message = (error: unknown): string => error instanceof Error ? error.message.split("\n")[0] ?? "" : String(error)
