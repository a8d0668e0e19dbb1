/**
 * `npm start`: trains the example and tracks it, as `node examples/train.ts | ezpz-stream` would.
 *
 * What is given after `npm start --` goes to the training: `npm start -- --steps 1000 --seed 7`.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const commandLine = `${root}dist/cli/main.js`
const options = ["--project", "spirals", "--backends", "csv", "--every", "10"]

if (!existsSync(commandLine)) execFileSync(process.execPath, [`${root}scripts/build.ts`], { stdio: "inherit" })

const training = spawn(process.execPath, [`${root}examples/train.ts`, ...process.argv.slice(2)], {
  stdio: ["ignore", "pipe", "inherit"]
})
const tracking = spawn(process.execPath, [commandLine, ...options], {
  stdio: [training.stdout, "inherit", "inherit"]
})
// The pipe is theirs alone.
training.stdout.destroy()

// A signal ends the training; the tracking sees the end of its input and makes the outputs of what there is.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => training.kill(signal))

const codeOf = (child: ChildProcess): Promise<number> =>
  new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  })
const [trainingCode, trackingCode] = await Promise.all([codeOf(training), codeOf(tracking)])
process.exitCode = trackingCode || trainingCode
