import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { execFile, execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as Client from "../../src/internal/http.ts"
import { temporary } from "../support/directory.ts"

interface Received {
  readonly method: string
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

interface Server {
  readonly url: string
  readonly port: number
  readonly received: Array<Received>
  readonly sockets: Set<Net.Socket>
}

type Handler = (request: Received, response: Http.ServerResponse) => void

const listen = (server: Net.Server, scheme: string, received: Array<Received>): Effect.Effect<
  Server,
  never,
  Scope.Scope
> =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const sockets = new Set<Net.Socket>()
      server.on("connection", (socket: Net.Socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `${scheme}://127.0.0.1:${port}`, port, received, sockets }))
      })
    }),
    ({ sockets }) =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

/** Reads the request whole, then lets the handler answer. */
const serve = (handler: Handler) => {
  const received: Array<Received> = []
  return listen(Http.createServer(collect(received, handler)), "http", received)
}

const collect = (received: Array<Received>, handler: Handler): Http.RequestListener => (incoming, response) => {
  const chunks: Array<Buffer> = []
  incoming.on("error", () => {})
  incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
  incoming.on("end", () => {
    const { headers, method = "", url = "" } = incoming
    const request = { method, url, headers, body: Buffer.concat(chunks).toString() }
    received.push(request)
    handler(request, response)
  })
}

const answer = (status: number, body = "", headers: Http.OutgoingHttpHeaders = {}): Handler => (_, response) => {
  response.writeHead(status, headers)
  response.end(body)
}

const client = (baseUrl: string, more: Partial<Parameters<typeof Client.make>[0]> = {}) =>
  Client.make({ baseUrl, environment: {}, ...more })

const get = (client: Client.Client, url = "/", more: Partial<Client.Request> = {}) =>
  client.request({ method: "GET", url, ...more })

/** What a request fails with. */
const failure = <A>(effect: Effect.Effect<A, Client.HttpError>): Effect.Effect<Client.HttpError> =>
  Effect.flip(effect).pipe(Effect.orDie)

const wait = (condition: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
  })

/** Nothing listens on it. */
const closedPort = Effect.scoped(Effect.map(serve(answer(200)), ({ port }) => port))

describe("answers", () => {
  it.live("a success is its status, headers, text and JSON", () =>
    Effect.gen(function*() {
      const server = yield* serve(({ url }, response) => {
        response.writeHead(url.includes("text") ? 201 : 200, { "x-a": "1", "set-cookie": ["a", "b"] })
        response.end(url.includes("text") ? "é { " : `{"a":[1]}`)
      })
      const http = yield* client(`${server.url}/api/`)
      const json = yield* get(http, "/x/y", { query: { a: "b c&d", none: undefined, e: "é" } })
      assert.deepStrictEqual([json.status, json.headers["x-a"], json.json, json.text], [
        200,
        "1",
        { a: [1] },
        `{"a":[1]}`
      ])
      const text = yield* get(http, "text?a=1", { query: { b: "2" } })
      assert.deepStrictEqual([text.status, text.headers["set-cookie"], text.json, text.text], [
        201,
        ["a", "b"],
        undefined,
        "é { "
      ])
      assert.deepStrictEqual(server.received.map(({ url }) => url), [
        "/api/x/y?a=b%20c%26d&e=%C3%A9",
        "/api/text?a=1&b=2"
      ])
    }))

  it.live("JSON, text and bytes arrive as they were given", () =>
    Effect.gen(function*() {
      const server = yield* serve(answer(204))
      const http = yield* client(server.url, { headers: { "X-API-Key": "abcdefgh" } })
      yield* http.request({ method: "POST", url: "/", json: { a: "é" } })
      yield* http.request({ method: "PATCH", url: "/", body: "text", headers: { "Content-Type": "text/plain" } })
      yield* http.request({ method: "PUT", url: "/", body: new Uint8Array([65, 66]) })
      yield* http.request({ method: "POST", url: "/", json: 1, headers: { "Content-Type": "application/x" } })
      const seen = server.received.map(({ body, headers, method }) => [
        method,
        headers["content-type"],
        headers["content-length"],
        headers["x-api-key"],
        body
      ])
      assert.deepStrictEqual(seen, [
        ["POST", "application/json", "10", "abcdefgh", "{\"a\":\"é\"}"],
        ["PATCH", "text/plain", "4", "abcdefgh", "text"],
        ["PUT", undefined, "2", "abcdefgh", "AB"],
        ["POST", "application/x", "1", "abcdefgh", "1"]
      ])
      assert.isUndefined(server.received[0]?.headers["accept-encoding"])
    }))

  it.live("what is no success is a failure of a kind, with what the server says", () =>
    Effect.gen(function*() {
      const pages: ReadonlyArray<readonly [number, string, string]> = [
        [400, `{"error_code":"INVALID","message":"no such key"}`, "HTTP 400 (no such key)"],
        [401, `{"detail":"who?"}`, "HTTP 401 (who?). The server does not know the credentials"],
        [404, `{"errors":[{"message":"not here"}]}`, "HTTP 404 (not here)"],
        [409, `{"error":{"message":"twice"}}`, "HTTP 409 (twice)"],
        [422, "[".repeat(30_000) + "]".repeat(30_000), `HTTP 422 (${"[".repeat(299)}…)`],
        [500, "", "HTTP 500"],
        [502, "<html>\n<h1>Bad   gateway</h1></html>", "HTTP 502 (Bad gateway)"],
        [503, "\u001b[31mred", "HTTP 503 (\\x1b[31mred)"]
      ]
      const server = yield* serve(({ url }, response) => {
        const [status, page] = pages[Number(/\d+/.exec(url))] ?? [200, ""]
        response.writeHead(status)
        response.end(page)
      })
      const http = yield* client(server.url)
      for (const [i, [status, page, message]] of pages.entries()) {
        const error = yield* failure(get(http, `/${i}`, { query: { signature: "abc" } }))
        assert.strictEqual(error.message, `GET ${server.url}/${i}: ${message}`)
        assert.deepStrictEqual([error.kind, error.status, error.body], [`HTTP ${status}`, status, page])
        const wrapped = Client.backendError("mlflow", "log")(error)
        assert.strictEqual(wrapped.kind, error.kind)
        assert.include(wrapped.message, message)
      }
    }))

  it.effect("Retry-After is understood in seconds and as a date, and is bounded", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-01-02T03:04:05Z"))
      const headers = [
        "7",
        "1.5",
        "Fri, 02 Jan 2026 03:05:05 GMT",
        "Fri, 02 Jan 2026 03:00:00 GMT",
        "soon",
        "9".repeat(400)
      ]
      const server = yield* serve(({ url }, response) => {
        response.writeHead(429, { "retry-after": headers[Number(url.slice(1))] ?? "" })
        response.end()
      })
      const http = yield* client(server.url)
      const after = yield* Effect.forEach(headers, (_, i) => failure(get(http, `/${i}`)))
      assert.deepStrictEqual(after.map(({ retryAfterMillis }) => retryAfterMillis), [
        7000,
        1500,
        60_000,
        0,
        undefined,
        86_400_000
      ])
      assert.strictEqual(Client.backendError("b", "log")(after[0]!).retryAfterMillis, 7000)
    }))

  it.live("of a failure's page the beginning is read, however long it is", () =>
    Effect.gen(function*() {
      let sent = 0
      const chunk = Buffer.alloc(64 * 1024, "x")
      const endless: Handler = (_, response) => {
        response.writeHead(500)
        const more = (): void => {
          if (response.destroyed) return
          sent += chunk.length
          if (response.write(chunk)) setImmediate(more)
          else response.once("drain", more)
        }
        more()
      }
      const server = yield* serve(endless)
      const http = yield* client(server.url)
      const error = yield* failure(get(http))
      assert.strictEqual(error.kind, "HTTP 500")
      assert.isAtMost(error.body?.length ?? 0, 64 * 1024)
      assert.isAtLeast(error.body?.length ?? 0, 32 * 1024)
      yield* wait(() => server.sockets.size === 0)
      assert.isBelow(sent, 64 * 1024 * 1024)
    }))

  it.live("a success beyond all measure is a failure", () =>
    Effect.gen(function*() {
      const chunk = Buffer.alloc(1024 * 1024, "x")
      const server = yield* serve((_, response) => {
        let left = 66
        const more = (): void => {
          if (left-- === 0) response.end()
          else response.write(chunk, more)
        }
        more()
      })
      const error = yield* failure(get(yield* client(server.url)))
      assert.strictEqual(error.message, `GET ${server.url}/: answer too long (more than 64 MiB)`)
    }))
})

describe("connections", () => {
  it.live("what is wrong with a connection has the system's name", () =>
    Effect.gen(function*() {
      const port = yield* closedPort
      const refused = yield* failure(get(yield* client(`http://127.0.0.1:${port}`)))
      assert.strictEqual(
        refused.message,
        `GET http://127.0.0.1:${port}/: ECONNREFUSED (connect ECONNREFUSED 127.0.0.1:${port}). Nothing listens there`
      )
      // By name there may be several addresses, and an error for each.
      const byName = yield* failure(get(yield* client(`http://localhost:${port}`)))
      assert.strictEqual(byName.kind, "ECONNREFUSED")
      assert.include(byName.detail, `connect ECONNREFUSED 127.0.0.1:${port}`)
      assert.strictEqual((yield* failure(get(yield* client("localhost:5000")))).kind, "address")
      assert.strictEqual((yield* failure(get(yield* client("nonsense")))).kind, "ERR_INVALID_URL")
    }))

  it.live("an answer that breaks off is a failure, and the next request has a new connection", () =>
    Effect.gen(function*() {
      let requests = 0
      const server = yield* serve((_, response) => {
        if (requests++ > 0) return void response.end("whole")
        response.writeHead(200, { "content-length": "100" })
        response.write("half")
        setImmediate(() => response.socket?.resetAndDestroy())
      })
      const http = yield* client(server.url)
      const error = yield* failure(get(http))
      assert.include(["ECONNRESET", "UND_ERR_SOCKET"], error.kind)
      assert.isUndefined(error.status)
      assert.strictEqual((yield* get(http)).text, "whole")
    }))

  it.live("connections serve many requests, and are closed with the scope", () =>
    Effect.gen(function*() {
      let connections = 0
      const received: Array<Received> = []
      const node = Http.createServer(collect(received, answer(200, "ok")))
      node.on("connection", () => connections++)
      const server = yield* listen(node, "http", received)
      const http = yield* Effect.scoped(Effect.gen(function*() {
        const http = yield* client(server.url)
        for (let i = 0; i < 20; i++) yield* get(http)
        return http
      }))
      assert.isAtMost(connections, 2)
      assert.strictEqual((yield* failure(get(http))).kind, "closed")
      yield* wait(() => server.sockets.size === 0)
    }))

  it.effect("without an answer in time the request fails, and its connection is closed", () =>
    Effect.gen(function*() {
      for (const handler of [() => {}, (_: Received, response: Http.ServerResponse) => response.write("beginning")]) {
        const server = yield* serve(handler)
        const http = yield* client(server.url)
        const fiber = yield* Effect.forkChild(failure(get(http, "/slow", { timeoutMillis: 2500 })))
        yield* wait(() => server.received.length === 1)
        yield* TestClock.adjust(2500)
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error.message, `GET ${server.url}/slow: time-out (no answer within 2.5 s)`)
        yield* wait(() => server.sockets.size === 0)
      }
    }))

  it.live("an interruption closes the connection", () =>
    Effect.gen(function*() {
      const server = yield* serve(() => {})
      const http = yield* client(server.url)
      const fiber = yield* Effect.forkChild(get(http))
      yield* wait(() => server.received.length === 1)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      yield* wait(() => server.sockets.size === 0)
    }))

  it.live("a process ends when its work is done", () =>
    Effect.gen(function*() {
      const server = yield* serve(answer(200, "ok"))
      const module = fileURLToPath(new URL("../../src/internal/http.ts", import.meta.url))
      const script = `
        import * as Effect from "effect/Effect"
        import * as Client from ${JSON.stringify(module)}
        const answer = await Effect.runPromise(Effect.scoped(Effect.flatMap(
          Client.make({ baseUrl: ${JSON.stringify(server.url)}, environment: {} }),
          (http) => http.request({ method: "GET", url: "/" })
        )))
        console.log(answer.text, process.getActiveResourcesInfo().filter((name) => /TCP|TLS/.test(name)).length)`
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, ["--input-type=module", "--no-warnings", "--eval", script])
      )
      assert.strictEqual(stdout, "ok 0\n")
    }))
})

describe("redirects", () => {
  const headers = { Authorization: "Bearer abcdefghij", "X-API-Key": "klmnopqrst" }
  const credentials = ({ headers }: Received) => [headers.authorization, headers["x-api-key"], headers["x-token"]]

  it.live("are followed with the credentials on the same origin, without them to another", () =>
    Effect.gen(function*() {
      const other = yield* serve(answer(200, "other"))
      const server = yield* serve(({ url }, response) => {
        if (url === "/here") return void response.end("here")
        response.writeHead(url === "/near" ? 302 : 307, { location: url === "/near" ? "/here" : `${other.url}/there` })
        response.end("moved")
      })
      const http = yield* client(server.url, { headers })
      assert.strictEqual((yield* get(http, "/near", { headers: { "X-Token": "uvwxyz" } })).text, "here")
      assert.deepStrictEqual(server.received.map(credentials), [
        ["Bearer abcdefghij", "klmnopqrst", "uvwxyz"],
        ["Bearer abcdefghij", "klmnopqrst", "uvwxyz"]
      ])
      yield* get(http, "/far", { headers: { "X-Token": "uvwxyz", "x-part": "1" } })
      assert.deepStrictEqual(other.received.map(credentials), [[undefined, undefined, undefined]])
      assert.strictEqual(other.received[0]?.headers["x-part"], "1")
    }))

  it.live("an address on another host, or a foreign one on the own, gets no credentials", () =>
    Effect.gen(function*() {
      const other = yield* serve(answer(200))
      const server = yield* serve(answer(200))
      const http = yield* client(server.url, { headers })
      yield* get(http, `${other.url}/x`)
      yield* get(http, `${server.url}/x`, { foreign: true, headers: { "x-token": "own" } })
      assert.deepStrictEqual([...other.received, ...server.received].map(credentials), [
        [undefined, undefined, undefined],
        [undefined, undefined, "own"]
      ])
    }))

  it.live("data is sent again where the server says so (307, 308), and never turns into a GET of a page", () =>
    Effect.gen(function*() {
      const file = Path.join(yield* temporary, "file")
      Fs.writeFileSync(file, "content")
      const server = yield* serve(({ url }, response) => {
        const status = Number(/\d+/.exec(url))
        if (status === 0) return void response.end("taken")
        response.writeHead(status, { location: "/0?token=secret" })
        response.end()
      })
      const http = yield* client(server.url)
      for (const status of [307, 308]) {
        yield* http.request({ method: "POST", url: `/${status}`, json: [status] })
        yield* http.request({ method: "PUT", url: `/${status}`, file })
      }
      const taken = server.received.filter(({ url }) => url.startsWith("/0")).map(({ body, method }) => [method, body])
      assert.deepStrictEqual(taken, [["POST", "[307]"], ["PUT", "content"], ["POST", "[308]"], ["PUT", "content"]])
      for (const status of [301, 302, 303]) {
        const error = yield* failure(http.request({ method: "POST", url: `/${status}`, json: 1 }))
        assert.strictEqual(
          error.message,
          `POST ${server.url}/${status}: HTTP ${status} (redirects to ${server.url}/0)`
        )
      }
      assert.lengthOf(server.received.filter(({ method }) => method === "GET"), 0)
    }))

  it.live("in a circle end", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => {
        response.writeHead(302, { location: "/" })
        response.end()
      })
      const error = yield* failure(get(yield* client(server.url)))
      assert.strictEqual(error.kind, "HTTP 302")
      assert.lengthOf(server.received, 4)
    }))
})

describe("files", () => {
  it.live("are sent as they are read, with the length they had", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const path = Path.join(directory, "growing")
      const content = "0123456789abcdef".repeat(256 * 1024)
      Fs.writeFileSync(path, content)
      Fs.writeFileSync(Path.join(directory, "empty"), "")
      const received: Array<Received> = []
      // It grows from when its sending has begun.
      const node = Http.createServer((incoming, response) => {
        if (incoming.url === "/growing") Fs.appendFileSync(path, "more")
        collect(received, answer(200))(incoming, response)
      })
      const server = yield* listen(node, "http", received)
      const http = yield* client(server.url)
      yield* http.request({ method: "PUT", url: "/growing", file: path })
      yield* http.request({ method: "PUT", url: "/empty", file: Path.join(directory, "empty") })
      assert.deepStrictEqual(
        received.map((
          { body, headers }
        ) => [headers["content-length"], headers["transfer-encoding"], body === content]),
        [[String(content.length), undefined, true], ["0", undefined, false]]
      )
      assert.isAbove(Fs.statSync(path).size, content.length)
    }))

  it.live("that are none are failures with a name", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const server = yield* serve(answer(200))
      const http = yield* client(server.url)
      const put = (file: string) => failure(http.request({ method: "PUT", url: "/", file: Path.join(directory, file) }))
      execFileSync("mkfifo", [Path.join(directory, "pipe")])
      assert.strictEqual((yield* put("nothing")).kind, "ENOENT")
      assert.strictEqual((yield* put(".")).kind, "not a file")
      assert.strictEqual((yield* put("pipe")).kind, "not a file")
      assert.lengthOf(server.received, 0)
    }))

  it.live("a server that refuses one before it has all of it is understood, and nothing is left open", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* temporary, "large")
      Fs.writeFileSync(path, "")
      Fs.truncateSync(path, 256 * 1024 * 1024)
      const node = Http.createServer((_, response) => {
        response.writeHead(413, { connection: "close" })
        response.end("too large")
      })
      const server = yield* listen(node, "http", [])
      const open = () => Fs.readdirSync("/proc/self/fd").length
      const http = yield* client(server.url)
      const before = process.platform === "linux" ? open() : 0
      for (let i = 0; i < 10; i++) {
        const error = yield* failure(http.request({ method: "PUT", url: "/", file: path }))
        assert.include(["HTTP 413", "EPIPE", "ECONNRESET", "UND_ERR_SOCKET"], error.kind)
      }
      if (process.platform === "linux") yield* wait(() => open() <= before + 1)
    }))
})

describe("secrets", () => {
  it.live("a server may repeat all it was sent: no message has a credential, nor a part of one", () =>
    Effect.gen(function*() {
      const server = yield* serve(({ body, headers, url }, response) => {
        const pad = url.startsWith("/cut") ? "x".repeat(Number(url.slice(4))) : ""
        response.writeHead(500)
        response.end(`${pad} ${headers.authorization} ${headers["x-api-key"]} ${body}`)
      })
      const basic = Buffer.from("user:pass/w0rd+").toString("base64")
      const http = yield* client(server.url, {
        headers: { authorization: `Basic ${basic}`, "X-API-Key": "key-of-the-server" },
        secrets: ["a secret of its own"],
        environment: { WANDB_API_KEY: "0123456789abcdef", HTTP_PROXY: "http://me:hush-hush@127.0.0.1:1", NO_PROXY: "*" }
      })
      const secrets = [
        basic,
        "pass/w0rd+",
        "pass%2Fw0rd%2B",
        "key-of-the-server",
        "a secret of its own",
        "0123456789abcdef",
        "hush-hush",
        Buffer.from("me:hush-hush").toString("base64")
      ]
      const parts = secrets.flatMap((secret) => [secret, secret.slice(0, 7)])
      const check = (error: Client.HttpError) => {
        const text = [error.message, error.body, JSON.stringify(error), String(error.stack)].join()
        assert.deepStrictEqual(parts.filter((part) => text.includes(part)), [])
      }
      check(yield* failure(http.request({ method: "POST", url: "/", body: secrets.join(" ") })))
      // At the edges of the excerpt, and of what is read.
      for (const edge of [250, 280, 290, 295, 65_500, 65_520, 65_530]) {
        check(yield* failure(http.request({ method: "POST", url: `/cut${edge}`, body: "" })))
      }
    }))

  it.live("a name and password in the address are sent as Basic, and not shown", () =>
    Effect.gen(function*() {
      const server = yield* serve(answer(500, "no"))
      const http = yield* client(server.url.replace("://", "://user:pass%2Fword@"))
      const error = yield* failure(get(http, "/x"))
      assert.strictEqual(error.message, `GET ${server.url}/x: HTTP 500 (no)`)
      assert.strictEqual(
        server.received[0]?.headers.authorization,
        `Basic ${Buffer.from("user:pass/word").toString("base64")}`
      )
    }))
})

/** A proxy that forwards http and opens tunnels; says what it was asked. */
const proxy = Effect.gen(function*() {
  const asked: Array<string> = []
  const node = Http.createServer((incoming, response) => {
    asked.push(`${incoming.method} ${incoming.url} ${incoming.headers["proxy-authorization"] ?? ""}`.trim())
    const onward = Http.request(
      incoming.url ?? "",
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      }
    )
    onward.on("error", () => response.destroy())
    incoming.pipe(onward)
  })
  node.on("connect", (incoming: Http.IncomingMessage, socket: Net.Socket) => {
    asked.push(`CONNECT ${incoming.url}`)
    const [host, port] = (incoming.url ?? "").split(":")
    const onward = Net.connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n")
      socket.pipe(onward)
      onward.pipe(socket)
    })
    onward.on("error", () => socket.destroy())
    socket.on("error", () => onward.destroy())
    socket.on("close", () => onward.destroy())
  })
  return { ...(yield* listen(node, "http", [])), asked }
})

/** A server with a certificate that nobody vouches for. */
const secure = (handler: Handler) =>
  Effect.gen(function*() {
    const directory = yield* temporary
    const [key, cert] = [Path.join(directory, "key.pem"), Path.join(directory, "cert.pem")]
    execFileSync("openssl", [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-subj",
      "/CN=localhost",
      "-addext",
      "subjectAltName=IP:127.0.0.1",
      "-keyout",
      key,
      "-out",
      cert
    ], { stdio: "ignore" })
    const received: Array<Received> = []
    const node = Https.createServer(
      { key: Fs.readFileSync(key), cert: Fs.readFileSync(cert) },
      collect(received, handler)
    )
    node.on("tlsClientError", () => {})
    return { ...(yield* listen(node, "https", received)), cert }
  })

describe("proxies", () => {
  it.live("are those of the given environment: lower case first, NO_PROXY obeyed", () =>
    Effect.gen(function*() {
      const server = yield* serve(answer(200, "ok"))
      const between = yield* proxy
      const nowhere = `http://127.0.0.1:${yield* closedPort}`
      const through = between.url
      const authorized = through.replace("://", "://me:hush-hush@")
      const cases: ReadonlyArray<readonly [environment: Record<string, string>, through: boolean]> = [
        [{}, false],
        [{ HTTP_PROXY: through }, true],
        [{ HTTP_PROXY: through.slice("http://".length) }, true],
        [{ http_proxy: through, HTTP_PROXY: nowhere }, true],
        [{ http_proxy: "", HTTP_PROXY: nowhere }, false],
        [{ ALL_PROXY: through }, true],
        [{ HTTPS_PROXY: nowhere }, false],
        [{ HTTP_PROXY: nowhere, NO_PROXY: "example.org, 127.0.0.1" }, false],
        [{ HTTP_PROXY: nowhere, no_proxy: `127.0.0.1:${server.port}` }, false],
        [{ HTTP_PROXY: through, no_proxy: "127.0.0.1:1" }, true],
        [{ HTTP_PROXY: nowhere, NO_PROXY: "*" }, false],
        [{ HTTP_PROXY: authorized }, true]
      ]
      for (const [environment, expected] of cases) {
        between.asked.length = 0
        const http = yield* client(server.url, { environment })
        assert.strictEqual((yield* http.request({ method: "POST", url: "/x", json: 1 })).text, "ok")
        const authorization = environment["HTTP_PROXY"] === authorized
          ? ` Basic ${Buffer.from("me:hush-hush").toString("base64")}`
          : ""
        assert.deepStrictEqual(
          between.asked,
          expected ? [`POST ${server.url}/x${authorization}`] : [],
          JSON.stringify(environment)
        )
      }
    }))

  it.live("https goes through a tunnel of HTTPS_PROXY, and not through HTTP_PROXY", () =>
    Effect.gen(function*() {
      const server = yield* secure(answer(200, "ok"))
      const between = yield* proxy
      const nowhere = `http://127.0.0.1:${yield* closedPort}`
      const ask = (environment: Record<string, string>) =>
        Effect.flatMap(client(server.url, { environment, insecureTls: true }), (http) => get(http))
      assert.strictEqual((yield* ask({ HTTPS_PROXY: between.url, HTTP_PROXY: nowhere })).text, "ok")
      assert.deepStrictEqual(between.asked, [`CONNECT 127.0.0.1:${server.port}`])
      assert.strictEqual((yield* ask({ HTTP_PROXY: nowhere })).text, "ok")
    }))

  it.live("one that is away, refuses or is no address is a failure that says so", () =>
    Effect.gen(function*() {
      const server = yield* secure(answer(200))
      const refusing = yield* listen(
        Http.createServer(answer407).on("connect", (_: unknown, socket: Net.Socket) => {
          socket.end("HTTP/1.1 407 No\r\n\r\n")
        }),
        "http",
        []
      )
      const ask = (baseUrl: string, proxy: string) =>
        Effect.flatMap(
          client(baseUrl, { environment: { HTTPS_PROXY: proxy, HTTP_PROXY: proxy } }),
          (http) => failure(get(http))
        )
      const away = yield* ask(server.url, `http://127.0.0.1:${yield* closedPort}`)
      assert.strictEqual(away.kind, "ECONNREFUSED")
      for (const url of [server.url, "http://127.0.0.1:1"]) {
        const refused = yield* ask(url, refusing.url)
        assert.strictEqual(refused.kind, "proxy")
        assert.include(refused.message, "407")
      }
      const wrong = yield* ask(server.url, "http://me:hush-hush@:::")
      assert.strictEqual(wrong.message, `GET ${server.url}/: proxy (HTTPS_PROXY is not an address)`)
    }))
})

const answer407: Http.RequestListener = (_, response) => {
  response.writeHead(407)
  response.end()
}

describe("certificates", () => {
  it.live("that nobody vouches for are refused, unless the server's own is to be believed", () =>
    Effect.gen(function*() {
      const server = yield* secure(answer(200, "ok"))
      const other = yield* secure(answer(200, "other"))
      const refused = yield* failure(get(yield* client(server.url)))
      assert.strictEqual(refused.kind, "DEPTH_ZERO_SELF_SIGNED_CERT")
      assert.include(refused.message, "self-signed")
      const http = yield* client(server.url, { insecureTls: true })
      assert.strictEqual((yield* get(http)).text, "ok")
      // It was said of this server, not of all.
      assert.strictEqual((yield* failure(get(http, other.url))).kind, "DEPTH_ZERO_SELF_SIGNED_CERT")
    }))

  it.live("of an authority of one's own are believed by its file", () =>
    Effect.gen(function*() {
      const server = yield* secure(answer(200, "ok"))
      const other = yield* secure(answer(200, "other"))
      assert.strictEqual((yield* get(yield* client(server.url, { caFile: server.cert }))).text, "ok")
      const wrong = yield* failure(get(yield* client(server.url, { caFile: other.cert })))
      assert.strictEqual(wrong.kind, "DEPTH_ZERO_SELF_SIGNED_CERT")
      const missing = yield* failure(get(yield* client(server.url, { caFile: "/nowhere/ca.pem" })))
      assert.strictEqual(missing.kind, "ENOENT")
    }))

  it.live("https never redirects to http", () =>
    Effect.gen(function*() {
      const plain = yield* serve(answer(200))
      const server = yield* secure((_, response) => {
        response.writeHead(307, { location: plain.url })
        response.end()
      })
      const error = yield* failure(get(yield* client(server.url, { insecureTls: true })))
      assert.strictEqual(error.message, `GET ${server.url}/: HTTP 307 (redirects to ${plain.url}/)`)
      assert.lengthOf(plain.received, 0)
    }))
})
