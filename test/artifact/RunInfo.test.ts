import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Git from "../../src/artifact/provenance/Git.ts"
import * as RunInfo from "../../src/artifact/RunInfo.ts"
import { single } from "../../src/Rank.ts"
import type { Run } from "../../src/RunDirectory.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "run-info-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

const platform: RunInfo.Platform = {
  host: "node-1",
  user: null,
  os: "Linux 6.1",
  arch: "x64",
  cpu: "A CPU",
  cores: 8,
  memory: 2 ** 34,
  node: "v22.0.0"
}

const run: Run = {
  format: 1,
  runId: "run-1",
  runName: null,
  projectName: "project",
  projectGiven: true,
  createdAt: 1000,
  state: "finished",
  backends: ["csv", "wandb"],
  config: { lr: 1e-4, best: NaN, api_key: "abc", note: "key abcdef" }
}

const options: RunInfo.ProvenanceOptions = {
  version: "0.1.0",
  environment: { WANDB_API_KEY: "abcdef", WORLD_SIZE: "4", RANK: "2", HOME: "/home/me" },
  argv: ["node", "train.js", "--token", "abc", "--key", "abcdef"],
  workingDirectory: "/work",
  platform,
  git: null
}

const git = (directory: string, ...args: ReadonlyArray<string>): string =>
  execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", ...args], {
    cwd: directory,
    encoding: "utf8"
  }).trim()

/** A repository with one commit on the branch `topic/a`. */
const repository = Effect.gen(function*() {
  const directory = yield* temporary
  Fs.writeFileSync(Path.join(directory, "train.py"), "pass\n")
  git(directory, "init", "-q", "-b", "topic/a")
  git(directory, "add", ".")
  git(directory, "commit", "-q", "-m", "first")
  return directory
})

describe("RunInfo", () => {
  it.effect("is the same to the byte under the same clock and inputs", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_500_250)
      const directory = yield* temporary
      const info = yield* RunInfo.collect({
        run,
        directory,
        provenance: options,
        environment: options.environment,
        endedAt: 1400.5,
        counts: { rows: 10, refused: 1, corrupt: 2 },
        undelivered: [
          { backend: "wandb", undelivered: 3, lastFailure: "401 for abcdef" },
          { backend: "csv", undelivered: 0, lastFailure: undefined }
        ],
        timings: { datasets: 0.5 },
        files: [Path.join(directory, "plots", "a.png"), "report.md"]
      })
      const path = yield* RunInfo.write(info, directory)
      assert.strictEqual(path, Path.join(directory, "run_info.json"))
      assert.deepStrictEqual(Fs.readdirSync(directory), ["run_info.json"])
      assert.deepStrictEqual(JSON.parse(Fs.readFileSync(path, "utf8")), {
        run: { id: "run-1", name: null, project: "project", state: "finished", directory, backends: ["csv", "wandb"] },
        startedAt: { seconds: 1000, iso: "1970-01-01T00:16:40.000Z" },
        endedAt: { seconds: 1400.5, iso: "1970-01-01T00:23:20.500Z" },
        finalizedAt: { seconds: 1500.25, iso: "1970-01-01T00:25:00.250Z" },
        duration: 400.5,
        counts: { rows: 10, refused: 1, corrupt: 2 },
        outputs: { warmup: 0, numChains: null },
        undelivered: [{ backend: "wandb", records: 3, lastFailure: "401 for ***" }],
        timings: { datasets: 0.5 },
        files: ["plots/a.png", "report.md"],
        config: { lr: 1e-4, best: "NaN", api_key: "***", note: "key ***" },
        provenance: {
          version: "0.1.0",
          platform,
          command: ["node", "train.js", "--token", "***", "--key", "***"],
          workingDirectory: "/work",
          git: null,
          distributed: { rank: 2, worldSize: 4, localRank: 0, launcher: "torchrun" },
          environment: { RANK: "2", WANDB_API_KEY: "***", WORLD_SIZE: "4" }
        }
      })
    }))

  it.effect("keeps what is known of where a run was made, and never breaks on what it finds instead", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const logPath = Path.join(directory, "metrics.jsonl")
      assert.isUndefined(yield* RunInfo.readProvenance(logPath))
      const made = yield* RunInfo.provenance(options)
      yield* RunInfo.writeProvenance(logPath, made)
      assert.deepStrictEqual(yield* RunInfo.readProvenance(logPath), made)
      const info = yield* RunInfo.collect({
        run: { ...run, createdAt: 0 },
        directory,
        provenance: made,
        endedAt: 1,
        counts: { rows: 0, refused: 0, corrupt: 0 }
      })
      assert.deepStrictEqual(info.provenance, made)
      assert.strictEqual(info.duration, 0)

      for (const text of ["", "{", "null", "{}", `{"platform":{}}`]) {
        Fs.writeFileSync(Path.join(directory, ".ezpz", "provenance.json"), text)
        assert.isUndefined(yield* RunInfo.readProvenance(logPath))
      }
    }))

  it.effect("describes this process where nothing else is said", () =>
    Effect.gen(function*() {
      const made = yield* RunInfo.provenance({ version: "0.1.0", rank: single, git: null })
      assert.strictEqual(made.workingDirectory, process.cwd())
      assert.strictEqual(made.platform.host, Os.hostname())
      assert.strictEqual(made.platform.node, process.version)
      assert.isAtLeast(made.platform.cores, 1)
      assert.strictEqual(made.command.length, process.argv.length)
    }))

  it("selects the variables that matter, masks them, and cuts long ones", () => {
    const selected = RunInfo.selectEnvironment({
      SLURM_JOB_ID: "1",
      SLURM_JWT: "secret",
      MLFLOW_TRACKING_URI: "https://me:pass@host",
      OMPI_COMM_WORLD_SIZE: "2",
      CUDA_VISIBLE_DEVICES: "",
      PBS_NODEFILE: "x".repeat(5000),
      PATH: "/bin",
      GONE: undefined
    })
    assert.deepStrictEqual(Object.keys(selected), [
      "CUDA_VISIBLE_DEVICES",
      "MLFLOW_TRACKING_URI",
      "OMPI_COMM_WORLD_SIZE",
      "PBS_NODEFILE",
      "SLURM_JOB_ID",
      "SLURM_JWT"
    ])
    assert.strictEqual(selected["MLFLOW_TRACKING_URI"], "https://me:***@host")
    assert.strictEqual(selected["SLURM_JWT"], "***")
    assert.strictEqual(selected["PBS_NODEFILE"]?.length, 1001)
  })

  it.effect("tells commit, branch and whether files differ, from inside a repository", () =>
    Effect.gen(function*() {
      const directory = yield* repository
      const commit = git(directory, "rev-parse", "HEAD")
      Fs.mkdirSync(Path.join(directory, "sub"))
      assert.deepStrictEqual(yield* Git.find(Path.join(directory, "sub")), {
        commit,
        branch: "topic/a",
        dirty: false
      })
      Fs.writeFileSync(Path.join(directory, "train.py"), "changed\n")
      assert.deepStrictEqual(yield* Git.find(directory), { commit, branch: "topic/a", dirty: true })
      git(directory, "checkout", "-q", "--detach")
      assert.deepStrictEqual(yield* Git.find(directory), { commit, branch: null, dirty: true })
      assert.isNull(yield* Git.find(yield* temporary))
    }))

  it.effect("reads the repository's files where git does not answer: branches, packed ones, detached, worktrees", () =>
    Effect.gen(function*() {
      const directory = yield* repository
      const commit = git(directory, "rev-parse", "HEAD")
      const without = { PATH: Path.join(directory, "nowhere") }
      const known = { commit, branch: "topic/a", dirty: null }
      assert.deepStrictEqual(yield* Git.find(directory, without), known)
      git(directory, "pack-refs", "--all")
      assert.deepStrictEqual(yield* Git.find(directory, without), known)
      const worktree = Path.join(yield* temporary, "tree")
      git(directory, "worktree", "add", "-q", "-b", "other", worktree)
      assert.deepStrictEqual(yield* Git.find(worktree, without), { commit, branch: "other", dirty: null })
      git(directory, "checkout", "-q", "--detach")
      assert.deepStrictEqual(yield* Git.find(directory, without), { commit, branch: null, dirty: null })
      Fs.writeFileSync(Path.join(directory, ".git", "HEAD"), "ref: refs/heads/unborn\n")
      assert.deepStrictEqual(yield* Git.find(directory, without), { commit: null, branch: "unborn", dirty: null })
    }))

  it.effect("gives up on git after two seconds", () =>
    Effect.gen(function*() {
      const directory = yield* repository
      const bin = Path.join(yield* temporary, "bin")
      Fs.mkdirSync(bin)
      Fs.writeFileSync(Path.join(bin, "git"), "#!/bin/sh\nexec /bin/sleep 600\n", { mode: 0o755 })
      const fiber = yield* Effect.forkChild(Git.find(directory, { PATH: bin }))
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(yield* Fiber.join(fiber), { branch: "topic/a", dirty: null })
    }))

  it.effect("says which file could not be written, and leaves nothing beside it", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      Fs.mkdirSync(Path.join(directory, "run_info.json"))
      const info = yield* RunInfo.collect({
        run,
        directory,
        provenance: options,
        counts: { rows: 0, refused: 0, corrupt: 0 }
      })
      const error = yield* Effect.flip(RunInfo.write(info, directory))
      assert.match(error.message, /The run info .*run_info\.json could not be written/)
      assert.deepStrictEqual(Fs.readdirSync(directory), ["run_info.json"])
    }))
})
