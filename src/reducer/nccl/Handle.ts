/**
 * Metrics in a GPU's memory, as a line of a job says where they are:
 *
 *     {"$cuda": {"handle": "<base64>", "offset": 0, "dtype": "f32", "keys": ["loss", "acc"], "event": "<base64>"}, "step": 7}
 *
 * - `handle`: the 64 bytes of cudaIpcGetMemHandle (or cuIpcGetMemHandle); `offset`: where the values begin behind the
 *   beginning of that allocation, in bytes. They lie side by side, in the order of `keys`.
 * - `dtype`: f32, f64, bf16 or f16. What the device holds is converted exactly.
 * - `event`: the 64 bytes of an interprocess event that was recorded behind the work that writes the values. Without it they
 *   must be there when the line is written.
 * - `check`: `{"offset": bytes, "value": number}`: a float64 of the same allocation that has this value as long as the values
 *   are those of this line. It is looked at before and after reading them; so memory can be used again, and what came too
 *   late is refused, not taken for another step's.
 * - `device`: which of the visible GPUs; that of the local rank where it is not said.
 * - Beside `$cuda`, a record may have anything that other records have.
 *
 * @since 0.4.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * @category models
 * @since 0.4.0
 */
export type Dtype = keyof typeof widths

/**
 * How many bytes a value has.
 *
 * @category models
 * @since 0.4.0
 */
export const widths = { f32: 4, f64: 8, bf16: 2, f16: 2 } as const

/**
 * @category models
 * @since 0.4.0
 */
export interface Handle {
  readonly handle: Uint8Array
  readonly offset: number
  readonly dtype: Dtype
  readonly keys: ReadonlyArray<string>
  readonly event?: Uint8Array | undefined
  readonly check?: { readonly offset: number; readonly value: number } | undefined
  readonly device?: number | undefined
}

/**
 * Why it is none.
 *
 * @category models
 * @since 0.4.0
 */
export interface Refused {
  readonly _tag: "Refused"
  readonly reason: string
}

// -----------------------------------------------------------------------------
// Decoding
// -----------------------------------------------------------------------------

/**
 * What `$cuda` says, or why it says nothing.
 *
 * @category decoding
 * @since 0.4.0
 */
export const decode = (value: unknown): Handle | Refused => {
  if (!isObject(value)) return refuse("is no object")
  const handle = bytes64(value["handle"])
  if (handle === undefined) return refuse("needs a handle: 64 bytes in base64")
  const { dtype, keys } = value
  if (typeof dtype !== "string" || !isDtype(dtype)) return refuse("needs a dtype: f32, f64, bf16 or f16")
  const offset = value["offset"] ?? 0
  if (!isOffset(offset) || offset % widths[dtype] !== 0) {
    return refuse("has an offset that is no multiple of a value's bytes")
  }
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > mostKeys) return refuse("needs keys, a list of names")
  const names = keys.filter((key) => typeof key === "string" && key !== "")
  if (names.length !== keys.length) return refuse("has a key that is no name")
  if (new Set(names).size !== names.length) return refuse("names a key twice")
  const event = value["event"] === undefined || value["event"] === null ? undefined : bytes64(value["event"])
  if (event === undefined && typeof value["event"] === "string") {
    return refuse("has an event that is not 64 bytes in base64")
  }
  const device = value["device"] ?? undefined
  if (device !== undefined && !isOffset(device)) return refuse("has a device that is no number from 0")
  const check = checkOf(value["check"])
  if (check === null) return refuse("has a check that is no offset (a multiple of 8) and a value")
  return { handle, offset, dtype, keys: names, event, check, device }
}

/**
 * Whether {@link decode} refused.
 *
 * @category guards
 * @since 0.4.0
 */
export const isRefused = (result: Handle | Refused): result is Refused => "_tag" in result

/**
 * A handle as `$cuda` has it.
 *
 * @category encoding
 * @since 0.4.0
 */
export const encode = ({ check, device, dtype, event, handle, keys, offset }: Handle): object => ({
  handle: base64(handle),
  offset,
  dtype,
  keys,
  ...(event === undefined ? {} : { event: base64(event) }),
  ...(check === undefined ? {} : { check }),
  ...(device === undefined ? {} : { device })
})

// -----------------------------------------------------------------------------
// Values
// -----------------------------------------------------------------------------

/**
 * Numbers of a device as doubles: exactly what they are.
 *
 * @category values
 * @since 0.4.0
 */
export const valuesOf = (dtype: Dtype, bytes: Uint8Array): Float64Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const width = widths[dtype]
  const values = new Float64Array(Math.floor(bytes.length / width))
  for (let i = 0; i < values.length; i++) values[i] = readers[dtype](view, i * width)
  return values
}

const word = new DataView(new ArrayBuffer(4))

const readers: { readonly [D in Dtype]: (view: DataView, at: number) => number } = {
  f32: (view, at) => view.getFloat32(at, true),
  f64: (view, at) => view.getFloat64(at, true),
  // The upper half of a float32.
  bf16: (view, at) => {
    word.setUint32(0, view.getUint16(at, true) * 65_536, true)
    return word.getFloat32(0, true)
  },
  f16: (view, at) => {
    const bits = view.getUint16(at, true)
    const sign = bits >= 0x8000 ? -1 : 1
    const exponent = (bits >>> 10) & 31
    const fraction = bits & 1023
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const mostKeys = 65_536

const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isDtype = (name: string): name is Dtype => Object.hasOwn(widths, name)

const isOffset = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

const bytes64 = (text: unknown): Uint8Array | undefined => {
  if (typeof text !== "string" || !/^[\w+/-]{85,86}={0,2}$/.test(text)) return undefined
  const bytes = Buffer.from(text, "base64")
  return bytes.length === 64 ? bytes : undefined
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

/** null: there is one that makes no sense. */
const checkOf = (check: unknown): Handle["check"] | null => {
  if (check === undefined || check === null) return undefined
  if (!isObject(check)) return null
  const { offset, value } = check
  return isOffset(offset) && offset % 8 === 0 && typeof value === "number" && Number.isFinite(value)
    ? { offset, value }
    : null
}

const refuse = (reason: string): Refused => ({ _tag: "Refused", reason: `$cuda ${reason}` })
