/**
 * Pixels as a PNG with a palette: a third of the bytes of one in true colour, for pictures of a few inks on white.
 *
 * Up to 256 colours are kept as they are. Beyond that the palette is filled with the most frequent colours that are
 * told apart, and every other colour (the shades at the edges of lines) becomes the nearest of them.
 *
 * @since 0.1.0
 */
import { crc32, deflateSync } from "node:zlib"

/**
 * Encodes opaque RGBA pixels.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (pixels: Uint8Array, width: number, height: number): Uint8Array => {
  const aligned = pixels.byteOffset % 4 === 0 ? pixels : pixels.slice()
  const rgba = new Uint32Array(aligned.buffer, aligned.byteOffset, width * height)
  const colors = count(rgba)
  const palette = choose(colors)
  assign(colors, palette)
  const stride = width + 1
  const lines = new Uint8Array(stride * height)
  let known = rgba[0]! + 1
  let index = 0
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 1; x <= width; x++, at++) {
      const color = rgba[at]!
      if (color !== known) {
        known = color
        index = colors.index[slotOf(colors, color)]!
      }
      lines[y * stride + x] = index
    }
  }
  const header = new DataView(new ArrayBuffer(13))
  header.setUint32(0, width)
  header.setUint32(4, height)
  header.setUint8(8, 8)
  header.setUint8(9, 3)
  const inks = new Uint8Array(palette.length * 3)
  palette.forEach((color, i) => inks.set([color & 255, color >>> 8 & 255, color >>> 16 & 255], i * 3))
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("PLTE", inks),
    chunk("IDAT", deflateSync(lines, { level: 5, memLevel: 9 })),
    chunk("IEND", new Uint8Array(0))
  ]
  // Memory of its own, so that it can be handed from thread to thread.
  const png = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  parts.reduce((at, part) => {
    png.set(part, at)
    return at + part.length
  }, 0)
  return png
}

const chunk = (type: string, data: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(data.length + 12)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, data.length)
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i)
  bytes.set(data, 8)
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)))
  return bytes
}

// -----------------------------------------------------------------------------
// Colours
// -----------------------------------------------------------------------------

/** The colours of a picture in an open-addressed table: how often each occurs, and its place in the palette. */
interface Colors {
  readonly bits: number
  readonly color: Uint32Array
  readonly count: Uint32Array
  readonly index: Uint8Array
  used: number
}

const table = (bits: number): Colors => ({
  bits,
  color: new Uint32Array(1 << bits),
  count: new Uint32Array(1 << bits),
  index: new Uint8Array(1 << bits),
  used: 0
})

const slotOf = ({ bits, color, count }: Colors, wanted: number): number => {
  const mask = (1 << bits) - 1
  let slot = Math.imul(wanted, 0x9e3779b1) >>> (32 - bits)
  while (count[slot] !== 0 && color[slot] !== wanted) slot = (slot + 1) & mask
  return slot
}

const put = (colors: Colors, color: number, times: number): void => {
  const slot = slotOf(colors, color)
  if (colors.count[slot] === 0) {
    colors.color[slot] = color
    colors.used++
  }
  colors.count[slot]! += times
}

const count = (rgba: Uint32Array): Colors => {
  let colors = table(13)
  for (let from = 0, to = 1; from < rgba.length; from = to) {
    const color = rgba[from]!
    for (to = from + 1; rgba[to] === color;) to++
    put(colors, color, to - from)
    if (colors.used * 2 < colors.color.length) continue
    const larger = table(colors.bits + 1)
    colors.color.forEach((color, slot) => {
      if (colors.count[slot]! > 0) put(larger, color, colors.count[slot]!)
    })
    colors = larger
  }
  return colors
}

const distance = (a: number, b: number): number => {
  const red = (a & 255) - (b & 255)
  const green = (a >>> 8 & 255) - (b >>> 8 & 255)
  const blue = (a >>> 16 & 255) - (b >>> 16 & 255)
  return red * red + green * green + blue * blue
}

const maxColors = 256

/** Colours nearer than this (squared) to one in the palette wait until all others had their turn. */
const near = 30

const choose = ({ color, count, used }: Colors): Array<number> => {
  const slots = Array.from(count.keys()).filter((slot) => count[slot]! > 0)
  slots.sort((a, b) => count[b]! - count[a]! || color[a]! - color[b]!)
  const all = slots.map((slot) => color[slot]!)
  if (used <= maxColors) return all
  const palette: Array<number> = []
  for (const candidate of all) {
    if (palette.every((chosen) => distance(chosen, candidate) >= near)) palette.push(candidate)
    if (palette.length === maxColors) return palette
  }
  return palette
}

const assign = ({ color, count, index }: Colors, palette: ReadonlyArray<number>): void => {
  for (let slot = 0; slot < color.length; slot++) {
    if (count[slot] === 0) continue
    let least = Infinity
    for (let i = 0; i < palette.length && least > 0; i++) {
      const d = distance(palette[i]!, color[slot]!)
      if (d >= least) continue
      least = d
      index[slot] = i
    }
  }
}
