import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Names from "../../../src/backend/mlflow/Names.ts"
import * as Params from "../../../src/backend/mlflow/Params.ts"

const asMap = (entries: ReadonlyArray<{ readonly key: string; readonly value: string }>) =>
  new Map(entries.map(({ key, value }) => [key, value]))

describe("a config", () => {
  it("is flat, every value in it once, as text", () => {
    const cyclic = { a: { b: 1 }, "a.b": 2, "a.b_2": 3, big: 10n ** 30n, list: [1, { x: "y" }], empty: {}, off: false }
    assert.deepStrictEqual([...Params.flatten("config", cyclic)], [
      ["config.a.b", "1"],
      ["config.a.b_2", "2"],
      ["config.a.b_2_2", "3"],
      ["config.big", "1000000000000000000000000000000"],
      ["config.list", "[1,{\"x\":\"y\"}]"],
      ["config.empty", "{}"],
      ["config.off", "false"]
    ])
  })

  it("comes back whole from its params, however long its values are", () => {
    const value = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 10 }),
      fc.tuple(fc.constantFrom("a", "é", "😀", "\n"), fc.nat(20_000), fc.constantFrom("", "x")).map((
        [unit, n, first]
      ) => first + unit.repeat(n))
    )
    fc.assert(fc.property(fc.dictionary(fc.string({ maxLength: 4 }), value, { maxKeys: 4 }), (config) => {
      const { params, tags } = Params.change(Params.flatten("config", config), new Map())
      assert.deepStrictEqual(tags, [])
      const there = asMap(params)
      assert.strictEqual(there.size, params.length)
      for (const { value } of params) assert.isAtMost(value.length, 6000)
      for (const [key, text] of Object.entries(config)) {
        const parts: Array<string> = []
        for (let nth = 1;; nth++) {
          const part = there.get(Names.encode(nth === 1 ? `config.${key}` : `config.${key}_x${nth}_`))
          if (part === undefined) break
          parts.push(part)
        }
        assert.strictEqual(parts.join(""), text)
      }
    }))
  })

  it("that is sent again is nothing new, and what has changed becomes a tag", () => {
    const first = Params.change(Params.flatten("config", { lr: 1, name: "x" }), new Map())
    const there = asMap(first.params)
    const again = Params.change(Params.flatten("config", { lr: 1, name: "x" }), there)
    assert.deepStrictEqual([again.params, again.tags], [[], []])
    const other = Params.change(Params.flatten("config", { lr: 2, name: "x", more: true }), there)
    assert.deepStrictEqual(other.params, [{ key: "config.more", value: "true" }])
    assert.deepStrictEqual(other.tags, [{ key: "config.lr", value: "2" }])
    assert.deepStrictEqual(other.changed, ["config.lr"])
  })
})
