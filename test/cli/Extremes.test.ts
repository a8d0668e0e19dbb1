import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { account, type Ended, lines, logged, main, run, start, temporary } from "./command.ts"

/** Runs the command, and says how much memory it took at most, in MiB. */
const measured = async (args: ReadonlyArray<string>, cwd: string): Promise<Ended & { readonly peak: number }> => {
  const report = Path.join(cwd, "peak")
  const preload = Path.join(cwd, "preload.cjs")
  Fs.writeFileSync(
    preload,
    `if (require("worker_threads").isMainThread)
  process.on("exit", () => require("fs").writeFileSync(${
      JSON.stringify(report)
    }, String(process.resourceUsage().maxRSS)))`
  )
  const ended = await start(process.execPath, ["--require", preload, main, ...args], { cwd }).ended
  return { ...ended, peak: Number(Fs.readFileSync(report, "utf8")) / 1024 }
}

describe("extremes", { timeout: 180_000 }, () => {
  it("a line of 50 MB is a record like any other, one of 70 MB is refused and not kept", async () => {
    const cwd = temporary()
    const long = `{"step":2,"text":"${"x".repeat(50_000_000)}"}`
    const tooLong = `{"step":3,"text":"${"y".repeat(70_000_000)}"}`
    Fs.writeFileSync(Path.join(cwd, "in.jsonl"), `{"step":1}\n${long}\n${tooLong}\n{"step":4}\n`)
    const { code, error, peak } = await measured(["in.jsonl", "-o", "r", "--no-plots", "--backends", "csv"], cwd)
    assert.strictEqual(code, 0, error.slice(-1000))
    assert.deepStrictEqual(account(error), { lines: 4, accepted: 3, refused: 1 })
    assert.deepStrictEqual(logged(Path.join(cwd, "r")).map(({ step }) => step), [1, 2, 4])
    assert.isBelow(error.length, 10_000)
    assert.isBelow(peak, 1500)
  })

  it("20,000 keys in a record", async () => {
    const cwd = temporary()
    const record = (step: number) =>
      `{"step":${step},${Array.from({ length: 20_000 }, (_, i) => `"g/key_${i}":${i * step}`).join()}}\n`
    Fs.writeFileSync(Path.join(cwd, "in.jsonl"), [1, 2, 3].map(record).join(""))
    const { code, error, peak } = await measured(["in.jsonl", "-o", "r", "--no-plots", "--backends", "csv", "-q"], cwd)
    assert.strictEqual(code, 0, error.slice(-1000))
    assert.strictEqual(lines(Fs.readFileSync(Path.join(cwd, "r/metrics.csv"), "utf8"))[0]?.split(",").length, 20_002)
    assert.isTrue(Fs.existsSync(Path.join(cwd, "r/g.h5")))
    assert.isBelow(peak, 1000)
  })

  it("a new key in each of 20,000 records", async () => {
    const cwd = temporary()
    const input = Array.from({ length: 20_000 }, (_, i) => `{"step":${i},"key_${i}":${i},"loss":${1 / (i + 1)}}\n`)
      .join("")
    Fs.writeFileSync(Path.join(cwd, "in.jsonl"), input)
    const { code, error, peak } = await measured(["in.jsonl", "-o", "r", "--no-plots", "--backends", "csv", "-q"], cwd)
    assert.strictEqual(code, 0, error.slice(-1000))
    assert.strictEqual(logged(Path.join(cwd, "r")).length, 20_000)
    assert.isBelow(peak, 1500)
  })

  it("nesting without end is refused, not a crash", async () => {
    const cwd = temporary()
    const deep = (open: string, close: string, n: number) => `{"a":${open.repeat(n)}1${close.repeat(n)}}\n`
    const input = [
      deep(`{"a":`, "}", 100_000),
      deep("[", "]", 100_000),
      deep(`[{"a":`, "}]", 100_000),
      `{"a":NaN,"b":${"[".repeat(200_000)}${"]".repeat(200_000)}}\n`,
      `${"[".repeat(100_000)}\n`,
      `{"fine":1}\n`
    ].join("")
    const { code, error } = await run(["-", "-o", "r", "--no-plots", "-q"], { cwd, input })
    assert.strictEqual(code, 0, error.slice(-2000))
    const counted = account(error)
    assert.strictEqual(counted.lines, 6)
    assert.strictEqual(counted.accepted, logged(Path.join(cwd, "r")).length)
    assert.isAbove(counted.accepted, 0)
  })

  it("a long key over many members does not multiply without end", async () => {
    const cwd = temporary()
    const members = Array.from({ length: 50_000 }, (_, i) => `"${i}":${i}`).join()
    const input = `{"${"k".repeat(1_000_000)}":{${members}}}\n{"fine":1}\n`
    const { code, error } = await run(["-", "-o", "r", "--no-plots", "-q"], { cwd, input })
    assert.strictEqual(code, 0, error.slice(-2000))
    assert.deepStrictEqual(account(error), { lines: 2, accepted: 1, refused: 1 })
  })
})
