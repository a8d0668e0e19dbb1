/**
 * Markers: what a layer of a plot is drawn with. Block markers split a cell into dots, 2x4 (`braille`), 2x3 (`fhd`, the
 * sextants of Unicode's legacy computing symbols) or 2x2 (`hd`, quadrants); the others are one character a cell.
 *
 * @since 0.1.0
 */

/**
 * The names of the markers, as `EZPZ_TPLOT_MARKER` gives them.
 *
 * @category models
 * @since 0.1.0
 */
export const names = ["hd", "fhd", "braille", "dot", "+", "-", "·", "*"] as const

/**
 * The name of a marker.
 *
 * @category models
 * @since 0.1.0
 */
export type Name = typeof names[number]

/**
 * A marker: a cell is `across` dots wide and `down` dots high, and `glyphs` has the code point for each set of dots,
 * bit `y * across + x` being the dot in column x and row y from the top. `sample` stands for it in a legend.
 *
 * @category models
 * @since 0.1.0
 */
export interface Marker {
  readonly across: number
  readonly down: number
  readonly glyphs: ReadonlyArray<number>
  readonly sample: string
}

const space = 0x20

const glyphs = (dots: number, glyph: (mask: number) => number): ReadonlyArray<number> =>
  Array.from({ length: 1 << dots }, (_, mask) => mask === 0 ? space : glyph(mask))

const quadrants = Array.from(" ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█", (character) => character.codePointAt(0) ?? space)

/** The sextants stand in a row, but for the two half blocks and the full one, which Unicode had before. */
const sextant = (mask: number): number =>
  mask === 0b010101 ? 0x258c : mask === 0b101010 ? 0x2590 : mask === 0b111111
    ? 0x2588
    : 0x1fb00 + mask - 1 - (mask > 0b010101 ? 1 : 0) - (mask > 0b101010 ? 1 : 0)

/** Braille's dots 1 to 8 go down the left column, down the right one, and then along the fourth row. */
const brailleBits = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80]
const braille = (mask: number): number =>
  0x2800 + brailleBits.reduce((sum, bit, dot) => (mask & (1 << dot)) === 0 ? sum : sum + bit, 0)

const blocks = (across: number, down: number, glyph: (mask: number) => number, sample: number): Marker => ({
  across,
  down,
  glyphs: glyphs(across * down, glyph),
  sample: String.fromCodePoint(glyph(sample))
})

const character = (sample: string): Marker => ({
  across: 1,
  down: 1,
  glyphs: glyphs(1, () => sample.codePointAt(0) ?? space),
  sample
})

const markers: Readonly<Record<Name, Marker>> = {
  hd: blocks(2, 2, (mask) => quadrants[mask] ?? space, 0b0110),
  fhd: blocks(2, 3, sextant, 0b011110),
  braille: blocks(2, 4, braille, 0b01101010),
  dot: character("•"),
  "+": character("+"),
  "-": character("-"),
  "·": character("·"),
  "*": character("*")
}

/**
 * The marker of a name.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (name: Name): Marker => markers[name]

/**
 * Whether a word is the name of a marker.
 *
 * @category queries
 * @since 0.1.0
 */
export const isName = (word: string): word is Name => names.some((name) => name === word)
