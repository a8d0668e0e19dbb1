import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Artifact from "../../src/artifact/Ranks.ts"
import * as Census from "../../src/Census.ts"
import * as Fold from "../../src/Fold.ts"
import type { Row } from "../../src/Row.ts"
import * as Ranks from "../../src/view/Ranks.ts"

/** Rank 3 is slow in most records. */
const rows: ReadonlyArray<Row> = Array.from({ length: 200 }, (_, nth) => {
  const slowest = nth % 10 === 0 ? nth % 4 : 3
  return {
    seq: nth + 1,
    step: nth,
    timestamp: nth,
    rank: 0,
    metrics: { dt: 1, loss: 2 },
    statistics: {
      values: {
        "dt/mean": 2,
        "dt/min": 1,
        "dt/max": 5,
        "dt/std": 1.5,
        "dt/argmin": nth % 3,
        "dt/argmax": slowest,
        "loss/mean": 2,
        "loss/min": 1,
        "loss/max": 5,
        "loss/std": 1.5,
        "loss/argmin": nth % 4,
        "loss/argmax": (nth * 7) % 4
      },
      count: nth % 50 === 0 ? 3 : 4,
      expected: 4
    }
  }
})

describe("Ranks", () => {
  it.effect("counts while a run goes on what the report counts at its end", () =>
    Effect.gen(function*() {
      const self = Ranks.make()
      for (let nth = 0; nth < rows.length; nth += 7) Ranks.push(self, rows.slice(nth, nth + 7))
      const stream = Stream.fromIterable(rows)
      const census = yield* Fold.run(stream, Census.fold)
      const reported = yield* Fold.run(stream, Artifact.fold(census))
      const slow = reported?.metrics.find(({ key }) => key === "dt")
      const [first, ...rest] = Ranks.table(self)
      assert.deepInclude(first, { key: "dt", rank: 3, is: "slowest", outstanding: true })
      assert.deepStrictEqual([first?.count, first?.deviation], [
        slow?.greatest.ranks[0]?.count,
        slow?.greatest.ranks[0]?.deviation
      ])
      assert.isFalse(rest.some(({ key }) => key === "loss"))
      assert.deepStrictEqual([self.worldSize, self.records, self.partial], [4, 200, 4])
    }))

  it("says nothing of a run of one rank", () => {
    const self = Ranks.make()
    Ranks.push(self, rows.map((row) => ({ ...row, statistics: undefined })))
    assert.deepStrictEqual([Ranks.table(self), self.worldSize], [[], 1])
  })
})
