/**
 * A run's configuration as W&B has it: the user's keys at the top, where the run comes from under `ezpz`.
 *
 * Values are JSON; numbers that are not finite are strings (W&B's own client makes `null` of them), integers beyond
 * doubles keep their digits. `_wandb` is W&B's: a key of that name gets a trailing `_`, as does `ezpz` where the user
 * has it too.
 *
 * @since 0.2.0
 */
import type * as Backend from "../../Backend.ts"
import * as Secrets from "../../Secrets.ts"

/**
 * The keys of a configuration with their values as JSON text. Given facts, they are among them.
 *
 * @category formatting
 * @since 0.2.0
 */
export const entries = (
  config: Backend.Config,
  facts?: Backend.Facts
): ReadonlyArray<readonly [key: string, json: string]> => {
  const user = Object.entries(config).flatMap(([key, value]) => {
    const json = text(value)
    return json === undefined ? [] : [[/^_wandb_*$/.test(key) ? `${key}_` : key, json] as const]
  })
  if (facts === undefined || Object.keys(facts).length === 0) return user
  let key = "ezpz"
  while (Object.hasOwn(config, key)) key += "_"
  return [...user, [key, text(facts) ?? "{}"]]
}

/**
 * The same as one JSON text, each value as `{"value": ...}`, which is how it is sent online. `wandb` is what W&B keeps
 * for itself.
 *
 * @category formatting
 * @since 0.2.0
 */
export const online = (
  entries: Iterable<readonly [key: string, json: string]>,
  wandb: { readonly [key: string]: unknown } = {}
): string => {
  const all = [...entries, ["_wandb", JSON.stringify(wandb)] as const]
  return `{${all.map(([key, json]) => `${JSON.stringify(key)}:{"value":${json}}`).join(",")}}`
}

/**
 * Any value as JSON text; undefined for what has none.
 *
 * @category formatting
 * @since 0.2.0
 */
export const text = (value: unknown): string | undefined =>
  JSON.stringify(value, (_key, item: unknown) =>
    typeof item === "bigint"
      ? rawJson(String(item))
      : typeof item === "number" && !Number.isFinite(item)
      ? String(item)
      : ArrayBuffer.isView(item) && !(item instanceof DataView)
      ? Object.values(item)
      : item)

/** TypeScript does not know it yet. */
const rawJson: (text: string) => unknown = Reflect.get(JSON, "rawJSON")

/**
 * What is known of an object that is watched: its class, and what it says of itself, which is a model's layers where
 * it says anything.
 *
 * @category formatting
 * @since 0.2.0
 */
export const watched = (object: unknown, options: Backend.Config = {}): Backend.Config => {
  const own = typeof object === "object" && object !== null
    ? { class: object.constructor?.name ?? "Object", ...description(object) }
    : { description: String(object).slice(0, mostDescribed) }
  return Object.keys(options).length === 0 ? own : { ...own, options }
}

const description = (object: object): Backend.Config => {
  try {
    const text = object.toString === Object.prototype.toString ? JSON.stringify(object) : String(object)
    return { description: Secrets.maskText(text).slice(0, mostDescribed) }
  } catch {
    return {}
  }
}

const mostDescribed = 20_000
