import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Path from "node:path"
import * as Outbox from "../../src/Outbox.ts"
import * as RunDirectory from "../../src/RunDirectory.ts"
import { recordLine, statisticsLine } from "../../src/RunLog.ts"
import * as Live from "../../src/view/Live.ts"
import * as App from "../../src/watch/App.ts"
import * as Chart from "../../src/watch/Chart.ts"
import * as Decades from "../../src/watch/Decades.ts"
import * as Frame from "../../src/watch/Frame.ts"
import * as Layout from "../../src/watch/Layout.ts"
import * as Metrics from "../../src/watch/Metrics.ts"
import * as Once from "../../src/watch/Once.ts"
import * as Summary from "../../src/watch/Summary.ts"
import * as View from "../../src/watch/View.ts"
import { temporary } from "../support/directory.ts"
import { steps, write } from "./run.ts"

const strange = recordLine(
  301,
  undefined,
  1_795_445_900,
  0,
  JSON.stringify({ "train/loss": "NaN", "日本/損失": 1e308, "": -1e-310, vector: [1, "Infinity", 3], text: "\x1b[2J" })
)

const read = (log: string, run: Parameters<typeof write>[2] = {}) =>
  Effect.gen(function*() {
    const directory = Path.join(yield* temporary, "run")
    write(directory, log, run)
    const live = yield* Live.open(directory)
    while (yield* live.poll);
    return live
  })

const screen = (live: Live.Live, state: App.State, now = 1_795_446_000): Frame.Frame =>
  View.draw({ live, state, shown: Metrics.selector()(live, state), now, total: undefined, fine: undefined })

const options = { axis: "step", origin: 0, log: false, smoothing: 0, band: "std" } as const

/** One metric's chart as text. */
const chart = (
  live: Live.Live,
  key: string,
  more: Partial<Chart.Options> = {},
  window?: Chart.Chart["window"],
  height = 12
): string => {
  const series = live.store.series.get(key)
  assert.isDefined(series)
  const frame = Frame.make(60, height)
  Chart.draw(frame, { left: 0, top: 0, width: 60, height }, {
    title: key,
    series,
    options: { ...options, ...more },
    window
  })
  return Frame.toText(frame)
}

const values = (all: ReadonlyArray<number | string>): string =>
  all.map((x, nth) => recordLine(nth + 1, nth, 1000 + nth, 0, JSON.stringify({ x }))).join("")

describe("View", () => {
  it.live("draws any state of any run at any size, and nothing beyond it", () =>
    Effect.gen(function*() {
      const runs = [yield* read(""), yield* read(steps(1, 300) + strange), yield* read(strange)]
      const keys = [
        ..."hjkl?ysSbxr+-0gGHL",
        "left",
        "right",
        "up",
        "down",
        "enter",
        "escape",
        "tab",
        "end",
        "home",
        "/",
        "o"
      ]
      fc.assert(
        fc.property(
          fc.constantFrom(...runs),
          fc.array(fc.constantFrom(...keys), { maxLength: 20 }),
          fc.integer({ min: 0, max: 240 }),
          fc.integer({ min: 0, max: 70 }),
          (live, pressed, columns, rows) => {
            const select = Metrics.selector()
            let state = App.initial(columns, rows)
            for (const key of pressed) {
              const context = View.contextOf({ live, state, shown: select(live, state) })
              state = App.update(state, { _tag: "Key", key }, context)
            }
            const frame = screen(live, state)
            assert.deepStrictEqual([frame.columns, frame.rows], [Math.max(1, columns), Math.max(1, rows)])
            assert.strictEqual(frame.texts.length, frame.columns * frame.rows)
            assert.isFalse(/[\p{Cc}\p{Cf}]/u.test(frame.texts.join("")))
          }
        ),
        { numRuns: 150 }
      )
    }).pipe(Effect.scoped))

  it.live("has every part at each of the usual sizes", () =>
    Effect.gen(function*() {
      const live = yield* read(steps(1, 300), { config: { total_steps: 6000 } })
      for (const [columns, rows, charts] of [[80, 24, 3], [120, 40, 3], [220, 60, 3]] as const) {
        const text = Frame.toText(screen(live, App.initial(columns, rows)))
        for (
          const part of ["● finished  demo / 20261123-134512-k3f9", "step 3,000/6,000 ━━━━━───── 50%", "10 steps/s"]
        ) {
          assert.include(text, part)
        }
        assert.strictEqual(
          text.split("\n").filter((line) => /train\/loss|train\/dt|eval\/acc/.test(line)).length > 0,
          true
        )
        assert.strictEqual((text.match(/train\/loss|train\/dt|eval\/acc/g) ?? []).length, charts)
        assert.include(text, "? help")
      }
    }).pipe(Effect.scoped))

  it.live("has the machine's samples as a group of their own, over time", () =>
    Effect.gen(function*() {
      const directory = Path.join(yield* temporary, "run")
      const log = write(directory, steps(1, 300))
      Outbox.append(
        RunDirectory.outboxPath(log),
        [1, 2, 3].map((seq) => ({
          kind: "system" as const,
          seq,
          timestamp: 1_795_445_508 + 100 * seq,
          metrics: { "gpu.0.power": 100 * seq }
        }))
      )
      const live = yield* Live.open(directory)
      while (yield* live.poll);
      const text = Frame.toText(screen(live, { ...App.initial(80, 24), group: "system" }))
      assert.match(text, /all +train +eval +system/)
      assert.match(text, /^system\/gpu\.0\.power +300$/m)
      assert.match(text, /5min/)
      assert.notInclude(text, "train/loss")
    }).pipe(Effect.scoped))

  it.live("says in a zoomed chart what stands under the cursor", () =>
    Effect.gen(function*() {
      const live = yield* read(steps(1, 300))
      const state: App.State = { ...App.initial(120, 30), view: "detail", selected: "train/loss", cursor: 2000 }
      const text = Frame.toText(screen(live, state))
      assert.include(text, "step 2,000   after 3:19   rank 0 0.005")
      assert.include(text, "ranks: mean 0.005 ± 0.0005   min 0.0045 (rank 1)   max 0.006 (rank 0)")
    }).pipe(Effect.scoped))

  it.live("says whole parts under a zoomed chart, at any width", () =>
    Effect.gen(function*() {
      // So many records that several are under the cursor.
      const live = yield* read(steps(1, 40_000))
      const lines = (more: Partial<App.State>): ReadonlyArray<string> => {
        const state = { ...App.initial(80, 24), view: "detail", selected: "train/loss", ...more } as const
        const { main } = Layout.make(state, 3, true)
        const rows = Frame.toText(screen(live, state)).split("\n").slice(main.top, main.top + main.height)
        return rows.slice(-2).map((row) => row.slice(0, main.width).trimEnd())
      }
      for (
        const [columns, rows, ranks] of [[80, 24, false], [120, 40, true], [120, 40, false], [46, 20, false]] as const
      ) {
        for (const smoothing of [0, 0.6]) {
          for (const band of ["std", "range", "off"] as const) {
            const colors = lines({ columns, rows, ranks, smoothing, band })
            assert.match(colors[0] ?? "", /^blue: rank 0 {2,3}yellow: mean( of the ranks)?( {2,3}|$)/)
            assert.notMatch(colors.join("\n"), /…/)
          }
        }
        for (const cursor of [10, 123_450, 399_990]) {
          const [own = "", all = ""] = lines({ columns, rows, ranks, cursor })
          assert.match(own, /^step [\d,.]+ {2,3}/)
          assert.match(own, / {2,3}rank 0 [\d.e-]+( |$)/)
          assert.match(all, /^(ranks: )?mean [\d.e-]+( ± [\d.e-]+)? /)
          assert.match(all, / min [\d.e-]+ \((rank )?\d\) {2,3}max [\d.e-]+ \((rank )?\d\)$/)
          assert.notMatch(own + all, /…/)
        }
      }
      // Numbers of many digits, of ranks of many digits, are no reason to leave out who stands out.
      const long = yield* read(
        recordLine(1, 1, 1, 0, "{\"x\":0.0003882}") + statisticsLine({
          seq: 1,
          step: 1,
          timestamp: 1,
          rank: 0,
          statistics: {
            values: {
              "x/mean": 0.0003882,
              "x/std": 4.77e-5,
              "x/min": 0.0002824,
              "x/max": 0.001675,
              "x/argmin": 112,
              "x/argmax": 107
            },
            count: 128,
            expected: 128
          }
        })
      )
      const ranks = { ...App.initial(120, 40), view: "detail", ranks: true, cursor: 1 } as const
      assert.include(Frame.toText(screen(long, ranks)), "mean 0.0003882  min 0.0002824 (112)  max 0.001675 (107)")
      assert.include(
        Frame.toText(screen(long, { ...ranks, columns: 50, ranks: false })),
        "min 0.0002824 (rank 112)   max 0.001675 (rank 107)"
      )
      assert.strictEqual(
        lines({ smoothing: 0.6 })[0],
        "blue: rank 0  yellow: mean  grey: mean ± std  magenta: smoothed"
      )
      assert.match(
        lines({ columns: 140, smoothing: 0.6 })[0] ?? "",
        /grey: mean ± std of the ranks {3}magenta: smoothed by/
      )
    }).pipe(Effect.scoped))

  it.live("tells one metric from several", () =>
    Effect.gen(function*() {
      const one = Frame.toText(screen(yield* read(values([1, 2])), App.initial(80, 24)))
      assert.match(one, /^1 metric /m)
      const three = Frame.toText(screen(yield* read(steps(1, 3)), App.initial(80, 24)))
      assert.match(three, /^3 metrics /m)
    }).pipe(Effect.scoped))
})

describe("Chart", () => {
  it.live("shows one peak among a hundred thousand points", () =>
    Effect.gen(function*() {
      const live = yield* read(values(Array.from({ length: 100_000 }, (_, nth) => nth === 54_321 ? 9 : 1)))
      const [title = "", ...rows] = chart(live, "x").split("\n")
      assert.match(title, /^x +1$/)
      const peak = rows.findIndex((row) => /[\u2800-\u28ff]/.test(row))
      assert.isAtMost(peak, 1)
      assert.match(rows.join("\n"), /8┤/)
    }).pipe(Effect.scoped))

  it.live("has no place for 0 and below on a logarithmic scale, and says so where nothing is left", () =>
    Effect.gen(function*() {
      const some = yield* read(values([1, 0, 1000, -5, 10]))
      assert.match(chart(some, "x", { log: true }), /1,000┤/)
      const none = yield* read(values([0, -1]))
      assert.include(chart(none, "x", { log: true }), "nothing above 0")
      const nothing = yield* read(values(["NaN", "Infinity"]))
      assert.include(chart(nothing, "x"), "no finite values")
    }).pipe(Effect.scoped))

  it.live("marks whole decades on a logarithmic scale, and round numbers where there are fewer than two", () =>
    Effect.gen(function*() {
      const marks = (all: ReadonlyArray<number>, height = 12) =>
        Effect.map(read(values(all)), (live) => {
          const text = chart(live, "x", { log: true }, undefined, height)
          return text.split("\n").flatMap((row) => /([^ ]+)┤/.exec(row)?.[1] ?? [])
        })
      assert.deepStrictEqual(yield* marks([1, 0.1, 0.0003]), ["1", "0.1", "0.01", "0.001"])
      assert.deepStrictEqual(yield* marks([3e-8, 1, 2e8], 24), [
        "100M",
        "1M",
        "10,000",
        "100",
        "1",
        "0.01",
        "0.0001",
        "1e-6"
      ])
      assert.deepStrictEqual(yield* marks([0.11, 9.9], 24), ["5", "2", "1", "0.5", "0.2"])
      assert.deepStrictEqual(yield* marks([0.22, 0.29]), ["0.28", "0.26", "0.24"])
      assert.deepStrictEqual(yield* marks([0.5, 1.5], 24), ["1.4", "1.2", "1.0", "0.8", "0.6"])
      assert.deepStrictEqual(yield* marks([0.5, 0.5]), ["0.5"])
      fc.assert(fc.property(
        fc.double({ min: -300, max: 270, noNaN: true }),
        fc.double({ min: 2, max: 30, noNaN: true }),
        fc.integer({ min: 2, max: 20 }),
        (low, span, most) => {
          const { labels, values } = Decades.ticks(
            { low, high: low + span, constant: undefined },
            { ideal: Math.max(2, most - 3), most }
          )
          assert.isTrue(values.length >= 2 && values.length <= most && values.every(Number.isInteger))
          assert.strictEqual(new Set(labels).size, values.length)
          for (const label of labels) assert.match(label, /^(10{0,2}(,000|[MGT])?|0\.0{0,3}1|1e-?\d+)$/)
        }
      ))
    }).pipe(Effect.scoped))

  it.live("says the latest value with as many digits as it takes to tell it from others, where there is room", () =>
    Effect.gen(function*() {
      const close = yield* read(values([1e9 + 0.2, 1e9 + 0.4, 1e9 + 0.3]))
      assert.match(chart(close, "x"), /^x +1000000000\.3\n/)
      assert.match(chart(close, "x", { log: true }), /^x +1000000000\.3\n/)
      assert.match(chart(yield* read(values([1e9, 7e9, 3e9])), "x"), /^x +3G\n/)
      assert.match(chart(yield* read(values([0.71234, 0.71239])), "x"), /^x +0\.71239\n/)
      assert.match(chart(yield* read(values([1, 2, 1.23456789])), "x"), /^x +1\.235\n/)
      assert.match(chart(yield* read(values([1e9 + 0.2, "NaN"])), "x"), /^x +NaN\n/)
    }).pipe(Effect.scoped))

  it.live("breaks the line where a value was not finite", () =>
    Effect.gen(function*() {
      const live = yield* read(
        values([...Array.from({ length: 20 }, () => 1), "NaN", ...Array.from({ length: 20 }, () => 1)])
      )
      const row = chart(live, "x").split("\n").find((line) => /[\u2800-\u28ff]/.test(line)) ?? ""
      assert.match(row, /[\u2800-\u28ff]+ +[\u2800-\u28ff]+/)
    }).pipe(Effect.scoped))

  it.live("labels time by the unit that suits it", () =>
    Effect.gen(function*() {
      const hours = recordLine(1, 1, 0, 0, "{\"x\":1}") + recordLine(2, 2, 8 * 3600, 0, "{\"x\":2}")
      assert.match(chart(yield* read(hours), "x", { axis: "relative" }), /\d+h\n/)
      assert.match(chart(yield* read(values([1, 2, 3, 4, 5])), "x", { axis: "relative", origin: 1000 }), /\d+s\n/)
    }).pipe(Effect.scoped))
})

describe("Summary", () => {
  it.live("knows the rate, and when a run that goes on will be done", () =>
    Effect.gen(function*() {
      const live = yield* read(steps(1, 300), { state: "finished" })
      const last = 1_795_445_508 + 300
      const running = { store: live.store, run: live.run, state: "running" } as const
      assert.deepInclude(Summary.progress(running, last + 5, 4000), { rate: 10, eta: 100, elapsed: 305, silent: 5 })
      assert.isUndefined(Summary.progress(running, last + 60, 4000).eta, "of one that is silent nobody knows")
      assert.isUndefined(Summary.progress(running, last + 5, undefined).eta)
      assert.deepInclude(Summary.progress({ ...running, state: "finished" }, last + 500, 4000), {
        eta: undefined,
        elapsed: 300
      })
    }).pipe(Effect.scoped))

  it.live("finds the total in the records, or in the configuration, at any depth", () =>
    Effect.gen(function*() {
      const total = (config: unknown) =>
        Effect.map(read(steps(1, 2), { config }), (live) => Summary.totalOf(live, undefined))
      assert.strictEqual(yield* total({ trainer: { max_steps: 500 } }), 500)
      assert.strictEqual(yield* total({ "train.total_iterations": 700, steps: 3 }), 700)
      assert.isUndefined(yield* total({ warmup_steps: 5, max_steps: -1, lr: 1 }))
      const live = yield* read(recordLine(1, 1, 1, 0, "{\"train/total_steps\":900}"), { config: { max_steps: 500 } })
      assert.deepStrictEqual([Summary.totalOf(live, undefined), Summary.totalOf(live, 7)], [900, 7])
    }).pipe(Effect.scoped))

  it.live("leaves out what weighs least where there is no room, and tells what has not been delivered", () =>
    Effect.gen(function*() {
      const live = yield* read(steps(1, 300), { backends: ["wandb"] })
      const lines = (columns: number): string => {
        const frame = Frame.make(columns, 2)
        Summary.draw(frame, { left: 0, top: 0, width: columns, height: 2 }, live, Summary.progress(live, 0, 6000))
        return Frame.toText(frame)
      }
      assert.match(
        lines(140),
        /step 3,000\/6,000 .*10 steps\/s.*elapsed 5:00.*undelivered wandb 300.*ranks 4.*records 300/
      )
      assert.match(lines(80), /step 3,000\/6,000 .*10 steps\/s.*undelivered wandb 300/)
      assert.notMatch(lines(80), /records/)
      assert.match(lines(30), /step 3,000\/6,000/)
    }).pipe(Effect.scoped))

  it.live("counts the records that could be read, and none while the log is only sampled", () =>
    Effect.gen(function*() {
      const shown = (live: Live.Live): string => {
        const frame = Frame.make(140, 2)
        Summary.draw(frame, { left: 0, top: 0, width: 140, height: 2 }, live, Summary.progress(live, 0, undefined))
        return Frame.toText(frame)
      }
      const whole = Array.from({ length: 100 }, (_, nth) => recordLine(nth + 1, nth, 1000 + nth, 0, "{\"x\":1}"))
      const torn = whole.map((line, nth) => nth % 10 === 3 ? line.slice(0, 12) + "\n" : line).join("")
      assert.match(shown(yield* read(torn)), /records 90 {3}torn lines 10/)
      assert.match(shown(yield* read(torn.slice(torn.indexOf("{\"seq\":99")))), /records 2$/m)
      const directory = Path.join(yield* temporary, "run")
      write(directory, steps(1, 20_000))
      const live = yield* Live.open(directory, { sampleAbove: 1024 })
      assert.isTrue(yield* live.poll)
      assert.match(shown(live), /records …/)
      while (yield* live.poll);
      assert.match(shown(live), /records 20,000/)
    }).pipe(Effect.scoped))
})

describe("Once", () => {
  const text = (live: Live.Live, columns: number): string =>
    Once.text(live, Metrics.selector()(live, { group: undefined, pattern: "", typed: undefined }), {
      columns,
      now: 1_795_446_000,
      total: undefined
    })

  it.live("tells values apart by their digits, and keeps to its width", () =>
    Effect.gen(function*() {
      const close = [0.2, 0.4, 0.3].map((x, nth) =>
        recordLine(
          nth + 1,
          nth,
          1000 + nth,
          0,
          JSON.stringify({ x: 1e9 + x, y: nth, [`long/${"name".repeat(9)}`]: nth })
        )
      ).join("")
      const live = yield* read(close)
      for (const columns of [80, 100, 200]) {
        const lines = text(live, columns).split("\n")
        assert.match(lines.join("\n"), /^x +1000000000\.3 +1000000000\.2 +1000000000\.4 /m)
        assert.match(lines.join("\n"), /^y +2 +0 +2 /m)
        assert.isAtMost(Math.max(...lines.map((line) => line.length)), columns)
      }
      const tiny = yield* read(values([-1 - 2 ** -52, -1, 1e15 + 2, 1e15 + 4].map((x, nth) => nth < 2 ? x : -1)))
      assert.match(text(tiny, 120), /^x +-1 +-1\.0000000000000002 +-1 /m)
      assert.isAtMost(Math.max(...text(tiny, 80).split("\n").map((line) => line.length)), 80)
    }).pipe(Effect.scoped))
})
