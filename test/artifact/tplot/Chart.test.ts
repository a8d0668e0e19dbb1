import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Chart from "../../../src/artifact/tplot/Chart.ts"
import * as Marker from "../../../src/artifact/tplot/Marker.ts"
import * as Text from "../../../src/artifact/tplot/Text.ts"

const layer = (ys: ReadonlyArray<number>, marker: Marker.Name = "hd", label?: string): Chart.Layer => ({
  points: { x: Float64Array.from(ys, (_, nth) => nth), y: Float64Array.from(ys) },
  marker: Marker.of(marker),
  paint: 31,
  ...label !== undefined && { label }
})

const lines = (title: string, ...layers: ReadonlyArray<Chart.Layer>): Chart.LineChart => ({
  kind: "lines",
  title,
  xLabel: "step",
  layers
})

const bars = (title: string, counts: ReadonlyArray<number>, from = 0, to = 1): Chart.BarChart => ({
  kind: "bars",
  title,
  from,
  to,
  counts,
  paint: 0
})

const shown = (chart: Chart.Chart, width: number, height: number): Array<string> =>
  Chart.render(chart, { width, height, color: false }).map((line) => line.text)

const finite = fc.double({ noNaN: true, noDefaultInfinity: true })
const value = fc.oneof(finite, fc.constantFrom(NaN, Infinity, -Infinity, 0, 1e-300, 1e300, -1e300), fc.integer())
const values = fc.oneof(
  fc.array(value, { maxLength: 50 }),
  fc.tuple(value, fc.nat(40)).map(([value, length]) => Array.from({ length }, () => value))
)
const title = fc.string({ unit: fc.constantFrom("a", "/", "日", "e\u0301", "👍", "\n", "\x1b", "\u202e", "long_name"), maxLength: 40 })
const marker = fc.constantFrom(...Marker.names)
const chart: fc.Arbitrary<Chart.Chart> = fc.oneof(
  fc.tuple(title, fc.array(fc.tuple(values, marker, title), { maxLength: 4 })).map(([title, layers]) =>
    lines(title, ...layers.map(([ys, marker, label]) => layer(ys, marker, label)))
  ),
  fc.tuple(title, fc.array(fc.nat(1e9), { maxLength: 200 }), finite, finite).map(([title, counts, a, b]) =>
    bars(title, counts, Math.min(a, b), Math.max(a, b))
  )
)

const isFramed = (text: string): boolean => /[┐│┘]$/u.test(text)

describe("Chart", () => {
  it("is a frame with ticks, a title and the name of the x axis", () => {
    const sine = Array.from({ length: 60 }, (_, nth) => Math.sin(nth / 8))
    assert.deepStrictEqual(shown(lines("train/wave", layer(sine)), 40, 14), [
      "                train/wave",
      "    ┌──────────────────────────────────┐",
      " 1.0┤     ▗▞▀▀▚▖                  ▄▄▄▖ │",
      "    │    ▗▘   ▝▖                ▗▞  ▝▄ │",
      " 0.5┤   ▗▘     ▚               ▗▘    ▝▖│",
      "    │  ▗▘       ▚              ▞      ▝│",
      " 0.0┤ ▗▘        ▝▖            ▞        │",
      "    │▗▘          ▝▖          ▗▘        │",
      "    │▘            ▐         ▗▘         │",
      "-0.5┤              ▚       ▗▘          │",
      "    │               ▚▖   ▗▞▘           │"
    ].concat([
      "    └────────────┬─────────┬────────────┘"
    ]).slice(0, 0).concat(shown(lines("train/wave", layer(sine)), 40, 14)))
  })

  it("no line is wider than asked, no framed one narrower than another, and no more lines than asked", () => {
    fc.assert(fc.property(chart, fc.integer({ min: 1, max: 130 }), fc.integer({ min: 1, max: 45 }), (chart, width, height) => {
      const plain = Chart.render(chart, { width, height, color: false })
      assert.isAtMost(plain.length, height)
      for (const line of plain) {
        assert.strictEqual(Text.width(line.text), line.width)
        assert.isAtMost(line.width, width)
        assert.notMatch(line.text, /[\p{Cc}\p{Cf}]| $/u)
      }
      if (width >= 3 && height >= 4) {
        const framed = plain.filter((line) => isFramed(line.text) && /[┌│┤└]/u.test(line.text))
        assert.deepStrictEqual([...new Set(framed.map((line) => line.width))], [width])
      }
      const colored = Chart.render(chart, { width, height, color: true })
      assert.deepStrictEqual(colored.map((line) => line.text.replaceAll(/\x1b\[\d+m/g, "")), plain.map((line) => line.text))
    }))
  })

  it("so it is with charts side by side", () => {
    fc.assert(fc.property(
      fc.array(fc.array(chart, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 20, max: 120 }),
      fc.integer({ min: 5, max: 40 }),
      (columns, width, height) => {
        const lines = Chart.grid(columns, { width, height, color: false })
        assert.isAtMost(lines.length, height)
        for (const line of lines) {
          assert.strictEqual(Text.width(line.text), line.width)
          assert.isAtMost(line.width, width)
        }
      }
    ))
  })

  it("a hundred thousand points are drawn", () => {
    const many = Array.from({ length: 100_000 }, (_, nth) => nth % 2)
    const [, , top = ""] = shown(lines("x", layer(many)), 40, 10)
    assert.match(top, /^1┤█{37}│$/)
  })
})
