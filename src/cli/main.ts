/**
 * The command line: composes the commands, and turns how they end into an exit code.
 *
 * Commands are loaded when they run: `--help` must not wait for what only plots need. For the same reason the version
 * comes from its own module, not from the public names, which would load all of the library.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import { Argument, CliConfig, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import { version } from "../version.ts"
import { ExitWith, type Signal, signalCode } from "./Exit.ts"
import { outputFlags, runArgument, serveFlags, syncFlags, trackFlags, watchFlags } from "./options.ts"
import * as Screen from "./Screen.ts"
import * as Signals from "./Signals.ts"

/** A command's code is how it ends. */
const end = <E, R>(command: Effect.Effect<number, E, R>): Effect.Effect<void, E | ExitWith, R> =>
  Effect.flatMap(command, (code) => code === 0 ? Effect.void : Effect.fail(new ExitWith({ code, message: undefined })))

const root = Command.make(
  "ezpz-stream",
  {
    file: Argument.String("FILE").pipe(
      Argument.withDescription("A file or FIFO of JSON lines; - or nothing: standard input"),
      Argument.optional
    ),
    follow: Flag.Boolean("follow").pipe(
      Flag.withAlias("f"),
      Flag.withDescription("At the end of FILE, wait for more"),
      Flag.withDefault(false)
    ),
    ...trackFlags
  },
  ({ file, ...options }) =>
    Effect.promise(() => import("./track.ts")).pipe(
      Effect.flatMap((track) => Effect.scoped(end(track.handler(Option.getOrUndefined(file), options))))
    )
).pipe(
  Command.withDescription(
    "Track a training job: one JSON object per step in, one line per step out, and at the end datasets, plots and a report."
  ),
  Command.withExamples([
    { command: "python train.py | ezpz-stream", description: "Track what a script prints" },
    { command: "ezpz-stream --backends csv --outdir runs/a log.jsonl", description: "Track a log into runs/a" },
    {
      command: "ezpz-stream --follow --every 10 log.jsonl",
      description: "Follow a log, a line for every tenth record"
    },
    { command: "ezpz-stream run -- python train.py", description: "Start a script and track it" },
    { command: "ezpz-stream finalize runs/a", description: "Make the datasets, plots and report of a run again" }
  ])
)

const run = Command.make(
  "run",
  { ...trackFlags, command: Argument.String("CMD").pipe(Argument.variadic({ min: 1 })) },
  ({ command, ...options }) =>
    Effect.promise(() => import("./run.ts")).pipe(
      Effect.flatMap((running) => Effect.scoped(end(running.handler(command, options))))
    )
).pipe(
  Command.withDescription(
    "Start a command, track the JSON lines of its stdout, pass everything else through, end with its exit code"
  ),
  Command.withExamples([
    {
      command: "ezpz-stream run --backends csv -- python train.py --lr 1e-4",
      description: "Options of ours before the --"
    }
  ])
)

const finalize = Command.make(
  "finalize",
  { run: runArgument, ...outputFlags },
  ({ run, ...options }) =>
    Effect.promise(() => import("./finalize.ts")).pipe(
      Effect.flatMap((finalizing) => Effect.scoped(end(finalizing.handler(run, options))))
    )
).pipe(
  Command.withDescription("Fold a run's log again into datasets, plots and the report"),
  Command.withExamples([
    {
      command: "ezpz-stream finalize outputs/demo/20261123-134512-k3f9",
      description: "Complete a run that was killed"
    },
    { command: "ezpz-stream finalize --warmup 0.1 runs/a", description: "Without the first tenth of each group" }
  ])
)

const sync = Command.make(
  "sync",
  {
    runs: Argument.String("RUN").pipe(
      Argument.withDescription("A run's directory, or its metrics.jsonl"),
      Argument.variadic({ min: 1 })
    ),
    ...syncFlags
  },
  ({ runs, ...options }) =>
    Effect.promise(() => import("./sync.ts")).pipe(
      Effect.flatMap((syncing) => end(syncing.handler(runs, options)))
    )
).pipe(
  Command.withDescription("Deliver what the backends of runs have not acknowledged; may be repeated and interrupted"),
  Command.withExamples([
    { command: "ezpz-stream sync outputs/demo/20261123-134512-k3f9", description: "After a server was away" },
    { command: "ezpz-stream sync outputs/demo/*", description: "Several runs" },
    { command: "WANDB_MODE=online ezpz-stream sync runs/a", description: "A run that was recorded offline" }
  ])
)

const plot = Command.make("plot", {
  run: Argument.String("RUN|LOG").pipe(
    Argument.withDescription("A run's directory, its log, or any file of JSON lines")
  ),
  metrics: Flag.String("metric").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("NAME"),
    Flag.withDescription("A metric to plot, with or without its group; may be repeated (default: all)"),
    Flag.atLeast(0)
  ),
  warmup: outputFlags.warmup
}, ({ metrics, run, warmup }) =>
  Effect.promise(() => import("./plot.ts")).pipe(
    Effect.flatMap((plotting) => Effect.scoped(end(plotting.handler(run, { metrics, warmup }))))
  )).pipe(
    Command.withDescription("Plot a run's metrics in the terminal"),
    Command.withExamples([{ command: "ezpz-stream plot runs/a -m loss", description: "Every group's loss" }])
  )

const watch = Command.make(
  "watch",
  { run: runArgument, ...watchFlags },
  ({ run, ...options }) =>
    Effect.promise(() => import("./watch.ts")).pipe(
      Effect.flatMap((watching) => Effect.scoped(end(watching.handler(run, options))))
    )
).pipe(
  Command.withDescription("Look at a run on the whole screen while it goes on, or once it has ended; ? shows the keys"),
  Command.withExamples([
    { command: "ezpz-stream watch outputs/demo/20261123-134512-k3f9", description: "All of its metrics" },
    { command: "ezpz-stream watch runs/a --filter 'loss|acc'", description: "Some of them" },
    { command: "ezpz-stream watch runs/a | cat", description: "As text, once" }
  ])
)

const doctor = Command.make(
  "doctor",
  {},
  () => Effect.promise(() => import("./doctor.ts")).pipe(Effect.flatMap((examining) => end(examining.handler(version))))
).pipe(
  Command.withDescription("Say what is found: rank, launcher, transport, GPU, backends, credentials (not their values)")
)

const serve = Command.make(
  "serve",
  {
    root: Argument.String("ROOT").pipe(
      Argument.withDescription("A directory with runs in it, or one run (default: outputs)"),
      Argument.optional
    ),
    ...serveFlags
  },
  ({ root, ...options }) =>
    Effect.promise(() => import("./serve.ts")).pipe(
      Effect.flatMap((serving) => Effect.scoped(end(serving.handler(Option.getOrUndefined(root), options))))
    )
).pipe(
  Command.withDescription("Show runs in a browser, live: a page on this machine"),
  Command.withExamples([
    { command: "ezpz-stream serve", description: "The runs below outputs/" },
    { command: "ezpz-stream serve --host 0.0.0.0 runs", description: "For other machines, with a token in the address" }
  ])
)

const cli = root.pipe(Command.withSubcommands([run, finalize, sync, plot, watch, doctor, serve]))

/** Wrong usage is told in a line or two; the whole help is a command away. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.sync(() => {
        for (const error of event.errors) process.stderr.write(`${error.message}\n`)
        process.stderr.write(`See: ${event.commandPath.join(" ")} --help\n`)
      })
      : CliOutput.defaultPresenter.present(event)
}

/** Warnings and errors of the library, a line each, on stderr. */
const logger = Layer.unwrap(Effect.map(Screen.Screen, (screen) =>
  Logger.layer([
    Logger.make(({ logLevel, message }) => {
      const text = Array.isArray(message) ? message.map(String).join(" ") : String(message)
      const level = logLevel === "Info" ? "" : `${logLevel === "Warn" ? "warning" : logLevel.toLowerCase()}: `
      screen.clearProgress()
      process.stderr.write(`${level}${text}\n`)
    })
  ])))

const services = Layer.mergeAll(
  NodeServices.layer,
  logger.pipe(Layer.provideMerge(Screen.layer)),
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] }),
  CliOutput.layerPresenter(presenter)
)

const codeOf = (cause: Cause.Cause<unknown>, interruptedBy: Signal | undefined): number => {
  if (Cause.hasInterruptsOnly(cause)) return interruptedBy === undefined ? 130 : signalCode(interruptedBy)
  const error = Cause.squash(cause)
  if (error instanceof ExitWith) {
    if (error.message !== undefined) process.stderr.write(`${error.message}\n`)
    return error.code
  }
  if (isUsage(error)) return 2
  if (hasNoDirectory()) {
    process.stderr.write("The current directory has been removed: change to another one.\n")
    return 1
  }
  process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`)
  return 1
}

/** Then hardly anything works, and nothing says why. */
const hasNoDirectory = (): boolean => {
  try {
    process.cwd()
    return false
  } catch {
    return true
  }
}

const isUsage = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "ShowHelp"

let interruptedBy: Signal | undefined
const main = Effect.runFork(
  Command.runWith(cli, { version })(process.argv.slice(2)).pipe(
    Effect.provideService(
      Signals.Signals,
      Signals.install((signal) => {
        interruptedBy = signal
        Effect.runFork(Fiber.interrupt(main))
      })
    ),
    Effect.provide(services)
  )
)
main.addObserver((exit) => {
  const code = Exit.isSuccess(exit) ? 0 : codeOf(exit.cause, interruptedBy)
  // What was written must get out first; a reader that is gone is not waited for.
  process.exitCode = code
  void Promise.all([Screen.flushed(process.stdout), Screen.flushed(process.stderr)]).then(() => process.exit(code))
})
