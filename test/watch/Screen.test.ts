import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Frame from "../../src/watch/Frame.ts"
import * as Keys from "../../src/watch/Keys.ts"
import * as Layout from "../../src/watch/Layout.ts"
import * as Numbers from "../../src/watch/Numbers.ts"

/** A terminal that knows what we send: positions, text, and nothing else of it is looked at. */
const show = (screen: Array<Array<string>>, text: string): void => {
  let [row, column] = [0, 0]
  for (const [part, position] of text.matchAll(/\p{Cc}\[(\d+;\d+)H|\p{Cc}\[2J|\p{Cc}\[[?\d;]*[hlm]|\P{Cc}/gu)) {
    if (position !== undefined) [row = 0, column = 0] = position.split(";").map((each) => Number(each) - 1)
    else if (part === "\x1b[2J") { for (const line of screen) line.fill(" ") }
    else if (!part.startsWith("\x1b")) {
      const line = screen[row]
      assert.isDefined(line)
      if (/\p{Mn}/u.test(part)) continue
      assert.isBelow(column, line.length)
      line[column++] = part
      if (/[一-龠ぁ-ん]/u.test(part)) line[column++] = ""
    }
  }
}

const label = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.constantFrom("日本語", "loss", "a\x1b[31mb", "\u202e", "é\u0301", "", "<img onerror=1>")
)
const drawing = fc.array(
  fc.tuple(fc.integer({ min: -2, max: 9 }), fc.integer({ min: -2, max: 30 }), label, fc.constantFrom(0, 31, 128, 256)),
  { maxLength: 8 }
)
const draw = (of: ReadonlyArray<readonly [number, number, string, number]>): Frame.Frame => {
  const frame = Frame.make(24, 8)
  for (const [row, column, text, style] of of) Frame.write(frame, row, column, text, style)
  return frame
}

describe("Frame", () => {
  it("brings a terminal from any screen to any other", () => {
    fc.assert(fc.property(drawing, drawing, (one, two) => {
      const [before, after] = [draw(one), draw(two)]
      // What stood beside one half of a wide character may be a half without the other: terminals differ there.
      fc.pre(!before.texts.includes("") && !after.texts.includes(""))
      const screen = Array.from({ length: 8 }, () => Array.from({ length: 24 }, () => "?"))
      show(screen, Frame.difference(undefined, before, true))
      show(screen, Frame.difference(before, after, true))
      const wanted = Array.from(
        { length: 8 },
        (_, row) => after.texts.slice(row * 24, row * 24 + 24).map((text) => text.replaceAll(/\p{Mn}/gu, ""))
      )
      assert.deepStrictEqual(screen, wanted)
    }))
  })

  it("sends nothing where nothing has changed, and little where little has", () => {
    const before = draw([[1, 2, "loss 0.5", 0]])
    assert.strictEqual(Frame.difference(before, draw([[1, 2, "loss 0.5", 0]]), true), "")
    const text = Frame.difference(before, draw([[1, 2, "loss 0.4", 0]]), true)
    assert.include(text, "\x1b[2;10H4\x1b")
    assert.isBelow(text.length, 40)
  })

  it("lets nothing of a name reach the terminal but as text, and keeps to its place", () => {
    fc.assert(fc.property(label, fc.integer({ min: 0, max: 10 }), (text, width) => {
      const frame = Frame.make(24, 1)
      const took = Frame.write(frame, 0, 3, text, 0, width)
      assert.isAtMost(took, width)
      assert.isFalse(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(frame.texts.join("")))
      assert.isTrue(frame.texts.slice(3 + took).every((cell) => cell === " "))
    }))
  })

  it("has no colour where none is wanted", () => {
    const frame = draw([[0, 0, "red", 31], [1, 0, "bold", 128]])
    assert.notInclude(Frame.difference(undefined, frame, false), "31")
    assert.include(Frame.difference(undefined, frame, true), "31")
  })
})

describe("Keys", () => {
  it("knows keys, whole sequences and nothing of what it does not know", () => {
    assert.deepStrictEqual(Keys.decode("aé\x1b[A\x1bOB\r\x7f\x03\t").keys, [
      "a",
      "é",
      "up",
      "down",
      "enter",
      "backspace",
      "ctrl-c",
      "tab"
    ])
    assert.deepStrictEqual(Keys.decode("\x1b[<0;3;4M\x1b[200~rm -rf\x1b[201~x").keys, ["x"])
    assert.deepStrictEqual(Keys.decode("\x1b\x1b[C"), { keys: ["escape", "right"], rest: "" })
  })

  it("waits for the rest of a sequence, and takes a lone escape for one", () => {
    const { keys, rest } = Keys.decode("a\x1b[")
    assert.deepStrictEqual([keys, rest], [["a"], "\x1b["])
    assert.deepStrictEqual(Keys.decode(`${rest}5~`).keys, ["pageup"])
    assert.deepStrictEqual(Keys.settle(Keys.decode("\x1b").rest), ["escape"])
  })

  it("decodes the same however input was cut, and stands any input", () => {
    fc.assert(fc.property(
      fc.array(fc.constantFrom("a", "\x1b[A", "\x1b[6~", "é", "\r", "\x1bOC")),
      fc.nat(20),
      (parts, cut) => {
        const text = parts.join("")
        const first = Keys.decode(text.slice(0, cut))
        const second = Keys.decode(first.rest + text.slice(cut))
        assert.deepStrictEqual([...first.keys, ...second.keys], Keys.decode(text).keys)
      }
    ))
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 50 }), (text) => {
      Keys.decode(text)
    }))
  })
})

describe("Layout", () => {
  it("keeps all parts on the screen and apart, at any size", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 240 }),
        fc.integer({ min: 1, max: 200 }),
        fc.nat(3),
        fc.boolean(),
        fc.nat(50),
        fc.boolean(),
        (columns, rows, density, ranks, count, grouped) => {
          const layout = Layout.make({ columns, rows, density, ranks }, count, grouped)
          const parts = [layout.header, layout.tabs, layout.footer, layout.ranks, ...layout.charts]
            .filter(({ height }) => height > 0)
          const cells = new Set<number>()
          for (const { height, left, top, width } of parts) {
            assert.isTrue(left >= 0 && top >= 0 && top + height <= rows && (left + width <= columns || width === 1))
            for (let row = top; row < top + height; row++) {
              for (let column = left; column < Math.min(columns, left + width); column++) {
                assert.isFalse(cells.has(row * columns + column))
                cells.add(row * columns + column)
              }
            }
          }
          assert.strictEqual(layout.charts.length % layout.across, 0)
        }
      ),
      { numRuns: 60 }
    )
  })

  it("has few charts on a small screen and many on a large one", () => {
    const charts = (columns: number, rows: number) =>
      Layout.make({ columns, rows, density: 1, ranks: false }, 100, true).charts.length
    assert.deepStrictEqual([charts(80, 24), charts(120, 40), charts(220, 60)], [4, 15, 40])
  })
})

describe("Numbers", () => {
  it("says numbers and times in few characters", () => {
    assert.deepStrictEqual(
      [0.42134, 12.5, 1e-7, 1200, 1234567, 166e6, -0.5, 0, NaN, Infinity, 1e300].map(Numbers.number),
      ["0.4213", "12.5", "1e-7", "1,200", "1.23M", "166M", "-0.5", "0", "NaN", "inf", "1e300"]
    )
    assert.deepStrictEqual(
      [0.5, 12, 187, 3723, 100_000, NaN].map(Numbers.duration),
      ["0.5s", "12s", "3:07", "1:02:03", "1d 03:46", "-"]
    )
    fc.assert(fc.property(fc.double(), (value) => {
      assert.isAtMost(Numbers.number(value).length, 10)
    }))
  })

  it("gives a number the digits that tell it from others, and no more than there is room for", () => {
    const apart = ([value, range]: readonly [number, number]): string => Numbers.apart(value, range)
    assert.deepStrictEqual(
      ([[1e9 + 0.2, 0.2], [40.212345e9, 3e9], [1234567.8, 2000], [12345.6, 20], [3.0001e-7, 1e-11], [5, 0]] as const)
        .map(apart),
      ["1000000000.2", "40.21G", "1234568", "12345.6", "3.0001e-7", "5"]
    )
    assert.strictEqual(Numbers.apart(1e9 + 0.2, 0.2, 8), "1G")
    fc.assert(fc.property(fc.double(), fc.double(), fc.integer({ min: 10, max: 40 }), (value, range, room) => {
      assert.isAtMost(Numbers.apart(value, range, room).length, Math.min(room, 20))
      assert.isAtMost(Numbers.apart(value, 0).length, 10)
    }))
    // Halves of a range are told apart wherever a double can.
    fc.assert(fc.property(
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
      fc.double({ min: 1e-9, max: 1, noNaN: true }),
      (low, share) => {
        const [middle, high] = [low * (1 + share / 2), low * (1 + share)]
        const said = [low, middle, high].map((value) => Numbers.apart(value, high - low))
        assert.strictEqual(new Set(said).size, 3)
      }
    ))
  })

  it("counts one thing as one", () => {
    assert.deepStrictEqual(
      [0, 1, 2, 20_000].map((many) => Numbers.several(many, "metric")),
      ["0 metrics", "1 metric", "2 metrics", "20,000 metrics"]
    )
  })
})
