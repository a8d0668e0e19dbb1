/**
 * The file of a log, and what goes wrong with it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import { explain } from "../internal/systemError.ts"
import * as Lines from "../Lines.ts"

/** Open until the scope closes. */
export const openFile = (path: string, flags: string): Effect.Effect<number, RunLogError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => Fs.openSync(path, flags),
      catch: (cause) => new RunLogError({ path, operation: "open", cause })
    }),
    (fd) => Effect.sync(() => Fs.closeSync(fd))
  )

/** A record's text may grow when it is flattened (`1e20`, `NaN`): what was accepted must be read again. */
export const longestLine = 6 * Lines.maxBytes

/** Reads lines from the start of a file until `look` says something of one. */
export const firstOf = <A>(
  fd: number,
  verbatim: boolean,
  look: (line: string | Lines.Damaged) => A | undefined
): A | undefined => {
  const buffer = Buffer.allocUnsafe(64 * 1024)
  const splitter = Lines.splitter({ limit: longestLine, verbatim })
  for (let at = 0;;) {
    const read = Fs.readSync(fd, buffer, 0, buffer.length, at)
    at += read
    const last = read === 0 ? splitter.end() : undefined
    const lines = read > 0 ? splitter.push(buffer.subarray(0, read)) : last === undefined ? [] : [last]
    for (const line of lines) {
      const found = look(line)
      if (found !== undefined) return found
    }
    if (read === 0) return undefined
  }
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * The run log could not be opened, read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunLogError extends Schema.TaggedError<RunLogError>()("RunLogError", {
  path: Schema.String,
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Cannot ${this.operation} the log ${this.path}: ${explain(this.cause)}`
  }
}

/**
 * Turns what {@link Writer.appendUnsafe} threw into a failure; anything else is a defect.
 *
 * @category errors
 * @since 0.1.0
 */
export const failWith = (error: unknown): Effect.Effect<never, RunLogError> =>
  error instanceof RunLogError ? Effect.fail(error) : Effect.die(error)
