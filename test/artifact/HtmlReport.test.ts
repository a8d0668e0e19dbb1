import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Page } from "playwright-core"
import * as Assets from "../../src/artifact/html/Assets.ts"
import * as Codec from "../../src/artifact/html/Codec.ts"
import * as Thin from "../../src/artifact/html/Thin.ts"
import * as HtmlReport from "../../src/artifact/HtmlReport.ts"
import type * as Report from "../../src/artifact/Report.ts"
import * as History from "../../src/History.ts"
import type { Metrics } from "../../src/Metrics.ts"
import type { Row } from "../../src/Row.ts"
import * as Browser from "../serve/browser.ts"
import { doing } from "../serve/browser.ts"
import { temporary } from "../support/directory.ts"
import { info, inputOf, inputOfRows } from "./input.ts"

const assets = Assets.load()

const training = Array.from({ length: 3000 }, (_, n): Metrics => ({
  "train/loss": n === 1234 ? 77 : 3 / Math.sqrt(n + 1),
  "train/noise": Math.sin(n * 12.9898) * 43758.5453 % 1,
  "eval/accuracy": n % 10 === 0 ? n / 3000 : null,
  "train/iter": n
}))

/** What eight ranks said of a loss. */
const rankRows = Array.from({ length: 400 }, (_, n): Row => {
  const mean = 3 / Math.sqrt(n + 1)
  return {
    seq: n + 1,
    step: n + 1,
    timestamp: n,
    rank: 0,
    metrics: { "train/loss": mean - 0.25, "train/dt": 0.1, other: n },
    statistics: {
      values: {
        "train/loss/mean": mean,
        "train/loss/min": mean - 0.5,
        "train/loss/max": mean + 1,
        "train/loss/std": 0.125
      },
      count: 8,
      expected: 8
    }
  }
})

const markup = "</script><img src=x onerror=alert(1)>\"'`&amp;<!--\u2028\ud800"

/** Markup wherever something foreign can stand. */
const hostile = Effect.map(
  inputOf(Array.from({ length: 20 }, (_, n) => ({ [markup]: n, [`${markup}/${markup}`]: -n, [`${markup}t`]: markup }))),
  (input): Report.Input => ({
    ...input,
    info: {
      ...info,
      run: { ...info.run, id: markup, name: markup, project: markup, directory: markup, backends: [markup] },
      config: { [markup]: markup, deep: [{ [markup]: markup }] },
      undelivered: [{ backend: markup, records: 1, lastFailure: markup }],
      timings: { [markup]: 1 },
      provenance: {
        ...info.provenance,
        version: markup,
        command: [markup],
        workingDirectory: markup,
        git: { commit: markup, branch: markup, dirty: true },
        platform: { ...info.provenance.platform, host: markup, user: markup, os: markup, cpu: markup, node: markup },
        distributed: { ...info.provenance.distributed, launcher: markup },
        environment: { [markup]: markup }
      }
    },
    corrupt: [{ line: 1, reason: markup }],
    failures: [{ message: markup }],
    notDrawn: [{ group: markup, count: 3 }]
  })
)

/** The report without what is ours alone and the same in each: the style and the script. */
const own = (report: string): string =>
  report.replace(/<style>[^]*?<\/style>/, "").replace(/<script>[^]*?<\/script>(?=\n<\/body>)/, "")

const dataOf = (report: string): Codec.Data => {
  const [, text = ""] = /<script type="application\/json" id="data">(.*)<\/script>/.exec(report) ?? []
  return JSON.parse(text)
}

/** A report in a browser. */
const opened = (
  input: Report.Input,
  options: NonNullable<Parameters<typeof Browser.open>[1]> = {}
): Effect.Effect<Browser.Watched, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const path = yield* HtmlReport.write(input, yield* temporary)
    return yield* Browser.open(`file://${path}`, options)
  })

const live = (page: Page, nth: number) => page.locator(`#plot-${nth}.live`)

describe("report.html", () => {
  it.effect("says what report.md says, and leads from each metric to its chart", () =>
    Effect.gen(function*() {
      const report = HtmlReport.render(yield* inputOf(training), assets)
      assert.deepStrictEqual(
        Array.from(report.matchAll(/<h2 id="([a-z-]+)">([^<]+)<\/h2>/g), ([, id, title]) => [id, title]),
        [
          ["charts", "Charts"],
          ["metric-overview", "Metric Overview"],
          ["configuration", "Configuration"],
          ["environment", "Environment"],
          ["datasets", "Datasets"],
          ["not-drawn", "Not Drawn"]
        ]
      )
      assert.include(report, `<th scope="row">Duration</th><td>1 h 2 min 3 s</td>`)
      assert.include(report, `<th scope="row"><code>model.layers</code></th><td><code>[1,2]</code></td>`)
      assert.include(report, `<th scope="row"><a href="#plot-1"><code>train/loss</code></a></th>`)
      assert.include(report, `<article class="card" id="plot-1">`)
      assert.include(report, "<li>Counters: <code>train/iter</code>.</li>")
    }))

  it.effect("loads nothing, and its policy allows its own script and style alone", () =>
    Effect.gen(function*() {
      assert.isDefined(assets)
      const report = HtmlReport.render(yield* inputOf(training), assets)
      const markup = own(report)
      for (const [, name, value] of markup.matchAll(/\s(src|href|srcset|action|data|style|on\w+)="?([^"\s>]*)/g)) {
        assert.strictEqual(name, "href")
        assert.match(value ?? "", /^(?:#[a-z0-9-]+|data:,)$/)
      }
      assert.notMatch(report, /@import|url\(|<(?:iframe|object|embed|base|img)\b/)
      const [, policy = ""] = /Content-Security-Policy" content="([^"]+)"/.exec(report) ?? []
      const hash = (content = "") => `'sha256-${Crypto.createHash("sha256").update(content).digest("base64")}'`
      const [, script] = /<script>([^]*?)<\/script>/.exec(report) ?? []
      const [, style] = /<style>([^]*?)<\/style>/.exec(report) ?? []
      assert.deepStrictEqual(policy.split("; "), [
        "default-src 'none'",
        `script-src ${hash(script)}`,
        `style-src ${hash(style)}`,
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'"
      ])
    }))

  it.effect("lets nothing foreign be markup, in text, in attributes or in its data", () =>
    Effect.gen(function*() {
      const report = HtmlReport.render(yield* hostile, assets)
      assert.strictEqual(report.match(/<\/script/gi)?.length, 2)
      assert.notMatch(report, /<!--(?!picture)|<img/i)
      const tags = new Set(Array.from(own(report).matchAll(/<\/?([a-z0-9!]+)/gi), ([, tag]) => tag))
      const known =
        "!doctype html head meta title link body main nav ul li h1 h2 h3 h4 p a code table caption thead tbody " +
        "tr th td div section article header svg g path text noscript details summary script"
      assert.deepStrictEqual([...tags].filter((tag) => !known.split(" ").includes(tag ?? "")), [])
      assert.strictEqual(dataOf(report).curves["0"]?.key, markup.toWellFormed())
    }))

  it.effect("keeps every peak, and the values as they are", () =>
    Effect.gen(function*() {
      const { curves, places } = dataOf(HtmlReport.render(yield* inputOf(training), assets))
      const { band, points, values } = curves["0"] ?? assert.fail("no curve")
      assert.isUndefined(band)
      assert.strictEqual(points, 3000)
      assert.isAtMost(values?.y.length ?? Infinity, 1600)
      const x = Codec.unpack(places[values?.x ?? -1] ?? [])
      assert.strictEqual(x[values?.y.indexOf(77) ?? -1], 1234)
      for (const [i, y] of (values?.y ?? []).entries()) {
        const step = x[i] ?? -1
        assert.closeTo(y ?? NaN, step === 1234 ? 77 : 3 / Math.sqrt(step + 1), 1e-5 * (y ?? 0))
      }
      const ranks = dataOf(HtmlReport.render(yield* inputOfRows(rankRows), assets))
      const spread = ranks.curves["0"]?.band ?? assert.fail("no band")
      assert.deepStrictEqual(Codec.unpack(ranks.places[spread.x] ?? []), rankRows.map((row) => row.step))
      assert.deepStrictEqual([spread.mean[3], spread.low[3], spread.high[3], spread.std[3]], [1.5, 1, 2.5, 0.125])
    }))

  it.effect("has the last value of every metric as it is, however its curve is thinned", () =>
    Effect.gen(function*() {
      const { curves } = dataOf(HtmlReport.render(yield* inputOf(training), assets))
      assert.deepStrictEqual(
        [curves["0"], curves["1"], curves["2"]].map((curve) => [curve?.key, curve?.last?.x, curve?.last?.y]),
        ["train/loss", "train/noise", "eval/accuracy"].map((key) => {
          const x = training.findLastIndex((record) => typeof record[key] === "number")
          return [key, x, training[x]?.[key]]
        })
      )
      const rows = Array.from({ length: 5000 }, (_, n): Row => ({
        seq: n + 1,
        step: 10 * n,
        timestamp: n,
        rank: 0,
        metrics: { loss: n, vector: [[n], [n + 2]], diverged: n < 4999 ? n : NaN },
        statistics: n < 4900
          ? {
            values: { "loss/mean": 2 * n, "loss/min": n, "loss/max": 4 * n, "loss/std": 0.5 },
            count: 8,
            expected: 8
          }
          : undefined
      }))
      const last = new Map(
        Object.values(dataOf(HtmlReport.render(yield* inputOfRows(rows), assets)).curves).map((
          one
        ) => [one.key, one.last])
      )
      assert.deepStrictEqual(last.get("loss"), { x: 48_990, y: 9798, spread: { std: 0.5, low: 4899, high: 19_596 } })
      assert.deepStrictEqual(last.get("vector"), { x: 49_990, y: 5000, spread: { std: 1, low: 4999, high: 5001 } })
      assert.deepStrictEqual(last.get("diverged"), { x: 49_990, y: "NaN", spread: null })
    }))

  it.effect("says the numbers of what is drawn: of a metric with statistics those across ranks", () =>
    Effect.gen(function*() {
      const report = own(HtmlReport.render(yield* inputOfRows(rankRows), assets))
      const captions = Array.from(report.matchAll(/<p class="meta">([^<]+)<\/p>/g), ([, text]) => text)
      assert.include(captions, "Latest 0.15, from -0.35 to 4, 400 draws by step; mean and range across ranks")
      assert.include(captions, "Latest 399, from 0 to 399, 400 draws by step")
      // The table has those of rank 0, and says so.
      assert.match(report, /train\/loss<\/code><\/a><\/th><td class="number">-0\.1</)
      assert.include(report, "Values are rank 0's own, not those of all ranks.")
      const alone = own(HtmlReport.render(yield* inputOf(training), assets))
      assert.notInclude(alone, "rank 0")
    }))

  it.effect("stays below 3 MB for any number of metrics of any length, and counts what it leaves out", () =>
    Effect.gen(function*() {
      const longest = "<".repeat(300)
      const names = Array.from({ length: 20_000 }, (_, i) => `g${i % 40}/${i}${longest}`)
      const records = Array.from(
        { length: 3 },
        (_, n) => Object.fromEntries(names.map((name, i) => [name, Math.sin(n + i)]))
      )
      const many = yield* inputOf(records)
      const config = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`${n}${longest}`, longest.repeat(10)]))
      const report = HtmlReport.render({ ...many, info: { ...info, config } }, assets)
      assert.isBelow(Buffer.byteLength(report), 3_000_000)
      assert.include(report, "19,000 more metrics are in the datasets.")
      assert.include(report, "4,800 more values are in run_info.json.")
      assert.include(report, "750 more charts are in the folder plots.")
      assert.strictEqual(report.match(/<article/g)?.length, 250)

      // Curves of many points with every digit.
      const long = yield* inputOf(
        Array.from(
          { length: 700 },
          (_, n) =>
            Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`m${i}`, -Math.sin(n * 12.9898 + i) * 1e-7]))
        )
      )
      const thinned = HtmlReport.render(long, assets)
      assert.isBelow(Buffer.byteLength(thinned), 3_000_000)
      assert.match(thinned, /Curves are thinned to \d+ stretches at most/)
      assert.strictEqual(Object.keys(dataOf(thinned).curves).length, 250)
    }))

  it.effect("shows values of any size, gaps, and metrics without a finite one", () =>
    Effect.gen(function*() {
      const values = [1.7e308, -1.7e308, 5e-324, NaN, Infinity, 0, 1e300]
      const input = yield* inputOf(
        values.map((value) => ({ all: value, nan: NaN, same: 3, tiny: value === 0 ? 0 : 5e-324 }))
      )
      const report = HtmlReport.render(input, assets)
      assert.notMatch(own(report), / d="[^"]*(?:NaN|Infinity|undefined)/)
      assert.include(report, "no finite values</text>")
      const { curves } = dataOf(report)
      assert.deepStrictEqual(curves["0"]?.values?.y, [1.7e308, -1.7e308, 5e-324, null, 0, 1e300])
    }))

  it("thinned lines have no value that was not there, and both extremes of all stretches", () => {
    fc.assert(fc.property(fc.array(fc.double()), fc.integer({ min: 1, max: 20 }), (given, stretches) => {
      const y = Float64Array.from(given, (value) => value - value === 0 ? value : NaN)
      const x = Float64Array.from(y.keys())
      const { x: places, y: kept } = Thin.extremes({ x, y }, stretches)
      assert.isAtMost(kept.length, Math.max(2 * stretches, 0))
      for (const [i, place] of places.entries()) assert.deepStrictEqual(kept[i], y[place])
      assert.deepStrictEqual([...places], [...places].sort((a, b) => a - b))
      const finite = (values: Float64Array) => [...values].filter((value) => value - value === 0)
      assert.strictEqual(Math.min(...finite(kept)), Math.min(...finite(y)))
      assert.strictEqual(Math.max(...finite(kept)), Math.max(...finite(y)))
      for (const keep of ["min", "max", "mean"] as const) {
        const line = finite(Thin.line({ x, y }, stretches, keep).y)
        if (keep === "mean") {
          for (const one of line) assert.isTrue(one >= Math.min(...finite(y)) && one <= Math.max(...finite(y)))
        } else assert.strictEqual(Math[keep](...line), Math[keep](...finite(y)))
      }
    }))
  })

  it("places are the same again: integers to the last digit, others to a millionth of their range", () => {
    const ascending = (all: ReadonlyArray<number>) => Float64Array.from(all).sort()
    fc.assert(fc.property(fc.array(fc.integer()), (all) => {
      const x = ascending(all)
      assert.deepStrictEqual(Codec.unpack(Codec.pack(x)), [...x])
    }))
    fc.assert(fc.property(fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1 }), (all) => {
      const x = ascending(all)
      const range = x.at(-1)! - x[0]!
      const again = Codec.unpack(Codec.pack(x))
      assert.strictEqual(again.length, x.length)
      for (const [i, value] of again.entries()) {
        // Beside what doubles of this size, and the least of all, can tell apart.
        const rounding = Math.abs(x[i]!) * 2 ** -51 + 1e-300
        assert.isAtMost(Math.abs(value - x[i]!), range / (4 * x.length) + range * 1e-6 + rounding)
      }
    }))
  })

  it.effect("is written where report.md is, and not where no report is wanted", () =>
    Effect.scoped(Effect.gen(function*() {
      const outdir = yield* temporary
      const result = yield* History.run(Stream.make({ loss: 1 }), { outdir, environment: {}, plots: false })
      assert.include(result.files, Path.join(outdir, "report.html"))
      const report = Fs.readFileSync(Path.join(outdir, "report.html"), "utf8")
      assert.include(report, `<th scope="row"><code>loss</code></th>`)
      assert.isFalse(Fs.readdirSync(outdir).some((name) => name.endsWith(".tmp")))
      const none = yield* temporary
      yield* History.run(Stream.make({ loss: 1 }), { outdir: none, environment: {}, plots: false, report: false })
      assert.isFalse(Fs.existsSync(Path.join(none, "report.html")))
    })))

  it.effect("is warned about where it cannot be written, and fails nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const outdir = yield* temporary
      Fs.mkdirSync(Path.join(outdir, "report.html", "mine"), { recursive: true })
      const messages: Array<unknown> = []
      const logger = Logger.make(({ message }) => {
        messages.push(message)
      })
      const result = yield* History.run(Stream.make({ loss: 1 }), { outdir, environment: {}, plots: false }).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      assert.match(String(messages), /report\.html could not be written/)
      assert.include(result.files, Path.join(outdir, "report.md"))
      assert.notInclude(result.files, Path.join(outdir, "report.html"))
      assert.isTrue(Fs.existsSync(Path.join(outdir, "report.html", "mine")))
    })))
})

describe("report.html in a browser", () => {
  it.live("charts zoom together, say their values, filter, and have a band and a log scale", () =>
    Effect.scoped(Effect.gen(function*() {
      const { complaints, page } = yield* opened(yield* inputOfRows(rankRows))
      const readout = (nth: number, expected: RegExp) =>
        doing(() => live(page, nth).locator(".readout").filter({ hasText: expected }).waitFor())
      yield* readout(1, /0\.15 +-0\.35 … 1\.15 *step 400/)
      const box = yield* doing(() => live(page, 1).locator(".u-over").boundingBox())
      assert.isNotNull(box)
      yield* doing(async () => {
        await page.mouse.move(box.x + box.width * 0.25, box.y + 50)
        await page.mouse.down()
        await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 5 })
        await page.mouse.up()
      })
      // In the middle of the range, in a chart that it was not chosen in.
      yield* doing(() => live(page, 3).locator(".u-over").hover())
      yield* readout(3, /1[45]\d *step 1[45]\d/)
      yield* doing(() => page.mouse.move(0, 0))
      yield* doing(() => page.getByLabel("Band").selectOption("std"))
      yield* readout(1, /± 0\.125/)
      yield* doing(() => page.getByLabel("Log scale").check())
      yield* doing(() => page.getByRole("button", { name: "Show all" }).click())
      yield* readout(3, /399 *step 400/)
      yield* doing(() => live(page, 1).locator(".plot").focus())
      yield* doing(() => page.keyboard.press("Home"))
      yield* doing(() => page.locator("#status").filter({ hasText: /train\/loss: 3 .*step 1\b/ }).waitFor())
      yield* doing(() => page.getByLabel("Metrics").fill("LOSS"))
      assert.strictEqual(yield* doing(() => page.locator("article:visible").count()), 1)
      yield* doing(() => page.getByLabel("Metrics").fill("nothing"))
      yield* doing(() => page.getByText("No metric matches.").waitFor())
      yield* doing(() => page.getByLabel("Metrics").fill(""))
      yield* doing(() => page.getByRole("button", { name: "Values of other" }).click())
      yield* doing(() => page.locator("dialog td").first().waitFor())
      assert.deepStrictEqual(complaints, [])
    })))

  it.live("a chart says the run's last value where nothing is pointed at, thinned or with a band", () =>
    Effect.scoped(Effect.gen(function*() {
      const rows = Array.from({ length: 5000 }, (_, n): Row => ({
        seq: n + 1,
        step: n + 1,
        timestamp: n,
        rank: 0,
        metrics: { a: n % 300, b: n },
        statistics: {
          values: { "b/mean": n % 700, "b/min": n % 700 - 1, "b/max": n % 700 + 2, "b/std": 0.25 },
          count: 8,
          expected: 8
        }
      }))
      const { complaints, page } = yield* opened(yield* inputOfRows(rows))
      const readout = (nth: number, expected: RegExp) =>
        doing(() => live(page, nth).locator(".readout").filter({ hasText: expected }).waitFor({ timeout: 10_000 }))
      yield* readout(1, /^199 *step 5,000/)
      yield* readout(2, /^99 +98 … 101 *step 5,000/)
      yield* doing(() => page.getByLabel("Band").selectOption("std"))
      yield* readout(2, /^99 +± 0\.25 *step 5,000/)
      assert.deepStrictEqual(complaints, [])
    })))

  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [1440, 390]) {
      it.live(`passes axe, ${colorScheme}, ${width} pixels wide, with markup in every name`, () =>
        Effect.scoped(Effect.gen(function*() {
          const { complaints, page } = yield* opened(yield* hostile, { colorScheme, viewport: { width, height: 900 } })
          yield* doing(() => live(page, 1).locator("canvas").waitFor())
          yield* doing(() => page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true"))
          assert.deepStrictEqual(yield* Browser.accessibility(page), [])
          assert.isAtMost(Number(yield* doing(() => page.evaluate("document.documentElement.scrollWidth"))), width)
          assert.strictEqual(yield* doing(() => page.locator("img").count()), 0)
          assert.deepStrictEqual(complaints, [])
        })))
    }
  }

  it.live("is whole where no script runs, and on paper", () =>
    Effect.scoped(Effect.gen(function*() {
      const input = yield* inputOf(training)
      const { complaints, page } = yield* opened(input, {
        javaScriptEnabled: false,
        viewport: { width: 390, height: 800 }
      })
      assert.strictEqual(yield* doing(() => page.locator("article svg:visible").count()), 3)
      assert.match(
        yield* doing(() => page.locator("#plot-1").innerText()),
        /train\/loss\s+.*Latest 0\.0547723, from .* to 77/s
      )
      assert.isTrue(yield* doing(() => page.locator("noscript").isVisible()))
      assert.strictEqual(yield* doing(() => page.locator("canvas").count()), 0)

      const scripted = yield* opened(input)
      yield* doing(() => live(scripted.page, 1).locator("canvas").waitFor())
      yield* doing(() => scripted.page.emulateMedia({ media: "print" }))
      assert.strictEqual(yield* doing(() => scripted.page.locator("article svg:visible").count()), 3)
      assert.strictEqual(yield* doing(() => scripted.page.locator("canvas:visible").count()), 0)
      assert.deepStrictEqual([...complaints, ...scripted.complaints], [])
    })))
})
