/**
 * From what a job says to a record: flat values, their text, and the step.
 *
 * @since 0.1.0
 */
import { type Decoded, type Input, maxDepth, type Metrics, type Refused, type Value } from "./Model.ts"
import { holdsInfinity, nonFinite, toNumbers } from "./Numbers.ts"
import {
  bigintText,
  isSpace,
  jsonText,
  keepLongIntegers,
  longInteger,
  nestsDeeper,
  numberText,
  quoteNonFinite
} from "./Text.ts"

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
  if (typeof input !== "object" || input === null || Array.isArray(input)) return refuse("not an object")
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

/** The names a step may come under, first match wins, and whether the key stays a metric. */
const stepKeys: ReadonlyArray<{ readonly key: string; readonly stays: boolean }> = [
  { key: "step", stays: false },
  { key: "_step", stays: false },
  { key: "global_step", stays: true },
  { key: "iteration", stays: true },
  { key: "iter", stays: true }
]

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

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const quote = (key: string): string => key.length > 60 ? `"${key.slice(0, 60)}…"` : `"${key}"`
