/**
 * `npm start`: four ranks train the example side by side, each tracked by an `ezpz-stream` of its own, as a launcher
 * would start them: `node examples/train.ts --rank N | ezpz-stream`. The first one prints, with what all of them said.
 *
 * What is given after `npm start --` goes to the training: `npm start -- --steps 1000 --seed 7`.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const commandLine = `${root}dist/cli/main.js`
const options = ["--project", "spirals", "--backends", "csv", "--every", "10"]
const worldSize = 4

if (!existsSync(commandLine)) execFileSync(process.execPath, [`${root}scripts/build.ts`], { stdio: "inherit" })

// Where ranks find their root: nobody else's business.
const rendezvous = mkdtempSync(join(tmpdir(), "ezpz-start-"))

/** What a launcher would say to a rank. */
const environmentOf = (rank: number): NodeJS.ProcessEnv => ({
  ...process.env,
  EZPZ_ROOT: "",
  EZPZ_JOB_ID: `start-${process.pid}`,
  EZPZ_RENDEZVOUS_DIR: rendezvous,
  EZPZ_RANK: `${rank}`,
  EZPZ_WORLD_SIZE: `${worldSize}`,
  EZPZ_LOCAL_RANK: `${rank}`,
  EZPZ_LOCAL_WORLD_SIZE: `${worldSize}`
})

const codeOf = (child: ChildProcess): Promise<number> =>
  new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  })

const ranks = Array.from({ length: worldSize }, (_, rank) => {
  const training = spawn(
    process.execPath,
    [`${root}examples/train.ts`, "--rank", `${rank}`, ...process.argv.slice(2)],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  const tracking = spawn(process.execPath, [commandLine, ...options], {
    env: environmentOf(rank),
    stdio: [training.stdout, "inherit", "inherit"]
  })
  // The pipe is theirs alone.
  training.stdout.destroy()
  return { training, codes: [codeOf(tracking), codeOf(training)] }
})

// A signal ends the training; the tracking sees the end of its input and makes the outputs of what there is.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    for (const { training } of ranks) training.kill(signal)
  })
}

const codes = await Promise.all(ranks.flatMap((rank) => rank.codes))
rmSync(rendezvous, { recursive: true, force: true })
process.exitCode = codes.find((code) => code !== 0) ?? 0
