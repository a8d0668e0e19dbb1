/**
 * What is answered at which path: see Api.ts.
 *
 * @since 0.5.0
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import type * as Http from "node:http"
import * as Path from "node:path"
import * as Decimate from "../view/Decimate.ts"
import type { Live } from "../view/Live.ts"
import type { Series } from "../view/Series.ts"
import * as Smooth from "../view/Smooth.ts"
import * as Answers from "./Answers.ts"
import type * as Api from "./Api.ts"
import * as Csv from "./Csv.ts"
import * as Files from "./Files.ts"
import * as Guard from "./Guard.ts"
import { type Library, type Opened, Refusal } from "./Library.ts"
import * as Query from "./Query.ts"
import * as Reply from "./Reply.ts"

/**
 * Answers a request.
 *
 * @category models
 * @since 0.5.0
 */
export type Route = (
  query: URLSearchParams,
  request: Http.IncomingMessage,
  response: Http.ServerResponse
) => Effect.Effect<void, Refusal>

const eventMillis = 200
const heartbeatMillis = 15_000
const longestReport = 8 * 1024 * 1024
const fileChunk = 256 * 1024

/**
 * The routes, by path.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (library: Library): ReadonlyMap<string, Route> => {
  /** Reading the log again takes a core: one at a time. */
  const reading = Semaphore.makeUnsafe(1)

  /** Those of several runs that are there; refused if none is. */
  const those = (ids: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Opened>, Refusal> =>
    Effect.gen(function*() {
      const found: Array<Opened> = []
      let refusal: Refusal | undefined
      for (const id of ids) {
        const one = yield* Effect.result(library.open(id))
        if (one._tag === "Success") found.push(one.success)
        else refusal = one.failure
      }
      return found.length === 0 && refusal !== undefined ? yield* refusal : found
    })

  const runs: Route = (_, request, response) =>
    Effect.flatMap(library.list, (found) => {
      const answer: Api.Runs = Answers.runs(library.root, found)
      return Reply.json(request, response, answer, "no-cache")
    })

  const run: Route = (query, request, response) =>
    Effect.gen(function*() {
      const { id, live } = yield* library.open(yield* Query.run(query))
      const answer: Api.Run = Answers.run(id, live)
      yield* Reply.json(request, response, answer)
    })

  const series: Route = (query, request, response) =>
    Effect.gen(function*() {
      const { id, live } = yield* library.open(yield* Query.run(query))
      const wanted: Answers.Wanted = {
        keys: yield* Query.keys(query, 1),
        axis: yield* Query.axis(query),
        range: yield* Query.range(query),
        columns: Math.round(yield* Query.number(query, "width", { least: 10, most: 8192, otherwise: 800 })),
        smooth: yield* Query.number(query, "smooth", { least: 0, most: 0.9999, otherwise: 0 })
      }
      const fine = query.get("fine") === "1" ? yield* reading.withPermits(1)(details(live, wanted)) : new Map()
      const answer: Api.Series = Answers.series(id, live, wanted, fine)
      yield* Reply.json(request, response, answer)
    })

  const filter: Route = (query, request, response) =>
    Effect.gen(function*() {
      const names = new Set<string>()
      for (const { live } of yield* those(yield* Query.runs(query))) {
        for (const name of Answers.names(live)) names.add(name)
      }
      const found = Smooth.filter([...names], query.get("pattern") ?? "")
      const answer: Api.Filtered = found._tag === "Matched"
        ? { problem: null, keys: found.names }
        : { problem: found.reason, keys: [] }
      yield* Reply.json(request, response, answer)
    })

  const ranks: Route = (query, request, response) =>
    Effect.gen(function*() {
      const answer: Api.Ranks = Answers.ranks((yield* library.open(yield* Query.run(query))).live)
      yield* Reply.json(request, response, answer)
    })

  const report: Route = (query, request, response) =>
    Effect.gen(function*() {
      const { live } = yield* library.open(yield* Query.run(query))
      const answer: Api.Report = { markdown: textOf(live.directory, "report.md") }
      yield* Reply.json(request, response, answer)
    })

  const events: Route = (query, request, response) =>
    Effect.scoped(Effect.gen(function*() {
      const ids = yield* Query.runs(query)
      for (const id of ids) yield* library.hold(id)
      yield* those(ids)
      response.writeHead(200, {
        ...Guard.headers,
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no"
      })
      if (request.method === "HEAD") {
        response.end()
        return
      }
      yield* Reply.write(response, "retry: 1000\n\n")
      const told = new Map<string, Live>()
      const versions = new Map<string, number>()
      for (let quiet = 0;; quiet += eventMillis) {
        let text = ""
        // A run that was deleted may come again.
        for (const { id, live } of yield* those(ids).pipe(Effect.orElseSucceed(() => []))) {
          if (told.get(id) === live && versions.get(id) === live.version) continue
          told.set(id, live)
          versions.set(id, live.version)
          const change: Api.Change = Answers.change(id, live)
          text += `event: change\ndata: ${JSON.stringify(change)}\n\n`
        }
        if (text === "" && quiet >= heartbeatMillis) text = ": still here\n\n"
        if (text !== "") {
          quiet = 0
          yield* Reply.write(response, text)
        }
        yield* Effect.sleep(eventMillis)
      }
    }))

  const csv: Route = (query, request, response) =>
    Effect.gen(function*() {
      const { live } = yield* library.open(yield* Query.run(query))
      const keys = yield* Query.keys(query, 0)
      if (live.sampled) {
        return yield* new Refusal({ status: 503, problem: "The log is still being read: try again soon." })
      }
      const name = live.run?.runId ?? Path.basename(live.directory)
      const lines = Csv.text(live.log, Answers.columns(live, keys), live.store.worldSize > 1)
      yield* Reply.stream(request, response, {
        ...Guard.fileHeaders,
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": Reply.attachment(keys.length === 1 ? `${name}-${keys[0]}.csv` : `${name}.csv`)
      }, lines).pipe(Effect.mapError((error) => new Refusal({ status: 500, problem: error.message })))
    })

  const file: Route = (query, request, response) =>
    Effect.gen(function*() {
      const { live } = yield* library.open(yield* Query.run(query))
      const path = query.get("path") ?? ""
      const { fd, size } = yield* Effect.acquireRelease(
        Effect.suspend(() => {
          const opened = Files.open(live.directory, path)
          return opened === undefined
            ? Effect.fail(new Refusal({ status: 404, problem: "There is no such file of the run." }))
            : Effect.succeed(opened)
        }),
        ({ fd }) => Effect.sync(() => Fs.closeSync(fd))
      )
      const shown = path.endsWith(".png")
      yield* Reply.stream(request, response, {
        ...Guard.fileHeaders,
        "Content-Type": Files.typeOf(path),
        "Content-Length": String(size),
        "Content-Disposition": shown ? "inline" : Reply.attachment(Path.basename(path))
      }, pieces(fd, size))
    }).pipe(Effect.scoped)

  const soon = (route: Route): Route => (...request) => library.first(route(...request))
  return new Map([
    ["/api/runs", soon(runs)],
    ["/api/run", soon(run)],
    ["/api/series", soon(series)],
    ["/api/filter", soon(filter)],
    ["/api/ranks", ranks],
    ["/api/report", report],
    ["/api/events", events],
    ["/csv", csv],
    ["/file", file]
  ])
}

/** Series that are too coarse for a window, read again. */
const details = (live: Live, wanted: Answers.Wanted): Effect.Effect<ReadonlyMap<string, Series>> =>
  Effect.gen(function*() {
    const fine = new Map<string, Series>()
    const place = Answers.windowOf(live, wanted)
    if (place === undefined || live.sampled) return fine
    for (const one of place.all) {
      if (!Decimate.isCoarse(one.spread ?? one.values, place.window)) continue
      const found = yield* live.detail(one.key, place.window)
      if (found !== undefined) fine.set(one.key, found)
    }
    return fine
  })

/** What a file has, up to the size it had. */
const pieces = (fd: number, size: number): Stream.Stream<Uint8Array> =>
  Stream.unfold(0, (at) =>
    Effect.callback<readonly [Uint8Array, number] | undefined>((resume) => {
      const buffer = Buffer.allocUnsafe(Math.min(fileChunk, size - at))
      if (buffer.length === 0) {
        resume(Effect.undefined)
        return
      }
      Fs.read(fd, buffer, 0, buffer.length, at, (error, read) =>
        resume(
          error !== null || read === 0
            ? Effect.die(error ?? new Error("The file became shorter"))
            : Effect.succeed([buffer.subarray(0, read), at + read])
        ))
    }))

/** A file of the run as text; null where there is none, or it is too long to be read in a page. */
const textOf = (directory: string, path: string): string | null => {
  const opened = Files.open(directory, path)
  if (opened === undefined) return null
  try {
    if (opened.size > longestReport) return null
    const buffer = Buffer.alloc(opened.size)
    return buffer.toString("utf8", 0, Fs.readSync(opened.fd, buffer, 0, buffer.length, 0))
  } finally {
    Fs.closeSync(opened.fd)
  }
}
