import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type * as Ranks from "../../src/artifact/Ranks.ts"
import * as Report from "../../src/artifact/Report.ts"
import * as Format from "../../src/artifact/report/Format.ts"
import type { Metrics } from "../../src/Metrics.ts"
import { info, inputOf } from "./input.ts"

const training = Array.from({ length: 100 }, (_, n): Metrics => ({
  "train/loss": 1 / (n + 1),
  "train/iter": n,
  "eval/accuracy": n === 50 ? NaN : n / 100,
  "note": "text",
  "gone": null
}))

const section = (report: string, title: string): string => {
  const [, after = ""] = report.split(`\n${title}\n`)
  return after.split(/\n## /)[0] ?? ""
}

/** The cells of a line of a table, as GitHub's parser cuts them. */
const cells = (line: string): ReadonlyArray<string> => line.replaceAll(/^\||\|$/g, "").split(/(?<!\\)\|/)

describe("Report", () => {
  it.effect("has the sections of a report, in order", () =>
    Effect.gen(function*() {
      const report = Report.render(yield* inputOf(training))
      assert.deepStrictEqual(report.match(/^##? .*$/gm), [
        "# Run `run-1`",
        "## Environment",
        "## Configuration",
        "## Datasets",
        "## Metric Overview",
        "## Plots",
        "## Not Drawn"
      ])
      assert.match(report, /^Generated 1970-01-01T01:18:44.000Z by ezpz-stream 0\.1\.0\.$/m)
      assert.include(report, "| Duration | 1 h 2 min 3 s |")
      assert.include(report, "| Command | `node train.js 'a b'` |")
      assert.include(report, "| Git | `0123456789` on `main` with uncommitted changes |")
      assert.include(report, "| `SLURM_JOB_ID` | `7` |")
      assert.include(report, "| plots | 2.250 |")
      assert.include(report, "| CPU | 8 × A_CPU (tm) |")
      assert.include(section(report, "## Configuration"), "| `model.layers` | `[1,2]` |\n| `model.best` | `NaN` |")
    }))

  it.effect("tells of the ranks before the metrics, where there were several", () =>
    Effect.gen(function*() {
      const extreme = { rank: 3, count: 9, deviation: 1.5, relative: 0.25 }
      const ranks: Ranks.Ranks = {
        worldSize: 4,
        records: 10,
        alone: 0,
        partial: { count: 0, silent: 0, fewest: 4 },
        left: 0,
        metrics: ["train/dt", "a|b\n# `c`"].map((key) => ({
          key,
          speed: "time",
          integer: false,
          records: 10,
          varied: 10,
          chance: 2.5,
          least: { ranks: [], short: 0 },
          greatest: { ranks: [extreme], short: 0 },
          nonFinite: { records: 1, most: 2 }
        }))
      }
      const report = Report.render({ ...(yield* inputOf(training)), ranks })
      assert.include(report, "\n## Ranks\n\nStatistics across 4 ranks in 10 records.\n")
      assert.isTrue(report.indexOf("## Ranks") < report.indexOf("## Metric Overview"))
      const table = section(report, "## Ranks").split("\n").filter((line) => line.startsWith("|"))
      assert.include(table[2] ?? "", "| `train/dt` | 3 | slowest | 9 | 90% | 25% | +25%, +1.50 std |")
      assert.deepStrictEqual(table.map((line) => cells(line).length), [7, 7, 7, 7])
      assert.notMatch(report, /^# `c/m)
    }))

  it.effect("sums up every metric in one line of its group's table, six digits a number, linked to its plot", () =>
    Effect.gen(function*() {
      const overview = section(Report.render(yield* inputOf(training)), "## Metric Overview")
      assert.deepStrictEqual(
        overview.match(/^### .*$/gm),
        ["### `train`", "### `eval`", "### Without a group"].slice(0, 2)
      )
      assert.include(overview, "| Metric | Latest | Mean | Min | Max | Std | Count |")
      assert.include(overview, "| [`train/loss`](#plot-1) | 0.01 | 0.0518738 | 0.01 | 1 | 0.116872 | 100 |")
      assert.include(overview, "| `train/iter` | 99 | 49.5 | 0 | 99 | 28.8661 | 100 |")
      assert.match(overview, /eval\/accuracy`\]\(#plot-2\) \| 0.99 \| [^\n]* \| 99 \(and 1 not finite\) \|/)
    }))

  it("writes no number that looks more exact than it is, and tells apart what differs by half a std", () => {
    const known: ReadonlyArray<readonly [string, number, number?]> = [
      ["12345678", 12345678],
      ["9007199254740991", 2 ** 53 - 1],
      ["1.23457e19", Number(12345678901234567890n)],
      ["1000000000000000", 1e15],
      ["1.00000e15", 1e15 + 0.5],
      ["1.00000e9", 1000000000.199],
      ["1000000000.2", 1000000000.199, 0.2],
      ["1.23457e8", 123456803.5],
      ["1.23456804e8", 123456803.5, 2],
      ["123456803.5", 123456803.5, 1],
      ["1.00000e6", 999999.7],
      ["-0.333333", -1 / 3],
      ["-3.33333e-5", -1 / 30000],
      ["1e-5", 1e-5],
      ["0.1", 0.1, 1e-30],
      ["NaN", NaN, NaN],
      ["-Infinity", -Infinity]
    ]
    for (const [text, value, std] of known) {
      assert.strictEqual(Format.number(value, std), text)
    }
    const finite = fc.double({ noNaN: true, noDefaultInfinity: true })
    fc.assert(fc.property(finite, finite, (value, other) => {
      const std = Math.abs(other - value)
      const text = Format.number(value, std)
      const shown = Number(text)
      if (std === 0) return
      assert.isAtMost(Math.abs(shown - value), Math.max(Math.abs(value) * 1e-15, std / 2), text)
      if (std > Math.abs(value) * 1e-15) assert.notStrictEqual(Format.number(other, std), text)
      if (/^-?\d+$/.test(text) && Math.abs(value) >= 1e6) assert.strictEqual(shown, value)
    }))
  })

  it.effect("says that a metric has no finite values, and can be clicked whatever it is called", () =>
    Effect.gen(function*() {
      const report = Report.render(yield* inputOf([{ "": 1, nan: NaN }, { "": 2, nan: NaN }]))
      assert.include(report, "| [(empty)](#plot-1) | 2 |")
      assert.include(report, `</a>(empty)\n`)
      assert.include(report, "- Points: 2 from 2 draws, by step")
      assert.include(report, "- Points: no finite values from 2 draws, by step")
      assert.notMatch(report, /(?<!!)\[\]\(/)
    }))

  it.effect("tells which variable has not the name that its key suggests, up to a limit", () =>
    Effect.gen(function*() {
      const few = yield* inputOf([{ "g/x_y": 1, "g/x/y": 2, "g/z/a": 3, loss: 1 }])
      assert.include(section(Report.render(few), "## Metric Overview"), "\n\nVariables: `g/x/y` is `x_y_2`.\n")
      assert.strictEqual(Report.render(few).match(/Variables:/g)?.length, 1)
      const names = Array.from({ length: 300 }, (_, n) => [[`g/a_${n}`, 1], [`g/a/${n}`, 1]]).flat()
      const many = section(Report.render(yield* inputOf([Object.fromEntries(names)])), "## Metric Overview")
      assert.include(many, "`g/a/19` is `a_19_2` and 180 more.")
      assert.include(many, "100 more variables have another name in their dataset.")
    }))

  it.effect("shows a picture, linked relative to the report, or the terminal plot where there is none", () =>
    Effect.gen(function*() {
      const input = yield* inputOf(training)
      const report = Report.render(input)
      assert.include(report, `#### <a id="plot-1"></a>\`train/loss\``)
      assert.include(report, "![train/loss](plots/mplot/train/loss.png)")
      assert.include(report, "[svg](plots/mplot/train/loss.svg), [`loss.txt`](plots/tplot/train/loss.txt)")
      assert.include(report, "- Points: 100 from 100 draws, by step")
      assert.include(Report.render(input, "/runs"), "](run-1/plots/mplot/train/loss.png)")

      const long = Array.from({ length: 60 }, (_, n) => `line ${n} \`\`\`\` <b>`).join("\n")
      const textual = section(
        Report.render({
          ...input,
          plots: [],
          terminalPlots: input.terminalPlots.map((plot) => ({ ...plot, text: long }))
        }),
        "## Plots"
      )
      assert.include(textual, "`````text\nline 0 ```` <b>\n")
      assert.include(textual, "line 39 ```` <b>\n…\n`````")
      assert.notInclude(textual, "line 40")
      assert.notInclude(textual, "![")
    }))

  it.effect("says what is missing, what was not drawn, and why", () =>
    Effect.gen(function*() {
      const input = yield* inputOf([{ a: 1, b: 2, iter: 3, text: "x", none: null }], 1)
      const report = Report.render({
        ...input,
        info: {
          ...info,
          counts: { rows: 1, refused: 2, corrupt: 3 },
          undelivered: [{ backend: "wandb", records: 1234, lastFailure: "401" }]
        },
        corrupt: [{ line: 5, reason: "not JSON" }],
        failures: [{ message: "The plot x could not be written" }]
      })
      const missing = section(report, "## What Is Missing")
      assert.include(missing, "- 1,234 records not delivered to `wandb`. Last failure: `401`.")
      assert.include(missing, "`ezpz-stream sync /runs/run-1` delivers what is left.")
      assert.include(missing, "- 2 input lines refused.")
      assert.include(missing, "- 3 lines of the log could not be read (line 5: `not JSON`; …).")
      const undrawn = section(report, "## Not Drawn")
      assert.include(undrawn, "- Counters: `iter`.")
      assert.include(undrawn, "- Text: `text`.")
      assert.include(undrawn, "- Without any value: `none`.")
      assert.include(undrawn, "- 1 metric of no group: more than are drawn.")
      assert.include(undrawn, "- `The plot x could not be written`")
    }))

  it.effect("lets nothing foreign end a cell, a line or a code span, or become Markdown or HTML", () =>
    Effect.gen(function*() {
      const hostile =
        "a|b `c` <img src=x onerror=alert(1)>\n# h\r\n| x | [l](javascript:1) \\| \u2028\u202e *e* _u_ $x$ &lt;"
      const input = yield* inputOf([{ [hostile]: 1, [`g${hostile}/x`]: 2, "t`": "x" }])
      const report = Report.render({
        ...input,
        info: {
          ...info,
          run: { ...info.run, id: hostile, name: hostile, project: hostile, directory: hostile, backends: [hostile] },
          config: { [hostile]: hostile, deep: [hostile] },
          undelivered: [{ backend: hostile, records: 1, lastFailure: hostile }],
          timings: { [hostile]: 1 },
          provenance: {
            ...info.provenance,
            version: hostile,
            command: [hostile],
            workingDirectory: hostile,
            git: { commit: hostile, branch: hostile, dirty: null },
            platform: { ...info.provenance.platform, host: hostile, user: hostile, os: hostile, cpu: hostile },
            distributed: { ...info.provenance.distributed, launcher: hostile },
            environment: { [hostile]: hostile }
          }
        },
        failures: [{ message: hostile }]
      })
      const outsideOfCode = report.replaceAll(/`[^`\n]*`/g, "")
      assert.notMatch(outsideOfCode, /<(?!\/?(?:code|details|summary)>|a id="plot-\d+">|\/a>)/)
      assert.notMatch(report, /^# h/m)
      assert.notMatch(report, /\]\(javascript/)
      assert.notMatch(report, /[\u2028\u202e\r]/)
      for (const part of report.split(/\n\n/)) {
        const lines = part.split("\n").filter((line) => line.startsWith("|"))
        const columns = new Set(lines.map((line) => cells(line).length))
        assert.isAtMost(columns.size, 1, part)
      }
    }))

  it("never breaks a table, whatever a config holds", () => {
    const base = Effect.runSync(inputOf([{ loss: 1 }]))
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.string()), (config) => {
      const rows = section(Report.render({ ...base, info: { ...info, config } }), "## Configuration")
        .split("\n").filter((line) => line.startsWith("|"))
      assert.strictEqual(rows.length, Object.keys(config).length === 0 ? 0 : Object.keys(config).length + 2)
      assert.isTrue(rows.every((line) => cells(line).length === 2))
    }))
  })

  it.effect("stays small for twenty thousand metrics, and counts what it leaves out", () =>
    Effect.gen(function*() {
      const record: Record<string, number> = {}
      for (let n = 0; n < 20_000; n++) record[`g${n % 40}/metric_${n}`] = n
      const config = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`key_${n}`, "x".repeat(10_000)]))
      const input = yield* inputOf([record])
      const report = Report.render({ ...input, info: { ...info, config } })
      assert.isBelow(report.length, 500_000)
      assert.include(report, "19,000 more metrics are in the datasets.")
      assert.include(report, "4,800 more values are in run_info.json.")
      assert.include(report, "750 more plots are in the folder plots.")
    }))

  it.effect("is written beside its place and renamed into it", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "report-"))),
        (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
      )
      const input = yield* inputOf(training)
      const path = yield* Report.write(input, directory)
      assert.deepStrictEqual(Fs.readdirSync(directory), ["report.md"])
      assert.strictEqual(Fs.readFileSync(path, "utf8"), Report.render(input, directory))
      const error = yield* Effect.flip(Report.write(input, path))
      assert.match(error.message, /The report .* could not be written/)
    }))
})
