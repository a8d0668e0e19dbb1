/**
 * A run's artifacts, through the proxy of the tracking server: `PUT /api/2.0/mlflow-artifacts/artifacts/<path>`, with
 * the bytes as they are. What is there under that path is replaced.
 *
 * The server says where a run's artifacts are. `mlflow-artifacts:/<path>` is its own proxy, `mlflow-artifacts://host/..`
 * and `http(s)://` another server's. Everything else (`s3://`, a path of the server's disk) is for clients that write
 * there themselves, which this one does not. Credentials go to the tracking server's own host only.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { BackendError } from "../../Backend.ts"
import * as Http from "../../internal/http.ts"
import * as SystemError from "../../internal/systemError.ts"
import * as Names from "./Names.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The artifacts of one run.
 *
 * `upload` sends a file as `name`, a path below the run's artifacts. A file that was sent and is unchanged since is not
 * sent again: so a long upload that is interrupted goes on.
 *
 * @category models
 * @since 0.2.0
 */
export interface Artifacts {
  readonly upload: (operation: string, name: string, file: string) => Effect.Effect<void, BackendError>
}

/** A line slower than this is no line. */
const bytesPerMilli = 100
const leastMillis = 60_000
const proxy = "api/2.0/mlflow-artifacts/artifacts"

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The artifacts of a run that are at `uri`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (client: Http.Client, baseUrl: string, uri: string | undefined): Artifacts => {
  const root = locate(baseUrl, uri)
  const sent = new Map<string, string>()

  const upload: Artifacts["upload"] = (operation, name, file) =>
    Effect.gen(function*() {
      if (root === undefined) return yield* elsewhere(operation, uri)
      const stat = yield* Effect.try({
        try: () => Fs.statSync(file),
        catch: (cause) => gone(operation, file, cause)
      })
      const state = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}`
      const path = Names.path(name)
      if (sent.get(path) === state) return
      const response = yield* client.request({
        method: "PUT",
        url: `${root}/${path.split("/").map(encodeURIComponent).join("/")}`,
        headers: { "content-type": contentType(name) },
        timeoutMillis: leastMillis + stat.size / bytesPerMilli,
        foreign: new URL(root).hostname !== new URL(baseUrl).hostname,
        file
      }).pipe(Effect.mapError((error) =>
        !Fs.existsSync(file)
          ? gone(operation, file, error)
          : error.status === 413
          ? permanent(operation, error.kind, error.message)
          : Http.backendError("mlflow", operation)(error)
      ))
      if (String(response.headers["content-type"]).includes("html")) {
        return yield* noServer(operation, root)
      }
      sent.set(path, state)
    })

  return { upload }
}

/**
 * Where files are sent for a run whose artifacts are at `uri`; undefined where they cannot be.
 *
 * @category constructors
 * @since 0.2.0
 */
export const locate = (baseUrl: string, uri: string | undefined): string | undefined => {
  const parsed = /^(mlflow-artifacts|https?):(?:\/\/([^/]*))?\/*(.*?)\/*$/i.exec(uri ?? "")
  if (parsed === null) return undefined
  const [, scheme = "", host = "", path = ""] = parsed
  if (scheme.toLowerCase() !== "mlflow-artifacts") return host === "" ? undefined : uri?.replace(/\/+$/, "")
  const server = host === "" ? baseUrl : `${new URL(baseUrl).protocol}//${host}`
  return URL.canParse(server) ? `${server}/${proxy}/${path}` : undefined
}

/**
 * The name of a file below the run's artifacts: its path in the run's directory, or, where what was `given` is elsewhere,
 * from that on.
 *
 * @category constructors
 * @since 0.2.0
 */
export const nameOf = (directory: string, file: string, given: string): string => {
  const inside = Path.relative(directory, file)
  const relative = inside === "" || inside.split(Path.sep)[0] === ".." || Path.isAbsolute(inside)
    ? Path.relative(Path.dirname(given), file)
    : inside
  return relative.split(Path.sep).join("/")
}

/**
 * The files that a path stands for: itself, or those of a directory.
 *
 * @category constructors
 * @since 0.2.0
 */
export const files = (path: string): ReadonlyArray<string> =>
  Fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    ? Fs.readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => Path.join(entry.parentPath, entry.name))
      .sort()
    : [path]

/** Browsers show by it what they can. */
const contentType = (name: string): string => types[Path.extname(name).toLowerCase()] ?? "application/octet-stream"

const types: { readonly [extension: string]: string } = {
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".md": "text/markdown",
  ".txt": "text/plain",
  ".csv": "text/csv"
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

const permanent = (operation: string, kind: string, message: string): BackendError =>
  new BackendError({ backend: "mlflow", operation, cause: new Error(message), kind, permanent: true })

const elsewhere = (operation: string, uri: string | undefined): BackendError => {
  const scheme = /^[a-z][\w+.-]*:/i.exec(uri ?? "")?.[0]
  return permanent(
    operation,
    "no artifact proxy",
    `the server keeps this experiment's artifacts ${
      scheme === undefined ? "in a directory" : `at ${scheme}`
    }, where only ` +
      "clients that write there themselves can put files. `mlflow server --artifacts-destination ...` takes them; metrics " +
      "and params are not concerned"
  )
}

const gone = (operation: string, file: string, cause: unknown): BackendError =>
  new BackendError({
    backend: "mlflow",
    operation,
    cause: new Error(`${file}: ${SystemError.explain(cause)}`),
    permanent: !Fs.existsSync(file)
  })

const noServer = (operation: string, root: string): BackendError =>
  new BackendError({
    backend: "mlflow",
    operation,
    cause: new Error(`PUT ${root}: the answer is a page, and not what an MLflow server says`),
    kind: "no MLflow answer"
  })
