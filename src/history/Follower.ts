/**
 * The history of every rank but the first: it hands its records to the reduction, and writes nothing.
 *
 * No directory is made, no log opened, no backend started: what all ranks said is in the run of rank 0.
 *
 * @since 0.3.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Metrics from "../Metrics.ts"
import type * as Reducer from "../Reducer.ts"
import * as Summary from "../Summary.ts"
import type { Tracker } from "../Tracker.ts"
import { type History, type Options, RecordError, type Tracked, type UpdateError } from "./Model.ts"
import { checkFinalize } from "./Options.ts"
import type { Place } from "./Place.ts"
import { leading, none, TrackedRow } from "./Tracked.ts"

/** Joins the reduction of a run; it is left with the scope. */
export const make = (
  options: Options,
  place: Place,
  reducer: Reducer.Reducer["Service"]
): Effect.Effect<History, Reducer.ReducerError, Scope.Scope> =>
  Effect.gen(function*() {
    const { rank } = reducer.rank
    const formatter = Summary.make({
      ...(options.precision === undefined ? {} : { precision: options.precision }),
      ...(options.style === undefined ? {} : { style: options.style }),
      ...(options.constants === undefined ? {} : { constants: options.constants }),
      memoryTotal: options.memoryTotal
    })
    const reduction = yield* reducer.open(place.runId, () => {})
    let seq = 0
    let closed = false

    const record = (records: ReadonlyArray<Metrics.Decoded>, timestamp: number): ReadonlyArray<TrackedRow> => {
      const rows = records.map((decoded) =>
        new TrackedRow({ formatter, history: () => history }, ++seq, timestamp, rank, decoded)
      )
      reduction.offer(rows)
      return rows
    }
    const finalized = new RecordError({ reason: "the run is finalized" })

    const update: History["update"] = (input, { precision, step } = {}) =>
      Effect.clockWith((clock): Effect.Effect<string, UpdateError> => {
        if (closed) return Effect.fail(finalized)
        if (step !== undefined && !Number.isFinite(step)) {
          return Effect.fail(new RecordError({ reason: `the step ${step} is not a finite number` }))
        }
        const decoded = Metrics.decode(input, options.stepKey)
        if (decoded._tag === "Refused") return Effect.fail(new RecordError({ reason: decoded.reason }))
        record([step === undefined ? decoded : { ...decoded, step }], clock.currentTimeMillisUnsafe() / 1000)
        return Effect.succeed(formatter.format(decoded.metrics, undefined, {
          precision,
          ...(step === undefined ? leading(decoded) : none)
        }))
      })

    const updateAll: History["updateAll"] = (records) =>
      Effect.clockWith((clock): Effect.Effect<ReadonlyArray<Tracked>, UpdateError> =>
        closed
          ? Effect.fail(finalized)
          : Effect.succeed(record(records, clock.currentTimeMillisUnsafe() / 1000))
      )

    const history: History = {
      runId: place.runId,
      directory: place.directory,
      logPath: place.logPath,
      resumedAt: 0,
      totalSteps: options.totalSteps,
      rank: reducer.rank,
      tracker: nobody,
      update,
      updateAll,
      closed: Effect.never,
      takeClosed: Effect.succeed([]),
      finalize: (finalizing = {}) =>
        Effect.gen(function*() {
          yield* checkFinalize(finalizing)
          closed = true
          yield* reduction.flush
          return {
            runId: place.runId,
            directory: place.directory,
            rows: 0,
            corrupt: 0,
            datasets: {},
            dataset: undefined,
            series: [],
            files: [],
            notDrawn: [],
            failed: [],
            delivered: [],
            undelivered: []
          }
        }),
      finish: () =>
        Effect.suspend(() => {
          closed = true
          return Effect.as(reduction.flush, [])
        })
    }
    yield* Effect.addFinalizer(() => closed ? Effect.void : reduction.flush)
    return history
  })

/** Rank 0 has the backends. */
const nobody: Tracker = {
  names: [],
  getBackend: () => Effect.undefined,
  wandbRun: Effect.undefined,
  offer: () => {},
  logTable: () => Effect.void,
  logImage: () => Effect.void,
  logArtifacts: () => Effect.void,
  logSummary: () => Effect.void,
  watch: () => Effect.void,
  move: () => Effect.void,
  drain: () => Effect.succeed([]),
  files: Effect.succeed([]),
  finish: () => Effect.succeed([])
}
