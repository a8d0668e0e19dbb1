/**
 * Names as MLflow takes them, for metrics, params, tags and artifacts.
 *
 * MLflow's rule: at most 250 of letters, digits, `_`, `-`, `.`, space and `/`, and read as a path the name must be
 * itself: no empty part, none that is `.` or `..`, nothing before the first `/`, no two dots at the beginning. Nearly
 * every name keeps to it and stays as it is. In others
 *
 * - a character that may not stand where it is becomes `_xHHHH_`, its UTF-16 code in hexadecimal (`%` is `_x0025_`);
 *   colons too, which servers before 3.0 and those on Windows refuse, and letters beyond the 16 bits;
 * - a `_` that would be read as the beginning of such a code, or as the end of a cut name, becomes `_x005F_`;
 * - the empty name is `_x_`;
 * - what is longer than 250 characters then is cut and ends in `_xh` and 16 digits of its SHA-256 and `_`: whoever sends
 *   it keeps the whole name beside it, under {@link digest}.
 *
 * So no two names become one, and {@link decode} gives back every name that was not cut.
 *
 * @since 0.2.0
 */
import { createHash } from "node:crypto"

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The longest name there is.
 *
 * @category models
 * @since 0.2.0
 */
export const maxLength = 250

/**
 * A name as MLflow takes it.
 *
 * @category encoding
 * @since 0.2.0
 */
export const encode = (name: string): string => {
  if (legal.test(name) && name.length <= maxLength && !escapes.test(name)) return name
  if (name === "") return empty
  const escaped = (name === empty ? escapedEmpty : escape(name)).replaceAll(/(?<=^|\/)\.{1,2}(?=\/|$)|^\.\./g, dots)
  // The end of a code and what follows it may look like the end of a cut name, too.
  const whole = cut.test(escaped) ? `${escaped.slice(0, -1)}${code("_")}` : escaped
  return whole.length <= maxLength ? whole : `${whole.slice(0, maxLength - hashLength)}_xh${digest(name)}_`
}

/**
 * The name that {@link encode} was given; undefined if it was cut.
 *
 * @category encoding
 * @since 0.2.0
 */
export const decode = (name: string): string | undefined =>
  name === empty
    ? ""
    : cut.test(name)
    ? undefined
    : name.replaceAll(/_x([0-9A-F]{4})_/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/**
 * What a name that was cut is known by.
 *
 * @category encoding
 * @since 0.2.0
 */
export const digest = (name: string): string => createHash("sha256").update(name, "utf16le").digest("hex").slice(0, 16)

/**
 * Whether a name was cut by {@link encode}.
 *
 * @category encoding
 * @since 0.2.0
 */
export const isCut = (name: string): boolean => cut.test(name)

/**
 * A file's name below a run's artifacts: as it is, but for what the server's check of paths refuses or rewrites.
 *
 * @category encoding
 * @since 0.2.0
 */
export const path = (name: string): string =>
  name === ""
    ? empty
    : name === empty
    ? escapedEmpty
    : name.replaceAll(/[#%\\\p{Cc}\p{Cs}]|^\/|\/$|(?<=\/)\/|_(?=x[0-9A-F]{4})|(?<=^|\/)\.{1,2}(?=\/|$)/gu, codes)

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const empty = "_x_"
const escapedEmpty = "_x005F_x_"
const hashLength = 20

/** Names of the plain kind, which are nearly all. */
const legal = /^(?!\.)[\w.\- ]+(?:\/(?!\.)[\w.\- ]+)*$/

/** What in a name would be read as a code, or as the end of a cut name. */
const escapes = /_x(?:[0-9A-F]{4}|h[0-9a-f]{16}_$|_$)/
const cut = /_xh[0-9a-f]{16}_$/

/**
 * Letters and digits beyond ASCII stay if they are in the first 16 bits: Python's `\w` takes them, and both sides count
 * them as one.
 */
const illegal = /[^\p{L}\p{Nd}_.\- /]|[\u{10000}-\u{10FFFF}]|^\/|\/$|(?<=\/)\/|_(?=x[0-9A-F]{4})/gu

const escape = (name: string): string => name.replaceAll(illegal, codes)

const code = (unit: string): string => `_x${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}_`

const codes = (text: string): string => text.split("").map(code).join("")

/** Of dots that would lead elsewhere, the first. */
const dots = (text: string): string => `${code(".")}${text.slice(1)}`
