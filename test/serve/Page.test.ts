import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ezpz } from "../cli/command.ts"
import { temporary } from "../support/directory.ts"
import * as Browser from "./browser.ts"
import { chartOf, doing, picture, shown, until } from "./browser.ts"
import { falling, line, make, serve, statistics } from "./runs.ts"

/** Three runs, two of them with ranks. */
const three = (root: string): void => {
  const ranks = (scale: number): string =>
    Array.from({ length: 600 }, (_, i) => {
      const loss = scale / Math.sqrt(i + 1) + Math.sin(i / 9) / 40
      return line(i + 1, { "train/loss": loss, "train/lr": scale * (1 - i / 600), "perf/dt": 0.1 }) +
        statistics(i + 1, "train/loss", loss)
    }).join("")
  make(root, "demo/first", ranks(3), { name: "first", config: { lr: 0.1, batch: 32 }, createdAt: 1_795_440_000 })
  const second = make(root, "demo/second", ranks(2), {
    name: "second",
    config: { lr: 0.2, batch: 32 },
    createdAt: 1_795_440_001
  })
  Fs.writeFileSync(
    Path.join(second, "report.md"),
    "# Run `second`\n\n| Key | Value |\n| :-- | --: |\n| a &#60;b&#62; | 1 |\n\n- <img src=x onerror=alert(1)>\n"
  )
  Fs.writeFileSync(
    Path.join(second, ".ezpz", "outbox.jsonl"),
    Array.from(
      { length: 50 },
      (_, i) => `${JSON.stringify({ kind: "system", seq: i + 1, timestamp: 1_795_445_508 + i, metrics: { cpu: i } })}\n`
    ).join("")
  )
  make(root, "demo/third", falling(50), { name: "third", state: "failed", createdAt: 1_795_430_000 })
}

describe("the page", () => {
  shown(
    "shows the points of a real run as they arrive, and how it ends",
    Effect.gen(function*() {
      const root = yield* temporary
      const job = ezpz(["--backends", "none", "--outdir", Path.join(root, "live"), "--run-name", "alive", "--no-plots"])
      yield* doing(() => job.write("{\"step\":1,\"loss\":4}\n"))
      yield* doing(() => job.until(({ out }) => out().includes("loss")))
      const { port } = yield* serve(root)
      const { complaints, page } = yield* Browser.open(`http://127.0.0.1:${port}/`)
      yield* until(page, "main h2", /alive.*running/)
      yield* until(page, `${chartOf("loss")} .readout`, "step 1")
      yield* doing(() => page.locator(`${chartOf("loss")} .plot`).focus())
      for (let step = 2; step < 6; step++) {
        yield* doing(() => job.write(`{"step":${step},"loss":${4 / step}${step > 3 ? ",\"eval/acc\":0.5" : ""}}\n`))
        yield* until(page, `${chartOf("loss")} .readout`, `step ${step}`)
      }
      // A metric that was not there before.
      yield* until(page, `${chartOf("eval/acc")} .readout`, "0.5")
      // Whoever uses the keyboard stays where they are.
      yield* doing(() => page.locator(`${chartOf("loss")} .plot:focus`).waitFor({ timeout: 5000 }))
      job.end()
      yield* doing(() => job.ended)
      yield* until(page, "main h2", /alive.*finished/)
      yield* until(page, "#side", /finished/)
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "overlays runs, tells what differs, zooms all charts at once, filters, smooths, and the address says all of it",
    Effect.gen(function*() {
      const root = yield* temporary
      three(root)
      const { port } = yield* serve(root)
      const { complaints, page } = yield* Browser.open(`http://127.0.0.1:${port}/`)
      // The newest one is shown first.
      yield* until(page, "main h2", "second")
      yield* doing(() => page.getByRole("checkbox", { name: "Show first" }).check())
      yield* until(page, `${chartOf("train/loss")} .readout`, /second.*first/)
      yield* picture(page, "overlay")

      yield* doing(() => page.getByRole("searchbox", { name: "Search" }).fill("lr=0.1"))
      yield* until(page, "#count", "1 of 3")
      yield* doing(() => page.getByRole("searchbox", { name: "Search" }).fill(""))

      // A drag over one chart is the range of all.
      const loss = page.locator(`${chartOf("train/loss")} .u-over`)
      const box = yield* doing(() => loss.boundingBox())
      assert.isNotNull(box)
      yield* doing(async () => {
        await page.mouse.move(box.x + box.width * 0.25, box.y + 50)
        await page.mouse.down()
        await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 5 })
        await page.mouse.up()
        await page.mouse.move(box.x + box.width * 0.25, box.y - 200)
      })
      yield* doing(() => page.waitForURL(/range=/))
      const [from = 0, to = 0] = (new URL(page.url()).searchParams.get("range") ?? "").split("~").map(Number)
      assert.isTrue(from > 140 && from < 160 && to > 290 && to < 310, `${from} ${to}`)
      yield* until(page, `${chartOf("train/lr")} .readout`, /step (29|30)\d/)
      yield* picture(page, "zoomed")
      yield* doing(() => page.getByRole("button", { name: "Show all" }).click())
      yield* until(page, `${chartOf("train/lr")} .readout`, "step 600")
      yield* doing(() => page.goBack())
      yield* until(page, `${chartOf("train/lr")} .readout`, /step (29|30)\d/)

      yield* doing(() => page.getByRole("searchbox", { name: "Metrics" }).fill("^perf"))
      yield* doing(() => page.locator(chartOf("train/loss")).waitFor({ state: "detached" }))
      yield* until(page, `${chartOf("perf/dt")} .readout`, "0.1")
      yield* doing(() => page.getByRole("searchbox", { name: "Metrics" }).fill("("))
      yield* until(page, "#filter-problem", "Not a regular expression")
      yield* doing(() => page.getByRole("searchbox", { name: "Metrics" }).fill("loss"))
      yield* doing(() => page.getByLabel("Smoothing").fill("0.9"))
      yield* doing(() => page.getByLabel("x", { exact: true }).selectOption("time"))
      yield* doing(() => page.getByLabel("Log scale").check())
      yield* until(page, `${chartOf("train/loss")} .readout`, /20\d\d-\d\d-\d\d/)

      // Whoever opens the same address sees the same.
      const again = yield* Browser.open(page.url())
      yield* until(again.page, `${chartOf("train/loss")} .readout`, /second.*first/)
      assert.strictEqual(yield* doing(() => again.page.getByLabel("Smoothing").inputValue()), "0.9")
      assert.isTrue(yield* doing(() => again.page.getByLabel("Log scale").isChecked()))

      yield* doing(() => page.getByRole("tab", { name: "config" }).click())
      yield* until(page, "table.config", /lr.*0\.2.*0\.1/)
      assert.notInclude(yield* doing(() => page.locator("table.config").innerText()), "batch")
      yield* doing(() => page.getByLabel("Only what differs").uncheck())
      yield* until(page, "table.config", "batch")
      yield* doing(() => page.getByRole("tab", { name: "ranks" }).click())
      yield* until(page, "table", "train/loss")
      yield* doing(() => page.getByRole("tab", { name: "system" }).click())
      yield* until(page, "#panel", "None of 1 metrics matches")
      yield* doing(() => page.getByRole("searchbox", { name: "Metrics" }).fill(""))
      yield* until(page, chartOf("system/cpu"), "49")
      yield* doing(() => page.getByRole("tab", { name: "files" }).click())
      const download = page.waitForEvent("download")
      yield* doing(() => page.getByRole("link", { name: "all records as CSV" }).first().click())
      const path = yield* doing(async () => (await download).path())
      assert.match(Fs.readFileSync(path, "utf8"), /^step,timestamp,train\/loss,train\/loss\/mean/)
      assert.deepStrictEqual([...complaints, ...again.complaints], [])
    })
  )

  shown(
    "can be used without a pointer and read by a screen reader",
    Effect.gen(function*() {
      const root = yield* temporary
      three(root)
      const { port } = yield* serve(root)
      const { complaints, page } = yield* Browser.open(
        `http://127.0.0.1:${port}/?run=demo/second&run=demo/first`
      )
      yield* until(page, `${chartOf("train/loss")} .readout`, /second.*first/)
      const chart = page.locator(`${chartOf("train/loss")} .plot`)
      assert.match(String(yield* doing(() => chart.getAttribute("aria-label"))), /^train\/loss\. second: 600 points/)
      yield* doing(() => chart.focus())
      yield* doing(() => page.keyboard.press("Home"))
      yield* until(page, "#status", /train\/loss: second .* step 1\b/)
      yield* doing(() => page.keyboard.press("ArrowRight"))
      yield* until(page, "#status", /step 7\b/)
      yield* doing(() => page.keyboard.press("+"))
      yield* doing(() => page.waitForURL(/range=/))
      yield* doing(() => page.keyboard.press("0"))
      yield* doing(() => page.waitForURL((url) => !url.search.includes("range")))
      yield* doing(() => page.getByRole("button", { name: "Values of train/loss" }).press("Enter"))
      yield* until(page, "dialog table", /second/)
      assert.deepStrictEqual(yield* Browser.accessibility(page), [])
      yield* doing(() => page.keyboard.press("Escape"))
      yield* doing(() => page.locator("dialog").waitFor({ state: "detached" }))
      assert.deepStrictEqual(complaints, [])
    })
  )

  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [1440, 390]) {
      // Every tab once at each width and in each scheme; charts in all.
      const whole = (colorScheme === "light") === (width > 500)
      shown(
        `passes axe, ${colorScheme}, ${width} pixels wide${
          whole ? ", in every tab" : ""
        }; nothing runs out of the window`,
        Effect.gen(function*() {
          const root = yield* temporary
          three(root)
          const { port } = yield* serve(root)
          const { complaints, page } = yield* Browser.open(
            `http://127.0.0.1:${port}/?run=demo/second&run=demo/first`,
            { colorScheme, viewport: { width, height: 900 } }
          )
          yield* until(page, `${chartOf("train/loss")} .readout`, /second.*first/)
          if (width < 500) yield* doing(() => page.getByRole("button", { name: "Runs" }).click())
          yield* until(page, "#side .run", "third")
          for (const tab of whole ? ["charts", "config", "system", "ranks", "report", "files"] : ["charts"]) {
            yield* doing(() => page.getByRole("tab", { name: tab }).click())
            yield* until(page, "#panel", tab === "charts" ? "train/loss" : /\w/)
            yield* picture(page, `${tab}-${colorScheme}-${width}`)
            assert.deepStrictEqual(yield* Browser.accessibility(page), [], tab)
            const wide = yield* doing(() => page.evaluate("document.documentElement.scrollWidth"))
            assert.isAtMost(Number(wide), width, tab)
          }
          assert.deepStrictEqual(complaints, [])
        })
      )
    }
  }

  shown(
    "is zoomed by a finger on a phone",
    Effect.gen(function*() {
      const root = yield* temporary
      three(root)
      const { port } = yield* serve(root)
      const { complaints, page } = yield* Browser.open(`http://127.0.0.1:${port}/?run=demo/second`, {
        hasTouch: true,
        isMobile: true,
        viewport: { width: 390, height: 844 }
      })
      yield* until(page, `${chartOf("train/loss")} .readout`, "step 600")
      const box = yield* doing(() => page.locator(`${chartOf("train/loss")} .u-over`).boundingBox())
      assert.isNotNull(box)
      const client = yield* doing(() => page.context().newCDPSession(page))
      const finger = (type: "touchStart" | "touchMove" | "touchEnd", fraction: number) =>
        doing(() =>
          client.send("Input.dispatchTouchEvent", {
            type,
            touchPoints: type === "touchEnd" ? [] : [{ x: box.x + box.width * fraction, y: box.y + 60 }]
          })
        )
      yield* finger("touchStart", 0.25)
      for (const fraction of [0.3, 0.4, 0.5]) yield* finger("touchMove", fraction)
      yield* finger("touchEnd", 0.5)
      yield* doing(() => page.waitForURL(/range=/))
      yield* until(page, `${chartOf("train/loss")} .readout`, /step (29|30)\d/)
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "shows names with markup as they are, thousands of metrics a few at a time, and what was seen of a deleted run",
    Effect.gen(function*() {
      const root = yield* temporary
      const markup = "<img src=x onerror=alert(1)>"
      const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`m/${i}`, i]))
      const directory = make(root, "a", line(1, { [markup]: 1, ...many }), {
        name: `${markup}<script>alert(2)</script>`,
        project: "\"><svg onload=alert(3)>",
        config: { [markup]: markup }
      })
      Fs.writeFileSync(
        Path.join(directory, "report.md"),
        `# ${markup}\n\n[x](javascript:alert(4)) ![x](https://evil.example/a.png)\n`
      )
      const { port } = yield* serve(root)
      const { complaints, page } = yield* Browser.open(`http://127.0.0.1:${port}/?run=a`)
      yield* until(page, "main h2", markup)
      yield* doing(() => page.getByRole("heading", { level: 4, name: markup }).waitFor())
      yield* until(page, ".more", /of 20001 metrics/)
      assert.isAtMost(yield* doing(() => page.locator("article").count()), 60)
      yield* picture(page, "markup")
      for (const tab of ["config", "report", "files"]) {
        yield* doing(() => page.getByRole("tab", { name: tab }).click())
        yield* until(page, "#panel", tab === "files" ? "metrics.jsonl" : markup)
        assert.strictEqual(yield* doing(() => page.locator("#panel img, #panel svg, a[href^=javascript]").count()), 0)
      }
      Fs.rmSync(directory, { recursive: true })
      yield* until(page, "main h2", /gone/)
      yield* doing(() => page.getByRole("tab", { name: "charts" }).click())
      yield* until(page, chartOf("m/0"), "0")
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "opens with the token of its address, which does not stay there",
    Effect.gen(function*() {
      const root = yield* temporary
      three(root)
      const { address } = yield* serve(root, { token: "0123456789abcdefghij" })
      const { complaints, page } = yield* Browser.open(address)
      yield* until(page, `${chartOf("train/loss")} .readout`, "step 600")
      assert.notInclude(page.url(), "token")
      assert.strictEqual(yield* doing(() => page.evaluate("document.cookie")), "")
      assert.deepStrictEqual(complaints, [])
    })
  )
})
