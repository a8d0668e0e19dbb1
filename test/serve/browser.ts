/** A real browser: headless Chromium, as Debian has it, and what it complained about. */
import * as Axe from "axe-core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]

export const launch = (): Promise<Browser> => {
  const executablePath = process.env["CHROMIUM"] ?? places.find((place) => existsSync(place))
  if (executablePath === undefined) throw new Error("There is no Chromium: apt-get install chromium")
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] })
}

/** A page that has what went wrong in it: errors, what its policy refused, and requests to anywhere else. */
export interface Watched {
  readonly page: Page
  readonly complaints: Array<string>
}

export const open = (
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {}
): Effect.Effect<Watched, never, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Effect.acquireRelease(
      Effect.promise(() => browser.newContext({ viewport: { width: 1440, height: 900 }, ...options })),
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
