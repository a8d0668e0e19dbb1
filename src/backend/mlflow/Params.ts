/**
 * Configurations and facts as params, which a server never changes once it has them.
 *
 * - A config is flattened, its keys joined with dots, under `config.`; facts stand under `ezpz.`. Where two names become
 *   one (`{"a.b": 1, "a": {"b": 2}}`), the second gets `_2`.
 * - A value is its text: a string as it is, numbers, booleans, null and arrays as JSON. One that is longer than 6000
 *   characters goes on in further params, `config.prompt_x2_`, `config.prompt_x3_`, ..., up to 20; what is longer still
 *   is cut.
 * - The same value again is nothing new. Another one cannot be: it becomes the tag of that name.
 *
 * @since 0.2.0
 */
import type { Config } from "../../Backend.ts"
import type { Entry } from "./Api.ts"
import * as Names from "./Names.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The most params or tags in a request.
 *
 * @category models
 * @since 0.2.0
 */
export const mostEntries = 100

/** Of any server that is in use. */
const mostTag = 5000
const mostParam = 6000
const mostParts = 20
const maxDepth = 64

/**
 * What is to be sent: params the server does not have, tags for those it has with another value, and what to tell.
 *
 * @category models
 * @since 0.2.0
 */
export interface Change {
  readonly params: ReadonlyArray<Entry>
  readonly tags: ReadonlyArray<Entry>
  readonly renamed: ReadonlyArray<readonly [from: string, to: string]>
  readonly changed: ReadonlyArray<string>
  readonly cut: ReadonlyArray<string>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * A nested config as one level of texts.
 *
 * @category encoding
 * @since 0.2.0
 */
export const flatten = (prefix: string, config: Config): ReadonlyMap<string, string> => {
  const flat = new Map<string, string>()
  const add = (name: string, value: unknown): void => {
    let free = name
    for (let nth = 2; flat.has(free); nth++) free = `${name}_${nth}`
    flat.set(free, textOf(value))
  }
  const walk = (name: string, value: unknown, depth: number): void => {
    if (!isObject(value) || depth >= maxDepth) return add(name, value)
    const entries = Object.entries(value)
    if (entries.length === 0) return add(name, value)
    for (const [key, item] of entries) walk(`${name}.${key}`, item, depth + 1)
  }
  for (const [key, value] of Object.entries(config)) walk(`${prefix}.${key}`, value, 0)
  return flat
}

/**
 * What to send so that a server that has `there` has `wanted`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const change = (wanted: ReadonlyMap<string, string>, there: ReadonlyMap<string, string>): Change => {
  const params: Array<Entry> = []
  const tags: Array<Entry> = []
  const renamed: Array<readonly [string, string]> = []
  const changed: Array<string> = []
  const cut: Array<string> = []
  for (const [name, value] of wanted) {
    const key = Names.encode(name)
    const parts = split(value)
    if (parts.length > mostParts) cut.push(name)
    const sent = parts.slice(0, mostParts).map((part, i): Entry => ({
      key: i === 0 ? key : Names.encode(`${name}_x${i + 1}_`),
      value: part
    }))
    const news = sent.filter((entry) => there.get(entry.key) !== entry.value)
    if (news.length === 0) continue
    if (key !== name) renamed.push([name, key])
    if (news.some((entry) => there.has(entry.key))) {
      changed.push(name)
      tags.push({ key, value: tagValue(value) })
    } else for (const entry of news) params.push(entry)
  }
  return { params, tags, renamed, changed, cut }
}

/**
 * The tags that keep names that were cut.
 *
 * @category constructors
 * @since 0.2.0
 */
export const originals = (
  kind: "metric" | "param",
  renamed: ReadonlyArray<readonly [from: string, to: string]>
): ReadonlyArray<Entry> =>
  renamed.flatMap(([from, to]) =>
    Names.isCut(to) ? [{ key: `ezpz.${kind}.${Names.digest(from)}`, value: tagValue(from) }] : []
  )

/**
 * A text as a tag's value.
 *
 * @category encoding
 * @since 0.2.0
 */
export const tagValue = (text: string): string => head(text.toWellFormed(), mostTag)

/**
 * A value as text.
 *
 * @category encoding
 * @since 0.2.0
 */
export const textOf = (value: unknown): string =>
  typeof value === "string"
    ? value
    : typeof value === "number" || typeof value === "bigint"
    ? String(value)
    : JSON.stringify(value, (_key, item: unknown) => typeof item === "bigint" ? String(item) : item) ?? String(value)

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)

const split = (text: string): ReadonlyArray<string> => {
  const parts: Array<string> = []
  for (let rest = text.toWellFormed(); parts.length === 0 || rest !== "";) {
    const part = head(rest, mostParam)
    parts.push(part)
    rest = rest.slice(part.length)
    if (parts.length > mostParts) break
  }
  return parts
}

/** The beginning of a text, no character taken apart. */
const head = (text: string, most: number): string =>
  text.length <= most ? text : text.slice(0, /[\uD800-\uDBFF]/.test(text.charAt(most - 1)) ? most - 1 : most)
