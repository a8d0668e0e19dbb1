/**
 * Builds the page that `ezpz-stream serve` shows: dist/page/, its script in one piece, its style, and nothing that is
 * loaded from elsewhere. Beside it, what goes into every report.html.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))

export const buildPage = async (dist: string): Promise<void> => {
  const to = `${dist}/page`
  mkdirSync(to, { recursive: true })
  const bundle = await rolldown({ input: { page: at("src/serve/page/main.ts") }, platform: "browser" })
  await bundle.write({ dir: to, format: "esm", minify: true, codeSplitting: false })
  await bundle.close()
  // This one stands in the middle of a page, where it is no module.
  const report = await rolldown({ input: { report: at("src/serve/page/standalone.ts") }, platform: "browser" })
  const licence = `/*! uPlot: ${readFileSync(at("node_modules/uplot/LICENSE"), "utf8").trim()} */`
  await report.write({ dir: to, format: "iife", minify: true, codeSplitting: false, postBanner: licence })
  await report.close()
  const styles = ["node_modules/uplot/dist/uPlot.min.css", "src/serve/page/page.css"]
  writeFileSync(`${to}/page.css`, styles.map((path) => readFileSync(at(path), "utf8")).join("\n"))
  writeFileSync(
    `${to}/report.css`,
    [...styles, "src/serve/page/standalone.css"].map((path) => readFileSync(at(path), "utf8")).join("\n")
  )
  for (const name of ["index.html", "icon.svg"]) copyFileSync(at(`src/serve/page/${name}`), `${to}/${name}`)
  copyFileSync(at("node_modules/uplot/LICENSE"), `${to}/uPlot.LICENSE`)
}

if (import.meta.main) await buildPage(at("dist"))
