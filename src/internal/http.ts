/**
 * Talking to the servers of backends: one client for each, with what they have in common.
 *
 * Answers other than 2xx are failures of a kind (`HTTP 503`, `ECONNREFUSED`, `time-out`, ...), so that a server that is
 * away for hours is one warning. `Retry-After` is understood in seconds and as a date. Credentials never show in a
 * message, whatever a server repeats of what it was sent. Proxies are those of HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import { type Dispatcher, EnvHttpProxyAgent, interceptors } from "undici"
import { BackendError } from "../Backend.ts"
import type { Environment } from "../Rank.ts"
import * as Secrets from "../Secrets.ts"
import { reason } from "./reason.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is asked. `url` is absolute, or a path that is appended to the client's base. Of `json`, `body` and `file` at
 * most one is given; a file is sent as it is read. `timeoutMillis` is for the whole exchange (25 s).
 */
export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly url: string
  readonly query?: { readonly [name: string]: string | undefined }
  readonly headers?: { readonly [name: string]: string }
  readonly json?: unknown
  readonly body?: string | Uint8Array
  readonly file?: string
  readonly timeoutMillis?: number
  /** For another host than the client's own: its credentials stay here. */
  readonly foreign?: boolean
}

export interface Response {
  readonly status: number
  readonly headers: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
  readonly text: string
  /** The text as JSON; undefined if it is none. */
  readonly json: unknown
}

export interface Client {
  readonly request: (request: Request) => Effect.Effect<Response, HttpError>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * A client for a server. Its connections are closed with the scope.
 *
 * `headers` go with every request to the server itself; `secrets` are masked in messages, as is what the environment's
 * credentials say.
 */
export const make = (options: {
  readonly baseUrl: string
  readonly headers?: { readonly [name: string]: string }
  readonly secrets?: ReadonlyArray<string>
  readonly environment: Environment
  readonly insecureTls?: boolean
}): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { baseUrl, environment, headers = {}, insecureTls = false, secrets = [] } = options
    const known = Secrets.masker({
      ...environment,
      ...Object.fromEntries(secrets.map((secret, i) => [`CREDENTIAL_SECRET_${i}`, secret]))
    })
    const dispatcher = yield* Effect.acquireRelease(
      Effect.sync(() => open(environment, insecureTls)),
      (agent) => Effect.promise(() => agent.destroy().catch(() => {}))
    )
    const follow = dispatcher.compose(interceptors.redirect({ maxRedirections: 3 }))

    const request: Client["request"] = (request) =>
      Effect.gen(function*() {
        const url = target(baseUrl, request)
        const now = yield* Clock.currentTimeMillis
        const fail = (kind: string, detail: string, more: Partial<HttpError> = {}) =>
          new HttpError({ method: request.method, url: known(bare(url)), kind, detail: known(detail), ...more })
        const response = yield* Effect.tryPromise({
          try: (signal) => send(follow, url, request, request.foreign === true ? {} : headers, signal),
          catch: (cause) => fail(kindOf(cause), reason(cause))
        }).pipe(
          Effect.timeoutOrElse({
            duration: request.timeoutMillis ?? requestMillis,
            orElse: () =>
              Effect.fail(
                fail("time-out", `no answer within ${(request.timeoutMillis ?? requestMillis) / 1000} s`)
              )
          })
        )
        if (response.status >= 200 && response.status < 300) return response
        const after = retryAfter(response.headers["retry-after"], now)
        return yield* fail(`HTTP ${response.status}`, excerpt(response), {
          status: response.status,
          body: known(response.text.slice(0, mostBody)),
          ...(after === undefined ? {} : { retryAfterMillis: after })
        })
      })

    return { request }
  })

/** Below the supervisor's limit for a call, so that its message is ours. */
const requestMillis = 25_000
const mostBody = 64 * 1024

/** Proxies as the environment says; `undefined` would be those of the process. */
const open = (environment: Environment, insecureTls: boolean): EnvHttpProxyAgent => {
  const tls = insecureTls ? { rejectUnauthorized: false } : undefined
  const of = (name: string): string => environment[name.toLowerCase()] ?? environment[name] ?? ""
  return new EnvHttpProxyAgent({
    httpProxy: of("HTTP_PROXY"),
    httpsProxy: of("HTTPS_PROXY"),
    noProxy: of("NO_PROXY"),
    ...(tls === undefined ? {} : { connect: tls, requestTls: tls, proxyTls: tls })
  })
}

const target = (baseUrl: string, { query = {}, url }: Request): string => {
  const absolute = /^https?:\/\//.test(url) ? url : `${baseUrl.replace(/\/+$/, "")}/${url.replace(/^\/+/, "")}`
  const search = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`]
  )
  return search.length === 0 ? absolute : `${absolute}${absolute.includes("?") ? "&" : "?"}${search.join("&")}`
}

/** Signed addresses carry their credentials in the query. */
const bare = (url: string): string => url.split("?")[0] ?? url

const send = async (
  dispatcher: Dispatcher,
  url: string,
  request: Request,
  headers: { readonly [name: string]: string },
  signal: AbortSignal
): Promise<Response> => {
  const { origin, pathname, search } = new URL(url)
  const file = request.file === undefined ? undefined : await Fs.promises.open(request.file, "r")
  try {
    const length = await file?.stat()
    // Of a file that grows meanwhile, what there was when the request began.
    const stream = length === undefined || length.size === 0
      ? undefined
      : file?.createReadStream({ autoClose: false, start: 0, end: length.size - 1 })
    const answer = await dispatcher.request({
      origin,
      path: `${pathname}${search}`,
      method: request.method,
      headers: {
        "user-agent": "ezpz-stream",
        accept: "application/json",
        ...(request.json === undefined ? {} : { "content-type": "application/json" }),
        ...(length === undefined ? {} : { "content-length": String(length.size) }),
        ...headers,
        ...request.headers
      },
      body: request.json === undefined ? request.body ?? stream ?? null : JSON.stringify(request.json),
      signal
    })
    const text = await answer.body.text()
    return { status: answer.statusCode, headers: answer.headers, text, json: parse(text) }
  } finally {
    await file?.close()
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Of a page that a proxy sends, the beginning. */
const excerpt = ({ json, text }: Response): string => {
  const message = typeof json === "object" && json !== null
    ? ["message", "error", "detail"].map((name) => Reflect.get(json, name)).find((value) => typeof value === "string")
    : undefined
  return (message ?? text.replaceAll(/<[^>]*>|\s+/g, " ").replaceAll(/ +/g, " ").trim()).slice(0, 300)
}

/** Seconds, or a date. */
const retryAfter = (header: string | ReadonlyArray<string> | undefined, now: number): number | undefined => {
  const text = typeof header === "string" ? header.trim() : header?.[0]?.trim() ?? ""
  if (text === "") return undefined
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1000
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** What the system calls it, wherever in the error it stands. */
const kindOf = (cause: unknown): string => {
  for (let error = cause; error instanceof Error; error = error.cause) {
    if ("code" in error && typeof error.code === "string") return error.code
    if (error instanceof AggregateError && error.errors.length > 0) return kindOf(error.errors[0])
  }
  return cause instanceof Error ? cause.name : "failed"
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * A request that was not answered with success. `status` and `body` are there if it was answered at all.
 */
export class HttpError extends Schema.TaggedError<HttpError>()("HttpError", {
  method: Schema.String,
  url: Schema.String,
  kind: Schema.String,
  detail: Schema.String,
  status: Schema.optionalKey(Schema.Finite),
  body: Schema.optionalKey(Schema.String),
  retryAfterMillis: Schema.optionalKey(Schema.Finite)
}) {
  override get message(): string {
    const what = this.detail === "" || this.detail === this.kind ? "" : ` (${this.detail})`
    return `${this.method} ${this.url}: ${this.kind}${what}${remedies[this.kind] ?? ""}`
  }
}

const remedies: { readonly [kind: string]: string } = {
  "HTTP 401": ". The server does not know the credentials",
  "HTTP 403": ". The credentials do not allow this",
  "DEPTH_ZERO_SELF_SIGNED_CERT": ". The certificate is self-signed",
  "ECONNREFUSED": ". Nothing listens there"
}

/** The same as an error of a backend, for its supervisor. */
export const backendError = (backend: string, operation: string) => (error: HttpError): BackendError =>
  new BackendError({
    backend,
    operation,
    cause: error,
    kind: error.kind,
    ...(error.retryAfterMillis === undefined ? {} : { retryAfterMillis: error.retryAfterMillis })
  })
