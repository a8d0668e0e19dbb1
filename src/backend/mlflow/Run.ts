/**
 * The experiment and the run that records go to: found, or made once.
 *
 * A run is created with the tag `ezpz.run_id` and the time the run began. A process that dies after the server has
 * created it and before a checkpoint says so finds it by these two when it starts again; names of runs repeat, their
 * beginnings do not.
 *
 * A run that the checkpoint names and the server does not have any more (another server, a new database) is created
 * again, and then wants all records from the first. One that was deleted there was deleted on purpose: that is an error.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Os from "node:os"
import { BackendError, type Context } from "../../Backend.ts"
import * as Http from "../../internal/http.ts"
import type { Api, Run } from "./Api.ts"
import type { Experiment } from "./Settings.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The run, its experiment, and whether what the checkpoint said of it holds.
 *
 * @category models
 * @since 0.2.0
 */
export interface Found {
  readonly run: Run
  readonly experimentName: string
  /** The run of the checkpoint is gone. */
  readonly anew: boolean
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Finds the run, or creates it and its experiment.
 *
 * @category constructors
 * @since 0.2.0
 */
export const open = (
  api: Api,
  context: Context,
  options: { readonly experiment: Experiment; readonly name: string; readonly runId: string | undefined }
): Effect.Effect<Found, BackendError> =>
  Effect.gen(function*() {
    const known = options.runId === undefined ? undefined : yield* api.run(options.runId)
    if (known !== undefined) {
      yield* check(known)
      const experiment = yield* api.experiment(known.info.experiment_id)
      return { run: known, experimentName: experiment?.name ?? known.info.experiment_id, anew: false }
    }
    const experiment = yield* openExperiment(api, options.experiment)
    const startTime = Math.max(0, Math.round(context.createdAt * 1000))
    const runs = yield* api.searchRuns(experiment.id, filterOf(context.runId, startTime))
    const same = runs.find(({ data, info }) =>
      Number(info.start_time) === startTime &&
      data?.tags?.some((tag) => tag.key === runTag && tag.value === context.runId) === true
    )
    const run = same ?? (yield* api.createRun({
      experimentId: experiment.id,
      name: options.name,
      startTime,
      tags: [
        { key: runTag, value: context.runId },
        // Servers before 1.30 know the name by this alone.
        { key: "mlflow.runName", value: options.name },
        { key: "mlflow.user", value: user() },
        { key: "mlflow.source.type", value: "LOCAL" }
      ]
    }))
    return { run, experimentName: experiment.name, anew: options.runId !== undefined }
  }).pipe(
    Effect.mapError((error) => error instanceof BackendError ? error : Http.backendError("mlflow", "start")(error))
  )

/**
 * Fails where a run was deleted.
 *
 * @category constructors
 * @since 0.2.0
 */
export const check = (run: Run, operation = "start"): Effect.Effect<void, BackendError> =>
  run.info.lifecycle_stage === "deleted"
    ? permanent(
      operation,
      "run deleted",
      `run ${run.info.run_id} was deleted on the server. \`mlflow runs restore --run-id ${run.info.run_id}\` brings it ` +
        "back, and records go on to it"
    )
    : Effect.void

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const runTag = "ezpz.run_id"

const openExperiment = (api: Api, experiment: Experiment) =>
  Effect.gen(function*() {
    if (experiment._tag === "Id") {
      const found = yield* api.experiment(experiment.id)
      if (found === undefined) {
        return yield* permanent(
          "start",
          "no experiment",
          `there is no experiment with id ${experiment.id} (${experiment.from})`
        )
      }
      yield* active(found.experiment_id, found.name, found.lifecycle_stage)
      return { id: found.experiment_id, name: found.name }
    }
    const { name } = experiment
    const there = yield* api.experimentByName(name)
    const created = there === undefined ? yield* api.createExperiment(name) : undefined
    if (created !== undefined) return { id: created, name }
    // Another process was faster.
    const found = there ?? (yield* api.experimentByName(name))
    if (found === undefined) {
      return yield* new BackendError({
        backend: "mlflow",
        operation: "start",
        cause: new Error(`the server says that there is an experiment "${name}", and does not find it`),
        kind: "no experiment"
      })
    }
    yield* active(found.experiment_id, name, found.lifecycle_stage)
    return { id: found.experiment_id, name }
  })

const active = (id: string, name: string, stage: string | undefined): Effect.Effect<void, BackendError> =>
  stage === "deleted"
    ? permanent(
      "start",
      "experiment deleted",
      `experiment "${name}" was deleted on the server, which keeps its name. \`mlflow experiments restore ` +
        `--experiment-id ${id}\` brings it back; another MLFLOW_EXPERIMENT_NAME (or project) starts a new one`
    )
    : Effect.void

/** By what stands in the tag; of an id with quotes of both kinds, which no filter can hold, by the time alone. */
const filterOf = (runId: string, startTime: number): string =>
  !runId.includes("\"")
    ? `tags.\`${runTag}\` = "${runId}"`
    : !runId.includes("'")
    ? `tags.\`${runTag}\` = '${runId}'`
    : `attributes.start_time = ${startTime}`

const user = (): string => {
  try {
    return Os.userInfo().username
  } catch {
    return "unknown"
  }
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

const permanent = (operation: string, kind: string, message: string): Effect.Effect<never, BackendError> =>
  Effect.fail(
    new BackendError({ backend: "mlflow", operation, cause: new Error(message), kind, permanent: true })
  )
