/**
 * What a rank and its bridge say to one another over their pipe, as bytes.
 *
 * The rules:
 *
 * - A message is a header of 16 bytes and a payload: u32 length of the payload, u32 number, u8 type, seven zeros; little
 *   endian.
 * - The rank asks, and numbers what it asks. Each request has one answer with its number, `done` or `failed`, in whatever
 *   order; the bridge says nothing else.
 * - Payloads: `open` and `read` are JSON, `failed` is {@link Failure} as JSON; `join` is u32 rank, u32 world size and the
 *   communicator's id; `receive` is a u32 for each rank, how many bytes come from it; `send` and `done` are bytes.
 * - A payload is at most 1 GiB. A length beyond that, or a type that is not known, means that the other side is no bridge (or
 *   no rank): the pipe is given up.
 *
 * @since 0.4.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The types of messages, by their codes.
 *
 * @category models
 * @since 0.4.0
 */
export const codes = {
  open: 1,
  id: 2,
  join: 3,
  send: 4,
  receive: 5,
  read: 6,
  leave: 7,
  done: 64,
  failed: 65
} as const

/**
 * @category models
 * @since 0.4.0
 */
export type Type = keyof typeof codes

/**
 * @category models
 * @since 0.4.0
 */
export interface Message {
  readonly type: Type
  readonly id: number
  readonly payload: Uint8Array
}

/**
 * Why a request failed. `missing`: something is not there, or too old; `refused`: what was asked for makes no sense;
 * `failed`: it was tried, and went wrong.
 *
 * @category models
 * @since 0.4.0
 */
export interface Failure {
  readonly kind: "missing" | "refused" | "failed"
  readonly reason: string
}

/**
 * How many bytes a payload may have.
 *
 * @category constants
 * @since 0.4.0
 */
export const mostBytes = 2 ** 30

// -----------------------------------------------------------------------------
// Encoding
// -----------------------------------------------------------------------------

/**
 * @category encoding
 * @since 0.4.0
 */
export const encode = (type: Type, id: number, payload: Uint8Array = nothing): Buffer => {
  if (payload.length > mostBytes) throw new RangeError(`a message of ${payload.length} bytes`)
  const bytes = Buffer.allocUnsafe(headerBytes + payload.length)
  bytes.fill(0, 0, headerBytes)
  bytes.writeUInt32LE(payload.length, 0)
  bytes.writeUInt32LE(id, 4)
  bytes[8] = codes[type]
  bytes.set(payload, headerBytes)
  return bytes
}

/**
 * @category encoding
 * @since 0.4.0
 */
export const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

/**
 * The payload of `join`.
 *
 * @category encoding
 * @since 0.4.0
 */
export const joining = (rank: number, worldSize: number, id: Uint8Array): Uint8Array =>
  Buffer.concat([words([rank, worldSize]), id])

/**
 * Numbers of 32 bits, as `receive` has them.
 *
 * @category encoding
 * @since 0.4.0
 */
export const words = (values: ReadonlyArray<number>): Uint8Array => {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i)
  return bytes
}

// -----------------------------------------------------------------------------
// Decoding
// -----------------------------------------------------------------------------

/**
 * Puts messages together from the chunks they come in. What `push` gives are copies. It throws where the other side
 * speaks something else.
 *
 * @category decoding
 * @since 0.4.0
 */
export interface Reader {
  readonly push: (chunk: Uint8Array) => ReadonlyArray<Message>
}

/**
 * @category decoding
 * @since 0.4.0
 */
export const reader = (): Reader => {
  let chunks: Array<Uint8Array> = []
  let held = 0
  /** Nothing can be made of fewer. */
  let wanted = headerBytes

  return {
    push: (chunk) => {
      chunks.push(chunk)
      held += chunk.length
      const messages: Array<Message> = []
      while (held >= wanted) {
        const bytes = chunks.length === 1 ? Buffer.from(chunks[0]!) : Buffer.concat(chunks)
        let from = 0
        wanted = headerBytes
        while (bytes.length - from >= headerBytes) {
          const length = bytes.readUInt32LE(from)
          const type = types.get(bytes[from + 8]!)
          if (length > mostBytes || type === undefined) throw new RangeError("the other side speaks something else")
          const end = from + headerBytes + length
          if (bytes.length < end) {
            wanted = end - from
            break
          }
          // Memory of its own, which is aligned for numbers.
          const payload = new Uint8Array(bytes.subarray(from + headerBytes, end))
          messages.push({ type, id: bytes.readUInt32LE(from + 4), payload })
          from = end
        }
        chunks = from < bytes.length ? [bytes.subarray(from)] : []
        held = bytes.length - from
      }
      return messages
    }
  }
}

/**
 * The numbers of `receive`; a rest of fewer than four bytes is none.
 *
 * @category decoding
 * @since 0.4.0
 */
export const wordsOf = (bytes: Uint8Array): ReadonlyArray<number> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length >>> 2 }, (_, i) => view.getUint32(4 * i, true))
}

/**
 * What a `join` says; undefined where it is too short.
 *
 * @category decoding
 * @since 0.4.0
 */
export const joinedBy = (
  bytes: Uint8Array
): { readonly rank: number; readonly worldSize: number; readonly id: Uint8Array } | undefined => {
  const [rank, worldSize] = wordsOf(bytes.subarray(0, 8))
  return rank === undefined || worldSize === undefined ? undefined : { rank, worldSize, id: bytes.subarray(8) }
}

/**
 * A JSON object; undefined where it is none.
 *
 * @category decoding
 * @since 0.4.0
 */
export const objectOf = (bytes: Uint8Array): { readonly [key: string]: unknown } | undefined => {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString())
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

/**
 * What a `failed` says.
 *
 * @category decoding
 * @since 0.4.0
 */
export const failureOf = (bytes: Uint8Array): Failure => {
  const { kind, reason } = objectOf(bytes) ?? {}
  return {
    kind: kind === "missing" || kind === "refused" ? kind : "failed",
    reason: typeof reason === "string" ? reason : "for an unknown reason"
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const headerBytes = 16
const nothing = new Uint8Array(0)

const types: ReadonlyMap<number, Type> = new Map([
  [codes.open, "open"],
  [codes.id, "id"],
  [codes.join, "join"],
  [codes.send, "send"],
  [codes.receive, "receive"],
  [codes.read, "read"],
  [codes.leave, "leave"],
  [codes.done, "done"],
  [codes.failed, "failed"]
])
