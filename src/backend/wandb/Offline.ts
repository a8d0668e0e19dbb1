/**
 * A run in W&B's own files, for `wandb sync` to send later: see RunFile.ts for where they are and how a run goes on,
 * Records.ts for what stands in them, Datastore.ts for how.
 *
 * - Each batch of rows is appended in one write: a line of history for each, then the latest values as summary, so that
 *   a run that is killed has its summary too. Rows that come again are known by their `_step` and passed over.
 * - An image or a table is a file beneath `files/media`, and named in the summary at once; in the history it stands in
 *   the line of the record that comes next, or at the end of the run in a line of its own.
 * - Artifacts are linked into `files/`, or copied where that cannot be done.
 * - `finish` closes the run: 0 finished, 1 failed, 255 killed, which are the exit codes W&B knows these states by.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Backend from "../../Backend.ts"
import { makeDirectory } from "../../internal/makeDirectory.ts"
import { explain } from "../../internal/systemError.ts"
import { version } from "../../version.ts"
import * as Config from "./Config.ts"
import * as Files from "./Files.ts"
import * as History from "./History.ts"
import * as Media from "./Media.ts"
import * as Records from "./Records.ts"
import * as RunFile from "./RunFile.ts"
import type { Settings } from "./Settings.ts"
import * as Stats from "./Stats.ts"

const name = "wandb"

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts a run offline. Without a checkpoint it replaces what a run of this id and time has left; with one it goes on.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  context: Backend.Context,
  settings: Settings
): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const { createdAt } = context
    // A run is no worse for not knowing where it comes from.
    const facts = yield* Effect.catchCause(context.facts, () => Effect.succeed<Backend.Facts>({}))
    const config = new Map<string, string>()
    const changes = (more: Backend.Config, facts?: Backend.Facts): ReadonlyArray<Records.Item> =>
      Config.entries(more, facts).filter(([key, json]) => config.get(key) !== json)
    const keep = (items: ReadonlyArray<Records.Item>) => items.forEach(([key, json]) => config.set(key, json))

    const file = yield* Effect.acquireRelease(
      attempt("start", () =>
        RunFile.open({
          directory: settings.directory,
          runId: settings.runId,
          createdAt,
          position: context.checkpoint,
          begin: (out) => {
            const items = changes(context.config, facts)
            Records.header(out, `ezpz-stream ${version}`)
            Records.run(
              out,
              { ...settings, displayName: settings.displayName ?? context.runId },
              items,
              facts["hostname"]?.toString(),
              createdAt
            )
            Records.environment(out, facts, createdAt)
            Records.definitions(out)
            keep(items)
          }
        })),
      (file) => Effect.sync(file.close)
    )
    if (file.restarted) {
      yield* Effect.logWarning(
        `${file.path()} is not as it was left. It is filled again from the run's log, which is complete`
      )
    }

    // Where the user has named a place for offline runs, they stay there when the run's directory moves.
    const ours = settings.directory === Path.resolve(context.directory)
    let directory = context.directory
    let lastStep: number | undefined
    let lastTimestamp = createdAt
    /** What the next line of history shows. */
    let shown = new Map<string, string>()

    const log: Backend.Backend["log"] = (rows) =>
      attempt("log", () => {
        const { step } = file.position()
        const fresh = rows.filter((row) => History.stepOf(row) > step)
        const last = fresh.at(-1)
        if (last === undefined) return
        file.append((out) => {
          const latest = new Map<string, string>()
          let more: Iterable<Records.Item> = shown
          for (const row of fresh) {
            Records.row(out, row, createdAt, more, latest)
            more = []
          }
          Records.summary(out, latest)
        }, History.stepOf(last))
        shown = new Map()
        lastStep = last.step
        lastTimestamp = last.timestamp
      })

    /** A file that is shown is in the summary at once. */
    const show = (operation: string, key: string, { reference, upload }: Media.Media) =>
      attempt(operation, () => {
        place(upload.from, file.files(), upload.path)
        file.append((out) => {
          Records.files(out, [upload.path], "media")
          Records.summary(out, [[key, reference]])
        })
        shown.set(key, reference)
      })

    const closing = () => {
      const { step } = file.position()
      return shown.size === 0 ? undefined : {
        step: step + 1,
        items: [
          ["_step", String(step + 1)],
          ["_timestamp", String(lastTimestamp)],
          ["_runtime", String(History.runtime(lastTimestamp, createdAt))],
          [History.stepKey, History.text(lastStep ?? Math.max(0, step))],
          ...shown
        ] satisfies ReadonlyArray<Records.Item>
      }
    }

    return {
      name,
      restart: file.restarted,
      log,
      logConfig: (more) =>
        attempt("logConfig", () => {
          const items = changes(more)
          if (items.length > 0) file.append((out) => Records.config(out, items))
          keep(items)
        }),
      logTable: (name, table) =>
        Effect.flatMap(Media.table(name, table), (media) => show("logTable", History.tableKey(name), media)),
      logImage: (name, path, options = {}) =>
        Effect.flatMap(
          Effect.suspend(() => Media.image(name, path, options, lastStep ?? Math.max(0, file.position().step))),
          (media) => show("logImage", History.imageKey(name), media)
        ),
      logArtifacts: (paths) =>
        Effect.suspend(() => {
          // Not what we write ourselves, which is among a run's files too.
          const own = `${Path.dirname(file.files())}${Path.sep}`
          const wanted = Files.expand(paths).filter((path) => !Path.resolve(path).startsWith(own))
          const missing = wanted.filter((path) => !Fs.existsSync(path))
          const there = wanted.filter((path) => !missing.includes(path))
          return attempt("logArtifacts", () => {
            const names = there.map((path) => place(path, file.files(), Files.pathOf(path, directory)))
            if (names.length > 0) file.append((out) => Records.files(out, names, "other"))
          }).pipe(
            Effect.andThen(missing.length === 0 ? Effect.void : Effect.fail(Files.gone("logArtifacts", missing)))
          )
        }),
      logSystem: (samples) =>
        attempt("logSystem", () =>
          file.append((out) => {
            for (const sample of samples) Records.stats(out, sample.timestamp, Stats.items(sample))
          })),
      logSummary: (values) =>
        attempt("logSummary", () => {
          const items: Array<Records.Item> = []
          History.eachMetric(values, (key, json) => json !== "null" && items.push([key, json]))
          if (items.length > 0) file.append((out) => Records.summary(out, items))
        }),
      watch: (object, options) =>
        attempt("watch", () =>
          file.append((out) => Records.config(out, Config.entries({ watched: Config.watched(object, options) })))),
      wantsSystem: true,
      run: {
        id: settings.runId,
        name: settings.displayName ?? context.runId,
        project: settings.project,
        url: undefined
      },
      checkpoint: Effect.sync(file.position),
      files: Effect.sync(() =>
        ours ? [file.path()] : []
      ),
      move: (to) =>
        attempt("move", () => {
          if (ours) file.move(to)
          directory = to
        }),
      finish: (state) =>
        attempt("finish", () => {
          if (file.closedWith() === History.exitCodes[state]) return
          const runtime = History.runtime(lastTimestamp, createdAt)
          file.append((out) => Records.close(out, runtime, History.exitCodes[state], closing()))
        })
    }
  })

// -----------------------------------------------------------------------------
// internals
// -----------------------------------------------------------------------------

/** Bytes, or a file, at a path of the run. Our own files are replaced, not changed, so that a link stays what it is. */
const place = (from: string | Uint8Array, directory: string, name: string): string => {
  const to = Path.join(directory, name)
  try {
    makeDirectory(Path.dirname(to))
    Fs.rmSync(to, { force: true })
    if (typeof from !== "string") Fs.writeFileSync(to, from)
    else {
      try {
        Fs.linkSync(from, to)
      } catch {
        Fs.copyFileSync(from, to, Fs.constants.COPYFILE_FICLONE)
      }
    }
    return name
  } catch (cause) {
    throw new Error(`${to} could not be written: ${explain(cause)}`, { cause })
  }
}

const attempt = <A>(operation: string, run: () => A): Effect.Effect<A, Backend.BackendError> =>
  Effect.try({ try: run, catch: (cause) => new Backend.BackendError({ backend: name, operation, cause }) })
