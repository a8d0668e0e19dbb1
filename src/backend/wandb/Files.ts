/**
 * Files of a run: W&B says where to put them, usually a storage service, and they are put there as they are read.
 *
 * The addresses are signed and say what is allowed: credentials of ours never go there. A file that is there already,
 * unchanged since, is not sent again, so that what was interrupted goes on where it was.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { BackendError } from "../../Backend.ts"
import * as Http from "../../internal/http.ts"
import { explain } from "../../internal/systemError.ts"
import * as GraphQl from "./GraphQl.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What is to be at a path of the run: a file on disk, or bytes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Upload {
  readonly path: string
  readonly from: string | Uint8Array
}

/**
 * Puts files into a run. Gives the paths that are there now.
 *
 * @category models
 * @since 0.2.0
 */
export interface Uploader {
  readonly put: (
    operation: string,
    uploads: ReadonlyArray<Upload>
  ) => Effect.Effect<ReadonlyArray<string>, BackendError>
}

/** How many files are asked for and sent at a time. */
const atOnce = 64
const concurrency = 4
/** For each file, and what a slow line needs for its size. */
const baseMillis = 25_000
const bytesPerMilli = 100

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * An uploader for a run.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  api: GraphQl.Api,
  baseUrl: string,
  run: Pick<GraphQl.Run, "entity" | "name" | "project">
): Uploader => {
  const there = new Map<string, string>()

  const send = (
    operation: string,
    { from, path }: Upload,
    place: GraphQl.Place,
    state: State
  ): Effect.Effect<void, BackendError> =>
    api.client.request({
      method: "PUT",
      url: place.url.startsWith("/") ? `${baseUrl.replace(/\/+$/, "")}${place.url}` : place.url,
      headers: place.headers,
      foreign: true,
      timeoutMillis: baseMillis + Math.ceil(state.size / bytesPerMilli),
      ...(typeof from === "string" ? { file: from } : { body: from })
    }).pipe(
      Effect.mapError(Http.backendError("wandb", operation)),
      Effect.andThen(Effect.sync(() => there.set(path, state.id)))
    )

  return {
    put: (operation, uploads) =>
      Effect.gen(function*() {
        const wanted = new Map(uploads.map((upload) => [upload.path, upload]))
        const found: Array<{ readonly upload: Upload; readonly state: State }> = []
        const missing: Array<string> = []
        for (const upload of wanted.values()) {
          const state = stateOf(upload.from)
          if (typeof state === "string") missing.push(state)
          else if (there.get(upload.path) !== state.id) found.push({ upload, state })
        }
        for (let from = 0; from < found.length; from += atOnce) {
          const some = found.slice(from, from + atOnce)
          const places = yield* GraphQl.createRunFiles(api, operation, run, some.map(({ upload }) => upload.path))
          const byPath = new Map(places.map((place) => [place.path, place]))
          yield* Effect.forEach(some, ({ state, upload }) => {
            const place = byPath.get(upload.path)
            return place === undefined
              ? Effect.fail(GraphQl.unexpected(operation, `no place for ${upload.path}`))
              : send(operation, upload, place, state)
          }, { concurrency, discard: true })
        }
        // The others are there. These will not be, however often it is tried.
        if (missing.length > 0) return yield* gone(operation, missing)
        return [...wanted.keys()]
      })
  }
}

/**
 * A file's path in the run: its path below the run's directory, or its name where it lies elsewhere.
 *
 * @category formatting
 * @since 0.2.0
 */
export const pathOf = (file: string, directory: string): string => {
  const relative = Path.relative(directory, file)
  return relative === "" || relative.startsWith("..") || Path.isAbsolute(relative)
    ? Path.basename(file)
    : relative.split(Path.sep).join("/")
}

/**
 * The files among paths, those in directories included.
 *
 * @category formatting
 * @since 0.2.0
 */
export const expand = (paths: ReadonlyArray<string>): ReadonlyArray<string> =>
  paths.flatMap((path) => {
    try {
      if (!Fs.statSync(path).isDirectory()) return [path]
      return Fs.readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => Path.join(entry.parentPath, entry.name))
    } catch {
      // What is wrong with it is said when it is sent.
      return [path]
    }
  })

interface State {
  readonly id: string
  readonly size: number
}

const stateOf = (from: string | Uint8Array): State | string => {
  if (typeof from !== "string") {
    return { id: createHash("sha256").update(from).digest("hex"), size: from.byteLength }
  }
  try {
    const { ino, mtimeMs, size } = Fs.statSync(from)
    return { id: `${ino}:${size}:${mtimeMs}`, size }
  } catch (cause) {
    return `${from}: ${explain(cause)}`
  }
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * Files that cannot be sent now nor later.
 *
 * @category errors
 * @since 0.2.0
 */
export const gone = (operation: string, what: ReadonlyArray<string>): BackendError =>
  new BackendError({
    backend: "wandb",
    operation,
    kind: "file",
    permanent: true,
    cause: new Error(what.slice(0, 3).join("; ") + (what.length > 3 ? `; and ${what.length - 3} more` : ""))
  })
