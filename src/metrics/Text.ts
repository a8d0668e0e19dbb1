/**
 * Values as JSON text, and the text that Python writes as JSON.
 *
 * @since 0.1.0
 */
import type { Metrics, Value } from "./Model.ts"
import { listOf } from "./Numbers.ts"

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
  if (isPlain(metrics)) return JSON.stringify(metrics)
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

export const valueText = (value: Value): string =>
  typeof value === "number"
    ? numberText(value)
    : typeof value === "object" && value !== null
    ? jsonText(value)
    : JSON.stringify(value)

/** Nothing but numbers, text and truth as JSON has them: its own way to text is the fastest by far. */
const isPlain = (metrics: Metrics): boolean => {
  for (const key in metrics) {
    const value = metrics[key]
    if (typeof value === "number") { if (value - value !== 0 || Object.is(value, -0)) return false }
    else if (typeof value !== "string" && typeof value !== "boolean") return false
  }
  return true
}

/** An integer beyond every double would read back as an infinity: its text says so. */
export const bigintText = (value: bigint): string =>
  Number.isFinite(Number(value)) ? String(value) : numberText(Number(value))

/** The text of anything as it stands in an array, for {@link nestsDeeper} has looked at it. */
export const jsonText = (value: unknown): string => {
  if (typeof value === "number") return numberText(value)
  if (typeof value === "bigint") return bigintText(value)
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`
  if (ArrayBuffer.isView(value)) return jsonText(listOf(value))
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null"
  return `{${Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${jsonText(member)}`).join(",")}}`
}

export const nestsDeeper = (value: unknown, levels: number): boolean => {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false
  if (levels < 0) return true
  return (Array.isArray(value) ? value : Object.values(value)).some((item) => nestsDeeper(item, levels - 1))
}

export const longInteger = /\d{16}/

export const keepLongIntegers = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === "number" && Number.isFinite(value) && !Number.isSafeInteger(value) &&
    context?.source !== undefined && /^-?\d+$/.test(context.source)
    ? BigInt(context.source)
    : value

/** Puts quotes around the `NaN`, `Infinity` and `-Infinity` that stand outside strings. */
export const quoteNonFinite = (text: string): string => {
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
export const isSpace = (char: number): boolean => char === 0x20 || char === 0x09 || char === 0x0a || char === 0x0d

const endOfString = (text: string, start: number): number => {
  for (let at = start + 1; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === 0x5c) at++
    else if (char === 0x22) return at
  }
  return text.length
}
