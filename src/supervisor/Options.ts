/**
 * What the parts of a supervisor share.
 *
 * @since 0.2.0
 */
import type * as Effect from "effect/Effect"
import type * as Backend from "../Backend.ts"

/**
 * What a supervisor needs to know. Paths are asked for each time: a run's directory may move.
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly name: string
  readonly factory: Backend.Factory
  readonly context: Omit<Backend.Context, "checkpoint" | "directory">
  readonly directory: () => string
  readonly log: () => string
  readonly cursor: () => string
  readonly lock: () => string
  readonly outbox: () => string
  /** The run's records as a table. */
  readonly history: Effect.Effect<Backend.Table, Backend.BackendError>
  /** The seq of the last record in the log when the run was opened. */
  readonly lastSeq: number
}
