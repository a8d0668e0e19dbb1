/**
 * Builds dist/ once before the tests, where a source is newer than the command line that was built from it.
 */
import { execFileSync } from "node:child_process"
import { readdirSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

const changedAt = (path: string): number => statSync(`${root}${path}`, { throwIfNoEntry: false })?.mtimeMs ?? 0

const sources = ["package.json", "tsconfig.json", "tsconfig.build.json", "scripts/build.ts"]

export const setup = (): void => {
  const modules = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" }).map((path) => `src/${path}`)
  const newest = Math.max(...[...sources, ...modules].map(changedAt))
  if (newest < changedAt("dist/cli/main.js")) return
  execFileSync(process.execPath, [`${root}scripts/build.ts`], { stdio: "inherit" })
}
