/**
 * A record of metrics: what a training job says about one step.
 *
 * The rules, which hold for a line on standard input, for an object handed to `update` and for a line of the run log:
 *
 * - A value is a number, a boolean, a string, `null` ("no value here"), or an array of numbers: one dimension is
 *   chains, two are chains x leapfrogs. Any other array is kept as its JSON text.
 * - Nested objects flatten, their keys joined with `/`. Two keys that flatten to one name are told apart by `_2`, `_3`.
 * - `NaN` and the infinities are data. They are read bare, as Python's json writes them, or as the strings `"NaN"`,
 *   `"Infinity"`, `"-Infinity"`, and are written as those strings.
 * - Integers beyond 2^53 keep their digits in the text; as a value they are the nearest double.
 * - The group of a key is what stands before its first `/`; a key without one belongs to the empty group.
 * - The step is the caller's, else the first of `step`, `_step`, `global_step`, `iteration`, `iter` that is a finite
 *   number. The first two are then no metrics any more; the last three stay.
 *
 * A decoded record carries both its values and its JSON text, so that a line that came as JSON is written to the run
 * log as it came: numbers are formatted once, by whoever measured them.
 *
 * @since 0.1.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * One metric's value.
 *
 * @category models
 * @since 0.1.0
 */
export type Value =
  | number
  | boolean
  | string
  | null
  | ReadonlyArray<number>
  | ReadonlyArray<ReadonlyArray<number>>

/**
 * A flat record of metrics, in the order the job gave them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Metrics {
  readonly [key: string]: Value
}

/**
 * What a program may hand over: values, integers as `bigint`, typed arrays, and objects of these to any depth up to
 * {@link maxDepth}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly [key: string]:
    | Value
    | bigint
    | Float32Array
    | Float64Array
    | Input
    | undefined
}

/**
 * A record that was understood: flat values, the same as JSON text, and the step it names, if any.
 *
 * `notes` names the values that could not stay as they came and what became of them; it is empty for nearly every
 * record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decoded {
  readonly _tag: "Decoded"
  readonly metrics: Metrics
  readonly text: string
  readonly step: number | undefined
  readonly stepKey: string | undefined
  readonly notes: ReadonlyArray<string>
}

/**
 * A record that was not understood, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface Refused {
  readonly _tag: "Refused"
  readonly reason: string
}

/**
 * How deep objects may nest before a record is refused.
 *
 * @category models
 * @since 0.1.0
 */
export const maxDepth = 64

/** The names a step may come under, first match wins, and whether the key stays a metric. */
const stepKeys: ReadonlyArray<{ readonly key: string; readonly stays: boolean }> = [
  { key: "step", stays: false },
  { key: "_step", stays: false },
  { key: "global_step", stays: true },
  { key: "iteration", stays: true },
  { key: "iter", stays: true }
]

// -----------------------------------------------------------------------------
// Keys
// -----------------------------------------------------------------------------

/**
 * The group a key belongs to: what stands before its first `/`, or the empty string.
 *
 * @example
 * ```ts
 * import { Metrics } from "ezpz-stream"
 *
 * assert.strictEqual(Metrics.group("train/loss"), "train")
 * assert.strictEqual(Metrics.group("loss"), "")
 * ```
 *
 * @category keys
 * @since 0.1.0
 */
export const group = (key: string): string => {
  const slash = key.indexOf("/")
  return slash < 0 ? "" : key.slice(0, slash)
}

/**
 * A key without its group: `train/loss` is `loss`. A key of the empty group stays as it is.
 *
 * @category keys
 * @since 0.1.0
 */
export const withoutGroup = (key: string): string => {
  const slash = key.indexOf("/")
  return slash <= 0 ? key : key.slice(slash + 1)
}

/**
 * The last part of a key: `train/time/dt` is `dt`.
 *
 * @category keys
 * @since 0.1.0
 */
export const leaf = (key: string): string => key.slice(key.lastIndexOf("/") + 1)

// -----------------------------------------------------------------------------
// Decoding
// -----------------------------------------------------------------------------

/**
 * Decodes a record given as an object. `stepKey` names a key to look for the step in first.
 *
 * @example
 * ```ts
 * import { Metrics } from "ezpz-stream"
 *
 * const record = Metrics.decode({ train: { loss: 0.5 }, lr: NaN, step: 3 })
 * assert.strictEqual(record._tag, "Decoded")
 * if (record._tag === "Decoded") {
 *   assert.strictEqual(record.text, `{"train/loss":0.5,"lr":"NaN"}`)
 *   assert.strictEqual(record.step, 3)
 * }
 * ```
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (input: Input, stepKey?: string): Decoded | Refused => {
  if (isPlain(input)) {
    const found = findStep(input, stepKey)
    if (found === undefined || found.stays) {
      // A copy: the caller may use the object for the next step, while backends have yet to see this one.
      const metrics = { ...input }
      return decoded(metrics, JSON.stringify(metrics), found, none)
    }
  }
  return flatten(input, stepKey)
}

/**
 * Decodes one line of JSON. Never throws: what is not a JSON object is refused with a reason.
 *
 * @example
 * ```ts
 * import { Metrics } from "ezpz-stream"
 *
 * const record = Metrics.decodeLine(`{"iteration": 19, "lr": 1e-4, "AP": NaN}`)
 * assert.strictEqual(record._tag, "Decoded")
 * assert.deepStrictEqual(Metrics.decodeLine("epoch 1 done"), { _tag: "Refused", reason: "not JSON" })
 * ```
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeLine = (line: string, stepKey?: string): Decoded | Refused => {
  const text = line.trim()
  if (text.charCodeAt(0) !== 0x7b) return refuse(isJson(text) ? "JSON, but not an object" : "not JSON")
  // Most lines are flat objects of finite numbers, and need no second look: their text goes to the log as it is, less
  // the step. Everything else takes the slow path, which gives the same answer for these too.
  return isOneLine(text) && text.indexOf("{", 1) < 0
    ? decodeFlat(text, stepKey) ?? decodeAny(text, stepKey)
    : decodeAny(text, stepKey)
}

/** Whether a text stays what it is as a line of a UTF-8 file. To Python a carriage return ends a line, too. */
const isOneLine = (text: string): boolean => text.isWellFormed() && !text.includes("\n") && !text.includes("\r")

const decodeFlat = (text: string, stepKey: string | undefined): Decoded | undefined => {
  const cut = stepKey === undefined ? cutStep(text) : undefined
  const body = cut === undefined ? text : cut.text
  let record: Record<string, Value>
  try {
    record = JSON.parse(body)
  } catch {
    return undefined
  }
  if (!restoreNonFinite(record)) return undefined
  // Cut once, but still there: a name that was written with an escape.
  if (cut !== undefined) return Object.hasOwn(record, cut.key) ? undefined : decoded(record, body, cut, none)
  const found = findStep(record, stepKey)
  return found === undefined || found.stays ? decoded(record, body, found, none) : undefined
}

const decodeAny = (text: string, stepKey: string | undefined): Decoded | Refused => {
  let record: Input
  try {
    const strict = quoteNonFinite(text)
    record = longInteger.test(strict) ? JSON.parse(strict, keepLongIntegers) : JSON.parse(strict)
  } catch (error) {
    return refuse(error instanceof SyntaxError ? "not JSON" : tooDeep)
  }
  return flatten(record, stepKey)
}

/**
 * Turns the strings that stand for non-finite numbers back into numbers, in place. False where the record holds
 * something that is not a flat value as it stands: a nested object, an array of other things, a number beyond the
 * range of a double.
 *
 * Made for a record fresh from `JSON.parse`, which nobody else has seen yet.
 *
 * @category decoding
 * @since 0.1.0
 */
export const restoreNonFinite = (record: Record<string, Value>): boolean => {
  for (const key in record) {
    const value = record[key]
    if (typeof value === "number") {
      if (value - value !== 0) return false
    } else if (typeof value === "string") {
      const number = nonFinite(value)
      if (number !== undefined) record[key] = number
    } else if (typeof value === "object" && value !== null) {
      const array = toNumbers(value)
      if (array === undefined || holdsInfinity(array, value)) return false
      record[key] = array
    }
  }
  return true
}

const isPlain = (input: Input): input is Metrics => {
  for (const key in input) {
    const value = input[key]
    if (typeof value === "number") {
      // NaN and the infinities need quotes, and JSON.stringify drops the sign of -0.
      if (value - value !== 0 || Object.is(value, -0)) return false
    } else if (typeof value === "string") {
      if (nonFinite(value) !== undefined) return false
    } else if (typeof value !== "boolean" && value !== null) return false
  }
  return true
}

interface Step {
  readonly key: string
  readonly step: number
  readonly stays: boolean
}

const findStep = (record: Input, stepKey: string | undefined): Step | undefined => {
  if (stepKey !== undefined) {
    const step = Object.hasOwn(record, stepKey) ? stepOf(record[stepKey]) : undefined
    if (step !== undefined) return { key: stepKey, step, stays: stepKey !== "step" && stepKey !== "_step" }
  }
  for (const { key, stays } of stepKeys) {
    const step = stepOf(record[key])
    if (step !== undefined && Object.hasOwn(record, key)) return { key, step, stays }
  }
  return undefined
}

/** A step has no sign of zero: the log would not keep it. */
const stepOf = (value: unknown): number | undefined => {
  const step = typeof value === "bigint" ? Number(value) : value
  return typeof step === "number" && step - step === 0 ? step + 0 : undefined
}

const stepMember =
  /"step"[ \t]*:[ \t]*(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)[ \t]*(?:(,)[ \t]*(?="[^\s,:}\]])|(?=\}$))/y

/**
 * Cuts `"step": n` out of the text of a flat object; undefined where that cannot be done without a doubt.
 *
 * What is left must not be JSON where the text was none. It could be if the cut lay inside a string, whose end would
 * then be the quote that follows: what may stand behind the end of a string is not taken for the start of a key. And
 * it could be if the cut lay inside an array.
 */
const cutStep = (text: string): (Step & { readonly text: string }) | undefined => {
  // In front, where most have it, nothing needs to be looked for: a second step is found once the rest is parsed.
  const leads = text.startsWith("\"step\"", 1)
  const at = leads ? 1 : text.indexOf("\"step\"")
  if (at < 0 || (!leads && text.indexOf("\"step\"", at + 6) >= 0)) return undefined
  stepMember.lastIndex = at
  const match = stepMember.exec(text)
  if (match === null) return undefined
  const step = stepOf(Number(match[1]))
  if (step === undefined) return undefined
  if (leads) return { key: "step", step, stays: false, text: `{${text.slice(stepMember.lastIndex)}` }
  let end = at
  while (isSpace(text.charCodeAt(end - 1))) end--
  const before = text.slice(0, end)
  const after = text.slice(stepMember.lastIndex)
  if (before === "{") return { key: "step", step, stays: false, text: "{" + after }
  if (!before.endsWith(",") || before.lastIndexOf("[") > before.lastIndexOf("]")) return undefined
  const kept = match[2] === undefined ? before.slice(0, -1) : before
  return kept.endsWith("{") ? undefined : { key: "step", step, stays: false, text: kept + after }
}

// -----------------------------------------------------------------------------
// Flattening: the slow path, which takes anything
// -----------------------------------------------------------------------------

const tooDeep = `nested deeper than ${maxDepth} levels`

/** A long key over many members grows with their product: no record's text may be longer than the log can read. */
const maxText = 128 * 1024 * 1024

const flatten = (input: Input, stepKey: string | undefined): Decoded | Refused => {
  const found = findStep(input, stepKey)
  const metrics: Record<string, Value> = {}
  const members: Array<string> = []
  const notes: Array<string> = []
  let length = 0

  const put = (path: string, value: Value, text: string): void => {
    let key = path
    for (let n = 2; Object.hasOwn(metrics, key); n++) key = `${path}_${n}`
    if (key !== path) notes.push(`${quote(path)} occurs twice once flattened; the second is kept as ${quote(key)}`)
    set(metrics, key, value)
    const member = `${JSON.stringify(key)}:${text}`
    members.push(member)
    length += member.length + 1
  }

  const visit = (path: string, value: unknown, depth: number): boolean => {
    if (typeof value === "number") put(path, value, numberText(value))
    else if (typeof value === "bigint") put(path, Number(value), bigintText(value))
    else if (typeof value === "string") put(path, nonFinite(value) ?? value, JSON.stringify(value))
    else if (typeof value === "boolean") put(path, value, String(value))
    else if (value === null || value === undefined) put(path, null, "null")
    else if (Array.isArray(value) || ArrayBuffer.isView(value)) {
      if (nestsDeeper(value, maxDepth - depth - 1)) return false
      const array = toNumbers(value)
      const text = jsonText(value)
      if (array !== undefined) put(path, array, text)
      else {
        notes.push(`${quote(path)} is an array that does not hold numbers; it is kept as text`)
        put(path, text, JSON.stringify(text))
      }
    } else if (typeof value === "object") {
      if (depth === maxDepth) return false
      const entries = Object.entries(value)
      if (entries.length === 0) notes.push(`${quote(path)} is an object without members; nothing of it is kept`)
      for (const [key, member] of entries) {
        if (!visit(`${path}/${key}`, member, depth + 1)) return false
      }
    } else {
      notes.push(`${quote(path)} is a ${typeof value}; it is kept as text`)
      put(path, String(value), JSON.stringify(String(value)))
    }
    return length <= maxText
  }

  for (const [key, value] of Object.entries(input)) {
    if (found !== undefined && !found.stays && key === found.key) continue
    if (!visit(key, value, 1)) return refuse(length > maxText ? "too long once it is flattened" : tooDeep)
  }
  return decoded(metrics, `{${members.join(",")}}`, found, notes)
}

// -----------------------------------------------------------------------------
// Text
// -----------------------------------------------------------------------------

/**
 * The JSON text of a flat record, non-finite numbers as strings.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (metrics: Metrics): string => {
  const members: Array<string> = []
  for (const [key, value] of Object.entries(metrics)) members.push(`${JSON.stringify(key)}:${valueText(value)}`)
  return `{${members.join(",")}}`
}

/**
 * The JSON text of a number: non-finite ones as strings, `-0` with its sign.
 *
 * @category encoding
 * @since 0.1.0
 */
export const numberText = (value: number): string =>
  value - value === 0 ? (Object.is(value, -0) ? "-0.0" : String(value)) : `"${value}"`

const valueText = (value: Value): string =>
  typeof value === "number"
    ? numberText(value)
    : typeof value === "object" && value !== null
    ? jsonText(value)
    : JSON.stringify(value)

/** An integer beyond every double would read back as an infinity: its text says so. */
const bigintText = (value: bigint): string => Number.isFinite(Number(value)) ? String(value) : numberText(Number(value))

/** The text of anything as it stands in an array, for {@link nestsDeeper} has looked at it. */
const jsonText = (value: unknown): string => {
  if (typeof value === "number") return numberText(value)
  if (typeof value === "bigint") return bigintText(value)
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`
  if (ArrayBuffer.isView(value)) return jsonText(listOf(value))
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null"
  return `{${Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${jsonText(member)}`).join(",")}}`
}

const nestsDeeper = (value: unknown, levels: number): boolean => {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false
  if (levels < 0) return true
  return (Array.isArray(value) ? value : Object.values(value)).some((item) => nestsDeeper(item, levels - 1))
}

const longInteger = /\d{16}/

const keepLongIntegers = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === "number" && Number.isFinite(value) && !Number.isSafeInteger(value) &&
    context?.source !== undefined && /^-?\d+$/.test(context.source)
    ? BigInt(context.source)
    : value

/** Puts quotes around the `NaN`, `Infinity` and `-Infinity` that stand outside strings. */
const quoteNonFinite = (text: string): string => {
  if (!text.includes("NaN") && !text.includes("Infinity")) return text
  const parts: Array<string> = []
  let from = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === 0x22) at = endOfString(text, at)
    else if (char === 0x4e || char === 0x49) {
      const word = text.startsWith("NaN", at) ? "NaN" : text.startsWith("Infinity", at) ? "Infinity" : undefined
      if (word === undefined) continue
      let next = at + word.length
      while (isSpace(text.charCodeAt(next))) next++
      // A key, which has no right to be bare.
      if (text.charCodeAt(next) === 0x3a) return text
      const start = word === "Infinity" && text.charCodeAt(at - 1) === 0x2d ? at - 1 : at
      parts.push(text.slice(from, start), "\"", text.slice(start, at + word.length), "\"")
      at += word.length - 1
      from = at + 1
    }
  }
  parts.push(text.slice(from))
  return parts.join("")
}

/** What JSON takes for space. */
const isSpace = (char: number): boolean => char === 0x20 || char === 0x09 || char === 0x0a || char === 0x0d

const endOfString = (text: string, start: number): number => {
  for (let at = start + 1; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === 0x5c) at++
    else if (char === 0x22) return at
  }
  return text.length
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const none: ReadonlyArray<string> = []

const decoded = (
  metrics: Metrics,
  text: string,
  found: Step | undefined,
  notes: ReadonlyArray<string>
): Decoded => ({ _tag: "Decoded", metrics, text, step: found?.step, stepKey: found?.key, notes })

const refuse = (reason: string): Refused => ({ _tag: "Refused", reason })

/** Assignment would take `__proto__` for the prototype. */
const set = (record: Record<string, Value>, key: string, value: Value): void => {
  if (key === "__proto__") {
    Object.defineProperty(record, key, { value, enumerable: true, writable: true, configurable: true })
  } else record[key] = value
}

const nonFinite = (text: string): number | undefined =>
  text === "NaN" ? NaN : text === "Infinity" ? Infinity : text === "-Infinity" ? -Infinity : undefined

/** An array of numbers, or of arrays of numbers; `null` inside is NaN. Undefined for any other array. */
const toNumbers = (value: object): ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>> | undefined => {
  if (ArrayBuffer.isView(value)) return toNumberList(listOf(value))
  if (!Array.isArray(value)) return undefined
  const items: ReadonlyArray<unknown> = value
  return items.length > 0 && items.every((item) => Array.isArray(item) || ArrayBuffer.isView(item))
    ? all(items, (item) => toNumberList(Array.isArray(item) ? item : ArrayBuffer.isView(item) ? listOf(item) : []))
    : toNumberList(items)
}

/** The items of a typed array; what is only bytes has none. */
const listOf = (view: ArrayBufferView): ReadonlyArray<unknown> =>
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
const holdsInfinity = (
  array: ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>>,
  source: object
): boolean =>
  array.some((item, i) => {
    const from: unknown = (source as ReadonlyArray<unknown>)[i]
    return typeof item === "number"
      ? typeof from === "number" && !Number.isFinite(from)
      : holdsInfinity(item, from as ReadonlyArray<unknown>)
  })

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const quote = (key: string): string => key.length > 60 ? `"${key.slice(0, 60)}…"` : `"${key}"`
