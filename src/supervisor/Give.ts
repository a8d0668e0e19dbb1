/**
 * Handing an entry of the outbox to a backend.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Backend, BackendError } from "../Backend.ts"
import * as Outbox from "../Outbox.ts"
import type { Options } from "./Options.ts"
import * as TableFile from "./TableFile.ts"

/** What an entry is called in messages. */
export const operationOf = ({ kind }: Outbox.Entry): string =>
  ({
    system: "logSystem",
    image: "logImage",
    table: "logTable",
    history: "logTable",
    artifacts: "logArtifacts",
    summary: "logSummary"
  })[kind]

/** The run's directory may have moved since. */
export const give = (
  backend: Backend,
  entry: Outbox.Entry,
  { directory, history, outbox }: Options
): Effect.Effect<void, BackendError> => {
  const at = ({ kept, path }: Outbox.File): string =>
    Path.resolve(kept === true ? Outbox.folder(outbox()) : directory(), path)
  switch (entry.kind) {
    case "system":
      return backend.logSystem([entry])
    case "image": {
      const { caption, step } = entry
      return backend.logImage(entry.name, at(entry), {
        ...(caption === undefined ? {} : { caption }),
        ...(step === undefined ? {} : { step })
      })
    }
    case "table":
      return Effect.flatMap(
        TableFile.read(backend.name, at(entry)),
        (table) => backend.logTable(entry.name, table)
      )
    case "history":
      return Effect.flatMap(history, (table) => backend.logTable(entry.name, table))
    case "artifacts":
      return backend.logArtifacts(entry.paths.map((path) => {
        const here = Path.resolve(directory(), path)
        const before = Path.resolve(entry.directory ?? directory(), path)
        return Fs.existsSync(here) || !Fs.existsSync(before) ? here : before
      }))
    case "summary":
      return backend.logSummary(entry.values)
  }
}
