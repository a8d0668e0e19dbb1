import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Datastore from "../../../src/backend/wandb/Datastore.ts"
import { records } from "./support.ts"

/** A file of batches of records of these sizes, and where each record ends. */
const write = (batches: ReadonlyArray<ReadonlyArray<number>>) => {
  const expected: Array<Buffer> = []
  let file = Buffer.from(Datastore.fileHeader)
  for (const sizes of batches) {
    const batch = sizes.map((size, i) => Buffer.alloc(size, expected.length + i + 1))
    expected.push(...batch)
    let end = 0
    const ends = sizes.map((size) => end += size)
    const { bytes, lastStart } = Datastore.frame(Buffer.concat(batch), ends, file.length)
    assert.isBelow(lastStart, Math.max(1, bytes.length))
    file = Buffer.concat([file, bytes])
  }
  return { file, expected }
}

const scan = (file: Uint8Array, from = Datastore.fileHeader.length) => {
  const path = Path.join(Fs.mkdtempSync(Path.join(Os.tmpdir(), "wandb-")), "run.wandb")
  Fs.writeFileSync(path, file)
  const fd = Fs.openSync(path, "r")
  try {
    const found: Array<{ readonly record: Buffer; readonly start: number; readonly end: number }> = []
    const end = Datastore.scan(fd, from, (record, start, end) => {
      found.push({ record: Buffer.from(record), start, end })
    })
    return { found, end, isDatastore: Datastore.isDatastore(fd) }
  } finally {
    Fs.closeSync(fd)
    Fs.rmSync(Path.dirname(path), { recursive: true })
  }
}

const same = (actual: ReadonlyArray<Buffer>, expected: ReadonlyArray<Buffer>) => {
  assert.strictEqual(actual.length, expected.length)
  assert.isTrue(actual.every((record, i) => record.equals(expected[i] ?? Buffer.alloc(0))))
}

const size = FastCheck.oneof(
  FastCheck.integer({ min: 0, max: 300 }),
  FastCheck.integer({ min: 32_700, max: 32_800 }),
  FastCheck.integer({ min: 65_400, max: 65_600 })
)

describe("Datastore", () => {
  it("what is framed in any batches is read back, by another reader and by ours", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.array(size, { maxLength: 6 }), { maxLength: 6 }), (batches) => {
        const { expected, file } = write(batches)
        same(records(file), expected)
        const read = scan(file)
        same(read.found.map(({ record }) => record), expected)
        assert.strictEqual(read.end, file.length)
        assert.isTrue(read.isDatastore)
      }),
      { numRuns: 60 }
    )
  })

  it("a record may be empty, also alone", () => {
    for (const batches of [[[0]], [[0, 0]], [[0], [3, 0]]]) {
      const { expected, file } = write(batches)
      same(records(file), expected)
      same(scan(file).found.map(({ record }) => record), expected)
    }
  })

  it("a record may begin and end at any place of a block", () => {
    for (let left = 0; left <= 24; left++) {
      for (const next of [0, 1, 20, 32_761, 40_000]) {
        const { expected, file } = write([[32_768 - 7 - 7 - left], [next, 5]])
        same(records(file), expected)
        same(scan(file).found.map(({ record }) => record), expected)
      }
    }
  })

  it("reading begins at any record", () => {
    const { expected, file } = write([[10, 32_740, 3], [70_000, 1]])
    const all = scan(file).found
    all.forEach(({ start }, i) => same(scan(file, start).found.map(({ record }) => record), expected.slice(i)))
  })

  it("a torn file has the records that are whole, wherever it is torn", () => {
    const { file } = write([[10, 40], [32_700, 9], [100]])
    const whole = scan(file).found
    const places = [...Array.from({ length: 200 }, (_, i) => 7 + i), ...Array.from({ length: 200 }, (_, i) => -i)]
    for (const place of places) {
      const length = place > 0 ? place : file.length + place
      const { end, found } = scan(file.subarray(0, length))
      same(found.map(({ record }) => record), whole.filter((one) => one.end <= length).map(({ record }) => record))
      assert.strictEqual(end, found.at(-1)?.end ?? 7)
    }
  })

  it("a changed byte ends the reading before its record", () => {
    const { expected, file } = write([[10, 40, 32_800, 9]])
    const whole = scan(file).found
    for (const place of [7, 12, 13, 14, 30, 90, 300, 32_767, 32_768, 32_775, file.length - 1]) {
      const changed = Buffer.from(file)
      changed[place] = (changed[place] ?? 0) ^ 0x40
      const found = scan(changed).found.map(({ record }) => record)
      same(found, expected.slice(0, whole.findIndex(({ end }) => end > place)))
    }
  })

  it("what is no such file is known as none", () => {
    assert.isFalse(scan(Buffer.from("hello")).isDatastore)
    assert.isFalse(scan(Buffer.from("hello world")).isDatastore)
  })
})
