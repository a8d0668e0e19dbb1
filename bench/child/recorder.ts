/**
 * An MLflow server that keeps nothing: it answers the calls of MLflow's REST interface that tracking takes, and of the
 * points it gets it counts those that come once and in order, those that come again, and those that are missing.
 *
 *     node recorder.ts PORT LATENCY    PORT 0: any. LATENCY: milliseconds before every answer
 *
 * It prints its address. `GET /counts` gives what it has counted since it started. Steps are expected to rise by one
 * from 0 for every key of a run; names below `system/` are passed over.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { Counts } from "../backends/recorder.ts"

const [port = "0", latency = "0"] = process.argv.slice(2)

/** By run, then by key: the step that comes next. */
const runs = new Map<string, Map<string, number>>()
const counts: Counts = { requests: 0, points: 0, again: 0, missing: 0, closed: 0 }

const take = (body: string): void => {
  const { metrics = [], run_id }: {
    readonly run_id: string
    readonly metrics?: ReadonlyArray<{ readonly key: string; readonly step: number }>
  } = JSON.parse(body)
  counts.requests++
  const steps = runs.get(run_id)
  if (steps === undefined) return
  for (const { key, step } of metrics) {
    if (key.startsWith("system/")) continue
    const expected = steps.get(key) ?? 0
    if (step < expected) {
      counts.again++
      continue
    }
    counts.missing += step - expected
    counts.points++
    steps.set(key, step + 1)
  }
}

const experiment = { experiment_id: "1", name: "recorder", lifecycle_stage: "active" }

const run = (id: string) => ({
  info: {
    run_id: id,
    experiment_id: "1",
    run_name: id,
    status: "RUNNING",
    artifact_uri: `mlflow-artifacts:/1/${id}/artifacts`,
    lifecycle_stage: "active"
  },
  data: {}
})

const answer = (path: string, body: string): unknown => {
  switch (path) {
    case "experiments/get":
    case "experiments/get-by-name":
      return { experiment }
    case "runs/search":
      return { runs: [] }
    case "runs/create": {
      const id = `run${runs.size}`
      runs.set(id, new Map())
      return { run: run(id) }
    }
    case "runs/get":
      return { run: run("run0") }
    case "runs/log-batch":
      take(body)
      return {}
    case "runs/update":
      if (body.includes("\"FINISHED\"")) counts.closed++
      return {}
    default:
      return undefined
  }
}

const text = async (request: IncomingMessage): Promise<string> => {
  const chunks: Array<Uint8Array> = []
  for await (const chunk of request) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks).toString()
}

const send = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1")
  const body = await text(request)
  if (pathname === "/counts") return send(response, 200, counts)
  const said = answer(pathname.replace(/^\/api\/2\.0\/mlflow\//, ""), body)
  const [status, answered] = said === undefined ? [404, { error_code: "ENDPOINT_NOT_FOUND" }] : [200, said]
  if (latency === "0") send(response, status, answered)
  else setTimeout(() => send(response, status, answered), Number(latency))
})
server.listen(Number(port), "127.0.0.1", () => {
  const address = server.address()
  if (address !== null && typeof address === "object") console.log(`http://127.0.0.1:${address.port}`)
})
process.stdin.resume().once("end", () => process.exit())
