import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import { merge, nearest } from "../../src/serve/page/merge.ts"

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
})
