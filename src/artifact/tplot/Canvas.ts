/**
 * A canvas of character cells, drawn on in layers: where two layers meet in a cell, the later one stands.
 *
 * Data comes with the ranges it is drawn in. A canvas splits a range into equal stretches, one per dot, so a value is in
 * the same cell whatever the marker, and its tick too. What is not finite is a gap.
 *
 * @since 0.1.0
 */
import * as Axis from "./Axis.ts"
import type { Marker } from "./Marker.ts"
import type { Line } from "./Text.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Cells row by row from the top: a code point and a paint each.
 *
 * @category models
 * @since 0.1.0
 */
export interface Canvas {
  readonly columns: number
  readonly rows: number
  readonly glyphs: Uint32Array
  readonly paints: Uint8Array
}

/**
 * A colour of the terminal's own palette, as its number in an SGR sequence; 0 for none.
 *
 * @category models
 * @since 0.1.0
 */
export type Paint = number

/**
 * The paints.
 *
 * @category models
 * @since 0.1.0
 */
export const paints = { none: 0, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const

/**
 * Numbers to draw, in drawing order.
 *
 * @category models
 * @since 0.1.0
 */
export interface Points {
  readonly x: Float64Array
  readonly y: Float64Array
}

const space = 0x20

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * An empty canvas.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (columns: number, rows: number): Canvas => ({
  columns,
  rows,
  glyphs: new Uint32Array(columns * rows).fill(space),
  paints: new Uint8Array(columns * rows)
})

// -----------------------------------------------------------------------------
// Drawing
// -----------------------------------------------------------------------------

/**
 * In which of `count` equal stretches of a range a value lies.
 *
 * @category queries
 * @since 0.1.0
 */
export const place = (range: Axis.Range, value: number, count: number): number =>
  Math.max(0, Math.min(count - 1, Math.floor(Axis.fraction(range, value) * count)))

/** The full cell of the block markers. */
const full: ReadonlySet<number> = new Set([0x2588, 0x28ff])

/**
 * Draws lines from point to point, as far as there is no gap between them; `inside` only into full cells with a full
 * one above or below, where a line that runs through the mass of others is seen and none of them is lost.
 *
 * @category drawing
 * @since 0.1.0
 */
export const lines = (
  canvas: Canvas,
  points: Points,
  ranges: { readonly x: Axis.Range; readonly y: Axis.Range },
  marker: Marker,
  paint: Paint = paints.none,
  inside = false
): void => {
  const { across, down } = marker
  const width = canvas.columns * across
  const height = canvas.rows * down
  const masks = new Uint8Array(canvas.columns * canvas.rows)
  const dot = (x: number, y: number): void => {
    const column = Math.floor(x / across)
    const row = Math.floor(y / down)
    const cell = row * canvas.columns + column
    masks[cell] = (masks[cell] ?? 0) | (1 << ((y - row * down) * across + x - column * across))
  }
  let fromX = -1
  let fromY = -1
  for (let nth = 0; nth < points.y.length; nth++) {
    const x = points.x[nth] ?? NaN
    const y = points.y[nth] ?? NaN
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      fromX = -1
      continue
    }
    const toX = place(ranges.x, x, width)
    const toY = height - 1 - place(ranges.y, y, height)
    if (fromX < 0) dot(toX, toY)
    else segment(fromX, fromY, toX, toY, dot)
    fromX = toX
    fromY = toY
  }
  const before = inside ? canvas.glyphs.slice() : canvas.glyphs
  const isFull = (cell: number): boolean => full.has(before[cell] ?? space)
  for (let cell = 0; cell < masks.length; cell++) {
    const mask = masks[cell] ?? 0
    if (mask === 0) continue
    if (inside && !(isFull(cell) && (isFull(cell - canvas.columns) || isFull(cell + canvas.columns)))) continue
    canvas.glyphs[cell] = marker.glyphs[mask] ?? space
    canvas.paints[cell] = paint
  }
}

/** Bresenham's line, both ends with it. */
const segment = (x0: number, y0: number, x1: number, y1: number, dot: (x: number, y: number) => void): void => {
  const dx = Math.abs(x1 - x0)
  const dy = -Math.abs(y1 - y0)
  const stepX = x0 < x1 ? 1 : -1
  const stepY = y0 < y1 ? 1 : -1
  let error = dx + dy
  let x = x0
  let y = y0
  for (;;) {
    dot(x, y)
    if (x === x1 && y === y1) return
    const twice = 2 * error
    if (twice >= dy) {
      error += dy
      x += stepX
    }
    if (twice <= dx) {
      error += dx
      y += stepY
    }
  }
}

/**
 * Which of several values stands for them.
 *
 * @category models
 * @since 0.1.0
 */
export type Reduction = "max" | "min" | "mean"

/**
 * At most one point per column, standing for all consecutive ones in it; gaps stay.
 *
 * @category drawing
 * @since 0.1.0
 */
export const reduced = (points: Points, range: Axis.Range, columns: number, how: Reduction): Points => {
  const xs: Array<number> = []
  const ys: Array<number> = []
  let column = -1
  let count = 0
  for (let nth = 0; nth < points.y.length; nth++) {
    const x = points.x[nth] ?? NaN
    const y = points.y[nth] ?? NaN
    const finite = Number.isFinite(x) && Number.isFinite(y)
    const here = finite ? place(range, x, columns) : -1
    const last = ys.length - 1
    if (!finite || here !== column) {
      xs.push(x)
      ys.push(finite ? y : NaN)
      count = 1
    } else {
      count++
      const so = ys[last] ?? y
      // Divided first: the difference of two finite numbers may overflow.
      ys[last] = how === "max" ? Math.max(so, y) : how === "min" ? Math.min(so, y) : so + (y / count - so / count)
    }
    column = here
  }
  return { x: Float64Array.from(xs), y: Float64Array.from(ys) }
}

const eighths = Array.from(" ▁▂▃▄▅▆▇█", (character) => character.codePointAt(0) ?? space)

/**
 * Draws bars that stand on the bottom and share the width: `heights` in rows, to an eighth of one. Of a bar with any
 * height something is seen.
 *
 * @category drawing
 * @since 0.1.0
 */
export const bars = (canvas: Canvas, heights: ReadonlyArray<number>, paint: Paint = paints.none): void => {
  for (let column = 0; column < canvas.columns; column++) {
    const height = heights[Math.floor((column * heights.length) / canvas.columns)] ?? 0
    if (!(height > 0)) continue
    const filled = Math.max(1, Math.min(canvas.rows * 8, Math.round(height * 8)))
    for (let row = 0; row * 8 < filled; row++) {
      const cell = (canvas.rows - 1 - row) * canvas.columns + column
      canvas.glyphs[cell] = eighths[Math.min(8, filled - row * 8)] ?? space
      canvas.paints[cell] = paint
    }
  }
}

/**
 * Writes a line of ASCII into the middle, as far as there is room.
 *
 * @category drawing
 * @since 0.1.0
 */
export const caption = (canvas: Canvas, text: string): void => {
  const cut = text.slice(0, canvas.columns)
  const start = Math.floor((canvas.rows - 1) / 2) * canvas.columns + Math.floor((canvas.columns - cut.length) / 2)
  for (let nth = 0; nth < cut.length; nth++) {
    canvas.glyphs[start + nth] = cut.charCodeAt(nth)
    canvas.paints[start + nth] = paints.none
  }
}

// -----------------------------------------------------------------------------
// Output
// -----------------------------------------------------------------------------

/**
 * The canvas as lines of text, all of them as wide as it is; in colour where asked for.
 *
 * @category output
 * @since 0.1.0
 */
export const toLines = (canvas: Canvas, color: boolean): Array<Line> =>
  Array.from({ length: canvas.rows }, (_, row) => {
    const start = row * canvas.columns
    const end = start + canvas.columns
    if (!color) return { text: String.fromCodePoint(...canvas.glyphs.subarray(start, end)), width: canvas.columns }
    let text = ""
    let from = start
    while (from < end) {
      const paint = canvas.paints[from] ?? paints.none
      let to = from + 1
      while (to < end && canvas.paints[to] === paint) to++
      text += painted(String.fromCodePoint(...canvas.glyphs.subarray(from, to)), paint)
      from = to
    }
    return { text, width: canvas.columns }
  })

/**
 * A text in a paint.
 *
 * @category output
 * @since 0.1.0
 */
export const painted = (text: string, paint: Paint): string =>
  paint === paints.none ? text : `\x1b[${paint}m${text}\x1b[39m`
