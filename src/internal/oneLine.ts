/**
 * Foreign text on one line of a terminal: names and strings come from the job, and may hold anything.
 *
 * Control characters (C0, DEL, C1), line separators and the marks that change the direction of text are written as
 * escapes; all else stays as it is. Text that is too long is cut, never in the middle of a character, and ends in `…`.
 *
 * @since 0.1.0
 */

/**
 * The text, cut to `max` UTF-16 units, without anything that starts a new line, moves the cursor or changes the
 * direction of what follows.
 *
 * @category formatting
 * @since 0.1.0
 */
export const escaped = (text: string, max: number): string => {
  const cut = text.length <= max
    ? text
    : `${text.slice(0, isHighSurrogate(text.charCodeAt(max - 2)) ? max - 2 : max - 1)}…`
  for (let i = 0; i < cut.length; i++) {
    if (isUnsafe(cut.charCodeAt(i))) return cut.replace(/[^]/g, escapedChar)
  }
  return cut
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code < 0xdc00

/** Control characters, line separators, and the marks that change the direction of text. */
const isUnsafe = (code: number): boolean =>
  code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
  (code >= 0x2066 && code <= 0x2069)

const escapedChar = (char: string): string => {
  const code = char.charCodeAt(0)
  if (!isUnsafe(code)) return char
  if (char === "\n") return "\\n"
  if (char === "\r") return "\\r"
  if (char === "\t") return "\\t"
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`
}
