/**
 * How the command line ends: exit codes, and the errors that mean one.
 *
 * 0 well; 1 the run failed; 2 wrong usage; 130 and 143 after SIGINT and SIGTERM; else the code of the command that was
 * run.
 */
import * as Schema from "effect/Schema"

/** Ends the command with a code. Whatever there was to say has been said, but for `message`. */
export class ExitWith extends Schema.TaggedError<ExitWith>()("ExitWith", {
  code: Schema.Finite,
  message: Schema.UndefinedOr(Schema.String)
}) {}

export const usage = (message: string): ExitWith => new ExitWith({ code: 2, message })

export const failure = (message: string): ExitWith => new ExitWith({ code: 1, message })

/** A signal the process was sent. */
export type Signal = "SIGINT" | "SIGTERM"

export const signalCode = (signal: Signal): number => signal === "SIGINT" ? 130 : 143
