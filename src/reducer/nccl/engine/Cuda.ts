/**
 * The engine of NVIDIA's GPUs: bytes are copied to the device, go from there to the root's through NCCL, and are copied
 * back. The root receives from all that send in one group of calls. Numbers that a job has on its device are read through
 * CUDA's interprocess handles.
 *
 * - The GPU is that of the local rank, among those that are visible (CUDA_VISIBLE_DEVICES), counted around.
 * - Calls are made on the one thread of this process. What a device is to do is put into a stream, and looked at again and
 *   again until it is done: so the process hears what its rank says meanwhile, and may give up. What blocks all the same
 *   (joining, connecting) ends with the process, which the rank ends when it takes too long.
 * - NCCL from 2.7 on, which has send and receive. Without it handles can still be read.
 *
 * @since 0.4.0
 */
import type { Environment } from "../../../Rank.ts"
import { type Engine, EngineError, type Opening } from "../Engine.ts"
import * as Device from "./Device.ts"
import * as Library from "./Library.ts"

/**
 * @category constructors
 * @since 0.4.0
 */
export const open = async ({ localRank }: Opening, environment: Environment): Promise<Engine> => {
  if (process.platform !== "linux") throw new EngineError("missing", "NCCL is there on Linux alone")
  const driver = await Device.load(environment)
  const device = driver.open(localRank % driver.count)
  const nccl = await load(environment).catch((error: unknown) => {
    if (error instanceof EngineError) return error
    throw error
  })
  const has = nccl instanceof EngineError ? `no NCCL: ${nccl.reason}` : `NCCL ${nccl.version} (${nccl.path})`

  let communicator = 0n
  /** Grows when what was joined is given up. */
  let life = 0
  let buffer: Device.Buffer | undefined
  /** Interprocess memory is read by one at a time. */
  let reading: Promise<unknown> = Promise.resolve()

  const functions = (): Nccl => {
    if (nccl instanceof EngineError) throw nccl
    return nccl
  }
  const joined = (): Nccl => {
    if (communicator === 0n) throw new EngineError("failed", "there is no communicator")
    return functions()
  }
  const space = (bytes: number): Device.Buffer => {
    if (buffer === undefined || buffer.bytes < bytes) {
      buffer?.free()
      buffer = undefined
      buffer = device.allocate(Math.max(leastBytes, 2 * bytes))
    }
    return buffer
  }
  const done = (): Promise<void> => {
    const since = life
    return device.settled(() => {
      if (life !== since) throw new EngineError("failed", "the communicator was given up")
      joined().look(communicator)
    })
  }

  return {
    description: `${has}, CUDA ${driver.version} (${driver.path}), GPU ${localRank % driver.count}: ${device.name}`,
    carries: nccl instanceof EngineError ? nccl.reason : undefined,
    uniqueId: async () => functions().uniqueId(),
    join: async (rank, worldSize, id) => {
      communicator = functions().join(rank, worldSize, id)
    },
    send: async (bytes) => {
      const { address, write } = space(bytes.length)
      write(bytes)
      joined().send(address, bytes.length, communicator, device.stream)
      await done()
    },
    receive: async (sizes) => {
      const total = sizes.reduce((sum, size) => sum + size, 0)
      const { address, read } = space(total)
      joined().receive(address, sizes, communicator, device.stream)
      await done()
      return read(total)
    },
    read: (handle) => {
      const values = reading.then(() =>
        (handle.device === undefined ? device : driver.open(handle.device)).values(handle)
      )
      reading = values.catch(() => {})
      return values
    },
    leave: () => {
      life++
      const last = communicator
      communicator = 0n
      if (last !== 0n && !(nccl instanceof EngineError)) nccl.abort(last)
    }
  }
}

const leastBytes = 256 * 1024

// -----------------------------------------------------------------------------
// NCCL
// -----------------------------------------------------------------------------

interface Nccl {
  readonly path: string
  readonly version: string
  readonly uniqueId: () => Uint8Array
  readonly join: (rank: number, worldSize: number, id: Uint8Array) => bigint
  readonly send: (from: bigint, bytes: number, communicator: bigint, stream: bigint) => void
  /** From each rank so many bytes, one after the other. */
  readonly receive: (to: bigint, sizes: ReadonlyArray<number>, communicator: bigint, stream: bigint) => void
  /** Throws where the communicator has failed meanwhile. */
  readonly look: (communicator: bigint) => void
  readonly abort: (communicator: bigint) => void
}

const idBytes = 128
const uint8 = 1
const inProgress = 7
/** 2.7.0. Since 2.9 a version has a digit more. */
const leastVersion = 2700

/** For people: 2.19.3 of 21903, 2.8.4 of 2804. */
export const versionText = (code: number): string => {
  const thousands = code >= 10_000 ? 10_000 : 1000
  return `${Math.floor(code / thousands)}.${Math.floor(code % thousands / 100)}.${code % 100}`
}

/**
 * NCCL, found and new enough.
 *
 * @category constructors
 * @since 0.4.0
 */
export const load = async (environment: Environment): Promise<Nccl> => {
  const library = await Library.load("NCCL", Library.ncclPlaces(environment))
  const textOf = library.text("ncclGetErrorString", "int")
  const check = (name: string, status: number): void => {
    if (status !== 0 && status !== inProgress) throw new EngineError("failed", `${name}: ${textOf(status)}`)
  }
  const bound = (name: string, types: ReadonlyArray<Library.ArgumentType>) => {
    const call = library.call(name, types)
    return (...args: ReadonlyArray<Library.Argument>): void => check(name, call(...args))
  }
  const version = Buffer.alloc(4)
  bound("ncclGetVersion", ["void *"])(version)
  const code = version.readInt32LE()
  if (code < leastVersion) {
    throw new EngineError("missing", `NCCL ${versionText(code)} (${library.path}) is too old: 2.7 is needed`)
  }
  const getId = bound("ncclGetUniqueId", ["void *"])
  const init = bound("ncclCommInitRank", ["void *", "int", "bytes128", "int"])
  const start = bound("ncclGroupStart", [])
  const end = bound("ncclGroupEnd", [])
  const send = bound("ncclSend", ["uintptr", "size_t", "int", "int", "uintptr", "uintptr"])
  const receive = bound("ncclRecv", ["uintptr", "size_t", "int", "int", "uintptr", "uintptr"])
  const asyncError = bound("ncclCommGetAsyncError", ["uintptr", "void *"])
  const abort = library.call("ncclCommAbort", ["uintptr"])

  return {
    path: library.path,
    version: versionText(code),
    uniqueId: () => {
      const id = Buffer.alloc(idBytes)
      getId(id)
      return id
    },
    join: (rank, worldSize, id) => {
      if (id.length !== idBytes) throw new EngineError("refused", "an id that is none of NCCL")
      const communicator = Buffer.alloc(8)
      init(communicator, worldSize, { bytes: id }, rank)
      return communicator.readBigUInt64LE()
    },
    send: (from, bytes, communicator, stream) => send(from, bytes, uint8, 0, communicator, stream),
    receive: (to, sizes, communicator, stream) => {
      start()
      let at = to
      for (const [rank, bytes] of sizes.entries()) {
        if (bytes > 0) receive(at, bytes, uint8, rank, communicator, stream)
        at += BigInt(bytes)
      }
      end()
    },
    look: (communicator) => {
      const status = Buffer.alloc(4)
      asyncError(communicator, status)
      check("NCCL", status.readInt32LE())
    },
    abort: (communicator) => void abort(communicator)
  }
}
