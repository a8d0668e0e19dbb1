import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { defaultTopology, levelsOf, parentOf } from "../../../../src/reducer/zeromq/reduction/topology.ts"

describe("a topology", () => {
  it("is a star of up to 1024 nodes", () => {
    assert.strictEqual(levelsOf(1024), 0)
    for (const node of [1, 64, 1023]) assert.isUndefined(parentOf(node, 1024))
  })

  it("has one level of nodes between where there are more, and the root stands for node 0", () => {
    assert.strictEqual(levelsOf(1025), 1)
    assert.deepStrictEqual([1, 63, 64, 65, 127, 128, 1024].map((node) => parentOf(node, 1025)), [
      undefined,
      undefined,
      undefined,
      64,
      64,
      undefined,
      undefined
    ])
  })

  it("has several where one is not enough", () => {
    const small = { star: 2, fanIn: 2 }
    assert.strictEqual(levelsOf(8, small), 2)
    const parents = Array.from({ length: 8 }, (_, node) => parentOf(node, 8, small))
    assert.deepStrictEqual(parents, [undefined, undefined, undefined, 2, undefined, 4, 4, 6])
  })

  it("leads each node to the root, by nodes that come before it, few of which the root talks to", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.record({ star: fc.integer({ min: 1, max: 50 }), fanIn: fc.integer({ min: 2, max: 9 }) }),
        (nodes, topology) => {
          const levels = levelsOf(nodes, topology)
          const children = new Map<number | undefined, number>()
          for (let node = 1; node < nodes; node++) {
            let steps = 0
            for (let at: number | undefined = node; at !== undefined; at = parentOf(at, nodes, topology)) {
              const parent = parentOf(at, nodes, topology)
              assert.isTrue(parent === undefined || (parent < at && parent > 0))
              steps++
            }
            assert.isAtMost(steps, levels + 1)
            const parent = parentOf(node, nodes, topology)
            children.set(parent, (children.get(parent) ?? 0) + 1)
          }
          for (const [parent, count] of children) {
            const most = (topology.fanIn - 1) * levels
            assert.isAtMost(count, parent === undefined ? topology.star + most : most)
          }
        }
      ),
      { numRuns: 50 }
    )
  })

  it("is that of half a million ranks with one level, by default", () => {
    assert.strictEqual(levelsOf(defaultTopology.star * defaultTopology.fanIn), 1)
  })
})
