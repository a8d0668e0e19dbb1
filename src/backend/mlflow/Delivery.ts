/**
 * Sending what can be refused: a request at a time, and where the server refuses one for what is in it, in parts.
 *
 * One entry that a server does not take must not keep all others from it. A request that is refused as invalid, or as
 * too large by something in between, is therefore sent in halves, down to the entries that are refused alone; those are
 * left out. But a server that refuses every one of them refuses something else: that is a failure, and nothing is left
 * out. What else it may be (the run was deleted) is asked before a thousand entries are sent one by one.
 *
 * A point that the server has already is ignored by it. Should one say instead, with status 500, that its database did
 * not take it twice, then it is there, and counts as taken.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type * as Http from "../../internal/http.ts"
import { codeOf } from "./Api.ts"

/**
 * What was left out, and what the server said about it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Refusal<A> {
  readonly entry: A
  readonly error: Http.HttpError
}

/**
 * Sends entries; gives those that were refused while others were taken. `check` is run once if the first request is
 * refused, and fails where the entries are not to blame.
 *
 * @category sending
 * @since 0.2.0
 */
export const send = <A, E = never>(
  entries: ReadonlyArray<A>,
  request: (entries: ReadonlyArray<A>) => Effect.Effect<void, Http.HttpError>,
  check: Effect.Effect<void, E> = Effect.void
): Effect.Effect<ReadonlyArray<Refusal<A>>, Http.HttpError | E> =>
  Effect.gen(function*() {
    const refused: Array<Refusal<A>> = []
    let checked = false
    const part = (part: ReadonlyArray<A>): Effect.Effect<void, Http.HttpError | E> =>
      Effect.suspend(() => request(part)).pipe(Effect.catchIf(isAbout, (error) => split(part, error)))
    const split = (entries: ReadonlyArray<A>, error: Http.HttpError): Effect.Effect<void, Http.HttpError | E> =>
      Effect.gen(function*() {
        const [entry] = entries
        if (entry === undefined) return yield* error
        if (!checked) yield* check
        checked = true
        if (entries.length === 1) {
          if (!isThere(error)) refused.push({ entry, error })
          return
        }
        const half = entries.length >> 1
        yield* part(entries.slice(0, half))
        yield* part(entries.slice(half))
      })
    yield* part(entries)
    const [first] = refused
    return first !== undefined && refused.length === entries.length ? yield* first.error : refused
  })

/** Whether what was sent is at fault. */
const isAbout = (error: Http.HttpError): boolean => {
  const code = codeOf(error)
  return error.status === 413 ||
    (error.status === 400 && (code === "INVALID_PARAMETER_VALUE" || code === "BAD_REQUEST")) || isThere(error)
}

const isThere = (error: Http.HttpError): boolean =>
  error.status === 500 && codeOf(error) === "INTERNAL_ERROR" &&
  /IntegrityError|UNIQUE constraint|UniqueViolation|[Dd]uplicate (?:entry|key)/.test(error.body ?? "")
