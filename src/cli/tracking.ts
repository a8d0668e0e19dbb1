/**
 * Tracking from the command line, whatever the lines come from: bytes to lines, lines to records, records to the
 * history, summary lines to stdout; then the outputs, and an account of it all.
 *
 * Every line that is not blank is either accepted or refused, and accepted + refused = lines in. A refused line is
 * passed to stderr as it came: a training job's own messages stay readable. One that looks like a record is explained.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Backend, Finalize, History, Lines, Metrics, Rank, RunDirectory } from "../index.ts"
import * as Account from "./Account.ts"
import { parseConfig } from "./config.ts"
import { type ExitWith, failure, type Signal, signalCode, usage } from "./Exit.ts"
import * as Extras from "./Extras.ts"
import * as Handles from "./Handles.ts"
import type { Input } from "./Input.ts"
import type { TrackOptions } from "./options.ts"
import * as Progress from "./Progress.ts"
import { type Bar, Screen } from "./Screen.ts"
import { Signals } from "./Signals.ts"

/** Where lines come from, and how what produced them ended (asked once the input has). */
export interface Source {
  readonly input: Input
  readonly ending: Effect.Effect<Ending>
}

/** How the source of the lines ended, once it has. */
export interface Ending {
  readonly state: Backend.RunState
  readonly code: number
}

/** Tracks an input to its end, or to the first signal; gives the exit code. */
export const track = (
  given: TrackOptions,
  source: {
    readonly project: string
    /** Opened once the run is: a command is not started for a run that cannot be written. */
    readonly open: (signalled: Deferred.Deferred<Signal>) => Effect.Effect<Source, ExitWith, Scope.Scope>
  }
): Effect.Effect<number, ExitWith, Screen | Signals | Scope.Scope> =>
  Effect.gen(function*() {
    const screen = yield* Screen
    const signals = yield* Signals
    const environment = yield* History.environment
    const extras = yield* Extras.make(given, environment)
    const history = yield* open(given, source.project, environment, extras.memoryTotal)
    // What there is to say of a run is said by its first rank; the others pass on what is no record.
    const options = history.rank.rank === 0 ? given : { ...given, quiet: true }
    if (history.resumedAt > 0) {
      yield* screen.error(`Going on with run ${history.runId} after record ${history.resumedAt}\n`)
    }
    const signalled = yield* signals.graceful
    if (!options.quiet) yield* Effect.forkScoped(Effect.flatMap(Deferred.await(signalled), told(screen)))
    const { ending, input } = yield* source.open(signalled)
    const tally = Account.makeTally()
    const handles = yield* Handles.make(environment)
    const ingest = makeIngest(history, options, input, tally, screen, extras, handles)
    if (history.rank.worldSize > 1) yield* Effect.forkScoped(ingest.printClosed)
    const showing = screen.isTerminal && !options.quiet
      ? yield* Effect.forkScoped(Progress.show(screen, wholeOf(history, input, given), ingest.counters))
      : undefined
    yield* Stream.runForEach(input.bytes, ingest.chunk)
    yield* ingest.end(Option.isSome(yield* Deferred.poll(signalled)))
    if (showing !== undefined) yield* Fiber.interrupt(showing)
    screen.clearProgress()

    const ends = yield* showEnd(history.tracker.names, screen, options.quiet)
    const state = Option.isSome(yield* Deferred.poll(signalled)) ? "killed" : (yield* ending).state
    const { finishTimeout } = options
    const folding = options.noFinalize
      ? undefined
      : yield* history.finalize({
        warmup: options.warmup,
        numChains: options.numChains,
        plots: !options.noPlots,
        allPlots: options.allPlots,
        state,
        finishTimeout,
        refused: tally.refused
      }).pipe(
        Effect.provideService(Finalize.Progress, ends.phase),
        Effect.exit
      )
    yield* ingest.printRest
    const finished = folding !== undefined && Exit.isSuccess(folding) ? folding.value : undefined
    const delivered = finished?.delivered ??
      (yield* history.finish({ state, ...(finishTimeout === undefined ? {} : { finishTimeout }) }))
    yield* ends.done
    // The account comes last: plots may fill the screen.
    yield* Account.showPlots(finished, screen, options.quiet, environment)
    if (history.rank.rank === 0) {
      yield* screen.error(
        Account.render({ tally, history, finished, delivered, quiet: options.quiet, plots: !options.noPlots })
      )
    }

    const signal = yield* pollSignal(signalled)
    const { code } = yield* ending
    const broken = folding !== undefined && Exit.isFailure(folding) ? Cause.squash(folding.cause) : undefined
    if (broken !== undefined) {
      yield* screen.error(
        `The outputs could not be made: ${broken instanceof Error ? broken.message : String(broken)}\n`
      )
    }
    if (signal !== undefined) return signalCode(signal)
    if (code !== 0) return code
    if (tally.unwritten > 0 || broken !== undefined) return 1
    const undelivered = delivered.some((backend) => backend.undelivered > 0 || backend.outputs > 0)
    return options.strict && (undelivered || tally.refused > 0) ? 1 : 0
  })

const told = (screen: Screen["Service"]) => (signal: Signal): Effect.Effect<void> =>
  screen.error(
    `${signal}: finishing the run. A second one ends it at once: what was accepted is in the log, and ezpz-stream finalize ` +
      "makes the outputs.\n"
  )

const pollSignal = (deferred: Deferred.Deferred<Signal>): Effect.Effect<Signal | undefined> =>
  Effect.flatMap(Deferred.poll(deferred), Option.match({ onNone: () => Effect.undefined, onSome: (signal) => signal }))

/** After a signal, what the job still had to say is waited for this long. */
const lastWordsMillis = 300

/** Ends an input with the first signal. */
export const untilSignal = (input: Input, signalled: Deferred.Deferred<Signal>): Input => ({
  ...input,
  bytes: Stream.interruptWhen(input.bytes, Effect.andThen(Deferred.await(signalled), Effect.sleep(lastWordsMillis)))
})

/** What there is a total of, for the progress bar. */
const wholeOf = (history: History.History, { size }: Input, { totalSteps }: TrackOptions): Progress.Whole => ({
  size,
  resumedAt: history.resumedAt,
  isGiven: totalSteps !== undefined,
  totalSteps: () => history.totalSteps
})

/** Shows how folding goes in the progress bar. */
export const showPhase = (screen: Screen["Service"]) => (phase: string, done: number, total: number): void =>
  screen.progress(() => ({ label: phase, fraction: total > 0 ? done / total : undefined, details: [] }))

/**
 * The bar while a run ends: what is made, or how long backends have been waited for. Drawn again and again, since warnings
 * take its place.
 */
const showEnd = (backends: ReadonlyArray<string>, screen: Screen["Service"], quiet: boolean) =>
  Effect.gen(function*() {
    if (quiet) return { phase: () => {}, done: Effect.void }
    const clock = yield* Clock.Clock
    let since = clock.currentTimeMillisUnsafe()
    const delivering = (): Bar => ({
      label: `delivering to ${backends.join(", ")}`,
      fraction: undefined,
      details: [`${Math.floor((clock.currentTimeMillisUnsafe() - since) / 1000)} s`]
    })
    let draw = (): void => {
      if (backends.length > 0) screen.progress(delivering)
    }
    const drawing = yield* Effect.forkScoped(
      Effect.forever(Effect.andThen(Effect.sync(() => draw()), Effect.sleep(drawMillis)))
    )
    return {
      phase: (phase: string, done: number, total: number): void => {
        if (phase === "backends") since = clock.currentTimeMillisUnsafe()
        draw = phase === "backends" && backends.length > 0
          ? () => screen.progress(delivering)
          : () => showPhase(screen)(phase, done, total)
        draw()
      },
      done: Effect.andThen(Fiber.interrupt(drawing), Effect.sync(screen.clearProgress))
    }
  })

const drawMillis = 500

// -----------------------------------------------------------------------------
// Opening the run
// -----------------------------------------------------------------------------

const open = (
  options: TrackOptions,
  project: string,
  environment: Rank.Environment,
  memoryTotal: number | undefined
): Effect.Effect<History.History, ExitWith, Screen | Scope.Scope> =>
  Effect.gen(function*() {
    if (options.outdir?.trim() === "") return yield* usage("--outdir is empty: which directory?")
    if (options.resume && options.overwrite) return yield* usage("--resume and --overwrite exclude each other.")
    if ((options.resume || options.overwrite) && options.outdir === undefined) {
      return yield* usage(`--${options.resume ? "resume" : "overwrite"} needs --outdir: which run?`)
    }
    const projectName = options.project ?? History.projectFrom(environment, project, undefined)
    const runId = yield* History.makeRunId
    const outdir = options.outdir ?? Path.join("outputs", projectName.replaceAll(/[^\w.-]/g, "_"), runId)
    // A log without a record is what a run leaves that never began: nothing is lost by taking its place.
    const { launcher, rank } = Rank.fromEnvironment(environment)
    const first = rank === 0
    const there = first &&
      (Fs.statSync(Path.join(outdir, RunDirectory.logName), { throwIfNoEntry: false })?.size ?? 0) > 0
    if (there && !options.resume && !options.overwrite) {
      return yield* usage(
        `A run is in ${outdir} already. Go on with it: --resume. Replace it: --overwrite. Or choose another --outdir.`
      )
    }
    if (options.resume && first && !there) return yield* usage(`There is no run in ${outdir} to go on with.`)
    if (options.resume && there && launcher !== Rank.single.launcher) {
      yield* waitForWriter(Path.join(outdir, RunDirectory.logName))
    }
    const config = yield* parseConfig(options.config)
    return yield* History.make({
      ...(there ? {} : { runId }),
      outdir,
      environment,
      projectName: options.project,
      defaultProject: project,
      runName: options.runName,
      exists: options.resume ? "append" : options.overwrite ? "overwrite" : "fail",
      backends: options.backends,
      config,
      stepKey: options.stepKey,
      precision: options.precision,
      style: options.summary,
      memoryTotal,
      totalSteps: options.totalSteps,
      fsync: options.fsync,
      reducer: options.reducer,
      distributedHistory: options.distributed === "auto" ? "auto" : options.distributed === "on"
    }).pipe(Effect.mapError((error) => failure(error.message)))
  })

/**
 * A launcher that starts ranks over (torchrun) does not wait until the one before has finished the run. Who goes on with
 * it has to: where a tracker fails, its job does. A person at a shell is told at once.
 */
const waitForWriter = (logPath: string): Effect.Effect<void, never, Screen> =>
  Effect.gen(function*() {
    const screen = yield* Screen
    for (let waited = 0; waited < writerMillis; waited += lookMillis) {
      const writer = yield* RunDirectory.writerOf(logPath)
      if (writer === undefined || !writer.here) return
      if (waited === 0) yield* screen.error(`Process ${writer.pid} is still writing this run: waiting for it\n`)
      yield* Effect.sleep(lookMillis)
    }
  })

const writerMillis = 60_000
const lookMillis = 100

// -----------------------------------------------------------------------------
// Lines in
// -----------------------------------------------------------------------------

const makeIngest = (
  history: History.History,
  options: TrackOptions,
  input: Input,
  tally: Account.Tally,
  screen: Screen["Service"],
  extras: Extras.Extras,
  handles: Effect.Success<ReturnType<typeof Handles.make>>
) => {
  // As they came: refused lines and those of --tee are passed on to the byte.
  const splitter = Lines.splitter({ verbatim: true })
  let printed = 0
  let read = 0
  let firstStep: number | undefined
  let step: number | undefined

  /** `ended`: whether the last one had its line break. */
  const lines = (texts: ReadonlyArray<string | Lines.Damaged>, ended = true): Effect.Effect<void, ExitWith> =>
    Effect.flatMap(handles(texts), (texts) => {
      const batch: Batch = { records: [], sources: [], notices: [] }
      for (const text of texts) {
        tally.line++
        const isText = typeof text === "string"
        if (isText && text.trim() === "") continue
        tally.lines++
        const decoded = isText ? Metrics.decodeLine(text, options.stepKey) : text
        if (decoded._tag === "Decoded") {
          batch.records.push(decoded)
          if (options.tee && isText) batch.sources.push(text)
        } else {
          const explained = Account.refuse(tally, decoded.reason, text)
          batch.notices.push({
            after: batch.records.length,
            text: isText ? `${text}\n` : Buffer.concat([text.raw, newline]),
            explained: explained === undefined ? "" : `${explained}\n`
          })
        }
      }
      return Effect.flatMap(write(batch), (tracked) => show(batch, tracked, ended))
    })

  /** Gives back what was written; undefined if it could not be. */
  const write = ({ records }: Batch): Effect.Effect<ReadonlyArray<History.Tracked> | undefined> =>
    history.updateAll(extras.add(records)).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          tally.accepted += records.length
          firstStep ??= records[0]?.step
          step = Progress.lastStep(records) ?? step
        })
      ),
      // The job goes on training: what cannot be written is refused, and the next chunk is tried again.
      Effect.catch((error) => {
        const told = Account.unwritten(tally, records.length, error.message)
        return Effect.as(told === undefined ? Effect.void : screen.error(`${told}\n`), undefined)
      })
    )

  /** Lines in the order they came in: what was refused among what was accepted. */
  const show = (
    { notices, sources }: Batch,
    tracked: ReadonlyArray<History.Tracked> | undefined,
    ended: boolean
  ): Effect.Effect<void> => {
    const text = (from: number, to: number): string =>
      tracked === undefined
        ? ""
        : options.tee
        ? teed(sources.slice(from, to), ended || to < sources.length)
        : summaries(tracked.slice(from, to))
    // With several ranks records close later, in their own time.
    const several = history.rank.worldSize > 1 && !options.tee
    if (notices.length === 0) return screen.out(text(0, Infinity))
    return Effect.gen(function*() {
      let from = 0
      for (const notice of notices) {
        if (notice.after > from && !several) yield* screen.out(text(from, notice.after))
        yield* screen.error(notice.text)
        yield* screen.error(notice.explained)
        from = notice.after
      }
      yield* screen.out(text(several ? 0 : from, Infinity))
    })
  }

  const teed = (sources: ReadonlyArray<string>, ended: boolean): string =>
    sources.length === 0 ? "" : sources.join("\n") + (ended ? "\n" : "")

  const summaries = (tracked: ReadonlyArray<History.Tracked>): string => {
    if (options.quiet) return ""
    let text = ""
    for (const row of tracked) {
      if (printed++ % options.every === 0) text += `${row.summary}\n`
    }
    return text
  }

  const print = (tracked: ReadonlyArray<History.Tracked>): Effect.Effect<void> =>
    options.tee ? Effect.void : screen.out(summaries(tracked))

  return {
    /** Prints records as they close, whether or not others come in. */
    printClosed: Effect.forever(Effect.flatMap(history.closed, print)),
    printRest: Effect.flatMap(history.takeClosed, print),
    counters: (): Progress.Counters => ({
      bytes: read,
      accepted: tally.accepted,
      refused: tally.refused,
      firstStep,
      step
    }),
    chunk: (bytes: Uint8Array): Effect.Effect<void, ExitWith> =>
      Effect.gen(function*() {
        read += bytes.length
        yield* lines(splitter.push(bytes))
        // Backends take their turn before the next chunk, or they would fall behind a fast file.
        yield* Effect.yieldNow
      }),
    /** `stopped`: by a signal. The line in the middle of which a file was left then has not come in. */
    end: (stopped: boolean): Effect.Effect<void, ExitWith> => {
      const rest = splitter.end()
      const left = stopped && input.size !== undefined && read < input.size
      return rest === undefined || left ? Effect.void : lines([rest], false)
    }
  }
}

/** The lines of a chunk. `after` is how many records came before a notice. */
interface Batch {
  readonly records: Array<Metrics.Decoded>
  readonly sources: Array<string>
  readonly notices: Array<{ readonly after: number; readonly text: string | Uint8Array; readonly explained: string }>
}

const newline = Buffer.from("\n")
