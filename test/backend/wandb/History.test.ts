import { assert, describe, it } from "@effect/vitest"
import * as Config from "../../../src/backend/wandb/Config.ts"
import * as History from "../../../src/backend/wandb/History.ts"
import { createdAt, row } from "./support.ts"

const line = (...args: Parameters<typeof row>) => History.line(row(...args), createdAt)

describe("History", () => {
  it("a line has the place in the run, the time, the job's step, metrics and statistics", () => {
    assert.strictEqual(
      line(3, { "train/loss": 0.5, text: "a\"b", yes: true, none: null, list: [1, 2] }, { "train/loss/mean": 0.25 }),
      "{\"_step\":2,\"_timestamp\":1764000003,\"_runtime\":2.75,\"step\":20,\"train/loss\":0.5,\"text\":\"a\\\"b\"," +
        "\"yes\":true,\"none\":null,\"list\":[1,2],\"train/loss/mean\":0.25}"
    )
  })

  it("a record without a step has its place as one, and time before the run is none", () => {
    assert.include(
      History.line({ ...row(5, {}), step: undefined, timestamp: 1 }, createdAt),
      "\"_runtime\":0,\"step\":4"
    )
  })

  it("numbers that are not finite stand bare, as W&B's client writes them", () => {
    assert.include(
      line(1, { a: NaN, b: Infinity, c: -Infinity, d: -0, e: [NaN, 1] }),
      "\"a\":NaN,\"b\":Infinity,\"c\":-Infinity,\"d\":-0.0,\"e\":[NaN,1]"
    )
  })

  it("a metric never takes the place of what W&B needs, nor of another", () => {
    const keys = ["step", "step_", "_step", "_step_", "_timestamp", "_runtime", "_wandb", "steps", "a/step"]
    const names = keys.map(History.name)
    assert.deepStrictEqual(names, [
      "step_",
      "step__",
      "_step_",
      "_step__",
      "_timestamp_",
      "_runtime_",
      "_wandb_",
      "steps",
      "a/step"
    ])
    const found: Array<string> = []
    History.each(row(1, Object.fromEntries(keys.map((key) => [key, 1]))), createdAt, (key) => found.push(key))
    assert.strictEqual(new Set(found).size, found.length)
  })

  it("a metric and a statistic of one name are one item", () => {
    const found: Array<string> = []
    History.each(row(1, { "a/mean": 1 }, { "a/mean": 2, "a/min": 3 }), createdAt, (key, json) => {
      found.push(`${key}=${json}`)
    })
    assert.deepStrictEqual(found.slice(4), ["a/mean=1", "a/min=3"])
  })

  it("an array of more than 32 numbers is a histogram of those that are finite", () => {
    const { _type, bins, values } = JSON.parse(History.text([...Array.from({ length: 65 }, (_, i) => i), NaN]))
    assert.strictEqual(_type, "histogram")
    assert.deepStrictEqual([values.length, bins.length, bins[0], bins[64]], [64, 65, 0, 64])
    assert.deepStrictEqual(values, [...Array.from({ length: 63 }, () => 1), 2])
    const sum = (text: string) => JSON.parse(text).values.reduce((a: number, b: number) => a + b, 0)
    assert.strictEqual(sum(History.text(Array.from({ length: 40 }, () => 7))), 40)
    assert.strictEqual(
      sum(History.text([Number.MAX_VALUE, -Number.MAX_VALUE, ...Array.from({ length: 40 }, () => 0)])),
      42
    )
    assert.strictEqual(sum(History.text(Array.from({ length: 10 }, () => [1, 2, 3, 4]))), 40)
    assert.match(History.text(Array.from({ length: 33 }, () => NaN)), /^\[NaN,/)
    assert.strictEqual(History.text([[1, 2], [3, 4]]), "[[1,2],[3,4]]")
  })
})

describe("Config", () => {
  it("the user's keys are at the top, where the run comes from is under ezpz", () => {
    assert.deepStrictEqual(Config.entries({ lr: 0.1, nested: { a: NaN }, big: 2n ** 64n }, { hostname: "h" }), [
      ["lr", "0.1"],
      ["nested", "{\"a\":\"NaN\"}"],
      ["big", "18446744073709551616"],
      ["ezpz", "{\"hostname\":\"h\"}"]
    ])
    assert.deepStrictEqual(Config.entries({ ezpz: 1, _wandb: 2, f: () => 1 }, { a: 1 }), [
      ["ezpz", "1"],
      ["_wandb_", "2"],
      ["ezpz_", "{\"a\":1}"]
    ])
  })

  it("online each value is in an object", () => {
    assert.strictEqual(
      Config.online([["lr", "0.1"]], { m: [] }),
      "{\"lr\":{\"value\":0.1},\"_wandb\":{\"value\":{\"m\":[]}}}"
    )
  })

  it("what is watched says what it is", () => {
    class Model {
      toString() {
        return "Linear(2, 3)"
      }
    }
    assert.deepStrictEqual(Config.watched(new Model(), { log: "all" }), {
      class: "Model",
      description: "Linear(2, 3)",
      options: { log: "all" }
    })
    assert.deepStrictEqual(Config.watched({ a: 1 }), { class: "Object", description: "{\"a\":1}" })
    const circular: Record<string, unknown> = {}
    circular["self"] = circular
    assert.deepStrictEqual(Config.watched(circular), { class: "Object" })
  })
})
