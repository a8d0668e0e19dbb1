/**
 * Markdown from foreign text: names, values and messages that may hold anything, and must stay what they are.
 *
 * @since 0.1.0
 */
import * as Path from "node:path"
import { escaped } from "../../internal/oneLine.ts"

/**
 * Some lines of a document, without line breaks.
 *
 * @category models
 * @since 0.1.0
 */
export type Lines = ReadonlyArray<string>

/**
 * Makes a link from Markdown text and a path.
 *
 * @category models
 * @since 0.1.0
 */
export type Link = (text: string, path: string) => string

/** Characters of a name, a value or a message, and lines of a block: at most so many. */
const maxLength = 200
const maxLines = 40

// -----------------------------------------------------------------------------
// Text
// -----------------------------------------------------------------------------

/**
 * Text that is nothing but text: all that could be Markdown or HTML is written as a character reference.
 *
 * @category text
 * @since 0.1.0
 */
export const plain = (value: string, max = maxLength): string =>
  escaped(value.toWellFormed(), max)
    .replaceAll(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])|[^\p{L}\p{N}_ ,/.()-]/gu, (char) => `&#${char.codePointAt(0)};`)
    .replaceAll(/www(?=\.)/gi, (www) => `${www.slice(0, 2)}&#${www.charCodeAt(2)};`)

/**
 * The same as code; in backticks where they hold it, since that can be read in the source, too.
 *
 * @category text
 * @since 0.1.0
 */
export const code = (value: string, max = maxLength): string => {
  const line = escaped(value.toWellFormed(), max)
  if (line === "") return ""
  return /[`|]|^\s|\s$/.test(line) ? `<code>${plain(value, max)}</code>` : `\`${line}\``
}

/**
 * From the column `numbers` on there are numbers, which stand on the right.
 *
 * @category text
 * @since 0.1.0
 */
export const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  numbers = head.length
): Lines => [
  `| ${head.join(" | ")} |`,
  `| ${head.map((_, i) => i >= numbers ? "---:" : ":---").join(" | ")} |`,
  ...rows.map((row) => `| ${row.join(" | ")} |`)
]

/**
 * A long table is folded, where the reader can.
 *
 * @category text
 * @since 0.1.0
 */
export const folded = (rows: number, lines: Lines): Lines =>
  rows <= 12 ? lines : ["<details>", `<summary>${count(rows)} entries</summary>`, "", ...lines, "", "</details>"]

/**
 * A text as it is, in a block of code that it cannot end; its first 40 lines.
 *
 * @category text
 * @since 0.1.0
 */
export const fenced = (value: string): Lines => {
  const lines = value.trimEnd().split("\n")
  const shown = lines.slice(0, maxLines).map((line) => escaped(line.toWellFormed(), 500))
  if (lines.length > maxLines) shown.push("…")
  const longest = Math.max(2, ...Array.from(shown.join("\n").matchAll(/`+/g), (run) => run[0].length))
  const fence = "`".repeat(longest + 1)
  return [`${fence}text`, ...shown, fence]
}

/**
 * Links for a document that stands in `directory`: relative, and encoded.
 *
 * @category text
 * @since 0.1.0
 */
export const linker = (directory: string): Link => (text, path) => {
  const relative = Path.isAbsolute(path) ? Path.relative(directory, path) : path
  const encoded = relative.toWellFormed().split(Path.sep).map(encodeURIComponent).join("/")
  return `[${text}](${encoded.replaceAll(/[()'!*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)})`
}

/**
 * An argument as a shell would want it.
 *
 * @category text
 * @since 0.1.0
 */
export const quoted = (argument: string): string =>
  /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`

// -----------------------------------------------------------------------------
// Numbers
// -----------------------------------------------------------------------------

/**
 * A number that does not look more exact than it is: integers in full as far as doubles count them one by one, others
 * with six significant digits, and with as many more as half a `std` takes to be seen. What is rounded to an integer of
 * a million or more has an exponent, and its zeros.
 *
 * @category numbers
 * @since 0.1.0
 */
export const number = (value: number, std = NaN): string => {
  if (Number.isSafeInteger(value) || !Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  const wanted = std > 0 ? Math.floor(Math.log10(size)) + 1 - Math.floor(Math.log10(std / 2)) : 0
  const digits = Math.min(17, Math.max(6, wanted))
  const rounded = Number(value.toPrecision(digits))
  const shown = Math.abs(rounded)
  const looksExact = shown >= 1e6 && Number.isInteger(rounded)
  if (shown >= 1e-4 && shown < 1e15 && !looksExact) return String(rounded)
  // The largest doubles round to what is none.
  const exact = rounded === value || !Number.isFinite(rounded)
  return (exact ? value.toExponential() : value.toExponential(digits - 1)).replace("e+", "e")
}

/**
 * An integer with commas.
 *
 * @category numbers
 * @since 0.1.0
 */
export const count = (value: number): string => String(value).replaceAll(/\B(?=(?:\d{3})+$)/g, ",")

/**
 * How many of what.
 *
 * @category numbers
 * @since 0.1.0
 */
export const plural = (many: number, what: string): string => `${count(many)} ${what}${many === 1 ? "" : "s"}`

/**
 * What a list or a table has left out, and where it is; nothing where it is whole.
 *
 * @category text
 * @since 0.1.0
 */
export const left = (many: number, what: string, one: string, more: string): Lines =>
  many <= 0 ? [] : ["", `${plural(many, `more ${what}`)} ${many === 1 ? one : more}.`]

/**
 * A time in seconds as a person would say it.
 *
 * @category numbers
 * @since 0.1.0
 */
export const duration = (seconds: number): string => {
  if (seconds < 60) return `${number(Math.round(seconds * 1000) / 1000)} s`
  const whole = Math.round(seconds)
  const days = Math.floor(whole / 86400)
  const parts = [
    `${days} d`,
    `${Math.floor(whole / 3600) % 24} h`,
    `${Math.floor(whole / 60) % 60} min`,
    `${whole % 60} s`
  ]
  return parts.slice(days > 0 ? 0 : whole >= 3600 ? 1 : 2).join(" ")
}
