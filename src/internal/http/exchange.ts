/**
 * One request and its answer, across redirects.
 *
 * - The client's headers go to its own origin alone, wherever an address points or a server redirects to.
 * - A redirect is followed where the request stays what it is: a GET, or one that says so (307, 308). What would turn
 *   data into a GET is handed back: the page to log in that is answered then must not look like an acknowledgement.
 *   From https to http none is followed.
 * - Memory is bounded: of a failure's page the beginning is read, and an answer may have 64 MiB.
 */
import * as Fs from "node:fs"
import type { Dispatcher } from "undici"
import * as Secrets from "../../Secrets.ts"

const mostBytes = 64 * 1024 * 1024
const mostErrorBytes = 64 * 1024
const mostRedirects = 3

/**
 * What is asked. `url` is absolute, or a path that is appended to the client's base. Of `json`, `body` and `file` at
 * most one is given; a file is sent as it is read, with the length it has when that begins. `timeoutMillis` is for the
 * whole exchange (25 s).
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
  /** The client's headers stay here, even if this is its own host (addresses that are signed). */
  readonly foreign?: boolean
}

export interface Response {
  readonly status: number
  readonly headers: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
  readonly text: string
  /** The text as JSON; undefined if it is none. */
  readonly json: unknown
}

export interface Exchange {
  readonly url: string
  readonly request: Request
  /** Of the client, for its origin. */
  readonly headers: { readonly [name: string]: string }
  readonly origin: string | undefined
  readonly agentFor: (url: URL) => Dispatcher
  readonly signal: AbortSignal
}

/** `torn`: there is more of the text than was read. */
export interface Answer extends Response {
  readonly torn: boolean
  readonly redirect: string | undefined
}

export const send = async ({ agentFor, headers, origin, request, signal, ...exchange }: Exchange): Promise<Answer> => {
  let url = new URL(exchange.url)
  let client = request.foreign === true || url.origin !== origin ? {} : headers
  let own = lowerCase(request.headers)
  for (let redirects = 0;; redirects++) {
    const answer = await once(agentFor(url), url, request, { ...client, ...own }, signal)
    const next = answer.redirect === undefined ? null : URL.parse(answer.redirect, url.href)
    const follow = next !== null && redirects < mostRedirects &&
      (request.method === "GET" || answer.status === 307 || answer.status === 308) &&
      !(url.protocol === "https:" && next.protocol === "http:")
    if (!follow) return next === null ? answer : { ...answer, redirect: next.href }
    if (next.origin !== url.origin) {
      client = {}
      own = Object.fromEntries(Object.entries(own).filter(([name]) => !Secrets.isCredential(name)))
    }
    url = next
  }
}

const once = async (
  dispatcher: Dispatcher,
  url: URL,
  request: Request,
  headers: { readonly [name: string]: string },
  signal: AbortSignal
): Promise<Answer> => {
  const file = request.file === undefined ? undefined : await openFile(request.file)
  try {
    const answer = await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: request.method,
      headers: {
        "user-agent": "ezpz-stream",
        accept: "application/json",
        ...(request.json === undefined ? {} : { "content-type": "application/json" }),
        ...(file === undefined ? {} : { "content-length": String(file.size) }),
        ...headers
      },
      body: request.json === undefined ? request.body ?? file?.stream ?? null : JSON.stringify(request.json),
      signal
    })
    const { headers: received, statusCode: status } = answer
    const ok = status >= 200 && status < 300
    const { text, torn } = await read(answer.body, ok ? mostBytes : mostErrorBytes)
    if (ok && torn) throw failure("answer too long", `more than ${mostBytes / 1024 / 1024} MiB`)
    const location = [received["location"] ?? []].flat()[0]
    return {
      status,
      headers: received,
      text,
      torn,
      json: parse(text),
      redirect: [301, 302, 303, 307, 308].includes(status) ? location : undefined
    }
  } finally {
    file?.stream?.destroy()
    await file?.handle.close()
  }
}

/** Of a file that grows meanwhile, what there is now. */
const openFile = async (path: string): Promise<{
  readonly handle: Fs.promises.FileHandle
  readonly size: number
  readonly stream: Fs.ReadStream | undefined
}> => {
  // Not opened, whatever else it is: a pipe would wait for somebody to write into it.
  if (!(await Fs.promises.stat(path)).isFile()) throw failure("not a file", path)
  const handle = await Fs.promises.open(path, "r")
  try {
    const { size } = await handle.stat()
    const stream = size === 0 ? undefined : handle.createReadStream({ autoClose: false, start: 0, end: size - 1 })
    // A server that answers early closes what is still being read; the failure is the request's to tell.
    stream?.on("error", () => {})
    return { handle, size, stream }
  } catch (error) {
    await handle.close()
    throw error
  }
}

const read = async (
  body: AsyncIterable<Uint8Array>,
  most: number
): Promise<{ readonly text: string; readonly torn: boolean }> => {
  const chunks: Array<Uint8Array> = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(size + chunk.length > most ? chunk.subarray(0, most - size) : chunk)
    size += chunk.length
    // Leaving closes the connection.
    if (size > most) break
  }
  return { text: new TextDecoder().decode(Buffer.concat(chunks)), torn: size > most }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const lowerCase = (headers: { readonly [name: string]: string } = {}): { readonly [name: string]: string } =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

/** A failure of a kind, until it becomes an HttpError. */
export const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code })
