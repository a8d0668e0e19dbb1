/**
 * The server: node's own, with every request in a fiber that ends when its connection does.
 *
 * The rules. It only answers GET and HEAD, only to who may ask (Guard.ts), and changes nothing. A path is one of a few
 * known ones; runs and files are named in the query, and found by Runs.ts and Files.ts, which never leave the root.
 * Whatever goes wrong in an answer, the server goes on.
 *
 * @since 0.5.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Os from "node:os"
import { explain } from "../internal/systemError.ts"
import * as Assets from "./Assets.ts"
import * as Guard from "./Guard.ts"
import * as Library from "./Library.ts"
import * as Reply from "./Reply.ts"
import * as Routes from "./Routes.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Where to listen: port 0 takes any that is free. `token`: what whoever asks has to know; beyond loopback there has to be
 * one.
 *
 * @category models
 * @since 0.5.0
 */
export interface Options {
  readonly root: string
  readonly host: string
  readonly port: number
  readonly token: string | undefined
}

/**
 * A server that listens. `address` is what to open, with the token if there is one.
 *
 * @category models
 * @since 0.5.0
 */
export interface Listening {
  readonly port: number
  readonly address: string
}

/** So many connections at a time, and so long a head: metrics are named in it. */
const mostConnections = 512
const longestHead = 256 * 1024

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Serves the runs below a root until the scope closes.
 *
 * @category constructors
 * @since 0.5.0
 */
export const listen = (options: Options): Effect.Effect<Listening, ServeError, Scope.Scope> =>
  Effect.gen(function*() {
    if (options.token === undefined && !Guard.isLoopback(options.host)) {
      return yield* new ServeError({ reason: "beyond this machine a token is needed", inUse: false })
    }
    const assets = yield* Effect.mapError(
      Assets.load,
      ({ problem }) => new ServeError({ reason: problem, inUse: false })
    )
    const library = yield* Library.make(options.root)
    const routes = Routes.make(library)
    const context = yield* Effect.context<Scope.Scope>()
    const server = Http.createServer({ maxHeaderSize: longestHead, keepAliveTimeout: 30_000 })
    server.maxConnections = mostConnections
    const bound = { port: 0 }
    const names = new Set([options.host.toLowerCase(), Os.hostname().toLowerCase()])

    const answer = (request: Http.IncomingMessage, response: Http.ServerResponse): Effect.Effect<void> =>
      Effect.suspend(() => {
        const url = addressOf(request)
        const { token } = options
        // Where there is a token, a foreign name has no cookie with it.
        if (token === undefined && !Guard.isOurs(request.headers.host, names)) {
          return Reply.problem(response, 403, "This server is not known by that name: use localhost or its address.")
        }
        if (url === undefined) return Reply.problem(response, 400, "That is not an address.")
        if (request.method !== "GET" && request.method !== "HEAD") {
          response.setHeader("Allow", "GET, HEAD")
          return Reply.problem(response, 405, "Here one can only look.")
        }
        const site = request.headers["sec-fetch-site"]
        if (Guard.isForeign(typeof site === "string" ? site : undefined, url.pathname)) {
          return Reply.problem(response, 403, "Pages of other sites get nothing here.")
        }
        if (token !== undefined) {
          const given = url.searchParams.get("token")
          if (url.pathname === "/" && given !== null && Guard.same(given, token)) {
            url.searchParams.delete("token")
            return Reply.redirect(response, `./${url.search}`, Guard.cookieOf(token, bound.port))
          }
          if (!Guard.hasToken(token, bound.port, request.headers)) {
            return Reply.problem(
              response,
              401,
              "Open the address that ezpz-stream serve has printed: it has the token."
            )
          }
        }
        const asset = assets.get(url.pathname)
        if (asset !== undefined) return Reply.bytes(request, response, asset.type, asset.body, "no-cache")
        const route = routes.get(url.pathname)
        return route === undefined
          ? Reply.problem(response, 404, "There is nothing here.")
          : route(url.searchParams, request, response).pipe(
            Effect.catch((refusal) => Reply.problem(response, refusal.status, refusal.problem))
          )
      }).pipe(Effect.catchCause((cause) =>
        // The browser has gone, or something is wrong with this one answer.
        Cause.hasInterruptsOnly(cause)
          ? Effect.void
          : Effect.andThen(
            Effect.logError(`An answer failed: ${explain(Cause.squash(cause))}`),
            Reply.problem(response, 500, "That went wrong here: see what the server printed.")
          )
      ))

    const run = Effect.runForkWith(context)
    server.on("request", (request, response) => {
      response.on("error", () => {})
      const fiber = run(answer(request, response))
      response.once("close", () => run(Fiber.interrupt(fiber)))
    })
    server.on("clientError", (_, socket) => {
      if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    })

    yield* Effect.acquireRelease(
      Effect.callback<void, ServeError>((resume) => {
        server.once("error", (cause) => {
          const inUse = "code" in cause && cause.code === "EADDRINUSE"
          const taken = `port ${options.port} of ${options.host} is taken. --port 0 finds a free one`
          resume(Effect.fail(new ServeError({ reason: inUse ? taken : explain(cause), inUse })))
        })
        server.listen(options.port, options.host, () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const address = server.address()
    bound.port = typeof address === "object" && address !== null ? address.port : options.port
    const shown = ["0.0.0.0", "::"].includes(options.host) ? Os.hostname() : options.host
    const host = shown.includes(":") ? `[${shown}]` : shown
    const query = options.token === undefined ? "" : `?token=${options.token}`
    return { port: bound.port, address: `http://${host}:${bound.port}/${query}` }
  })

const addressOf = ({ url }: Http.IncomingMessage): URL | undefined => {
  if (url?.startsWith("/") !== true) return undefined
  try {
    return new URL(`http://localhost${url}`)
  } catch {
    return undefined
  }
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * The server cannot be. `inUse`: somebody else has the port.
 *
 * @category errors
 * @since 0.5.0
 */
export class ServeError extends Schema.TaggedError<ServeError>()("ServeError", {
  reason: Schema.String,
  inUse: Schema.Boolean
}) {
  override get message(): string {
    return `Cannot serve: ${this.reason}`
  }
}
