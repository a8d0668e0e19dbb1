/**
 * What a reduction across ranks promises.
 *
 * Every rank hands its records over as they come; on the root, each record comes back once its step has closed, with
 * the statistics of all ranks. Handing over never waits and never fails: what cannot be sent is kept, and what cannot
 * be kept is counted. Steps are published in the order in which the root recorded them.
 *
 * With one rank there is nothing to reduce: {@link layerLocal} publishes every record at once, as it came.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { reason } from "./internal/reason.ts"
import * as Rank from "./Rank.ts"
import type { Row } from "./Row.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A reduction under way.
 *
 * `offer` takes this rank's next records; it is called for every record of an `update`, so it is a plain function.
 * `flush` closes what is still open, with the ranks that have contributed, and returns when it was published.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reduction {
  readonly offer: (rows: ReadonlyArray<Row>) => void
  readonly flush: Effect.Effect<void>
}

/**
 * How records whose step has closed are told: in order, with their statistics. `amended`: they have been told before, and
 * a rank was late.
 *
 * @category models
 * @since 0.1.0
 */
export type Publish = (rows: ReadonlyArray<Row>, amended?: boolean) => void

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * Reduces metrics across ranks. `open` joins the reduction of a run; it is left when the scope closes. On the root
 * (rank 0) `publish` is called for every step that closes, on other ranks never.
 *
 * @category services
 * @since 0.1.0
 */
export class Reducer extends Context.Service<Reducer, {
  readonly rank: Rank.Rank
  readonly open: (runId: string, publish: Publish) => Effect.Effect<Reduction, ReducerError, Scope.Scope>
}>()("ezpz-stream/Reducer") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Reduces nothing: records are published as they are offered, without statistics.
 *
 * @category constructors
 * @since 0.1.0
 */
export const local: Reducer["Service"] = {
  rank: Rank.single,
  open: (_runId, publish) => Effect.succeed({ offer: (rows) => publish(rows), flush: Effect.void })
}

/**
 * A reducer that cannot hurt a run: where it cannot be opened, that is a warning, and the records go on without
 * statistics.
 *
 * @category combinators
 * @since 0.3.0
 */
export const orLocal = (self: Reducer["Service"]): Reducer["Service"] => ({
  rank: self.rank,
  open: (runId, publish) =>
    self.open(runId, publish).pipe(Effect.catch((error) =>
      Effect.andThen(
        Effect.logWarning(`${error.message}. There are no statistics across ranks in this run`),
        local.open(runId, publish)
      )
    ))
})

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * The reduction of a single rank, which a run uses that is given no other.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLocal: Layer.Layer<Reducer> = Layer.succeed(Reducer, local)

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * The ranks could not be joined.
 *
 * @category errors
 * @since 0.1.0
 */
export class ReducerError extends Schema.TaggedError<ReducerError>()("ReducerError", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The ranks could not ${this.operation}: ${reason(this.cause)}`
  }
}
