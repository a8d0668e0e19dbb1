/**
 * The file in which a root says where it is: `root.json` in a directory of the job.
 *
 * It holds the job's keys, so it and its directory are their owner's alone, and one that somebody else could have
 * written is not believed. It appears whole or not at all. `root.lock` beside it names the root's process: on its host it
 * shows whether that is still there, and keeps a second root of the same job away.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Lock from "../../../internal/lock.ts"
import { isKey } from "../Keys.ts"
import { openness, privateDirectory } from "../transport/privateDirectory.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

const Key = Schema.String.check(Schema.makeFilter(isKey))
const Pair = Schema.Struct({ publicKey: Key, secretKey: Key })

const Contents = Schema.Struct({
  format: Schema.Literal(1),
  job: Schema.String,
  /** The run, as its log knows it, and a token: a root that goes on with the run keeps the keys and the token. */
  runId: Schema.String,
  run: Schema.String,
  incarnation: Schema.Int,
  host: Schema.String,
  pid: Schema.Int,
  endpoints: Schema.Array(Schema.String),
  keys: Schema.Struct({ server: Pair, client: Pair })
})

export type Contents = typeof Contents.Type

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Contents))

/** Why there is nothing to be read, for a person. */
export interface Nothing {
  readonly nothing: string
}

export const pathIn = (directory: string): string => Path.join(directory, "root.json")
export const lockIn = (directory: string): string => Path.join(directory, "root.lock")

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

/** What the file says, whoever wrote it and whenever. */
export const read = (directory: string, job: string): Contents | Nothing => {
  let text: string
  try {
    const file = Fs.openSync(pathIn(directory), Fs.constants.O_RDONLY | Fs.constants.O_NOFOLLOW)
    try {
      const open = openness(Fs.fstatSync(file))
      if (open !== undefined) return { nothing: `${open} and is not believed` }
      text = Fs.readFileSync(file, "utf8")
    } finally {
      Fs.closeSync(file)
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
    return { nothing: code === "ENOENT" ? "is not there" : `cannot be read (${code})` }
  }
  const contents = Option.getOrUndefined(decode(text))
  if (contents === undefined) return { nothing: "is not what this version writes" }
  return contents.job === job ? contents : { nothing: `belongs to another job (${contents.job})` }
}

/** The same, of a root that may be there: on this host it is known whether it is. */
export const readLive = (directory: string, job: string, host: string): Contents | Nothing => {
  const contents = read(directory, job)
  if ("nothing" in contents || contents.host !== host) return contents
  const holder = Lock.holder(lockIn(directory))
  return holder?.pid === contents.pid
    ? contents
    : { nothing: `was left by process ${contents.pid}, which is gone` }
}

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

export type Held = Lock.Held

/** Takes a directory for a root, or says who has it. Throws where it cannot be used. */
export const take = (directory: string): Held | Lock.Holder => {
  for (let tries = 1;; tries++) {
    try {
      privateDirectory(directory)
      let lock = Lock.take(lockIn(directory))
      if (!Lock.isHeld(lock) && !lock.here) {
        // Of another host: it cannot be asked, and the launcher has put the root here now.
        Fs.rmSync(lockIn(directory), { force: true })
        lock = Lock.take(lockIn(directory))
      }
      // The root before takes the directory away when it leaves: made again by the lock, it would be open.
      privateDirectory(directory)
      return lock
    } catch (error) {
      if (tries === 5 || Fs.existsSync(directory)) throw error
    }
  }
}

export const isHeld = Lock.isHeld

export const write = (directory: string, contents: Contents): void => {
  const own = `${pathIn(directory)}.${process.pid}`
  Fs.rmSync(own, { force: true })
  Fs.writeFileSync(own, JSON.stringify(contents), { mode: 0o600, flag: "wx" })
  Fs.renameSync(own, pathIn(directory))
}

/** Whether the file still says what this root wrote. */
export const isStill = (directory: string, { incarnation, job, run }: Contents): boolean => {
  const there = read(directory, job)
  return !("nothing" in there) && there.run === run && there.incarnation === incarnation
}

/** Takes the file away, unless it has become another root's, and the directory if it is empty. */
export const remove = (directory: string, contents: Contents): void => {
  try {
    if (isStill(directory, contents)) Fs.rmSync(pathIn(directory), { force: true })
  } catch {
    // It will be found stale.
  }
}

/**
 * Takes away what roots of other jobs have left that were killed on this host: with their keys it would stay for ever, as
 * launchers give no name twice. Not soon, since one may be started again, for ranks that go on.
 */
export const removeOld = (directory: string, host: string, now: number): void => {
  try {
    const all = Path.dirname(directory)
    for (const { name } of Fs.readdirSync(all, { withFileTypes: true }).filter((one) => one.isDirectory())) {
      const other = Path.join(all, name)
      const file = Fs.statSync(pathIn(other), { throwIfNoEntry: false })
      if (other === directory || file === undefined || now - file.mtimeMs < keptMillis) continue
      const contents = decodeFile(other)
      if (contents?.host !== host || Lock.holder(lockIn(other)) !== undefined) continue
      Fs.rmSync(pathIn(other), { force: true })
      Fs.rmSync(lockIn(other), { force: true })
      Fs.rmdirSync(other)
    }
  } catch {
    // The next one may.
  }
}

const keptMillis = 7 * 24 * 3600 * 1000

const decodeFile = (directory: string): Contents | undefined =>
  Option.getOrUndefined(decode(Fs.readFileSync(pathIn(directory), "utf8")))

export const release = (directory: string, lock: Held): void => {
  lock.release()
  try {
    Fs.rmdirSync(directory)
  } catch {
    // Something of another root is in it.
  }
}
