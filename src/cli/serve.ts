/** `ezpz-stream serve [ROOT]`: a page with the runs below a directory. */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Guard from "../serve/Guard.ts"
import * as Server from "../serve/Server.ts"
import { failure, usage } from "./Exit.ts"
import type { ServeOptions } from "./options.ts"
import { Screen } from "./Screen.ts"

/** Where it listens if nobody says where, or the next one that is free. */
const firstPort = 6226
const tries = 20

export const handler = (given: string | undefined, { host, port, token }: ServeOptions) =>
  Effect.gen(function*() {
    const screen = yield* Screen
    const root = yield* rootOf(given)
    const needed = token || !Guard.isLoopback(host)
    const secret = needed ? process.env["EZPZ_SERVE_TOKEN"] || Guard.randomToken() : undefined
    if (secret !== undefined && !/^[\w.~-]{16,256}$/.test(secret)) {
      return yield* usage("EZPZ_SERVE_TOKEN has to be 16 to 256 letters, digits and -._~")
    }
    const listening = yield* listen({ root, host, token: secret }, port)
    yield* screen.out(`${listening.address}\n`)
    yield* screen.error(
      `Runs below ${root}. ${
        Guard.isLoopback(host)
          ? needed
            ? "Only this machine can reach it, and only with that address."
            : "Only this machine can reach it."
          : "Whoever has that address can look at them; it is not encrypted."
      } Ctrl+C ends it.\n`
    )
    return yield* Effect.never
  }).pipe(Effect.mapError((error) => error._tag === "ExitWith" ? error : failure(error.message)))

const listen = (
  options: Omit<Server.Options, "port">,
  port: number | undefined
): ReturnType<typeof Server.listen> => {
  if (port !== undefined) return Server.listen({ ...options, port })
  const next = (nth: number): ReturnType<typeof Server.listen> =>
    Effect.matchEffect(Server.listen({ ...options, port: nth < tries ? firstPort + nth : 0 }), {
      onFailure: (error) => nth < tries && error.inUse ? next(nth + 1) : Effect.fail(error),
      onSuccess: Effect.succeed
    })
  return next(0)
}

/** A directory of runs, one run, or its log. */
const rootOf = (given: string | undefined) =>
  Effect.suspend(() => {
    const path = given ?? (Fs.existsSync("outputs") ? "outputs" : ".")
    const stat = Fs.statSync(path, { throwIfNoEntry: false })
    if (stat?.isDirectory() === true) return Effect.succeed(Path.resolve(path))
    if (stat?.isFile() === true && path.endsWith(".jsonl")) return Effect.succeed(Path.dirname(Path.resolve(path)))
    return Effect.fail(usage(stat === undefined ? `There is no ${path}.` : `${path} is not a directory of runs.`))
  })
