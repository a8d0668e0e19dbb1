/** `ezpz-stream [FILE | -]`: tracks JSON lines. */
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import { isatty } from "node:tty"
import { usage } from "./Exit.ts"
import * as Input from "./Input.ts"
import type { TrackOptions } from "./options.ts"
import { track, untilSignal } from "./tracking.ts"

export const handler = (file: string | undefined, options: TrackOptions & { readonly follow: boolean }) =>
  Effect.gen(function*() {
    const fromStdin = file === undefined || file === "-"
    if (fromStdin && options.follow) return yield* usage("--follow needs a file: ezpz-stream --follow FILE")
    if (file === undefined && isatty(0)) {
      return yield* usage("There is nothing to track. Pipe JSON lines in, or name a file: ezpz-stream --help")
    }
    const input = fromStdin ? yield* Input.stdin : yield* Input.file(file, options.follow)
    return yield* track(options, {
      project: Path.basename(process.cwd()) || "run",
      open: (signalled) =>
        Effect.succeed({
          input: untilSignal(input, signalled),
          ending: Effect.succeed({ state: "finished", code: 0 })
        })
    })
  })
