import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Posix from "node:path/posix"
import * as Names from "../../../src/backend/mlflow/Names.ts"

/** MLflow's rule, as its validation has it. */
const legal = (name: string): boolean => {
  // Python's normpath keeps no slash at the end.
  const normal = Posix.normalize(name).replace(/(?<=.)\/$/, "")
  return /^[/\p{L}\p{Nd}_.\- ]*$/u.test(name) && name.length <= 250 && normal === name && normal !== "." &&
    !normal.startsWith("..") && !normal.startsWith("/")
}

/** Made of what the rules are about. */
const name = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.array(
    fc.constantFrom(
      ..."/._xXhabF0259 -%:é𝄞",
      "..",
      "_x",
      "_x0025_",
      "_x00",
      "_x_",
      "_xh",
      "0123456789abcdef",
      "\ud800",
      "\n"
    ),
    { maxLength: 12 }
  ).map((parts) => parts.join("")),
  fc.tuple(fc.string({ maxLength: 5 }), fc.nat(300), fc.constantFrom("a", "/", ".", "é", "%")).map(([start, n, unit]) =>
    start + unit.repeat(n)
  )
)

describe("a name", () => {
  it("that MLflow takes stays as it is", () => {
    for (
      const plain of [
        "loss",
        "train/loss/mean",
        "a b-c.d",
        "_x",
        "size_x1",
        "损失",
        "x".repeat(250),
        ".hidden",
        "a/..b"
      ]
    ) {
      assert.strictEqual(Names.encode(plain), plain)
    }
  })

  it("that it does not take says what it was", () => {
    for (
      const [from, to] of [
        ["50%", "50_x0025_"],
        ["a:b", "a_x003A_b"],
        ["a//b", "a/_x002F_b"],
        ["/", "_x002F_"],
        ["..", "_x002E_."],
        ["a/./b", "a/_x002E_/b"],
        ["", "_x_"],
        ["_x_", "_x005F_x_"],
        ["_x0025_", "_x005F_x0025_"],
        ["😀", "_xD83D__xDE00_"]
      ] as const
    ) assert.strictEqual(Names.encode(from), to)
  })

  it("is always one that MLflow takes", () => {
    fc.assert(fc.property(name, (from) => legal(Names.encode(from))), { numRuns: 5000 })
  })

  it("comes back, or was cut and says so", () => {
    fc.assert(
      fc.property(name, (from) => {
        const to = Names.encode(from)
        return Names.decode(to) === (Names.isCut(to) ? undefined : from) && (to.length === 250 || !Names.isCut(to))
      }),
      { numRuns: 5000 }
    )
  })

  it("is no other's", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { maxLength: 50 }),
        (names) =>
          new Set(names.map(Names.encode)).size === names.length && new Set(names.map(Names.path)).size === names.length
      ),
      { numRuns: 500 }
    )
    const long = "x".repeat(400)
    assert.notStrictEqual(Names.encode(`${long}a`), Names.encode(`${long}b`))
    const cut = Names.encode(long)
    assert.notStrictEqual(Names.encode(cut), cut)
    for (const end of ["_xh0123456789abcdef_", ":xh0123456789abcdef_"]) {
      assert.isFalse(Names.isCut(Names.encode(end)))
      assert.strictEqual(Names.decode(Names.encode(end)), end)
    }
  })

  it("of a file never leads elsewhere", () => {
    fc.assert(
      fc.property(name, (from) => {
        const path = Names.path(from)
        return path !== "" && !/[#%\\]/.test(path) && path.split("/").every((part) => !/^\.{0,2}$/.test(part))
      }),
      { numRuns: 2000 }
    )
    assert.strictEqual(Names.path("plots/train loss é.png"), "plots/train loss é.png")
  })
})
