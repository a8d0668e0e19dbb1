/**
 * Names for what a run writes: how a metric's key becomes a file name, and the name of a variable in a dataset.
 *
 * The one rule for files: letters, digits, `_` and `-` stay, every other character becomes `_`, and a name that is too
 * long is cut. A name that is taken already (on a file system that does not tell `Loss` from `loss`, too) or was cut
 * ends in a hash of the full key. So a name never leaves its directory, never hides, never collides, and stays under
 * 120 bytes with any ending; `plots/index.json` maps names back to keys.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"

const maxLength = 88

/**
 * Gives out names that are unique among those it gave out before.
 *
 * @category models
 * @since 0.1.0
 */
export interface Names {
  readonly name: (key: string) => string
}

/**
 * Names for files. `reserved` are names nobody gets.
 *
 * @example
 * ```ts
 * import { FileName } from "ezpz-stream"
 *
 * const files = FileName.files()
 * assert.strictEqual(files.name("loss"), "loss")
 * assert.strictEqual(files.name("../../etc/passwd"), "______etc_passwd")
 * assert.match(files.name("Loss"), /^Loss-[0-9a-f]{8}$/)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const files = (reserved: Iterable<string> = []): Names =>
  unique(reserved, (name) => name.toLowerCase(), (key, nth) => {
    const safe = key.replaceAll(/[^A-Za-z0-9_-]/gu, "_") || "_"
    const cut = safe.slice(0, maxLength)
    return nth === 1 && cut === safe ? safe : `${cut}-${hash(nth <= 2 ? key : `${key}#${nth}`)}`
  })

/**
 * Names for the variables of a dataset: a key's `/` become `_`, other characters stay. A name that is taken gets `_2`,
 * `_3`; one of the `reserved` (dimensions and coordinates) a trailing `_`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const variables = (reserved: ReadonlySet<string> = new Set()): Names =>
  unique([], (name) => name, (key, nth) => {
    const safe = key.toWellFormed().replaceAll(/[/\0]/g, "_")
    const name = safe === "" || safe === "." ? "_" : reserved.has(safe) ? `${safe}_` : safe
    return nth === 1 ? name : `${name}_${nth}`
  })

const unique = (
  reserved: Iterable<string>,
  fold: (name: string) => string,
  attempt: (key: string, nth: number) => string
): Names => {
  const taken = new Set<string>()
  for (const name of reserved) taken.add(fold(name))
  return {
    name: (key) => {
      for (let nth = 1;; nth++) {
        const name = attempt(key, nth)
        if (!taken.has(fold(name))) {
          taken.add(fold(name))
          return name
        }
      }
    }
  }
}

const hash = (text: string): string => createHash("sha256").update(text.toWellFormed()).digest("hex").slice(0, 8)
