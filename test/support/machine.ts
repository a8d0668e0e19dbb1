/** A machine of a test's making: what /proc and /sys say on it, and samples of it. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as SystemMetrics from "../../src/SystemMetrics.ts"

export const write = (root: string, files: { readonly [path: string]: string }): void => {
  for (const [name, text] of Object.entries(files)) {
    const path = Path.join(root, name)
    Fs.mkdirSync(Path.dirname(path), { recursive: true })
    Fs.writeFileSync(path, text)
  }
}

/** The values of a sample under names that begin like this. */
export const only = (sample: { readonly [name: string]: number }, ...beginnings: ReadonlyArray<string>) =>
  Object.fromEntries(Object.entries(sample).filter(([name]) => beginnings.some((start) => name.startsWith(start))))

export const without = (sample: { readonly [name: string]: number }, ...beginnings: ReadonlyArray<string>) =>
  Object.fromEntries(Object.entries(sample).filter(([name]) => !beginnings.some((start) => name.startsWith(start))))

/** A machine with no environment, so that nothing is started on it. */
export const sampler = (root: string, more: SystemMetrics.Options = {}) =>
  SystemMetrics.make({ root, platform: "linux", environment: { PATH: root }, ...more })
