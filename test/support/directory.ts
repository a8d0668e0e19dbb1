/** Temporary directories that go when their scope does. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

export const temporary: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "ezpz-stream-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

/** Every file below a directory with its bytes; links by where they point. */
export const snapshot = (root: string): ReadonlyMap<string, string> =>
  new Map(
    Fs.readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => Path.join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [
        Path.relative(root, path),
        Fs.lstatSync(path).isSymbolicLink() ? Fs.readlinkSync(path) : Fs.readFileSync(path).toString("base64")
      ])
  )

/** The lines of a JSONL file, parsed. */
export const readLines = (path: string): ReadonlyArray<Record<string, unknown>> =>
  Fs.readFileSync(path, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
