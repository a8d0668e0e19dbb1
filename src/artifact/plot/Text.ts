/**
 * Text that goes into a picture: how wide it is, what of it fits, and which characters may not get there.
 *
 * Widths are those of DejaVu Sans by class of letter, a little on the safe side: nothing is measured, so that the same
 * picture comes out on every machine, whatever is installed there.
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
  const chars = Array.from(text.length > 1000 ? `${text.slice(0, 400)}${text.slice(-400)}`.toWellFormed() : text)
  let kept = chars.length - 1
  const shown = (): string => {
    const head = Math.ceil(kept * 0.6)
    return `${chars.slice(0, head).join("")}…${chars.slice(chars.length - (kept - head)).join("")}`
  }
  while (kept > 0 && width(shown(), size) > room) kept--
  return shown()
}

/**
 * A text of one line that XML can hold and that shows what it holds: control and format characters, halves of
 * surrogate pairs and the like become the replacement character.
 *
 * @category cleaning
 * @since 0.1.0
 */
export const clean = (text: string): string => text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd")
