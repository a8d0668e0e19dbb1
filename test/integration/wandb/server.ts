/**
 * A W&B server on this machine, for tests: GraphQL, file_stream and uploads, with what it got open to be looked at.
 *
 * It fails on demand, in the ways that servers and networks do: see {@link Fault}. Credentials are checked (Basic,
 * `api:KEY`), and files are taken only at the addresses it gave out, with the headers it asked for and no others of its
 * own: an `authorization` that arrives there has leaked, and is an error.
 */
import * as Http from "node:http"
import { setTimeout } from "node:timers/promises"
import { gunzipSync } from "node:zlib"
import * as GraphQl from "./graphql.ts"
import * as Store from "./store.ts"

export type { Artifact, Run } from "./store.ts"
export { records } from "./store.ts"

/**
 * How a request goes wrong.
 *
 * - `refuse`: the connection is closed before anything is read
 * - `reset`: half of the body is read, then the connection breaks
 * - `forget`: everything is taken, and the connection breaks before the answer: the client can not know
 * - `status`: not taken, answered with this status
 * - `slow`: taken and answered so much later
 * - `hang`: read, and never answered
 * - `garbage`: not taken, and answered with 200 and a page
 * - `errors`: not taken, and answered with 200 and GraphQL's errors
 */
export type Fault =
  | { readonly kind: "refuse" | "reset" | "forget" | "hang" | "garbage" }
  | { readonly kind: "status"; readonly status: number; readonly retryAfter?: string | number; readonly body?: string }
  | { readonly kind: "slow"; readonly millis: number }
  | { readonly kind: "errors"; readonly message: string }

export interface Received {
  readonly route: "graphql" | "file_stream" | "upload" | "other"
  readonly method: string
  readonly path: string
  /** Of the body, in bytes, if it was said. */
  readonly length: number
  /** When it came, in milliseconds. */
  readonly at: number
}

export interface Server {
  readonly url: string
  readonly port: number
  readonly apiKey: string
  readonly entity: string
  readonly runs: ReadonlyMap<string, Store.Run>
  readonly artifacts: ReadonlyMap<string, Store.Artifact>
  readonly run: (project: string, name: string) => Store.Run
  /** All requests, in order. */
  readonly received: Array<Received>
  /** GraphQL operations by name, and those that it has no answer for. */
  readonly asked: ReadonlyMap<string, number>
  readonly unknown: ReadonlySet<string>
  /** What a client did that it must not. */
  readonly errors: Array<string>
  /** Says how a request goes wrong, if it does. */
  fault: (request: Received) => Fault | undefined
  /** Stops listening and breaks all connections; what it knows stays. */
  readonly stop: () => Promise<void>
  /** Listens again, where it did before. */
  readonly start: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export const apiKey = "0123456789abcdef0123456789abcdef01234567"

export const make = async (
  options: { readonly entity?: string; readonly apiKey?: string } = {}
): Promise<Server> => {
  const key = options.apiKey ?? apiKey
  const entity = options.entity ?? "someone"
  const authorization = `Basic ${Buffer.from(`api:${key}`).toString("base64")}`
  const store = Store.make()
  const received: Array<Received> = []
  const errors: Array<string> = []
  const sinks = new Map<string, (content: Buffer) => void>()
  let port = 0
  const api = GraphQl.make({
    store,
    entity,
    uploadHeaders: ["X-Upload-Check:please"],
    uploadUrl: (sink) => {
      const path = `/storage/${sinks.size + 1}`
      sinks.set(path, sink)
      return `http://127.0.0.1:${port}${path}?signature=secret-of-${sinks.size}`
    }
  })

  const take = (request: Received, headers: Http.IncomingHttpHeaders, body: Buffer): GraphQl.Answer => {
    if (request.route === "upload") {
      const sink = sinks.get(request.path)
      if (headers.authorization !== undefined) errors.push(`credentials were sent to ${request.path}`)
      if (headers["x-upload-check"] !== "please") errors.push(`no upload headers at ${request.path}`)
      if (sink === undefined || request.method !== "PUT") return { status: 404, body: {} }
      sink(body)
      return { status: 200, body: {} }
    }
    if (headers.authorization !== authorization) return { status: 401, body: { error: "unknown credentials" } }
    if (request.route === "graphql") return api.answer(parse(body))
    if (request.route === "file_stream") {
      const [, , ofEntity = "", project = "", name = ""] = request.path.split("/").map(decodeURIComponent)
      const run = store.run(ofEntity, project, name)
      if (run === undefined) return { status: 404, body: { error: "run not found" } }
      const error = Store.stream(run, parse(body))
      if (error !== undefined) run.errors.push(error)
      return error === undefined
        ? { status: 200, body: { exitcode: null, limits: {} } }
        : { status: 400, body: { error } }
    }
    return { status: 404, body: { error: "no such page" } }
  }

  const handle = async (incoming: Http.IncomingMessage, answer: Http.ServerResponse): Promise<void> => {
    const path = new URL(incoming.url ?? "/", "http://127.0.0.1").pathname
    const route = path === "/graphql"
      ? "graphql"
      : path.endsWith("/file_stream")
      ? "file_stream"
      : path.startsWith("/storage/")
      ? "upload"
      : "other"
    const length = Number(incoming.headers["content-length"] ?? 0)
    const request: Received = { route, method: incoming.method ?? "", path, length, at: Date.now() }
    received.push(request)
    const fault = server.fault(request)
    if (fault?.kind === "refuse") return void incoming.socket.destroy()
    const parts: Array<Buffer> = []
    let size = 0
    for await (const part of incoming) {
      if (!Buffer.isBuffer(part)) continue
      parts.push(part)
      size += part.length
      if (fault?.kind === "reset" && size >= length / 2) return void incoming.socket.destroy()
    }
    if (fault?.kind === "reset") return void incoming.socket.destroy()
    if (fault?.kind === "hang") return
    if (fault?.kind === "slow") await setTimeout(fault.millis)
    if (fault?.kind === "status") {
      const after = fault.retryAfter === undefined ? {} : { "retry-after": String(fault.retryAfter) }
      return void answer.writeHead(fault.status, after).end(fault.body ?? JSON.stringify({ error: "on demand" }))
    }
    if (fault?.kind === "garbage") {
      return void answer.writeHead(200, { "content-type": "text/html" }).end(
        "<html>Please log in to the network</html>"
      )
    }
    if (fault?.kind === "errors") return void reply(answer, 200, { data: null, errors: [{ message: fault.message }] })
    const body = Buffer.concat(parts)
    const { body: result, status } = take(
      request,
      incoming.headers,
      incoming.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body
    )
    if (fault?.kind === "forget") return void incoming.socket.destroy()
    reply(answer, status, result)
  }

  let http: Http.Server | undefined
  const start = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const listening = Http.createServer((incoming, answer) => {
        handle(incoming, answer).catch((error: unknown) => {
          // A client that has gone away is none of ours.
          if (!incoming.destroyed) errors.push(String(error))
          incoming.destroy()
        })
      })
      http = listening
      listening.once("error", reject)
      listening.listen(port, "127.0.0.1", () => {
        const address = listening.address()
        if (typeof address === "object" && address !== null) port = address.port
        resolve()
      })
    })
  const stop = async (): Promise<void> => {
    const listening = http
    http = undefined
    if (listening === undefined) return
    await new Promise<void>((resolve) => {
      listening.close(() => resolve())
      listening.closeAllConnections()
    })
  }

  const server: Server = {
    get url() {
      return `http://127.0.0.1:${port}`
    },
    get port() {
      return port
    },
    apiKey: key,
    entity,
    runs: store.runs,
    artifacts: store.artifacts,
    run: (project, name) => {
      const run = store.run(entity, project, name)
      if (run === undefined) {
        throw new Error(`no run ${project}/${name}; there are: ${[...store.runs.keys()].join(", ")}`)
      }
      return run
    },
    received,
    asked: api.asked,
    unknown: api.unknown,
    errors,
    fault: () => undefined,
    start,
    stop,
    [Symbol.asyncDispose]: stop
  }
  await start()
  return server
}

const reply = (answer: Http.ServerResponse, status: number, body: unknown): void => {
  answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

const parse = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString("utf8"))
  } catch {
    return undefined
  }
}
