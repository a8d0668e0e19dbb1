/**
 * Handing an entry of the outbox to a backend.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import type { Backend, BackendError, Table } from "../Backend.ts"
import type { Entry } from "../Outbox.ts"
import * as TableFile from "./TableFile.ts"

/** What an entry is called in messages. */
export const operationOf = ({ kind }: Entry): string =>
  ({
    system: "logSystem",
    image: "logImage",
    table: "logTable",
    history: "logTable",
    artifacts: "logArtifacts",
    summary: "logSummary"
  })[kind]

/** Paths are relative to the run's directory, which may have moved since. */
export const give = (
  backend: Backend,
  entry: Entry,
  directory: string,
  history: Effect.Effect<Table, BackendError>
): Effect.Effect<void, BackendError> => {
  const at = (path: string): string => Path.resolve(directory, path)
  switch (entry.kind) {
    case "system":
      return backend.logSystem([entry])
    case "image": {
      const { caption, step } = entry
      return backend.logImage(entry.name, at(entry.path), {
        ...(caption === undefined ? {} : { caption }),
        ...(step === undefined ? {} : { step })
      })
    }
    case "table":
      return Effect.flatMap(
        TableFile.read(backend.name, at(entry.path)),
        (table) => backend.logTable(entry.name, table)
      )
    case "history":
      return Effect.flatMap(history, (table) => backend.logTable(entry.name, table))
    case "artifacts":
      return backend.logArtifacts(entry.paths.map(at))
    case "summary":
      return backend.logSummary(entry.values)
  }
}
