/**
 * What a request asks for, out of its address.
 *
 * @since 0.5.0
 */
import * as Effect from "effect/Effect"
import type { Axis } from "./Api.ts"
import { Refusal } from "./Library.ts"

const mostRuns = 16
const mostKeys = 256

const bad = (problem: string): Effect.Effect<never, Refusal> => Effect.fail(new Refusal({ status: 400, problem }))

/** The run a request is about. */
export const run = (query: URLSearchParams): Effect.Effect<string, Refusal> => {
  const given = query.getAll("run")
  return given.length === 1 && given[0] !== undefined ? Effect.succeed(given[0]) : bad("Name one run: ?run=")
}

/** The runs a request is about. */
export const runs = (query: URLSearchParams): Effect.Effect<ReadonlyArray<string>, Refusal> => {
  const given = [...new Set(query.getAll("run"))]
  return given.length >= 1 && given.length <= mostRuns
    ? Effect.succeed(given)
    : bad(`Name 1 to ${mostRuns} runs: ?run=`)
}

/** The metrics a request is about; none, where that may be. */
export const keys = (query: URLSearchParams, least: number): Effect.Effect<ReadonlyArray<string>, Refusal> => {
  const given = [...new Set(query.getAll("key"))]
  return given.length >= least && given.length <= mostKeys
    ? Effect.succeed(given)
    : bad(`Name ${least} to ${mostKeys} metrics: ?key=`)
}

/** What x is. */
export const axis = (query: URLSearchParams): Effect.Effect<Axis, Refusal> => {
  const given = query.get("x") ?? "step"
  return given === "step" || given === "time" || given === "relative"
    ? Effect.succeed(given)
    : bad("x is step, time or relative")
}

/** A part of x; undefined where all of it is asked for. */
export const range = (
  query: URLSearchParams
): Effect.Effect<{ readonly from: number; readonly to: number } | undefined, Refusal> => {
  const [low, high] = [query.get("from"), query.get("to")]
  if (low === null && high === null) return Effect.undefined
  const [from, to] = [Number(low || NaN), Number(high || NaN)]
  return Number.isFinite(from) && Number.isFinite(to) && from < to
    ? Effect.succeed({ from, to })
    : bad("from and to are numbers, from below to")
}

/** A number between two; `otherwise`, where nothing is said. */
export const number = (
  query: URLSearchParams,
  name: string,
  { least, most, otherwise }: { readonly least: number; readonly most: number; readonly otherwise: number }
): Effect.Effect<number, Refusal> => {
  const given = query.get(name)
  const value = given === null ? otherwise : Number(given || NaN)
  return value >= least && value <= most ? Effect.succeed(value) : bad(`${name} is a number from ${least} to ${most}`)
}
