import { assert, describe, it } from "@effect/vitest"
import { numberOf, Table, Window, window } from "../../../src/reducer/zeromq/Schema.ts"

describe("a value", () => {
  it("counts as itself, as the mean of its numbers, or not at all", () => {
    assert.deepStrictEqual([1, -0, NaN, -Infinity].map(numberOf), [1, -0, NaN, -Infinity])
    assert.deepStrictEqual([[1, 2, 6], [[1, 2], [3, 6]], [1, NaN], [1, Infinity]].map(numberOf), [3, 3, NaN, NaN])
    assert.deepStrictEqual([[], [[]], true, "1", null, undefined].map(numberOf), Array.from({ length: 6 }))
    // Summed as wide as everything else is.
    assert.strictEqual(numberOf([1e16, 1, -1e16]), 1 / 3)
    assert.strictEqual(numberOf([1e308, 1e308]), 1e308)
  })
})

describe("schemas", () => {
  it("are the same for the same keys in any order, and never share an id", () => {
    const table = new Table()
    assert.strictEqual(table.schemaOf(["a", "b"]), table.schemaOf(["b", "a"]))
    const ids = Array.from({ length: 10_000 }, (_, i) => table.schemaOf([`k${i}`]).id)
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.isAtMost(table.size, 2 * window.schemas)
  })

  it("are remembered as long as they are among the last that were told, in number and in bytes", () => {
    const told = new Window<string>()
    for (let id = 1; id <= window.schemas; id++) told.set(id, "x", 100)
    told.set(1, "again", 100)
    told.set(window.schemas + 1, "x", 100)
    assert.deepStrictEqual([told.size, told.get(1), told.has(2), told.has(3)], [window.schemas, "again", false, true])
    told.set(9999, "large", window.bytes - 150)
    assert.deepStrictEqual([told.size, told.has(window.schemas + 1), told.has(1)], [2, true, false])
    told.set(10_000, "larger than all", window.bytes * 2)
    assert.deepStrictEqual([told.size, told.has(10_000)], [1, true])
    told.clear()
    assert.strictEqual(told.size, 0)
  })
})
