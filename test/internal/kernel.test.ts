import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { compile } from "../../scripts/kernel.ts"
import { descriptionSize, greatestIn, leastIn } from "../../src/internal/columns.ts"
import { Rows } from "../../src/internal/rows.ts"

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

describe("the kernel", () => {
  it("is what its source says", async () => {
    assert.strictEqual(readFileSync(at("src/internal/kernel/binary.ts"), "utf8"), await compile())
  }, 60_000)

  it("has room for as many rows and keys as there are, one after the other", () => {
    const rows = new Rows()
    for (const [n, keys] of [[1, 2], [3, 5000], [2, 3], [4000, 40], [1, 20_000], [2, 2]] as const) {
      rows.open(n, keys)
      for (let i = 0; i < n * keys; i++) rows.numbers[rows.first + i] = Math.floor(i / keys)
      const told = new Float64Array(keys * descriptionSize)
      assert.isTrue(rows.describe(n, told, 0, new Float64Array(2 * keys)))
      for (let k = 0; k < keys; k++) {
        const [mean, , min, max, ranks] = told.subarray(k * descriptionSize)
        const expected = [(n - 1) / 2, 0, n - 1, 0, n - 1]
        assert.deepStrictEqual([mean, min, max, leastIn(ranks!), greatestIn(ranks!)], expected)
      }
    }
  })

  it("is not missed where there is no WebAssembly", () => {
    const program = `
      const { Rows } = await import(${JSON.stringify(at("dist/internal/rows.js"))})
      const rows = new Rows()
      rows.open(3, 2)
      rows.numbers.set([1, 10, 2, 20, 6, 30], rows.first)
      const told = new Float64Array(10)
      rows.describe(3, told, 0, new Float64Array(4))
      console.log(typeof WebAssembly, told.join())
    `
    const flags = ["--jitless", "--input-type=module", "--eval", program]
    const [engine, told] = execFileSync(process.execPath, flags, { encoding: "utf8" }).trim().split(" ")
    assert.strictEqual(engine, "undefined")
    assert.deepStrictEqual(told!.split(",").map(Number), [
      ...[3, Math.sqrt(14 / 3), 1, 6, 2],
      ...[20, Math.sqrt(200 / 3), 10, 30, 2]
    ])
  })
})
