/** Run directories as they are written, and a server over them. */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import * as Server from "../../src/serve/Server.ts"

const began = 1_795_445_508

export interface Making {
  readonly state?: string
  readonly name?: string
  readonly config?: Record<string, unknown>
  readonly project?: string
  readonly createdAt?: number
}

/** A line of a log. */
export const line = (seq: number, metrics: Record<string, unknown>): string =>
  `${JSON.stringify({ seq, step: seq, timestamp: began + seq, rank: 0, metrics })}\n`

/** What eight ranks said. */
export const statistics = (seq: number, key: string, mean: number): string =>
  `${
    JSON.stringify({
      seq,
      step: seq,
      timestamp: began + seq,
      rank: 0,
      aggregated: {
        [`${key}/mean`]: mean,
        [`${key}/min`]: mean - 1,
        [`${key}/max`]: mean + 2,
        [`${key}/std`]: 0.5,
        [`${key}/argmin`]: seq % 8,
        [`${key}/argmax`]: 3
      },
      count: 8,
      expected: 8
    })
  }\n`

/** Writes a run, and gives its directory. */
export const make = (
  root: string,
  id: string,
  log: string,
  { config = {}, createdAt = began, name, project = "demo", state = "finished" }: Making = {}
): string => {
  const directory = Path.join(root, id)
  Fs.mkdirSync(Path.join(directory, ".ezpz"), { recursive: true })
  Fs.writeFileSync(
    Path.join(directory, ".ezpz", "run.json"),
    JSON.stringify({
      format: 1,
      runId: Path.basename(id),
      runName: name ?? null,
      projectName: project,
      createdAt,
      state,
      backends: [],
      config
    })
  )
  Fs.writeFileSync(Path.join(directory, "metrics.jsonl"), log)
  return directory
}

/** A log whose loss falls, with as many records as asked for. */
export const falling = (records: number, from = 1): string =>
  Array.from({ length: records }, (_, i) => line(from + i, { loss: 1 / (from + i), "eval/acc": (from + i) % 7 })).join(
    ""
  )

export const serve = (
  root: string,
  options: Partial<Server.Options> = {}
): Effect.Effect<Server.Listening, Server.ServeError, Scope.Scope> =>
  Server.listen({ root, host: "127.0.0.1", port: 0, token: undefined, ...options })

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
}

/** Asks as no browser would let one. */
export const ask = (
  port: number,
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string>; readonly host?: string } = {}
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = Http.request({
      host: options.host ?? "127.0.0.1",
      port,
      path,
      method: options.method ?? "GET",
      headers: options.headers ?? {},
      agent: false
    }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("error", reject)
      response.on("end", () => {
        const body = Buffer.concat(chunks)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, text: body.toString("utf8") })
      })
    })
    request.on("error", reject)
    request.end()
  })
