import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import * as Api from "../../src/serve/Api.ts"
import { temporary } from "../support/directory.ts"
import { type Answer, ask, falling, line, make, serve, statistics } from "./runs.ts"

const live = (name: string, test: Effect.Effect<void, unknown, Scope.Scope>): void =>
  it.live(name, () => Effect.scoped(test))

const get = (port: number, path: string, options: Parameters<typeof ask>[2] = {}): Effect.Effect<Answer> =>
  Effect.promise(() => ask(port, path, options))

/** An answer, as its schema says it is. */
const read = <S extends Schema.Decoder<unknown>>(schema: S, { status, text }: Answer): S["Type"] => {
  assert.strictEqual(status, 200, text)
  return Schema.decodeUnknownSync(schema)(JSON.parse(text), { onExcessProperty: "error" })
}

describe("the API", () => {
  live(
    "lists runs with state, configuration and last values, in what the schema says",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "demo/a", falling(10), { config: { lr: 0.1, model: { layers: 3, name: "x" } }, createdAt: 100 })
      make(root, "demo/deep/b", falling(3), { state: "running", name: "named", createdAt: 200 })
      const { port } = yield* serve(root)
      const { runs } = read(Api.Runs, yield* get(port, "/api/runs"))
      assert.deepStrictEqual(runs.map(({ id, name, state, step }) => [id, name, state, step]), [
        ["demo/deep/b", "named", "killed", 3],
        ["demo/a", "a", "finished", 10]
      ])
      assert.deepStrictEqual(runs[1]?.config, { lr: "0.1", "model.layers": "3", "model.name": "x" })
      assert.deepStrictEqual(runs[1]?.last, { loss: 0.1, "eval/acc": 3 })
    })
  )

  live(
    "says again only what has changed",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(1))
      const { port } = yield* serve(root)
      const first = yield* get(port, "/api/runs")
      const again = yield* get(port, "/api/runs", { headers: { "If-None-Match": String(first.headers.etag) } })
      assert.strictEqual(again.status, 304)
      assert.strictEqual(again.text, "")
    })
  )

  live(
    "gives curves over step, time and relative time, decimated, with every extreme and with gaps",
    Effect.gen(function*() {
      const root = yield* temporary
      const values = Array.from({ length: 5000 }, (_, i) => i === 2500 ? 1000 : i === 3000 ? "NaN" : Math.sin(i))
      make(root, "a", values.map((value, i) => line(i + 1, { value })).join(""))
      const { port } = yield* serve(root)
      for (const [axis, first] of [["step", 1], ["time", 1_795_445_509], ["relative", 0]] as const) {
        const { curves, from, to } = read(
          Api.Series,
          yield* get(port, `/api/series?run=a&key=value&x=${axis}&width=100`)
        )
        const [curve] = curves
        assert.isDefined(curve)
        assert.strictEqual(curve.points, 5000)
        assert.isAtMost(curve.x.length, 308)
        assert.strictEqual(curve.x.length, curve.y.length)
        assert.deepStrictEqual([from, to], [first, first + 4999])
        assert.isTrue(curve.x.every((x, i) => x >= (curve.x[i - 1] ?? -Infinity)))
        assert.strictEqual(curve.x[curve.y.indexOf(1000)], first + 2500)
        assert.include(curve.y, null)
        assert.deepStrictEqual(curve.last, { x: first + 4999, y: Math.sin(4999), spread: null })
      }
    })
  )

  live(
    "refines a part of a long run out of the log",
    Effect.gen(function*() {
      const root = yield* temporary
      const records = 40_000
      make(root, "a", Array.from({ length: records }, (_, i) => line(i + 1, { value: i * i % 977 })).join(""))
      const { port } = yield* serve(root)
      const path = "/api/series?run=a&key=value&width=400&from=20000.5&to=20200.5"
      const [coarse] = read(Api.Series, yield* get(port, path)).curves
      assert.isTrue(coarse?.coarse)
      const [fine] = read(Api.Series, yield* get(port, `${path}&fine=1`)).curves
      assert.isFalse(fine?.coarse)
      const inside = fine?.x.flatMap((x, i) => x > 20_000.5 && x < 20_200.5 ? [[x, fine.y[i]]] : [])
      assert.deepStrictEqual(inside, Array.from({ length: 200 }, (_, i) => [20_001 + i, (20_000 + i) ** 2 % 977]))
    })
  )

  live(
    "has what ranks said: mean, deviation, range, and who stands out",
    Effect.gen(function*() {
      const root = yield* temporary
      make(
        root,
        "a",
        Array.from({ length: 200 }, (_, i) => line(i + 1, { dt: i }) + statistics(i + 1, "dt", i + 0.5)).join("")
      )
      const { port } = yield* serve(root)
      const [curve] = read(Api.Series, yield* get(port, "/api/series?run=a&key=dt&width=1000&smooth=0.5")).curves
      const band = curve?.band
      assert.strictEqual(band?.across, "ranks")
      assert.deepStrictEqual(band?.mean.slice(0, 2), [0.5, 1.5])
      assert.deepStrictEqual(band?.high.slice(0, 2), [2.5, 3.5])
      assert.deepStrictEqual(band?.low.slice(0, 2), [-0.5, 0.5])
      assert.deepStrictEqual(curve?.last?.spread, { std: 0.5, low: 198.5, high: 201.5 })
      assert.isNotNull(curve?.smooth ?? null)
      const { tables } = read(Api.Ranks, yield* get(port, "/api/ranks?run=a"))
      assert.deepStrictEqual(tables[0]?.rows[0]?.slice(0, 3), ["dt", "3", "slowest"])
    })
  )

  live(
    "filters by regular expression, and says what is none or takes too long",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", line(1, { loss: 1, "eval/loss": 1, [`${"a".repeat(40)}b`]: 1 }))
      const { port } = yield* serve(root)
      const filter = (pattern: string) =>
        Effect.map(
          get(port, `/api/filter?run=a&pattern=${encodeURIComponent(pattern)}`),
          (answer) => read(Api.Filtered, answer)
        )
      assert.deepStrictEqual((yield* filter("^eval/")).keys, ["eval/loss"])
      assert.isNotNull((yield* filter("(")).problem)
      assert.isNotNull((yield* filter("^(a+)+$")).problem)
    })
  )

  live(
    "gives the records as CSV and the files of the run, byte for byte",
    Effect.gen(function*() {
      const root = yield* temporary
      const directory = make(root, "a", line(1, { loss: 0.5, "say \"x\", y": 2 }) + line(2, { loss: "NaN" }))
      Fs.writeFileSync(Path.join(directory, "report.md"), "# <img src=x>\n")
      Fs.writeFileSync(Path.join(directory, "dataset.h5"), Buffer.from([0, 255, 1, 10]))
      const { port } = yield* serve(root)
      const csv = yield* get(port, "/csv?run=a")
      assert.match(String(csv.headers["content-disposition"]), /^attachment; filename="a.csv"/)
      assert.strictEqual(
        csv.text,
        "step,timestamp,loss,\"say \"\"x\"\", y\"\n1,1795445509,0.5,2\n2,1795445510,NaN,\n"
      )
      assert.strictEqual((yield* get(port, "/csv?run=a&key=loss")).text.split("\n")[0], "step,timestamp,loss")
      const file = yield* get(port, "/file?run=a&path=dataset.h5")
      assert.deepStrictEqual([...file.body], [0, 255, 1, 10])
      assert.match(String(file.headers["content-disposition"]), /^attachment/)
      assert.match(String(file.headers["content-security-policy"]), /sandbox/)
      assert.strictEqual(read(Api.Report, yield* get(port, "/api/report?run=a")).markdown, "# <img src=x>\n")
      assert.deepStrictEqual(read(Api.Run, yield* get(port, "/api/run?run=a")).files.map(({ path }) => path), [
        "report.md",
        "metrics.jsonl",
        "dataset.h5"
      ])
    })
  )

  live(
    "tells of points while they are written, and of a run that is deleted and comes again",
    Effect.gen(function*() {
      const root = yield* temporary
      const directory = make(root, "a", falling(1))
      const { port } = yield* serve(root)
      const heard: Array<Api.Change> = []
      const request = yield* Effect.acquireRelease(
        Effect.sync(() =>
          Http.get(
            { port, path: "/api/events?run=gone&run=a", agent: false },
            (response) =>
              response.on("data", (chunk: Buffer) => {
                for (const [, data] of chunk.toString("utf8").matchAll(/^data: (.*)$/gm)) {
                  heard.push(Schema.decodeUnknownSync(Api.Change)(JSON.parse(data ?? "")))
                }
              })
          )
        ),
        (request) => Effect.sync(() => request.destroy())
      )
      request.on("error", () => {})
      const until = (is: (change: Api.Change) => boolean) =>
        Effect.gen(function*() {
          while (!heard.some(is)) yield* Effect.sleep(10)
        })
      // One that is not there keeps none of the others from being heard of, or found in.
      yield* until(({ records }) => records === 1)
      const filtered = read(Api.Filtered, yield* get(port, "/api/filter?run=gone&run=a&pattern=lo"))
      assert.deepStrictEqual(filtered, { problem: null, keys: ["loss"] })
      Fs.appendFileSync(
        Path.join(directory, "metrics.jsonl"),
        `${line(2, { loss: 1 })}${line(3, { loss: 1 }).slice(0, 9)}`
      )
      yield* until(({ records }) => records === 2)
      Fs.appendFileSync(Path.join(directory, "metrics.jsonl"), line(3, { loss: 1 }).slice(9))
      yield* until(({ records, step }) => records === 3 && step === 3)
      Fs.rmSync(directory, { recursive: true })
      yield* until(({ state }) => state === "gone")
      // What was seen of it stays.
      assert.strictEqual(read(Api.Run, yield* get(port, "/api/run?run=a")).state, "gone")
      assert.strictEqual(read(Api.Series, yield* get(port, "/api/series?run=a&key=loss")).curves[0]?.points, 3)
      make(root, "a", falling(7))
      yield* until(({ records, state }) => records === 7 && state === "finished")
    })
  )
})

describe("bad runs", () => {
  live(
    "a torn log, a half copied run, no log, an empty one: shown as far as they can be",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "torn", `${falling(3)}{"seq":4,"st\n${line(5, { loss: 1 })}{"seq":6,`)
      make(root, "empty", "")
      make(root, "newer", falling(1))
      Fs.writeFileSync(Path.join(root, "newer", ".ezpz", "run.json"), "{\"format\":99}")
      Fs.rmSync(Path.join(make(root, "half", falling(2)), ".ezpz"), { recursive: true })
      Fs.mkdirSync(Path.join(root, "nolog"))
      Fs.writeFileSync(Path.join(make(root, "binary", ""), "metrics.jsonl"), Buffer.alloc(5000, 0xff))
      const { port } = yield* serve(root)
      const { runs } = read(Api.Runs, yield* get(port, "/api/runs"))
      assert.sameMembers(runs.map(({ id }) => id), ["torn", "empty", "newer", "half", "binary"])
      assert.isNotNull(runs.find(({ id }) => id === "newer")?.problem ?? null)
      const torn = read(Api.Run, yield* get(port, "/api/run?run=torn"))
      assert.deepStrictEqual([torn.records, torn.corrupt], [4, 1])
      assert.match(torn.notes.join(), /1 lines of the log are torn/)
      assert.strictEqual(read(Api.Run, yield* get(port, "/api/run?run=half")).state, "unknown")
      const empty = read(Api.Series, yield* get(port, "/api/series?run=empty&key=loss"))
      assert.deepStrictEqual([empty.from, empty.curves], [null, []])
      for (const id of ["binary", "newer"]) read(Api.Run, yield* get(port, `/api/run?run=${id}`))
      assert.strictEqual((yield* get(port, "/api/run?run=nolog")).status, 404)
    })
  )

  live(
    "20,000 metrics, and names with markup, quotes, slashes and prototypes in them",
    Effect.gen(function*() {
      const root = yield* temporary
      const odd = [
        "<img src=x onerror=alert(1)>",
        "__proto__",
        "constructor",
        "a&key=b",
        "é/ü\u2028",
        "\"'`",
        "%2f..%2f"
      ]
      const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`m/${i}`, i]))
      const text = `${JSON.stringify(many).slice(0, -1)},${odd.map((key) => `${JSON.stringify(key)}:1`).join(",")}}`
      make(root, "a", `{"seq":1,"step":1,"timestamp":1,"rank":0,"metrics":${text}}\n`, {
        name: "<script>alert(1)</script>"
      })
      const { port } = yield* serve(root)
      const run = read(Api.Run, yield* get(port, "/api/run?run=a"))
      assert.includeMembers(run.metrics.map(({ key }) => key), [...odd, "m/0", "m/19999"])
      for (const key of odd) {
        const answer = read(Api.Series, yield* get(port, `/api/series?run=a&key=${encodeURIComponent(key)}`))
        assert.deepStrictEqual(answer.curves.map((curve) => [curve.key, curve.last?.y]), [[key, 1]])
      }
      const all = yield* get(port, "/api/run?run=a")
      assert.strictEqual(all.headers["content-type"], "application/json")
      assert.strictEqual(all.headers["x-content-type-options"], "nosniff")
    })
  )
})
