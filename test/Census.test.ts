import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Census from "../src/Census.ts"
import * as Fold from "../src/Fold.ts"
import type { Metrics, Value } from "../src/Metrics.ts"

const row = (metrics: Metrics, step?: number, timestamp = 0): Census.Counted => ({
  metrics,
  step,
  timestamp,
  statistics: undefined
})

const closing = (values: Metrics): Census.Counted => ({
  metrics: undefined,
  step: undefined,
  timestamp: 0,
  statistics: { values, count: 2, expected: 2 }
})

const count = (rows: ReadonlyArray<Census.Counted>, keys: ReadonlyArray<string> = []) =>
  Fold.run(Stream.fromIterable(rows), Census.foldKnowing(keys))

const variableOf = (values: ReadonlyArray<Value>) =>
  Effect.map(count(values.map((value) => row({ a: value }))), (census) => census.groups[0]!.variables[0]!)

const names = (census: Census.Census) =>
  census.groups.map((group) => [group.name, ...group.variables.map((variable) => variable.key)])

describe("groups", () => {
  it.effect("count the records that have a key of theirs, whatever else is in them", () =>
    Effect.gen(function*() {
      const census = yield* count([
        row({ "train/a": 1, "train/b": 1, lr: 1 }),
        row({ "train/a": 1 }),
        row({ "eval/a": 1 }),
        row({}),
        row({ "train/c": null, "eval/a": "text" })
      ])
      assert.strictEqual(census.rows, 5)
      assert.deepStrictEqual(census.groups.map((group) => [group.name, group.draws]), [["train", 3], ["", 1], [
        "eval",
        2
      ]])
    }))

  it.effect("stand in the order of their first key, known keys first, whether they occur or not", () =>
    Effect.gen(function*() {
      const rows = [row({ b: 1, "x/a": 1 }), row({ a: 1, "y/a": 1, "x/b": 1 })]
      assert.deepStrictEqual(names(yield* count(rows)), [["", "b", "a"], ["x", "x/a", "x/b"], ["y", "y/a"]])
      const known = yield* count(rows, ["y/z", "a", "a"])
      assert.deepStrictEqual(names(known), [["y", "y/z", "y/a"], ["", "a", "b"], ["x", "x/a", "x/b"]])
      assert.isFalse(Census.isNumeric(known.groups[0]!.variables[0]!))
    }))

  it.effect("have names for files that differ, and differ from the empty group's", () =>
    Effect.gen(function*() {
      const keys = [
        "a",
        "dataset/a",
        "../../etc/passwd",
        "__proto__/x",
        "Train/a",
        "train/a",
        "a b/c",
        "a_b/c",
        `${"g".repeat(300)}/a`
      ]
      const census = yield* count([row(Object.fromEntries(keys.map((key) => [key, 1])))])
      const files = census.groups.map((group) => group.file)
      assert.strictEqual(files[0], "dataset")
      assert.strictEqual(new Set(files.map((file) => file.toLowerCase())).size, keys.length)
      for (const file of files) assert.match(file, /^[\w-]{1,100}$/)
    }))

  it.effect("have ordered steps if every draw has one and none goes back; they may repeat and jump", () =>
    Effect.gen(function*() {
      const ordered = (steps: ReadonlyArray<number | undefined>) =>
        Effect.map(count(steps.map((step) => row({ a: 1 }, step))), (census) => census.groups[0]?.orderedSteps)
      assert.isTrue(yield* ordered([1, 1, 5, 5.5, 1e300]))
      assert.isTrue(yield* ordered([-5, 0]))
      assert.isFalse(yield* ordered([1, 3, 2]))
      assert.isFalse(yield* ordered([1, undefined, 2]))
      // Each group for itself: what happens between its draws is not its business.
      const census = yield* count([row({ "x/a": 1 }, 5), row({ "y/a": 1 }, 1), row({ "x/a": 1 }, 6), row({ "y/a": 1 })])
      assert.deepStrictEqual(census.groups.map((group) => group.orderedSteps), [true, false])
      assert.strictEqual(census.lastStep, 6)
    }))

  it.effect("say when the first and the last record came", () =>
    Effect.gen(function*() {
      const { firstTimestamp, lastTimestamp } = yield* count([row({ a: 1 }, 1, 7), row({}, 2, 9), row({ a: 1 }, 3, 8)])
      assert.deepStrictEqual([firstTimestamp, lastTimestamp], [7, 8])
      assert.deepStrictEqual(yield* count([]), {
        rows: 0,
        groups: [],
        firstTimestamp: undefined,
        lastTimestamp: undefined,
        lastStep: undefined
      })
    }))
})

describe("variables", () => {
  it.effect("have the largest extents that were seen", () =>
    Effect.gen(function*() {
      const extents = (values: ReadonlyArray<Value>) =>
        Effect.map(variableOf(values), (one) => [one.chains, one.leapfrogs])
      assert.deepStrictEqual(yield* extents([1, true, null]), [0, 0])
      assert.deepStrictEqual(yield* extents([1, [1, 2], [1, 2, 3], []]), [3, 0])
      assert.deepStrictEqual(yield* extents([[1], [[1, 2], [3]], [[], [], []]]), [3, 2])
      assert.deepStrictEqual(yield* extents([[]]), [0, 0])
      assert.deepStrictEqual(yield* extents([[[]]]), [1, 0])
    }))

  it.effect("count numbers and texts apart; their range is that of the finite ones", () =>
    Effect.gen(function*() {
      const one = yield* variableOf([1, -3.5, NaN, Infinity, "text", null, true, [7, NaN], [[-9]]])
      assert.deepInclude(one, { count: 7, texts: 1, min: -9, max: 7, integer: false })
      assert.deepInclude(yield* variableOf([2 ** 53, -0, false]), { min: -0, max: 2 ** 53, integer: true })
      assert.deepInclude(yield* variableOf(["x", null]), { count: 0, texts: 1, min: Infinity, max: -Infinity })
      assert.deepInclude(yield* variableOf([NaN]), { count: 1, min: Infinity, max: -Infinity })
    }))

  it.effect("have names and files that are unique in their group, none of a dimension or coordinate", () =>
    Effect.gen(function*() {
      const keys = [
        "loss",
        "Loss",
        "loss/mean",
        "draw",
        "draw_",
        "step",
        "timestamp",
        "chain",
        "leapfrog",
        "",
        "/",
        "a//b"
      ]
      const census = yield* count([row(Object.fromEntries(keys.map((key) => [`g/${key}`, 1])))])
      const variables = census.groups[0]!.variables
      assert.deepStrictEqual(variables.map((one) => one.key), keys.map((key) => `g/${key}`))
      assert.strictEqual(new Set(variables.map((one) => one.name)).size, keys.length)
      assert.strictEqual(new Set(variables.map((one) => one.file.toLowerCase())).size, keys.length)
      for (const { name } of variables) assert.isFalse(Census.reserved.has(name))
      assert.deepStrictEqual(variables.map((one) => one.index), variables.map((_, i) => i))
    }))

  it.effect("hold statistics apart from metrics of the same key, in the metric's group", () =>
    Effect.gen(function*() {
      const census = yield* count([
        row({ loss: 1, "loss/mean": 5, "x/a": 1 }),
        closing({ "loss/mean": 2, "x/a/max": 3, odd: 4 })
      ])
      assert.deepStrictEqual(
        census.groups.map((
          group
        ) => [group.name, group.draws, ...group.variables.map((one) => [one.key, one.statistic])]),
        [
          ["", 1, ["loss", undefined], ["loss/mean", { of: "loss", name: "mean" }], ["odd", {
            of: "odd",
            name: "odd"
          }]],
          ["loss", 1, ["loss/mean", undefined]],
          ["x", 1, ["x/a", undefined], ["x/a/max", { of: "x/a", name: "max" }]]
        ]
      )
    }))

  it.effect("may be 20,000, named like anything on an object", () =>
    Effect.gen(function*() {
      const metrics: Metrics = JSON.parse(
        `{"__proto__":1,"constructor":2,"toString":3,${
          Array.from({ length: 20_000 }, (_, i) => `"k${i}":${i}`).join(",")
        }}`
      )
      const census = yield* count([row(metrics), row(metrics)])
      assert.strictEqual(census.groups.length, 1)
      assert.strictEqual(census.groups[0]!.variables.length, 20_003)
      assert.deepInclude(census.groups[0]!.variables.find((one) => one.key === "__proto__"), {
        count: 2,
        min: 1,
        max: 1
      })
    }))
})

describe("dropped", () => {
  const group = (draws: number): Census.Group => ({ name: "", file: "", draws, orderedSteps: true, variables: [] })

  it("is a fraction below 1 and else a count, and leaves at least one draw", () => {
    for (
      const [draws, warmup, expected] of [
        [100, 0, 0],
        [100, 0.05, 5],
        [100, 0.999, 99],
        [10, 0.05, 0],
        [100, 1, 1],
        [100, 30.7, 30],
        [100, 100, 99],
        [100, Infinity, 99],
        [1, 5, 0],
        [0, 5, 0],
        [0, 0.5, 0],
        [100, -1, 0],
        [100, -0.5, 0],
        [100, NaN, 0]
      ] as const
    ) {
      assert.strictEqual(Census.dropped(group(draws), warmup), expected, `${draws} ${warmup}`)
    }
  })
})

describe("renamed", () => {
  it.effect("are the variables with numbers whose name is not the key without its group, and no others", () =>
    Effect.gen(function*() {
      const census = yield* count([
        row({ "g/x_y": 1, "g/x/y": 2, "g/z/a": 3, "g/step": 4, "g/text_a": 1, "g/text/a": "x", "a.b c": 1, "": 5 })
      ])
      assert.deepStrictEqual(Census.renamed(census), [
        { key: "g/x/y", group: "g", name: "x_y_2" },
        { key: "g/step", group: "g", name: "step_" },
        { key: "", group: "", name: "_" }
      ])
      const statistics = yield* count([row({ loss_mean: 1, loss: 1 }), closing({ "loss/mean": 1, "loss/max": 1 })])
      assert.deepStrictEqual(Census.renamed(statistics), [{ key: "loss/mean", group: "", name: "loss_mean_2" }])
    }))
})
