/**
 * The examples are run as a reader would run them: as processes, on the built package (test/setup builds it).
 */
import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll } from "vitest"

const root = fileURLToPath(new URL("..", import.meta.url))
const outputs = mkdtempSync(join(tmpdir(), "ezpz-stream-examples-"))
const script = (name: string): string => join(root, name)

afterAll(() => rmSync(outputs, { recursive: true, force: true }))

// -----------------------------------------------------------------------------
// Processes
// -----------------------------------------------------------------------------

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Without what is set here for backends: examples send nothing from tests. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:EZPZ_TRACKER|WANDB_|WB_PROJECT|MLFLOW_)/.test(name))
)

/** Processes start in a directory of their own. */
const start = (args: ReadonlyArray<string>, cwd = mkdtempSync(join(outputs, "cwd-"))): ChildProcess => {
  return spawn(process.execPath, args, { cwd, env: environment, stdio: ["ignore", "pipe", "pipe"] })
}

const end = (child: ChildProcess): Promise<Ended> =>
  new Promise((resolve) => {
    let [stdout, stderr] = ["", ""]
    child.stdout?.setEncoding("utf8").on("data", (text) => stdout += text)
    child.stderr?.setEncoding("utf8").on("data", (text) => stderr += text)
    child.once("close", (code, signal) =>
      resolve({ code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), stdout, stderr }))
  })

const run = (name: string, ...args: ReadonlyArray<string>): Promise<Ended> => end(start([script(name), ...args]))

/** Fails with what the process said. */
const ended = (expected: number, { code, stderr, stdout }: Ended): void =>
  assert.strictEqual(code, expected, `stdout:\n${stdout}\nstderr:\n${stderr}`)

const lines = (text: string): Array<string> => text.split("\n").filter((line) => line !== "")
const linesOf = (...path: Array<string>): Array<string> => lines(readFileSync(join(...path), "utf8"))
/** Where other work keeps a rank from its own for a second, that is said. */
const quiet = (line: string): boolean => !line.includes("closed without all ranks")
const named = (text: string, key: string): number => Number(new RegExp(`"${key}":([-\\d.e]+)`).exec(text)?.[1])

/** Starts `npm start`'s script; gives how it ended, and the directory of its run. */
const npmStart = async (args: ReadonlyArray<string>, meanwhile: (started: ChildProcess) => void = () => {}) => {
  const cwd = mkdtempSync(join(outputs, "start-"))
  const started = start([script("scripts/start.ts"), ...args], cwd)
  meanwhile(started)
  const result = await end(started)
  const [run = "", ...others] = readdirSync(join(cwd, "outputs", "spirals"))
  assert.deepStrictEqual(others, [])
  return { result, name: join("outputs", "spirals", run), directory: join(cwd, "outputs", "spirals", run) }
}

// -----------------------------------------------------------------------------
// train.ts
// -----------------------------------------------------------------------------

describe("train.ts", () => {
  it("learns: more than 95% of the held-out points, and a loss a tenth of the first", async () => {
    const ended300 = await run("examples/train.ts", "--delay", "0")
    ended(0, ended300)
    const records = lines(ended300.stdout)
    assert.strictEqual(records.length, 300)
    const evaluated = records.filter((record) => record.includes("eval/"))
    assert.strictEqual(evaluated.length, 31)
    assert.isAbove(named(evaluated.at(-1)!, "eval/accuracy"), 0.95)
    assert.isBelow(named(evaluated.at(-1)!, "eval/loss"), named(evaluated[0]!, "eval/loss") / 10)
  })

  it("is the same run for the same seed, but for the time it takes, and another for another", async () => {
    const [first, again, other] = await Promise.all(
      ["1", "1", "2"].map((seed) => run("examples/train.ts", "--delay", "0", "--steps", "12", "--seed", seed))
    )
    const measured = (text = ""): string => text.replaceAll(/,"train\/dt":[\d.e-]+/g, "")
    assert.strictEqual(lines(first!.stdout).length, 12)
    assert.strictEqual(measured(first?.stdout), measured(again?.stdout))
    assert.notStrictEqual(measured(first?.stdout), measured(other?.stdout))
  })

  it("prints nothing but JSON objects on stdout, each with its step", async () => {
    const { stdout } = await run("examples/train.ts", "--delay", "0", "--steps", "5")
    assert.deepStrictEqual(lines(stdout).map((line) => JSON.parse(line).step), [1, 2, 3, 4, 5])
  })

  it("as another rank has other points, and says nothing", async () => {
    const [first, other] = await Promise.all(
      ["0", "1"].map((rank) => run("examples/train.ts", "--delay", "0", "--steps", "3", "--rank", rank))
    )
    assert.notStrictEqual(
      named(lines(first!.stdout)[2]!, "train/loss"),
      named(lines(other!.stdout)[2]!, "train/loss")
    )
    assert.notInclude(other!.stdout, "eval/")
    assert.strictEqual(other!.stderr, "")
  })

  it("refuses options it does not understand", async () => {
    ended(2, await run("examples/train.ts", "--steps", "many"))
  })

  it("ends well when nobody reads on", async () => {
    const training = start([script("examples/train.ts"), "--delay", "1"])
    training.stdout?.once("data", () => training.stdout?.destroy())
    ended(0, await end(training))
  })
})

// -----------------------------------------------------------------------------
// npm start
// -----------------------------------------------------------------------------

describe("npm start", () => {
  it("trains on four ranks, tracks, says where the outputs are, and they are there", async () => {
    const { directory, name, result } = await npmStart(["--steps", "40", "--delay", "0"])
    ended(0, result)
    const steps = lines(result.stdout).map((line) => line.split(" ")[0])
    assert.deepStrictEqual(steps, ["step=1", "step=11", "step=21", "step=31"])
    for (const line of lines(result.stdout)) assert.match(line, / train\/loss=0?1?\.?\d+\.?\d+\(±/)
    assert.deepStrictEqual(
      lines(result.stderr.split("outputs:")[0] ?? "").map((line) => line.replace(/^trained: .*/, "trained")).filter(
        quiet
      ),
      ["training 2643 parameters for 40 steps, seed 0", "trained", "40 lines: 40 accepted, 0 refused"]
    )
    assert.include(result.stderr, `outputs: ${name}\n`)
    const log = linesOf(directory, "metrics.jsonl")
    assert.strictEqual(log.filter((line) => line.includes("\"metrics\":")).length, 40)
    const closed = log.filter((line) => line.includes("\"aggregated\":"))
    assert.strictEqual(new Set(closed.map((line) => named(line, "step"))).size, 40)
    assert.isTrue(closed.some((line) => line.includes(`"count":4,"expected":4`)))
    assert.strictEqual(linesOf(directory, "metrics.csv").length, 41)
    const files = globSync("**/*.{h5,png,svg,md}", { cwd: directory })
    assert.includeMembers(files, ["eval.h5", "train.h5", "report.md"])
    assert.includeMembers(files, ["plots/mplot/train/loss.png", "plots/mplot/eval/accuracy.svg"])
  })

  it("after a signal makes the outputs of what there is, and says by its code that it was one", async () => {
    const { directory, result } = await npmStart(["--delay", "20"], (started) => {
      started.stdout?.once("data", () => started.kill("SIGTERM"))
    })
    ended(143, result)
    const records = linesOf(directory, "metrics.jsonl").filter((line) => line.includes("\"metrics\":")).length
    assert.isAbove(records, 0)
    assert.isBelow(records, 300)
    assert.include(result.stderr, `${records} accepted, 0 refused`)
    assert.isTrue(existsSync(join(directory, "train.h5")))
  })

  it("passes on that the training failed, and says why once", async () => {
    const { result } = await npmStart(["--steps", "none"])
    ended(2, result)
    assert.strictEqual(result.stderr.split("usage: train.ts").length, 2, result.stderr)
  })
})

// -----------------------------------------------------------------------------
// The library
// -----------------------------------------------------------------------------

describe("the library's examples", () => {
  it("effect-program.ts records itself, and reads its dataset back without the warmup", async () => {
    const directory = join(outputs, "effect-program")
    const result = await run("examples/effect-program.ts", directory)
    ended(0, result)
    assert.match(result.stdout, /^step 60: loss=0\.\d{6} slope=\d\.\d{6} intercept=-\d\.\d{6} dt=0\.\d{6}$/m)
    assert.include(result.stdout, "loss after warmup: 54 values")
    assert.strictEqual(linesOf(directory, "metrics.jsonl").length, 60)
    assert.strictEqual(linesOf(directory, "metrics.csv").length, 61)
    for (const file of ["dataset.h5", "config.json", "training_history.csv", "plots/mplot/loss.png"]) {
      assert.isTrue(existsSync(join(directory, file)), file)
    }
  })

  it("stream.ts tracks a stream of vectors, and its dataset has their dimensions", async () => {
    const directory = join(outputs, "stream")
    const result = await run("examples/stream.ts", directory)
    ended(0, result)
    assert.strictEqual(lines(result.stdout).filter((line) => line.startsWith("step=")).length, 8)
    assert.include(result.stdout, "position: draw 380 x chain 4")
    assert.strictEqual(linesOf(directory, "metrics.jsonl").length, 400)
    assert.isTrue(existsSync(join(directory, "walk.h5")))
    assert.isTrue(existsSync(join(directory, "plots", "mplot", "walk", "position.png")))
  })

  it("ranks.ts has what four ranks said, and says which was the slowest", async () => {
    const directory = join(outputs, "ranks")
    const result = await run("examples/ranks.ts", directory)
    ended(0, result)
    assert.deepStrictEqual(lines(result.stderr).filter(quiet), [])
    assert.strictEqual(lines(result.stdout).filter((line) => /^loss=\d\.\d{6}\(±.*\) dt=/.test(line)).length, 50)
    const [, slowest] = /^rank 2 was the slowest in (\d+) of 50 steps$/m.exec(result.stdout) ?? []
    assert.isAbove(Number(slowest), 25)
    assert.strictEqual(linesOf(directory, "metrics.csv").length, 51)
    const [first = "", ...others] = globSync(join(directory, "**/metrics.jsonl"))
    assert.deepStrictEqual(others, [])
    assert.isTrue(linesOf(first).some((line) => line.includes(`"count":4,"expected":4`)))
  })

  it("async.ts tracks iterables, with ix and without", async () => {
    const directory = join(outputs, "async")
    const result = await run("examples/async.ts", directory)
    ended(0, result)
    assert.deepStrictEqual(
      ["for-await", "operators", "loop"].map((name) => linesOf(directory, name, "metrics.jsonl").length),
      [5, 200, 3]
    )
    assert.strictEqual(linesOf(directory, "operators", "metrics.csv").length, 201)
    assert.match(result.stdout, /^last: step=200 +pi=3\.1\d+ error=0\.0\d+$/m)
    assert.isTrue(existsSync(join(directory, "for-await", "dataset.h5")))
  })

  it("custom-backend.ts delivers everything once to a server that was away, and no credential", async () => {
    const directory = join(outputs, "custom-backend")
    const result = await run("examples/custom-backend.ts", directory)
    ended(0, result)
    assert.include(result.stdout, "webhook: 3 failures, 0 records not delivered")
    assert.include(result.stdout, "the server refused 3 requests and has 1000 records")
    assert.include(result.stdout, `its config: {"lr":0.1,"api_key":"***"}, its state: {"state":"finished"}`)
    assert.include(result.stderr, "answered 503")
    assert.notInclude(result.stdout + result.stderr, "of no concern")
    assert.strictEqual(linesOf(directory, "metrics.csv").length, 1001)
  })

  it("wandb.ts leaves an offline run with its table and plots, and says how to send it", async () => {
    const directory = join(outputs, "wandb")
    const result = await run("examples/wandb.ts", directory)
    ended(0, result)
    const [, folder = ""] = /^200 records: wandb sync (.*)$/m.exec(result.stdout) ?? []
    assert.deepStrictEqual(readdirSync(join(directory, "wandb")).map((name) => join(directory, "wandb", name)), [
      folder
    ])
    const files = globSync("**", { cwd: folder })
    assert.isTrue(files.some((file) => /^run-.*\.wandb$/.test(file)), files.join(" "))
    for (const name of ["media/table/path_*", "media/images/train/loss_*.png", "train.h5", "report.md"]) {
      assert.strictEqual(globSync(join("files", name), { cwd: folder }).length, 1, name)
    }
  })

  it("mlflow.ts says what to set where no server is named", async () => {
    const directory = join(outputs, "mlflow")
    const unset = await run("examples/mlflow.ts", directory)
    ended(2, unset)
    assert.include(unset.stderr, "MLFLOW_TRACKING_URI=http://")
    assert.isFalse(existsSync(directory))
  })
})

// -----------------------------------------------------------------------------
// train.py, train_mpi.py
// -----------------------------------------------------------------------------

const python = ["python3", "python"].find((name) => {
  try {
    return execFileSync(name, ["-c", "import sys; print(sys.version_info[0])"], { encoding: "utf8" }).trim() === "3"
  } catch {
    return false
  }
})

describe.skipIf(python === undefined)("train.py", () => {
  it("is tracked by the command of its header", async () => {
    const directory = join(outputs, "python")
    const result = await run(
      "dist/cli/main.js",
      ...["run", "--outdir", directory, "--", python ?? "", script("examples/train.py"), "30"]
    )
    ended(0, result)
    assert.include(result.stderr, "fitting y = sin(x) with a cubic, 30 steps\n")
    assert.include(result.stderr, "31 lines: 30 accepted, 1 refused")
    assert.strictEqual(lines(result.stdout).length, 30)
    assert.match(lines(result.stdout)[0]!, /^iter=1 +train\/loss=0\.\d+ train\/lr=0\.\d+ train\/improvement=nan$/)
    assert.include(linesOf(directory, "metrics.jsonl")[0], `"train/improvement":"NaN"`)
  })
})

describe.skipIf(python === undefined)("train_mpi.py", () => {
  it("is tracked as the ranks of a launcher, by the command of its header", async () => {
    const cwd = mkdtempSync(join(outputs, "launch-"))
    const command = [
      `"${python}" "${script("examples/train_mpi.py")}" 20`,
      `"${process.execPath}" "${script("dist/cli/main.js")}" --outdir run`
    ].join(" | ")
    // What mpirun says to each of its processes.
    const ranks = await Promise.all([0, 1, 2].map((rank) =>
      end(spawn("sh", ["-c", command], {
        cwd,
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          ...environment,
          OMPI_COMM_WORLD_RANK: `${rank}`,
          OMPI_COMM_WORLD_SIZE: "3",
          OMPI_COMM_WORLD_LOCAL_RANK: `${rank}`,
          OMPI_COMM_WORLD_LOCAL_SIZE: "3",
          PMIX_NAMESPACE: `examples-${process.pid}`,
          EZPZ_RENDEZVOUS_DIR: join(cwd, "rendezvous")
        }
      }))
    ))
    for (const result of ranks) ended(0, result)
    assert.deepStrictEqual(ranks.map(({ stdout }) => lines(stdout).length), [20, 0, 0])
    assert.deepStrictEqual(ranks.slice(1).map(({ stderr }) => stderr), ["", ""])
    assert.include(ranks[0]!.stderr, "20 steps on 3 ranks\n")
    assert.include(ranks[0]!.stderr, "20 lines: 20 accepted, 0 refused\n")
    assert.match(lines(ranks[0]!.stdout)[9]!, /^step=10 +train\/loss=0\.\d+\(±.*\) .* eval\/loss=0\.\d+$/)
    const slowest = linesOf(cwd, "run", "metrics.jsonl").filter((line) => line.includes(`"train/dt/argmax":2`))
    // On a machine that has other things to do another one is, now and then.
    assert.isAbove(slowest.length, 10)
  })
})
