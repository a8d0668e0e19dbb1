/** `ezpz-stream finalize RUN`: folds a run's log again. */
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import { Finalize, History, RunDirectory, RunLog, Supervisor } from "../index.ts"
import * as Account from "./Account.ts"
import { failure, usage } from "./Exit.ts"
import type { OutputOptions } from "./options.ts"
import { Screen } from "./Screen.ts"
import { showPhase } from "./tracking.ts"

export const handler = (path: string, options: OutputOptions) =>
  Effect.gen(function*() {
    const screen = yield* Screen
    const logPath = yield* RunDirectory.findLog(path).pipe(Effect.mapError((error) => usage(error.message)))
    if (!(yield* RunLog.isLog(logPath))) {
      return yield* usage(`${path} is not a run's log. To track its records: ezpz-stream ${Account.quoted(path)}`)
    }
    const environment = yield* History.environment
    const run = yield* RunDirectory.readRun(logPath)
    const history = yield* History.make({
      jsonlPath: logPath,
      outdir: Path.dirname(logPath),
      exists: "append",
      environment,
      backends: run?.backends.filter((name) => History.localBackends.has(name)) ?? []
    })
    const finished = yield* history.finalize({
      warmup: options.warmup,
      numChains: options.numChains,
      plots: !options.noPlots,
      allPlots: options.allPlots,
      state: run === undefined || run.state === "running" ? "killed" : run.state
    }).pipe(Effect.provideService(Finalize.Progress, showPhase(screen)))
    screen.clearProgress()
    yield* Account.showPlots(finished, screen, false, environment)
    // Those that are not here get it from `sync`, whenever they can be reached.
    const others = (run?.backends ?? []).filter((name) => !history.tracker.names.includes(name))
    const left = yield* Effect.forEach(others, (name) => Supervisor.peek(history.logPath, name, finished.rows))
    const lines = [
      ...Account.written(finished, history, !options.noPlots),
      ...Account.undelivered([...finished.delivered, ...left], finished.directory)
    ]
    yield* screen.error(lines.map((line) => `${line}\n`).join(""))
    return 0
  }).pipe(Effect.mapError((error) => error._tag === "ExitWith" ? error : failure(error.message)))
