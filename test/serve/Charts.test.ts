import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Page } from "playwright-core"
import { temporary } from "../support/directory.ts"
import * as Browser from "./browser.ts"
import { chartOf, doing, picture, shown, until } from "./browser.ts"
import { falling, line, make, serve, statistics } from "./runs.ts"

/**
 * How much of a chart is drawn upon in colour, between two heights from 0 (the top of what lies within its axes) to 1, as
 * a part of its columns. Axes and grid are grey; bands can be seen through, lines cannot.
 */
const coloured = (page: Page, key: string, from: number, to: number, what: "all" | "lines" = "all") =>
  doing(async () => {
    const at = JSON.stringify([chartOf(key), from, to, what === "all" ? 1 : 200])
    const found: unknown = await page.evaluate(`(([selector, from, to, least]) => {
      const canvas = document.querySelector(selector + " canvas")
      const over = document.querySelector(selector + " .u-over").getBoundingClientRect()
      const outer = canvas.getBoundingClientRect()
      const ratio = canvas.width / outer.width
      const [left, top] = [(over.left - outer.left) * ratio, (over.top - outer.top + over.height * from) * ratio]
      const [width, height] = [Math.floor(over.width * ratio), Math.floor(over.height * (to - from) * ratio)]
      const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true })
      copy.canvas.width = width
      copy.canvas.height = height
      copy.drawImage(canvas, -left, -top)
      const { data } = copy.getImageData(0, 0, width, height)
      let columns = 0
      for (let x = 0; x < width; x++) {
        for (let y = 0; y < height; y++) {
          const i = 4 * (y * width + x)
          const pixel = [data[i], data[i + 1], data[i + 2]]
          if (data[i + 3] >= least && Math.max(...pixel) - Math.min(...pixel) > 30) {
            columns++
            break
          }
        }
      }
      return columns / width
    })(${at})`)
    return Number(found)
  })

interface Label {
  readonly text: string
  readonly at: number
  readonly width: number
}

/** What stands beside the charts that are drawn, below and at the left of each: they are drawn again for it. */
const labels = (page: Page) =>
  doing(async () => {
    await page.evaluate(`(() => {
      const { clearRect, fillText } = CanvasRenderingContext2D.prototype
      const seen = globalThis.labelsOf = new Map()
      CanvasRenderingContext2D.prototype.clearRect = function(...where) {
        seen.set(this.canvas, { x: [], y: [] })
        clearRect.apply(this, where)
      }
      CanvasRenderingContext2D.prototype.fillText = function(text, x, y) {
        const { width } = this.measureText(text)
        if (this.textAlign === "center") seen.get(this.canvas).x.push({ text, at: x, width })
        else seen.get(this.canvas).y.push({ text, at: y, width: 11 })
        fillText.call(this, text, x, y)
      }
    })()`)
    await page.getByLabel("Theme").selectOption("dark")
    await page.waitForFunction("[...labelsOf.keys()].some((one) => one.isConnected)")
    await page.waitForTimeout(200)
    const found: ReadonlyArray<{ readonly x: ReadonlyArray<Label>; readonly y: ReadonlyArray<Label> }> = await page
      .evaluate("[...labelsOf].flatMap(([canvas, labels]) => canvas.isConnected ? [labels] : [])")
    return found
  })

const opened = (root: string, query: string, width = 1440) =>
  Effect.gen(function*() {
    const { port } = yield* serve(root)
    return yield* Browser.open(`http://127.0.0.1:${port}/?${query}`, { viewport: { width, height: 900 } })
  })

describe("a chart", () => {
  shown(
    "on a scale of powers has a band that goes to the bottom where it reaches 0 or less, and no decades for it",
    Effect.gen(function*() {
      const root = yield* temporary
      // The std is 0.5: for half of the run the mean is less than that.
      const log = Array.from({ length: 300 }, (_, i) => {
        const loss = 2 * 0.99 ** i
        return line(i + 1, { loss }) + statistics(i + 1, "loss", loss)
      }).join("")
      make(root, "a", log)
      const { complaints, page } = yield* opened(root, "run=a&log=1&band=std")
      yield* until(page, `${chartOf("loss")} .readout`, "±")
      yield* picture(page, "log-band")
      assert.isAbove(yield* coloured(page, "loss", 0.95, 0.99), 0.4)
      // The mean falls through all of the chart: it ends where the chart does.
      assert.isAbove(yield* coloured(page, "loss", 0.9, 1, "lines"), 0.03)
      yield* doing(() => page.getByLabel("Band").selectOption("range"))
      yield* until(page, `${chartOf("loss")} .readout`, "…")
      yield* doing(() => page.waitForTimeout(300))
      assert.isAbove(yield* coloured(page, "loss", 0.95, 0.99), 0.4)
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "shows values between gaps, however many there are",
    Effect.gen(function*() {
      const root = yield* temporary
      const log = Array.from({ length: 3000 }, (_, i) =>
        line(i + 1, {
          every: i % 2 === 0 ? Math.sin(i / 300) : "NaN",
          ...i < 200 ? { few: i % 2 === 0 ? Math.sin(i / 30) : "NaN" } : {},
          single: i < 1000 || i > 2000 ? Math.sin(i / 300) : i === 1500 ? 0.5 : "NaN"
        })).join("")
      make(root, "a", log)
      const { complaints, page } = yield* opened(root, "run=a")
      for (const key of ["every", "few", "single"]) yield* until(page, `${chartOf(key)} .readout`, "step")
      yield* picture(page, "gaps")
      assert.isAbove(yield* coloured(page, "every", 0, 1), 0.8)
      assert.isAbove(yield* coloured(page, "single", 0, 1), 0.6)
      yield* doing(() => page.goto(`${page.url()}&range=1~200`))
      yield* until(page, `${chartOf("few")} .readout`, /step (199|200)/)
      yield* picture(page, "gaps-zoomed")
      assert.isAbove(yield* coloured(page, "few", 0, 1), 0.8)
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "tells whole steps and what its axis tells, in the readout and in the table, and of how many values that is",
    Effect.gen(function*() {
      const root = yield* temporary
      const log = Array.from(
        { length: 3000 },
        (_, i) =>
          line(i + 1, { loss: 1 / (i + 1), near: 1e9 + 0.2 + Math.sin(i) / 10 }) +
          statistics(i + 1, "loss", 1 / (i + 1))
      )
        .join("")
      make(root, "a", log)
      const { complaints, page } = yield* opened(root, "run=a")
      yield* until(page, `${chartOf("near")} .readout`, /1,000,000,000\.\d/)
      const chart = page.locator(`${chartOf("loss")} .plot`)
      yield* doing(() => chart.focus())
      yield* doing(() => page.keyboard.press("Home"))
      for (let i = 0; i < 7; i++) {
        yield* doing(() => page.keyboard.press("Shift+ArrowRight"))
        const said = yield* doing(() => page.locator(`${chartOf("loss")} .where`).innerText())
        assert.match(said, /^step [\d,]+$/)
      }
      yield* doing(() => page.getByRole("button", { name: "Values of loss" }).click())
      yield* until(page, "dialog .note", /^\d+ of 3,000 values: means of neighbours/)
      yield* picture(page, "values")
      const steps = yield* doing(() => page.locator("dialog tbody th").allInnerTexts())
      assert.isAbove(steps.length, 100)
      for (const step of steps) assert.match(step, /^[\d,]+$/)
      assert.deepStrictEqual(yield* Browser.accessibility(page), [])
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "zooms by the keyboard no further than there is data, and no closer than a step",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(3000))
      const { complaints, page } = yield* opened(root, "run=a")
      yield* until(page, `${chartOf("loss")} .readout`, "step 3,000")
      yield* doing(() => page.locator(`${chartOf("loss")} .plot`).focus())
      for (let i = 0; i < 3; i++) yield* doing(() => page.keyboard.press("-"))
      assert.notInclude(page.url(), "range")
      for (let i = 0; i < 30; i++) yield* doing(() => page.keyboard.press("+"))
      const [from = 0, to = 0] = (new URL(page.url()).searchParams.get("range") ?? "").split("~").map(Number)
      assert.closeTo(to - from, 1, 1e-6)
      yield* doing(() => page.waitForTimeout(300))
      assert.isAbove(yield* coloured(page, "loss", 0, 1), 0.9)
      for (let i = 0; i < 30; i++) yield* doing(() => page.keyboard.press("-"))
      yield* doing(() => page.waitForURL((url) => !url.search.includes("range")))
      assert.deepStrictEqual(complaints, [])
    })
  )

  for (const width of [1440, 390]) {
    shown(
      `has a link to the records of each run that has its metric, ${width} pixels wide`,
      Effect.gen(function*() {
        const root = yield* temporary
        make(root, "first", line(1, { both: 1 }), { name: "first" })
        make(root, "torn", line(1, { both: 2, "train/loss": 2 }), { name: "torn" })
        const { complaints, page } = yield* opened(root, "run=first&run=torn", width)
        const links = (key: string) =>
          doing(() =>
            page.locator(`${chartOf(key)} a:not([hidden])`).evaluateAll((all) =>
              all.map((one) => [one.textContent, one.getAttribute("href")])
            )
          )
        yield* until(page, `${chartOf("both")} .readout`, /first.*torn/)
        yield* until(page, `${chartOf("train/loss")} .readout`, "2")
        assert.deepStrictEqual(yield* links("train/loss"), [["CSV", "csv?run=torn&key=train%2Floss"]])
        assert.deepStrictEqual(yield* links("both"), [
          ["first", "csv?run=first&key=both"],
          ["torn", "csv?run=torn&key=both"]
        ])
        yield* picture(page, `links-${width}`)
        assert.deepStrictEqual(yield* Browser.accessibility(page), [])
        const wide = yield* doing(() => page.evaluate("document.documentElement.scrollWidth"))
        assert.isAtMost(Number(wide), width)
        assert.deepStrictEqual(complaints, [])
      })
    )
  }

  for (const [name, query] of [["time", "x=time"], ["relative time", "x=relative"], ["powers", "log=1"]] as const) {
    for (const width of [1440, 390]) {
      shown(
        `has marks of ${name} that are told apart, for runs long and short and values of any size, ${width} pixels wide`,
        Effect.gen(function*() {
          const root = yield* temporary
          const at = (time: number, i: number) =>
            line(i, {
              falling: 3 / i,
              constant: 2.73,
              large: 2e302 * (1 + i / 100),
              near: 0.18 + i / 900,
              wide: 10 ** (i % 30)
            })
              .replace(/"timestamp":[\d.]+/, `"timestamp":${time}`)
          for (const [id, seconds] of [["long", 3000], ["short", 0.3], ["days", 400_000]] as const) {
            const log = Array.from({ length: 100 }, (_, i) => at(1_795_445_508 + i / 100 * seconds, i + 1)).join("")
            make(root, id, log, { name: id })
          }
          for (const id of ["long", "short", "days"]) {
            const { complaints, page } = yield* opened(root, `run=${id}&${query}`, width)
            yield* until(page, `${chartOf("wide")}`, "wide")
            yield* until(page, `${chartOf("falling")} .readout`, /\d/)
            const charts = yield* labels(page)
            assert.isAtLeast(charts.length, 2)
            for (const marks of charts.flatMap((chart) => [chart.x, chart.y])) {
              const said = marks.map(({ text }) => text)
              assert.isAtLeast(said.length, 2, id)
              assert.strictEqual(new Set(said).size, said.length, said.join())
              for (const [i, one] of marks.slice(1).entries()) {
                const before = marks[i]!
                assert.isAtLeast(Math.abs(one.at - before.at), (one.width + before.width) / 2, said.join())
              }
            }
            yield* picture(page, `marks-${query}-${id}-${width}`)
            assert.deepStrictEqual(complaints, [])
          }
        })
      )
    }
  }
})

describe("the charts", () => {
  shown(
    "count all metrics of a group, and write names so that they can be read",
    Effect.gen(function*() {
      const root = yield* temporary
      const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`layer0/${i}`, i]))
      make(root, "a", line(1, { "loss\u202egnp.exe": 1, "bell\u0007": 2, "": 3, ...many }), {
        name: "run\u202etxt.exe"
      })
      const { complaints, page } = yield* opened(root, "run=a")
      yield* until(page, "h3", /^layer0 100$/)
      yield* until(page, "h4", /^loss\\u202egnp\.exe$/)
      yield* until(page, "h4", /^bell\\x07$/)
      yield* until(page, "h4", /^\(empty\)$/)
      yield* until(page, "main h2", /run\\u202etxt\.exe/)
      yield* until(page, "#side .run", /run\\u202etxt\.exe/)
      yield* picture(page, "names")
      assert.deepStrictEqual(yield* Browser.accessibility(page), [])
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "say that there is no such run, and show the others",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(10))
      const { page } = yield* opened(root, "run=nowhere")
      yield* until(page, "#panel .note", "There is no such run: nowhere")
      const both = yield* opened(root, "run=nowhere&run=a")
      yield* until(both.page, `${chartOf("loss")} .readout`, "step 10")
    })
  )
})
