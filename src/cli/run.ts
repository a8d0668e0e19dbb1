/**
 * `ezpz-stream run -- CMD ARGS`: starts a command and tracks the JSON lines of its stdout.
 *
 * The command keeps its stdin and stderr, and its exit code becomes ours. A signal goes to it, not to the tracking: what
 * it still prints while it ends is tracked, too.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ChildProcess, spawn } from "node:child_process"
import { constants } from "node:os"
import * as Path from "node:path"
import { isatty } from "node:tty"
import { ExitWith, failure, type Signal } from "./Exit.ts"
import type { TrackOptions } from "./options.ts"
import { type Ending, track } from "./tracking.ts"

export const handler = (command: ReadonlyArray<string>, options: TrackOptions) =>
  track(options, {
    project: projectOf(command),
    open: (signalled) =>
      Effect.gen(function*() {
        const child = yield* start(command)
        yield* Effect.forkScoped(
          Effect.flatMap(Deferred.await(signalled), (signal) => Effect.sync(() => pass(signal, child.process)))
        )
        return { input: { name: command.join(" "), bytes: child.stdout, size: undefined }, ending: child.ending }
      })
  })

interface Child {
  readonly process: ChildProcess
  readonly stdout: Stream.Stream<Uint8Array, ExitWith>
  readonly ending: Effect.Effect<Ending>
}

const start = ([file = "", ...args]: ReadonlyArray<string>): Effect.Effect<Child, ExitWith, Scope.Scope> =>
  Effect.gen(function*() {
    const ended = yield* Deferred.make<Ending>()
    const child = yield* Effect.acquireRelease(
      Effect.callback<ChildProcess, ExitWith>((resume) => {
        const started = spawn(file, args, { stdio: ["inherit", "pipe", "inherit"] })
        started.once("spawn", () => {
          process.once("exit", () => kill(started))
          resume(Effect.succeed(started))
        })
        started.once("error", (error) => resume(notStarted(file, error)))
        started.once("close", (code, signal) => {
          const exit = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
          Deferred.doneUnsafe(ended, Effect.succeed({ state: exit === 0 ? "finished" : "failed", code: exit }))
        })
      }),
      (started) => Effect.sync(() => kill(started))
    )
    const stdout = child.stdout === null
      ? Stream.empty
      : Stream.fromAsyncIterable<Uint8Array, ExitWith>(
        child.stdout,
        (error) => failure(`The output of ${file} cannot be read: ${String(error)}`)
      )
    return { process: child, stdout, ending: Deferred.await(ended) }
  })

/** Whatever ends us leaves no command behind. */
const kill = (child: ChildProcess): void => {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
}

/** With the codes of a shell: 127 where there is no such command, 126 where it cannot be executed. */
const notStarted = (file: string, error: NodeJS.ErrnoException): ExitWith =>
  error.code === "ENOENT"
    ? new ExitWith({ code: 127, message: `There is no command ${file}. Is it in PATH, or does it need its path?` })
    : new ExitWith({ code: 126, message: `${file} cannot be started: ${error.message}` })

/** Ctrl-C at a terminal has reached the whole group already. */
const pass = (signal: Signal, child: ChildProcess): void => {
  const fromTerminal = signal === "SIGINT" && (isatty(0) || isatty(1) || isatty(2))
  if (!fromTerminal) child.kill(signal)
}

/** `python src/train.py`: the script, not the interpreter, is what the run is about. */
const projectOf = (command: ReadonlyArray<string>): string => {
  const script = command.slice(1).find((word) => /\.[a-z]\w*$/i.test(word) && !word.startsWith("-")) ?? command[0] ??
    "run"
  return Path.basename(script, Path.extname(script))
}
