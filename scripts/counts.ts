/**
 * Reads the results of a test run and ends with the line `N passed, N failed, N skipped`. A skipped test fails the run:
 * whatever a test needs, the tests install.
 */
import { readFileSync } from "node:fs"

interface Results {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly success: boolean
}

const status = Number(process.argv[2] ?? 1)
const results: Results = JSON.parse(
  readFileSync(new URL("../node_modules/.cache/test-results.json", import.meta.url), "utf8")
)
const skipped = results.numPendingTests + results.numTodoTests
if (skipped > 0) console.log(`${skipped} tests were skipped, and none may be`)
console.log(`${results.numPassedTests} passed, ${results.numFailedTests} failed, ${skipped} skipped`)
process.exitCode = status === 0 && results.success && skipped === 0 ? 0 : 1
