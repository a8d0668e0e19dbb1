/** Starting child/recorder.ts, a server that counts what it gets. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { child } from "../measure.ts"

/**
 * Points that came for the first time, points that came again, points that are missing before one that came; requests
 * that brought them; runs that were closed as finished.
 */
export interface Counts {
  requests: number
  points: number
  again: number
  missing: number
  closed: number
}

export interface Recorder {
  readonly url: string
  readonly counts: () => Promise<Counts>
  readonly stop: () => Promise<void>
}

/** Starts one in a process of its own, with a latency in milliseconds; it ends with this process. */
export const start = async (options: { readonly port?: number; readonly latency?: number } = {}): Promise<Recorder> => {
  const { latency = 0, port = 0 } = options
  const server = spawn(process.execPath, [child("recorder.ts"), String(port), String(latency)], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  const [told]: Array<unknown> = await Promise.race([
    once(server.stdout, "data"),
    once(server, "exit").then(() => Promise.reject(new Error("the recorder did not start")))
  ])
  const url = String(told).trim()
  return {
    url,
    counts: async () => await (await fetch(`${url}/counts`)).json() as Counts,
    stop: async () => {
      const ended = once(server, "exit")
      server.stdin.end()
      await ended
    }
  }
}

/** A port on which nothing listens. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}
