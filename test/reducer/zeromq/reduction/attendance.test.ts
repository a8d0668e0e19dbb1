import { assert, describe, it } from "@effect/vitest"
import { Attendance } from "../../../../src/reducer/zeromq/reduction/attendance.ts"

const complete = { absent: () => [], isComplete: true, isWaiting: true }
const without = (...ranks: ReadonlyArray<number>) => ({ absent: () => ranks, isComplete: false, isWaiting: true })
const texts = (said: ReturnType<Attendance["say"]>): ReadonlyArray<string> =>
  said.map(({ isWarning, text }) => `${isWarning ? "warning" : "info"}: ${text}`)

describe("Attendance", () => {
  it("says who is waited for once that takes a while, and that all are there, or who has not come", () => {
    const one = new Attendance(0, 60_000)
    assert.deepStrictEqual(texts(one.say(1000, without(1))), [])
    assert.deepStrictEqual(texts(one.say(5000, { ...without(1), isWaiting: false })), [])
    assert.deepStrictEqual(texts(one.say(5000, without(1, 5, 6))), ["info: Waiting for ranks 1, 5-6"])
    assert.deepStrictEqual(texts(one.say(6000, without(1))), [])
    assert.deepStrictEqual(texts(one.say(7000, complete)), ["info: All ranks are there"])
    const other = new Attendance(0, 3000)
    assert.deepStrictEqual(texts(other.say(2000, without(2))), [])
    assert.deepStrictEqual(texts(other.say(3000, without(2))), [
      "warning: Rank 2 has not come: records go on without it"
    ])
    assert.deepStrictEqual(texts(other.say(90_000, without(2))), [])
  })

  it("says nothing where all come in time", () => {
    const one = new Attendance(0, 60_000)
    assert.deepStrictEqual(texts(one.say(4000, complete)), [])
    assert.deepStrictEqual(texts(one.say(90_000, complete)), [])
  })

  it("says who is gone and who is back, at once of those of about the same time", () => {
    const one = new Attendance(0, 1)
    one.say(1, complete)
    one.lost(7, 100)
    one.lost(6, 200)
    one.lost(2, 300)
    assert.deepStrictEqual(texts(one.say(1000, complete)), [])
    assert.deepStrictEqual(texts(one.say(1100, complete)), [
      "warning: Ranks 2, 6-7 are gone: records go on without them"
    ])
    one.came(7, 2000)
    assert.deepStrictEqual(texts(one.say(4000, complete)), ["info: Rank 7 is back"])
    one.lost(3, 4000)
    assert.deepStrictEqual(texts(one.say(4001, complete, true)), [
      "warning: Rank 3 is gone: records go on without it"
    ])
  })

  it("says nothing of one that is back before it was said, and of a thousand only how many", () => {
    const one = new Attendance(0, 1)
    one.say(1, complete)
    one.lost(1, 100)
    one.came(1, 200)
    assert.deepStrictEqual(texts(one.say(9000, complete)), [])
    for (let rank = 1; rank < 2000; rank += 2) one.lost(rank, 10_000)
    assert.deepStrictEqual(texts(one.say(11_000, complete)), [
      "warning: Ranks 1, 3, 5, 7, 9, 11, 13, 15 and 992 more are gone: records go on without them"
    ])
  })
})
