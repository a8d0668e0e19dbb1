import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Text from "../../../src/artifact/tplot/Text.ts"

const anything = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: fc.constantFrom("é", "e\u0301", "日", "👍🏽", "\u202e", "\x1b", "\ud800", "👨‍👩‍👧", "❤️", "a", "한") })
)

describe("Text", () => {
  it("a label holds nothing that moves the cursor or turns the line, nor a width terminals disagree about", () => {
    fc.assert(fc.property(anything, (text) => {
      assert.notMatch(Text.label(text), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Variation_Selector}\p{Emoji_Modifier}]/u)
    }))
    assert.strictEqual(Text.label("a\x1b[31m\nb\u202e\ud800"), "a\\x1b[31m\\x0ab\\u202e\\ud800")
    assert.strictEqual(Text.label("train/loss"), "train/loss")
  })

  it("wide characters take two columns, combining marks none", () => {
    const widths = ["loss", "損失", "👍", "e\u0301\u0323", "한글", "ｗ", "❤", "½"].map((text) =>
      Text.width(Text.label(text))
    )
    assert.deepStrictEqual(widths, [4, 4, 2, 1, 4, 2, 1, 1])
  })

  it("a label is cut in the middle, to at most the columns there are", () => {
    fc.assert(fc.property(anything, fc.nat(20), (text, columns) => {
      const label = Text.label(text)
      const cut = Text.fit(label, columns)
      assert.isAtMost(Text.width(cut), columns)
      if (Text.width(label) <= columns) assert.strictEqual(cut, label)
    }))
    assert.strictEqual(Text.fit("train/very/long/loss", 9), "trai…loss")
    assert.strictEqual(Text.fit("日本語のメトリック", 8), "日…ック")
  })

  it("blocks stand side by side, each at its column, and lines do not end in blanks", () => {
    const block = (...lines: ReadonlyArray<string>) => lines.map(Text.line)
    const lines = Text.beside([{ at: 0, lines: block("日", "", "a") }, { at: 4, lines: block("x", "y") }])
    assert.deepStrictEqual(lines.map((line) => line.text), ["日  x", "    y", "a"])
    assert.deepStrictEqual(lines.map((line) => line.width), [5, 5, 1])
  })
})
