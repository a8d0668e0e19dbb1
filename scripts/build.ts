/**
 * Builds dist/: the library as modules with their types, the command line as a bundle that starts fast, and the page that
 * `serve` shows.
 *
 * The bundle is split: what only tracking or plots need is loaded when they run. What holds native code, WebAssembly or
 * fonts, or is only needed to draw, stays outside.
 */
import { execFileSync } from "node:child_process"
import { chmodSync, renameSync, rmSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { buildPage } from "./page.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const at = (path: string): string => `${root}${path}`

// Made beside its place: a build that fails leaves the last good one.
const beside = at("dist.new")
rmSync(beside, { recursive: true, force: true })
execFileSync(
  process.execPath,
  [at("node_modules/typescript/bin/tsc"), "-p", at("tsconfig.build.json"), "--outDir", beside],
  { stdio: "inherit" }
)
rmSync(`${beside}/cli`, { recursive: true, force: true })

const bundle = await rolldown({
  input: { main: at("src/cli/bin.ts"), "plot/worker": at("src/artifact/plot/worker.ts") },
  platform: "node",
  external: [/^vega/, /^h5wasm/, /^@resvg/, /^dejavu-fonts-ttf/, /^zeromq/, /^koffi/]
})
await bundle.write({ dir: `${beside}/cli`, format: "esm", minify: true, chunkFileNames: "[name]-[hash].js" })
await bundle.close()
chmodSync(`${beside}/cli/main.js`, 0o755)
await buildPage(beside)
rmSync(at("dist"), { recursive: true, force: true })
renameSync(beside, at("dist"))
