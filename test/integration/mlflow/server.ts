/**
 * A real MLflow server for tests: on loopback, with a database of its own and the artifact proxy, its log in a file.
 *
 * `kill` is what a power cut does to it: all of its processes at once. It can be started again then, at the same
 * address and with what it had.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { setTimeout } from "node:timers/promises"
import * as Python from "../python.ts"

export interface Server {
  readonly url: string
  readonly directory: string
  readonly start: () => Promise<void>
  readonly kill: () => Promise<void>
  /** Kills it, and removes all it has. */
  readonly remove: () => Promise<void>
}

/** Slow machines import for a while. */
const startMillis = 120_000

export const requirements = "requirements-mlflow"

export const make = async (options: { readonly args?: ReadonlyArray<string> } = {}): Promise<Server> => {
  const python = await Python.python(requirements)
  const directory = Fs.mkdtempSync(Path.join(tmpdir(), "mlflow-"))
  const log = Path.join(directory, "server.log")
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  let child: ChildProcess | undefined

  const kill = async (): Promise<void> => {
    const running = child
    child = undefined
    if (running?.pid === undefined || running.exitCode !== null) return
    const ended = new Promise((resolve) => running.once("close", resolve))
    // Its workers are in its group.
    process.kill(-running.pid, "SIGKILL")
    await ended
  }

  const start = async (): Promise<void> => {
    const out = Fs.openSync(log, "a")
    const started = spawn(python, [
      ...["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", String(port), "--workers", "1"],
      ...["--backend-store-uri", `sqlite:///${directory}/mlflow.db`],
      ...(options.args ?? ["--artifacts-destination", Path.join(directory, "artifacts")])
    ], {
      cwd: directory,
      detached: true,
      stdio: ["ignore", out, out],
      env: {
        ...process.env,
        MLFLOW_DISABLE_TELEMETRY: "true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION: "false",
        PYTHONWARNINGS: "ignore"
      }
    })
    Fs.closeSync(out)
    child = started
    for (const until = Date.now() + startMillis;;) {
      const healthy = await fetch(`${url}/health`).then((response) => response.ok, () => false)
      if (healthy) return
      if (started.exitCode !== null || Date.now() > until) {
        await kill()
        throw new Error(`the MLflow server did not start:\n${Fs.readFileSync(log, "utf8").slice(-4000)}`)
      }
      await setTimeout(100)
    }
  }

  return {
    url,
    directory,
    start,
    kill,
    remove: async () => {
      await kill()
      Fs.rmSync(directory, { recursive: true, force: true })
    }
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = Net.createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() =>
        address !== null && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))
      )
    })
  })
