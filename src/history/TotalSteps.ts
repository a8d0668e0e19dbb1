/**
 * How many steps a run will have, where somebody knows: whoever started it (`totalSteps`), or its records, which carry a
 * `total_steps` as many trainers print it. What was said when the run was started wins; what a resumed run knew before
 * holds until its records say something else.
 *
 * The key is also a counter's name (of all the steps so far, in all environments). A total stays the same, so a value
 * that changes is believed again once it has been seen twice in a row, and after the third change never.
 *
 * Looked at is the last record of those that came together, and the first ones of a run: it costs nothing a record.
 *
 * @since 0.5.0
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Metrics from "../Metrics.ts"

/** `see` looks at records; `changed` waits until the total is another one. */
export interface TotalSteps {
  readonly value: () => number | undefined
  readonly see: (records: ReadonlyArray<Metrics.Decoded>) => void
  readonly changed: Effect.Effect<void>
}

export const make = (given: number | undefined, before: number | undefined): Effect.Effect<TotalSteps> =>
  Effect.map(Latch.make(false), (latch) => makeWith(given, before, latch))

const makeWith = (given: number | undefined, before: number | undefined, latch: Latch.Latch): TotalSteps => {
  let total = given ?? before
  let last: number | undefined
  let changes = 0
  let looked = 0

  const look = ({ metrics, step }: Metrics.Decoded): void => {
    const said = metrics[totalKey]
    // One that is the step itself is a counter, too.
    if (typeof said !== "number" || !(said > 0 && said < Infinity) || said === step) return
    if (last === undefined || said === last) total = said
    else {
      changes++
      total = undefined
    }
    last = said
  }

  return {
    value: () => total,
    see: (records) => {
      if (given !== undefined || changes > mostChanges) return
      const known = total
      // It may stand in the first record alone.
      for (let i = 0; i < records.length - 1 && looked < firstRecords; i++) {
        looked++
        const record = records[i]
        if (record !== undefined) look(record)
      }
      const latest = records.at(-1)
      if (latest !== undefined) look(latest)
      if (total !== known) latch.openUnsafe()
    },
    changed: Effect.andThen(latch.await, Effect.sync(() => void latch.closeUnsafe()))
  }
}

const totalKey = "total_steps"
const mostChanges = 2
const firstRecords = 100
