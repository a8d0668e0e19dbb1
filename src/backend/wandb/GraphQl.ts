/**
 * W&B's GraphQL, as far as a run needs it: the run itself, and places for its files.
 *
 * `upsertBucket` makes a run of a name or finds it, so asking again changes nothing. What is left out stays as it is.
 * A config is one JSON string, `{"key":{"value":...}}`, and replaces the one before. Answers come with status 200 when
 * they are errors, too: `{"errors":[{"message":"..."}]}`.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import { BackendError } from "../../Backend.ts"
import * as Http from "../../internal/http.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How to ask. `mask` takes credentials out of what the server says.
 *
 * @category models
 * @since 0.2.0
 */
export interface Api {
  readonly client: Http.Client
  readonly mask: (text: string) => string
}

/**
 * What is said of a run; what is undefined stays as it is.
 *
 * @category models
 * @since 0.2.0
 */
export interface RunInput {
  readonly name: string
  readonly project: string
  readonly entity: string | undefined
  readonly displayName?: string | undefined
  readonly groupName?: string | undefined
  readonly jobType?: string | undefined
  readonly notes?: string | undefined
  readonly tags?: ReadonlyArray<string>
  readonly host?: string | undefined
  readonly program?: string | undefined
  readonly commit?: string | undefined
  readonly repo?: string | undefined
  readonly config?: string
}

/**
 * A run as the server has it: config and summary by key, as JSON texts. `inserted` says that it was not there before.
 *
 * @category models
 * @since 0.2.0
 */
export interface Run {
  readonly name: string
  readonly displayName: string
  readonly project: string
  readonly entity: string
  readonly config: ReadonlyMap<string, string>
  readonly summary: ReadonlyMap<string, string>
  readonly historyLines: number | undefined
  readonly inserted: boolean
}

/**
 * Where a file is to be put, and with which headers.
 *
 * @category models
 * @since 0.2.0
 */
export interface Place {
  readonly path: string
  readonly url: string
  readonly headers: { readonly [name: string]: string }
}

// -----------------------------------------------------------------------------
// Operations
// -----------------------------------------------------------------------------

/**
 * Makes a run, or changes what is said of it.
 *
 * @category operations
 * @since 0.2.0
 */
export const upsertRun = (api: Api, operation: string, input: RunInput): Effect.Effect<Run, BackendError> =>
  Effect.flatMap(execute(api, operation, upsertBucket, { ...input }), (data) => {
    const bucket = at(data, "upsertBucket", "bucket")
    const name = text(bucket, "name")
    const project = text(at(bucket, "project"), "name")
    const entity = text(at(bucket, "project", "entity"), "name")
    if (name === undefined || project === undefined || entity === undefined) {
      return Effect.fail(unexpected(operation, "no run in it"))
    }
    const lines = at(bucket, "historyLineCount")
    return Effect.succeed({
      name,
      displayName: text(bucket, "displayName") ?? name,
      project,
      entity,
      config: new Map(
        Object.entries(object(text(bucket, "config"))).map(([key, value]) =>
          [key, JSON.stringify(at(value, "value") ?? null)] as const
        )
      ),
      summary: new Map(
        Object.entries(object(text(bucket, "summaryMetrics"))).map(([key, value]) =>
          [key, JSON.stringify(value)] as const
        )
      ),
      historyLines: typeof lines === "number" ? lines : undefined,
      inserted: at(data, "upsertBucket", "inserted") === true
    })
  })

const upsertBucket = `mutation UpsertBucket($name: String, $project: String, $entity: String, $displayName: String,
  $groupName: String, $jobType: String, $notes: String, $tags: [String!], $host: String, $program: String,
  $commit: String, $repo: String, $config: JSONString) {
  upsertBucket(input: {
    name: $name, modelName: $project, entityName: $entity, displayName: $displayName, groupName: $groupName,
    jobType: $jobType, notes: $notes, tags: $tags, host: $host, jobProgram: $program, commit: $commit, jobRepo: $repo,
    config: $config
  }) {
    bucket { id name displayName config summaryMetrics historyLineCount project { id name entity { id name } } }
    inserted
  }
}`

/**
 * Asks where to put files of a run.
 *
 * @category operations
 * @since 0.2.0
 */
export const createRunFiles = (
  api: Api,
  operation: string,
  run: Pick<Run, "entity" | "name" | "project">,
  files: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Place>, BackendError> =>
  Effect.flatMap(
    execute(api, operation, createFiles, { entity: run.entity, project: run.project, run: run.name, files }),
    (data) => {
      const answer = at(data, "createRunFiles")
      const lines = at(answer, "uploadHeaders")
      const headers = headersOf(Array.isArray(lines) ? lines.map(String) : [])
      const found = at(answer, "files")
      const places = (Array.isArray(found) ? found : []).flatMap((file: unknown) => {
        const path = text(file, "name")
        const url = text(file, "uploadUrl")
        return path === undefined || url === undefined ? [] : [{ path, url, headers }]
      })
      return files.every((path) => places.some((place) => place.path === path))
        ? Effect.succeed(places)
        : Effect.fail(unexpected(operation, "no place for a file in it"))
    }
  )

const createFiles = `mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  createRunFiles(input: { entityName: $entity, projectName: $project, runName: $run, files: $files }) {
    runID
    uploadHeaders
    files { name uploadUrl }
  }
}`

// -----------------------------------------------------------------------------
// internals
// -----------------------------------------------------------------------------

const execute = (
  { client, mask }: Api,
  operation: string,
  query: string,
  variables: { readonly [name: string]: unknown }
): Effect.Effect<unknown, BackendError> =>
  client.request({ method: "POST", url: "/graphql", json: { query, variables } }).pipe(
    Effect.mapError(Http.backendError("wandb", operation)),
    Effect.flatMap(({ json }) => {
      const errors = at(json, "errors")
      const messages = (Array.isArray(errors) ? errors : []).flatMap((error: unknown) => text(error, "message") ?? [])
      if (messages.length > 0) {
        return Effect.fail(refused(operation, mask(messages.join("; "))))
      }
      const data = at(json, "data")
      return isObject(data) ? Effect.succeed(data) : Effect.fail(unexpected(operation, "no data in it"))
    })
  )

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce((found, name) => isObject(found) ? Reflect.get(found, name) : undefined, value)

const text = (value: unknown, name: string): string | undefined => {
  const found = at(value, name)
  return typeof found === "string" && found !== "" ? found : undefined
}

/** What the server keeps may hold bare numbers that JSON has not; they are text from then on, as in W&B's own export. */
const object = (json: string | undefined): object => {
  if (json === undefined) return {}
  try {
    const value: unknown = JSON.parse(
      json.replaceAll(
        /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g,
        (token) => token.startsWith("\"") ? token : `"${token}"`
      )
    )
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

/** `Name:value` each. */
const headersOf = (lines: ReadonlyArray<string>): { readonly [name: string]: string } =>
  Object.fromEntries(lines.flatMap((line) => {
    const colon = line.indexOf(":")
    return colon > 0 ? [[line.slice(0, colon).trim(), line.slice(colon + 1).trim()]] : []
  }))

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

const failure = (operation: string, kind: string, message: string): BackendError =>
  new BackendError({ backend: "wandb", operation, kind, cause: new Error(message) })

/**
 * W&B has answered, with success, that it was none.
 *
 * @category errors
 * @since 0.2.0
 */
export const refused = (operation: string, message: string): BackendError =>
  failure(operation, "refused", `W&B answers: ${message.slice(0, 500)}`)

/**
 * Something answered that is not W&B: a proxy, the login page of a network.
 *
 * @category errors
 * @since 0.2.0
 */
export const unexpected = (operation: string, what: string): BackendError =>
  failure(operation, "not W&B", `What answers there is not W&B, or speaks otherwise: ${what}`)
