/**
 * Reads the results of a test run, gives what failed a second try, and ends with the line
 * `N passed, N failed, N skipped`.
 *
 * Many tests are about real processes, servers and hosts that share one small machine, and a machine may be too busy for
 * once. So a file with a failure is run again by itself, and its second results count; what passed only then is named,
 * for it is slow or wrong. A skipped test fails the run: whatever a test needs, the tests install.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { relative } from "node:path"
import { fileURLToPath } from "node:url"

interface TestFile {
  readonly name: string
  readonly status: string
  readonly assertionResults: ReadonlyArray<{ readonly fullName: string; readonly status: string }>
}

interface Results {
  readonly success: boolean
  readonly testResults: ReadonlyArray<TestFile>
}

const pathOf = (name: string): string => fileURLToPath(new URL(`../node_modules/.cache/${name}`, import.meta.url))

const read = (file: string): Results | undefined =>
  existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined

const hasFailed = (file: TestFile): boolean =>
  file.status === "failed" || file.assertionResults.some(({ status }) => status === "failed")

const namesOf = (file: TestFile | undefined, status: string): ReadonlyArray<string> =>
  file?.assertionResults.filter((one) => one.status === status).map(({ fullName }) => fullName) ?? []

/** Runs these files again; without a name, all. */
const again = (files: ReadonlyArray<string>): { readonly exited: boolean; readonly results: Results | undefined } => {
  const output = pathOf("test-results-again.json")
  const { status } = spawnSync("npm", ["test", "--", `--outputFile.json=${output}`, ...files], { stdio: "inherit" })
  return { exited: status === 0, results: read(output) }
}

const first = read(pathOf("test-results.json"))
let files = first?.testResults ?? []
let passed = process.argv[2] === "0" && first?.success === true

if (!passed) {
  const failed = files.filter(hasFailed)
  console.log(`\nA second try, of ${failed.length === 0 ? "all tests" : `${failed.length} files`}`)
  const second = again(failed.map(({ name }) => name))
  const latest = new Map((second.results?.testResults ?? []).map((file) => [file.name, file]))
  for (const file of failed) {
    const now = new Set(namesOf(latest.get(file.name), "passed"))
    for (const test of namesOf(file, "failed").filter((name) => now.has(name))) {
      console.log(`Passed at its second try only: ${relative(process.cwd(), file.name)} > ${test}`)
    }
  }
  files = failed.length === 0 ? [...latest.values()] : files.map((file) => latest.get(file.name) ?? file)
  passed = second.exited && second.results?.success === true
}

const statuses = files.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status))
const count = (status: string): number => statuses.filter((one) => one === status).length
const skipped = statuses.length - count("passed") - count("failed")
if (skipped > 0) console.log(`${skipped} tests were skipped, and none may be`)
console.log(`${count("passed")} passed, ${count("failed")} failed, ${skipped} skipped`)
process.exitCode = passed && count("failed") === 0 && skipped === 0 ? 0 : 1
