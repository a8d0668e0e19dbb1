/**
 * Where a run is written, and what it is called when nobody says.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Environment } from "../Rank.ts"
import * as RunDirectory from "../RunDirectory.ts"
import type { FinalizeOptions, Options } from "./Model.ts"

/** Seconds since 1970. */
export const now: Effect.Effect<number> = Effect.clockWith((clock) =>
  Effect.sync(() => clock.currentTimeMillisUnsafe() / 1000)
)

/**
 * An id for a run: `20261123-134512-k3f9`. Ids sort by time, and two runs of one second differ.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeRunId: Effect.Effect<string> = Effect.gen(function*() {
  const [date = "", time = ""] = new Date((yield* now) * 1000).toISOString().split("T")
  const random = yield* Random.nextIntBetween(0, 36 ** 4)
  return `${date.replaceAll("-", "")}-${time.slice(0, 8).replaceAll(":", "")}-${random.toString(36).padStart(4, "0")}`
})

/** Where a run is written, and what becomes of a log that is there. */
export interface Place {
  readonly runId: string
  readonly directory: string
  readonly logPath: string
  readonly exists: "append" | "overwrite" | "fail"
}

/** Where a run goes that was asked for like this. */
export const locate = (options: Options): Effect.Effect<Place> =>
  Effect.map(options.runId === undefined ? makeRunId : Effect.succeed(options.runId), (runId) => {
    const logPath = options.jsonlPath ?? (options.outdir === undefined
      ? Path.join(options.reportDir ?? "outputs/history", runId, `${runId}.jsonl`)
      : Path.join(options.outdir, RunDirectory.logName))
    return {
      runId,
      logPath,
      directory: options.outdir ?? Path.dirname(logPath),
      exists: options.exists ?? (options.jsonlOverwrite === true ? "overwrite" : "append")
    }
  })

/** The project of a run that does not say: from the environment, else the default, else `parent.script`. */
export const projectFrom = (
  environment: Environment,
  byDefault: string | undefined,
  script: string | undefined
): string => {
  const given = environment["WB_PROJECT"] || environment["WANDB_PROJECT"] || environment["WB_PROJECT_NAME"]
  if (given !== undefined && given !== "") return given
  if (byDefault !== undefined) return byDefault
  const path = Path.resolve(script ?? "run")
  return `${Path.basename(Path.dirname(path))}.${Path.basename(path, Path.extname(path))}`
}

/** Where the outputs go. A directory that holds another run gets this one inside it. */
export const chooseTarget = (
  { outdir, runName }: FinalizeOptions,
  directory: string,
  runId: string
): Effect.Effect<string> =>
  Effect.gen(function*() {
    if (outdir === undefined) return directory
    const target = runName === undefined ? outdir : Path.join(outdir, runName)
    if (Path.resolve(target) === Path.resolve(directory)) return directory
    if (!Fs.existsSync(Path.join(target, RunDirectory.logName))) return target
    const inside = Path.join(target, runId)
    yield* Effect.logWarning(`${target} holds another run, which stays as it is. This one is written to ${inside}`)
    return inside
  })
