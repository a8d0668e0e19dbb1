/**
 * The options of the command line, each defined once.
 */
import { Argument, Flag } from "effect/cli"
import * as Option from "effect/Option"

const optional = <A>(flag: Flag.Flag<A>, description: string): Flag.Flag<A | undefined> =>
  flag.pipe(Flag.withDescription(description), Flag.optional, Flag.map(Option.getOrUndefined))

const toggle = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** A number that satisfies a condition, or a usage error that says which. */
const number = (name: string, metavar: string, expected: string, accept: (n: number) => boolean): Flag.Flag<number> =>
  Flag.Finite(name).pipe(
    Flag.withMetavar(metavar),
    Flag.filter(accept, () => expected)
  )

const whole = (least: number) => (n: number): boolean => Number.isInteger(n) && n >= least

/** How a run's outputs are made. */
export const outputFlags = {
  warmup: optional(
    number("warmup", "N", "a fraction below 1 or a whole number", (n) => n >= 0 && (n < 1 || Number.isInteger(n))),
    "Draws of each group that datasets and plots leave out; below 1 a fraction"
  ),
  numChains: optional(
    number("num-chains", "N", "a whole number from 1", whole(1)),
    "Chains shown in ridge plots of vector metrics"
  ),
  noPlots: toggle("no-plots", "Draw no plots"),
  allPlots: toggle("all-plots", "Draw every metric, also beyond 500 in a group")
}

/** How a run is recorded. */
export const trackFlags = {
  backends: optional(
    Flag.String("backends").pipe(Flag.withMetavar("NAMES")),
    "Where records go: wandb, mlflow, csv, or none; several with commas (default: $EZPZ_TRACKER_BACKENDS)"
  ),
  outdir: optional(
    Flag.String("outdir").pipe(Flag.withAlias("o"), Flag.withMetavar("DIR")),
    "The run's directory (default: outputs/<project>/<run id>)"
  ),
  project: optional(Flag.String("project").pipe(Flag.withMetavar("NAME")), "The project the run belongs to"),
  runName: optional(Flag.String("run-name").pipe(Flag.withMetavar("NAME")), "A name for the run"),
  config: Flag.String("config").pipe(
    Flag.withMetavar("KEY=VALUE|@FILE"),
    Flag.withDescription("A hyperparameter (JSON or text), or a JSON file of them; may be repeated"),
    Flag.atLeast(0)
  ),
  stepKey: optional(
    Flag.String("step-key").pipe(Flag.withMetavar("KEY")),
    "The key that holds the step (default: step, _step, global_step, iteration, iter)"
  ),
  every: Flag.withDefault(
    number("every", "N", "a whole number from 1", whole(1)).pipe(
      Flag.withDescription("Print one summary line in N (1)")
    ),
    1
  ),
  precision: optional(
    number("precision", "DIGITS", "a whole number from 0 to 20", (n) => whole(0)(n) && n <= 20),
    "Decimal places in summary lines (6)"
  ),
  summary: Flag.Literals("summary", ["aligned", "tight"]).pipe(
    Flag.withDescription("How summary lines are laid out (aligned)"),
    Flag.withDefault("aligned")
  ),
  distributed: Flag.Literals("distributed", ["auto", "on", "off"]).pipe(
    Flag.withDescription(
      "Statistics across ranks: auto takes them where there are several, unless the environment says no (auto)"
    ),
    Flag.withDefault("auto")
  ),
  reducer: Flag.Literals("reducer", ["auto", "zeromq", "nccl"]).pipe(
    Flag.withDescription(
      "How values get to rank 0: zeromq, nccl (between GPUs), or auto: nccl where every rank has it (zeromq)"
    ),
    Flag.withDefault("zeromq")
  ),
  memory: toggle("memory", "Add the device's memory to each record (mem_alloc, mem_reserved and their peaks)"),
  flopsPerStep: optional(
    number("flops-per-step", "X", "a number above 0", (n) => n > 0),
    "Floating-point operations of a step on one device: adds tflops and mfu to records with a dt, its seconds"
  ),
  totalSteps: optional(
    number("total-steps", "N", "a whole number from 1", whole(1)),
    "How many steps the run will have, for the bar and the views (default: total_steps in the records)"
  ),
  tee: toggle("tee", "Put the input lines on stdout, not the summary"),
  quiet: Flag.Boolean("quiet").pipe(
    Flag.withAlias("q"),
    Flag.withDescription("Print no summary lines and no progress"),
    Flag.withDefault(false)
  ),
  strict: toggle("strict", "Exit with 1 if a line was refused or a record not delivered"),
  resume: toggle("resume", "Go on with the run that is in --outdir"),
  overwrite: toggle("overwrite", "Replace the run that is in --outdir"),
  noFinalize: toggle("no-finalize", "Leave datasets, plots and the report to `ezpz-stream finalize`"),
  finishTimeout: optional(
    number("finish-timeout", "SECONDS", "a number of seconds", (n) => n >= 0),
    "How long backends are waited for at the end (60)"
  ),
  fsync: toggle("fsync", "Wait for the disk at every write, so that records survive a loss of power"),
  ...outputFlags
}

/** How runs are delivered later. */
export const syncFlags = {
  backends: optional(
    Flag.String("backends").pipe(Flag.withMetavar("NAMES")),
    "Deliver to these, not to the ones the run had"
  ),
  patience: optional(
    number("patience", "SECONDS", "a number of seconds", (n) => n >= 0),
    "Give a backend up that has come no further for so long (60)"
  ),
  quiet: trackFlags.quiet
}

/** How runs are shown in a browser. */
export const serveFlags = {
  host: Flag.String("host").pipe(
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription("Where to listen; beyond 127.0.0.1 the address that is printed has a token (127.0.0.1)"),
    Flag.withDefault("127.0.0.1")
  ),
  port: optional(
    number("port", "N", "a port, 0 for any that is free", (n) => whole(0)(n) && n <= 65_535),
    "The port (6226, or the next that is free)"
  ),
  token: toggle("token", "Ask for a token on 127.0.0.1, too: others may work on this machine")
}

/** How a run is looked at. */
export const watchFlags = {
  filter: optional(
    Flag.String("filter").pipe(Flag.withMetavar("REGEX")),
    "Show only metrics whose names match"
  ),
  totalSteps: optional(
    number("total-steps", "N", "a number above 0", (n) => n > 0),
    "How many steps there will be (default: what a metric total_steps or the configuration says)"
  ),
  once: toggle("once", "Print the run as text, once, as is done where there is no terminal")
}

type Given<Flags> = { readonly [K in keyof Flags]: Flags[K] extends Flag.Flag<infer A> ? A : never }

/** The options of tracking, as they were given. */
export type TrackOptions = Given<typeof trackFlags>

/** The options of finalizing, as they were given. */
export type OutputOptions = Given<typeof outputFlags>

/** The options of showing runs, as they were given. */
export type ServeOptions = Given<typeof serveFlags>

/** The options of watching, as they were given. */
export type WatchOptions = Given<typeof watchFlags>

/** The run a command is about. */
export const runArgument = Argument.String("RUN").pipe(
  Argument.withDescription("A run's directory, or its metrics.jsonl")
)
