/** A Python program that is started once and then measures itself as often as it is told to. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { environment } from "../measure.ts"

export interface Worker {
  /** Sends a line of words; gives the seconds that the program says it took. */
  readonly measure: (...words: ReadonlyArray<string | number>) => Promise<number>
  readonly stop: () => Promise<void>
}

/** Starts `bench/python/<name>`, and waits until it is ready: its imports and its server are nobody's to wait for. */
export const start = async (
  interpreter: string,
  name: string,
  args: ReadonlyArray<string>,
  options: { readonly directory: string; readonly env: { readonly [name: string]: string } }
): Promise<Worker> => {
  const program = fileURLToPath(new URL(`../python/${name}`, import.meta.url))
  const worker = spawn(interpreter, ["-W", "ignore", program, ...args], {
    cwd: options.directory,
    env: { ...environment, ...options.env },
    stdio: ["pipe", "pipe", "pipe"]
  })
  const ended = once(worker, "exit")
  let errors = ""
  worker.stderr.setEncoding("utf8").on("data", (text: string) => errors = (errors + text).slice(-4000))
  const lines = createInterface({ input: worker.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const next = await lines.next()
    if (next.done === true) throw new Error(`${name} ended:\n${errors}`)
    return next.value
  }
  await line()
  return {
    measure: async (...words) => {
      worker.stdin.write(`${words.join(" ")}\n`)
      return Number(await line())
    },
    stop: async () => {
      worker.stdin.end()
      await ended
    }
  }
}
