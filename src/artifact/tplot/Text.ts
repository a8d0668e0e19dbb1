/**
 * Text in terminal columns: how wide a label is, and labels that fit.
 *
 * A label may hold anything a metric's name holds. What would move the cursor or turn the line around (control
 * characters, line separators, direction marks, broken surrogates) is shown escaped, `\x1b`. What terminals disagree
 * about (joiners, variation selectors, skin tones) is left out, so that a width is a width everywhere: two columns
 * for East Asian wide characters and emoji, none for combining marks, one for the rest.
 *
 * @since 0.1.0
 */

/**
 * A line of output: `text`, with colours where there are any, takes `width` columns.
 *
 * @category models
 * @since 0.1.0
 */
export interface Line {
  readonly text: string
  readonly width: number
}

/** Characters whose width depends on the terminal's idea of emoji sequences. */
const disputed = /\p{Variation_Selector}|\p{Join_Control}|\p{Emoji_Modifier}|[\u200b\u2060\ufeff\u{e0020}-\u{e007f}]/gu
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Cn}]/gu
const spacing = /[\p{Zs}]/gu
const zeroWidth = /[\p{Mn}\p{Me}\u1160-\u11ff\ud7b0-\ud7ff]/u
const wide = new RegExp(
  "(?![\\u{1f1e6}-\\u{1f1ff}])\\p{Emoji_Presentation}|[\\u1100-\\u115f\\u2329\\u232a\\u2e80-\\u303e\\u3041-\\u3247\\u3250-\\u4dbf" +
    "\\u4e00-\\ua4cf\\ua960-\\ua97c\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe10-\\ufe19\\ufe30-\\ufe6f\\uff01-\\uff60" +
    "\\uffe0-\\uffe6\\u{16fe0}-\\u{18d08}\\u{1aff0}-\\u{1b2ff}\\u{1f200}-\\u{1f265}\\u{20000}-\\u{3fffd}]",
  "u"
)
const plain = /^[\x20-\x7e]*$/

/**
 * A text made fit to stand in a line.
 *
 * @category constructors
 * @since 0.1.0
 */
export const label = (text: string): string =>
  plain.test(text)
    ? text
    : text.normalize("NFC").replace(disputed, "").replace(spacing, " ").replace(unprintable, escape)

const escape = (character: string): string => {
  const code = character.codePointAt(0) ?? 0
  const hex = code.toString(16)
  return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\u{${hex}}`
}

/**
 * How many columns a label takes.
 *
 * @category queries
 * @since 0.1.0
 */
export const width = (text: string): number => {
  if (plain.test(text)) return text.length
  let columns = 0
  for (const character of text) columns += widthOf(character)
  return columns
}

const widthOf = (character: string): number => zeroWidth.test(character) ? 0 : wide.test(character) ? 2 : 1

/**
 * A label cut to at most `columns`. The middle goes: a metric's name says most in its beginning and its end.
 *
 * @category combinators
 * @since 0.1.0
 */
export const fit = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  if (columns <= 0) return ""
  const characters = Array.from(text)
  const head = Math.floor((columns - 1) / 2)
  const tail = columns - 1 - head
  return `${take(characters, head)}…${take(characters.reverse(), tail, true)}`
}

const take = (characters: ReadonlyArray<string>, columns: number, reversed = false): string => {
  const taken: Array<string> = []
  let used = 0
  for (const character of characters) {
    used += widthOf(character)
    if (used > columns) break
    taken.push(character)
  }
  // A combining mark stays with its letter: read backwards it comes before it, and may be all that is left of it.
  if (reversed) {
    while (taken.length > 0 && zeroWidth.test(taken[taken.length - 1] ?? "")) taken.pop()
    taken.reverse()
  }
  return taken.join("")
}

/**
 * A line of plain text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const line = (text: string): Line => ({ text, width: width(text) })

/**
 * A line without content.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: Line = { text: "", width: 0 }

/**
 * Lines one after another, the blanks between them as given.
 *
 * @category combinators
 * @since 0.1.0
 */
export const concat = (...lines: ReadonlyArray<Line>): Line => ({
  text: lines.map((each) => each.text).join(""),
  width: lines.reduce((sum, each) => sum + each.width, 0)
})

/**
 * A line moved to the right by `columns`; a line without content stays empty.
 *
 * @category combinators
 * @since 0.1.0
 */
export const indent = (of: Line, columns: number): Line =>
  of.width === 0 || columns <= 0 ? of : { text: " ".repeat(columns) + of.text, width: of.width + columns }

/**
 * Blocks of lines side by side, each beginning at its column.
 *
 * @category combinators
 * @since 0.1.0
 */
export const beside = (
  blocks: ReadonlyArray<{ readonly at: number; readonly lines: ReadonlyArray<Line> }>
): Array<Line> => {
  const height = Math.max(0, ...blocks.map((block) => block.lines.length))
  return Array.from({ length: height }, (_, row) =>
    blocks.reduce((left, block) => {
      const right = block.lines[row] ?? empty
      return right.width === 0 ? left : concat(left, indent(right, block.at - left.width))
    }, empty))
}
