/**
 * What to say of something that was thrown or failed with: the message of the error that it is about. Effect wraps what
 * nobody described in an error that only says so.
 */
import * as Cause from "effect/Cause"

export const reason = (error: unknown): string => {
  if (Cause.isUnknownError(error) && error.cause !== undefined) return reason(error.cause)
  return error instanceof Error && error.message !== "" ? error.message : text(error)
}

/** Not everything that is thrown has a text: an object without a prototype has none. */
const text = (error: unknown): string => {
  try {
    return String(error)
  } catch {
    return Object.prototype.toString.call(error)
  }
}
