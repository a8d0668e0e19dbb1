/**
 * W&B's backend online: a run on a server, kept up to date while it goes.
 *
 * - A record is a line of history, and lines stand at numbers: the first record that was ever sent at 0, and so on. So
 *   records that come again, after an answer was lost or the process was killed, land on themselves. The checkpoint holds how
 *   many lines were acknowledged, and what of the summary was not yet sent.
 * - The summary (the latest value of each metric) goes with a batch of records, at most every 15 s, and at the end.
 * - An image or a table is a file of the run, and named in the summary at once; in the history it stands in the line of the
 *   record that comes next, or, at the end of the run, in a line behind the records', which makes room when it goes on.
 * - A run that is live but has nothing to say says so every 30 s; else W&B takes it for crashed.
 * - A run that was finished is found by its id when it goes on, with its config and its summary. If the server knows fewer
 *   lines than it acknowledged (the run was deleted there, or the server lost its store), it wants all records again.
 *
 * @since 0.2.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Backend from "../../Backend.ts"
import * as Http from "../../internal/http.ts"
import type { Row } from "../../Row.ts"
import * as Secrets from "../../Secrets.ts"
import * as Config from "./Config.ts"
import * as Files from "./Files.ts"
import * as FileStream from "./FileStream.ts"
import * as GraphQl from "./GraphQl.ts"
import * as History from "./History.ts"
import * as Lines from "./Lines.ts"
import * as Media from "./Media.ts"
import { publicUrl, remedy, type Settings } from "./Settings.ts"
import * as Stats from "./Stats.ts"
import * as Summary from "./Summary.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

const name = "wandb"

/**
 * What is kept beside the cursor: lines of history and of events that are acknowledged, the part of the summary that is
 * not on the server yet, and what the next line of history shows. `last` is the last record's place.
 *
 * @category models
 * @since 0.2.0
 */
export interface Checkpoint {
  readonly lines: number
  readonly events: number
  readonly last: Lines.Last
  readonly summary: { readonly [key: string]: string }
  readonly shown: { readonly [key: string]: string }
}

const summaryMillis = 15_000
const heartbeatMillis = 30_000
const heartbeatTimeoutMillis = 8000
const tickMillis = 5000

/** Of the time that a run gets for its end. */
const lastFilesMillis = 10_000

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes the run on the server, or finds it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  context: Backend.Context,
  settings: Settings
): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const { createdAt, environment } = context
    const { apiKey } = settings
    if (apiKey === undefined) {
      return yield* new Backend.BackendError({
        backend: name,
        operation: "start",
        cause: new Error(`no key: ${remedy}`)
      })
    }
    const client = yield* Http.make({
      baseUrl: settings.baseUrl,
      headers: { authorization: `Basic ${Buffer.from(`api:${apiKey}`).toString("base64")}` },
      secrets: [apiKey],
      environment
    })
    const api = { client, mask: Secrets.masker({ ...environment, WANDB_API_KEY: apiKey }) }
    // A run is no worse for not knowing where it comes from.
    const facts = yield* Effect.catchCause(context.facts, () => Effect.succeed<Backend.Facts>({}))
    const kept = checkpointOf(context.checkpoint)
    const { again, run } = yield* open(api, settings, context, facts, kept)

    // What is acknowledged, and, beyond that, what the server has taken of a batch that it has not taken whole.
    const known = again ? undefined : kept
    let acknowledged = known?.lines ?? 0
    let sent = acknowledged
    let sentSeq = -Infinity
    let events = known?.events ?? 0
    let sampled = -Infinity
    let last = known?.last ?? Lines.first(createdAt)
    const summary = Summary.make(run.summary, known?.summary ?? {})
    const shown = new Map(Object.entries(known?.shown ?? {}))
    const config = new Map([...run.config].filter(([key]) => key !== "_wandb"))
    const uploader = Files.make(api, settings.baseUrl, run)
    const one = yield* Semaphore.make(1)
    let directory = context.directory
    let summaryAt = -Infinity
    let postedAt = yield* Clock.currentTimeMillis
    let warned = false
    let finished = false

    /** The summary goes with it if it is time, or at once. A heartbeat is only sent if there was nothing for long. */
    const post = (
      operation: string,
      message: FileStream.Message,
      options: { readonly now?: boolean; readonly heartbeat?: boolean } = {}
    ): Effect.Effect<void, Backend.BackendError> =>
      one.withPermit(Effect.gen(function*() {
        const at = yield* Clock.currentTimeMillis
        const due = options.now === true || (summary.changed() && at - summaryAt >= summaryMillis)
        if (options.heartbeat === true && !due && at - postedAt < heartbeatMillis) return
        const taken = due ? summary.take() : undefined
        yield* FileStream.post(
          api,
          run,
          operation,
          taken === undefined ? message : { ...message, summary: taken.text },
          options.heartbeat === true ? heartbeatTimeoutMillis : undefined
        )
        taken?.sent()
        if (due) summaryAt = at
        postedAt = yield* Clock.currentTimeMillis
      }))

    const log = (rows: ReadonlyArray<Row>): Effect.Effect<void, Backend.BackendError> =>
      Effect.gen(function*() {
        const more = [...shown]
        for (const piece of Lines.pieces(rows, sentSeq, createdAt, more, summary.set)) {
          if (piece === undefined) {
            yield* Effect.yieldNow
            continue
          }
          if (piece.shortened > 0 && !warned) {
            warned = true
            yield* Effect.logWarning(
              "wandb takes no record of more than 10 MB: texts of more than 64 KiB are left out of larger ones"
            )
          }
          yield* post("log", { history: { offset: sent, content: piece.content } })
          sent += piece.content.length
          sentSeq = piece.last.seq
          last = piece.last
          for (const [key, json] of more) if (shown.get(key) === json) shown.delete(key)
        }
        acknowledged = sent
      })

    const logConfig = (operation: string, entries: Iterable<readonly [key: string, json: string]>) =>
      Effect.suspend(() => {
        const merged = new Map([...config, ...entries])
        return GraphQl.upsertRun(api, operation, {
          name: run.name,
          project: run.project,
          entity: run.entity,
          config: Config.online(merged, { m: Lines.definitions })
        }).pipe(Effect.map(() => merged.forEach((json, key) => config.set(key, json))))
      })

    const show = (operation: string, key: string, { reference, upload }: Media.Media) =>
      Effect.gen(function*() {
        const uploaded = yield* uploader.put(operation, [upload])
        shown.set(key, reference)
        summary.set(key, reference)
        yield* post(operation, { uploaded }, { now: true })
      })

    const finish = (state: Backend.RunState): Effect.Effect<void, Backend.BackendError> =>
      Effect.gen(function*() {
        summary.set("_wandb", JSON.stringify({ runtime: Math.floor(History.runtime(last.timestamp, createdAt)) }))
        // The run is closed even where its files find no place.
        const files = yield* Effect.result(
          uploader.put("finish", Lines.files(summary.entries(), config, facts, context)).pipe(
            Effect.timeoutOrElse({ duration: lastFilesMillis, orElse: () => Effect.fail(tooLate) })
          )
        )
        yield* post("finish", {
          ...(shown.size === 0
            ? {}
            : { history: { offset: acknowledged, content: [Lines.closing(last, createdAt, [...shown])] } }),
          ...(files._tag === "Success" ? { uploaded: files.success } : {}),
          exitCode: History.exitCodes[state]
        }, { now: true })
        finished = true
        if (files._tag === "Failure") return yield* files.failure
      })

    if (context.live) {
      const beat = Effect.gen(function*() {
        yield* Effect.sleep(tickMillis)
        if (finished) return
        // A server that is away is told of where records are delivered.
        yield* post("heartbeat", {}, { heartbeat: true }).pipe(
          Effect.catch(() => Effect.sleep(heartbeatMillis))
        )
      })
      yield* Effect.forkScoped(Effect.forever(beat))
    }

    return {
      name,
      restart: again,
      log,
      logConfig: (more) => logConfig("logConfig", Config.entries(more, facts)),
      logTable: (title, table) =>
        Effect.flatMap(Media.table(title, table), (media) => show("logTable", History.tableKey(title), media)),
      logImage: (title, path, options = {}) =>
        Effect.flatMap(
          Effect.suspend(() => Media.image(title, path, options, last.step)),
          (media) => show("logImage", History.imageKey(title), media)
        ),
      logArtifacts: (paths) =>
        Effect.suspend(() =>
          uploader.put(
            "logArtifacts",
            Files.expand(paths).map((path) => ({ path: Files.pathOf(path, directory), from: path }))
          )
        ).pipe(Effect.flatMap((uploaded) => post("logArtifacts", { uploaded }))),
      logSystem: (samples) =>
        Effect.gen(function*() {
          for (const sample of samples) {
            if (sample.seq <= sampled) continue
            // Samples count from 1; where some are missing, the next ones move up, since lines may not be left out.
            const offset = Math.min(sample.seq - 1, events)
            yield* post("logSystem", { events: { offset, content: [JSON.stringify(Stats.line(sample, createdAt))] } })
            sampled = sample.seq
            events = Math.max(events, offset + 1)
          }
        }),
      logSummary: (values) =>
        Effect.suspend(() => {
          History.eachMetric(values, (key, json) => summary.set(key, json))
          return post("logSummary", {}, { now: true })
        }),
      watch: (object, options) => logConfig("watch", Config.entries({ watched: Config.watched(object, options) })),
      wantsSystem: true,
      run: {
        id: run.name,
        name: run.displayName,
        project: run.project,
        url: `${appUrl(settings.baseUrl, environment)}/${
          [run.entity, run.project, "runs", run.name].map(encodeURIComponent).join("/")
        }`
      },
      checkpoint: Effect.sync((): Checkpoint => ({
        lines: acknowledged,
        events,
        last,
        summary: summary.unsent(),
        shown: Object.fromEntries(shown)
      })),
      files: Effect.succeed([]),
      move: (to) =>
        Effect.sync(() => {
          directory = to
        }),
      finish
    }
  })

/**
 * The run on the server. `again` says that the server does not have what it had acknowledged. What only the one who began
 * the run said, and people may have changed since, is said once.
 */
const open = (
  api: GraphQl.Api,
  settings: Settings,
  context: Backend.Context,
  facts: Backend.Facts,
  kept: Checkpoint | undefined
) => {
  const named = { name: settings.runId, project: settings.project, entity: settings.entity }
  const fact = (name: string) => typeof facts[name] === "string" ? facts[name] : undefined
  const whole = {
    ...named,
    displayName: settings.displayName ?? context.runId,
    groupName: settings.group,
    jobType: settings.jobType,
    notes: settings.notes,
    ...(settings.tags.length === 0 ? {} : { tags: settings.tags }),
    host: fact("hostname"),
    program: fact("command"),
    commit: fact("git_commit"),
    repo: fact("git_remote")
  }
  return Effect.gen(function*() {
    const run = yield* GraphQl.upsertRun(api, "start", kept === undefined ? whole : named)
    const again = kept !== undefined && kept.lines > 0 &&
      (run.inserted || (run.historyLines !== undefined && run.historyLines < kept.lines))
    if (!again) return { run, again }
    yield* Effect.logWarning(
      `wandb has ${
        run.inserted ? 0 : run.historyLines ?? 0
      } of the ${kept.lines} records of ${run.name} that it had. ` +
        `The run's log is complete, and all are sent again`
    )
    return run.inserted ? { run: yield* GraphQl.upsertRun(api, "start", whole), again } : { run, again }
  })
}

/** Where people look at what is at an address. */
const appUrl = (baseUrl: string, environment: Backend.Context["environment"]): string =>
  environment["WANDB_APP_URL"]?.trim().replace(/\/+$/, "") ||
  (baseUrl === publicUrl || baseUrl.includes("://api.wandb.")
    ? baseUrl.replace("://api.", "://")
    : baseUrl.replace("://api.", "://app."))

const tooLate = new Backend.BackendError({
  backend: name,
  operation: "finish",
  kind: "time-out",
  cause: new Error(`the summary and config files were not taken within ${lastFilesMillis / 1000} s`)
})

// -----------------------------------------------------------------------------
// Checkpoint
// -----------------------------------------------------------------------------

const checkpointOf = (checkpoint: unknown): Checkpoint | undefined => {
  if (typeof checkpoint !== "object" || checkpoint === null) return undefined
  const { events, last, lines, shown, summary }: Partial<Checkpoint> = checkpoint
  return typeof lines === "number" && typeof events === "number" && typeof summary === "object" &&
      typeof shown === "object" && Lines.isLast(last)
    ? { lines, events, last, summary, shown }
    : undefined
}
