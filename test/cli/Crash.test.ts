import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Dataset from "../../src/artifact/Dataset.ts"
import { ezpz, lines, logged, records, run, temporary } from "./command.ts"
import { random } from "./lines.ts"

const kills = Number(process.env["EZPZ_KILLS"] ?? 100)
const atOnce = 4
const whole = 20_000

/** The input of every run here: varied enough to have several groups, vectors, and refused lines. */
const input: ReadonlyArray<string> = Array.from({ length: whole }, (_, i) => {
  const step = i + 1
  if (step % 97 === 0) return `not a record, step ${step}\n`
  const chains = step % 3 === 0 ? `, "train/chains": [${step}, ${step / 2}, NaN]` : ""
  return `{"step": ${step}, "loss": ${1 / step}, "train/acc": ${Math.sin(step)}${chains}}\n`
})

const next = random(7)

/**
 * Runs over the input and is killed at some moment, perhaps before its first line if it may be `early`. Gives back the
 * steps whose line was printed.
 */
const killed = async (directory: string, early = true): Promise<ReadonlyArray<number>> => {
  const running = ezpz(["-", "--outdir", directory, "--no-finalize"])
  const child = running.process
  const [burst, pause] = next() < 0.5 ? [1 + Math.floor(next() * 5), true] : [Math.floor(100 + next() * 2000), false]
  const feeding = (async () => {
    for (let at = 0; at < whole && child.exitCode === null && child.signalCode === null; at += burst) {
      await running.write(input.slice(at, at + burst).join(""))
      if (pause) await sleep(next() * 2)
    }
  })()
  // From before it reads its first line to the middle of everything.
  if (early && next() < 0.1) await sleep(next() * 300)
  else {
    await running.until(() => running.out() !== "")
    await sleep(next() * 40)
  }
  child.kill("SIGKILL")
  const { out, signal } = await running.ended
  await feeding
  assert.strictEqual(signal, "SIGKILL")
  // A line counts as printed when it is there to its end.
  return lines(out.slice(0, out.lastIndexOf("\n") + 1)).map((line) => Number(/^step=(\d+) /.exec(line)?.[1]))
}

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** The whole lines of a log that may be torn at its end. */
const wholeLines = (directory: string): ReadonlyArray<string> => {
  const path = Path.join(directory, "metrics.jsonl")
  return Fs.existsSync(path) ? Fs.readFileSync(path, "utf8").split("\n").slice(0, -1) : []
}

describe("kill -9", { timeout: 180_000 }, () => {
  it(`at any of ${kills} moments loses no record whose line was printed`, async () => {
    const root = temporary()
    let printed = 0
    const some = async (from: number): Promise<void> => {
      for (let i = from; i < kills; i += atOnce) {
        const directory = Path.join(root, String(i))
        const steps = await killed(directory)
        printed += steps.length
        const log = new Set(wholeLines(directory).map((line) => JSON.parse(line).step))
        const lost = steps.filter((step) => !log.has(step))
        assert.deepStrictEqual(lost, [], `run ${i} printed ${steps.length} lines, and its log has ${log.size} records`)
        Fs.rmSync(directory, { recursive: true, force: true })
      }
    }
    await Promise.all(Array.from({ length: atOnce }, (_, from) => some(from)))
    assert.isAbove(printed, kills)
  })

  it("then finalize gives the datasets that an unbroken run over the same records gives", async () => {
    const root = temporary()
    const [broken, unbroken] = [Path.join(root, "broken"), Path.join(root, "unbroken")]
    await killed(broken, false)
    const kept = wholeLines(broken).length
    assert.isAbove(kept, 0)
    const { code, error } = await run(["finalize", broken, "--no-plots"])
    assert.strictEqual(code, 0, error)
    assert.include(Fs.readFileSync(Path.join(broken, "report.md"), "utf8"), "killed")

    await run(["-", "--outdir", unbroken, "--no-plots", "--quiet"], { input: until(kept).join("") })
    for (const name of ["dataset.h5", "train.h5"]) {
      const [one, other] = await Promise.all([contents(Path.join(broken, name)), contents(Path.join(unbroken, name))])
      assert.isAbove(one.size, 2)
      assert.deepStrictEqual(one, other)
    }
  })

  it("then --resume goes on as if nothing had been", async () => {
    const directory = Path.join(temporary(), "run")
    for (let i = 0; i < 3; i++) {
      const kept = Fs.existsSync(directory) ? wholeLines(directory).length : 0
      const rest = input.slice(until(kept).length, kept + 4000).join("")
      const running = ezpz(["-", "--outdir", directory, "--no-finalize", ...(i === 0 ? [] : ["--resume"])])
      void running.write(rest)
      await running.until(() => running.out() !== "")
      running.process.kill("SIGKILL")
      await running.ended
      // As a machine that goes down leaves it: torn in the middle of a record.
      Fs.appendFileSync(Path.join(directory, "metrics.jsonl"), `{"seq":9999,"step":77,"time`)
    }
    const kept = wholeLines(directory).length
    const rest = input.slice(until(kept).length).join("")
    const { code, error } = await run(["-", "--outdir", directory, "--no-finalize", "--resume", "-q"], { input: rest })
    assert.strictEqual(code, 0, error)
    assert.include(error, `after record ${kept}`)

    const expected = input.flatMap((line) => line.startsWith("{") ? [JSON.parse(line.replace("NaN", `"NaN"`))] : [])
    const found = logged(directory)
    assert.strictEqual(found.length, expected.length)
    for (const [i, { metrics, seq, step }] of found.entries()) {
      const { step: expectedStep, ...expectedMetrics } = expected[i]
      assert.strictEqual(seq, i + 1)
      assert.strictEqual(step, expectedStep)
      assert.deepStrictEqual(metrics, expectedMetrics)
    }
  })

  it("while outputs are made leaves a run that finalize completes", async () => {
    const directory = Path.join(temporary(), "run")
    await run(["-", "--outdir", directory, "--no-finalize", "-q"], { input: records(2000) })
    for (let i = 0; i < 4; i++) {
      const running = ezpz(["finalize", directory])
      await sleep(150 + 200 * i)
      running.process.kill("SIGKILL")
      await running.ended
    }
    const { code, error } = await run(["finalize", directory])
    assert.strictEqual(code, 0, error)
    const left = Fs.readdirSync(directory, { recursive: true, encoding: "utf8" })
    assert.deepStrictEqual(left.filter((name) => name.includes("tmp")), [])
    assert.includeMembers(left, ["dataset.h5", "train.h5", "report.md", "plots/mplot/loss.png"])
  })
})

/** The lines of the input up to its n-th record. */
const until = (n: number): ReadonlyArray<string> => {
  let seen = 0
  let at = 0
  while (seen < n) if (input[at++]?.startsWith("{") === true) seen++
  return input.slice(0, at)
}

/** The bytes of every variable but the time of day. */
const contents = (path: string): Promise<ReadonlyMap<string, string>> =>
  Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const dataset = yield* Dataset.open(path)
    const bytes = new Map<string, string>()
    for (const [name, variable] of dataset.variables) {
      if (name === "timestamp") continue
      const values = yield* dataset.values(name)
      bytes.set(name, `${variable.dims.join()}:${Buffer.from(values.buffer).toString("base64")}`)
    }
    return bytes
  })))
