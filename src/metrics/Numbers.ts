/**
 * Numbers that do not come as numbers: words for what is not finite, and arrays of either.
 */

export const nonFinite = (text: string): number | undefined =>
  text === "NaN" ? NaN : text === "Infinity" ? Infinity : text === "-Infinity" ? -Infinity : undefined

/** An array of numbers, or of arrays of numbers; `null` inside is NaN. Undefined for any other array. */
export const toNumbers = (value: object): ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>> | undefined => {
  if (ArrayBuffer.isView(value)) return toNumberList(listOf(value))
  if (!Array.isArray(value)) return undefined
  const items: ReadonlyArray<unknown> = value
  return items.length > 0 && items.every((item) => Array.isArray(item) || ArrayBuffer.isView(item))
    ? all(items, (item) => toNumberList(Array.isArray(item) ? item : ArrayBuffer.isView(item) ? listOf(item) : []))
    : toNumberList(items)
}

/** The items of a typed array; what is only bytes has none. */
export const listOf = (view: ArrayBufferView): ReadonlyArray<unknown> =>
  Symbol.iterator in view ? Array.from(view as ArrayBufferView & Iterable<unknown>) : []

const toNumberList = (items: ReadonlyArray<unknown>): ReadonlyArray<number> | undefined => all(items, toNumber)

const toNumber = (item: unknown): number | undefined =>
  typeof item === "number"
    ? item
    : typeof item === "bigint"
    ? Number(item)
    : item === null
    ? NaN
    : typeof item === "string"
    ? nonFinite(item)
    : undefined

const all = <A, B>(items: ReadonlyArray<A>, f: (item: A) => B | undefined): ReadonlyArray<B> | undefined => {
  const out: Array<B> = []
  for (const item of items) {
    const value = f(item)
    if (value === undefined) return undefined
    out.push(value)
  }
  return out
}

/** Whether an infinity came as a number (1e400), which JSON text cannot keep as it stands. */
export const holdsInfinity = (
  array: ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>>,
  source: object
): boolean =>
  array.some((item, i) => {
    const from: unknown = (source as ReadonlyArray<unknown>)[i]
    return typeof item === "number"
      ? typeof from === "number" && !Number.isFinite(from)
      : holdsInfinity(item, from as ReadonlyArray<unknown>)
  })
