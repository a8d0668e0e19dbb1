/**
 * Options that would do harm are refused before anything is opened.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { type FinalizeOptions, type Options, OptionsError } from "./Model.ts"

/** Refuses options of `make` that do not make sense. */
export const check = (
  { jsonlPath, outdir, precision, reducer, runId, style, totalSteps }: Options
): Effect.Effect<void, OptionsError> =>
  refuse([
    ["runId", runId, runId === undefined || /^(?!\.+$)[^/\\\0]+$/.test(runId), "a name without slashes"],
    ["outdir", outdir, isNamed(outdir), "a directory"],
    ["jsonlPath", jsonlPath, isNamed(jsonlPath), "a path"],
    [
      "precision",
      precision,
      precision === undefined || (Number.isInteger(precision) && precision >= 0),
      "a whole number"
    ],
    ["reducer", reducer, reducer === undefined || reducers.has(reducer), "auto, zeromq or nccl"],
    ["style", style, style === undefined || style === "aligned" || style === "tight", "aligned or tight"],
    [
      "totalSteps",
      totalSteps,
      totalSteps === undefined || (totalSteps > 0 && totalSteps < Infinity),
      "a number above 0"
    ]
  ])

/** Refuses options of `finalize` that do not make sense. */
export const checkFinalize = (
  { finishTimeout, numChains, outdir, runName, warmup }: FinalizeOptions
): Effect.Effect<void, OptionsError> =>
  refuse([
    ["outdir", outdir, isNamed(outdir), "a directory"],
    ["runName", runName, isNamed(runName), "a name"],
    ["warmup", warmup, atLeast(warmup, 0) && warmup !== Infinity, "a fraction below 1, or a number of draws"],
    ["numChains", numChains, atLeast(numChains, 1), "a number from 1"],
    ["finishTimeout", finishTimeout, atLeast(finishTimeout, 0), "a number of seconds"]
  ])

const reducers = new Set(["auto", "zeromq", "nccl"])

const isNamed = (name: string | undefined): boolean => name === undefined || name.trim() !== ""

const atLeast = (value: number | undefined, least: number): boolean => value === undefined || value >= least

const refuse = (
  checks: ReadonlyArray<readonly [option: string, given: unknown, accepted: boolean, expected: string]>
): Effect.Effect<void, OptionsError> => {
  const wrong = checks.find(([, , accepted]) => !accepted)
  if (wrong === undefined) return Effect.void
  const [option, given, , expected] = wrong
  return Effect.fail(new OptionsError({ option, given: String(given), expected }))
}
