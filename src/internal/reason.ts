/**
 * What to say of something that was thrown or failed with: the message of the error that it is about. Effect wraps what
 * nobody described in an error that only says so.
 */
import * as Cause from "effect/Cause"

export const reason = (error: unknown): string => {
  if (Cause.isUnknownError(error) && error.cause !== undefined) return reason(error.cause)
  return error instanceof Error && error.message !== "" ? error.message : String(error)
}
