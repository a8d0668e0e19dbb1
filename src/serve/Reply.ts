/**
 * How answers are written: as JSON, as bytes, as a stream that waits for its reader.
 *
 * @since 0.5.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Crypto from "node:crypto"
import type * as Http from "node:http"
import * as Zlib from "node:zlib"
import * as Guard from "./Guard.ts"

type Request = Http.IncomingMessage
type Response = Http.ServerResponse

/** Shorter answers are not worth the time. */
const compressAbove = 16 * 1024

/**
 * Whole bytes. They are sent again only when they are others than the browser has.
 *
 * @category answers
 * @since 0.5.0
 */
export const bytes = (
  request: Request,
  response: Response,
  type: string,
  body: Buffer,
  cache: "no-cache" | "no-store"
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const head: Record<string, string> = { ...Guard.headers, "Content-Type": type, "Cache-Control": cache }
    if (cache === "no-cache") {
      const tag = `"${Crypto.createHash("sha1").update(body).digest("base64url")}"`
      head["ETag"] = tag
      if (request.headers["if-none-match"]?.includes(tag) === true) {
        response.writeHead(304, head).end()
        return
      }
    }
    const accepts = String(request.headers["accept-encoding"] ?? "")
    const packed = body.length > compressAbove && /\bgzip\b/.test(accepts) ? yield* gzip(body) : undefined
    if (packed !== undefined) head["Content-Encoding"] = "gzip"
    head["Vary"] = "Accept-Encoding"
    head["Content-Length"] = String((packed ?? body).length)
    response.writeHead(200, head).end(request.method === "HEAD" ? undefined : packed ?? body)
  })

const gzip = (body: Buffer): Effect.Effect<Buffer | undefined> =>
  Effect.callback((resume) => {
    Zlib.gzip(body, { level: 1 }, (error, packed) => resume(Effect.succeed(error === null ? packed : undefined)))
  })

/**
 * JSON. `cache`: whether a browser may ask if it has changed.
 *
 * @category answers
 * @since 0.5.0
 */
export const json = (
  request: Request,
  response: Response,
  value: unknown,
  cache: "no-cache" | "no-store" = "no-store"
): Effect.Effect<void> =>
  Effect.suspend(() => bytes(request, response, "application/json", Buffer.from(JSON.stringify(value)), cache))

/**
 * What went wrong. Of an answer that has begun, the rest does not come, and the browser knows.
 *
 * @category answers
 * @since 0.5.0
 */
export const problem = (response: Response, status: number, text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    if (response.headersSent) {
      response.destroy()
      return
    }
    response.writeHead(status, {
      ...Guard.headers,
      "Content-Type": "application/json",
      "Cache-Control": "no-store"
    }).end(`${JSON.stringify({ problem: text })}\n`)
  })

/**
 * To another address, with a cookie.
 *
 * @category answers
 * @since 0.5.0
 */
export const redirect = (response: Response, to: string, cookie: string): Effect.Effect<void> =>
  Effect.sync(() => {
    response.writeHead(303, { ...Guard.headers, Location: to, "Set-Cookie": cookie, "Cache-Control": "no-store" }).end()
  })

/**
 * Pieces, as fast as they are taken; between two of them others get their turn.
 *
 * @category answers
 * @since 0.5.0
 */
export const stream = <E>(
  request: Request,
  response: Response,
  head: Readonly<Record<string, string>>,
  pieces: Stream.Stream<string | Uint8Array, E>
): Effect.Effect<void, E> =>
  Effect.gen(function*() {
    response.writeHead(200, { "Cache-Control": "no-store", ...head })
    if (request.method !== "HEAD") {
      yield* Stream.runForEach(pieces, (piece) => Effect.andThen(write(response, piece), Effect.yieldNow))
    }
    yield* Effect.sync(() => response.end())
  })

/**
 * Writes a piece, and waits while the reader is behind.
 *
 * @category answers
 * @since 0.5.0
 */
export const write = (response: Response, piece: string | Uint8Array): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (response.write(piece)) {
      resume(Effect.void)
      return
    }
    const done = (): void => resume(Effect.void)
    response.once("drain", done)
    return Effect.sync(() => response.off("drain", done))
  })

/**
 * The header that names a file to keep, whatever characters its name has.
 *
 * @category answers
 * @since 0.5.0
 */
export const attachment = (name: string): string =>
  `attachment; filename="${name.replaceAll(/[^\w.-]/g, "_")}"; filename*=UTF-8''${
    encodeURIComponent(name.toWellFormed()).replaceAll(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
  }`
