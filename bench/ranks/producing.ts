/** What a rank pays for a record. */
import * as Producer from "../../src/reducer/zeromq/Producer.ts"
import { type Context, perCall, type Spread } from "../measure.ts"
import { atMost, type Findings, seconds, times } from "../report.ts"

const wanted = 32

export const measure = ({ quick }: Context): Findings => {
  const costs = [8, wanted, 256].map((count) => ({ count, ...producing(count, quick ? 20 : 200) }))
  const wide = costs.find(({ count }) => count === wanted)
  return {
    tables: [{
      columns: ["metrics", "a record", "by handles"],
      rows: costs.map(({ count, handles, record }) => [String(count), times(record), times(handles)])
    }],
    checks: [
      atMost("a record of 32 metrics: at most 1 us", wide?.record.median ?? NaN, 1e-6, seconds),
      atMost("with handles: at most 0.5 us", wide?.handles.median ?? NaN, 0.5e-6, seconds)
    ]
  }
}

const producing = (count: number, millis: number): { readonly record: Spread; readonly handles: Spread } => {
  const names = Array.from({ length: count }, (_, i) => `train/metric_${i}`)
  const record: Record<string, number> = JSON.parse(
    JSON.stringify(Object.fromEntries(names.map((name, i) => [name, i])))
  )
  const make = () => Producer.make({ job: 1n, rank: 1, incarnation: 1, worldSize: 2, batchRecords: 64 })
  const [one, other] = [make(), make()]
  const handles = other.handles(names)
  const values = Float64Array.from(names, (_, i) => i)
  let step = 0
  let sent = 0
  const taking = (producer: Producer.Producer, ready: boolean): void => {
    if (!ready) return
    producer.drain(step, () => true)
    // As a root would that keeps up.
    producer.acked(++sent)
  }
  const byName = perCall(() => taking(one, one.record(record, ++step, step)), millis)
  sent = 0
  const byPlace = perCall(() => taking(other, handles(values, ++step, step)), millis)
  return { record: byName, handles: byPlace }
}
