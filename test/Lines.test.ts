import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Lines from "../src/Lines.ts"

type Line = string | Lines.Damaged
interface Options {
  readonly limit?: number
  readonly verbatim?: boolean
}

/** Pushes the bytes cut at some places, each chunk in the same buffer, as a reader of files does it. */
const split = (bytes: Uint8Array, cuts: ReadonlyArray<number>, options: Options = {}): ReadonlyArray<Line> => {
  const splitter = Lines.splitter(options)
  const places = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  const buffer = Buffer.alloc(bytes.length)
  const lines: Array<Line> = []
  let from = 0
  for (const to of places) {
    buffer.fill(0x58)
    buffer.set(bytes.subarray(from, to))
    for (const line of splitter.push(buffer.subarray(0, to - from))) lines.push(line)
    const waiting = bytes.subarray(0, to).length - (bytes.subarray(0, to).lastIndexOf(0x0a) + 1)
    assert.strictEqual(splitter.pending(), waiting)
    from = to
  }
  const last = splitter.end()
  assert.strictEqual(splitter.pending(), 0)
  buffer.fill(0x58)
  return last === undefined ? lines : [...lines, last]
}

/** What lines are, said line by line. */
const model = (bytes: Buffer, { limit = Lines.maxBytes, verbatim = false }: Options): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  for (let from = 0; from < bytes.length;) {
    const at = bytes.indexOf(0x0a, from)
    const raw = bytes.subarray(from, at < 0 ? bytes.length : at)
    let text: string | undefined
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw)
    } catch {
      text = undefined
    }
    if (raw.length > limit) {
      const start = Buffer.from(raw.subarray(0, 200))
      lines.push({ _tag: "Damaged", reason: `longer than ${limit / 1024 / 1024} MiB`, bytes: raw.length, raw: start })
    } else if (text === undefined) {
      lines.push({ _tag: "Damaged", reason: "not UTF-8", bytes: raw.length, raw: Buffer.from(raw) })
    } else if (verbatim) lines.push(text)
    else lines.push((from === 0 ? text.replace(/^\ufeff/, "") : text).replace(/\r$/, ""))
    from += raw.length + 1
  }
  return lines
}

const piece = fc.oneof(
  fc.constantFrom(
    "\n",
    "\r\n",
    "\n",
    "\r",
    "\ufeff",
    "é",
    "😀",
    "\u0000",
    "\u2028",
    "{\"a\":1}",
    "x".repeat(30),
    "y".repeat(300)
  )
    .map((text) => Buffer.from(text)),
  fc.constantFrom([0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf0, 0x9f], [0xef, 0xbb]).map((bytes) => Buffer.from(bytes))
)
const input = fc.tuple(fc.boolean(), fc.array(piece, { maxLength: 12 })).map(([mark, pieces]) =>
  Buffer.concat([Buffer.from(mark ? "\ufeff" : ""), ...pieces])
)

describe("splitter", () => {
  it("gives the same lines however the bytes are cut, in the middle of characters, line ends and marks too", () => {
    fc.assert(
      fc.property(
        input,
        fc.array(fc.nat({ max: 2000 }), { maxLength: 12 }),
        fc.constantFrom<Options>({}, { verbatim: true }, { limit: 40 }, { limit: 250 }),
        (bytes, cuts, options) => {
          const expected = model(bytes, options)
          assert.deepStrictEqual(split(bytes, cuts, options), expected)
          assert.deepStrictEqual(split(bytes, Array.from(bytes.keys()), options), expected)
        }
      ),
      { numRuns: 2000, seed: 20261123 }
    )
  })

  it("gives the same lines of chunks that are large, too", () => {
    const lengths = fc.array(fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 3000 }), fc.nat({ max: 90_000 })), {
      maxLength: 60
    })
    const sample = fc.tuple(lengths, fc.array(fc.nat({ max: 4_000_000 }), { maxLength: 3 }), fc.boolean(), fc.boolean())
    for (const [lines, cuts, ended, damaged] of fc.sample(sample, { numRuns: 60, seed: 1 })) {
      const text = lines.map((length, i) => `${"é".repeat(length % 40)}${"x".repeat(length)}${i % 5 === 0 ? "\r" : ""}`)
        .join("\n")
      const bytes = Buffer.concat([Buffer.from(text + (ended ? "\n" : "")), Buffer.from(damaged ? [0xff] : [])])
      assert.deepStrictEqual(split(bytes, cuts), model(bytes, {}))
    }
  })

  it("drops a carriage return at the end of a line, and a mark at the very start alone", () => {
    assert.deepStrictEqual(split(Buffer.from("\ufeffa\r\n\r\nb\r\n\ufeffc\rd"), []), ["a", "", "b", "\ufeffc\rd"])
    assert.deepStrictEqual(split(Buffer.from("\ufeffa\r\n"), [1, 2], { verbatim: true }), ["\ufeffa\r"])
  })

  it("gives a last line without its end, and none after a line that has it", () => {
    assert.deepStrictEqual(split(Buffer.from("a\nb"), []), ["a", "b"])
    assert.deepStrictEqual(split(Buffer.from("a\n"), []), ["a"])
    assert.deepStrictEqual(split(Buffer.from(""), []), [])
    assert.deepStrictEqual(split(Buffer.from("\n\n"), []), ["", ""])
  })

  it("loses one line to invalid UTF-8, and keeps its bytes", () => {
    const bytes = Buffer.concat([Buffer.from("é1\n"), Buffer.from([0x61, 0xff, 0xfe]), Buffer.from("\né2\n")])
    for (const cuts of [[], [4], [5], [6]]) {
      const [before, damaged, after] = split(bytes, cuts)
      assert.deepStrictEqual([before, after], ["é1", "é2"])
      assert.deepStrictEqual(damaged, {
        _tag: "Damaged",
        reason: "not UTF-8",
        bytes: 3,
        raw: Buffer.from([0x61, 0xff, 0xfe])
      })
    }
  })

  it("counts a line that is too long, without keeping it", () => {
    const splitter = Lines.splitter({ limit: 1024 * 1024 })
    const chunk = Buffer.alloc(1024 * 1024, 0x61)
    const before = process.memoryUsage().arrayBuffers
    assert.deepStrictEqual(splitter.push(Buffer.from("first\n")), ["first"])
    for (let i = 0; i < 500; i++) assert.deepStrictEqual(splitter.push(chunk), [])
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 64 * 1024 * 1024)
    const [damaged, next] = splitter.push(Buffer.from("\nnext\n"))
    assert.deepStrictEqual(damaged, {
      _tag: "Damaged",
      reason: "longer than 1 MiB",
      bytes: 500 * 1024 * 1024,
      raw: Buffer.alloc(200, 0x61)
    })
    assert.strictEqual(next, "next")
  })

  it("takes a line of 50 MB that comes in small chunks", () => {
    const splitter = Lines.splitter()
    const chunk = Buffer.alloc(1000, 0x61)
    for (let i = 0; i < 50_000; i++) splitter.push(chunk)
    assert.strictEqual(splitter.pending(), 50_000_000)
    const [line] = splitter.push(Buffer.from("\n"))
    assert.strictEqual(typeof line === "string" && line.length, 50_000_000)
  })
})
