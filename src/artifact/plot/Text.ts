/**
 * Text that goes into a picture: how wide it is, what of it fits, and which characters may not get there.
 *
 * Widths are those of DejaVu Sans by class of letter, a little on the safe side: nothing is measured, so that the same
 * picture comes out on every machine, whatever is installed there.
 *
 * A character that DejaVu Sans does not have (Chinese, most emoji) would be an empty box in the PNG: it is written as
 * its code point, `\u{65e5}`, in the SVG as well, so that both say the same. What stays are ranges that the font has
 * without a hole: Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic and Georgian letters, punctuation, arrows,
 * mathematics, shapes. `plots/index.json` has the key as it is.
 *
 * @since 0.1.0
 */

/** The fonts a picture asks for; the PNG is drawn with the first. */
export const family = "DejaVu Sans, Verdana, sans-serif"

const classes: ReadonlyArray<readonly [RegExp, number]> = [
  [/[iljI.,:;'|! ]/, 0.35],
  [/[frt()[\]{}\-/\\"]/, 0.43],
  [/[mwMW@%]/, 1],
  [/[_\d]/, 0.64],
  [/[A-Z&NOQ+=<>−±~^#]/, 0.8],
  [/[\u0020-\u024f·–…]/, 0.64]
]

/**
 * How wide a text is, in pixels.
 *
 * @category measuring
 * @since 0.1.0
 */
export const width = (text: string, size: number): number => {
  let ems = 0
  for (const char of text) ems += classes.find(([pattern]) => pattern.test(char))?.[1] ?? 1.05
  return ems * size
}

/**
 * As much of a text as fits, an ellipsis for what is left out of its middle: keys that share a beginning differ at the
 * end.
 *
 * @category measuring
 * @since 0.1.0
 */
export const fit = (text: string, room: number, size: number): string => {
  if (text.length < 1000 && width(text, size) <= room) return text
  const short = text.length > 1000 ? `${text.slice(0, 400)}${text.slice(-400)}`.toWellFormed() : text
  const chars = short.match(/\\u\{[\da-f]+\}|[^]/gu) ?? []
  let kept = chars.length - 1
  const shown = (): string => {
    const head = Math.ceil(kept * 0.6)
    return `${chars.slice(0, head).join("")}…${chars.slice(chars.length - (kept - head)).join("")}`
  }
  while (kept > 0 && width(shown(), size) > room) kept--
  return shown()
}

/** Control and format characters, halves of surrogate pairs, line separators. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** What is beyond the ranges that the font has. */
const lacking = new RegExp(
  "[^\\u{20}-\\u{7e}\\u{a0}-\\u{2e9}\\u{300}-\\u{34f}\\u{386}\\u{388}-\\u{38a}\\u{38c}\\u{38e}-\\u{3a1}" +
    "\\u{3a3}-\\u{525}\\u{531}-\\u{556}\\u{561}-\\u{587}" +
    "\\u{5d0}-\\u{5ea}\\u{621}-\\u{63a}\\u{640}-\\u{655}\\u{10d0}-\\u{10fc}" +
    "\\u{1e00}-\\u{1efb}\\u{2000}-\\u{2064}\\u{2070}-\\u{2071}\\u{2074}-\\u{208e}\\u{20a0}-\\u{20b5}" +
    "\\u{2100}-\\u{2109}\\u{210b}-\\u{2149}\\u{2150}-\\u{2185}\\u{2190}-\\u{2311}" +
    "\\u{2500}-\\u{269c}\\u{27f0}-\\u{28ff}\\u{fffd}\\u{1f600}-\\u{1f623}]",
  "gu"
)

/**
 * A text of one line that XML can hold and that shows what it holds: control and format characters, halves of
 * surrogate pairs and the like become the replacement character, what the font lacks its code point.
 *
 * @category cleaning
 * @since 0.1.0
 */
export const clean = (text: string): string =>
  text.replaceAll(invisible, "\ufffd").replaceAll(lacking, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`)
