/**
 * Builds dist/: the library as modules with their types, and the command line as a bundle that starts fast.
 *
 * The bundle is split: what only tracking or plots need is loaded when they run. What holds native code, WebAssembly or
 * fonts, or is only needed to draw, stays outside.
 */
import { execFileSync } from "node:child_process"
import { chmodSync, rmSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const root = fileURLToPath(new URL("..", import.meta.url))
const at = (path: string): string => `${root}${path}`

rmSync(at("dist"), { recursive: true, force: true })
execFileSync(process.execPath, [at("node_modules/typescript/bin/tsc"), "-p", at("tsconfig.build.json")], {
  stdio: "inherit"
})
rmSync(at("dist/cli"), { recursive: true, force: true })

const bundle = await rolldown({
  input: { main: at("src/cli/main.ts"), "plot/worker": at("src/artifact/plot/worker.ts") },
  platform: "node",
  external: [/^vega/, /^h5wasm/, /^@resvg/, /^dejavu-fonts-ttf/]
})
await bundle.write({ dir: at("dist/cli"), format: "esm", minify: true, chunkFileNames: "[name]-[hash].js" })
await bundle.close()
chmodSync(at("dist/cli/main.js"), 0o755)
