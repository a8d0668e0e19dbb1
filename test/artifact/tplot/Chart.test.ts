import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { stripVTControlCharacters } from "node:util"
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
const title = fc.string({
  unit: fc.constantFrom("a", "/", "日", "e\u0301", "👍", "\n", "\x1b", "\u202e", "long_name"),
  maxLength: 40
})
const marker = fc.constantFrom(...Marker.names)
const chart: fc.Arbitrary<Chart.Chart> = fc.oneof(
  fc.tuple(title, fc.array(fc.tuple(values, marker, title), { maxLength: 4 })).map(([title, layers]) =>
    lines(title, ...layers.map(([ys, marker, label]) => layer(ys, marker, label)))
  ),
  fc.tuple(title, fc.array(fc.nat(1e9), { maxLength: 200 }), finite, finite).map(([title, counts, a, b]) =>
    bars(title, counts, Math.min(a, b), Math.max(a, b))
  )
)

const sine = Array.from({ length: 60 }, (_, nth) => Math.sin(nth / 8))

const isFramed = (text: string): boolean => /[┐│┘]$/u.test(text)

describe("Chart", () => {
  it("lines have a frame with round ticks, a title and the name of the x axis", () => {
    assert.deepStrictEqual(shown(lines("train/wave", layer(sine)), 40, 14), [
      "                 train/wave",
      "    ┌──────────────────────────────────┐",
      "    │    ▗▀▀▀▀▚▖                      ▄│",
      "    │  ▗▀▘     ▝▄                   ▗▞ │",
      " 0.5┤ ▗▘         ▚                 ▗▘  │",
      "    │▗▘           ▚               ▗▘   │",
      " 0.0┤▘             ▚             ▗▘    │",
      "    │               ▚           ▗▘     │",
      "-0.5┤                ▚         ▄▘      │",
      "    │                 ▚▖      ▞        │",
      "    │                  ▝▚▄▄▄▄▀         │",
      "    └┬──────────┬───────────┬──────────┘",
      "     0         20          40",
      "                    step"
    ])
  })

  it("layers lie over one another, and a legend tells them apart", () => {
    const up = sine.map((y) => y + 0.5)
    const down = sine.map((y) => y - 0.5)
    const overlay = lines("wave", layer(up, "+", "max"), layer(down, "-", "min"), layer(sine, "braille", "raw"))
    assert.deepStrictEqual(shown(overlay, 50, 12), [
      "            wave   + max   - min   ⡸ raw",
      "  ┌──────────────────────────────────────────────┐",
      "  │   +++++++++++++                           +++│",
      " 1┤ +++⣀⠤⠔⠒⠉⠉⠉⠒⠢⠤⢄ ++                      +++⣀⡠⠔│",
      "  │+⣀⠔⠊ ----------⠉⠢⢄++++               +++⢀⠔⠊ --│",
      " 0┤⠊ ---         ----⠉⠢⡀++++         +++⢀⡠⠒⠁---  │",
      "  │--               ---⠈⠑⠤⡀++++++++++⢀⡠⠒⠁---     │",
      "-1┤                     --⠈⠑⠒⠤⢄⣀⣀⡠⠤⠤⠒⠁----       │",
      "  │                       -------------          │",
      "  └┬──────────────┬───────────────┬──────────────┘",
      "   0             20              40",
      "                        step"
    ])
  })

  it("a legend that does not fit beside the title stands below the plot", () => {
    const overlay = lines("a long title", layer(sine, "+", "one"), layer(sine, "-", "two"))
    const [title, ...rest] = shown(overlay, 24, 14).map((line) => line.trim())
    assert.strictEqual(title, "a long title")
    assert.strictEqual(rest.at(-1), "+ one   - two")
  })

  it("bars stand over their bins, and the tick of a count is where a bar of it ends", () => {
    assert.deepStrictEqual(shown(bars("dt hist", [0, 1, 4, 9, 6, 2, 1, 0, 0, 1], 0.1, 0.2), 34, 9), [
      "              dt hist",
      " ┌───────────────────────────────┐",
      " │          ███                  │",
      " │          ███▃▃▃               │",
      "5┤       ▂▂▂██████               │",
      " │       █████████▁▁▁            │",
      "0┤    ▄▄▄████████████▄▄▄      ▄▄▄│",
      " └┬──────────────┬──────────────┬┘",
      "0.10           0.15           0.20"
    ])
  })

  it("bins that have no column of their own are joined, and none is lost", () => {
    const counts = Array.from({ length: 1000 }, (_, nth) => nth === 777 ? 5 : 0)
    const canvas = shown(bars("x", counts), 30, 10).slice(2, 8)
    assert.deepStrictEqual(canvas.map((line) => line.indexOf("█")), canvas.map(() => canvas[0]?.indexOf("█")))
    assert.strictEqual(canvas.join("").match(/█/g)?.length, 6)
  })

  it("one value has one bar, in the middle over its tick", () => {
    assert.deepStrictEqual(shown(bars("x", [7], 3, 3), 20, 7), [
      "          x",
      " ┌─────────────────┐",
      "5┤        ██       │",
      " │        ██       │",
      "0┤        ██       │",
      " └────────┬────────┘",
      "          3"
    ])
  })

  it("no values and constant ones have their plot too", () => {
    assert.deepStrictEqual(shown(lines("loss", layer([NaN, Infinity])), 30, 7), [
      "             loss",
      "┌────────────────────────────┐",
      "│                            │",
      "│      no finite values      │",
      "│                            │",
      "└────────────────────────────┘",
      ""
    ])
    assert.deepStrictEqual(shown(lines("lr", layer([0.001, 0.001, 0.001])), 30, 7), [
      "                lr",
      "     ┌───────────────────────┐",
      "     │                       │",
      "0.001┤▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀│",
      "     │                       │",
      "     └┬─────────────────────┬┘",
      "      0                     2"
    ])
    assert.deepStrictEqual(shown(bars("x", [], 0, 0), 20, 5).slice(2, 3), ["│ no finite values │"])
  })

  it("in a small size the title is cut in the middle and the name of the axis left out", () => {
    assert.deepStrictEqual(shown(lines("a/metric/with/a/long/name", layer(sine)), 20, 5), [
      "a/metric/…/long/name",
      " ┌─────────────────┐",
      "0┤▀▀▀▀▀▀▀▙▄▄▄▄▄▄▞▀▀│",
      " └┬─────────────┬──┘",
      "  0            50"
    ])
    assert.deepStrictEqual(shown(lines("accuracy", layer(sine)), 5, 3), ["ac…cy"])
  })

  it("charts of a column have their frames below one another, columns share the width", () => {
    const columns = [[lines("raw", layer([0, 1, 2])), lines("mean", layer([100, 102]))], [bars("raw hist", [1, 2, 3])]]
    assert.deepStrictEqual(Chart.grid(columns, { width: 50, height: 16, color: false }).map((line) => line.text), [
      "            raw                   raw hist",
      "   ┌───────────────────┐   ┌─────────────────────┐",
      "  2┤              ▄▄▄▀▀│  3┤              ███████│",
      "   │        ▗▄▄▀▀▀     │   │              ███████│",
      "   │    ▄▄▀▀▘          │   │              ███████│",
      "  0┤▄▞▀▀               │   │              ███████│",
      "   └┬─────────────────┬┘  2┤       ██████████████│",
      "    0                 2    │       ██████████████│",
      "           mean            │       ██████████████│",
      "   ┌───────────────────┐   │       ██████████████│",
      "102┤               ▄▄▞▀│  1┤█████████████████████│",
      "   │         ▗▄▄▀▀▀    │   │█████████████████████│",
      "   │    ▄▄▄▀▀▘         │   │█████████████████████│",
      "100┤▄▞▀▀               │  0┤█████████████████████│",
      "   └┬─────────────────┬┘   └┬───────────────────┬┘",
      "    0                 1     0                   1"
    ])
  })

  it("no line is wider than asked, no framed one narrower than another, and no more lines than asked", () => {
    fc.assert(
      fc.property(chart, fc.integer({ min: 1, max: 130 }), fc.integer({ min: 1, max: 45 }), (chart, width, height) => {
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
        assert.deepStrictEqual(
          colored.map((line) => stripVTControlCharacters(line.text)),
          plain.map((line) => line.text)
        )
      })
    )
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
