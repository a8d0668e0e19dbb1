/**
 * Metrics that are in a GPU's memory, read by a process beside this one: the training does not wait for its device to be
 * done, as it would for a number of its own (PyTorch's `.item()`).
 *
 * A job says where its values are, and what has to have happened on the device before they are there: as a line of JSON
 * (examples/ezpz_cuda.py makes them), or as a {@link Handle}. A CUDA driver is needed, and koffi.
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Metrics } from "./metrics/Model.ts"
import { numberText } from "./metrics/Text.ts"
import * as Rank from "./Rank.ts"
import { type Bridge, BridgeError } from "./reducer/nccl/Client.ts"
import * as HandleCodec from "./reducer/nccl/Handle.ts"
import { share } from "./reducer/nccl/Shared.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Where values are: an interprocess handle of the allocation, where in it they begin, in bytes, what they are, and what
 * they are called. `event`: an interprocess event behind the work that writes them. `check`: a float64 that has this value
 * as long as they have not been written again. `device`: which of the visible GPUs; else that of the local rank.
 *
 * @category models
 * @since 0.4.0
 */
export type Handle = HandleCodec.Handle

/**
 * Why values could not be read.
 *
 * @category errors
 * @since 0.4.0
 */
export type ReadError = BridgeError

/**
 * Reads values. `read` gives them by their keys. `resolve` gives a line of JSON with values where `$cuda` was; other lines
 * as they are.
 *
 * @category models
 * @since 0.4.0
 */
export interface Reader {
  readonly read: (handle: Handle) => Effect.Effect<Metrics, ReadError>
  readonly resolve: (line: string) => Effect.Effect<string, ReadError>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** How long values are waited for; the bridge waits for their event for less. */
const readMillis = 40_000
/** How often a bridge is started that has died. */
const mostLives = 3

/**
 * A reader for the rank that the environment says. Its process is started when something is to be read, and ends with the
 * scope; where it cannot be, each reading fails with the reason.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (environment: Rank.Environment = process.env): Effect.Effect<Reader, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const { localRank, rank } = Rank.fromEnvironment(environment)
    const start = share({ rank, localRank }, "read").pipe(Effect.provideService(Scope.Scope, scope))
    let lives = 0
    let starting = yield* Effect.cached(start)
    let last: Bridge | undefined

    const bridge: Effect.Effect<Bridge, BridgeError> = Effect.gen(function*() {
      if (lives === 0) lives = 1
      else if (last?.isGone() === true && lives < mostLives) {
        lives++
        last = undefined
        starting = yield* Effect.cached(start)
      }
      return last = yield* starting
    })
    const values = (handle: Handle): Effect.Effect<Float64Array, BridgeError> =>
      Effect.flatMap(bridge, (known) => known.read(handle)).pipe(
        Effect.timeoutOrElse({
          duration: readMillis,
          orElse: () => Effect.fail(new BridgeError({ kind: "failed", reason: "its bridge does not answer" }))
        }),
        Effect.mapError(({ kind, reason }) => new BridgeError({ kind, reason: explained(kind, reason) }))
      )

    return {
      read: (handle) =>
        Effect.map(
          values(handle),
          (numbers) => Object.fromEntries(handle.keys.map((key, i) => [key, numbers[i] ?? NaN]))
        ),
      resolve: (line) => {
        const found = find(line)
        if (found === undefined) return Effect.succeed(line)
        const handle = HandleCodec.decode(found.value)
        if (HandleCodec.isRefused(handle)) {
          return Effect.fail(new BridgeError({ kind: "refused", reason: handle.reason }))
        }
        return Effect.map(values(handle), (numbers) => {
          const members = handle.keys.map((key, i) => `${JSON.stringify(key)}:${numberText(numbers[i] ?? NaN)}`)
          return `${line.slice(0, found.from)}${members.join(",")}${line.slice(found.to)}`
        })
      }
    }
  })

/**
 * What would read from a device here, and whether values of several ranks can go over NCCL; or why not, and where what is
 * missing was looked for. For a person to read.
 *
 * @category describing
 * @since 0.4.0
 */
export const describe = (environment: Rank.Environment = process.env): Effect.Effect<string> =>
  Effect.flatMap(Effect.promise(() => import("./reducer/nccl/Nccl.ts")), (nccl) => nccl.describe(environment))

/**
 * Whether a text may be a line that {@link Reader} has to resolve. Cheap.
 *
 * @category guards
 * @since 0.4.0
 */
export const mayBe = (text: string): boolean => text.includes(marker)

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const marker = "\"$cuda\""

const explained = (kind: BridgeError["kind"], reason: string): string =>
  kind === "refused" ? reason : `$cuda cannot be read: ${reason}`

/** The member `$cuda` of a line: from its name to the end of its value, which is an object. */
const find = (line: string): { readonly from: number; readonly to: number; readonly value: unknown } | undefined => {
  const match = /"\$cuda"\s*:\s*(?=\{)/.exec(line)
  if (match === null) return undefined
  const start = match.index + match[0].length
  let depth = 0
  let inText = false
  for (let i = start; i < line.length; i++) {
    const char = line[i]
    if (inText) {
      if (char === "\\") i++
      else if (char === "\"") inText = false
    } else if (char === "\"") inText = true
    else if (char === "{") depth++
    else if (char === "}" && --depth === 0) {
      try {
        const value: unknown = JSON.parse(line.slice(start, i + 1))
        return { from: match.index, to: i + 1, value }
      } catch {
        return undefined
      }
    }
  }
  return undefined
}
