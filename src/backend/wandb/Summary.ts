/**
 * A run's summary, as W&B keeps it: the latest value of each metric, one JSON object that is always sent whole.
 *
 * Values are JSON texts. What has changed since it was last sent is known, so that it survives the process.
 *
 * @since 0.2.0
 */

/**
 * A summary. `take` gives it as it is now; `sent` says that this is on the server.
 *
 * @category models
 * @since 0.2.0
 */
export interface Summary {
  readonly set: (key: string, json: string) => void
  readonly changed: () => boolean
  readonly take: () => { readonly text: string; readonly sent: () => void }
  readonly unsent: () => { readonly [key: string]: string }
  readonly entries: () => Iterable<readonly [key: string, json: string]>
}

/**
 * A summary that begins with what the server has, and what it was not yet sent.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  known: ReadonlyMap<string, string>,
  unsent: { readonly [key: string]: string }
): Summary => {
  const values = new Map([...known, ...Object.entries(unsent)])
  const changes = new Map(Object.entries(unsent))
  return {
    set: (key, json) => {
      if (json === "null") return
      values.set(key, json)
      changes.set(key, json)
    },
    changed: () => changes.size > 0,
    take: () => {
      const now = [...changes]
      return {
        text: object(values),
        // What has changed again meanwhile is not there yet.
        sent: () => now.forEach(([key, json]) => changes.get(key) === json && changes.delete(key))
      }
    },
    unsent: () => Object.fromEntries(changes),
    entries: () => values
  }
}

/**
 * Keys with their JSON texts as the text of an object.
 *
 * @category formatting
 * @since 0.2.0
 */
export const object = (entries: Iterable<readonly [key: string, json: string]>): string => {
  let text = "{"
  for (const [key, json] of entries) text += `${text.length > 1 ? "," : ""}${JSON.stringify(key)}:${json}`
  return `${text}}`
}
