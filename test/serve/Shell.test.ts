/** What is around the charts: the list, the headings, the other tabs, and the connection. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Page } from "playwright-core"
import { temporary } from "../support/directory.ts"
import * as Browser from "./browser.ts"
import { doing, shown, until } from "./browser.ts"
import { falling, line, make, serve, statistics } from "./runs.ts"

const loss = `article:has(h4[title="loss"]) .readout`

/** What a browser does with a tab that another one covers: headless ones show them all. */
const hide = (page: Page, hidden: boolean): Effect.Effect<void> =>
  doing(() =>
    page.evaluate(`
      Object.defineProperty(document, "visibilityState", { configurable: true, value: "${
      hidden ? "hidden" : "visible"
    }" })
      document.dispatchEvent(new Event("visibilitychange"))
    `)
  )

/** All that an element has said from now on. */
const listen = (page: Page, selector: string): Effect.Effect<() => Effect.Effect<ReadonlyArray<string>>> =>
  doing(() =>
    page.evaluate(`
      window.said = []
      const heard = () => window.said.push(document.querySelector("${selector}").textContent)
      heard()
      new MutationObserver(heard).observe(document.querySelector("${selector}"), {
        childList: true,
        characterData: true,
        subtree: true
      })
    `)
  ).pipe(Effect.as(() => doing(() => page.evaluate<Array<string>>("window.said"))))

const ranked = (root: string, name: string, records = 60): string =>
  make(
    root,
    name,
    Array.from({ length: records }, (_, i) => line(i + 1, { loss: i }) + statistics(i + 1, "loss", i)).join(""),
    { name }
  )

describe("the page around its charts", () => {
  shown(
    "is live in any number of tabs: those that are not seen hold no connection",
    Effect.gen(function*() {
      const root = yield* temporary
      const directory = make(root, "a", falling(50), { name: "a" })
      const { port } = yield* serve(root)
      const first = yield* Browser.open(`http://127.0.0.1:${port}/?run=a`)
      yield* until(first.page, loss, "step 50")
      let before = first.page
      for (let tab = 2; tab <= 8; tab++) {
        yield* hide(before, true)
        const page = before = yield* doing(() => first.page.context().newPage())
        yield* doing(() => page.goto(`http://127.0.0.1:${port}/?run=a`))
        yield* until(page, ".connection", "live")
        yield* until(page, loss, "step 50")
      }
      Fs.appendFileSync(Path.join(directory, "metrics.jsonl"), falling(1, 51))
      yield* until(before, loss, "step 51")
      assert.deepStrictEqual(first.complaints, [])
    })
  )

  shown(
    "misses nothing while it is not seen, and does not say meanwhile that it is not connected",
    Effect.gen(function*() {
      const root = yield* temporary
      const directory = make(root, "a", falling(50), { name: "a" })
      const log = Path.join(directory, "metrics.jsonl")
      const { port } = yield* serve(root)
      const { complaints, page } = yield* Browser.open(`http://127.0.0.1:${port}/?run=a`)
      yield* until(page, loss, "step 50")
      yield* until(page, ".connection", "live")
      const said = yield* listen(page, ".connection")
      yield* hide(page, true)
      Fs.appendFileSync(log, falling(10, 51))
      yield* Effect.sleep("1 second")
      // It is not asked for what nobody sees.
      assert.include(yield* doing(() => page.locator(loss).innerText()), "step 50")
      yield* hide(page, false)
      yield* until(page, loss, "step 60")
      yield* until(page, "main .meta", /\b60 records · step 60\b/)
      Fs.appendFileSync(log, falling(1, 61))
      yield* until(page, loss, "step 61")
      assert.deepStrictEqual([...new Set(yield* said())], ["live"])
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "knows a run that has changed while nobody listened, though another server counts its changes",
    Effect.gen(function*() {
      const root = yield* temporary
      const directory = make(root, "a", falling(50), { name: "a" })
      const scope = yield* Scope.make()
      const { port } = yield* Scope.provide(serve(root), scope)
      const { page } = yield* Browser.open(`http://127.0.0.1:${port}/?run=a`)
      yield* until(page, loss, "step 50")
      yield* until(page, ".connection", "live")
      yield* hide(page, true)
      yield* Scope.close(scope, Exit.void)
      Fs.appendFileSync(Path.join(directory, "metrics.jsonl"), falling(10, 51))
      yield* serve(root, { port })
      yield* hide(page, false)
      yield* until(page, loss, "step 60")
      yield* until(page, "main .meta", /\b60 records · step 60\b/)
    })
  )

  shown(
    "an answer that comes late is not shown under another tab",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(50), { name: "a" })
      const { port } = yield* serve(root)
      const { complaints, page } = yield* Browser.open(`http://127.0.0.1:${port}/?run=a`)
      yield* until(page, loss, "step 50")
      yield* doing(() =>
        page.route("**/api/report*", async (route) => {
          await new Promise((resolve) => setTimeout(resolve, 1000))
          await route.continue()
        })
      )
      yield* doing(() => page.getByRole("tab", { name: "report" }).click())
      yield* doing(() => page.getByRole("tab", { name: "files" }).click())
      yield* until(page, "#panel", "metrics.jsonl")
      yield* Effect.sleep("1500 millis")
      assert.match(yield* doing(() => page.locator("#panel").innerText()), /metrics\.jsonl/)
      yield* doing(() => page.getByRole("tab", { name: "report" }).click())
      yield* until(page, "#panel", "There is no report yet")
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "ranks, report and files are those of all runs that are shown, each under its name",
    Effect.gen(function*() {
      const root = yield* temporary
      for (const name of ["one", "two"]) {
        Fs.writeFileSync(Path.join(ranked(root, name), "report.md"), `# Report of ${name}\n\n| Key |\n| :-- |\n| 1 |\n`)
      }
      const { port } = yield* serve(root)
      const { complaints, page } = yield* Browser.open(`http://127.0.0.1:${port}/?run=one&run=two`)
      yield* until(page, loss, /one.*two/)
      for (
        const [tab, expected] of [["ranks", /8 ranks, 60 records/], ["report", /Report of/], [
          "files",
          /metrics/
        ]] as const
      ) {
        yield* doing(() => page.getByRole("tab", { name: tab }).click())
        for (const name of ["one", "two"]) {
          const part = page.getByRole("region", { name, exact: true })
          yield* doing(() => part.filter({ hasText: expected }).waitFor({ timeout: 15_000 }))
          assert.strictEqual(yield* doing(() => part.locator("h3").first().innerText()), name)
          if (tab === "report") yield* doing(() => part.filter({ hasText: `Report of ${name}` }).waitFor())
          if (tab === "files") assert.isAbove(yield* doing(() => part.locator(`a[href*="run=${name}"]`).count()), 1)
        }
        assert.deepStrictEqual(yield* Browser.accessibility(page), [], tab)
      }
      // One run needs no name above it.
      yield* doing(() => page.getByRole("checkbox", { name: "Show one" }).uncheck())
      yield* doing(() => page.getByRole("region", { name: "one", exact: true }).waitFor({ state: "detached" }))
      assert.strictEqual(yield* doing(() => page.locator(".other h3").count()), 0)
      yield* until(page, "#panel", "metrics.jsonl")
      assert.deepStrictEqual(complaints, [])
    })
  )

  shown(
    "does not take the size of a first look at a long log for the number of its records",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(50), { name: "a" })
      const { port } = yield* serve(root)
      const { page } = yield* Browser.open("about:blank")
      yield* doing(() =>
        page.route("**/api/run?*", async (route) => {
          const response = await route.fetch()
          await route.fulfill({ response, json: { ...await response.json(), read: 0.25 } })
        })
      )
      yield* doing(() => page.goto(`http://127.0.0.1:${port}/?run=a`))
      yield* until(page, "main .meta", /demo · … records · step 50 · .*reading, 25%/)
    })
  )

  for (const width of [1440, 390]) {
    shown(
      `words stay whole in tables, ${width} pixels wide`,
      Effect.gen(function*() {
        const root = yield* temporary
        const words = ["Command", "Runtime", "argument", "configuration"]
        const value = `${words.join(" ")} ${"/a/very/long/path".repeat(30)}`
        const names = ["one", "two", "three"]
        for (const [i, name] of names.entries()) {
          const config = Object.fromEntries(words.map((word) => [word, `${value} ${i}`]))
          const directory = make(root, name, falling(5), { name, config })
          Fs.writeFileSync(
            Path.join(directory, "report.md"),
            `| Run | |\n| :-- | :-- |\n${words.map((word) => `| ${word} | \`${value}\` |\n`).join("")}\n` +
              `| ${words.join(" | ")} |\n| ${words.map(() => ":--").join(" | ")} |\n| ${words.join(" | ")} |\n`
          )
        }
        const { port } = yield* serve(root)
        const { page } = yield* Browser.open(
          `http://127.0.0.1:${port}/?${names.map((name) => `run=${name}`).join("&")}`,
          { viewport: { width, height: 900 } }
        )
        for (const tab of ["config", "report", "files"]) {
          yield* doing(() => page.getByRole("tab", { name: tab }).click())
          yield* until(page, "#panel td", tab === "files" ? "made now" : "Command")
          // A word that is broken has a box on each of its lines.
          const broken = yield* doing(() =>
            page.evaluate<Array<string>>(`
              [...document.querySelectorAll("#panel :is(th, td)")].flatMap((cell) => {
                const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT)
                const found = []
                for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
                  for (const { 0: word, index } of text.data.matchAll(/[A-Za-z]{3,13}(?= |$)/g)) {
                    const range = document.createRange()
                    range.setStart(text, index)
                    range.setEnd(text, index + word.length)
                    const tops = new Set([...range.getClientRects()].map(({ top }) => top))
                    if (tops.size > 1 && text.data[index - 1] !== "/") found.push(word)
                  }
                }
                return found
              })
            `)
          )
          assert.deepStrictEqual(broken, [], tab)
          const directory = process.env["EZPZ_PICTURES"]
          if (directory !== undefined) {
            yield* doing(() =>
              page.screenshot({ path: Path.join(directory, `words-${tab}-${width}.png`), fullPage: true })
            )
          }
          assert.isAtMost(Number(yield* doing(() => page.evaluate("document.documentElement.scrollWidth"))), width)
        }
      })
    )
  }

  shown(
    "a run beyond those that can be told apart is refused, and that is said",
    Effect.gen(function*() {
      const root = yield* temporary
      for (let i = 1; i <= 9; i++) make(root, `run${i}`, falling(3), { name: `run${i}`, createdAt: 1_795_440_000 + i })
      const { port } = yield* serve(root)
      const eight = Array.from({ length: 8 }, (_, i) => `run=run${i + 1}`).join("&")
      const { complaints, page } = yield* Browser.open(`http://127.0.0.1:${port}/?${eight}`)
      yield* until(page, loss, /run1.*run8/)
      const ninth = page.getByRole("checkbox", { name: "Show run9" })
      const refused = page.getByRole("status").filter({ hasText: "8 runs at a time" })
      yield* doing(() => ninth.click())
      yield* doing(() => refused.waitFor({ timeout: 15_000 }))
      assert.isFalse(yield* doing(() => ninth.isChecked()))
      assert.strictEqual(new URL(page.url()).search, `?${eight}`)
      assert.deepStrictEqual(yield* Browser.accessibility(page), [])
      const directory = process.env["EZPZ_PICTURES"]
      if (directory !== undefined) yield* doing(() => page.screenshot({ path: Path.join(directory, "refused.png") }))
      yield* doing(() => page.getByRole("checkbox", { name: "Show run8" }).uncheck())
      yield* doing(() => refused.waitFor({ state: "detached", timeout: 15_000 }))
      yield* doing(() => ninth.check())
      yield* until(page, loss, /run7.*run9/)
      assert.deepStrictEqual(complaints, [])
    })
  )
})
