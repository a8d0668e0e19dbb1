/**
 * The keys of a job: who has them may take part.
 *
 * Two pairs of Curve25519: the root proves that it is the root with one, ranks prove that they belong to the job with
 * the other. They are made at random for each job and handed over in a file that only its owner reads, or both sides
 * derive them from a secret that they were given and the job's id: then nothing has to be handed over.
 *
 * Keys are written as ZeroMQ writes them, in Z85: 5 characters for each 4 bytes, 40 for a key.
 *
 * @since 0.3.0
 */
import * as Crypto from "node:crypto"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Pair {
  readonly publicKey: string
  readonly secretKey: string
}

export interface Keys {
  readonly server: Pair
  readonly client: Pair
}

/** What a key looks like. */
export const isKey = (text: unknown): text is string => typeof text === "string" && bytesOf(text)?.length === 32

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const random = (): Keys => ({ server: pair(Crypto.randomBytes(32)), client: pair(Crypto.randomBytes(32)) })

/** The same for all who know the secret and the job. Slow on purpose: a secret that a person chose can be guessed. */
export const fromSecret = (secret: string, jobId: string): Keys => {
  const bytes = Crypto.scryptSync(secret, `ezpz-stream/keys/1/${jobId}`, 64)
  return { server: pair(bytes.subarray(0, 32)), client: pair(bytes.subarray(32)) }
}

/** What stands before the 32 bytes of a secret key, and of a public one, in the form that Node reads and writes. */
const pkcs8 = Buffer.from("302e020100300506032b656e04220420", "hex")

const pair = (secret: Uint8Array): Pair => {
  const key = Crypto.createPrivateKey({ key: Buffer.concat([pkcs8, secret]), format: "der", type: "pkcs8" })
  const publicKey = Crypto.createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32)
  return { publicKey: textOf(publicKey), secretKey: textOf(secret) }
}

// -----------------------------------------------------------------------------
// Z85
// -----------------------------------------------------------------------------

const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

/** Bytes, a multiple of 4, as text. */
export const textOf = (bytes: Uint8Array): string => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let text = ""
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const value = view.getUint32(at)
    for (let place = 85 ** 4; place >= 1; place /= 85) text += digits[Math.floor(value / place) % 85]
  }
  return text
}

/** The bytes of a text; undefined if it is none. */
export const bytesOf = (text: string): Uint8Array | undefined => {
  if (text.length % 5 !== 0) return undefined
  const bytes = new Uint8Array(text.length / 5 * 4)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < text.length; at += 5) {
    let value = 0
    for (const digit of text.slice(at, at + 5)) {
      const worth = digits.indexOf(digit)
      if (worth < 0) return undefined
      value = value * 85 + worth
    }
    if (value > 0xffffffff) return undefined
    view.setUint32(at / 5 * 4, value)
  }
  return bytes
}
