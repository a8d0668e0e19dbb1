/** `ezpz-stream sync RUN...`: delivers what the backends of runs have not acknowledged. */
import * as Effect from "effect/Effect"
import { Finalize, RunDirectory, RunLog, Sync } from "../index.ts"
import * as Account from "./Account.ts"
import { type ExitWith, usage } from "./Exit.ts"
import { Screen } from "./Screen.ts"
import { showPhase } from "./tracking.ts"

export interface SyncOptions {
  readonly backends: string | undefined
  readonly patience: number | undefined
  readonly quiet: boolean
}

export const handler = (
  paths: ReadonlyArray<string>,
  options: SyncOptions
): Effect.Effect<number, ExitWith, Screen> =>
  Effect.gen(function*() {
    const screen = yield* Screen
    // Nothing is sent for a list with a wrong name in it.
    for (const path of paths) yield* check(path)
    let code = 0
    for (const path of paths) {
      const lines = yield* Sync.run(path, options).pipe(
        Effect.provideService(Finalize.Progress, options.quiet ? () => {} : showPhase(screen)),
        Effect.map((result) => {
          if (result.delivered.some((backend) => !Sync.isDone(backend, result.running))) code = 1
          return Account.synced(result, options.quiet)
        }),
        Effect.catch((error) => {
          code = 1
          return Effect.succeed([`${path}: ${error.message}`])
        })
      )
      screen.clearProgress()
      yield* screen.error(lines.map((line) => `${line}\n`).join(""))
    }
    return code
  })

const check = (path: string): Effect.Effect<void, ExitWith> =>
  RunDirectory.findLog(path).pipe(
    Effect.mapError((error) => usage(error.message)),
    Effect.flatMap((log) => Effect.orElseSucceed(RunLog.isLog(log), () => false)),
    Effect.flatMap((isLog) =>
      isLog
        ? Effect.void
        : Effect.fail(usage(`${path} is not a run. To track its records: ezpz-stream ${Account.quoted(path)}`))
    )
  )
