/**
 * Tracking from the command line, whatever the lines come from: bytes to lines, lines to records, records to the
 * history, summary lines to stdout; then the outputs, and an account of it all.
 *
 * Every line that is not blank is either accepted or refused, and accepted + refused = lines in. A refused line is
 * passed to stderr as it came: a training job's own messages stay readable. One that looks like a record is explained.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Backend, Finalize, History, Lines, Metrics, RunDirectory, type RunLog } from "../index.ts"
import * as Account from "./Account.ts"
import { type ExitWith, failure, type Signal, signalCode, usage } from "./Exit.ts"
import type { Input } from "./Input.ts"
import type { TrackOptions } from "./options.ts"
import { Screen } from "./Screen.ts"
import { Signals } from "./Signals.ts"

/** How the source of the lines ended, once it has. */
export interface Ending {
  readonly state: Backend.RunState
  readonly code: number
}

/** Tracks an input to its end, or to the first signal; gives the exit code. */
export const track = (
  input: Input,
  options: TrackOptions,
  source: {
    readonly project: string
    /** How what produced the lines ended; asked when the input has. */
    readonly ending: Effect.Effect<Ending>
    /** The first signal, if what produces the lines deals with it; else it ends the input. */
    readonly signalled?: Deferred.Deferred<Signal>
  }
): Effect.Effect<number, ExitWith, Screen | Signals | Scope.Scope> =>
  Effect.gen(function*() {
    const screen = yield* Screen
    const history = yield* open(options, source.project)
    if (history.resumedAt > 0) {
      yield* screen.error(`Going on with run ${history.runId} after record ${history.resumedAt}\n`)
    }
    const signals = yield* Signals
    const signalled = source.signalled ?? (yield* signals.graceful)
    const tally = Account.makeTally()
    const bytes = source.signalled === undefined
      ? Stream.interruptWhen(input.bytes, Effect.andThen(Deferred.await(signalled), Effect.sleep(lastWordsMillis)))
      : input.bytes
    const ingest = makeIngest(history, options, input, tally, screen)
    yield* Stream.runForEach(bytes, ingest.chunk)
    yield* ingest.end
    screen.clearProgress()

    const signal = yield* pollSignal(signalled)
    const ending = yield* source.ending
    const state: Backend.RunState = signal === undefined ? ending.state : "killed"
    const finished = options.noFinalize
      ? undefined
      : yield* history.finalize({
        warmup: options.warmup,
        numChains: options.numChains,
        plots: !options.noPlots,
        allPlots: options.allPlots,
        state,
        refused: tally.refused
      }).pipe(
        Effect.provideService(Finalize.Progress, showPhase(screen)),
        Effect.mapError((error) => failure(error.message))
      )
    const delivered = finished?.delivered ?? (yield* history.tracker.drain(finishMillis))
    screen.clearProgress()
    yield* screen.error(Account.render({ tally, history, finished, delivered, quiet: options.quiet }))
    yield* Account.showPlots(finished, screen)

    const undelivered = delivered.some((backend) => backend.undelivered > 0)
    if (signal !== undefined) return signalCode(signal)
    if (ending.code !== 0) return ending.code
    if (tally.unwritten > 0) return 1
    return options.strict && (undelivered || tally.refused > 0) ? 1 : 0
  })

/** After a signal, what the job still had to say is waited for this long. */
const lastWordsMillis = 300
const finishMillis = 60_000

const pollSignal = (deferred: Deferred.Deferred<Signal>): Effect.Effect<Signal | undefined> =>
  Effect.flatMap(Deferred.poll(deferred), Option.match({ onNone: () => Effect.undefined, onSome: (signal) => signal }))

/** Shows how folding goes in the progress bar. */
export const showPhase = (screen: Screen["Service"]) => (phase: string, done: number, total: number): void =>
  screen.progress(() => ({ label: phase, fraction: total > 0 ? done / total : undefined, detail: "" }))

// -----------------------------------------------------------------------------
// Opening the run
// -----------------------------------------------------------------------------

const open = (
  options: TrackOptions,
  project: string
): Effect.Effect<History.History, ExitWith, Scope.Scope> =>
  Effect.gen(function*() {
    if (options.resume && options.overwrite) return yield* usage("--resume and --overwrite exclude each other.")
    if ((options.resume || options.overwrite) && options.outdir === undefined) {
      return yield* usage(`--${options.resume ? "resume" : "overwrite"} needs --outdir: which run?`)
    }
    const projectName = options.project ?? project
    const runId = yield* History.makeRunId
    const outdir = options.outdir ?? Path.join("outputs", projectName.replaceAll(/[^\w.-]/g, "_"), runId)
    const there = Fs.existsSync(Path.join(outdir, RunDirectory.logName))
    if (there && !options.resume && !options.overwrite) {
      return yield* usage(
        `A run is in ${outdir} already. Go on with it: --resume. Replace it: --overwrite. Or choose another --outdir.`
      )
    }
    if (options.resume && !there) return yield* usage(`There is no run in ${outdir} to go on with.`)
    const config = yield* parseConfig(options.config)
    return yield* History.make({
      ...(there ? {} : { runId }),
      outdir,
      projectName: options.project ?? (there ? undefined : project),
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
  const splitter = Lines.splitter()
  let printed = 0
  let read = 0
  let startedAt: number | undefined

  const lines = (texts: ReadonlyArray<string | Lines.Damaged>): Effect.Effect<void, ExitWith> =>
    Effect.suspend(() => {
      const records: Array<Metrics.Decoded> = []
      const sources: Array<string> = []
      let notices = ""
      for (const text of texts) {
        tally.line++
        const line = typeof text === "string" ? text : text.text
        if (line.trim() === "" && typeof text === "string") continue
        tally.lines++
        const decoded = typeof text === "string" ? Metrics.decodeLine(text, options.stepKey) : text
        if (decoded._tag === "Decoded") {
          records.push(decoded)
          if (options.tee) sources.push(line)
        } else {
          const explained = Account.refuse(tally, decoded.reason, line)
          notices += `${line}\n`
          if (explained !== undefined) notices += `${explained}\n`
        }
      }
      return Effect.gen(function*() {
        if (notices !== "") yield* screen.error(notices)
        if (records.length > 0) yield* write(records, sources)
      })
    })

  const write = (records: ReadonlyArray<Metrics.Decoded>, sources: ReadonlyArray<string>): Effect.Effect<void> =>
    history.updateAll(records).pipe(
      Effect.flatMap((tracked) => {
        tally.accepted += records.length
        if (options.tee) return screen.out(`${sources.join("\n")}\n`)
        return options.quiet ? Effect.void : screen.out(summaries(tracked))
      }),
      // The job goes on training: what cannot be written is refused, and the next chunk is tried again.
      Effect.catch((error: RunLog.RunLogError) => {
        const told = Account.unwritten(tally, records.length, error.message)
        return told === undefined ? Effect.void : screen.error(`${told}\n`)
      })
    )

  const summaries = (tracked: ReadonlyArray<History.Tracked>): string => {
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

  return {
    chunk: (bytes: Uint8Array): Effect.Effect<void, ExitWith> =>
      Effect.gen(function*() {
        read += bytes.length
        yield* lines(splitter.push(bytes))
        yield* showProgress
        // Backends take their turn before the next chunk, or they would fall behind a fast file.
        yield* Effect.yieldNow
      }),
    end: Effect.suspend(() => {
      const rest = splitter.end()
      return rest === undefined ? Effect.void : lines([rest])
    })
  }
}
