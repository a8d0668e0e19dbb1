/**
 * A backend of one's own: it posts records to a web server, which here is away at first.
 *
 *     node examples/custom-backend.ts [OUTDIR]
 *
 * `log` is handed records in batches, in order, until it succeeds. So it has nothing to retry itself; it only must bear
 * seeing records again that it took but could not acknowledge. `seq` tells them apart. docs/custom-backend.md says more.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Logger } from "effect"
import { Backend, History } from "ezpz-stream"
import { mkdtempSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { json } from "node:stream/consumers"

// -----------------------------------------------------------------------------
// The backend
// -----------------------------------------------------------------------------

/** The factory runs once for a run. What it opens in its scope is closed after `finish`. */
const webhook = (url: string): Backend.Factory => (context) =>
  Effect.succeed(Backend.make({
    name: "webhook",
    // Functions give an Effect, a promise or nothing; what they fail with is a warning and another try.
    log: (rows) =>
      post(
        `${url}/${context.runId}/records`,
        rows.map((row) => ({ seq: row.seq, step: row.step, ...Backend.flat(row) }))
      ),
    logConfig: (config) => post(`${url}/${context.runId}/config`, config),
    finish: (state) => post(`${url}/${context.runId}/state`, { state })
  }))

/** Interruption, and the time-out of the supervisor, end the request. */
const post = (url: string, body: unknown) =>
  Effect.tryPromise({
    try: async (signal) => {
      const response = await fetch(url, { method: "POST", body: JSON.stringify(body), signal })
      if (!response.ok) throw new Error(`${url} answered ${response.status} ${response.statusText}`)
    },
    catch: (cause) => new Backend.BackendError({ backend: "webhook", operation: "post", cause })
  })

// -----------------------------------------------------------------------------
// The server: away for the first three requests
// -----------------------------------------------------------------------------

interface Received {
  refused: number
  readonly records: Map<number, unknown>
  config: unknown
  state: unknown
}

const serve = Effect.acquireRelease(
  Effect.promise(async () => {
    const received: Received = { refused: 0, records: new Map(), config: undefined, state: undefined }
    const server = createServer(async (request, response) => {
      const body = await json(request)
      if (received.refused < 3) {
        received.refused++
        response.writeHead(503).end()
        return
      }
      if (Array.isArray(body)) { for (const record of body) received.records.set(record.seq, record) }
      else if (request.url?.endsWith("/config") === true) received.config = body
      else received.state = body
      response.end()
    })
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))
    const address = server.address()
    return { server, received, url: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}` }
  }),
  ({ server }) => Effect.sync(() => server.close())
)

// -----------------------------------------------------------------------------
// A run
// -----------------------------------------------------------------------------

const outdir = process.argv[2] ?? mkdtempSync(join(tmpdir(), "ezpz-stream-"))

const program = Effect.gen(function*() {
  const { received, url } = yield* serve
  yield* Backend.register("webhook", webhook(url))

  const history = yield* History.make({
    outdir,
    backends: "webhook,csv",
    config: { lr: 0.1, api_key: "of no concern" }
  })
  for (let step = 1; step <= 1000; step++) yield* history.update({ loss: 1 / step }, { step })
  yield* Console.log(`1000 records are in the log; the server has ${received.records.size}`)

  const { delivered } = yield* history.finalize({ plots: false })
  for (const { backend, failures, undelivered } of delivered) {
    yield* Console.log(`${backend}: ${failures} failures, ${undelivered} records not delivered`)
  }
  yield* Console.log(`the server refused ${received.refused} requests and has ${received.records.size} records`)
  yield* Console.log(`its config: ${JSON.stringify(received.config)}, its state: ${JSON.stringify(received.state)}`)
}).pipe(
  Effect.scoped,
  // Warnings go to stderr, as in the command line.
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatSimple)]))
)

NodeRuntime.runMain(program)
