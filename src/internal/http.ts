/**
 * Talking to the servers of backends: one client for each, with what they have in common.
 *
 * - Answers other than 2xx are failures of a kind (`HTTP 503`, `ECONNREFUSED`, `time-out`, ...), so that a server that
 *   is away for hours is one warning. `Retry-After` is understood in seconds and as a date.
 * - Credentials never show in a message, whatever a server repeats of what it was sent.
 *
 * http/exchange.ts says which redirects are followed and who gets which headers, http/agents.ts which proxy is used.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { BackendError } from "../Backend.ts"
import type { Environment } from "../Rank.ts"
import * as Secrets from "../Secrets.ts"
import { agentsOf, proxyOf } from "./http/agents.ts"
import { type Answer, lowerCase, type Request, type Response, send } from "./http/exchange.ts"
import { escaped } from "./oneLine.ts"
import { reason } from "./reason.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export type { Request, Response }

export interface Client {
  readonly request: (request: Request) => Effect.Effect<Response, HttpError>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * A client for a server. Its connections are closed with the scope.
 *
 * `headers` go with every request to the server itself. A name and password in `baseUrl` are sent as Basic, unless
 * `headers` has an `authorization`. In messages `secrets` are masked, the credentials among the headers, and what the
 * environment's credentials say. `insecureTls` believes any certificate of the server itself, of no other host; `caFile`
 * has the certificates of the authorities that its own may come from.
 */
export const make = (options: {
  readonly baseUrl: string
  readonly headers?: { readonly [name: string]: string }
  readonly secrets?: ReadonlyArray<string>
  readonly environment: Environment
  readonly insecureTls?: boolean
  readonly caFile?: string
}): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { caFile, environment, insecureTls = false } = options
    const base = baseOf(options.baseUrl)
    const headers = { ...base.headers, ...lowerCase(options.headers) }
    const known = masker(environment, headers, options.secrets ?? [])
    const agents = yield* Effect.acquireRelease(
      Effect.sync(() => agentsOf(environment, { origin: base.origin, insecure: insecureTls, caFile })),
      (agents) => Effect.promise(agents.close)
    )

    const request: Client["request"] = (request) =>
      Effect.gen(function*() {
        const url = target(base.url, request)
        const fail = (kind: string, detail: string, more: Partial<HttpError> = {}) =>
          new HttpError({
            method: request.method,
            url: known(bare(url)),
            kind,
            detail: escaped(known(detail), mostDetail),
            ...more
          })
        const timeoutMillis = request.timeoutMillis ?? requestMillis
        const answer = yield* Effect.tryPromise({
          try: (signal) => send({ url, request, headers, origin: base.origin, agentFor: agents.agentFor, signal }),
          catch: (cause) => fail(kindOf(cause), detailOf(cause))
        }).pipe(
          Effect.timeoutOrElse({
            duration: timeoutMillis,
            orElse: () => Effect.fail(fail("time-out", `no answer within ${timeoutMillis / 1000} s`))
          })
        )
        if (answer.status >= 200 && answer.status < 300) return answer
        const after = retryAfter(answer.headers["retry-after"], yield* Clock.currentTimeMillis)
        // Masked before it is cut: half a secret is one, too. What the reading has cut is left out with its surroundings.
        const text = known(answer.text)
        const body = answer.torn ? text.slice(0, -longestSecret) : text
        return yield* fail(`HTTP ${answer.status}`, excerpt(answer, body), {
          status: answer.status,
          body,
          ...(after === undefined ? {} : { retryAfterMillis: after })
        })
      })

    return { request }
  })

/** Below the supervisor's limit for a call, so that its message is ours. */
const requestMillis = 25_000
const mostDetail = 300
const longestSecret = 4096
const mostRetryMillis = 24 * 60 * 60 * 1000

/** Servers and proxies repeat what they were sent: headers whole and in part, Basic's name and password, too. */
const masker = (
  environment: Environment,
  headers: { readonly [name: string]: string },
  secrets: ReadonlyArray<string>
): (text: string) => string => {
  const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => {
    const { authorization } = baseOf(proxyOf(environment, name)).headers
    return authorization === undefined ? [] : [authorization]
  })
  const sent = Object.entries(headers).flatMap(([name, value]) => Secrets.isCredential(name) ? [value] : [])
  const all = [...sent, ...proxies].flatMap((value) => {
    const token = value.slice(value.indexOf(" ") + 1)
    if (!/^basic /i.test(value)) return [value, token]
    const credentials = Buffer.from(token, "base64").toString()
    return [token, credentials, credentials.slice(credentials.indexOf(":") + 1)]
  })
  return Secrets.masker({
    ...environment,
    ...Object.fromEntries([...secrets, ...all].map((secret, i) => [`CREDENTIAL_SECRET_${i}`, secret]))
  })
}

const target = (baseUrl: string, { query = {}, url }: Request): string => {
  const absolute = /^https?:\/\//i.test(url) ? url : `${baseUrl}/${url.replace(/^\/+/, "")}`
  const search = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`]
  )
  return search.length === 0 ? absolute : `${absolute}${absolute.includes("?") ? "&" : "?"}${search.join("&")}`
}

/** Signed addresses carry their credentials in the query. */
const bare = (url: string): string => url.split(/[?#]/)[0] ?? url

/** The base without the credentials that may stand in it. */
const baseOf = (baseUrl: string): {
  readonly url: string
  readonly origin: string | undefined
  readonly headers: { readonly [name: string]: string }
} => {
  const text = baseUrl.trim().replace(/\/+$/, "")
  const url = URL.parse(text)
  if (url === null) return { url: text, origin: undefined, headers: {} }
  if (url.username === "" && url.password === "") return { url: text, origin: url.origin, headers: {} }
  const credentials = `${decoded(url.username)}:${decoded(url.password)}`
  url.username = ""
  url.password = ""
  return {
    url: url.href.replace(/\/+$/, ""),
    origin: url.origin,
    headers: { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` }
  }
}

/** What is not encoded well stands for itself. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

// -----------------------------------------------------------------------------
// Messages
// -----------------------------------------------------------------------------

/** What the server says; of a page that a proxy sends, the beginning. */
const excerpt = ({ json, redirect }: Answer, body: string): string => {
  if (redirect !== undefined) return `redirects to ${bare(redirect)}`
  return messageIn(json) ?? body.slice(0, 16 * 1024).replaceAll(/<[^<>]*>/g, " ").replaceAll(/\s+/g, " ").trim()
}

/** As MLflow, W&B, GraphQL and most frameworks answer: `{"message": ..}`, `{"error": ..}`, `{"errors": [{..}]}`. */
const messageIn = (json: unknown, depth = 0): string | undefined => {
  if (typeof json === "string") return json
  if (typeof json !== "object" || json === null || depth === 4) return undefined
  if (Array.isArray(json)) return messageIn(json[0], depth + 1)
  for (const name of ["message", "error", "detail", "errors"]) {
    const message = messageIn(Reflect.get(json, name), depth + 1)
    if (message !== undefined && message !== "") return message
  }
  return undefined
}

/** Seconds, or a date. */
const retryAfter = (header: string | ReadonlyArray<string> | undefined, now: number): number | undefined => {
  const text = typeof header === "string" ? header.trim() : header?.[0]?.trim() ?? ""
  if (text === "") return undefined
  const millis = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now
  return Number.isNaN(millis) ? undefined : Math.min(Math.max(0, millis), mostRetryMillis)
}

/** What the system calls it, wherever in the error it stands. */
const kindOf = (cause: unknown): string => {
  if (isOfProxy(cause)) return "proxy"
  for (let error = cause; error instanceof Error; error = error.cause) {
    if ("code" in error && typeof error.code === "string") return error.code
    if (error instanceof AggregateError && error.errors.length > 0) return kindOf(error.errors[0])
  }
  return cause instanceof Error ? cause.name : "failed"
}

/** The proxy answered, and would not (407, 403 to CONNECT): these errors have codes that say something else. */
const isOfProxy = (cause: unknown): boolean => cause instanceof Error && /^Proxy (?:response|Auth)/.test(cause.message)

/** A host with several addresses fails with an error for each, and one without a message around them. */
const detailOf = (cause: unknown): string =>
  cause instanceof AggregateError && cause.errors.length > 0
    ? [...new Set(cause.errors.map(detailOf))].join(", ")
    : reason(cause)

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
  DEPTH_ZERO_SELF_SIGNED_CERT: ". The certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: ". The certificate comes from an authority that is not known here",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ". The certificate comes from an authority that is not known here",
  ECONNREFUSED: ". Nothing listens there",
  ENOTFOUND: ". There is no such host"
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
