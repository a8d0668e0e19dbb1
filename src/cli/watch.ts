/** `ezpz-stream watch RUN`: a run on the screen, as it goes on. Without a terminal: as text, once. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import { RunDirectory, RunLog } from "../index.ts"
import * as Live from "../view/Live.ts"
import { filter } from "../view/Smooth.ts"
import * as Watch from "../watch/Watch.ts"
import * as Account from "./Account.ts"
import { failure, signalCode, usage } from "./Exit.ts"
import type { WatchOptions } from "./options.ts"
import { Screen } from "./Screen.ts"
import { Signals } from "./Signals.ts"

export const handler = (path: string, { filter: pattern = "", once, totalSteps: total }: WatchOptions) =>
  Effect.gen(function*() {
    const screen = yield* Screen
    const signals = yield* Signals
    const tried = filter([], pattern)
    if (tried._tag === "BadPattern") return yield* usage(`--filter: ${tried.reason}`)
    const logPath = yield* RunDirectory.findLog(path).pipe(Effect.mapError((error) => usage(error.message)))
    // Of a run that was copied by half, the log may begin with nothing that can be read.
    const run = yield* RunDirectory.readRun(logPath)
    const isOurs = run !== undefined || Fs.existsSync(RunDirectory.privateDirectory(logPath))
    if (!isOurs && !(yield* RunLog.isLog(logPath))) {
      return yield* usage(`${path} is not a run's log. To track its records: ezpz-stream ${Account.quoted(path)}`)
    }
    const isOnce = once || process.stdout.isTTY !== true || process.env["TERM"] === "dumb"
    // What is printed once is all of it.
    const live = yield* Live.open(logPath, { limits: Watch.limits, ...isOnce && { sampleAbove: Infinity } })
    if (isOnce) {
      yield* screen.out(yield* Watch.once(live, { columns: screen.columns, total, pattern }))
      return 0
    }
    const asked = yield* signals.graceful
    return yield* Watch.run(live, {
      total,
      pattern,
      color: screen.color || (process.env["NO_COLOR"] ?? "") === "",
      ended: Effect.map(Deferred.await(asked), signalCode)
    })
  }).pipe(Effect.mapError((error) => error._tag === "ExitWith" ? error : failure(error.message)))
