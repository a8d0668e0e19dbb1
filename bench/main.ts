/**
 * `npm run bench [-- NAME.. --write --quick]`: runs the benchmarks, prints what they found, and writes docs/benchmarks.md
 * when all of them ran at full size; with `--write`, what some of them found takes its place in that page.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as latency from "./backends/latency.ts"
import * as misbehaving from "./backends/misbehaving.ts"
import * as mlflow from "./backends/mlflow.ts"
import * as unreachable from "./backends/unreachable.ts"
import * as wandb from "./backends/wandb.ts"
import * as finalize from "./finalize.ts"
import * as ingest from "./ingest.ts"
import { command, type Context, machine, root } from "./measure.ts"
import * as micro from "./micro.ts"
import * as reduce from "./reduce.ts"
import { type Findings, page, renewed, type Section, text } from "./report.ts"
import * as startup from "./startup.ts"
import * as update from "./update.ts"
import * as view from "./view.ts"
import * as whole from "./whole.ts"

interface Benchmark {
  readonly title: string
  readonly about: string
  readonly measure: (context: Context) => Promise<Findings>
}

const benchmarks: { readonly [name: string]: Benchmark } = {
  startup,
  ingest,
  update,
  finalize,
  whole,
  mlflow,
  wandb,
  latency,
  misbehaving,
  unreachable,
  micro,
  reduce,
  view
}

const { positionals, values: { quick, write } } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, write: { type: "boolean", default: false } }
})
const unknown = positionals.filter((name) => !(name in benchmarks))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(", ")}. There are: ${Object.keys(benchmarks).join(", ")}`)
  process.exit(2)
}
if (quick && write) {
  console.error("--quick measures nothing that could be written")
  process.exit(2)
}
const complete = positionals.length === 0 && !quick
const path = join(root, "docs", "benchmarks.md")

// What is measured must be what is in the sources.
if (!quick || !existsSync(command)) execFileSync(process.execPath, [`${root}scripts/build.ts`], { stdio: "inherit" })

const directory = mkdtempSync(join(tmpdir(), "ezpz-bench-"))
const cleanUp = (): void => rmSync(directory, { recursive: true, force: true })
process.on("exit", cleanUp)
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1))

for (const [key, value] of machine()) console.log(`${key}: ${value}`)
if (quick) console.log("--quick: small sizes and few runs; the numbers are no measure of anything")

const sections: Array<Section> = []
for (const [name, { about, measure, title }] of Object.entries(benchmarks)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  const own = join(directory, name)
  mkdirSync(own)
  const section = { name, title, about, ...await measure({ directory: own, quick }) }
  rmSync(own, { recursive: true })
  sections.push(section)
  console.log(`\n${text(section)}`)
  if (write && !complete) writeFileSync(path, renewed(readFileSync(path, "utf8"), machine(), section))
}

if (complete) {
  writeFileSync(path, page(machine(), sections))
  console.log(`written: ${path}`)
}
