/**
 * The MLflow backend: a run on an MLflow tracking server, over its REST interface.
 *
 * - Records are metrics (Points.ts), at the step and time that Position.ts gives them, in few large requests
 *   (Batches.ts). A server takes a point once, however often it is sent; so what a checkpoint does not know of, or an
 *   answer did not say, is sent again.
 * - The config is params `config.*`, where the run comes from params `ezpz.*` and MLflow's own tags (Params.ts).
 * - The machine's state is metrics `system/*`, the step being the number of the sample.
 * - Values of the run as a whole are metrics at its last step, those that are no numbers tags `summary.*`.
 * - Files are artifacts by their path in the run's directory, images `images/<name>.png`, tables `tables/<name>.json`,
 *   as `mlflow.load_table` reads them (Artifacts.ts). NaN and the infinities are text there, as in the log.
 * - What the server does not take while it takes all else is left out, counted and told (Delivery.ts).
 *
 * The checkpoint: `{"runId":"...","experimentId":"...","position":{...}}`.
 *
 * @since 0.2.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import * as Backend from "../../Backend.ts"
import * as Http from "../../internal/http.ts"
import * as Api from "./Api.ts"
import * as Artifacts from "./Artifacts.ts"
import * as Batches from "./Batches.ts"
import * as Delivery from "./Delivery.ts"
import * as Entries from "./Entries.ts"
import * as Names from "./Names.ts"
import * as Params from "./Params.ts"
import * as Points from "./Points.ts"
import * as Position from "./Position.ts"
import * as Run from "./Run.ts"
import * as Settings from "./Settings.ts"
import * as Table from "./Table.ts"

export { describe } from "./Settings.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

const name = "mlflow"

const Checkpoint = Schema.Struct({
  runId: Schema.String,
  experimentId: Schema.String,
  position: Schema.Struct({
    highest: Schema.NullOr(Schema.Finite),
    recent: Schema.Array(Schema.Tuple([Schema.Finite, Schema.Finite])),
    forgotten: Schema.Finite,
    latest: Schema.Finite
  })
})

/** A call that takes longer is cut off from outside: before that it says how far it has come. */
const longestMillis = 20_000

const mostUploads = 4

const statuses: { readonly [state in Backend.RunState]: string } = {
  finished: "FINISHED",
  failed: "FAILED",
  killed: "KILLED"
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts the MLflow backend: finds the run on the server, or creates it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const factory = (context: Backend.Context): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const settings = Settings.make(context.environment, context)
    if (typeof settings === "string") {
      return yield* new Backend.BackendError({
        backend: name,
        operation: "start",
        cause: new Error(settings),
        kind: "no server",
        permanent: true
      })
    }
    const client = yield* Http.make({
      baseUrl: settings.baseUrl,
      headers: settings.headers,
      secrets: settings.secrets,
      environment: context.environment,
      insecureTls: settings.insecureTls,
      ...(settings.caFile === undefined ? {} : { caFile: settings.caFile })
    })
    const api = Api.make(client)
    const decoded = Schema.decodeUnknownOption(Checkpoint)(context.checkpoint)
    const checkpoint = Option.isSome(decoded) ? decoded.value : undefined
    const { anew, experimentName, run } = yield* Run.open(api, context, {
      experiment: settings.experiment,
      name: context.runName ?? settings.runName ?? context.runId,
      runId: checkpoint?.runId
    })
    const { artifact_uri, experiment_id: experimentId, run_id: runId } = run.info
    if (context.live && run.info.status !== undefined && run.info.status !== "RUNNING") {
      yield* Effect.mapError(api.updateRun(runId, { status: "RUNNING" }), Http.backendError(name, "start"))
    }
    for (const warning of settings.warnings) yield* Effect.logWarning(warning)
    if (anew) {
      yield* Effect.logWarning(
        `${settings.baseUrl} does not have run ${checkpoint?.runId}: it begins anew there as ${runId}, with all records`
      )
    }

    const maker = Points.make()
    const entries = Entries.make(api, run)
    const artifacts = Artifacts.make(client, settings.baseUrl, artifact_uri)
    let directory = context.directory
    let mark: Batches.Mark = {
      seq: 0,
      part: 0,
      position: Position.restore(anew ? undefined : checkpoint?.position)
    }
    /** The position up to which records are acknowledged. */
    let acknowledged = mark.position
    let refused = 0
    let factsSent = false

    /** What a record had that MLflow does not, once. */
    const tell = (): Effect.Effect<void> =>
      Effect.gen(function*() {
        const { fraction, infinity, renamed, strings } = maker.notes()
        yield* entries.tellRenamed("metric", renamed)
        if (strings.length > 0) {
          yield* Effect.logInfo(
            `MLflow's metrics are numbers: the texts of ${Entries.list(strings)} are in the log only`
          )
        }
        if (infinity) yield* Effect.logInfo("MLflow keeps infinities as +-1.7976931348623157e308")
        if (fraction) {
          yield* Effect.logInfo(
            "MLflow's steps are integers of 64 bits: other steps are rounded down, and kept as the metric ezpz/step"
          )
        }
      })

    const sendPoints = (operation: string, points: ReadonlyArray<Points.Point>) =>
      points.length === 0 ? Effect.void : Delivery.send(
        points,
        (part) => api.logBatch(Batches.body(runId, part)),
        stillThere(operation)
      ).pipe(
        Effect.catchTag("HttpError", (error) =>
          Effect.andThen(
            Api.codeOf(error) === "RESOURCE_DOES_NOT_EXIST" ? stillThere(operation) : Effect.void,
            Http.backendError(name, operation)(error)
          )),
        Effect.flatMap((refusals) => {
          const [first] = refusals
          if (first === undefined) return Effect.void
          refused += refusals.length
          const keys = [...new Set(refusals.map(({ entry }) => entry.key))]
          return Effect.logWarning(
            `The MLflow server refused ${refusals.length} of ${points.length} points, of ${Entries.list(keys)} ` +
              `(${refused} in all; they are in the log): ${first.error.message}`
          )
        })
      )

    /** Says it clearly if the run is what is wrong. */
    const stillThere = (operation: string): Effect.Effect<void, Backend.BackendError> =>
      Effect.gen(function*() {
        const found = yield* api.run(runId).pipe(Effect.orElseSucceed(() => run))
        if (found !== undefined) return yield* Run.check(found, operation)
        return yield* new Backend.BackendError({
          backend: name,
          operation,
          cause: new Error(`${settings.baseUrl} does not have run ${runId} any more`),
          kind: "no run"
        })
      })

    const log: Backend.Backend["log"] = (rows) =>
      Effect.gen(function*() {
        const until = (yield* Clock.currentTimeMillis) + longestMillis
        while (true) {
          const batch = Batches.next(rows, mark, maker)
          if (batch === undefined) break
          yield* sendPoints("log", batch.points)
          mark = batch.next
          const last = rows.at(-1)?.seq ?? 0
          if (mark.seq < last && (yield* Clock.currentTimeMillis) > until) {
            return yield* new Backend.BackendError({
              backend: name,
              operation: "log",
              cause: new Error(`the server is slow: sent up to record ${mark.seq} of ${last}, going on`),
              kind: "slow",
              retryAfterMillis: 0
            })
          }
        }
        acknowledged = mark.position
        yield* tell()
      })

    const upload = (operation: string, files: ReadonlyArray<readonly [name: string, file: string]>) =>
      Effect.forEach(files, ([name, file]) => artifacts.upload(operation, name, file), {
        concurrency: mostUploads,
        discard: true
      })

    return {
      name,
      restart: anew,
      log,
      logConfig: (config) =>
        Effect.gen(function*() {
          yield* entries.params("logConfig", Params.flatten("config", config), true)
          if (factsSent) return
          const facts = yield* context.facts
          yield* entries.params("logConfig", Params.flatten("ezpz", facts), false)
          yield* entries.tags("logConfig", Entries.sourceTags(facts))
          factsSent = true
        }),
      logTable: (table, content) =>
        Effect.scoped(Effect.gen(function*() {
          const path = `tables/${table}.json`
          const file = yield* Table.write(Path.join(directory, ".ezpz", name), content)
          yield* artifacts.upload("logTable", path, file)
          yield* entries.loggedTable(Names.path(path))
        })),
      logImage: (image, path) =>
        upload("logImage", [[`images/${image}${Path.extname(path) || ".png"}`, Path.resolve(directory, path)]]),
      logArtifacts: (paths) =>
        Effect.suspend(() =>
          upload(
            "logArtifacts",
            paths.map((path) => Path.resolve(directory, path)).flatMap((path) =>
              Artifacts.files(path).map((file) => [Artifacts.nameOf(directory, file, path), file] as const)
            )
          )
        ),
      logSystem: (samples) =>
        Effect.forEach(
          Entries.chunks(
            samples.flatMap(({ metrics, seq, timestamp }) =>
              Object.entries(metrics).map(([key, value]) =>
                maker.point(`system/${key}`, value, seq, Math.max(0, Math.round(timestamp * 1000)))
              )
            ),
            Batches.mostPoints
          ),
          (points) => sendPoints("logSystem", points),
          { discard: true }
        ).pipe(Effect.andThen(tell())),
      logSummary: (values) =>
        Effect.gen(function*() {
          // Beyond the last point there: what is latest is what the server shows.
          const { highest = 0, latest } = acknowledged
          const texts: Array<Api.Entry> = []
          const points: Array<Points.Point> = []
          for (const [key, value] of Object.entries(values)) {
            const number = Points.numberOf(value)
            if (number !== undefined) points.push(maker.point(key, number, highest, latest + 1))
            else texts.push({ key: Names.encode(`summary.${key}`), value: Params.tagValue(Params.textOf(value)) })
          }
          for (const chunk of Entries.chunks(points, Batches.mostPoints)) yield* sendPoints("logSummary", chunk)
          yield* entries.tags("logSummary", texts)
          yield* tell()
        }),
      watch: () => Effect.void,
      wantsSystem: settings.systemMetrics,
      run: {
        id: runId,
        name: run.info.run_name ?? context.runName ?? context.runId,
        project: experimentName,
        url: `${settings.baseUrl}/#/experiments/${experimentId}/runs/${runId}`
      },
      checkpoint: Effect.sync(() => ({ runId, experimentId, position: Position.keep(acknowledged) })),
      files: Effect.succeed([]),
      move: (to) =>
        Effect.sync(() => {
          directory = to
        }),
      finish: (state) =>
        Effect.gen(function*() {
          yield* entries.flush("finish")
          // A run that is delivered later did not end later.
          const { latest } = acknowledged
          const endTime = context.live || latest === 0 ? yield* Clock.currentTimeMillis : latest
          yield* Effect.mapError(
            api.updateRun(runId, { status: statuses[state], endTime }),
            Http.backendError(name, "finish")
          )
        })
    }
  })
