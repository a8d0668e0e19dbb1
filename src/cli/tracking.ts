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
import { type ExitWith, failure, type Signal, signalCode, usage } from "./Exit.ts"
import type { Input } from "./Input.ts"
import type { TrackOptions } from "./options.ts"
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
    const history = yield* open(given, source.project, environment)
    // What there is to say of a run is said by its first rank; the others pass on what is no record.
    const options = history.rank.rank === 0 ? given : { ...given, quiet: true }
    if (history.resumedAt > 0) {
      yield* screen.error(`Going on with run ${history.runId} after record ${history.resumedAt}\n`)
    }
    const signalled = yield* signals.graceful
    if (!options.quiet) yield* Effect.forkScoped(Effect.flatMap(Deferred.await(signalled), told(screen)))
    const { ending, input } = yield* source.open(signalled)
    const tally = Account.makeTally()
    const ingest = makeIngest(history, options, input, tally, screen)
    if (history.rank.worldSize > 1) yield* Effect.forkScoped(ingest.printClosed)
    yield* Stream.runForEach(input.bytes, ingest.chunk)
    yield* ingest.end(Option.isSome(yield* Deferred.poll(signalled)))
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
  screen.error(`${signal}: finishing the run. A second one ends it at once; what was accepted is in the log.\n`)

const pollSignal = (deferred: Deferred.Deferred<Signal>): Effect.Effect<Signal | undefined> =>
  Effect.flatMap(Deferred.poll(deferred), Option.match({ onNone: () => Effect.undefined, onSome: (signal) => signal }))

/** After a signal, what the job still had to say is waited for this long. */
const lastWordsMillis = 300

/** Ends an input with the first signal. */
export const untilSignal = (input: Input, signalled: Deferred.Deferred<Signal>): Input => ({
  ...input,
  bytes: Stream.interruptWhen(input.bytes, Effect.andThen(Deferred.await(signalled), Effect.sleep(lastWordsMillis)))
})

/** Shows how folding goes in the progress bar. */
export const showPhase = (screen: Screen["Service"]) => (phase: string, done: number, total: number): void =>
  screen.progress(() => ({ label: phase, fraction: total > 0 ? done / total : undefined, detail: "" }))

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
      detail: `${Math.floor((clock.currentTimeMillisUnsafe() - since) / 1000)} s`
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
  environment: Rank.Environment
): Effect.Effect<History.History, ExitWith, Scope.Scope> =>
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
    const first = Rank.fromEnvironment(environment).rank === 0
    const there = first &&
      (Fs.statSync(Path.join(outdir, RunDirectory.logName), { throwIfNoEntry: false })?.size ?? 0) > 0
    if (there && !options.resume && !options.overwrite) {
      return yield* usage(
        `A run is in ${outdir} already. Go on with it: --resume. Replace it: --overwrite. Or choose another --outdir.`
      )
    }
    if (options.resume && first && !there) return yield* usage(`There is no run in ${outdir} to go on with.`)
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
      fsync: options.fsync,
      distributedHistory: options.distributed === "auto" ? "auto" : options.distributed === "on"
    }).pipe(Effect.mapError((error) => failure(error.message)))
  })

const parseConfig = (entries: ReadonlyArray<string>): Effect.Effect<Backend.Config | undefined, ExitWith> =>
  Effect.gen(function*() {
    const config: Record<string, unknown> = {}
    for (const entry of entries) {
      if (entry.startsWith("@")) {
        const path = entry.slice(1)
        const loaded: unknown = yield* Effect.try({
          try: () => JSON.parse(Fs.readFileSync(path, "utf8")),
          catch: (error) => usage(`--config @${path}: ${error instanceof Error ? error.message : String(error)}`)
        })
        if (typeof loaded !== "object" || loaded === null || Array.isArray(loaded)) {
          return yield* usage(`--config @${path}: expected a JSON object`)
        }
        Object.assign(config, loaded)
      } else {
        const equals = entry.indexOf("=")
        if (equals <= 0) return yield* usage(`--config ${entry}: expected KEY=VALUE or @FILE`)
        config[entry.slice(0, equals)] = jsonOrText(entry.slice(equals + 1))
      }
    }
    return entries.length === 0 ? undefined : config
  })

const jsonOrText = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

// -----------------------------------------------------------------------------
// Lines in
// -----------------------------------------------------------------------------

const makeIngest = (
  history: History.History,
  options: TrackOptions,
  input: Input,
  tally: Account.Tally,
  screen: Screen["Service"]
) => {
  // As they came: refused lines and those of --tee are passed on to the byte.
  const splitter = Lines.splitter({ verbatim: true })
  let printed = 0
  let read = 0
  let startedAt: number | undefined

  /** `ended`: whether the last one had its line break. */
  const lines = (texts: ReadonlyArray<string | Lines.Damaged>, ended = true): Effect.Effect<void, ExitWith> =>
    Effect.suspend(() => {
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
    history.updateAll(records).pipe(
      Effect.tap(() => Effect.sync(() => tally.accepted += records.length)),
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

  const showProgress = Effect.map(Clock.currentTimeMillis, (now) => {
    if (options.quiet) return
    const since = startedAt ??= now
    screen.progress(() => {
      const seconds = (now - since) / 1000
      const rate = seconds > 1 ? ` · ${Math.round(tally.accepted / seconds).toLocaleString("en")}/s` : ""
      const bad = tally.refused > 0 ? ` · ${tally.refused} refused` : ""
      return {
        label: "tracking",
        fraction: input.size === undefined || input.size === 0 ? undefined : read / input.size,
        detail: `${tally.accepted.toLocaleString("en")} records${rate}${bad}`
      }
    })
  })

  const print = (tracked: ReadonlyArray<History.Tracked>): Effect.Effect<void> =>
    options.tee ? Effect.void : screen.out(summaries(tracked))

  return {
    /** Prints records as they close, whether or not others come in. */
    printClosed: Effect.forever(Effect.flatMap(history.closed, print)),
    printRest: Effect.flatMap(history.takeClosed, print),
    chunk: (bytes: Uint8Array): Effect.Effect<void, ExitWith> =>
      Effect.gen(function*() {
        read += bytes.length
        yield* lines(splitter.push(bytes))
        yield* showProgress
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
