/** A real browser: headless Chromium, as Debian has it, and what it complained about. */
import { afterAll, it } from "@effect/vitest"
import * as Axe from "axe-core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import * as Path from "node:path"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]

const launch = (): Promise<Browser> => {
  const executablePath = process.env["CHROMIUM"] ?? places.find((place) => existsSync(place))
  if (executablePath === undefined) throw new Error("There is no Chromium: apt-get install chromium")
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] })
}

/** Of a test file, once it is needed. */
let browser: Promise<Browser> | undefined

afterAll(async () => {
  await (await browser)?.close()
})

/** A test whose pages and servers end with it. */
export const shown = (name: string, test: Effect.Effect<void, unknown, Scope.Scope>): void =>
  it.live(name, () => Effect.scoped(test))

export const doing = <A>(act: () => Promise<A>): Effect.Effect<A> => Effect.promise(act)

/** Waits until what is shown is as it should be. */
export const until = (page: Page, selector: string, expected: RegExp | string): Effect.Effect<void> =>
  doing(() => page.locator(selector).filter({ hasText: expected }).first().waitFor())

export const chartOf = (key: string): string => `article:has(h4[title="${key}"])`

/** Keeps pictures where somebody wants to look at them. */
export const picture = (page: Page, name: string): Effect.Effect<void> =>
  doing(async () => {
    const directory = process.env["EZPZ_PICTURES"]
    if (directory !== undefined) await page.screenshot({ path: Path.join(directory, `${name}.png`), fullPage: true })
  })

/** A page that has what went wrong in it: errors, what its policy refused, and requests to anywhere else. */
export interface Watched {
  readonly page: Page
  readonly complaints: Array<string>
}

export const open = (
  address: string,
  options: BrowserContextOptions = {}
): Effect.Effect<Watched, never, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const chromium = await (browser ??= launch())
        return chromium.newContext({ viewport: { width: 1440, height: 900 }, ...options })
      }),
      (context) => Effect.promise(() => context.close())
    )
    const page = yield* Effect.promise(() => context.newPage())
    const complaints: Array<string> = []
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`)
    })
    page.on("pageerror", (error) => complaints.push(`error: ${error.message}`))
    page.on("dialog", (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on("request", (request) => {
      if (new URL(request.url()).host !== new URL(address).host) complaints.push(`foreign: ${request.url()}`)
    })
    page.setDefaultTimeout(30_000)
    yield* Effect.promise(() => page.goto(address))
    return { page, complaints }
  })

/** What axe finds against WCAG 2.2 A and AA and its own best practices, as one line each. */
export const accessibility = (page: Page): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    await page.evaluate(Axe.source)
    return page.evaluate(async () => {
      const { violations }: Axe.AxeResults = await Reflect.get(globalThis, "axe").run()
      return violations.flatMap(({ help, id, nodes }) =>
        nodes.map(({ html }) => `${id}: ${help}: ${html.slice(0, 200)}`)
      )
    })
  })
