/**
 * The error boundary of a backend: one call at a time, each with a time-out, whatever it throws a {@link BackendError};
 * and how failures are told: one warning per kind, then a count.
 *
 * Each call runs in a fiber that nobody waits for longer than its time-out, so that not even a call that cannot be
 * interrupted holds up more than its backend.
 *
 * @since 0.2.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import { BackendError } from "../Backend.ts"
import type { Environment } from "../Rank.ts"
import * as Secrets from "../Secrets.ts"

/** How long a call may take. */
export const callTimeoutMillis = 30_000

export interface Boundary {
  /** A failure, a defect, an interruption and a time-out are all a BackendError. */
  readonly call: <A, E>(
    operation: string,
    run: () => Effect.Effect<A, E>,
    timeoutMillis?: number
  ) => Effect.Effect<A, BackendError>
  /** Counts a failure, and tells the first of its kind. */
  readonly failed: (error: BackendError) => Effect.Effect<void>
  /** After failures, that it works again. */
  readonly works: Effect.Effect<void>
  readonly failures: () => number
  readonly lastFailure: () => string | undefined
  /** What the backend has been asked and has not answered. */
  readonly underWay: () => string | undefined
}

/** So many kinds of failures are told of one backend. */
const mostKinds = 20

export const make = (name: string, environment: Environment): Effect.Effect<Boundary> =>
  Effect.map(Semaphore.make(1), (one) => {
    const mask = Secrets.masker(environment)
    const warned = new Set<string>()
    let failures = 0
    let lastFailure: string | undefined
    let underWay: string | undefined
    // Failures since it last worked, and whether the last of them was told.
    let row = 0
    let told = false

    const asBackendError = (operation: string, cause: unknown): BackendError =>
      cause instanceof BackendError ? cause : new BackendError({ backend: name, operation, cause })

    const asking = <A, E>(operation: string, run: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        underWay = operation
        return run()
      }).pipe(Effect.ensuring(Effect.sync(() => {
        underWay = undefined
      })))

    return {
      call: (operation, run, timeoutMillis = callTimeoutMillis) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            Effect.forkDetach(one.withPermit(asking(operation, run)), { startImmediately: true }),
            (fiber) =>
              restore(Effect.timeoutOption(Fiber.await(fiber), timeoutMillis)).pipe(
                Effect.ensuring(Effect.sync(() => fiber.interruptUnsafe())),
                Effect.flatMap((exit) => {
                  if (Option.isNone(exit)) {
                    const cause = new Error(`no answer within ${timeoutMillis / 1000} s`)
                    return Effect.fail(new BackendError({ backend: name, operation, cause, kind: "time-out" }))
                  }
                  return Exit.isSuccess(exit.value)
                    ? Effect.succeed(exit.value.value)
                    : Effect.fail(asBackendError(operation, Cause.squash(exit.value.cause)))
                })
              )
          )
        ),
      failed: (error) =>
        Effect.suspend(() => {
          failures++
          row++
          // Servers like to repeat what they were sent.
          const message = mask(error.message)
          lastFailure = message
          const kind = error.kind ?? message
          if (warned.has(kind) || warned.size >= mostKinds) return Effect.void
          warned.add(kind)
          told = true
          return Effect.logWarning(message)
        }),
      works: Effect.suspend(() => {
        if (row === 0) return Effect.void
        const [tries, tell] = [row, told]
        row = 0
        told = false
        return tell
          ? Effect.logInfo(
            `The ${name} backend takes records again, after ${tries} failed ${tries === 1 ? "try" : "tries"}`
          )
          : Effect.void
      }),
      failures: () => failures,
      lastFailure: () => lastFailure,
      underWay: () => underWay
    }
  })
