/**
 * How the command line ends: exit codes, and the errors that mean one.
 *
 * 0 well; 1 the run failed; 2 wrong usage; 129, 130 and 143 after SIGHUP, SIGINT and SIGTERM; else the code of the
 * command that was run (127 and 126 where there is none, or it cannot be executed).
 */
import * as Schema from "effect/Schema"
import { constants } from "node:os"

/** Ends the command with a code. Whatever there was to say has been said, but for `message`. */
export class ExitWith extends Schema.TaggedError<ExitWith>()("ExitWith", {
  code: Schema.Finite,
  message: Schema.UndefinedOr(Schema.String)
}) {}

export const usage = (message: string): ExitWith => new ExitWith({ code: 2, message })

export const failure = (message: string): ExitWith => new ExitWith({ code: 1, message })

/** A signal the process was sent. */
export type Signal = "SIGHUP" | "SIGINT" | "SIGTERM"

export const signalCode = (signal: Signal): number => 128 + constants.signals[signal]
