/**
 * Files that are whole or not there: written beside their place and renamed into it.
 */
import * as Effect from "effect/Effect"
import { rename, rm, writeFile as writeAt } from "node:fs/promises"
import { dirname } from "node:path"
import { makeDirectory } from "../internal/makeDirectory.ts"
import { ArtifactError } from "./ArtifactError.ts"

/** Makes the folder if need be. Not interrupted half way: the files are small, and nothing is left beside them. */
export const writeFile = (
  artifact: string,
  path: string,
  content: string | Uint8Array
): Effect.Effect<void, ArtifactError> =>
  Effect.uninterruptible(Effect.tryPromise({
    try: async () => {
      const beside = `${path}.tmp`
      makeDirectory(dirname(path))
      try {
        await writeAt(beside, content)
        await rename(beside, path)
      } catch (cause) {
        await rm(beside, { force: true })
        throw cause
      }
    },
    catch: (cause) => new ArtifactError({ artifact, path, cause })
  }))
