/**
 * The params and tags of a run: what the server has of them, and sending what it does not have.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type { BackendError, Facts } from "../../Backend.ts"
import * as Http from "../../internal/http.ts"
import type { Api, Entry, Run } from "./Api.ts"
import * as Delivery from "./Delivery.ts"
import * as Params from "./Params.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The params and tags of one run.
 *
 * - `params` sends values by name; with `told`, that one cannot be changed any more is a warning.
 * - `tellRenamed` says which names are others on the server. Those that were cut it keeps there whole, as tags; a
 *   server that does not take them now gets them later, with `flush` at the latest: records do not wait for it.
 * - `loggedTable` says that an artifact is a table, where `mlflow.load_table` looks for them.
 *
 * @category models
 * @since 0.2.0
 */
export interface Entries {
  readonly params: (
    operation: string,
    values: ReadonlyMap<string, string>,
    told: boolean
  ) => Effect.Effect<void, BackendError>
  readonly tags: (operation: string, tags: ReadonlyArray<Entry>) => Effect.Effect<void, BackendError>
  readonly tellRenamed: (
    kind: "metric" | "param",
    renamed: ReadonlyArray<readonly [from: string, to: string]>
  ) => Effect.Effect<void>
  readonly flush: (operation: string) => Effect.Effect<void, BackendError>
  readonly loggedTable: (path: string) => Effect.Effect<void, BackendError>
}

const tablesTag = "mlflow.loggedArtifacts"

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The params and tags of a run, as they are now.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (api: Api, run: Run): Entries => {
  const runId = run.info.run_id
  const known = new Map(run.data?.params?.map(({ key, value }) => [key, value ?? ""]))
  let tables = tablesOf(run.data?.tags?.find(({ key }) => key === tablesTag)?.value)
  let pending: ReadonlyArray<Entry> = []

  const send = (operation: string, kind: "params" | "tags", entries: ReadonlyArray<Entry>) =>
    Effect.forEach(
      chunks(entries, Params.mostEntries),
      (chunk) =>
        Delivery.send(chunk, (part) => api.logEntries(runId, { [kind]: part })).pipe(
          Effect.mapError(Http.backendError("mlflow", operation)),
          Effect.flatMap((refusals) => {
            if (kind === "params") { for (const { key, value } of chunk) known.set(key, value) }
            const [first] = refusals
            return first === undefined ? Effect.void : Effect.logWarning(
              `The MLflow server refused the ${kind} ${list(refusals.map(({ entry }) => entry.key))}: ` +
                first.error.message
            )
          })
        ),
      { discard: true }
    )

  const flush: Entries["flush"] = (operation) =>
    Effect.suspend(() =>
      Effect.map(send(operation, "tags", pending), () => {
        pending = []
      })
    )

  const tellRenamed: Entries["tellRenamed"] = (kind, renamed) =>
    Effect.gen(function*() {
      if (renamed.length > 0) {
        yield* Effect.logInfo(
          `MLflow does not take every name: ${
            list(renamed.map(([from, to]) => `${JSON.stringify(from)} is ${to}`), 5)
          } there`
        )
      }
      pending = [...pending, ...Params.originals(kind, renamed)]
      yield* Effect.ignore(flush("log"))
    })

  return {
    params: (operation, values, told) =>
      Effect.gen(function*() {
        const { changed, cut, params, renamed, tags } = Params.change(values, known)
        yield* send(operation, "params", params)
        yield* send(operation, "tags", tags)
        yield* tellRenamed("param", renamed)
        if (changed.length > 0 && told) {
          yield* Effect.logWarning(
            `MLflow never changes params: the new values of ${list(changed)} are tags of the same names`
          )
        }
        if (cut.length > 0) yield* Effect.logWarning(`Too long for MLflow, and cut there: ${list(cut)}`)
      }),
    tags: (operation, tags) => send(operation, "tags", tags),
    tellRenamed,
    flush,
    loggedTable: (path) =>
      Effect.suspend(() => {
        if (tables.some((table) => table.path === path)) return Effect.void
        const all = [...tables, { path, type: "table" }]
        const value = JSON.stringify(all)
        // Thousands of tables: those that are not in the tag are artifacts all the same.
        if (value !== Params.tagValue(value)) return Effect.void
        return Effect.map(send("logTable", "tags", [{ key: tablesTag, value }]), () => {
          tables = all
        })
      })
  }
}

/**
 * The tags by which MLflow's pages say where a run comes from.
 *
 * @category constructors
 * @since 0.2.0
 */
export const sourceTags = (facts: Facts): ReadonlyArray<Entry> =>
  Object.entries({
    "mlflow.user": facts["user"],
    "mlflow.source.name": facts["command"],
    "mlflow.source.git.commit": facts["git_commit"],
    "mlflow.source.git.branch": facts["git_branch"]
  }).flatMap(([key, value]) =>
    value === undefined || value === "" ? [] : [{ key, value: Params.tagValue(String(value)) }]
  )

/**
 * A list in parts.
 *
 * @category formatting
 * @since 0.2.0
 */
export const chunks = <A>(list: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size))

/**
 * A list as text, the first few of it.
 *
 * @category formatting
 * @since 0.2.0
 */
export const list = (names: ReadonlyArray<string>, most = 10): string =>
  names.length <= most ? names.join(", ") : `${names.slice(0, most).join(", ")} and ${names.length - most} more`

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

interface Table {
  readonly path: string
  readonly type: string
}

const tablesOf = (tag: string | undefined): ReadonlyArray<Table> => {
  try {
    const tables: unknown = JSON.parse(tag ?? "[]")
    return Array.isArray(tables) ? tables.filter(isTable) : []
  } catch {
    return []
  }
}

const isTable = (value: unknown): value is Table =>
  typeof value === "object" && value !== null && "path" in value && typeof value.path === "string" &&
  "type" in value && typeof value.type === "string"
