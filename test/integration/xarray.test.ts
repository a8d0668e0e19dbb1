import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Dataset from "../../src/artifact/Dataset.ts"
import * as Census from "../../src/Census.ts"
import * as Columns from "../../src/Columns.ts"
import * as Fold from "../../src/Fold.ts"
import type { Metrics } from "../../src/Metrics.ts"
import type { Row } from "../../src/Row.ts"
import { temporary } from "../support/directory.ts"
import * as Python from "./python.ts"

const rowsOf = (records: ReadonlyArray<Metrics>, statistics?: Metrics): ReadonlyArray<Row> =>
  records.map((metrics, i) => ({
    seq: i + 1,
    step: i === 1 ? undefined : i * 100,
    timestamp: 1.7e9 + i / 3,
    rank: 0,
    metrics,
    statistics: statistics === undefined ? undefined : { values: statistics, count: 2, expected: 2 }
  }))

const write = (directory: string, rows: ReadonlyArray<Row>) =>
  Effect.gen(function*() {
    const stream = Stream.fromIterable(rows)
    const census = yield* Fold.run(stream, Census.fold)
    return yield* Fold.run(stream, Columns.fromRows(Dataset.fold(census, { directory, runId: "bright-fox-7" }), census))
  })

/** What xarray shows of a file: every number as the hexadecimal digits of its float64. */
const script = `
import json, sys, xarray
with xarray.open_dataset(sys.argv[1], engine=sys.argv[2]) as ds:
    show = lambda v: dict(dims=list(v.dims), shape=list(v.shape), dtype=str(v.dtype), hex=v.values.tobytes().hex(),
                          attrs={k: str(a) for k, a in v.attrs.items()})
    print(json.dumps(dict(
        sizes=dict(ds.sizes), attrs={k: str(a) for k, a in ds.attrs.items()},
        coords={str(k): show(v) for k, v in ds.coords.items()},
        variables={str(k): show(v) for k, v in ds.data_vars.items()})))
`

const Shown = Schema.Struct({
  dims: Schema.Array(Schema.String),
  shape: Schema.Array(Schema.Finite),
  dtype: Schema.String,
  hex: Schema.String,
  attrs: Schema.Record(Schema.String, Schema.String)
})

const View = Schema.Struct({
  sizes: Schema.Record(Schema.String, Schema.Finite),
  attrs: Schema.Record(Schema.String, Schema.String),
  coords: Schema.Record(Schema.String, Shown),
  variables: Schema.Record(Schema.String, Shown)
})

const look = (path: string, engine: string) =>
  Effect.promise(() => Python.run(script, path, engine)).pipe(
    Effect.flatMap(Schema.decodeEffect(Schema.fromJsonString(View)))
  )

const float64 = (...values: ReadonlyArray<number>): string =>
  Buffer.from(Float64Array.from(values).buffer).toString("hex")

const int64 = (...values: ReadonlyArray<number>): string =>
  Buffer.from(BigInt64Array.from(values, BigInt).buffer).toString("hex")

beforeAll(() => Python.python(), Python.timeout)

for (const engine of ["h5netcdf", "netcdf4"]) {
  describe(`xarray.open_dataset with ${engine}`, () => {
    it.effect("shows named dimensions, coordinates and every value to the last bit", () =>
      Effect.gen(function*() {
        const odd = [0.1 + 0.2, -0, 5e-324, 1.7976931348623157e308, Infinity, -Infinity, NaN]
        const rows = rowsOf(odd.map((value, i): Metrics => i === 2 ? { "train/other": 1 } : { "train/loss": value }))
        const [file] = yield* write(yield* temporary, rows)
        assert.isDefined(file)
        const view = yield* look(file.path, engine)
        assert.deepStrictEqual(view.sizes, { draw: 7 })
        assert.deepStrictEqual(view.attrs, { run_id: "bright-fox-7", group: "train" })
        assert.deepStrictEqual(Object.keys(view.coords).sort(), ["draw", "step", "timestamp"])
        assert.deepStrictEqual(view.coords["draw"], {
          dims: ["draw"],
          shape: [7],
          dtype: "int64",
          hex: int64(0, 1, 2, 3, 4, 5, 6),
          attrs: {}
        })
        assert.deepStrictEqual(view.coords["step"], {
          dims: ["draw"],
          shape: [7],
          dtype: "float64",
          hex: float64(0, NaN, 200, 300, 400, 500, 600),
          attrs: {}
        })
        assert.deepStrictEqual(view.coords["timestamp"], {
          dims: ["draw"],
          shape: [7],
          dtype: "float64",
          hex: float64(...odd.map((_, i) => 1.7e9 + i / 3)),
          attrs: {}
        })
        assert.deepStrictEqual(view.variables, {
          loss: {
            dims: ["draw"],
            shape: [7],
            dtype: "float64",
            hex: float64(...odd.with(2, NaN)),
            attrs: { metric: "train/loss" }
          },
          other: {
            dims: ["draw"],
            shape: [7],
            dtype: "float64",
            hex: float64(...odd.map((_, i) => i === 2 ? 1 : NaN)),
            attrs: { metric: "train/other" }
          }
        })
      }))

    it.effect("shows chains, leapfrogs, statistics, and metrics named like dimensions", () =>
      Effect.gen(function*() {
        const rows = rowsOf(
          [{ "x": [1, 2, 3], "draw": 4, "layers/norm": 0 }, { "x": [5], "y": [[1, 2], [3, 4], [5, 6]], "z": [1, 2] }],
          { "x/mean": 9 }
        )
        const [file] = yield* write(yield* temporary, rows)
        assert.isDefined(file)
        const view = yield* look(file.path, engine)
        assert.deepStrictEqual(view.sizes, { draw: 2, chain: 3, leapfrog: 2, chain_2: 2 })
        assert.deepStrictEqual(view.coords["chain"]?.hex, int64(0, 1, 2))
        assert.deepStrictEqual(view.coords["leapfrog"]?.hex, int64(0, 1))
        const { draw_, x, x_mean, y, z } = view.variables
        assert.deepStrictEqual(x?.dims, ["draw", "chain"])
        assert.deepStrictEqual(x?.hex, float64(1, 2, 3, 5, NaN, NaN))
        assert.deepStrictEqual(y?.dims, ["draw", "chain", "leapfrog"])
        assert.deepStrictEqual(y?.hex, float64(...Array.from({ length: 6 }, () => NaN), 1, 2, 3, 4, 5, 6))
        assert.deepStrictEqual(z?.dims, ["draw", "chain_2"])
        assert.deepStrictEqual(draw_?.attrs, { metric: "draw" })
        assert.deepStrictEqual(draw_?.hex, float64(4, NaN))
        assert.deepStrictEqual(x_mean?.attrs, { metric: "x/mean", statistic: "mean", of: "x" })
        assert.deepStrictEqual(x_mean?.hex, float64(9, 9))
      }))

    it.effect("shows the same dimension on more variables than a scale lists", () =>
      Effect.gen(function*() {
        const metrics = Object.fromEntries(Array.from({ length: 1100 }, (_, i) => [`m${i}`, [i, i + 0.5]]))
        const [file] = yield* write(yield* temporary, rowsOf([metrics, {}, metrics]))
        assert.isDefined(file)
        const view = yield* look(file.path, engine)
        assert.deepStrictEqual(view.sizes, { draw: 2, chain: 2 })
        const variables = Object.entries(view.variables)
        assert.strictEqual(variables.length, 1100)
        for (const [name, { dims, hex }] of variables) {
          const i = Number(name.slice(1))
          assert.deepStrictEqual(dims, ["draw", "chain"])
          assert.strictEqual(hex, float64(i, i + 0.5, i, i + 0.5))
        }
      }))

    it.effect("shows NaN where a long run has no value", () =>
      Effect.gen(function*() {
        const rows = rowsOf(
          Array.from({ length: 10_000 }, (_, i): Metrics => i === 9000 ? { a: i, rare: i } : { a: i })
        )
        const [file] = yield* write(yield* temporary, rows)
        assert.isDefined(file)
        const view = yield* look(file.path, engine)
        assert.strictEqual(view.variables["a"]?.hex, float64(...rows.keys()))
        assert.strictEqual(view.variables["rare"]?.hex, float64(...new Float64Array(10_000).fill(NaN).with(9000, 9000)))
      }))
  })
}
