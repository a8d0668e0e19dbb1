import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Batches from "../../../src/backend/mlflow/Batches.ts"
import * as Points from "../../../src/backend/mlflow/Points.ts"
import * as Position from "../../../src/backend/mlflow/Position.ts"
import type { Metrics } from "../../../src/Metrics.ts"
import type { Row } from "../../../src/Row.ts"
import { kept, row } from "./support.ts"

interface Sent {
  readonly key: string
  readonly value: number | string
  readonly timestamp: number
  readonly step: number | string
}

const start = (position = Position.start()): Batches.Mark => ({ seq: 0, part: 0, position })

/** All requests, each checked against the limits; `interrupt` says after which to begin again from the mark. */
const send = (rows: ReadonlyArray<Row>, from = start()) => {
  const sent: Array<Sent> = []
  const maker = Points.make()
  let mark = from
  for (;;) {
    const batch = Batches.next(rows, mark, maker)
    if (batch === undefined) return { sent, mark }
    const body = Batches.body("0123456789abcdef0123456789abcdef", batch.points)
    assert.isAtMost(Buffer.byteLength(body), 1_000_000)
    const { metrics }: { readonly metrics: ReadonlyArray<Sent> } = JSON.parse(body)
    assert.isAtMost(metrics.length, 1000)
    assert.isTrue(batch.next.seq > mark.seq || batch.next.part > mark.part)
    sent.push(...metrics)
    mark = batch.next
  }
}

const rows = fc.array(
  fc.record({
    metrics: fc.dictionary(fc.string({ maxLength: 5 }), fc.oneof(fc.double(), fc.boolean(), fc.constant(null)), {
      maxKeys: 4
    }),
    step: fc.option(fc.oneof(fc.integer({ min: -2, max: 3 }), fc.double({ noNaN: true, noDefaultInfinity: true })), {
      nil: undefined
    }),
    millis: fc.integer({ min: -5, max: 5 })
  }),
  { maxLength: 200 }
).map((records) =>
  records.map(({ metrics, millis, step }, i): Row =>
    row(i + 1, metrics, { step, timestamp: 1_764_000_000 + millis / 1000 })
  )
)

const identity = ({ key, step, timestamp }: Sent) => JSON.stringify([key, step, timestamp])

describe("requests", () => {
  it("keep to the limits, and lose nothing", () => {
    const wide = (count: number, length: number): Metrics =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}-${"é".repeat(length)}`, i]))
    const records = [wide(1, 1), wide(2500, 1), {}, wide(3, 240), wide(5000, 235), wide(999, 3)]
    const { mark, sent } = send(records.map((metrics, i) => row(i + 1, metrics)))
    assert.strictEqual(mark.seq, records.length)
    assert.deepStrictEqual(
      sent.map(({ key, step, value }) => [key, step, value]),
      records.flatMap((metrics, step) => Object.entries(metrics).map(([key, value]) => [key, step, value]))
    )
  })

  it("never hold two points of one key at one step and time", () => {
    fc.assert(fc.property(rows, (rows) => {
      const { sent } = send(rows)
      assert.strictEqual(new Set(sent.map(identity)).size, sent.length)
    }))
  })

  it("are the same again from any checkpoint", () => {
    fc.assert(fc.property(rows, fc.nat(), (rows, at) => {
      const cut = rows.length === 0 ? 0 : at % rows.length
      const whole = send(rows).sent
      const first = send(rows.slice(0, cut))
      const checkpoint = kept(Position.keep(first.mark.position)) as Position.Kept
      const second = send(rows.slice(cut), start(Position.restore(checkpoint)))
      assert.deepStrictEqual([...first.sent, ...second.sent], whole)
    }))
  })

  it("hold the records that were not sent, when a batch comes again in the middle", () => {
    const wide = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`k${i}`, i]))
    const records = [row(1, wide, { step: undefined }), row(2, wide, { step: 0 })]
    const maker = Points.make()
    const texts = (from: Batches.Mark): Array<string> => {
      const batch = Batches.next(records, from, maker)
      return batch === undefined ? [] : [...batch.points.map(({ text }) => text), ...texts(batch.next)]
    }
    const first = Batches.next(records, start(), maker)
    assert.strictEqual(first?.next.part, 1000)
    assert.deepStrictEqual(texts(first?.next ?? start()), texts(start()).slice(1000))
  })
})

describe("a record", () => {
  const points = (records: ReadonlyArray<Row>) =>
    send(records).sent.map(({ key, step, timestamp, value }) => [key, step, timestamp - 1_764_000_000_000, value])
  const at = (seq: number, metrics: Metrics, step: number | undefined, millis: number, statistics?: Metrics): Row => ({
    ...row(seq, metrics),
    step,
    timestamp: 1_764_000_000 + millis / 1000,
    statistics: statistics === undefined ? undefined : { values: statistics, count: 1, expected: 1 }
  })

  it("without a step comes after the highest so far", () => {
    assert.deepStrictEqual(
      points([
        at(1, { a: 1 }, undefined, 0),
        at(2, { a: 1 }, 7, 0),
        at(3, { a: 1 }, 3, 0),
        at(4, { a: 1 }, undefined, 0)
      ]),
      [["a", 0, 0, 1], ["a", 7, 0, 1], ["a", 3, 0, 1], ["a", 8, 0, 1]]
    )
  })

  it("whose step repeats is later than the one before, by no more than it must", () => {
    assert.deepStrictEqual(
      points([
        at(1, { a: 1 }, 5, 10),
        at(2, { a: 1 }, 5, 10),
        at(3, { b: 1 }, 6, 10),
        at(4, { a: 1 }, 5, 2),
        at(5, { a: 1 }, 5, 90)
      ]),
      [["a", 5, 10, 1], ["a", 5, 11, 1], ["b", 6, 10, 1], ["a", 5, 12, 1], ["a", 5, 90, 1]]
    )
  })

  it("whose step is no integer of 64 bits is rounded down into them, and keeps it", () => {
    assert.deepStrictEqual(points([at(1, { a: 1 }, 1.5, 0), at(2, { a: 2 }, 1e300, 0), at(3, { a: 3 }, -0, 0)]), [
      ["a", 1, 0, 1],
      ["ezpz/step", 1, 0, 1.5],
      ["a", "9223372036854774784", 0, 2],
      ["ezpz/step", "9223372036854774784", 0, 1e300],
      ["a", 0, 0, 3]
    ])
  })

  it("stands beside its statistics as local, whatever other names there are", () => {
    const metrics = { loss: 1, "loss/mean": 7, "x/local": 2, x: 3, note: "text", flag: true }
    const statistics = { "loss/mean": 1, "loss/std": 0, "x/mean": 3, "loss/mean/mean": 7 }
    assert.deepStrictEqual(points([at(1, metrics, 0, 0, statistics)]).map(([key, , , value]) => [key, value]), [
      ["loss/local", 1],
      ["loss/mean/local", 7],
      ["x/local", 2],
      ["x/local_", 3],
      ["flag", 1],
      ["loss/mean", 1],
      ["loss/std", 0],
      ["x/mean", 3],
      ["loss/mean/mean", 7]
    ])
  })

  it("with arrays has their means, and what is not finite by its name", () => {
    assert.deepStrictEqual(
      points([at(1, { a: [1, 2, 6], b: [[1], [2]], c: [], d: null, e: NaN, f: -Infinity }, 0, 0)])
        .map(([key, , , value]) => [key, value]),
      [["a", 3], ["b", 1.5], ["e", "NaN"], ["f", "-Infinity"]]
    )
  })
})
