/**
 * A Python with the packages of a requirements file, for tests that read what we write with other people's readers.
 *
 * It is made once, under node_modules/.cache, from python3 and pip alone; its name holds a hash of the requirements
 * and of the interpreter, so that a change of either makes a new one. Of several test workers one makes it and the
 * others wait.
 */
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const cache = fileURLToPath(new URL("../../node_modules/.cache/", import.meta.url))

/** How long making it may take: give this to the hook that calls {@link python} first. */
export const timeout = 600_000

/** The path of the interpreter that has what `<name>.txt` beside this file lists. */
export const python = async (name = "requirements"): Promise<string> => {
  const requirements = fileURLToPath(new URL(`${name}.txt`, import.meta.url))
  const version = await execute("python3", ["-c", "import sys; print(sys.version, sys.prefix)"])
  const hash = createHash("sha256").update(await fs.readFile(requirements)).update(version)
  const directory = join(cache, `python-${hash.digest("hex").slice(0, 12)}`)
  const interpreter = join(directory, "bin", "python")
  const ready = join(directory, "ready")
  const lock = `${directory}.lock`
  await fs.mkdir(cache, { recursive: true })
  for (const until = Date.now() + timeout; !await exists(ready);) {
    if (Date.now() > until) throw new Error(`${directory} is being made for too long; remove ${lock} and try again`)
    if (!await take(lock)) {
      await setTimeout(250)
      continue
    }
    try {
      if (await exists(ready)) break
      await fs.rm(directory, { recursive: true, force: true })
      await execute("python3", ["-m", "venv", "--without-pip", directory])
      // What is imported is compiled then: much less than all there is.
      const install = ["install", "--quiet", "--no-compile", "-r", requirements]
      await execute("python3", ["-m", "pip", "--python", interpreter, ...install])
      await fs.writeFile(ready, "")
    } finally {
      await fs.rm(lock, { force: true })
    }
  }
  return interpreter
}

/** Runs a script and gives what it prints. */
export const run = async (script: string, ...args: ReadonlyArray<string>): Promise<string> =>
  execute(await python(), ["-c", script, ...args])

const execute = async (command: string, args: ReadonlyArray<string>): Promise<string> =>
  (await promisify(execFile)(command, args, { maxBuffer: 1 << 28 })).stdout

const exists = (path: string): Promise<boolean> => fs.access(path).then(() => true, () => false)

/** Takes the lock unless another process that is alive has it. */
const take = async (lock: string): Promise<boolean> => {
  try {
    await fs.writeFile(lock, String(process.pid), { flag: "wx" })
    return true
  } catch {
    const holder = Number(await fs.readFile(lock, "utf8").catch(() => ""))
    if (holder > 0 && !alive(holder)) await fs.rm(lock, { force: true })
    return false
  }
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
