import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { account, ezpz, run, temporary } from "./command.ts"
import { generator, type Line, random, type Value } from "./lines.ts"

/** EZPZ_FUZZ_LINES sets how many lines are tried; EZPZ_FUZZ_SEED which. */
const count = Number(process.env["EZPZ_FUZZ_LINES"] ?? 100_000)
const seed = Number(process.env["EZPZ_FUZZ_SEED"] ?? 20260101)

describe("every line is accounted for", () => {
  it(
    `of ${count.toLocaleString("en")} lines of every kind, accepted + refused = lines in, and nothing is changed`,
    async () => {
      const directory = temporary()
      const running = ezpz(["-", "--outdir", directory, "--no-finalize", "--every", "1000"])
      await feed(running.write)
      running.end()
      const { code, error, stderr } = await running.ended
      assert.strictEqual(code, 0)

      // The lines come again from the seed, beside the log.
      const again = expectedLines()
      const log = linesOf(Path.join(directory, "metrics.jsonl"))
      const passed = passedOn(stderr)
      const seen = { accepted: 0, refused: 0 }
      const upTo = (wanted: Line["_tag"]): Line | undefined => {
        for (let line = again.next().value; line !== undefined; line = again.next().value) {
          if (line._tag === "Refused") {
            seen.refused++
            if (!passed(line.raw)) assert.fail(`refused line ${seen.refused} did not reach stderr: ${line.raw}`)
          }
          if (line._tag === wanted) return line
        }
        return undefined
      }
      for await (const text of log) {
        seen.accepted++
        const line = upTo("Accepted")
        if (line?._tag !== "Accepted") return assert.fail(`the log has more than was accepted: ${text}`)
        const entry = JSON.parse(text)
        const kept = entry.seq === seen.accepted && entry.step === line.step &&
          Object.keys(entry.metrics).length === line.metrics.size &&
          [...line.metrics].every(([key, value]) =>
            Object.hasOwn(entry.metrics, key) && same(value, entry.metrics[key])
          )
        if (!kept) assert.fail(`${line.raw}\nbecame\n${text}`)
      }
      assert.isUndefined(upTo("Accepted"), "an accepted line is not in the log")
      assert.isAbove(seen.accepted, 0.7 * count)
      assert.isAbove(seen.refused, 0.1 * count)
      assert.deepStrictEqual(account(error), { lines: seen.accepted + seen.refused, ...seen })
    },
    600_000
  )

  it("integers beyond 2^53 keep their digits in the log", async () => {
    const directory = temporary()
    const input = `{"step":1,"id":123456789012345678901234567890}\n{"a":{"b":-9007199254740993,"c":NaN}}\n`
    const { code } = await run(["-", "--outdir", directory, "--no-finalize"], { input })
    assert.strictEqual(code, 0)
    const log = Fs.readFileSync(Path.join(directory, "metrics.jsonl"), "utf8")
    assert.include(log, `{"id":123456789012345678901234567890}`)
    assert.include(log, `{"a/b":-9007199254740993,"a/c":"NaN"}`)
  })
})

/** All lines, a byte order mark before the first, and no line break after the last. */
function* expectedLines(): Generator<Line, undefined> {
  const next = generator(seed)
  for (let i = 0; i < count; i++) yield next()
  yield { _tag: "Accepted", raw: Buffer.from(`{"last":1}`), step: null, metrics: new Map([["last", 1]]) }
  return undefined
}

/** A line ends with `\n`, and with nothing else. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = ""
  for await (const chunk of Fs.createReadStream(path, { encoding: "utf8", highWaterMark: 1024 * 1024 })) {
    const lines = (rest + chunk).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      if (line.includes("\r")) assert.fail(`a line break to some: ${line}`)
      yield line
    }
  }
  assert.strictEqual(rest, "")
}

/** In chunks that end anywhere. */
const feed = async (write: (bytes: Buffer) => Promise<void>): Promise<void> => {
  const next = random(seed + 1)
  let waiting: Array<Buffer> = [Buffer.from([0xef, 0xbb, 0xbf])]
  let size = 0
  let first = true
  for (const line of expectedLines()) {
    if (!first) waiting.push(newline)
    first = false
    waiting.push(line.raw)
    size += line.raw.length + 1
    if (size < 200_000) continue
    const bytes = Buffer.concat(waiting)
    const cut = Math.floor(next() * bytes.length)
    await write(bytes.subarray(0, cut))
    waiting = [bytes.subarray(cut)]
    size = waiting[0]?.length ?? 0
  }
  await write(Buffer.concat(waiting))
}

const newline = Buffer.from("\n")

/** Whether a line comes next in what was passed on, whatever else stands between. */
const passedOn = (stderr: Buffer): (line: Buffer) => boolean => {
  let at = 0
  return (line) => {
    while (at < stderr.length) {
      const end = stderr.indexOf(0x0a, at)
      const found = stderr.subarray(at, end).equals(line)
      at = end + 1
      if (found) return true
    }
    return false
  }
}

/** As JSON.parse reads the log: NaN and the infinities are strings there. */
const same = (expected: Value, found: unknown): boolean => {
  if (Array.isArray(expected)) {
    return Array.isArray(found) && found.length === expected.length &&
      expected.every((item: Value, i) => same(item, found[i] === null ? "NaN" : found[i]))
  }
  if (typeof expected !== "number") return Object.is(expected, found)
  return Object.is(expected, typeof found === "string" ? Number(found) : found)
}
