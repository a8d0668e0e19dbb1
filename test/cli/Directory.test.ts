import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ezpz, logged, records, run, temporary } from "./command.ts"

describe("a run that is there already", () => {
  it("is not touched without being asked: exit 2, and what can be done", async () => {
    const directory = temporary()
    await run(["-", "-o", directory, "--no-plots"], { input: records(3) })
    const before = snapshot(directory)
    const { code, error, out } = await run(["-", "-o", directory], { input: records(3, 10) })
    assert.deepStrictEqual([code, out], [2, ""])
    assert.match(error, /--resume.*--overwrite.*--outdir/)
    assert.strictEqual(error.split("\n").length, 2)
    assert.deepStrictEqual(snapshot(directory), before)
  })

  it("--resume goes on: the same run, seq after seq", async () => {
    const directory = temporary()
    await run(["-", "-o", directory, "--no-plots", "--backends", "csv", "--config", "lr=1"], { input: records(3) })
    const id = runOf(directory).runId
    const { code, error } = await run(["-", "-o", directory, "--no-plots", "--backends", "csv", "--resume"], {
      input: records(2, 4)
    })
    assert.strictEqual(code, 0, error)
    assert.include(error, `Going on with run ${id} after record 3`)
    assert.deepStrictEqual(logged(directory).map(({ seq, step }) => [seq, step]), [1, 2, 3, 4, 5].map((n) => [n, n]))
    assert.strictEqual(runOf(directory).runId, id)
    assert.deepStrictEqual(runOf(directory).config, { lr: 1 })
    const csv = Fs.readFileSync(Path.join(directory, "metrics.csv"), "utf8").trimEnd().split("\n")
    assert.strictEqual(csv.length, 1 + 5)
  })

  it("--overwrite replaces it: another run, seq from 1", async () => {
    const directory = temporary()
    await run(["-", "-o", directory, "--no-plots", "--backends", "csv", "--config", "lr=1"], { input: records(3) })
    const id = runOf(directory).runId
    const { code, error } = await run(["-", "-o", directory, "--no-plots", "--backends", "csv", "--overwrite"], {
      input: `{"step":9,"other":1}\n`
    })
    assert.strictEqual(code, 0, error)
    assert.deepStrictEqual(logged(directory).map(({ metrics, seq, step }) => ({ metrics, seq, step })), [
      { seq: 1, step: 9, metrics: { other: 1 } }
    ])
    assert.notStrictEqual(runOf(directory).runId, id)
    assert.deepStrictEqual(runOf(directory).config, {})
    const csv = Fs.readFileSync(Path.join(directory, "metrics.csv"), "utf8").trimEnd().split("\n")
    assert.strictEqual(csv.length, 1 + 1)
  })

  it("what --overwrite replaces leaves no files that look like the new run's", async () => {
    const directory = temporary()
    await run(["-", "-o", directory], { input: records(3) })
    await run(["-", "-o", directory, "--overwrite"], { input: `{"step":9,"eval/other":1}\n` })
    const files = Fs.readdirSync(directory, { recursive: true, encoding: "utf8" })
    assert.includeMembers(files, ["eval.h5", "plots/mplot/eval/other.png"])
    assert.notIncludeMembers(files, ["dataset.h5"])
    assert.notIncludeMembers(files, ["train.h5"])
    assert.notIncludeMembers(files, ["plots/mplot/loss.png"])
  })

  it("--resume and --overwrite need to be told of which run, and of one only", async () => {
    const cwd = temporary()
    for (
      const args of [["--resume"], ["--overwrite"], ["--resume", "--overwrite", "-o", "x"], ["--resume", "-o", "x"]]
    ) {
      const { code, error, out } = await run(["-", ...args], { cwd, input: records(1) })
      assert.deepStrictEqual([code, out], [2, ""], args.join(" "))
      assert.strictEqual(error.split("\n").length, 2, error)
    }
    assert.deepStrictEqual(Fs.readdirSync(cwd), [])
  })
})

describe("two processes and one directory", () => {
  it("the second is refused, and told who the first is", async () => {
    const directory = temporary()
    const first = ezpz(["-", "-o", directory, "--no-plots"])
    await first.write(records(1))
    await first.until(() => first.out() !== "")
    for (
      const args of [["-", "-o", directory, "--resume"], ["-", "-o", directory, "--overwrite"], ["finalize", directory]]
    ) {
      const { code, error } = await run(args, { input: records(1) })
      assert.strictEqual(code, 1)
      assert.include(error, `process ${first.process.pid} `)
      assert.strictEqual(error.split("\n").length, 2, error)
    }
    await first.write(records(1, 2))
    first.end()
    assert.strictEqual((await first.ended).code, 0)
    assert.deepStrictEqual(logged(directory).map(({ step }) => step), [1, 2])
  })

  it("a launcher's second start waits until the first has finished, and goes on", async () => {
    const directory = temporary()
    const env = { EZPZ_RANK: "0", EZPZ_WORLD_SIZE: "1" }
    const first = ezpz(["-", "-o", directory, "--no-plots"], { env })
    await first.write(records(2))
    await first.until(() => first.out().includes("step=2"))
    const second = ezpz(["-", "-o", directory, "--no-plots", "--resume"], { env })
    await second.write(records(2, 3))
    second.end()
    await second.until(() => second.error().includes(`Process ${first.process.pid} is still writing this run`))
    assert.strictEqual(second.out(), "")
    first.process.kill("SIGTERM")
    assert.strictEqual((await first.ended).code, 143)
    const { code, error } = await second.ended
    assert.strictEqual(code, 0, error)
    assert.deepStrictEqual(logged(directory).map(({ seq, step }) => [seq, step]), [1, 2, 3, 4].map((n) => [n, n]))
  })

  it("of several that start at once, one writes", async () => {
    for (let round = 0; round < 3; round++) {
      const directory = Path.join(temporary(), "run")
      const all = await Promise.all(
        Array.from({ length: 6 }, () => run(["-", "-o", directory, "--no-finalize", "-q"], { input: records(200) }))
      )
      const errors = all.map(({ code, error }) => `${code} ${error}`).join("\n")
      assert.strictEqual(all.filter(({ code }) => code === 0).length, 1, errors)
      assert.deepStrictEqual(logged(directory).map(({ seq }) => seq), Array.from({ length: 200 }, (_, i) => i + 1))
    }
  })
})

describe("a directory that cannot be used", () => {
  it.skipIf(process.platform !== "linux")("because it cannot be made: exit 1, and it is named", async () => {
    const { code, error, out } = await run(["-", "--outdir", "/proc/nope/x"], { input: records(1) })
    assert.deepStrictEqual([code, out], [1, ""])
    assert.include(error, "/proc/nope/x")
    assert.strictEqual(error.split("\n").length, 2, error)
  })

  it("because it has no name: exit 2, and nothing is made", async () => {
    const cwd = temporary()
    for (const name of ["", " "]) {
      const { code, error, out } = await run(["-", "--outdir", name], { cwd, input: records(1) })
      assert.deepStrictEqual([code, out], [2, ""])
      assert.include(error, "--outdir")
    }
    assert.deepStrictEqual(Fs.readdirSync(cwd), [])
  })
})

const runOf = (directory: string): { readonly runId: string; readonly config: unknown } =>
  JSON.parse(Fs.readFileSync(Path.join(directory, ".ezpz/run.json"), "utf8"))

const snapshot = (directory: string): ReadonlyArray<string> =>
  Fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).sort().map((name) => {
    const stat = Fs.statSync(Path.join(directory, name))
    return `${name} ${stat.isFile() ? `${stat.size} ${stat.mtimeMs}` : ""}`
  })
