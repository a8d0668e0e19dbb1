/**
 * What goes wrong when a run's outputs are written.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

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
    const reason = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `The ${this.artifact} ${this.path} could not be written: ${reason}. The log is complete; ` +
      "`ezpz-stream finalize` writes the outputs again."
  }
}
