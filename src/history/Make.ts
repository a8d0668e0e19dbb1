/**
 * Opening a run, recording into it, and handing it over to be folded.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Path from "node:path"
import * as RunInfo from "../artifact/RunInfo.ts"
import type * as Backend from "../Backend.ts"
import * as Finalize from "../Finalize.ts"
import * as Journal from "../Journal.ts"
import * as Metrics from "../Metrics.ts"
import * as Rank from "../Rank.ts"
import * as Reducer from "../Reducer.ts"
import type * as ZeroMq from "../reducer/zeromq/ZeroMq.ts"
import * as RunDirectory from "../RunDirectory.ts"
import * as RunLog from "../RunLog.ts"
import * as Secrets from "../Secrets.ts"
import * as Summary from "../Summary.ts"
import * as Supervisor from "../Supervisor.ts"
import * as Tracker from "../Tracker.ts"
import { version } from "../version.ts"
import * as Backends from "./Backends.ts"
import { here, sampling } from "./Environment.ts"
import * as Follower from "./Follower.ts"
import { type History, type MakeError, type Options, RecordError, type Tracked, type UpdateError } from "./Model.ts"
import { check, checkFinalize } from "./Options.ts"
import * as Place from "./Place.ts"
import { turnedOff } from "./Ranks.ts"
import * as Recorder from "./Recorder.ts"
import * as TotalSteps from "./TotalSteps.ts"
import { leading, none } from "./Tracked.ts"

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Opens a run. It is closed with the scope: backends get a last chance, the lock is released.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { History } from "ezpz-stream"
 *
 * const program = Effect.gen(function*() {
 *   const history = yield* History.make({ projectName: "demo", outdir })
 *   const line = yield* history.update({ loss: 0.42 }, { step: 1 })
 *   assert.strictEqual(line, "loss=0.420000")
 *   const { dataset } = yield* history.finalize({ plots: false })
 *   assert.strictEqual(dataset?.draws, 1)
 * }).pipe(Effect.scoped)
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<History, MakeError, Scope.Scope> =>
  Effect.gen(function*() {
    const environment = options.environment ?? (yield* here)
    const startedAt = yield* Place.now
    yield* check(options)
    const place = yield* Place.locate(options)
    const reducer = yield* chooseReducer(options, environment)
    if (reducer.rank.rank > 0) return yield* Follower.make(options, place, reducer)
    // A scope of its own, so that `finalize` can close the log before it reads it.
    const scope = yield* Effect.scope
    const writing = yield* Scope.fork(scope)
    yield* RunDirectory.lock(place.logPath)
    const known = yield* RunDirectory.readRun(place.logPath)
    const writer = yield* Scope.provide(
      RunLog.writer({
        path: place.logPath,
        mode: place.exists === "fail" ? "create" : place.exists,
        ...(options.fsync === undefined ? {} : { fsync: options.fsync })
      }),
      writing
    )
    if (place.exists === "overwrite") yield* RunDirectory.removeOutputs(place.directory)
    const resumed = writer.lastSeq > 0 ? known : undefined
    const runId = resumed?.runId ?? place.runId
    if (resumed !== undefined && resumed.state !== "running" && options.exists === undefined) {
      yield* Effect.logWarning(
        `${place.directory} holds run ${runId} (${resumed.state}, ${writer.lastSeq} records): this run goes on with it. ` +
          "Another outdir starts a new one, exists: \"overwrite\" replaces it"
      )
    }
    const given = new Set((options.tracker ?? []).map((backend) => backend.name.toLowerCase()))
    const entries = [
      // A run goes on with the backends it had, unless others are asked for.
      ...(yield* Backends.select(
        options.backends ?? resumed?.backends.filter((name) => !given.has(name)),
        environment
      )),
      ...(options.tracker ?? []).map((backend) => ({
        name: backend.name.toLowerCase(),
        factory: () => Effect.succeed(backend)
      }))
    ]
    const config = Secrets.mask(options.config ?? resumed?.config ?? {}, environment)
    const totalSteps = yield* TotalSteps.make(options.totalSteps, resumed?.totalSteps)
    let run: RunDirectory.Run = {
      format: RunLog.formatVersion,
      runId,
      runName: options.runName ?? resumed?.runName ?? null,
      projectName: options.projectName ?? resumed?.projectName ??
        Place.projectFrom(environment, options.defaultProject, process.argv[1]),
      projectGiven: options.projectName !== undefined || (resumed?.projectGiven ?? false),
      createdAt: resumed?.createdAt ?? startedAt,
      state: "running",
      backends: [...new Set([...(resumed?.backends ?? []), ...entries.map((entry) => entry.name)])],
      config,
      totalSteps: totalSteps.value()
    }
    yield* RunDirectory.writeRun(place.logPath, run)
    const rank = reducer.rank.rank
    const several = reducer.rank.worldSize > 1
    // Asking git takes longer than training starts: the first records do not wait for it.
    const provenance = yield* Effect.forkScoped(
      keepProvenance(place.logPath, resumed !== undefined, reducer.rank, environment)
    )
    if (writer.lastSeq === 0) yield* RunDirectory.forgetDelivery(place.logPath)

    let logPath = place.logPath
    let directory = place.directory
    const journal = yield* Journal.make(directory, rank, environment)
    yield* journal.write(resumed === undefined ? "run started" : "run resumed", {
      runId,
      project: run.projectName,
      backends: entries.map((entry) => entry.name),
      seq: writer.lastSeq
    })
    const tracker = yield* journal.within(Tracker.make({
      entries,
      context: {
        runId,
        runName: run.runName ?? undefined,
        projectName: run.projectName,
        projectGiven: run.projectGiven,
        config,
        keys: options.keys ?? [],
        environment,
        createdAt: run.createdAt,
        live: true,
        facts: Effect.map(Fiber.join(provenance), RunInfo.facts)
      },
      directory: () => directory,
      log: () => logPath,
      history: Effect.suspend(() => Finalize.historyTable(logPath)),
      lastSeq: writer.lastSeq,
      hasOthers: run.backends.length > entries.length,
      ...(yield* sampling(environment, directory))
    }))

    const formatter = Summary.make({
      ...(options.precision === undefined ? {} : { precision: options.precision }),
      ...(options.style === undefined ? {} : { style: options.style }),
      ...(options.constants === undefined ? {} : { constants: options.constants }),
      memoryTotal: options.memoryTotal
    })
    const recorder = yield* Recorder.make(
      { formatter, history: () => history },
      runId,
      writer,
      reducer,
      tracker,
      totalSteps.see
    )

    let closed = false
    // Once it was asked for; and whether backends know.
    let asked: Backend.RunState | undefined
    let ended = false

    // Those who look at the run are told how many steps it will have.
    yield* Effect.forkScoped(Effect.forever(Effect.flatMap(totalSteps.changed, () => {
      if (closed) return Effect.void
      run = { ...run, totalSteps: totalSteps.value() }
      return Effect.ignore(RunDirectory.writeRun(logPath, run))
    })))

    const told = new Set<string>()
    const tell = (records: ReadonlyArray<Metrics.Decoded>): Effect.Effect<void> => {
      const fresh = records.flatMap((decoded) => decoded.notes).filter((note) => !told.has(note) && told.size < 1000)
      if (fresh.length === 0) return Effect.void
      for (const note of fresh) told.add(note)
      return journal.within(Effect.forEach(new Set(fresh), (note) => Effect.logWarning(note), { discard: true }))
    }

    let useWandbTold = false
    const tellUseWandb = Effect.suspend(() => {
      if (useWandbTold) return Effect.void
      useWandbTold = true
      return journal.within(Effect.logWarning(
        "update's useWandb is deprecated and changes nothing. Say it once, where the history is made: backends: \"wandb\""
      ))
    })

    const update: History["update"] = (input, { precision, step, useWandb } = {}) =>
      Effect.clockWith((clock): Effect.Effect<string, UpdateError> => {
        if (closed) return Effect.fail(new RecordError({ reason: "the run is finalized" }))
        if (step !== undefined && !Number.isFinite(step)) {
          return Effect.fail(new RecordError({ reason: `the step ${step} is not a finite number` }))
        }
        const decoded = Metrics.decode(input, options.stepKey)
        if (decoded._tag === "Refused") return Effect.fail(new RecordError({ reason: decoded.reason }))
        let rows: ReadonlyArray<Tracked>
        try {
          rows = recorder.record([step === undefined ? decoded : { ...decoded, step }], clock)
        } catch (error) {
          return RunLog.failWith(error)
        }
        if (several) return Effect.andThen(tell([decoded]), closedLines(rows))
        const row = rows[0]
        const line = formatter.format(decoded.metrics, row?.statistics?.values, {
          precision,
          ...(step === undefined ? leading(decoded) : none)
        })
        if (useWandb !== undefined) return Effect.as(Effect.andThen(tellUseWandb, tell([decoded])), line)
        return decoded.notes.length === 0 ? Effect.succeed(line) : Effect.as(tell([decoded]), line)
      })

    /** The lines of several ranks' records: of those that have closed, or of the last one once it has. */
    const closedLines = (rows: ReadonlyArray<Tracked>): Effect.Effect<string> => {
      const lines = (all: ReadonlyArray<Tracked>): string => all.map((row) => row.summary).join("\n")
      return options.reduction === "sync"
        ? Effect.map(recorder.own, (own) => lines([...rows, ...(own === undefined ? [] : [own])].slice(-1)))
        : Effect.succeed(lines(rows))
    }

    const updateAll: History["updateAll"] = (records) =>
      Effect.clockWith((clock): Effect.Effect<ReadonlyArray<Tracked>, UpdateError> => {
        if (closed) return Effect.fail(new RecordError({ reason: "the run is finalized" }))
        if (records.length === 0) return Effect.succeed([])
        let tracked: ReadonlyArray<Tracked>
        try {
          tracked = recorder.record(records, clock)
        } catch (error) {
          return RunLog.failWith(error)
        }
        return records.some((decoded) => decoded.notes.length > 0)
          ? Effect.as(tell(records), tracked)
          : Effect.succeed(tracked)
      })

    const moveTo = (target: string, timeoutMillis: number): Effect.Effect<void, RunDirectory.RunDirectoryError> =>
      Effect.gen(function*() {
        const from = logPath
        const to = Path.join(target, RunDirectory.logName)
        // The new place's lock is let go of again where the move fails.
        const moving = yield* Scope.fork(scope)
        yield* Scope.provide(RunDirectory.move(from, to), moving).pipe(
          Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(moving, exit) : Effect.void)
        )
        logPath = to
        directory = target
        yield* tracker.move(target, timeoutMillis)
        yield* journal.move(target)
        yield* RunDirectory.leave(from, to)
      })

    const finalize: History["finalize"] = (finalizing = {}) =>
      journal.within(Effect.gen(function*() {
        yield* checkFinalize(finalizing)
        closed = true
        const timeout = (finalizing.finishTimeout ?? 60) * 1000
        const state = finalizing.state ?? "finished"
        asked = state
        yield* recorder.close
        const from = yield* Clock.currentTimeMillis
        const delivered = yield* tracker.drain(timeout)
        const waited = (yield* Clock.currentTimeMillis) - from
        const origin = yield* Fiber.join(provenance)
        yield* Scope.close(writing, Exit.void)
        const target = yield* Place.chooseTarget(finalizing, directory, runId)
        if (Path.resolve(target) !== Path.resolve(directory) || Path.basename(logPath) !== RunDirectory.logName) {
          yield* Effect.uninterruptible(moveTo(target, Math.max(leastMillis, timeout - waited)))
        }
        run = { ...run, state, runName: finalizing.runName ?? run.runName, totalSteps: totalSteps.value() }
        const result = yield* Finalize.run({
          ...finalizing,
          logPath,
          directory,
          run,
          environment,
          provenance: origin,
          delivered,
          keys: options.keys ?? [],
          report: (options.reportEnabled ?? true) && (finalizing.report ?? true),
          tracker,
          // Of the time that backends get, what they have not had.
          finishTimeoutMillis: Math.max(leastMillis, timeout - waited),
          refused: finalizing.refused ?? 0
        })
        ended = true
        yield* RunDirectory.writeRun(logPath, run)
        const undelivered = result.delivered.filter((backend) => !Supervisor.isComplete(backend))
        yield* journal.write("run finalized", { runId, state, records: result.rows, undelivered })
        return { ...result, files: [...result.files, Path.resolve(journal.path())], runId, undelivered }
      }))

    const finish: History["finish"] = ({ finishTimeout = 60, state = "finished" } = {}) =>
      journal.within(Effect.gen(function*() {
        closed = true
        yield* recorder.close
        const delivered = yield* tracker.finish(state, finishTimeout * 1000)
        run = { ...run, state, totalSteps: totalSteps.value() }
        yield* Effect.ignore(RunDirectory.writeRun(logPath, run))
        ended = true
        return delivered
      }))

    // A run that is not finalized, or could not be, is closed all the same.
    yield* Effect.addFinalizer((exit) => {
      if (ended) return Effect.void
      const byExit = Exit.isSuccess(exit) ? "finished" : Cause.hasInterruptsOnly(exit.cause) ? "killed" : "failed"
      return finish({ state: asked ?? byExit, finishTimeout: closeSeconds })
    })

    const history: History = {
      runId,
      get directory() {
        return directory
      },
      get logPath() {
        return logPath
      },
      resumedAt: writer.lastSeq,
      get totalSteps() {
        return totalSteps.value()
      },
      rank: reducer.rank,
      closed: recorder.closed,
      takeClosed: recorder.take,
      tracker,
      update,
      updateAll,
      finalize,
      finish
    }
    return history
  })

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** Where the run comes from: kept from its first start, else collected here and now. */
const keepProvenance = (
  logPath: string,
  resumed: boolean,
  rank: Rank.Rank,
  environment: Rank.Environment
): Effect.Effect<RunInfo.Provenance> =>
  Effect.gen(function*() {
    const kept = resumed ? yield* RunInfo.readProvenance(logPath) : undefined
    if (kept !== undefined) return kept
    const provenance = yield* RunInfo.provenance({ version, environment, rank })
    yield* Effect.ignore(RunInfo.writeProvenance(logPath, provenance))
    return provenance
  })

/**
 * The option wins over EZPZ_NO_DISTRIBUTED_HISTORY and EZPZ_LOCAL_HISTORY, which turn statistics across ranks off. Ranks
 * are ranks all the same: only the first one writes. What several need is loaded where there are several.
 */
const chooseReducer = (
  { distributedHistory: distributed = "auto", reducer = "zeromq", reduction }: Options,
  environment: Rank.Environment
): Effect.Effect<Reducer.Reducer["Service"]> =>
  Effect.gen(function*() {
    const off = turnedOff(environment) !== undefined
    const rank = Rank.fromEnvironment(environment)
    const alone = { ...Reducer.local, rank }
    if (distributed === false || (distributed === "auto" && off)) return alone
    const given = yield* Effect.serviceOption(Reducer.Reducer)
    if (Option.isSome(given)) return given.value
    if (rank.rank === 0) {
      for (const doubt of Rank.doubts(environment)) {
        yield* Effect.logWarning(`${doubt}: that is not believed. This process is rank 0 of ${rank.worldSize}`)
      }
    }
    if (rank.worldSize === 1) return alone
    const make = yield* Effect.promise(() => makeReducer(reducer))
    return Reducer.orLocal(make({ environment, sync: reduction === "sync" }))
  })

const makeReducer = async (
  choice: NonNullable<Options["reducer"]>
): Promise<(options: ZeroMq.Options) => Reducer.Reducer["Service"]> => {
  if (choice === "zeromq") return (await import("../reducer/zeromq/ZeroMq.ts")).make
  const { make } = await import("../reducer/nccl/Nccl.ts")
  return (options) => make({ ...options, choice })
}

/** So long backends get after the outputs are made, even if records took all of their time. */
const leastMillis = 1000

/** How long backends get when a run is closed by its scope. */
const closeSeconds = 10
