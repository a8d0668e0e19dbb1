/**
 * The kernel of assembly.ts, ready to be used.
 *
 * @since 0.5.2
 */
import { binary } from "./binary.ts"

/**
 * A kernel with a memory of its own. Places are in bytes. It gives 1 where all columns are written, 0 where some are more
 * than it can do.
 *
 * @category models
 * @since 0.5.2
 */
export interface Kernel {
  /** The first double that is its user's. */
  readonly start: number
  /** Its memory, with room for so many doubles, or more. */
  readonly grow: (length: number) => Float64Array
  readonly describe: (rows: number, n: number, keys: number, out: number) => number
  readonly moments: (rows: number, n: number, keys: number, out: number) => number
}

/**
 * Undefined where there is no WebAssembly with vectors, as under `node --jitless`.
 *
 * @category constructors
 * @since 0.5.2
 */
export const load = (): Kernel | undefined => {
  const loaded = compiled()
  if (loaded === undefined) return undefined
  const { describe, memory, moments } = new loaded.Instance(loaded.module).exports
  // Its constants are in the first page.
  memory.grow(1)
  return {
    start: pageBytes / 8,
    grow: (length) => {
      memory.grow(Math.max(0, Math.ceil((8 * length - memory.buffer.byteLength) / pageBytes)))
      return new Float64Array(memory.buffer)
    },
    describe,
    moments
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** As much of the engine's interface as is used: Node's types do not have it. */
interface Engine {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: Exports }
}

interface Exports extends Pick<Kernel, "describe" | "moments"> {
  readonly memory: { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number }
}

const pageBytes = 65_536

let known: Pick<Engine, "Instance"> & { readonly module: object } | "none" | undefined

const compiled = (): Exclude<typeof known, "none"> => {
  known ??= compile()
  return known === "none" ? undefined : known
}

const compile = (): NonNullable<typeof known> => {
  const { WebAssembly: engine } = globalThis as { readonly WebAssembly?: Engine }
  if (engine === undefined) return "none"
  try {
    return { Instance: engine.Instance, module: new engine.Module(Buffer.from(binary, "base64")) }
  } catch {
    // It has no vectors.
    return "none"
  }
}
