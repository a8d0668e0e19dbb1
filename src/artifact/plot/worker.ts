/**
 * The program of a worker thread: a figure comes in, its picture goes out, or why there is none.
 *
 * @since 0.1.0
 */
import { parentPort } from "node:worker_threads"
import type { Figure } from "./Figure.ts"
import { type Picture, render } from "./Render.ts"

/**
 * What a worker answers.
 *
 * @category models
 * @since 0.1.0
 */
export type Answer = { readonly picture: Picture } | { readonly failure: string }

parentPort?.on("message", (figure: Figure) => {
  render(figure).then(
    (picture): void => parentPort?.postMessage({ picture } satisfies Answer, [picture.png.buffer as ArrayBuffer]),
    (cause: unknown): void =>
      parentPort?.postMessage({ failure: cause instanceof Error ? cause.message : String(cause) } satisfies Answer)
  )
})
