import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Batch from "../../../src/reducer/nccl/Batch.ts"
import * as Messages from "../../../src/reducer/nccl/Messages.ts"

const types = Object.keys(Messages.codes).filter((name): name is Messages.Type => name in Messages.codes)
const message = fc.record({
  type: fc.constantFrom(...types),
  id: fc.nat(2 ** 32 - 1),
  payload: fc.uint8Array({ maxLength: 100 })
})

/** Bytes in pieces of these sizes, again and again. */
const inPieces = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}

describe("messages of a rank and its bridge", () => {
  it("come as they were sent, however they are cut", () => {
    fc.assert(
      fc.property(fc.array(message), fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (sent, sizes) => {
        const bytes = Buffer.concat(sent.map(({ id, payload, type }) => Messages.encode(type, id, payload)))
        const { push } = Messages.reader()
        const came = inPieces(bytes, sizes).flatMap((piece) => push(piece))
        assert.deepStrictEqual(came, sent)
      })
    )
  })

  it("are memory of their own, at its beginning: numbers are read where they lie", () => {
    const { push } = Messages.reader()
    const [first, second] = push(
      Buffer.concat([Messages.encode("send", 1, new Uint8Array(3)), Messages.encode("send", 2, new Uint8Array(16))])
    )
    assert.deepStrictEqual([first?.payload.byteOffset, second?.payload.byteOffset], [0, 0])
    assert.strictEqual(second?.payload.buffer.byteLength, 16)
  })

  it("no bytes do more than give the pipe up", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
        const { push } = Messages.reader()
        try {
          for (const chunk of chunks) for (const { payload } of push(chunk)) assert.isAtMost(payload.length, 20_000)
        } catch (error) {
          assert.instanceOf(error, RangeError)
        }
      }),
      { numRuns: 1000 }
    )
  })

  it("a length that cannot be, and a type that is not known, are refused before anything is kept", () => {
    const long = Messages.encode("send", 1)
    long.writeUInt32LE(Messages.mostBytes + 1)
    assert.throws(() => Messages.reader().push(long), RangeError)
    const strange = Messages.encode("send", 1)
    strange[8] = 99
    assert.throws(() => Messages.reader().push(strange), RangeError)
  })

  it("payloads of any bytes are read without harm", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
      assert.strictEqual(Messages.wordsOf(bytes).length, bytes.length >>> 2)
      Messages.joinedBy(bytes)
      Messages.objectOf(bytes)
      assert.isString(Messages.failureOf(bytes).reason)
    }))
  })

  it("numbers, joins and failures are what they were", () => {
    fc.assert(fc.property(fc.array(fc.nat(2 ** 32 - 1)), (words) => {
      assert.deepStrictEqual(Messages.wordsOf(Messages.words(words)), words)
    }))
    const id = Uint8Array.from({ length: 128 }, (_, i) => i)
    assert.deepStrictEqual(Messages.joinedBy(Messages.joining(3, 70_000, id)), { rank: 3, worldSize: 70_000, id })
    assert.deepStrictEqual(Messages.failureOf(Messages.json({ kind: "missing", reason: "no driver" })), {
      kind: "missing",
      reason: "no driver"
    })
  })
})

describe("frames in a block", () => {
  it("come as they were, each at a multiple of 8 bytes", () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (frames) => {
      const block = Batch.pack(frames)
      assert.strictEqual(block.length % 8, 0)
      const came = Batch.unpack(block)
      assert.deepStrictEqual(came.map((frame) => new Uint8Array(frame)), frames)
      for (const frame of came) assert.strictEqual(frame.byteOffset % 8, 0)
    }))
  })

  it("any bytes are read as frames within them", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      let total = 0
      for (const frame of Batch.unpack(bytes)) total += 8 + frame.length
      assert.isAtMost(total, bytes.length)
    }))
  })
})
