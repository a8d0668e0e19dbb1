/**
 * The calls of MLflow's REST interface that are needed, under /api/2.0/mlflow/, with what can be known of a failure.
 *
 * An answer counts only if it is what MLflow answers: a page of a proxy that says 200 acknowledges nothing. A refusal is
 * told apart by MLflow's own `error_code`, never by the status alone: a 404 of something in between is no run that is
 * gone.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Http from "../../internal/http.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

const Pair = Schema.Struct({ key: Schema.String, value: Schema.optionalKey(Schema.String) })

const Info = Schema.Struct({
  run_id: Schema.String,
  experiment_id: Schema.String,
  run_name: Schema.optionalKey(Schema.String),
  status: Schema.optionalKey(Schema.String),
  // A number of 64 bits: some servers write it as text.
  start_time: Schema.optionalKey(Schema.Union([Schema.Finite, Schema.String])),
  artifact_uri: Schema.optionalKey(Schema.String),
  lifecycle_stage: Schema.optionalKey(Schema.String)
})

const RunSchema = Schema.Struct({
  info: Info,
  data: Schema.optionalKey(Schema.Struct({
    params: Schema.optionalKey(Schema.Array(Pair)),
    tags: Schema.optionalKey(Schema.Array(Pair))
  }))
})

const ExperimentSchema = Schema.Struct({
  experiment_id: Schema.String,
  name: Schema.String,
  lifecycle_stage: Schema.optionalKey(Schema.String)
})

/**
 * A run as the server knows it.
 *
 * @category models
 * @since 0.2.0
 */
export type Run = typeof RunSchema.Type

/**
 * An experiment as the server knows it.
 *
 * @category models
 * @since 0.2.0
 */
export type Experiment = typeof ExperimentSchema.Type

/**
 * A param or a tag.
 *
 * @category models
 * @since 0.2.0
 */
export interface Entry {
  readonly key: string
  readonly value: string
}

/**
 * The interface of one server.
 *
 * @category models
 * @since 0.2.0
 */
export interface Api {
  /** Undefined: there is none. */
  readonly experimentByName: (name: string) => Call<Experiment | undefined>
  readonly experiment: (id: string) => Call<Experiment | undefined>
  /** Undefined: there is one by now. */
  readonly createExperiment: (name: string) => Call<string | undefined>
  readonly run: (id: string) => Call<Run | undefined>
  readonly createRun: (run: {
    readonly experimentId: string
    readonly name: string
    readonly startTime: number
    readonly tags: ReadonlyArray<Entry>
  }) => Call<Run>
  readonly searchRuns: (experimentId: string, filter: string) => Call<ReadonlyArray<Run>>
  readonly updateRun: (id: string, to: { readonly status: string; readonly endTime?: number }) => Call<void>
  /** `body` is the request's whole JSON. */
  readonly logBatch: (body: string) => Call<void>
  readonly logEntries: (
    id: string,
    entries: { readonly params?: ReadonlyArray<Entry>; readonly tags?: ReadonlyArray<Entry> }
  ) => Call<void>
}

type Call<A> = Effect.Effect<A, Http.HttpError>

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The interface behind a client.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (client: Http.Client): Api => {
  const call = <S extends Schema.ConstraintDecoder<unknown>>(
    schema: S,
    request: Omit<Http.Request, "url"> & { readonly path: string }
  ): Call<S["Type"]> => {
    const { path, ...rest } = request
    const url = `/api/2.0/mlflow/${path}`
    return Effect.flatMap(client.request({ ...rest, url }), (response) => {
      const json: unknown = Array.isArray(response.json) ? undefined : response.json
      return Effect.fromOption(Schema.decodeUnknownOption(schema)(json)).pipe(
        Effect.mapError(() =>
          new Http.HttpError({
            method: request.method,
            url,
            kind: "no MLflow answer",
            detail: `status ${response.status}, and not what an MLflow server says: is it one?`
          })
        )
      )
    })
  }
  const get = <S extends Schema.ConstraintDecoder<unknown>>(
    schema: S,
    path: string,
    query: { readonly [name: string]: string }
  ) => call(schema, { method: "GET", path, query })
  const post = <S extends Schema.ConstraintDecoder<unknown>>(schema: S, path: string, json: unknown) =>
    call(schema, { method: "POST", path, json })

  return {
    experimentByName: (name) =>
      orUndefined(
        "RESOURCE_DOES_NOT_EXIST",
        Effect.map(
          get(Schema.Struct({ experiment: ExperimentSchema }), "experiments/get-by-name", { experiment_name: name }),
          ({ experiment }) => experiment
        )
      ),
    experiment: (id) =>
      orUndefined(
        "RESOURCE_DOES_NOT_EXIST",
        Effect.map(
          get(Schema.Struct({ experiment: ExperimentSchema }), "experiments/get", { experiment_id: id }),
          ({ experiment }) => experiment
        )
      ),
    createExperiment: (name) =>
      orUndefined(
        "RESOURCE_ALREADY_EXISTS",
        Effect.map(
          post(Schema.Struct({ experiment_id: Schema.String }), "experiments/create", { name }),
          ({ experiment_id }) => experiment_id
        )
      ),
    run: (id) =>
      orUndefined(
        "RESOURCE_DOES_NOT_EXIST",
        Effect.map(get(Schema.Struct({ run: RunSchema }), "runs/get", { run_id: id }), ({ run }) => run)
      ),
    createRun: ({ experimentId, name, startTime, tags }) =>
      Effect.map(
        post(Schema.Struct({ run: RunSchema }), "runs/create", {
          experiment_id: experimentId,
          run_name: name,
          start_time: startTime,
          tags
        }),
        ({ run }) => run
      ),
    searchRuns: (experimentId, filter) =>
      Effect.map(
        post(Schema.Struct({ runs: Schema.optionalKey(Schema.Array(RunSchema)) }), "runs/search", {
          experiment_ids: [experimentId],
          filter,
          run_view_type: "ACTIVE_ONLY",
          max_results: 100
        }),
        ({ runs }) => runs ?? []
      ),
    updateRun: (id, { endTime, status }) =>
      post(Anything, "runs/update", {
        run_id: id,
        status,
        ...(endTime === undefined ? {} : { end_time: endTime })
      }).pipe(Effect.asVoid),
    logBatch: (body) =>
      call(Anything, {
        method: "POST",
        path: "runs/log-batch",
        body,
        headers: { "content-type": "application/json" }
      }).pipe(Effect.asVoid),
    logEntries: (id, { params = [], tags = [] }) =>
      post(Anything, "runs/log-batch", { run_id: id, params, tags }).pipe(Effect.asVoid)
  }
}

/** Any object: of most answers only that they are MLflow's counts. */
const Anything = Schema.Struct({})

const orUndefined = <A>(code: string, call: Call<A>): Call<A | undefined> =>
  Effect.catchIf(call, (error) => codeOf(error) === code, () => Effect.as(Effect.void, undefined))

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * What MLflow calls a failure: `INVALID_PARAMETER_VALUE`, ...; undefined if it was not MLflow that failed.
 *
 * @category errors
 * @since 0.2.0
 */
export const codeOf = (error: Http.HttpError): string | undefined => {
  if (error.body === undefined) return undefined
  try {
    const body: unknown = JSON.parse(error.body)
    const code: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "error_code") : undefined
    return typeof code === "string" ? code : undefined
  } catch {
    return undefined
  }
}
