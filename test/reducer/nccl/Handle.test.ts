import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Handle from "../../../src/reducer/nccl/Handle.ts"

describe("handles", () => {
  it("are what they were, through JSON", () => {
    const bytes = fc.uint8Array({ minLength: 64, maxLength: 64 })
    const handle: fc.Arbitrary<Handle.Handle> = fc.record({
      handle: bytes,
      offset: fc.nat(2 ** 30).map((n) => 8 * n),
      dtype: fc.constantFrom("f32", "f64", "bf16", "f16"),
      keys: fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1 }),
      event: fc.option(bytes, { nil: undefined }),
      check: fc.option(
        fc.record({ offset: fc.nat(1000).map((n) => 8 * n), value: fc.integer() }),
        { nil: undefined }
      ),
      device: fc.option(fc.nat(15), { nil: undefined })
    })
    fc.assert(fc.property(handle, (handle) => {
      const decoded = Handle.decode(JSON.parse(JSON.stringify(Handle.encode(handle))))
      assert.isFalse(Handle.isRefused(decoded))
      if (Handle.isRefused(decoded)) return
      const plain = ({ event, handle, ...rest }: Handle.Handle) => ({
        ...rest,
        handle: [...handle],
        event: event === undefined ? undefined : [...event]
      })
      assert.deepStrictEqual(plain(decoded), plain(handle))
    }))
  })

  it("that make no sense are refused with a reason, never thrown", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => {
      const decoded = Handle.decode(value)
      if (Handle.isRefused(decoded)) assert.match(decoded.reason, /^\$cuda /)
    }))
  })

  it("values are exact: every bfloat16 and float16 is the float32 that it stands for", () => {
    const words = Uint16Array.from({ length: 65_536 }, (_, i) => i)
    const bf16 = Handle.valuesOf("bf16", new Uint8Array(words.buffer))
    const floats = new Float32Array(Uint32Array.from(words, (word) => word << 16).buffer)
    const f16 = Handle.valuesOf("f16", new Uint8Array(words.buffer))
    // What the last halves stand for, as IEEE 754 has it, with numbers of integers alone.
    const half = (bits: number): number => {
      const [exponent, fraction] = [(bits >>> 10) & 31, bits & 1023]
      const size = exponent === 31 ? (fraction === 0 ? Infinity : NaN) : exponent === 0
        ? fraction / 2 ** 24
        : (1024 + fraction) * 2 ** (exponent - 25)
      return bits >>> 15 === 1 ? -size : size
    }
    for (const word of words) {
      assert.isTrue(Object.is(bf16[word], floats[word]), `bfloat16 ${word}`)
      assert.isTrue(Object.is(f16[word], half(word)), `float16 ${word}`)
    }
  })
})
