/**
 * What is on the screen: a grid of cells, and the shortest way from one such grid to the next.
 *
 * A cell holds what the terminal shows in one column: a character with the marks that combine with it, and a style. The
 * second column of a wide character holds an empty text. What is written here has been made safe (Text.label): no text of
 * a run reaches the terminal but as cells.
 *
 * @since 0.5.0
 */
import * as Text from "../artifact/tplot/Text.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A colour of the terminal's palette as its number in an SGR sequence (0 for none), and the flags of {@link styles}.
 *
 * @category models
 * @since 0.5.0
 */
export type Style = number

/**
 * The flags of a style, and its colours.
 *
 * @category models
 * @since 0.5.0
 */
export const styles = {
  plain: 0,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36,
  grey: 90,
  bold: 128,
  inverse: 256
} as const

/**
 * Cells row by row.
 *
 * @category models
 * @since 0.5.0
 */
export interface Frame {
  readonly columns: number
  readonly rows: number
  readonly texts: Array<string>
  readonly styles: Uint16Array
}

/**
 * A part of a frame.
 *
 * @category models
 * @since 0.5.0
 */
export interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * An empty frame.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (columns: number, rows: number): Frame => ({
  columns,
  rows,
  texts: Array.from({ length: columns * rows }, () => " "),
  styles: new Uint16Array(columns * rows)
})

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/**
 * Writes a label into a row, from a column on, cut to a width and to the frame. Gives the columns it took.
 *
 * @category writing
 * @since 0.5.0
 */
export const write = (
  self: Frame,
  row: number,
  column: number,
  label: string,
  style: Style = styles.plain,
  width = Infinity
): number => {
  if (row < 0 || row >= self.rows || column < 0) return 0
  const room = Math.min(width, self.columns - column)
  if (room <= 0) return 0
  const text = Text.fit(Text.label(label), room)
  let at = row * self.columns + column
  const start = at
  // Of a wide character that is half covered nothing stays.
  if (text !== "" && self.texts[start] === "") self.texts[start - 1] = " "
  for (const character of text) {
    const columns = Text.width(character)
    if (columns === 0) {
      if (at > start) self.texts[at - 1] += character
      continue
    }
    self.texts[at] = character
    self.styles[at++] = style
    if (columns === 2) {
      self.texts[at] = ""
      self.styles[at++] = style
    }
  }
  if (at > start && at < (row + 1) * self.columns && self.texts[at] === "") self.texts[at] = " "
  return at - start
}

/**
 * Gives the cells of a row a style, and leaves what is in them.
 *
 * @category writing
 * @since 0.5.0
 */
export const paint = (self: Frame, row: number, column: number, width: number, style: Style): void => {
  if (row < 0 || row >= self.rows) return
  const from = row * self.columns + Math.max(0, column)
  self.styles.fill(style, from, Math.min((row + 1) * self.columns, from + width))
}

/**
 * Empties a part.
 *
 * @category writing
 * @since 0.5.0
 */
export const clear = (self: Frame, { height, left, top, width }: Box): void => {
  for (let row = Math.max(0, top); row < Math.min(self.rows, top + height); row++) {
    const from = row * self.columns + left
    const to = Math.min((row + 1) * self.columns, from + width)
    self.texts.fill(" ", from, to)
    self.styles.fill(styles.plain, from, to)
  }
}

// -----------------------------------------------------------------------------
// Output
// -----------------------------------------------------------------------------

/**
 * What has to be sent to a terminal that shows `before` (undefined: nothing is known of it) to make it show `after`;
 * nothing where they are the same. Terminals that can show all of it at once.
 *
 * @category output
 * @since 0.5.0
 */
export const difference = (before: Frame | undefined, after: Frame, color: boolean): string => {
  const known = before?.columns === after.columns && before.rows === after.rows ? before : undefined
  let text = ""
  let style: Style = styles.plain
  for (let row = 0; row < after.rows; row++) {
    const start = row * after.columns
    const end = start + after.columns
    for (let at = start; at < end; at++) {
      if (isSame(known, after, at)) continue
      let to = at + 1
      // A few cells that stayed cost less than to go around them.
      for (let same = 0, next = to; next < end && same < 4; next++) {
        if (isSame(known, after, next)) same++
        else {
          same = 0
          to = next + 1
        }
      }
      text += `\x1b[${row + 1};${at - start + 1}H`
      for (; at < to; at++) {
        const wanted = color ? after.styles[at] ?? 0 : (after.styles[at] ?? 0) & ~colorMask
        if (wanted !== style) {
          text += sgr(wanted)
          style = wanted
        }
        text += after.texts[at] ?? " "
      }
      at--
    }
  }
  if (text === "") return ""
  return `${begin}${known === undefined ? "\x1b[0m\x1b[2J" : ""}${text}${style === styles.plain ? "" : "\x1b[0m"}${end}`
}

/** Synchronized output, mode 2026: unknown to some terminals, which ignore it. */
const begin = "\x1b[?2026h"
const end = "\x1b[?2026l"

const colorMask = 127

/** Both halves of a wide character are drawn, or none. */
const isSame = (before: Frame | undefined, after: Frame, at: number): boolean =>
  before !== undefined && before.texts[at] === after.texts[at] && before.styles[at] === after.styles[at] &&
  (after.texts[at + 1] !== "" || before.texts[at + 1] === "") &&
  (before.texts[at + 1] !== "" || after.texts[at + 1] === "")

const sgr = (style: Style): string => {
  const color = style & colorMask
  return `\x1b[0${(style & styles.bold) === 0 ? "" : ";1"}${(style & styles.inverse) === 0 ? "" : ";7"}${
    color === 0 ? "" : `;${color}`
  }m`
}

/**
 * The frame as lines of plain text, without blanks at their ends.
 *
 * @category output
 * @since 0.5.0
 */
export const toText = (self: Frame): string => toLines(self, false).map((line) => `${line}\n`).join("")

/**
 * The frame as lines, in colour where asked for, without blanks at their ends.
 *
 * @category output
 * @since 0.5.0
 */
export const toLines = (self: Frame, color: boolean): Array<string> =>
  Array.from({ length: self.rows }, (_, row) => {
    let text = ""
    let style: Style = styles.plain
    let to = (row + 1) * self.columns
    const start = row * self.columns
    while (to > start && self.texts[to - 1] === " " && ((self.styles[to - 1] ?? 0) & styles.inverse) === 0) to--
    for (let at = start; at < to; at++) {
      const wanted = color ? self.styles[at] ?? 0 : styles.plain
      if (wanted !== style) {
        text += sgr(wanted)
        style = wanted
      }
      text += self.texts[at] ?? " "
    }
    return style === styles.plain ? text : `${text}\x1b[0m`
  })
