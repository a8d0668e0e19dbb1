/**
 * Where a run comes from and what became of it: run_info.json.
 *
 * Provenance is about the process that trained: its machine, command line, code, rank, environment. It is collected when
 * the run starts and kept in `.ezpz/provenance.json`, so that a run that is finalized later, perhaps elsewhere, still
 * tells where it was made. The rest is known when the run is folded: times, counts, files, what was not delivered.
 *
 * Credentials are masked (see Secrets.ts). What a machine does not tell is null, and never an error.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Facts } from "../Backend.ts"
import * as Rank from "../Rank.ts"
import { privateDirectory, type Run } from "../RunDirectory.ts"
import * as Secrets from "../Secrets.ts"
import type { ArtifactError } from "./ArtifactError.ts"
import * as Git from "./provenance/Git.ts"
import { writeFile } from "./writeFile.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A machine and its Node. `memory` is in bytes.
 *
 * @category models
 * @since 0.1.0
 */
export const Platform = Schema.Struct({
  host: Schema.String,
  user: Schema.NullOr(Schema.String),
  os: Schema.String,
  arch: Schema.String,
  cpu: Schema.NullOr(Schema.String),
  cores: Schema.Finite,
  memory: Schema.Finite,
  node: Schema.String
})

/**
 * A machine and its Node.
 *
 * @category models
 * @since 0.1.0
 */
export type Platform = typeof Platform.Type

/**
 * Where a run comes from. `version` is that of ezpz-stream; `command` and `environment` are masked, of the environment
 * only what matters to training and tracking is there.
 *
 * @category models
 * @since 0.1.0
 */
export const Provenance = Schema.Struct({
  version: Schema.String,
  platform: Platform,
  command: Schema.Array(Schema.String),
  workingDirectory: Schema.String,
  git: Schema.NullOr(Git.Git),
  distributed: Schema.Struct({
    rank: Schema.Finite,
    worldSize: Schema.Finite,
    localRank: Schema.Finite,
    launcher: Schema.String
  }),
  environment: Schema.Record(Schema.String, Schema.String)
})

/**
 * Where a run comes from.
 *
 * @category models
 * @since 0.1.0
 */
export type Provenance = typeof Provenance.Type

/**
 * A point in time: seconds since 1970, and the same in ISO 8601.
 *
 * @category models
 * @since 0.1.0
 */
export interface Instant {
  readonly seconds: number
  readonly iso: string
}

/**
 * What came in: records in the log, input lines that were refused, lines of the log that could not be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  readonly rows: number
  readonly refused: number
  readonly corrupt: number
}

/**
 * Records that a backend has not acknowledged, and what it said last.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undelivered {
  readonly backend: string
  readonly records: number
  readonly lastFailure: string | null
}

/**
 * The contents of run_info.json. `duration` (seconds) is from the start to the end; `timings` has the seconds that each
 * phase of finalize took; `files` are paths in the run's directory.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunInfo {
  readonly run: {
    readonly id: string
    readonly name: string | null
    readonly project: string
    readonly state: Run["state"]
    readonly directory: string
    readonly backends: ReadonlyArray<string>
  }
  readonly startedAt: Instant
  readonly endedAt: Instant
  readonly finalizedAt: Instant
  readonly duration: number
  readonly counts: Counts
  /** What datasets and plots leave out: draws of each group, as `warmup` said, and chains beyond the first. */
  readonly outputs: { readonly warmup: number; readonly numChains: number | null }
  readonly undelivered: ReadonlyArray<Undelivered>
  readonly timings: { readonly [phase: string]: number }
  readonly files: ReadonlyArray<string>
  readonly config: { readonly [key: string]: unknown }
  readonly provenance: Provenance
}

// -----------------------------------------------------------------------------
// Provenance
// -----------------------------------------------------------------------------

/**
 * What provenance is made of, where it is not this very process. `git: null` keeps git from being asked.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProvenanceOptions {
  readonly version: string
  readonly environment?: Rank.Environment | undefined
  readonly argv?: ReadonlyArray<string> | undefined
  readonly workingDirectory?: string | undefined
  readonly platform?: Platform | undefined
  readonly rank?: Rank.Rank | undefined
  readonly git?: Git.Git | null | undefined
}

/**
 * Collects the provenance of a run in the process that makes it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const provenance = (options: ProvenanceOptions): Effect.Effect<Provenance> =>
  Effect.gen(function*() {
    const { argv = process.argv, environment = process.env, version } = options
    const workingDirectory = options.workingDirectory ?? (yield* currentDirectory)
    return {
      version,
      platform: options.platform ?? (yield* platform),
      command: Secrets.maskArguments(argv, environment),
      workingDirectory,
      git: options.git === undefined ? yield* Git.find(workingDirectory, environment) : options.git,
      distributed: options.rank ?? Rank.fromEnvironment(environment),
      environment: selectEnvironment(environment)
    }
  })

/** It may have been removed. */
const currentDirectory: Effect.Effect<string> = Effect.sync(() => attempt(() => process.cwd()) ?? "")

const attempt = <A>(run: () => A): A | undefined => {
  try {
    return run()
  } catch {
    return undefined
  }
}

/**
 * This machine.
 *
 * @category constructors
 * @since 0.1.0
 */
export const platform: Effect.Effect<Platform> = Effect.sync(() => {
  const cpus = Os.cpus()
  return {
    host: Os.hostname(),
    // A container's user may have no name.
    user: attempt(() => Os.userInfo().username) ?? null,
    os: `${Os.type()} ${Os.release()}`,
    arch: Os.arch(),
    cpu: cpus[0]?.model.trim() ?? null,
    cores: cpus.length || Os.availableParallelism(),
    memory: Os.totalmem(),
    node: process.version
  }
})

/**
 * The same, flat: what servers of experiments show beside a run.
 *
 * @category constructors
 * @since 0.2.0
 */
export const facts = ({ command, distributed, git, platform, version, workingDirectory }: Provenance): Facts => ({
  version,
  hostname: platform.host,
  ...(platform.user === null ? {} : { user: platform.user }),
  os: platform.os,
  arch: platform.arch,
  ...(platform.cpu === null ? {} : { cpu: platform.cpu }),
  cores: platform.cores,
  memory_bytes: platform.memory,
  node: platform.node,
  command: command.join(" "),
  working_directory: workingDirectory,
  rank: distributed.rank,
  world_size: distributed.worldSize,
  launcher: distributed.launcher,
  ...(git === null ? {} : {
    ...(git.branch === null ? {} : { git_branch: git.branch }),
    ...(git.commit === null ? {} : { git_commit: git.commit }),
    ...(git.dirty === null ? {} : { git_dirty: git.dirty })
  })
})

const variables = new Set(
  `RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE GROUP_RANK NODE_RANK MASTER_ADDR MASTER_PORT OMP_NUM_THREADS
  MKL_NUM_THREADS NVIDIA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES ZE_AFFINITY_MASK
  ONEAPI_DEVICE_SELECTOR CONDA_DEFAULT_ENV CONDA_PREFIX VIRTUAL_ENV PYTHONPATH PYTHONHASHSEED TOKENIZERS_PARALLELISM
  HF_HOME JOB_ID NODE_OPTIONS TZ`.split(/\s+/)
)

const families =
  /^(?:EZPZ|WANDB|WB|MLFLOW|AMSC|AM_SC|CUDA|SLURM|PBS|COBALT|LSB|FLUX|PALS|PMI|OMPI|MPICH|NCCL|RCCL|CCL|FI|TORCH|TORCHELASTIC|PYTORCH)_/

const longestValue = 1000

/**
 * The environment variables that matter to training and tracking, masked, in order of their names; long values are cut.
 *
 * @example
 * ```ts
 * import { RunInfo } from "ezpz-stream"
 *
 * assert.deepStrictEqual(RunInfo.selectEnvironment({ WANDB_MODE: "offline", WANDB_API_KEY: "abc", HOME: "/home/me" }), {
 *   WANDB_API_KEY: "***",
 *   WANDB_MODE: "offline"
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const selectEnvironment = (environment: Rank.Environment): { readonly [name: string]: string } => {
  const text = Secrets.masker(environment)
  const selected: Array<[string, string]> = []
  for (const name of Object.keys(environment).sort()) {
    const value = environment[name]
    if (value === undefined || !(variables.has(name) || families.test(name))) continue
    const shown = Secrets.isCredential(name) && value !== "" ? Secrets.masked : text(value)
    selected.push([name, shown.length > longestValue ? `${shown.slice(0, longestValue)}…` : shown])
  }
  return Object.fromEntries(selected)
}

// -----------------------------------------------------------------------------
// Keeping provenance
// -----------------------------------------------------------------------------

const provenancePath = (logPath: string): string => Path.join(privateDirectory(logPath), "provenance.json")

/**
 * Keeps the provenance of a run beside its log.
 *
 * @category provenance
 * @since 0.1.0
 */
export const writeProvenance = (logPath: string, provenance: Provenance): Effect.Effect<void, ArtifactError> =>
  writeFile("provenance", provenancePath(logPath), json(provenance))

/**
 * The provenance kept beside a log; undefined where there is none that can be read.
 *
 * @category provenance
 * @since 0.1.0
 */
export const readProvenance = (logPath: string): Effect.Effect<Provenance | undefined> =>
  Effect.sync(() => {
    const text = attempt(() => Fs.readFileSync(provenancePath(logPath), "utf8"))
    return text === undefined ? undefined : Option.getOrUndefined(decodeProvenance(text))
  })

const decodeProvenance = Schema.decodeUnknownOption(Schema.fromJsonString(Provenance))

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * What is known of a run when it is folded.
 *
 * `provenance` is what was kept, or how to collect it here and now. `startedAt` and `endedAt` are seconds since 1970; the
 * run's creation and now unless said. `undelivered` takes what supervisors say of all their backends. `files` may be
 * absolute. `environment` is whose credentials are not to be seen; this process's unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly run: Run
  readonly directory: string
  readonly provenance: Provenance | ProvenanceOptions
  readonly environment?: Rank.Environment | undefined
  readonly startedAt?: number | undefined
  readonly endedAt?: number | undefined
  readonly counts: Counts
  readonly warmup?: number | undefined
  readonly numChains?: number | undefined
  readonly undelivered?:
    | ReadonlyArray<
      { readonly backend: string; readonly undelivered: number; readonly lastFailure: string | undefined }
    >
    | undefined
  readonly timings?: { readonly [phase: string]: number } | undefined
  readonly files?: ReadonlyArray<string> | undefined
}

/**
 * Puts together what is known of a run. To be written when the last file has been, or be completed then:
 * `{ ...info, timings, files }`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const collect = (options: Options): Effect.Effect<RunInfo> =>
  Effect.gen(function*() {
    const { counts, directory, environment = process.env, files = [], run, timings = {}, undelivered = [] } = options
    const now = (yield* Clock.currentTimeMillis) / 1000
    const endedAt = options.endedAt ?? now
    // A log from elsewhere does not say when it was begun.
    const startedAt = options.startedAt ?? (run.createdAt > 0 ? run.createdAt : endedAt)
    const text = Secrets.masker(environment)
    return {
      run: {
        id: run.runId,
        name: run.runName,
        project: run.projectName,
        state: run.state,
        directory,
        backends: run.backends
      },
      startedAt: instant(startedAt),
      endedAt: instant(endedAt),
      finalizedAt: instant(now),
      duration: Math.max(0, Math.round((endedAt - startedAt) * 1000) / 1000),
      counts,
      outputs: { warmup: options.warmup ?? 0, numChains: options.numChains ?? null },
      undelivered: undelivered.filter((each) => each.undelivered > 0).map((each) => ({
        backend: each.backend,
        records: each.undelivered,
        lastFailure: each.lastFailure === undefined ? null : text(each.lastFailure)
      })),
      timings,
      files: files.map((file) => Path.isAbsolute(file) ? Path.relative(directory, file) : file),
      config: Secrets.mask(run.config, environment),
      provenance: "command" in options.provenance
        ? options.provenance
        : yield* provenance({ environment, ...options.provenance })
    }
  })

/** Beyond the year 275760 there are seconds, and no date. */
const instant = (seconds: number): Instant => ({
  seconds,
  iso: attempt(() => new Date(seconds * 1000).toISOString()) ?? ""
})

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/**
 * Writes run_info.json into a run's directory, and gives its path.
 *
 * @category writing
 * @since 0.1.0
 */
export const write = (info: RunInfo, directory: string): Effect.Effect<string, ArtifactError> => {
  const path = Path.join(directory, "run_info.json")
  return Effect.as(Effect.suspend(() => writeFile("run info", path, json(info))), path)
}

/** JSON has no word for NaN and the infinities: they are strings, as in the log. */
const json = (value: unknown): string =>
  JSON.stringify(
    value,
    (_key, item: unknown) => typeof item === "number" && !Number.isFinite(item) ? String(item) : item,
    2
  ) + "\n"
