import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type * as Axis from "../../../src/artifact/tplot/Axis.ts"
import * as Canvas from "../../../src/artifact/tplot/Canvas.ts"
import * as Marker from "../../../src/artifact/tplot/Marker.ts"

const unit: Axis.Range = { low: 0, high: 1, constant: undefined }

const points = (...list: ReadonlyArray<readonly [x: number, y: number]>): Canvas.Points => ({
  x: Float64Array.from(list, ([x]) => x),
  y: Float64Array.from(list, ([, y]) => y)
})

const drawn = (marker: Marker.Name, columns: number, rows: number, ...lines: ReadonlyArray<Canvas.Points>) => {
  const canvas = Canvas.make(columns, rows)
  for (const each of lines) Canvas.lines(canvas, each, { x: unit, y: unit }, Marker.of(marker))
  return text(canvas)
}

const text = (canvas: Canvas.Canvas, color = false) => Canvas.toLines(canvas, color).map((line) => line.text)

describe("Canvas", () => {
  it("every set of dots has its character", () => {
    assert.strictEqual(String.fromCodePoint(...Marker.of("hd").glyphs), " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█")
    assert.strictEqual(
      String.fromCodePoint(...Marker.of("fhd").glyphs),
      " 🬀🬁🬂🬃🬄🬅🬆🬇🬈🬉🬊🬋🬌🬍🬎🬏🬐🬑🬒🬓▌🬔🬕🬖🬗🬘🬙🬚🬛🬜🬝🬞🬟🬠🬡🬢🬣🬤🬥🬦🬧▐🬨🬩🬪🬫🬬🬭🬮🬯🬰🬱🬲🬳🬴🬵🬶🬷🬸🬹🬺🬻█"
    )
    const braille = Marker.of("braille").glyphs
    assert.strictEqual(braille.length, 256)
    assert.strictEqual(new Set(braille).size, 256)
    // One dot each, row by row.
    assert.strictEqual(
      String.fromCodePoint(...[1, 2, 4, 8, 16, 32, 64, 128].map((bit) => braille[bit] ?? 0)),
      "⠁⠈⠂⠐⠄⠠⡀⢀"
    )
    assert.strictEqual(braille[255], 0x28ff)
  })

  it("a line is drawn in each marker", () => {
    const rising = points([0, 0], [1, 1])
    assert.deepStrictEqual(drawn("*", 3, 3, rising), ["  *", " * ", "*  "])
    assert.deepStrictEqual(drawn("hd", 3, 3, rising), ["  ▞", " ▞ ", "▞  "])
    assert.deepStrictEqual(drawn("fhd", 3, 2, rising), [" 🬞🬅", "🬖🬀 "])
    assert.deepStrictEqual(drawn("braille", 4, 2, rising), ["  ⡠⠊", "⡠⠊  "])
  })

  it("what is not finite is a gap", () => {
    assert.deepStrictEqual(drawn("*", 5, 1, points([0, 0], [0.3, 0], [0.5, NaN], [0.7, 0], [1, 0])), ["** **"])
    assert.deepStrictEqual(drawn("*", 5, 1, points([0, 0], [0.5, Infinity], [1, 0])), ["*   *"])
    assert.deepStrictEqual(drawn("*", 5, 1, points([0, 0], [NaN, 0], [1, 0])), ["*   *"])
  })

  it("a value is in the same cell whatever the marker", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 50 }), (value, cells) => {
        const cell = Canvas.place(unit, value, cells)
        for (const dots of [2, 3, 4]) {
          assert.strictEqual(Math.floor(Canvas.place(unit, value, cells * dots) / dots), cell)
        }
      })
    )
  })

  it("a later layer stands where two meet", () => {
    const canvas = Canvas.make(3, 1)
    Canvas.lines(canvas, points([0, 0], [1, 0]), { x: unit, y: unit }, Marker.of("-"), Canvas.paints.red)
    Canvas.lines(canvas, points([0.5, 0]), { x: unit, y: unit }, Marker.of("+"), Canvas.paints.blue)
    assert.deepStrictEqual(text(canvas), ["-+-"])
    assert.deepStrictEqual(text(canvas, true), ["\x1b[31m-\x1b[39m\x1b[34m+\x1b[39m\x1b[31m-\x1b[39m"])
  })

  it("a layer drawn inside shows only in the mass of what is there", () => {
    const canvas = Canvas.make(3, 3)
    const mass = points([0, 0], [0, 1], [0.2, 1], [0.2, 0])
    Canvas.lines(canvas, mass, { x: unit, y: unit }, Marker.of("hd"))
    Canvas.lines(canvas, points([0, 0.5], [1, 0.5]), { x: unit, y: unit }, Marker.of("·"), 0, true)
    assert.deepStrictEqual(text(canvas), ["█  ", "·  ", "█  "])
  })

  it("a column keeps one value of all that fall into it", () => {
    const many = points([0, 1], [0.1, 3], [0.2, 2], [0.6, 5], [0.7, NaN], [0.8, 7])
    const reduced = (how: Canvas.Reduction) => Array.from(Canvas.reduced(many, unit, 2, how).y)
    assert.deepStrictEqual(reduced("max"), [3, 5, NaN, 7])
    assert.deepStrictEqual(reduced("min"), [1, 5, NaN, 7])
    assert.deepStrictEqual(reduced("mean"), [2, 5, NaN, 7])
  })

  it("bars end at an eighth of a row, and any height is seen", () => {
    const canvas = Canvas.make(6, 2)
    Canvas.bars(canvas, [0, 0.001, 0.5, 1, 1.25, 2])
    assert.deepStrictEqual(text(canvas), ["    ▂█", " ▁▄███"])
  })
})
