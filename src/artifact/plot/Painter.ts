/**
 * Who draws: this process, or worker threads beside it where there is enough to draw to pay for starting them.
 *
 * A worker that cannot start or dies is no reason to lose a picture: what it was drawing, and all it would have drawn,
 * is drawn here.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import type { Figure } from "./Figure.ts"
import { type Picture, render } from "./Render.ts"
import type { Answer } from "./worker.ts"

/**
 * Draws one figure at a time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Painter {
  readonly paint: (figure: Figure) => Effect.Effect<Picture, PaintError>
}

/** A worker needs about 0.3 s and 60 MB to start; so many pictures are worth that. */
const worthWorker = 8
const maxWorkers = 4

/** A picture is small: this keeps a worker from taking what it does not need. */
const memory = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 128 }

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Draws in this process.
 *
 * @category constructors
 * @since 0.1.0
 */
export const here: Painter = {
  paint: (figure) => Effect.tryPromise({ try: () => render(figure), catch: (cause) => new PaintError({ cause }) })
}

/**
 * As many painters as are worth their start for so many pictures; the threads end with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const forPictures = (pictures: number): Effect.Effect<ReadonlyArray<Painter>, never, Scope.Scope> => {
  const program = findProgram()
  const workers = Math.min(maxWorkers, availableParallelism(), Math.ceil(pictures / worthWorker))
  return pictures <= worthWorker || program === undefined
    ? Effect.succeed([here])
    : Effect.all(Array.from({ length: workers }, () => fromWorker(program)))
}

/**
 * Draws in a worker thread that runs `program`, which ends with the scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromWorker = (program: URL): Effect.Effect<Painter, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => start(program)),
      (thread) =>
        Effect.promise(async () => {
          await thread.worker?.terminate()
        })
    ),
    (thread): Painter => ({
      paint: (figure) =>
        Effect.callback<Picture, PaintError>((resume) => {
          const { alive, worker } = thread
          if (!alive || worker === undefined) return resume(here.paint(figure))
          thread.answer = (answer) => {
            thread.answer = undefined
            if (answer === undefined) resume(here.paint(figure))
            else if ("picture" in answer) resume(Effect.succeed(answer.picture))
            else resume(Effect.fail(new PaintError({ cause: answer.failure })))
          }
          worker.postMessage(figure)
          return Effect.sync(() => {
            thread.answer = undefined
          })
        })
    })
  )

/** A worker, whether it can draw, and who waits for its next answer (undefined: there will be none). */
interface Thread {
  alive: boolean
  worker: Worker | undefined
  answer: ((answer: Answer | undefined) => void) | undefined
}

const start = (program: URL): Thread => {
  const thread: Thread = { alive: false, worker: undefined, answer: undefined }
  const dead = (): void => {
    thread.alive = false
    thread.answer?.(undefined)
  }
  try {
    thread.worker = new Worker(program, { resourceLimits: memory })
  } catch {
    return thread
  }
  thread.alive = true
  thread.worker.on("message", (answer: Answer) => thread.answer?.(answer))
  thread.worker.on("messageerror", dead)
  thread.worker.on("error", dead)
  thread.worker.on("exit", dead)
  return thread
}

/**
 * The worker's program stands beside this module in the sources and in the built tree, and below `artifact/` where this
 * module was bundled into an entry at the top.
 */
const findProgram = (): URL | undefined => {
  const name = import.meta.url.endsWith(".ts") ? "worker.ts" : "worker.js"
  return ["./", "./plot/", "./artifact/plot/", "../artifact/plot/"]
    .map((folder) => new URL(folder + name, import.meta.url))
    .find((program) => existsSync(program))
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * A picture could not be drawn.
 *
 * @category errors
 * @since 0.1.0
 */
export class PaintError extends Schema.TaggedError<PaintError>()("PaintError", { cause: Schema.Defect() }) {
  override get message(): string {
    return this.cause instanceof Error ? this.cause.message : String(this.cause)
  }
}
