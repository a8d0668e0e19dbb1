import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { account, ezpz, lines, logged, records, run, shell, temporary } from "./command.ts"

const steps = (directory: string): ReadonlyArray<number | null> => logged(directory).map(({ step }) => step)

describe("where lines come from", () => {
  it("a file, the same file on stdin, -, and a process substitution give the same log", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "in.jsonl"), records(2000))
    const script = `
      ezpz-stream in.jsonl -o a --no-finalize -q; ezpz-stream -o b --no-finalize -q < in.jsonl
      cat in.jsonl | ezpz-stream - -o c --no-finalize -q; ezpz-stream <(cat in.jsonl) -o d --no-finalize -q`
    const { code, error } = await shell(script, { cwd }).ended
    assert.strictEqual(code, 0, error)
    const [a, ...others] = ["a", "b", "c", "d"].map((name) =>
      logged(Path.join(cwd, name)).map(({ metrics, seq, step }) => ({ metrics, seq, step }))
    )
    assert.strictEqual(a?.length, 2000)
    for (const other of others) assert.deepStrictEqual(other, a)
  })

  it("a FIFO is read to its end, however late its writer comes", async () => {
    const cwd = temporary()
    execFileSync("mkfifo", [Path.join(cwd, "fifo")])
    const running = ezpz(["fifo", "-o", "run", "--no-plots"], { cwd })
    await sleep(400)
    const writer = Fs.createWriteStream(Path.join(cwd, "fifo"))
    writer.write(records(1))
    await running.until(() => running.out().includes("step=1"))
    writer.end(records(1, 2))
    const { code, error } = await running.ended
    assert.strictEqual(code, 0, error)
    assert.deepStrictEqual(steps(Path.join(cwd, "run")), [1, 2])
  })

  it("a signal ends the wait for a FIFO that nobody writes to", async () => {
    const cwd = temporary()
    execFileSync("mkfifo", [Path.join(cwd, "fifo")])
    const running = ezpz(["fifo", "-o", "run", "--no-plots"], { cwd })
    while (!Fs.existsSync(Path.join(cwd, "run/metrics.jsonl"))) await sleep(20)
    await sleep(100)
    running.process.kill("SIGTERM")
    assert.strictEqual((await running.ended).code, 143)
  })

  it("what cannot be read is wrong usage, and named", async () => {
    const cwd = temporary()
    Fs.mkdirSync(Path.join(cwd, "folder"))
    for (
      const [args, message] of [
        [["missing.jsonl"], /^There is no file missing\.jsonl\.\n$/],
        [["folder"], /^folder is a directory\. .*finalize folder\n$/],
        [["--follow"], /^--follow needs a file/],
        [["-", "--follow"], /^--follow needs a file/]
      ] as const
    ) {
      const { code, error, out } = await run(args, { cwd })
      assert.deepStrictEqual([code, out], [2, ""])
      assert.match(error, message)
    }
    assert.isFalse(Fs.existsSync(Path.join(cwd, "outputs")))
  })
})

describe("--follow", () => {
  it("a record appears soon after it was written, a torn one once it is whole; a signal ends it", async () => {
    const cwd = temporary()
    const path = Path.join(cwd, "growing.jsonl")
    Fs.writeFileSync(path, records(2))
    const running = ezpz(["--follow", "growing.jsonl", "-o", "run", "--no-plots"], { cwd })
    await running.until(() => running.out().includes("step=2"))
    for (let step = 3; step <= 5; step++) {
      const written = performance.now()
      Fs.appendFileSync(path, records(1, step))
      await running.until(() => running.out().includes(`step=${step} `))
      assert.isBelow(performance.now() - written, 5000)
    }
    Fs.appendFileSync(path, `{"step":6,"lo`)
    await sleep(500)
    Fs.appendFileSync(path, `ss":1}\n`)
    await running.until(() => running.out().includes("step=6"))
    running.process.kill("SIGINT")
    const { code, error } = await running.ended
    assert.strictEqual(code, 130)
    assert.deepStrictEqual(account(error), { lines: 6, accepted: 6, refused: 0 })
  })

  it("a file that was truncated is read from its start, and what it holds then is not mixed with what it held", async () => {
    const cwd = temporary()
    const path = Path.join(cwd, "growing.jsonl")
    Fs.writeFileSync(path, `${records(50)}{"step":51,"torn`)
    const running = ezpz(["-f", "growing.jsonl", "-o", "run", "--no-finalize"], { cwd })
    await running.until(() => running.out().includes("step=50 "))
    await sleep(300)
    Fs.truncateSync(path, 0)
    await sleep(500)
    Fs.appendFileSync(path, records(2, 100))
    await running.until(() => running.out().includes("step=101 "))
    running.process.kill("SIGTERM")
    const { error } = await running.ended
    assert.deepStrictEqual(steps(Path.join(cwd, "run")).slice(-3), [50, 100, 101])
    assert.deepStrictEqual(account(error), { lines: 53, accepted: 52, refused: 1 })
    assert.include(lines(error), `{"step":51,"torn`)
  })
})

describe("where outputs go", () => {
  it("a directory that cannot be made is named", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "plain"), "")
    const { code, error, out } = await run(["-", "-o", "plain/run"], { cwd, input: records(1) })
    assert.deepStrictEqual([code, out], [1, ""])
    assert.match(error, /^.*plain\/run.*\n$/)
    assert.include(error, "--outdir")
  })

  it("a disk that fills up in the middle costs the records it has no place for, and no count", async () => {
    const cwd = temporary()
    const n = 4000
    const running = shell("ulimit -f 100; ezpz-stream - -o run --no-plots", { cwd })
    for (let step = 1; step <= n; step += 50) await running.write(records(50, step))
    running.end()
    const { code, error, out } = await running.ended
    assert.strictEqual(code, 1, error)
    const log = logged(Path.join(cwd, "run"))
    assert.isAbove(log.length, 100)
    assert.isBelow(log.length, n)
    assert.deepStrictEqual(account(error), { lines: n, accepted: log.length, refused: n - log.length })
    assert.deepStrictEqual(lines(out).map((line) => Number(/^step=(\d+)/.exec(line)?.[1])), log.map(({ step }) => step))
    assert.deepStrictEqual(log.map(({ seq }) => seq), log.map((_, i) => i + 1))
    assert.strictEqual(error.split("Cannot append to the log").length, 3, "told when it happens, and in the account")
    assert.isTrue(Fs.existsSync(Path.join(cwd, "run/dataset.h5")))
  })
})

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))
