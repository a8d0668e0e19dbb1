/**
 * Markdown from foreign text: names, values and messages that may hold anything, and must stay what they are.
 *
 * @since 0.1.0
 */
import * as Path from "node:path"
import { escaped } from "../../internal/oneLine.ts"
import { count, type Format, type Lines, type Link } from "./Format.ts"

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
 * The format of a document that stands in `directory`.
 *
 * @category constructors
 * @since 0.5.0
 */
export const markdown = (directory: string): Format => ({
  plain,
  code,
  link: linker(directory),
  anchor: (text, id) => `[${text}](#${id})`,
  heading: (level, text) => level === 1 ? [`# ${text}`] : ["", `${"#".repeat(level)} ${text}`],
  paragraph: (text) => ["", text],
  list: (items) => items.length === 0 ? [] : ["", ...items.map((item) => `- ${item}`)],
  table: (head, rows, numbers = head.length) => [
    "",
    `| ${head.join(" | ")} |`,
    `| ${head.map((_, i) => i >= numbers ? "---:" : ":---").join(" | ")} |`,
    ...rows.map((row) => `| ${row.join(" | ")} |`)
  ],
  // Folded where the reader can.
  folded: (rows, lines) =>
    rows <= 12 ? lines : ["", "<details>", `<summary>${count(rows)} entries</summary>`, ...lines, "", "</details>"]
})
