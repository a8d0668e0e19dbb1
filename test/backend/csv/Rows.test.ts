import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Rows from "../../../src/backend/csv/Rows.ts"

/** The ends of rows, byte by byte. */
const ends = (bytes: Uint8Array): Array<number> => {
  const found: Array<number> = []
  let quoted = false
  bytes.forEach((byte, at) => {
    if (byte === 0x22) quoted = !quoted
    else if (byte === 0x0a && !quoted) found.push(at)
  })
  return found
}

describe("Rows.scanner", () => {
  it("finds the same ends of rows however the bytes are cut into chunks", () => {
    const text = fc.string({ unit: fc.constantFrom("\"", "\n", ",", "a"), maxLength: 60 })
    fc.assert(fc.property(text, fc.array(fc.integer({ min: 1, max: 9 })), (text, cuts) => {
      const bytes = Buffer.from(text)
      const scanner = Rows.scanner()
      const found: Array<number> = []
      let at = 0
      for (const size of [...cuts, bytes.length]) {
        const chunk = bytes.subarray(at, at + size)
        scanner.chunk(chunk)
        for (let end = scanner.next(); end >= 0; end = scanner.next()) found.push(at + end)
        assert.strictEqual(scanner.next(), -1)
        at += chunk.length
      }
      assert.deepStrictEqual(found, ends(bytes))
    }))
  })
})
