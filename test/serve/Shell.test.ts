/** What is around the charts: the list, the headings, the other tabs, and the connection. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Browser as Chromium, Page } from "playwright-core"
import { temporary } from "../support/directory.ts"
import * as Browser from "./browser.ts"
import { falling, make, serve } from "./runs.ts"

let browser: Chromium

beforeAll(async () => {
  browser = await Browser.launch()
})

afterAll(() => browser.close())

const shown = (name: string, test: Effect.Effect<void, unknown, Scope.Scope>): void =>
  it.live(name, () => Effect.scoped(test))

const doing = <A>(act: () => Promise<A>): Effect.Effect<A> => Effect.promise(act)

const until = (page: Page, selector: string, expected: RegExp | string): Effect.Effect<void> =>
  doing(() => page.locator(selector).filter({ hasText: expected }).first().waitFor({ timeout: 15_000 }))

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

describe("the page around its charts", () => {
  shown(
    "is live in any number of tabs: those that are not seen hold no connection",
    Effect.gen(function*() {
      const root = yield* temporary
      const directory = make(root, "a", falling(50), { name: "a" })
      const { port } = yield* serve(root)
      const first = yield* Browser.open(browser, `http://127.0.0.1:${port}/?run=a`)
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
      const { complaints, page } = yield* Browser.open(browser, `http://127.0.0.1:${port}/?run=a`)
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
      const { page } = yield* Browser.open(browser, `http://127.0.0.1:${port}/?run=a`)
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
})
