/**
 * The backends of one run, each under its own supervision.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Backend from "./Backend.ts"
import type { Row } from "./Row.ts"
import * as Supervisor from "./Supervisor.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A run's backends. None of these fails: what a backend cannot do is warned about, and the others get it all the same.
 *
 * `getBackend` reaches what only one backend has; undefined for a name that was not asked for or has not started yet.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tracker {
  readonly names: ReadonlyArray<string>
  readonly getBackend: (name: string) => Effect.Effect<Backend.Backend | undefined>
  readonly offer: (rows: ReadonlyArray<Row>, offset: number) => void
  readonly logTable: (name: string, table: Backend.Table) => Effect.Effect<void>
  readonly logImage: (name: string, path: string, options?: Backend.ImageOptions) => Effect.Effect<void>
  readonly logArtifacts: (paths: ReadonlyArray<string>) => Effect.Effect<void>
  readonly watch: (object: unknown, options?: Backend.Config) => Effect.Effect<void>
  readonly move: (directory: string) => Effect.Effect<void>
  readonly drain: (timeoutMillis: number) => Effect.Effect<ReadonlyArray<Supervisor.Delivered>>
  readonly files: Effect.Effect<ReadonlyArray<string>>
  readonly finish: (
    state: Backend.RunState,
    timeoutMillis: number,
    outputs?: ReadonlyArray<Supervisor.Output>
  ) => Effect.Effect<ReadonlyArray<Supervisor.Delivered>>
}

/**
 * A backend to start, under the name it is known by.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly name: string
  readonly factory: Backend.Factory
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts the backends of a run. They end with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  readonly entries: ReadonlyArray<Entry>
  readonly context: Omit<Backend.Context, "checkpoint" | "directory">
  readonly directory: () => string
  readonly log: () => string
  readonly cursor: (backend: string) => string
  readonly lastSeq: number
}): Effect.Effect<Tracker, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { context, cursor, directory, lastSeq, log } = options
    // A name is what a backend's cursor is kept under: two of one name would count as one.
    const entries = options.entries.filter(({ name }, i, all) => all.findIndex((entry) => entry.name === name) === i)
    for (const { name } of options.entries.filter((entry) => !entries.includes(entry))) {
      yield* Effect.logWarning(`Two backends are named "${name}": the second is not used. Give it another name`)
    }
    const backends = yield* Effect.forEach(entries, ({ factory, name }) =>
      Supervisor.supervise({
        name,
        factory,
        context,
        directory,
        log,
        cursor: () => cursor(name),
        lastSeq
      }))

    const each = (operation: string, call: (backend: Backend.Backend) => Effect.Effect<void, Backend.BackendError>) =>
      Effect.forEach(backends, (supervised) => supervised.attempt(operation, call), {
        concurrency: "unbounded",
        discard: true
      })

    return {
      names: entries.map((entry) => entry.name),
      getBackend: (name) =>
        backends.find((supervised) => supervised.name === name.trim().toLowerCase())?.backend ?? Effect.undefined,
      offer: (rows, offset) => {
        for (const backend of backends) backend.offer(rows, offset)
      },
      logTable: (name, table) => each("logTable", (backend) => backend.logTable(name, table)),
      logImage: (name, path, image) => each("logImage", (backend) => backend.logImage(name, path, image)),
      logArtifacts: (paths) => each("logArtifacts", (backend) => backend.logArtifacts(paths)),
      watch: (object, watching) => each("watch", (backend) => backend.watch(object, watching)),
      move: (directory) => each("move", (backend) => backend.move(directory)),
      drain: (timeout) =>
        Effect.forEach(backends, (supervised) => supervised.drain(timeout), { concurrency: "unbounded" }),
      files: Effect.map(
        Effect.forEach(
          backends,
          (supervised) =>
            Effect.flatMap(supervised.backend, (backend) =>
              backend === undefined ? Effect.succeed([]) : Effect.catchCause(backend.files, () =>
                Effect.succeed([])))
        ),
        (files) =>
          files.flat()
      ),
      finish: (state, timeout, outputs = []) =>
        Effect.forEach(backends, (supervised) => supervised.finish(state, timeout, outputs), {
          concurrency: "unbounded"
        })
    }
  })
