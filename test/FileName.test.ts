import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as FileName from "../src/FileName.ts"

const hostile = [
  "../../etc/passwd",
  "..",
  ".",
  "",
  "/",
  "//",
  "a//b",
  ".hidden",
  "__proto__",
  "con",
  "a b",
  "é",
  "日本語",
  "😀",
  "\ud800",
  "\udc00",
  "\0",
  "a\nb",
  "C:\\x",
  "~",
  "-rf",
  "loss",
  "Loss",
  "LOSS",
  "loss_",
  "a/b",
  "a_b",
  "a.b",
  "k".repeat(300),
  `${"k".repeat(299)}l`,
  "é".repeat(300),
  "x".repeat(88),
  "x".repeat(89)
]

const key = fc.oneof(
  fc.constantFrom(...hostile),
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({ unit: fc.constantFrom("a", "A", "/", "_", ".", "\ud800"), maxLength: 5 })
)

describe("files", () => {
  it("give any keys names that are safe, short, and different even to a file system that does not tell case", () => {
    fc.assert(
      fc.property(fc.uniqueArray(key, { maxLength: 60 }), (keys) => {
        const names = FileName.files(["dataset"])
        const given = keys.map(names.name)
        for (const name of given) {
          assert.match(name, /^[A-Za-z0-9_-]+$/)
          assert.isAtMost(Buffer.byteLength(`${name}_summary.txt`), 120)
          assert.notStrictEqual(name.toLowerCase(), "dataset")
        }
        assert.strictEqual(new Set(given.map((name) => name.toLowerCase())).size, keys.length)
      }),
      { numRuns: 500, seed: 1 }
    )
  })

  it("are plain where they can be, and the same in every run", () => {
    const names = () => {
      const files = FileName.files()
      return ["loss", "train_loss-2", "../../etc/passwd", "a//b", "Loss", "loss", "", "k".repeat(300)].map(files.name)
    }
    assert.deepStrictEqual(names(), names())
    const [loss, plain, passwd, twice, upper, again, empty, long] = names()
    assert.deepStrictEqual([loss, plain, passwd, twice, empty], [
      "loss",
      "train_loss-2",
      "______etc_passwd",
      "a__b",
      "_"
    ])
    assert.match(upper ?? "", /^Loss-[0-9a-f]{8}$/)
    assert.match(again ?? "", /^loss-[0-9a-f]{8}$/)
    assert.match(long ?? "", /^k{88}-[0-9a-f]{8}$/)
  })

  it("are found for 20,000 keys that all look alike", () => {
    const names = FileName.files()
    const given = Array.from(
      { length: 20_000 },
      (_, i) => names.name(`k${"/.:é😀"[i % 4]}${String.fromCodePoint(0x4e00 + i)}`)
    )
    assert.strictEqual(new Set(given).size, 20_000)
  })
})

describe("variables", () => {
  const reserved = new Set(["draw", "step"])

  it("give any keys different names without a slash, none of them reserved", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.oneof(key, fc.constantFrom("draw", "step", "draw_", "step_2")), { maxLength: 60 }),
        (keys) => {
          const names = FileName.variables(reserved)
          const given = keys.map(names.name)
          assert.strictEqual(new Set(given).size, keys.length)
          for (const name of given) {
            assert.isFalse(
              /[/\0]/.test(name) || name === "" || name === "." || reserved.has(name) || !name.isWellFormed()
            )
          }
        }
      ),
      { numRuns: 500, seed: 1 }
    )
  })

  it("stay as near to the key as they can", () => {
    const names = FileName.variables(reserved)
    const given = ["loss", "loss/mean", "loss_mean", "draw", "draw_", "", ".", "grad norm", "λ"].map(names.name)
    assert.deepStrictEqual(given, [
      "loss",
      "loss_mean",
      "loss_mean_2",
      "draw_",
      "draw__2",
      "_",
      "__2",
      "grad norm",
      "λ"
    ])
  })
})
