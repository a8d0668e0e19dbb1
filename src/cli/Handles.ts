/**
 * Lines that say where in a GPU's memory their values are (`$cuda`): the values take their place before anything else is
 * done with them. Lines without are let through at once.
 *
 * What cannot be read is refused like any other line that cannot be understood; that there is no bridge to read with is
 * said once.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { DeviceMetrics, type Lines, type Rank } from "../index.ts"

type Line = string | Lines.Damaged

export const make = (
  environment: Rank.Environment
): Effect.Effect<(lines: ReadonlyArray<Line>) => Effect.Effect<ReadonlyArray<Line>>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const reader = yield* DeviceMetrics.make(environment)
    let told = false

    const resolve = (line: Line): Effect.Effect<Line> => {
      if (typeof line !== "string" || !DeviceMetrics.mayBe(line)) return Effect.succeed(line)
      return reader.resolve(line).pipe(Effect.catch(({ kind, reason }) =>
        Effect.gen(function*() {
          if (kind !== "refused" && !told) {
            told = true
            yield* Effect.logWarning(`${reason}. Records with $cuda are refused`)
          }
          return refused(line, reason)
        })
      ))
    }
    return (lines) =>
      lines.some((line) => typeof line === "string" && DeviceMetrics.mayBe(line))
        ? Effect.forEach(lines, resolve, { concurrency: atOnce })
        : Effect.succeed(lines)
  })

const atOnce = 64

const refused = (line: string, reason: string): Lines.Damaged => {
  const raw = Buffer.from(line)
  return { _tag: "Damaged", reason, bytes: raw.length, raw }
}
