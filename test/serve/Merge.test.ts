import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import { alone, merge, nearest } from "../../src/serve/page/merge.ts"

const table = FastCheck.array(
  FastCheck.record({ x: FastCheck.integer({ min: 0, max: 20 }), y: FastCheck.option(FastCheck.integer()) })
).map((points) => points.toSorted((a, b) => a.x - b.x))

describe("lines on one x", () => {
  it("keeps every point of every line, in its order and with its gaps", () => {
    FastCheck.assert(FastCheck.property(FastCheck.array(table, { maxLength: 4 }), (tables) => {
      const merged = merge(tables.map((points) => ({
        x: points.map(({ x }) => x),
        columns: [points.map(({ y }) => y)]
      })))
      assert.deepStrictEqual(merged.x, merged.x.toSorted((a, b) => a - b))
      for (const [i, points] of tables.entries()) {
        const column = merged.columns[i] ?? []
        assert.strictEqual(column.length, merged.x.length)
        const there = column.flatMap((y, at) => y === undefined ? [] : [{ x: merged.x[at], y }])
        assert.deepStrictEqual(there, points)
      }
    }))
  })

  it("finds what lies nearest to a place", () => {
    FastCheck.assert(FastCheck.property(FastCheck.array(FastCheck.integer()), FastCheck.integer(), (some, x) => {
      const xs = some.toSorted((a, b) => a - b)
      const found = nearest(xs, x)
      if (xs.length === 0) assert.strictEqual(found, -1)
      else assert.strictEqual(Math.abs((xs[found] ?? NaN) - x), Math.min(...xs.map((one) => Math.abs(one - x))))
    }))
  })

  it("finds the values that no line goes through: those between gaps, and those too close to each other to be seen", () => {
    const xs = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert.deepStrictEqual(alone(xs, [1, null, 1, 1, null, 1, null, null, 1], 0.5), [0, 5, 8])
    assert.deepStrictEqual(alone(xs, [1, null, 1, 1, null, 1, null, null, 1], 1.5), [0, 2, 3, 5, 8])
    // What another line has there is no gap of this one.
    assert.deepStrictEqual(alone(xs, [1, undefined, 1, null, undefined, 1, undefined, undefined, null], 0.5), [5])
    assert.deepStrictEqual(alone([], [], 1), [])
    assert.deepStrictEqual(alone([1, 2], [null, undefined], 1), [])
  })
})
