/**
 * The first SIGINT, SIGTERM or SIGHUP (the terminal is gone) asks, the second ends.
 *
 * A command that can end well waits for {@link Signals} and does so. Any other is interrupted by the first signal. A
 * second one ends the process at once: whatever was accepted is in the log.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Signal, signalCode } from "./Exit.ts"

export class Signals extends Context.Service<Signals, {
  /** From now on to the end of the scope, the first signal interrupts nothing; it completes what is given back. */
  readonly graceful: Effect.Effect<Deferred.Deferred<Signal>, never, Scope.Scope>
}>()("ezpz-stream/cli/Signals") {}

/** Listens until the process ends. `interrupt` is what the first signal does when no command is graceful. */
export const install = (interrupt: (signal: Signal) => void): Signals["Service"] => {
  let waiting: Deferred.Deferred<Signal> | undefined
  let received = 0
  const listen = (signal: Signal) =>
    process.on(signal, () => {
      received++
      if (received > 1) process.exit(signalCode(signal))
      if (waiting === undefined) interrupt(signal)
      else Deferred.doneUnsafe(waiting, Effect.succeed(signal))
    })
  listen("SIGHUP")
  listen("SIGINT")
  listen("SIGTERM")
  return {
    graceful: Effect.acquireRelease(
      Effect.sync(() => waiting = Deferred.makeUnsafe<Signal>()),
      () =>
        Effect.sync(() => {
          waiting = undefined
        })
    )
  }
}
