import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { stripVTControlCharacters } from "node:util"
import type * as Series from "../../src/artifact/Series.ts"
import * as TerminalPlot from "../../src/artifact/TerminalPlot.ts"
import * as Marker from "../../src/artifact/tplot/Marker.ts"
import * as Text from "../../src/artifact/tplot/Text.ts"
import type * as Census from "../../src/Census.ts"

const variable = (key: string, file = key.replaceAll(/[^\w-]/g, "_")): Census.Variable => ({
  key,
  statistic: undefined,
  index: 0,
  name: file,
  file,
  chains: 0,
  leapfrogs: 0,
  count: 1,
  texts: 0,
  integer: false,
  min: 0,
  max: 1
})

const group = (name: string, ...files: ReadonlyArray<string>): Census.Group => ({
  name,
  file: name === "" ? "dataset" : name,
  draws: 1,
  orderedSteps: true,
  variables: files.map((file) => variable(file))
})

const histogram = (ys: ReadonlyArray<number>): Series.Histogram => {
  const finite = ys.filter((y) => Number.isFinite(y))
  const from = Math.min(...finite)
  const to = Math.max(...finite)
  const counts = new Float64Array(20)
  for (const y of finite) {
    const bin = Math.min(19, Math.floor(((y - from) / (to - from || 1)) * 20)) || 0
    counts[bin] = (counts[bin] ?? 0) + 1
  }
  return finite.length === 0 ? { from: 0, to: 0, counts } : { from, to, counts }
}

const series = (key: string, ys: ReadonlyArray<number>, more: Partial<Series.Series> = {}): Series.Series => ({
  group: group(""),
  variable: variable(key),
  axis: "step",
  drawn: true,
  raw: points(ys),
  trend: undefined,
  spread: undefined,
  mean: undefined,
  min: undefined,
  max: undefined,
  std: undefined,
  histograms: { raw: histogram(ys), mean: undefined, min: undefined, max: undefined, std: undefined },
  ridges: undefined,
  last: undefined,
  summary: { latest: 0, mean: 0, min: 0, max: 0, std: 0, count: ys.length, nonFinite: 0 },
  ...more
})

const points = (ys: ReadonlyArray<number>): Series.Points => ({
  x: Float64Array.from(ys, (_, nth) => nth + 1),
  y: Float64Array.from(ys)
})

const acrossRanks = (key: string, ys: ReadonlyArray<number>, more: Partial<Series.Series> = {}): Series.Series => {
  const min = ys.map((y) => y - 0.2)
  const max = ys.map((y) => y + 0.2)
  const std = ys.map((_, nth) => 0.1 + nth / 1000)
  return series(key, ys, {
    spread: "ranks",
    mean: points(ys),
    min: points(min),
    max: points(max),
    std: points(std),
    histograms: {
      raw: histogram(ys),
      mean: histogram(ys),
      min: histogram(min),
      max: histogram(max),
      std: histogram(std)
    },
    ...more
  })
}

const rising = Array.from({ length: 80 }, (_, nth) => 1 - Math.exp(-nth / 20))

const linesOf = (text: string | undefined): ReadonlyArray<string> => (text ?? "").split("\n").slice(0, -1)

/** The titles of the panes, row by row. */
const titles = (text: string | undefined, key: string): ReadonlyArray<string> =>
  linesOf(text).join("\n").match(new RegExp(`${key}\\S*( hist)?`, "g")) ?? []

const inDirectory = <A, E>(use: (directory: string) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.acquireUseRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "tplot-"))),
    use,
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )

describe("TerminalPlot.render", () => {
  it("a metric with a spread has values and mean on the left, min, std and max on the right", () => {
    const { hist, main, summary } = TerminalPlot.render(acrossRanks("acc", rising))
    assert.deepStrictEqual([...titles(main, "acc")].toSorted(), ["acc", "acc/max", "acc/mean", "acc/min", "acc/std"])
    assert.match(main, /^ +acc +acc\/min\n/)
    assert.deepStrictEqual(titles(hist, "acc"), ["acc/mean hist", "acc/max hist", "acc/min hist", "acc/std hist"])
    assert.match(summary ?? "", /^ +acc {3}\+ max {3}- min {3}· mean {3}▞ raw\n/)
    for (const text of [main, summary, hist]) {
      assert.strictEqual(linesOf(text).length, 40)
      assert.strictEqual(Math.max(...linesOf(text).map(Text.width)), 120)
      assert(text?.endsWith("\n"))
    }
  })

  it("a metric without one has one pane, and a histogram only if it is a time", () => {
    const plain = TerminalPlot.render(series("loss", rising))
    assert.deepStrictEqual(titles(plain.main, "loss"), ["loss"])
    assert.strictEqual(plain.summary, undefined)
    assert.strictEqual(plain.hist, undefined)
    const hasHistogram = (key: string) => TerminalPlot.render(series(key, rising)).hist !== undefined
    assert.deepStrictEqual(
      ["dt", "train/dtf", "dtb", "forward/dt", "step_time", "stepTime", "io.latency"].filter(hasHistogram).length,
      7
    )
    assert.deepStrictEqual(["width", "dtype", "timestep", "sentiment", "updates"].filter(hasHistogram), [])
  })

  it("the overlay of a small run", () => {
    assert.deepStrictEqual(
      linesOf(TerminalPlot.render(acrossRanks("acc", rising), { width: 60, height: 14 }).summary),
      [
        "             acc   + max   - min   · mean   ▞ raw",
        "   ┌───────────────────────────────────────────────────────┐",
        "   │                         ++++++++++++++++++++++++++++++│",
        "1.0┤                +++++++++    ▄▄▄▄▄▄▄▄▄▄▄▄▄▀▀▀▀▀▀▀▀▀▀▀▀▀│",
        "   │          ++++++ ▗▄▄▄▄▀▀▀▀▀▀▀      --------------------│",
        "   │      ++++ ▗▄▄▀▀▀▘   --------------                    │",
        "0.5┤   +++ ▄▄▞▀▘  -------                                  │",
        "   │ ++ ▗▄▀  -----                                         │",
        "   │+▗▄▀▘----                                              │",
        "0.0┤▞▘ --                                                  │",
        "   │---                                                    │",
        "   └─────────────┬─────────────┬─────────────┬────────────┬┘",
        "                20            40            60           80",
        "                       step (80 values)"
      ]
    )
  })

  it("the mean shows through the mass of a long run's values", () => {
    const noisy = Array.from({ length: 1600 }, (_, nth) => nth % 2)
    const { main } = TerminalPlot.render(series("loss", noisy, { trend: points(noisy.map(() => 0.5)) }), {
      width: 60,
      height: 15
    })
    assert.match(main, /^ +loss {3}· mean {3}▞ values\n/)
    assert.match(main, /[│┤]·+│\n/)
  })

  it("type hist has histograms in place of lines", () => {
    const { main } = TerminalPlot.render(acrossRanks("acc", rising), { type: "hist" })
    assert.strictEqual(titles(main, "acc").length, 5)
    assert(titles(main, "acc").every((title) => title.endsWith(" hist")))
    assert.deepStrictEqual(titles(TerminalPlot.render(series("acc", rising), { type: "hist" }).main, "acc"), [
      "acc hist"
    ])
  })

  it("the marker is the one asked for, and never one that means something else", () => {
    assert.match(TerminalPlot.render(series("loss", rising), { marker: "braille" }).main, /[⠁-⣿]/)
    assert.match(TerminalPlot.render(acrossRanks("loss", rising), { marker: "+" }).summary ?? "", /· mean {3}\* raw/)
  })

  it("is plain unless colour is asked for", () => {
    const of = acrossRanks("acc", rising)
    const plain = TerminalPlot.render(of)
    const colored = TerminalPlot.render(of, { color: true })
    for (const part of ["main", "summary", "hist"] as const) {
      assert(!plain[part]?.includes("\x1b"))
      assert(colored[part]?.includes("\x1b[3"))
      assert.strictEqual(colored[part] === undefined ? undefined : stripVTControlCharacters(colored[part]), plain[part])
    }
  })

  it("says how many values it stands for, and how many it cannot show", () => {
    const base = series("loss", rising)
    const { main } = TerminalPlot.render({ ...base, summary: { ...base.summary, nonFinite: 3 } })
    assert.match(main, / step \(83 values, 3 not finite\)\n$/)
  })

  it("stays within its size whatever the data, the name and the marker", () => {
    const value = fc.oneof(
      fc.double(),
      fc.constantFrom(NaN, Infinity, -Infinity, 0, 1e-300, 1e300, -1e300, Number.MAX_VALUE, -Number.MAX_VALUE)
    )
    fc.assert(fc.property(
      fc.array(value, { maxLength: 40 }),
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 130 }),
      fc.integer({ min: 1, max: 45 }),
      fc.constantFrom(...Marker.names),
      fc.constantFrom(...TerminalPlot.types),
      (ys, key, spread, width, height, marker, type) => {
        const plots = TerminalPlot.render((spread ? acrossRanks : series)(key, ys), { width, height, marker, type })
        for (const text of [plots.main, plots.summary, plots.hist]) {
          if (text === undefined) continue
          const lines = linesOf(text)
          assert.isAtMost(lines.length, height)
          for (const line of lines) assert.isAtMost(Text.width(line), width)
          const framed = lines.filter((line) => /[┌│┤└].*[┐│┘]$/u.test(line))
          if (!/┐.*┌/u.test(text)) assert.isAtMost(new Set(framed.map(Text.width)).size, 1)
        }
      }
    ))
  })
})

describe("TerminalPlot.overlay", () => {
  it("stands one below the other, and two side by side from 120 columns on", () => {
    const list = [acrossRanks("loss", rising), series("acc", rising), series("dt", rising)]
    const narrow = linesOf(TerminalPlot.overlay(list, { width: 80 }))
    assert.strictEqual(narrow.length, 60)
    assert.strictEqual(Math.max(...narrow.map(Text.width)), 80)
    const wide = linesOf(TerminalPlot.overlay(list, { width: 120 }))
    assert.strictEqual(wide.length, 40)
    assert.match(wide[0] ?? "", /loss {3}\+ max .* acc$/)
    assert.strictEqual(
      Math.max(...linesOf(TerminalPlot.overlay(list.slice(0, 1), { width: 140 })).map(Text.width)),
      140
    )
    assert.strictEqual(TerminalPlot.overlay([]), "")
  })
})

describe("TerminalPlot.optionsFromEnv", () => {
  it("takes what is known, and notes what is not", () => {
    const { notes, options } = TerminalPlot.optionsFromEnv({ EZPZ_TPLOT_MARKER: " FHD ", EZPZ_TPLOT_TYPE: "pie\x1b" })
    assert.strictEqual(options.marker, "fhd")
    assert.strictEqual(options.type, undefined)
    assert.deepStrictEqual(notes, ["EZPZ_TPLOT_TYPE=pie\\x1b is not known, taken as line; known are: line, hist"])
    assert.deepStrictEqual(TerminalPlot.optionsFromEnv({ EZPZ_TPLOT_MARKER: "" }).notes, [])
  })
})

describe("TerminalPlot.draw", () => {
  it.effect("writes the plots into the group's folder, the empty group's beside the folders", () =>
    inDirectory((directory) =>
      Effect.gen(function*() {
        const files = yield* TerminalPlot.draw(
          acrossRanks("train/loss", rising, {
            group: group("train", "loss"),
            variable: variable("train/loss", "loss")
          }),
          { directory }
        )
        const folder = join(directory, "plots", "tplot")
        assert.deepStrictEqual(files, {
          main: join(folder, "train", "loss.txt"),
          summary: join(folder, "train", "loss_summary.txt"),
          hist: join(folder, "train", "loss_hist.txt")
        })
        const plain = yield* TerminalPlot.draw(series("loss", rising), { directory, marker: "braille" })
        assert.deepStrictEqual(plain, { main: join(folder, "loss.txt"), summary: undefined, hist: undefined })
        const text = yield* Effect.promise(() => readFile(plain.main, "utf8"))
        assert.strictEqual(text, TerminalPlot.render(series("loss", rising), { marker: "braille" }).main)
        // Again: replaced, and nothing left beside it.
        yield* TerminalPlot.draw(series("loss", rising), { directory, marker: "hd" })
        const again = yield* Effect.promise(() => readFile(plain.main, "utf8"))
        assert.strictEqual(again, TerminalPlot.render(series("loss", rising)).main)
        assert.deepStrictEqual((yield* Effect.promise(() => readdir(folder))).toSorted(), ["loss.txt", "train"])
      })
    ))

  it.effect("no two metrics share a file, whatever they are called", () =>
    inDirectory((directory) =>
      Effect.gen(function*() {
        const names = ["dt", "dt_hist", "DT_Summary", "dt_summary_hist"]
        const of = group("g", ...names)
        const written = yield* Effect.forEach(names, (name) =>
          TerminalPlot.draw(acrossRanks(name, rising, { group: of, variable: variable(name) }), { directory }))
        const paths = written.flatMap(({ hist, main, summary }) => [main, summary ?? "", hist ?? ""])
        assert.strictEqual(
          new Set(paths.map((path) =>
            path.toLowerCase()
          )).size,
          12
        )
        assert.strictEqual(written[0]?.hist, join(directory, "plots", "tplot", "g", "dt.hist.txt"))
        assert.strictEqual(written[0]?.summary, join(directory, "plots", "tplot", "g", "dt.summary.txt"))
        for (const [nth, name] of names.entries()) {
          const text = yield* Effect.promise(() => readFile(written[nth]?.main ?? "", "utf8"))
          assert.match(text, new RegExp(`^ +${name} +${name}/min\n`))
        }
      })
    ))

  it.effect("what cannot be written is said, with its path, and leaves nothing beside it", () =>
    inDirectory((directory) =>
      Effect.gen(function*() {
        const taken = join(directory, "plots", "tplot", "loss.txt")
        yield* Effect.promise(() => mkdir(taken, { recursive: true }))
        const error = yield* Effect.flip(TerminalPlot.draw(series("loss", rising), { directory }))
        assert.strictEqual(error._tag, "ArtifactError")
        assert.strictEqual(error.path, taken)
        assert.match(error.message, /terminal plot .*loss\.txt could not be written/)
        assert.deepStrictEqual(yield* Effect.promise(() => readdir(join(directory, "plots", "tplot"))), ["loss.txt"])
      })
    ))
})
