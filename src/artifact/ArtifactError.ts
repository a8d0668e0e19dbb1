/**
 * What goes wrong when a run's outputs are written.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { reason } from "../internal/reason.ts"

/**
 * A dataset, plot or report could not be written. The log is untouched: `ezpz-stream finalize RUN` writes it again.
 *
 * @category errors
 * @since 0.1.0
 */
export class ArtifactError extends Schema.TaggedError<ArtifactError>()("ArtifactError", {
  artifact: Schema.String,
  path: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The ${this.artifact} ${this.path} could not be written: ${reason(this.cause)}. The log is complete; ` +
      "`ezpz-stream finalize` writes the outputs again."
  }
}
