/**
 * Runs as streams: metrics in, tracked records out, and a sink that folds the run.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as Metrics from "../Metrics.ts"
import { make } from "./Make.ts"
import {
  type Finalized,
  type FinalizeError,
  type FinalizeOptions,
  type History,
  type MakeError,
  type Options,
  RecordError,
  type Tracked,
  type UpdateError
} from "./Model.ts"
import { TrackedRow } from "./Tracked.ts"

// -----------------------------------------------------------------------------
// Streams
// -----------------------------------------------------------------------------

/**
 * Tracks a stream of metrics: every record comes out again once it is in the log and its step has closed. The run is
 * open as long as the stream runs; {@link finalizeSink} at its end folds it.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { History } from "ezpz-stream"
 *
 * const metrics = Stream.make({ step: 1, loss: 0.5 }, { step: 2, loss: 0.25 })
 * const lines = metrics.pipe(
 *   History.track({ outdir }),
 *   Stream.map((tracked) => tracked.summary),
 *   Stream.runCollect
 * )
 * assert.deepStrictEqual(await Effect.runPromise(lines), ["step=1     loss=0.500000", "step=2     loss=0.250000"])
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const track: {
  (options?: Options): <E, R>(
    metrics: Stream.Stream<Metrics.Input, E, R>
  ) => Stream.Stream<Tracked, E | MakeError | UpdateError, R>
  <E, R>(
    metrics: Stream.Stream<Metrics.Input, E, R>,
    options?: Options
  ): Stream.Stream<Tracked, E | MakeError | UpdateError, R>
} = dual(
  (args) => Stream.isStream(args[0]),
  <E, R>(metrics: Stream.Stream<Metrics.Input, E, R>, options: Options = {}) =>
    Stream.unwrap(Effect.map(make(options), (history) => trackWith(metrics, history, options)))
)

const trackWith = <E, R>(
  metrics: Stream.Stream<Metrics.Input, E, R>,
  history: History,
  options: Options
): Stream.Stream<Tracked, E | UpdateError, R> =>
  Stream.mapAccumArrayEffect(metrics, () => undefined, (_, inputs) =>
    Effect.gen(function*() {
      const records: Array<Metrics.Decoded> = []
      for (const input of inputs) {
        const decoded = Metrics.decode(input, options.stepKey)
        if (decoded._tag === "Refused") {
          yield* history.updateAll(records)
          return yield* new RecordError({ reason: decoded.reason })
        }
        records.push(decoded)
      }
      return [undefined, yield* history.updateAll(records)] as const
    }))

/**
 * Tracks a stream to its end and folds the run.
 *
 * @category streams
 * @since 0.1.0
 */
export const run: {
  (options?: Options & FinalizeOptions): <E, R>(
    metrics: Stream.Stream<Metrics.Input, E, R>
  ) => Effect.Effect<Finalized, E | MakeError | UpdateError | FinalizeError, R>
  <E, R>(
    metrics: Stream.Stream<Metrics.Input, E, R>,
    options?: Options & FinalizeOptions
  ): Effect.Effect<Finalized, E | MakeError | UpdateError | FinalizeError, R>
} = dual(
  (args) => Stream.isStream(args[0]),
  <E, R>(metrics: Stream.Stream<Metrics.Input, E, R>, options: Options & FinalizeOptions = {}) =>
    Effect.scoped(Effect.gen(function*() {
      const history = yield* make(options)
      yield* Stream.runDrain(trackWith(metrics, history, options))
      return yield* history.finalize(options)
    }))
)

/**
 * The end of a tracked stream: takes what {@link track} gives, and folds its run when the stream ends.
 *
 * @category streams
 * @since 0.1.0
 */
export const finalizeSink = (
  options: Options & FinalizeOptions = {}
): Sink.Sink<Finalized, Tracked, never, MakeError | FinalizeError> =>
  Sink.last<Tracked>().pipe(Sink.mapEffect((last) => {
    const history = Option.isSome(last) ? TrackedRow.historyOf(last.value) : undefined
    // A stream without a record leaves a run without one.
    return history === undefined
      ? Effect.scoped(Effect.flatMap(make(options), (empty) => empty.finalize(options)))
      : history.finalize(options)
  }))
