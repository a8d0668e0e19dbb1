/**
 * A server that answers like MLflow as far as a run needs, and otherwise as a test says: what no real server does when
 * it is asked to. It keeps what it was asked.
 */
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"

export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

/** Undefined: as MLflow does. */
export type Answer = (asked: Asked, response: Http.ServerResponse, socket: Socket) => true | undefined

export interface Loopback {
  readonly url: string
  readonly asked: Array<Asked>
  answer: Answer
  readonly close: () => Promise<void>
}

export const refuse = (response: Http.ServerResponse, status: number, code: string, message = code): true => {
  response.writeHead(status, { "content-type": "application/json" })
  response.end(JSON.stringify({ error_code: code, message }))
  return true
}

export const make = async (
  options: { readonly tls?: { readonly key: string; readonly cert: string }; readonly artifactUri?: string } = {}
): Promise<Loopback> => {
  const { artifactUri = "mlflow-artifacts:/1/r/artifacts", tls } = options
  const run = {
    info: { run_id: "r", experiment_id: "1", artifact_uri: artifactUri, status: "RUNNING", lifecycle_stage: "active" }
  }
  const experiment = { experiment_id: "1", name: "project", lifecycle_stage: "active" }
  const answers: { readonly [path: string]: unknown } = {
    "experiments/get": { experiment },
    "experiments/get-by-name": { experiment },
    "runs/create": { run },
    "runs/get": { run }
  }
  const handle = (request: Http.IncomingMessage, response: Http.ServerResponse): void => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const asked: Asked = {
        method: request.method ?? "",
        path: (request.url ?? "").split("?")[0] ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks).toString()
      }
      loopback.asked.push(asked)
      if (loopback.answer(asked, response, request.socket) === true) return
      const path = asked.path.replace("/api/2.0/mlflow/", "")
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify(answers[path] ?? {}))
    })
  }
  const server = tls === undefined ? Http.createServer(handle) : Https.createServer(tls, handle)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  const loopback: Loopback = {
    url: `http${tls === undefined ? "" : "s"}://127.0.0.1:${address.port}`,
    asked: [],
    answer: () => undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
  return loopback
}
