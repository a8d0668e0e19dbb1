/**
 * Which commit a directory is at.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Environment } from "../../Rank.ts"

/**
 * The commit that the code was at: `dirty` says whether files that git follows differ from it, `branch` is null where
 * none is checked out. What is not known is null.
 *
 * @category models
 * @since 0.1.0
 */
export const Git = Schema.Struct({
  commit: Schema.NullOr(Schema.String),
  branch: Schema.NullOr(Schema.String),
  dirty: Schema.NullOr(Schema.Boolean)
})

/**
 * The commit that the code was at.
 *
 * @category models
 * @since 0.1.0
 */
export type Git = typeof Git.Type

const gitTimeoutMillis = 2000

/**
 * What is checked out in a directory; null outside of a repository. Git is given 2 seconds; where it is missing, slow or
 * does not trust the directory, its files tell the commit and the branch.
 *
 * @category constructors
 * @since 0.1.0
 */
export const find = (directory: string, environment: Environment = process.env): Effect.Effect<Git | null> =>
  Effect.sync(() => findRepository(directory)).pipe(
    Effect.flatMap((repository) =>
      repository === undefined
        ? Effect.succeed(null)
        : Effect.map(
          gitStatus(directory, environment),
          (status) => parseStatus(status) ?? readRepository(repository)
        )
    )
  )

const gitStatus = (directory: string, environment: Environment): Effect.Effect<string> =>
  Effect.callback<string>((resume) => {
    // Takes no lock, and runs nothing that the repository's own configuration names.
    const child = execFile(
      "git",
      ["-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
      {
        cwd: directory,
        env: { ...environment, GIT_OPTIONAL_LOCKS: "0", LC_ALL: "C" },
        maxBuffer: 1 << 20,
        // Another process's time is real: a program's TestClock must not decide what git says.
        timeout: gitTimeoutMillis,
        killSignal: "SIGKILL"
      },
      // Without an answer, or with more than a megabyte of it, the beginning is still good.
      (_error, stdout) => resume(Effect.succeed(stdout))
    )
    return Effect.sync(() => {
      child.kill("SIGKILL")
      child.stdout?.destroy()
      child.stderr?.destroy()
      child.unref()
    })
  })

const parseStatus = (status: string): Git | undefined => {
  const commit = /^# branch\.oid (.+)$/m.exec(status)?.[1]
  const branch = /^# branch\.head (.+)$/m.exec(status)?.[1]
  if (commit === undefined || branch === undefined) return undefined
  return {
    commit: commit === "(initial)" ? null : commit,
    branch: branch === "(detached)" ? null : branch,
    dirty: /^[^#\n]/m.test(status)
  }
}

/** The folder with HEAD, and the one with the branches: a worktree shares the latter with others. */
interface Repository {
  readonly head: string
  readonly refs: string
}

const findRepository = (directory: string): Repository | undefined => {
  for (let folder = Path.resolve(directory);; folder = Path.dirname(folder)) {
    const dotGit = Path.join(folder, ".git")
    const link = readText(dotGit)
    const head = link === undefined ? dotGit : Path.resolve(folder, /^gitdir: (.+)$/m.exec(link)?.[1] ?? "")
    if (readText(Path.join(head, "HEAD")) !== undefined) {
      return { head, refs: Path.resolve(head, readText(Path.join(head, "commondir"))?.trim() ?? "") }
    }
    if (folder === Path.dirname(folder)) return undefined
  }
}

const readRepository = ({ head, refs }: Repository): Git => {
  const at = readText(Path.join(head, "HEAD"))?.trim() ?? ""
  const ref = /^ref: (refs\/.+)$/.exec(at)?.[1]
  if (ref === undefined) return { commit: isCommit(at) ? at : null, branch: null, dirty: null }
  const loose = readText(Path.join(head, ref))?.trim() ?? readText(Path.join(refs, ref))?.trim()
  const packed = () =>
    readText(Path.join(refs, "packed-refs"))?.split("\n").find((line) => line.endsWith(` ${ref}`))?.split(" ")[0]
  const commit = loose ?? packed() ?? ""
  return { commit: isCommit(commit) ? commit : null, branch: ref.replace("refs/heads/", ""), dirty: null }
}

const isCommit = (text: string): boolean => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)

const readText = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}
