/**
 * The page itself, as the build has made it.
 *
 * @since 0.5.0
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"
import { Refusal } from "./Library.ts"

/**
 * One file of the page.
 *
 * @category models
 * @since 0.5.0
 */
export interface Asset {
  readonly type: string
  readonly body: Buffer
}

const files: ReadonlyArray<readonly [path: string, name: string, type: string]> = [
  ["/", "index.html", "text/html; charset=utf-8"],
  ["/page.js", "page.js", "text/javascript; charset=utf-8"],
  ["/page.css", "page.css", "text/css; charset=utf-8"],
  ["/icon.svg", "icon.svg", "image/svg+xml"]
]

/** Beside this module or the bundle that it is in; from the sources, what was built last. */
const places = ["../page/", "../../dist/page/"]

/**
 * Reads the page, by path.
 *
 * @category reading
 * @since 0.5.0
 */
export const load: Effect.Effect<ReadonlyMap<string, Asset>, Refusal> = Effect.suspend(() => {
  for (const place of places) {
    const directory = fileURLToPath(new URL(place, import.meta.url))
    if (!Fs.existsSync(`${directory}page.js`)) continue
    return Effect.succeed(
      new Map(
        files.map(([path, name, type]) => [path, { type, body: Fs.readFileSync(`${directory}${name}`) }] as const)
      )
    )
  }
  return Effect.fail(new Refusal({ status: 500, problem: "The page has not been built: npm run build" }))
})
