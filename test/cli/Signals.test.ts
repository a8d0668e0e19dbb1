import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { account, ezpz, logged, records, run, shell, temporary } from "./command.ts"

const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

const state = (directory: string): string =>
  JSON.parse(Fs.readFileSync(Path.join(directory, ".ezpz/run.json"), "utf8")).state

describe("signals", () => {
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    it(`the first ${signal} finalizes and ends with ${codes[signal]}`, async () => {
      const directory = temporary()
      const running = ezpz(["-", "--outdir", directory])
      await running.write(records(10))
      await running.until(() => running.out().includes("step=10"))
      running.process.kill(signal)
      const { code, error } = await running.ended
      assert.strictEqual(code, codes[signal], error)
      assert.include(error, `${signal}: finishing the run`)
      assert.deepStrictEqual(account(error), { lines: 10, accepted: 10, refused: 0 })
      assert.includeMembers(Fs.readdirSync(directory), ["dataset.h5", "train.h5", "report.md", "plots"])
      assert.strictEqual(state(directory), "killed")
      assert.isFalse(Fs.existsSync(Path.join(directory, ".ezpz/lock")))
    })
  }

  it("a run whose outputs are left for later was killed all the same", async () => {
    const directory = temporary()
    const running = ezpz(["-", "--outdir", directory, "--no-finalize", "--backends", "csv"])
    await running.write(records(10))
    await running.until(() => running.out().includes("step=10"))
    running.process.kill("SIGTERM")
    const { code, error } = await running.ended
    assert.strictEqual(code, 143)
    assert.notInclude(error, "not delivered")
    assert.strictEqual(state(directory), "killed")
  })

  it("what the job still says after the signal is tracked", async () => {
    const cwd = temporary()
    const job = `trap 'echo "{\\"step\\":2,\\"last\\":1}"; exit' TERM; echo '{"step":1}'; while :; do sleep 0.05; done`
    const script = `set -m; { bash -c '${job.replaceAll("'", "'\\''")}' | ezpz-stream --outdir run --no-plots; } & ` +
      `until [ -s run/metrics.jsonl ]; do sleep 0.05; done; kill -TERM -- -$!; wait`
    const { error } = await shell(script, { cwd }).ended
    assert.deepStrictEqual(logged(Path.join(cwd, "run")).map(({ step }) => step), [1, 2], error)
  })

  it("a signal before the first record leaves an empty run, and says so", async () => {
    const directory = temporary()
    const running = ezpz(["-", "--outdir", directory])
    await running.write("starting\n")
    await running.until(() => running.error().includes("starting"))
    running.process.kill("SIGINT")
    const { code, error } = await running.ended
    assert.strictEqual(code, 130)
    assert.deepStrictEqual(account(error), { lines: 1, accepted: 0, refused: 1 })
  })

  it("a file that is left in the middle of a line has no torn line for it", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "in.jsonl"), records(1_500_000))
    const running = ezpz(["in.jsonl", "-o", "run", "--no-finalize", "--every", "1000"], { cwd })
    await running.until(() => running.out() !== "")
    running.process.kill("SIGINT")
    const { code, error } = await running.ended
    assert.strictEqual(code, 130)
    const { accepted, lines, refused } = account(error)
    assert.isBelow(lines, 1_500_000)
    assert.deepStrictEqual([refused, lines], [0, accepted])
  })

  it("a second signal ends at once, and the log is whole", async () => {
    const directory = temporary()
    const running = ezpz(["-", "--outdir", directory])
    await running.write(records(5000))
    await running.until(() => running.out().includes("step=5000 "))
    running.process.kill("SIGINT")
    await running.until(() => running.error().includes("SIGINT: finishing"))
    const second = performance.now()
    running.process.kill("SIGTERM")
    const { code } = await running.ended
    assert.strictEqual(code, 143)
    assert.isBelow(performance.now() - second, 5000)
    assert.strictEqual(logged(directory).length, 5000)
    // The lock it left is nobody's.
    const again = await run(["finalize", directory, "--no-plots"])
    assert.strictEqual(again.code, 0, again.error)
  })

  it("a first signal while outputs are made lets them be made, and is the exit code", async () => {
    const directory = temporary()
    const running = ezpz(["-", "--outdir", directory])
    const keys = Array.from({ length: 60 }, (_, i) => `"m${i}":${i}`).join()
    for (let step = 0; step < 3; step++) await running.write(`{"step":${step},${keys}}\n`)
    running.end()
    while (!Fs.existsSync(Path.join(directory, "dataset.h5"))) await new Promise((resolve) => setTimeout(resolve, 5))
    running.process.kill("SIGINT")
    const { code, error } = await running.ended
    assert.strictEqual(code, 130, error)
    assert.isTrue(Fs.existsSync(Path.join(directory, "report.md")))
    assert.strictEqual(Fs.readdirSync(Path.join(directory, "plots/mplot")).length, 120)
  })

  it("finalize and plot end at the first signal", async () => {
    const directory = temporary()
    const keys = Array.from({ length: 60 }, (_, i) => `"m${i}":${i}`).join()
    await run(["-", "--outdir", directory, "--no-finalize", "-q"], { input: `{${keys}}\n`.repeat(5) })
    const running = ezpz(["finalize", directory])
    while (!Fs.existsSync(Path.join(directory, "dataset.h5"))) await new Promise((resolve) => setTimeout(resolve, 5))
    running.process.kill("SIGINT")
    const { code } = await running.ended
    assert.strictEqual(code, 130)
    assert.isFalse(Fs.existsSync(Path.join(directory, "report.md")))
    assert.isFalse(Fs.existsSync(Path.join(directory, ".ezpz/lock")))
  })
})
