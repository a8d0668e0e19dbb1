/** What a process of a benchmark is told, by lines of a word and a number: when to begin, and how far others are. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createInterface } from "node:readline"

/** Milliseconds since 1970, finer than whole ones: the same in all processes of a host, about. */
export const clock = (): number => performance.timeOrigin + performance.now()

/** The number of the next line that begins with this word; what comes before is of no interest any more. */
export type Told = (word: string) => Promise<number>

export const told: Effect.Effect<Told, never, Scope.Scope> = Effect.gen(function*() {
  const input = yield* Effect.acquireRelease(
    Effect.sync(() => createInterface({ input: process.stdin })),
    (open) => Effect.sync(() => open.close())
  )
  const lines = input[Symbol.asyncIterator]()
  return async (word) => {
    for (;;) {
      const { done, value } = await lines.next()
      if (done === true) throw new Error(`nobody says "${word}"`)
      const [first, number] = value.split(" ")
      if (first === word) return Number(number)
    }
  }
})

/** Prints that it could begin, and waits to be told at what time. */
export const begin = (word: string): Effect.Effect<number> =>
  Effect.scoped(Effect.andThen(told, (hear) => {
    console.log(word)
    return Effect.promise(() => hear("begin"))
  }))

/** Sleeps until this time has come. */
export const until = (time: number): Effect.Effect<void> =>
  Effect.suspend(() => Effect.sleep(Math.max(0, time - clock())))
