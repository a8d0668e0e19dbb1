/**
 * CUDA's driver, as far as a bridge needs it: a device's memory, copies, and what other processes have there.
 *
 * The driver's own functions (`libcuda.so.1`) are called, which are wherever there is a driver; the toolkit's library
 * (libcudart) is not needed. Structures are bytes.
 *
 * Memory of other processes stays open until others take its place: opening it is slow, and a job hands the same few
 * allocations over again and again.
 *
 * @since 0.4.0
 */
import { setImmediate, setTimeout } from "node:timers/promises"
import type { Environment } from "../../../Rank.ts"
import { EngineError } from "../Engine.ts"
import * as Handle from "../Handle.ts"
import * as Library from "./Library.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * @category models
 * @since 0.4.0
 */
export interface Driver {
  readonly path: string
  readonly version: string
  readonly count: number
  /** The device of this number, made the thread's; the same again is the same. */
  readonly open: (ordinal: number) => Device
}

/**
 * @category models
 * @since 0.4.0
 */
export interface Device {
  readonly name: string
  readonly stream: bigint
  readonly allocate: (bytes: number) => Buffer
  /** Waits until all in the stream is done; `look` is called meanwhile, and may throw. */
  readonly settled: (look: () => void) => Promise<void>
  /** The numbers of another process. */
  readonly values: (handle: Handle.Handle) => Promise<Float64Array>
}

/**
 * Memory on a device.
 *
 * @category models
 * @since 0.4.0
 */
export interface Buffer {
  readonly address: bigint
  readonly bytes: number
  readonly write: (bytes: Uint8Array) => void
  readonly read: (bytes: number) => Uint8Array
  readonly free: () => void
}

// -----------------------------------------------------------------------------
// Loading
// -----------------------------------------------------------------------------

const notReady = 600
const nonBlocking = 1
const blockingSync = 4
const lazyPeerAccess = 1
/** So much of other processes is kept open. */
const mostOpen = 16
/** How long what a job has begun may take until its values are there. */
const eventMillis = 30_000

/**
 * The driver, with at least one device.
 *
 * @category constructors
 * @since 0.4.0
 */
export const load = async (environment: Environment): Promise<Driver> => {
  const library = await Library.load("the CUDA driver", Library.cudaPlaces(environment))
  const textOf = library.textAt("cuGetErrorString")
  const failure = (name: string, status: number): EngineError =>
    new EngineError("failed", `${name}: ${textOf(status) ?? `error ${status}`}`)
  const bound = (name: string, types: ReadonlyArray<Library.ArgumentType>) => {
    const call = library.call(name, types)
    return (...args: ReadonlyArray<Library.Argument>): void => {
      const status = call(...args)
      if (status !== 0) throw failure(name, status)
    }
  }
  const number = (
    call: (...args: ReadonlyArray<Library.Argument>) => void,
    ...args: ReadonlyArray<Library.Argument>
  ) => {
    const out = globalThis.Buffer.alloc(4)
    call(out, ...args)
    return out.readInt32LE()
  }
  const address = (
    call: (...args: ReadonlyArray<Library.Argument>) => void,
    ...args: ReadonlyArray<Library.Argument>
  ) => {
    const out = globalThis.Buffer.alloc(8)
    call(out, ...args)
    return out.readBigUInt64LE()
  }

  const status = library.call("cuInit", ["uint32"])(0)
  if (status !== 0) {
    throw new EngineError(
      "missing",
      `the CUDA driver (${library.path}) does not start: ${textOf(status) ?? `error ${status}`}`
    )
  }
  const version = number(bound("cuDriverGetVersion", ["void *"]))
  const count = number(bound("cuDeviceGetCount", ["void *"]))
  if (count === 0) throw new EngineError("missing", `the CUDA driver (${library.path}) shows no GPU`)
  const getDevice = bound("cuDeviceGet", ["void *", "int"])
  const getName = bound("cuDeviceGetName", ["void *", "int", "int"])
  // Where its flags are set already, somebody in this process wanted them so.
  const setFlags = library.call("cuDevicePrimaryCtxSetFlags_v2", ["int", "uint32"])
  const retain = bound("cuDevicePrimaryCtxRetain", ["void *", "int"])
  const setCurrent = bound("cuCtxSetCurrent", ["uintptr"])
  const makeStream = bound("cuStreamCreate", ["void *", "uint32"])
  const query = library.call("cuStreamQuery", ["uintptr"])
  const synchronize = bound("cuStreamSynchronize", ["uintptr"])
  const waitFor = bound("cuStreamWaitEvent", ["uintptr", "uintptr", "uint32"])
  const allocate = bound("cuMemAlloc_v2", ["void *", "size_t"])
  const free = library.call("cuMemFree_v2", ["uintptr"])
  const toDevice = bound("cuMemcpyHtoDAsync_v2", ["uintptr", "void *", "size_t", "uintptr"])
  const toHost = bound("cuMemcpyDtoHAsync_v2", ["void *", "uintptr", "size_t", "uintptr"])
  const range = bound("cuMemGetAddressRange_v2", ["void *", "void *", "uintptr"])
  const openMemory = bound("cuIpcOpenMemHandle_v2", ["void *", "bytes64", "uint32"])
  const closeMemory = library.call("cuIpcCloseMemHandle", ["uintptr"])
  const openEvent = bound("cuIpcOpenEventHandle", ["void *", "bytes64"])
  const destroyEvent = library.call("cuEventDestroy_v2", ["uintptr"])

  const make = (ordinal: number): Device => {
    const device = number(getDevice, ordinal)
    const name = globalThis.Buffer.alloc(256)
    getName(name, name.length, device)
    // A bridge that waits must not take a core from the training.
    setFlags(device, blockingSync)
    const context = address(retain, device)
    setCurrent(context)
    const stream = address(makeStream, nonBlocking)
    // A stream of its own: what a job is waited for must not hold up what goes through NCCL.
    const reading = address(makeStream, nonBlocking)
    const settle = async (which: bigint, look: () => void): Promise<void> => {
      for (let i = 0;; i++) {
        setCurrent(context)
        const status = query(which)
        if (status === 0) return
        if (status !== notReady) throw failure("cuStreamQuery", status)
        look()
        await (i < 32 ? setImmediate() : setTimeout(1))
      }
    }
    const copy = (from: bigint, bytes: number, which: bigint): Uint8Array => {
      const out = new Uint8Array(bytes)
      toHost(out, from, bytes, which)
      return out
    }
    const memory = makeKept((handle) => address(openMemory, { bytes: handle }, lazyPeerAccess), closeMemory)
    const events = makeKept((handle) => address(openEvent, { bytes: handle }), destroyEvent)

    return {
      name: textIn(name),
      stream,
      allocate: (bytes) => {
        setCurrent(context)
        const at = address(allocate, bytes)
        return {
          address: at,
          bytes,
          write: (from) => toDevice(at, from, from.length, stream),
          read: (length) => {
            const out = copy(at, length, stream)
            synchronize(stream)
            return out
          },
          free: () => void free(at)
        }
      },
      settled: (look) => settle(stream, look),
      values: async ({ check, dtype, event, handle, keys, offset }) => {
        setCurrent(context)
        const at = memory(handle)
        const bytes = keys.length * Handle.widths[dtype]
        const base = globalThis.Buffer.alloc(8)
        const size = globalThis.Buffer.alloc(8)
        range(base, size, at)
        const end = Math.max(offset + bytes, check === undefined ? 0 : check.offset + 8)
        if (end > Number(size.readBigUInt64LE())) {
          throw new EngineError("refused", "$cuda reaches beyond the memory that its handle is of")
        }
        if (event !== undefined) waitFor(reading, events(event), 0)
        const until = performance.now() + eventMillis
        await settle(reading, () => {
          if (performance.now() > until) {
            throw new EngineError("refused", `the event of $cuda has not come for ${eventMillis / 1000} s`)
          }
        })
        const mark = (): Uint8Array | undefined =>
          check === undefined ? undefined : copy(at + BigInt(check.offset), 8, reading)
        const before = mark()
        const values = copy(at + BigInt(offset), bytes, reading)
        const after = mark()
        synchronize(reading)
        for (const bytes of [before, after]) {
          if (bytes === undefined || Handle.valuesOf("f64", bytes)[0] === check?.value) continue
          throw new EngineError("refused", "the memory of $cuda was used again before it was read")
        }
        return Handle.valuesOf(dtype, values)
      }
    }
  }

  const devices = new Map<number, Device>()
  return {
    path: library.path,
    version: `${Math.floor(version / 1000)}.${Math.floor(version % 1000 / 10)}`,
    count,
    open: (ordinal) => {
      if (ordinal >= count) throw new EngineError("refused", `there is no GPU ${ordinal}: ${count} are visible`)
      const device = devices.get(ordinal) ?? make(ordinal)
      devices.set(ordinal, device)
      return device
    }
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** What is opened by 64 bytes, and stays so until too many others are. */
const makeKept = (open: (handle: Uint8Array) => bigint, close: (address: bigint) => number) => {
  const kept = new Map<string, bigint>()
  return (handle: Uint8Array): bigint => {
    const key = globalThis.Buffer.from(handle).toString("base64")
    const known = kept.get(key)
    kept.delete(key)
    const address = known ?? open(handle)
    kept.set(key, address)
    for (const [oldest, at] of kept) {
      if (kept.size <= mostOpen) break
      kept.delete(oldest)
      close(at)
    }
    return address
  }
}

const textIn = (bytes: Uint8Array): string => globalThis.Buffer.from(bytes).toString("utf8").replace(/\0.*$/s, "")
