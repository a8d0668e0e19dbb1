/**
 * Asking the system for what may hang: a file system over a network, a driver.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"

/**
 * What `ask` promises, if it comes within that time. A question that nobody answered is not asked again until it is: it
 * would hold one more of the process's few threads.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = <A>(ask: () => Promise<A>, none: A, timeoutMillis: number): Effect.Effect<A> => {
  let open = false
  const guarded = async (): Promise<A> => {
    open = true
    try {
      return await ask()
    } catch {
      return none
    } finally {
      open = false
    }
  }
  return Effect.suspend(() => open ? Effect.succeed(none) : Effect.promise(guarded)).pipe(
    Effect.timeoutOrElse({ duration: timeoutMillis, orElse: () => Effect.succeed(none) })
  )
}
