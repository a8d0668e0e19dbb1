import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Plan from "../../../src/reducer/nccl/Plan.ts"

const make = (worldSize: number, mostBytes = 1000) => Plan.make({ worldSize, waitMillis: 25, mostBytes })

describe("what ranks are to send", () => {
  it("nothing while nobody has anything", () => {
    const plans = make(3)
    assert.isUndefined(plans.dueAt())
    assert.deepStrictEqual(plans.next(), [])
  })

  it("at once when every rank has something, else when the first has waited", () => {
    const plans = make(3)
    plans.offer(2, 16, 1000)
    assert.strictEqual(plans.dueAt(), 1025)
    plans.offer(1, 8, 1010)
    assert.strictEqual(plans.dueAt(), -Infinity)
    assert.deepStrictEqual(plans.next(), [0, 8, 16])
    assert.isUndefined(plans.dueAt())
  })

  it("not more than fits; who did not fit is next", () => {
    const plans = make(4, 100)
    for (const rank of [1, 2, 3]) plans.offer(rank, 48, 0)
    assert.deepStrictEqual(plans.next(), [0, 48, 48, 0])
    plans.offer(1, 48, 0)
    assert.deepStrictEqual(plans.next(), [0, 48, 0, 48])
    plans.offer(2, 800, 0)
    assert.deepStrictEqual(plans.next(), [0, 0, 800, 0])
  })

  it("offers that make no sense are none, and one that is forgotten is not asked for", () => {
    const plans = make(3)
    for (const [rank, bytes] of [[0, 8], [3, 8], [-1, 8], [1.5, 8], [1, 0], [1, 12], [1, NaN], [1, 2 ** 31]] as const) {
      plans.offer(rank, bytes, 0)
    }
    assert.deepStrictEqual(plans.next(), [])
    plans.offer(1, 8, 0)
    plans.forget(1)
    assert.deepStrictEqual(plans.next(), [])
  })

  it("each offer is asked for once, in turn: nobody starves", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 20 })), { maxLength: 100 }),
      (offers) => {
        const plans = make(8, 64)
        const open = new Map<number, number>()
        for (const [rank, eights] of offers) {
          plans.offer(rank, 8 * eights, 0)
          open.set(rank, 8 * eights)
        }
        for (let rounds = 0; open.size > 0; rounds++) {
          assert.isBelow(rounds, 8)
          const sizes = plans.next()
          const total = sizes.reduce((sum, bytes) => sum + bytes, 0)
          assert.isTrue(total <= 64 || sizes.filter((bytes) => bytes > 0).length === 1)
          for (const [rank, bytes] of sizes.entries()) {
            if (bytes === 0) continue
            assert.strictEqual(open.get(rank), bytes)
            open.delete(rank)
          }
        }
        assert.deepStrictEqual(plans.next(), [])
      }
    ))
  })
})
