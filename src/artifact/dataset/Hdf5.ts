/**
 * The HDF5 library, and what it does not offer: a fill value, and files that are the same to the byte.
 *
 * A dataset's object header (version 1, as the library writes it under the bounds used here) starts with a prefix of
 * 16 bytes, `version reserved messages:u16 references:u32 size:u32 pad:u32`, and goes on with `size` bytes of
 * messages, each `type:u16 size:u16 flags:u8 reserved:3` and its data, padded to 8. Two of them matter here:
 *
 *     0x0005  fill value           version alloc-time write-time defined size:u32 [value]
 *     0x0012  modification time    8 bytes, optional
 *
 * The library writes a fill value of size 0, and chunks nobody wrote read as zeros. {@link seal} takes the 8 bytes of
 * the modification time for a fill value of NaN: such chunks read as NaN and take no place in the file, and a file is
 * the same whenever it is written. Both messages are too small to be moved out of the first block of the header when
 * attributes are added to it.
 *
 * @since 0.1.0
 */
import type { File as H5File, h5wasm } from "h5wasm/node"
import * as fs from "node:fs"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** The loaded library. */
export interface Hdf5 {
  readonly File: typeof H5File
  readonly module: Awaited<typeof h5wasm.ready>
}

/** A file that is open in the library. */
export type Handle = H5File

const signature = Buffer.from("\x89HDF\r\n\x1a\n", "latin1")

/** The bounds under which every HDF5 since 1.8 can read what is written, and headers are of version 1. */
export const libver: ["earliest", "v110"] = ["earliest", "v110"]

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** Loads the library (about 100 ms the first time) and has it throw where it would print. */
export const load = async (): Promise<Hdf5> => {
  const { File, ready } = await import("h5wasm/node")
  const module = await ready
  module.activate_throwing_error_handler()
  return { File, module }
}

// -----------------------------------------------------------------------------
// Operations
// -----------------------------------------------------------------------------

/** Writes numbers into a part of a dataset that starts at `offset` and has the extents `count`. */
export const write = (
  hdf5: Hdf5,
  handle: Handle,
  path: string,
  offset: ReadonlyArray<number>,
  count: ReadonlyArray<number>,
  data: Float64Array | BigInt64Array
): void => {
  const { module } = hdf5
  const pointer = module._malloc(data.byteLength)
  if (pointer === 0) throw new Error(`there is no memory for ${data.byteLength} bytes of ${path}`)
  try {
    module.HEAPU8.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), pointer)
    const status = module.set_dataset_data(
      handle.file_id,
      path,
      count.map(BigInt),
      offset.map(BigInt),
      count.map(() => 1n),
      BigInt(pointer)
    )
    if (status < 0) throw new Error(`HDF5 could not write ${path}`)
  } finally {
    module._free(pointer)
  }
}

/** Where in the file a dataset's object header starts. */
export const address = (hdf5: Hdf5, handle: Handle, path: string): number => {
  const reference = Uint8Array.from(hdf5.module.create_object_reference(handle.file_id, path))
  return Number(new DataView(reference.buffer).getBigUint64(0, true))
}

/** Fails where a file cannot be read or is something else: the library says less, and loses a descriptor over it. */
export const check = (path: string): void => {
  const file = fs.openSync(path, "r")
  try {
    const start = Buffer.alloc(signature.length)
    fs.readSync(file, start, 0, start.length, 0)
    if (!start.equals(signature)) throw new Error("it is not an HDF5 file")
  } finally {
    fs.closeSync(file)
  }
}

/** What to tell of an error: of the library's whole stack of messages, the system's error or the first line. */
export const reason = (error: unknown): Error => {
  const text = error instanceof Error ? error.message : String(error)
  if (!text.startsWith("HDF5-DIAG") && text !== "") return error instanceof Error ? error : new Error(text)
  const system = /errno = \d+, error message = '([^']+)'/.exec(text)?.[1]
  const first = /#000: .*?\(\): (.*)/.exec(text)?.[1]
  return new Error(system ?? first ?? "the HDF5 library gave no reason")
}

// -----------------------------------------------------------------------------
// Sealing
// -----------------------------------------------------------------------------

const prefixSize = 16
const messageHeaderSize = 8
const fillValue = 0x0005
const modificationTime = 0x0012
const nil = 0x0000

/**
 * Gives the datasets whose headers start at `filled` a fill value of NaN, and takes the modification time from them
 * and from those at `plain`. The file must be closed in the library.
 */
export const seal = (path: string, filled: Iterable<number>, plain: Iterable<number>): void => {
  const file = fs.openSync(path, "r+")
  try {
    for (const header of filled) rewrite(file, header, true)
    for (const header of plain) rewrite(file, header, false)
  } finally {
    fs.closeSync(file)
  }
}

const rewrite = (file: number, header: number, fill: boolean): void => {
  const prefix = read(file, header, prefixSize)
  const size = prefix.readUInt32LE(8)
  if (prefix[0] !== 1 || size > 65_536) throw new Error(`there is no object header of version 1 at ${header}`)
  const before = read(file, header + prefixSize, size)
  const after = Buffer.alloc(size)
  let filled = false
  let timed = false
  let to = 0
  for (let from = 0; from < size;) {
    const type = before.readUInt16LE(from)
    const end = from + messageHeaderSize + before.readUInt16LE(from + 2)
    before.copy(after, to, from, end)
    const start = to
    to += end - from
    if (type === fillValue && fill) {
      filled = true
      after.writeUInt16LE(16, start + 2)
      after.writeUInt32LE(8, start + messageHeaderSize + 4)
      to = start + messageHeaderSize + 16
      after.writeDoubleLE(NaN, to - 8)
    } else if (type === modificationTime) {
      timed = true
      after.writeUInt16LE(nil, start)
      after.fill(0, start + messageHeaderSize, to)
      if (fill) {
        after.writeUInt16LE(0, start + 2)
        to = start + messageHeaderSize
      }
    }
    from = end
  }
  if (!timed || filled !== fill || to !== size) throw new Error(`the object header at ${header} is not as expected`)
  fs.writeSync(file, after, 0, size, header + prefixSize)
}

const read = (file: number, position: number, size: number): Buffer => {
  const buffer = Buffer.alloc(size)
  if (fs.readSync(file, buffer, 0, size, position) !== size) throw new Error("the file ends too early")
  return buffer
}
