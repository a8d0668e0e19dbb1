/** Single calls of `update`, at the pace of a job: what backends do in between is between calls, as it is there. */
import * as Effect from "effect/Effect"
import type * as History from "../../src/History.ts"
import { steady } from "../data.ts"

/** A job's records, as a program has them. */
export const decoded = (keys: ReadonlyArray<string>, count: number): ReadonlyArray<Record<string, number>> => {
  const job = steady(keys)
  return Array.from({ length: count }, () => JSON.parse(job.next().metrics) as Record<string, number>)
}

const together = 10

/** Updates with a record after the other, some of them and then a pause; gives the seconds of each call. */
export const paced = (
  history: History.History,
  records: ReadonlyArray<Record<string, number>>,
  count: number,
  from: number
): Effect.Effect<Float64Array, History.UpdateError> =>
  Effect.gen(function*() {
    const calls = new Float64Array(count)
    for (let i = 0; i < count; i++) {
      const record = records[i % records.length] ?? {}
      const started = performance.now()
      yield* history.update(record, { step: from + i })
      calls[i] = (performance.now() - started) / 1000
      if (i % together === together - 1) yield* Effect.sleep(1)
    }
    return calls
  })
