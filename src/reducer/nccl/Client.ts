/**
 * A rank's bridge, as the rank sees it: a process that is started, asked, and ended.
 *
 * It may hang or die at any time. Whoever asks it says how long; what is under way when it dies fails, and says what it died
 * of. It is in a process group of its own, since what a terminal tells the job is not for it, and it ends with its rank.
 *
 * @since 0.4.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import { Duplex } from "node:stream"
import { fileURLToPath } from "node:url"
import type { Opening } from "./Engine.ts"
import * as Handle from "./Handle.ts"
import * as Messages from "./Messages.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A bridge that has come up. What it is asked for is described in {@link Engine}.
 *
 * @category models
 * @since 0.4.0
 */
export interface Bridge {
  readonly description: string
  /** Why it can bring nothing from rank to rank; undefined: it can. */
  readonly carries: string | undefined
  readonly uniqueId: Effect.Effect<Uint8Array, BridgeError>
  readonly join: (rank: number, worldSize: number, id: Uint8Array) => Effect.Effect<void, BridgeError>
  readonly send: (bytes: Uint8Array) => Effect.Effect<void, BridgeError>
  readonly receive: (sizes: ReadonlyArray<number>) => Effect.Effect<Uint8Array, BridgeError>
  readonly read: (handle: Handle.Handle) => Effect.Effect<Float64Array, BridgeError>
  readonly leave: Effect.Effect<void, BridgeError>
  /** Waits until it is gone, and says what of. */
  readonly gone: Effect.Effect<string>
  readonly isGone: () => boolean
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Starts a bridge, which ends with the scope. It fails where the bridge cannot do anything here, and says why. Libraries are
 * found by what the shell says: the environment is this process's.
 *
 * @category constructors
 * @since 0.4.0
 */
export const start = (
  opening: Opening,
  environment: NodeJS.ProcessEnv = process.env
): Effect.Effect<Bridge, BridgeError, Scope.Scope> =>
  Effect.gen(function*() {
    const gone = yield* Deferred.make<string>()
    const { child, pipe } = yield* Effect.acquireRelease(run(environment), stop)
    const reader = Messages.reader()
    const pending = new Map<number, (answer: Effect.Effect<Uint8Array, BridgeError>) => void>()
    let asked = 0
    let died: string | undefined

    const end = (reason: string): void => {
      if (died !== undefined) return
      died = reason
      pipe?.destroy()
      Deferred.doneUnsafe(gone, Effect.succeed(reason))
      for (const resume of pending.values()) resume(failed(reason))
      pending.clear()
    }
    child.on("error", (error) => end(`could not be started: ${error.message}`))
    child.on("exit", (code, signal) => end(`has ended (${signal ?? `exit code ${code}`})`))
    pipe?.on("error", () => {})
    pipe?.on("data", (chunk: Uint8Array) => {
      try {
        for (const { id, payload, type } of reader.push(chunk)) {
          const resume = pending.get(id)
          pending.delete(id)
          resume?.(
            type === "done" ? Effect.succeed(payload) : Effect.fail(new BridgeError(Messages.failureOf(payload)))
          )
        }
      } catch (error) {
        end(`makes no sense: ${error instanceof Error ? error.message : String(error)}`)
      }
    })

    const ask = (type: Messages.Type, payload?: Uint8Array): Effect.Effect<Uint8Array, BridgeError> =>
      Effect.callback((resume) => {
        if (died !== undefined || pipe === undefined) return resume(failed(died ?? "has no pipe"))
        const id = asked = (asked + 1) % 2 ** 32
        pending.set(id, resume)
        pipe.write(Messages.encode(type, id, payload))
        return Effect.sync(() => void pending.delete(id))
      })

    const opened = yield* ask("open", Messages.json(opening)).pipe(
      Effect.timeoutOrElse({
        duration: openMillis,
        orElse: () => failed(`has not answered for ${openMillis / 1000} s`)
      })
    )
    const { carries, description } = Messages.objectOf(opened) ?? {}
    return {
      description: typeof description === "string" ? description : "",
      carries: typeof carries === "string" ? carries : undefined,
      uniqueId: ask("id"),
      join: (rank, worldSize, id) => Effect.asVoid(ask("join", Messages.joining(rank, worldSize, id))),
      send: (bytes) => Effect.asVoid(ask("send", bytes)),
      receive: (sizes) => ask("receive", Messages.words(sizes)),
      read: (handle) =>
        Effect.map(ask("read", Messages.json(Handle.encode(handle))), ({ buffer }) => new Float64Array(buffer)),
      leave: Effect.asVoid(ask("leave")),
      gone: Deferred.await(gone),
      isGone: () => died !== undefined
    }
  })

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** A driver that wakes all GPUs of a node takes its time. */
const openMillis = 60_000
/** So long it gets to clean up. */
const closeMillis = 1000

interface Process {
  readonly child: ChildProcess
  readonly pipe: Duplex | undefined
}

const run = (environment: NodeJS.ProcessEnv) =>
  Effect.sync((): Process => {
    const child = spawn(process.execPath, [program(), "nccl-bridge"], {
      // Standard output is the job's; libraries say what they have to say (NCCL_DEBUG) on standard error.
      stdio: ["ignore", 2, 2, "pipe"],
      detached: true,
      env: environment
    })
    child.unref()
    const pipe = child.stdio[3]
    if (!(pipe instanceof Duplex)) return { child, pipe: undefined }
    if ("unref" in pipe && typeof pipe.unref === "function") pipe.unref()
    return { child, pipe }
  })

const stop = ({ child, pipe }: Process): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    pipe?.destroy()
  }).pipe(
    Effect.timeoutOrElse({ duration: closeMillis, orElse: () => Effect.sync(() => void child.kill("SIGKILL")) })
  )

/** The command line: of the bundle, of the library beside it, or of the sources. */
const program = (): string => {
  const places = ["./main.js", "../../cli/main.js", "../../cli/bin.ts"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url))
  )
  return places.find((path) => Fs.existsSync(path)) ?? places[0]!
}

const failed = (reason: string): Effect.Effect<never, BridgeError> =>
  Effect.fail(new BridgeError({ kind: "failed", reason: `its bridge ${reason}` }))

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * Why a bridge could not do something.
 *
 * @category errors
 * @since 0.4.0
 */
export class BridgeError extends Schema.TaggedError<BridgeError>()("BridgeError", {
  kind: Schema.Literals(["missing", "refused", "failed"]),
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}
