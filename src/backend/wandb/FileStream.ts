/**
 * W&B's file_stream: the lines of a run's history and events, and its summary.
 *
 *     POST /files/{entity}/{project}/{run}/file_stream
 *     {"files":{"wandb-history.jsonl":{"offset":n,"content":["{...}",...]},
 *               "wandb-summary.json":{"offset":0,"content":["{...}"]}},
 *      "uploaded":["media/..."],"complete":true,"exitcode":0}
 *
 * `offset` counts lines from 0, and lines take the place of those that stand there: the same lines may be sent any number
 * of times. A body without anything says that the run is alive. Bodies stay under 8 MiB, since proxies and the server
 * refuse large ones; a line that alone is larger goes alone.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type { BackendError } from "../../Backend.ts"
import * as Http from "../../internal/http.ts"
import * as GraphQl from "./GraphQl.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Some lines of a file, already as JSON strings, and where the first one stands.
 *
 * @category models
 * @since 0.2.0
 */
export interface Chunk {
  readonly offset: number
  readonly content: ReadonlyArray<string>
}

/**
 * One message to the stream; `summary` is a JSON object's text.
 *
 * @category models
 * @since 0.2.0
 */
export interface Message {
  readonly history?: Chunk
  readonly events?: Chunk
  readonly summary?: string
  readonly uploaded?: ReadonlyArray<string>
  readonly exitCode?: number
}

/**
 * How many bytes of lines go into one body.
 *
 * @category models
 * @since 0.2.0
 */
export const mostBytes = 8 * 1024 * 1024 - 256 * 1024

// -----------------------------------------------------------------------------
// Sending
// -----------------------------------------------------------------------------

/**
 * Sends to a run's stream.
 *
 * @category sending
 * @since 0.2.0
 */
export const post = (
  { client, mask }: GraphQl.Api,
  run: Pick<GraphQl.Run, "entity" | "name" | "project">,
  operation: string,
  message: Message,
  timeoutMillis?: number
): Effect.Effect<void, BackendError> =>
  client.request({
    method: "POST",
    url: `/files/${[run.entity, run.project, run.name].map(encodeURIComponent).join("/")}/file_stream`,
    headers: { "content-type": "application/json" },
    body: encode(message),
    ...(timeoutMillis === undefined ? {} : { timeoutMillis })
  }).pipe(
    Effect.mapError(Http.backendError("wandb", operation)),
    // Lines count as delivered only where it is W&B that says so, not the login page of a network.
    Effect.flatMap(({ json, text }) =>
      typeof json !== "object" || json === null
        ? Effect.fail(GraphQl.unexpected(operation, "no JSON"))
        : isSet(json, "error") || isSet(json, "errors")
        ? Effect.fail(GraphQl.refused(operation, mask(text)))
        : Effect.void
    )
  )

const isSet = (json: object, name: string): boolean => (Reflect.get(json, name) ?? undefined) !== undefined

/**
 * The body of a message.
 *
 * @category encoding
 * @since 0.2.0
 */
export const encode = ({ events, exitCode, history, summary, uploaded }: Message): string => {
  const files: Array<string> = []
  if (history !== undefined) files.push(`"wandb-history.jsonl":${chunk(history)}`)
  if (events !== undefined) files.push(`"wandb-events.jsonl":${chunk(events)}`)
  if (summary !== undefined) {
    files.push(`"wandb-summary.json":${chunk({ offset: 0, content: [JSON.stringify(summary)] })}`)
  }
  const parts: Array<string> = []
  if (files.length > 0) parts.push(`"files":{${files.join(",")}}`)
  if (uploaded !== undefined && uploaded.length > 0) parts.push(`"uploaded":${JSON.stringify(uploaded)}`)
  if (exitCode !== undefined) parts.push(`"complete":true,"exitcode":${exitCode}`)
  return `{${parts.join(",")}}`
}

const chunk = ({ content, offset }: Chunk): string => `{"offset":${offset},"content":[${content.join(",")}]}`
