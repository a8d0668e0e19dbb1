import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as App from "../../src/watch/App.ts"

const names = Array.from({ length: 10 }, (_, nth) => `m${nth}`)
const context: App.Context = { names, groups: ["a", "b"], across: 3, page: 6, extent: { from: 0, to: 100 } }
const start = App.initial(80, 24)

const press = (keys: ReadonlyArray<string>, state = start, within = context): App.State =>
  keys.reduce((before, key) => App.update(before, { _tag: "Key", key }, within), state)

const every = [
  ...Array.from("hjklgGzqyYsSbxr/?+-=0np HLabc([*"),
  "left",
  "right",
  "up",
  "down",
  "home",
  "end",
  "pageup",
  "pagedown",
  "enter",
  "escape",
  "tab",
  "shift-tab",
  "backspace",
  "ctrl-u",
  "shift-left",
  "shift-right",
  "delete"
]

describe("App", () => {
  it("moves among charts as they stand, and stops at the edges", () => {
    assert.strictEqual(press(["right"]).selected, "m1")
    assert.strictEqual(press(["down", "right"]).selected, "m4")
    assert.strictEqual(press(["left", "up"]).selected, "m0")
    assert.strictEqual(press(["down", "down", "right", "down"]).selected, "m9", "into a row that is not full")
    assert.strictEqual(press(["G", "down", "right", "pagedown"]).selected, "m9")
    assert.strictEqual(press(["pagedown"]).selected, "m6")
    assert.strictEqual(press(["pagedown", "up", "g"]).selected, "m0")
  })

  it("filters by what is typed once it is entered, and keeps a bad pattern to be mended", () => {
    const typed = press(["/", "l", "o", "s", "x", "backspace", "s"])
    assert.deepStrictEqual([typed.typed, typed.pattern], ["loss", ""])
    assert.deepStrictEqual([press(["enter"], typed).typed, press(["enter"], typed).pattern], [undefined, "loss"])
    assert.deepStrictEqual([press(["escape"], typed).typed, press(["escape"], typed).pattern], [undefined, ""])
    assert.deepStrictEqual([press(["/", "(", "enter"]).typed, press(["/", "(", "enter"]).pattern], ["(", ""])
    assert.strictEqual(press(["/", "q", "?"]).typed, "q?", "a key that is typed does nothing else")
    assert.strictEqual(press(["/", "a", "enter", "escape"]).pattern, "")
  })

  it("goes through groups, all of them being one", () => {
    assert.deepStrictEqual(
      [1, 2, 3].map((times) => press(Array.from({ length: times }, () => "tab")).group),
      ["a", "b", undefined]
    )
    assert.strictEqual(press(["shift-tab"]).group, "b")
  })

  it("zooms about the cursor, and never beyond what there is", () => {
    const near = press(["enter", "home", "+", "+"])
    assert.deepStrictEqual([near.window, near.cursor], [{ from: 0, to: 25 }, 0])
    assert.isUndefined(press(["-", "-"], near).window)
    assert.deepStrictEqual(press(["end"], near).window, { from: 75, to: 100 })
    assert.deepStrictEqual(press(["enter", "+"]).window, { from: 50, to: 100 }, "without a cursor the newest stays")
    assert.strictEqual(press(["escape"], near).view, "detail")
    assert.strictEqual(press(["escape", "escape"], near).view, "grid")
  })

  it("quits by q, ctrl-c and ctrl-d, help and filter or not", () => {
    assert.strictEqual(press(["q"]).ended, 0)
    assert.strictEqual(press(["?", "q"]).ended, 0)
    assert.strictEqual(press(["ctrl-d"]).ended, 0)
    assert.strictEqual(press(["/", "ctrl-c"]).ended, 130)
  })

  it("is in order after any keys, of any run", () => {
    fc.assert(fc.property(
      fc.array(fc.constantFrom(...every), { maxLength: 60 }),
      fc.nat(12),
      fc.constantFrom({ from: 0, to: 100 }, { from: 5, to: 5 }, undefined, { from: -1e300, to: 1e300 }),
      (keys, count, extent) => {
        const within = { ...context, names: names.slice(0, count), extent }
        const state = press(keys, start, within)
        if (state.selected !== undefined) assert.include(within.names, state.selected)
        if (state.window !== undefined && extent !== undefined) {
          assert.isAtLeast(state.window.to, state.window.from)
          assert.isAtLeast(state.window.from, extent.from - 1e-9 * Math.abs(extent.from))
        }
        if (state.cursor !== undefined && extent !== undefined) {
          assert.isTrue(state.cursor >= extent.from && state.cursor <= extent.to)
        }
        assert.isDefined(App.densities[state.density])
        assert.include(App.weights, state.smoothing)
      }
    ))
  })
})
