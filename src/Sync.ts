/**
 * Delivering later what a run's backends have not acknowledged: because their server was away, the process was killed,
 * or the machine it ran on reaches no server.
 *
 * Everything comes from the run's directory: records from the log, the rest from the outbox, each backend from its
 * cursor on. So it may be done again at any time, and be interrupted at any time. Of a run that is being recorded, what
 * is there now is delivered, unless its own process is just doing that; only a run that has ended is closed.
 *
 * @since 0.2.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Path from "node:path"
import * as RunInfo from "./artifact/RunInfo.ts"
import type * as Backend from "./Backend.ts"
import * as Finalize from "./Finalize.ts"
import * as Backends from "./history/Backends.ts"
import { here } from "./history/Environment.ts"
import type { Environment } from "./Rank.ts"
import * as RunDirectory from "./RunDirectory.ts"
import * as RunLog from "./RunLog.ts"
import * as Supervisor from "./Supervisor.ts"
import type { Entry } from "./Tracker.ts"
import { version } from "./version.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is delivered, and how long it is tried: `backends` are those the run had unless others are named; one is given
 * up when it has come no further for `patience` seconds (60).
 *
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly backends?: string | ReadonlyArray<string> | undefined
  readonly patience?: number | undefined
  readonly environment?: Environment | undefined
}

/**
 * How far the backends of a run have come. `running`: it is still being recorded, and was not closed. `unknown` are
 * backends of the run that only the program knows which recorded it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Result {
  readonly runId: string
  readonly directory: string
  readonly records: number
  readonly running: boolean
  readonly delivered: ReadonlyArray<Supervisor.Delivered>
  readonly unknown: ReadonlyArray<string>
}

/**
 * Whether a backend has all there was to deliver.
 *
 * @category models
 * @since 0.2.0
 */
export const isDone = (delivered: Supervisor.Delivered, running: boolean): boolean =>
  running ? delivered.undelivered === 0 && delivered.outputs === 0 : Supervisor.isComplete(delivered)

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Delivers what the backends of a run have not acknowledged. `path` is the run's directory or its log.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { History, Sync } from "ezpz-stream"
 *
 * const program = Effect.gen(function*() {
 *   yield* Effect.scoped(Effect.gen(function*() {
 *     const history = yield* History.make({ outdir, backends: "csv" })
 *     yield* history.update({ loss: 0.5 })
 *   }))
 *   const { delivered, running } = yield* Sync.run(outdir)
 *   assert.isTrue(delivered.every((backend) => Sync.isDone(backend, running)))
 * })
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const run = (
  path: string,
  options: Options = {}
): Effect.Effect<Result, RunDirectory.RunDirectoryError | RunLog.RunLogError> =>
  Effect.scoped(Effect.gen(function*() {
    const environment = options.environment ?? (yield* here)
    const log = yield* RunDirectory.findLog(path)
    const directory = Path.dirname(Path.resolve(log))
    const found = yield* RunDirectory.readRun(log)
    if (found === undefined) {
      const reason = "nothing says which run it is of (.ezpz/run.json). Give it to `ezpz-stream finalize` first"
      return yield* new RunDirectory.RunDirectoryError({ path: log, reason })
    }
    const running = (yield* RunDirectory.writerOf(log)) !== undefined
    const { seq: lastSeq } = yield* RunLog.tail(log)
    const names = options.backends ?? found.backends
    const entries = yield* Backends.select(names, environment)
    const provenance = yield* RunInfo.readProvenance(log)
    const supervise = ({ factory, name }: Entry) =>
      Supervisor.supervise({
        name,
        factory,
        context: {
          runId: found.runId,
          runName: found.runName ?? undefined,
          projectName: found.projectName,
          projectGiven: found.projectGiven,
          config: found.config,
          keys: [],
          environment,
          createdAt: found.createdAt,
          live: false,
          facts: provenance === undefined
            ? Effect.map(RunInfo.provenance({ version, environment }), RunInfo.facts)
            : Effect.succeed(RunInfo.facts(provenance))
        },
        directory: () => directory,
        log: () => log,
        cursor: () => RunDirectory.cursorPath(log, name),
        lock: () => RunDirectory.deliveryLockPath(log, name),
        outbox: () => RunDirectory.outboxPath(log),
        history: Finalize.historyTable(log),
        lastSeq
      })
    // A run whose process is gone without a word was killed.
    const state = found.state === "running" ? "killed" : found.state
    const patienceMillis = (options.patience ?? 60) * 1000
    const backends = yield* Effect.forEach(entries, supervise)
    yield* Effect.forkScoped(showing(backends, lastSeq))
    const delivered = yield* Effect.forEach(
      backends,
      (supervised) => deliver(supervised, running ? undefined : state, patienceMillis),
      { concurrency: "unbounded" }
    )
    const unknown = (options.backends === undefined ? found.backends : []).filter((name) =>
      !entries.some((entry) => entry.name === name)
    )
    return { runId: found.runId, directory, records: lastSeq, running, delivered, unknown }
  }))

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const lookMillis = 250
/** Another process that delivers is not waited for longer. */
const busyMillis = 3000
const endlessMillis = 2 ** 31 - 1

/**
 * To the end, or until nothing has moved for too long. A run that was closed already is closed again: a server may have
 * taken it for running since it was asked for it.
 */
const deliver = (
  supervised: Supervisor.Supervised,
  state: Backend.RunState | undefined,
  patienceMillis: number
): Effect.Effect<Supervisor.Delivered> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(
      state === undefined ? supervised.drain(endlessMillis) : supervised.finish(state, endlessMillis)
    )
    let before = ""
    let moved = yield* Clock.currentTimeMillis
    while (fiber.pollUnsafe() === undefined) {
      yield* Effect.timeoutOption(Fiber.await(fiber), lookMillis)
      const now = yield* Clock.currentTimeMillis
      const { busy, outputs, permanent, seq } = yield* supervised.state
      const place = `${seq} ${outputs}`
      // Files that are being sent have time limits of their own.
      if (place !== before || supervised.givesOutput()) moved = now
      before = place
      if (permanent || now - moved > (busy === undefined ? patienceMillis : Math.min(busyMillis, patienceMillis))) break
    }
    const exit = fiber.pollUnsafe()
    if (exit === undefined) yield* Fiber.interrupt(fiber)
    return yield* supervised.state
  })

const showing = (backends: ReadonlyArray<Supervisor.Supervised>, lastSeq: number) =>
  Effect.gen(function*() {
    const progress = yield* Effect.service(Finalize.Progress)
    const label = `delivering to ${backends.map(({ name }) => name).join(", ")}`
    while (backends.length > 0) {
      const states = yield* Effect.forEach(backends, (supervised) => supervised.state)
      const done = states.reduce((sum, { seq }) => sum + Math.min(seq, lastSeq), 0)
      progress(label, done, lastSeq * backends.length)
      yield* Effect.sleep(lookMillis)
    }
  })
