/**
 * The script and the style of report.html, as the build has made them.
 *
 * @since 0.5.0
 */
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"

/**
 * What goes into each report as it is.
 *
 * @category models
 * @since 0.5.0
 */
export interface Assets {
  readonly script: string
  readonly style: string
}

/** Beside the bundle, beside the modules; from the sources, what was built last. */
const places = ["../page/", "../../page/", "../../../dist/page/"]

/**
 * Reads them; undefined where they have not been built.
 *
 * @category reading
 * @since 0.5.0
 */
export const load = (): Assets | undefined => {
  for (const place of places) {
    const directory = fileURLToPath(new URL(place, import.meta.url))
    if (!Fs.existsSync(`${directory}report.js`)) continue
    return {
      // Within a script, these would end it or begin what hides its end.
      script: Fs.readFileSync(`${directory}report.js`, "utf8").replaceAll(/<(?=!--|\/?script)/gi, "\\x3c"),
      style: Fs.readFileSync(`${directory}report.css`, "utf8")
    }
  }
  return undefined
}
