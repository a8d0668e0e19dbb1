import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Makes a directory a run's. */
export const runInfo = (directory: string, id: string, state: string): void => {
  mkdirSync(join(directory, ".ezpz"), { recursive: true })
  writeFileSync(
    join(directory, ".ezpz", "run.json"),
    JSON.stringify({ format: 1, runId: id, projectName: "bench", createdAt: 1_795_445_508, state, config: { id } })
  )
}
