import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Cell from "../../../src/backend/csv/Cell.ts"
import { parse } from "./support.ts"

/** As Python's float() reads it. */
const float = (text: string): number =>
  text === "NaN" ? NaN : text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text)

describe("Cell", () => {
  it("every double reads back as itself, from the shortest text", () => {
    fc.assert(fc.property(fc.double(), (value) => {
      const text = Cell.cell(value)
      assert.isTrue(Object.is(float(text), value), `${value} as ${text}`)
      if (Number.isFinite(value) && value !== 0) assert.isAtMost(text.length, String(value).length + 5)
      assert.match(text, /^(-?\d+(\.\d+)?(e[+-]\d+)?|NaN|-?inf)$/)
    }))
  })

  it("an integer that a reader would overflow at is not written as one", () => {
    assert.strictEqual(Cell.cell(2 ** 53 - 1), "9007199254740991")
    assert.strictEqual(Cell.cell(2 ** 63), "9.223372036854776e+18")
    assert.strictEqual(Cell.cell(-1e20), "-1e+20")
    assert.strictEqual(Cell.cell(-0), "-0.0")
  })

  it("every string reads back as itself, lone surrogates replaced", () => {
    const strings = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom("\"", ",", "\r", "\n", " ", "a", "\ud800", "\u2028", "\0") })
    )
    fc.assert(fc.property(strings, (value) => {
      assert.deepStrictEqual(parse(`${Cell.cell(value)}\n`), [[value.toWellFormed()]])
      assert.deepStrictEqual(parse(Cell.lines([[value, "x"]])), [[value.toWellFormed(), "x"]])
      assert.strictEqual(Cell.line([value]), Cell.cell(value))
    }))
  })

  it("an absent value is nothing, an empty string is quoted", () => {
    assert.deepStrictEqual([null, undefined, ""].map(Cell.cell), ["", "", "\"\""])
    assert.strictEqual(Cell.lines([["", null, undefined, "a"]]), "\"\",,,a\n")
    assert.strictEqual(Cell.lines([]), "")
  })

  it("booleans are words, arrays their JSON text", () => {
    assert.deepStrictEqual([true, false].map(Cell.cell), ["true", "false"])
    const array = Cell.cell([[1, NaN], [-Infinity, -0, 1e-7]])
    assert.deepStrictEqual(parse(`${array}\n`), [["[[1,\"NaN\"],[\"-Infinity\",-0.0,1e-7]]"]])
    assert.strictEqual(Cell.line([[1, 2], false, 0.5]), "\"[1,2]\",false,0.5")
  })
})
