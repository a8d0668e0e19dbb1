/**
 * Libraries of drivers, called through koffi.
 *
 * - koffi is an optional dependency: it is loaded when the first library is, so that who has no GPU does not wait for it,
 *   and where it is not installed there is no library.
 * - Calls run on a thread of koffi's, since a driver may take its time, or hang. Their stack is as large as that of a C
 *   program: koffi's own, of 128 KiB, is less than libraries may count on, and what runs out of it ends the process.
 * - A process does not end while a call is under way: Node waits for the thread. Where one has hung, `process.exit` ends the
 *   process without it.
 * - Structures are bytes of ours, at the offsets that 64-bit C gives their members: nothing is declared twice.
 *
 * @since 0.4.0
 */
import type * as Koffi from "koffi"
import { isMainThread } from "node:worker_threads"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What a function takes: a number, a text, or memory to read and write (a pointer).
 *
 * @category models
 * @since 0.4.0
 */
export type Argument = number | bigint | string | Uint8Array | null

/**
 * A C function that gives a status, and does not hold the process up.
 *
 * @category models
 * @since 0.4.0
 */
export type Call = (...args: ReadonlyArray<Argument>) => Promise<number>

/**
 * A library that has been found: `call` gives undefined for a function it does not have.
 *
 * @category models
 * @since 0.4.0
 */
export interface Library {
  readonly path: string
  readonly call: (name: string, types: ReadonlyArray<"uint32" | "uintptr" | "str" | "void *">) => Call | undefined
}

/**
 * Why there is none: what was looked for, and what was said.
 *
 * @category models
 * @since 0.4.0
 */
export interface NotFound {
  readonly looked: ReadonlyArray<string>
  readonly reason: string
}

// -----------------------------------------------------------------------------
// Loading
// -----------------------------------------------------------------------------

/**
 * The first of these libraries that can be loaded; names without a slash are looked for where the system has its
 * libraries.
 *
 * @category constructors
 * @since 0.4.0
 */
export const open = async (paths: ReadonlyArray<string>): Promise<Library | NotFound> => {
  const koffi = await import("koffi").catch((error: unknown) => text(error))
  if (typeof koffi === "string") return { looked: paths, reason: `koffi cannot be loaded: ${koffi}` }
  enlarge(koffi)
  let reason = ""
  for (const path of paths) {
    try {
      const library = koffi.load(path)
      return {
        path,
        call: (name, types) => {
          try {
            return promised(koffi, library.func(name, "int", [...types]))
          } catch {
            return undefined
          }
        }
      }
    } catch (error) {
      reason ||= text(error)
    }
  }
  return { looked: paths, reason }
}

const stackBytes = 8 * 1024 * 1024

const enlarge = ({ config }: typeof Koffi): void => {
  const now = config()
  if ((now.async_stack_size ?? 0) < stackBytes) config({ ...now, async_stack_size: stackBytes })
}

/**
 * Whether a library was found.
 *
 * @category guards
 * @since 0.4.0
 */
export const isLibrary = (library: Library | NotFound): library is Library => "call" in library

// -----------------------------------------------------------------------------
// Calling
// -----------------------------------------------------------------------------

interface Callable {
  readonly async: (...args: Array<Argument | ((error: unknown, result: number) => void)>) => unknown
}

const promised = (koffi: typeof Koffi, called: Callable): Call => (...args) =>
  new Promise((resolve, reject) => {
    underWay++
    // In the thread's time, not in the program's. Late, so that those who clean up when the process ends come first.
    const hung = setTimeout(() => endsWithoutIt(koffi), hungMillis)
    hung.unref()
    called.async(...args, (error, result) => {
      underWay--
      clearTimeout(hung)
      if (error === null || error === undefined) resolve(result)
      else reject(error instanceof Error ? error : new Error(String(error)))
    })
  })

const hungMillis = 900

let underWay = 0
let prepared = false

const endsWithoutIt = (koffi: typeof Koffi): void => {
  // A worker's end is not the process's, and Windows has no such function.
  if (prepared || !isMainThread || process.platform === "win32") return
  prepared = true
  const end = koffi.load(null).func("_exit", "void", ["int"])
  process.once("exit", (code) => {
    if (underWay > 0) end(code)
  })
}

const text = (error: unknown): string => error instanceof Error ? error.message.split("\n")[0] ?? "" : String(error)

/**
 * The text in memory that a function has written: to its first zero.
 *
 * @category reading
 * @since 0.4.0
 */
export const cString = (memory: Uint8Array, from = 0, to = memory.length): string => {
  const bytes = Buffer.from(memory.buffer, memory.byteOffset + from, to - from)
  const end = bytes.indexOf(0)
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end)
}
