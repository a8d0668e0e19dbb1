/** `--config KEY=VALUE` and `--config @FILE`: hyperparameters, each JSON or text; later ones win. */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import type { Backend } from "../index.ts"
import { type ExitWith, usage } from "./Exit.ts"

export const parseConfig = (entries: ReadonlyArray<string>): Effect.Effect<Backend.Config | undefined, ExitWith> =>
  Effect.gen(function*() {
    const config: Record<string, unknown> = {}
    for (const entry of entries) {
      if (entry.startsWith("@")) {
        const path = entry.slice(1)
        const loaded: unknown = yield* Effect.try({
          try: () => JSON.parse(Fs.readFileSync(path, "utf8")),
          catch: (error) => usage(`--config @${path}: ${error instanceof Error ? error.message : String(error)}`)
        })
        if (typeof loaded !== "object" || loaded === null || Array.isArray(loaded)) {
          return yield* usage(`--config @${path}: expected a JSON object`)
        }
        Object.assign(config, loaded)
      } else {
        const equals = entry.indexOf("=")
        if (equals <= 0) return yield* usage(`--config ${entry}: expected KEY=VALUE or @FILE`)
        config[entry.slice(0, equals)] = jsonOrText(entry.slice(equals + 1))
      }
    }
    return entries.length === 0 ? undefined : config
  })

const jsonOrText = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
