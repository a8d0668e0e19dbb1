/**
 * What happened to a run, for machines: JSON lines of its own messages, one file per process.
 *
 * The file is `logs/<timestamp>-rank<n>.jsonl` in the run's directory, with a link to it beside the outputs. Messages are
 * few (a start, warnings, the end); one that cannot be written is not worth disturbing a run for.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeDirectory } from "./internal/makeDirectory.ts"
import type { Environment } from "./Rank.ts"
import * as Secrets from "./Secrets.ts"

/**
 * A process's structured log. `within` runs an effect whose messages are written here, too; `move` follows the run to
 * another directory; `path` is where the link is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Journal {
  readonly path: () => string
  readonly write: (message: string, fields?: { readonly [name: string]: unknown }) => Effect.Effect<void>
  readonly within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly move: (directory: string) => Effect.Effect<void>
}

/**
 * Opens the log of this process in a run's directory. The file appears with its first message; credentials of the
 * environment are masked in it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  directory: string,
  rank: number,
  environment: Environment
): Effect.Effect<Journal> =>
  Effect.clockWith((clock) =>
    Effect.sync(() => {
      const iso = new Date(clock.currentTimeMillisUnsafe()).toISOString()
      const name = `${iso.slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-")}-rank${rank}.jsonl`
      let root = directory
      const mask = Secrets.masker(environment)

      const append = (line: string): void => {
        try {
          makeDirectory(Path.join(root, "logs"))
          Fs.appendFileSync(Path.join(root, "logs", name), `${mask(line)}\n`)
          link(root, name)
        } catch {
          // The run's own log is what counts.
        }
      }
      const logger = Logger.map(Logger.formatJson, append)

      return {
        path: () => Path.join(root, name),
        write: (message, fields = {}) =>
          Effect.clockWith((now) =>
            Effect.sync(() => {
              const timestamp = new Date(now.currentTimeMillisUnsafe()).toISOString()
              append(JSON.stringify({ message, level: "INFO", timestamp, ...fields }))
            })
          ),
        within: (effect) =>
          Effect.flatMap(
            Effect.service(Logger.CurrentLoggers),
            (loggers) => Effect.provideService(effect, Logger.CurrentLoggers, new Set([...loggers, logger]))
          ),
        move: (to) =>
          Effect.sync(() => {
            const from = Path.join(root, "logs", name)
            const previous = root
            root = to
            try {
              makeDirectory(Path.join(to, "logs"))
              Fs.copyFileSync(from, Path.join(to, "logs", name))
              link(to, name)
              Fs.rmSync(from)
              Fs.rmSync(Path.join(previous, name), { force: true })
              Fs.rmdirSync(Path.join(previous, "logs"))
              Fs.rmdirSync(previous)
            } catch {
              // Other files stay where they are.
            }
          })
      }
    })
  )

const link = (root: string, name: string): void => {
  const path = Path.join(root, name)
  if (Fs.lstatSync(path, { throwIfNoEntry: false }) === undefined) Fs.symlinkSync(Path.join("logs", name), path)
}
