/**
 * Files that keep two processes from doing the same thing.
 *
 * A lock names the process that holds it, by its id and its start time, so that a restarted container whose new process
 * has the old one's id is not locked out. It appears with its contents or not at all, and only who moved a stale one
 * aside takes its place: of two processes that start at once, one gets it. The lock of a process that is gone is taken
 * over; whether one on another host is gone cannot be told.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { makeDirectory } from "./makeDirectory.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** A lock that this process holds. */
export interface Held {
  readonly release: () => void
}

/** Who holds a lock. `here`: a process on this host, or this very one. */
export interface Holder {
  readonly pid: number
  readonly host: string
  readonly here: boolean
  readonly self: boolean
}

interface Contents {
  readonly pid: number
  readonly host: string
  readonly started: string
}

/** Locks that this very process holds: its own id would say nothing. */
const held = new Map<string, Held>()

// -----------------------------------------------------------------------------
// Taking
// -----------------------------------------------------------------------------

/** Takes a lock, or says who has it. Throws where the file cannot be written. */
export const take = (file: string): Held | Holder => {
  const path = Path.resolve(file)
  const mine: Contents = { pid: process.pid, host: Os.hostname(), started: startTime(process.pid) }
  if (held.has(path)) return { ...mine, here: true, self: true }
  makeDirectory(Path.dirname(path))
  const text = JSON.stringify(mine)
  if (!create(path, text)) {
    const there = contents(path)
    const busy = occupied(there, mine)
    if (busy !== undefined) return busy
    // Another one was faster.
    if (!removeIf(path, there) || !create(path, text)) {
      return occupied(contents(path), mine) ?? { pid: 0, host: mine.host, here: true, self: false }
    }
  }
  const lock: Held = {
    release: () => {
      if (held.get(path) !== lock) return
      held.delete(path)
      try {
        if (contents(path) === text) Fs.rmSync(path, { force: true })
      } catch {
        // It will be found stale.
      }
    }
  }
  held.set(path, lock)
  return lock
}

export const isHeld = (lock: Held | Holder): lock is Held => "release" in lock

/** Lets go of a lock, if this process has it. */
export const release = (file: string): void => held.get(Path.resolve(file))?.release()

/** Who has a lock now; undefined if nobody has. */
export const holder = (file: string): Holder | undefined => {
  const path = Path.resolve(file)
  const mine: Contents = { pid: process.pid, host: Os.hostname(), started: startTime(process.pid) }
  if (held.has(path)) return { ...mine, here: true, self: true }
  try {
    return occupied(contents(path), mine)
  } catch {
    return undefined
  }
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const contents = (path: string): string => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch (error) {
    if (code(error) === "ENOENT") return ""
    throw error
  }
}

/** Creates a file with its contents, unless there is one. */
const create = (path: string, text: string): boolean => {
  const own = `${path}.${process.pid}`
  try {
    Fs.writeFileSync(own, text)
    try {
      Fs.linkSync(own, path)
    } catch (error) {
      if (code(error) === "EEXIST") throw error
      // A file system without links.
      Fs.writeFileSync(path, text, { flag: "wx" })
    }
    return true
  } catch (error) {
    if (code(error) === "EEXIST") return false
    throw error
  } finally {
    Fs.rmSync(own, { force: true })
  }
}

/** Removes a file if it still holds `text`; false if it has become another's. */
const removeIf = (path: string, text: string): boolean => {
  const aside = `${path}.${process.pid}.stale`
  try {
    Fs.renameSync(path, aside)
  } catch (error) {
    if (code(error) === "ENOENT") return true
    throw error
  }
  const same = contents(aside) === text
  if (!same) create(path, contents(aside))
  Fs.rmSync(aside, { force: true })
  return same
}

const code = (error: unknown): unknown => error instanceof Error && "code" in error ? error.code : undefined

/** Who holds a lock; undefined if they are gone, or nobody ever was. */
const occupied = (text: string, me: Contents): Holder | undefined => {
  let there: Partial<Contents> | null
  try {
    there = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof there?.pid !== "number" || typeof there.host !== "string") return undefined
  const { host, pid, started } = there
  if (host !== me.host) return { pid, host, here: false, self: false }
  // Where start times are unknown, our own id was another process's.
  const alive = startTime(pid) === started && isAlive(pid) && (pid !== me.pid || me.started !== "")
  return alive ? { pid, host, here: true, self: false } : undefined
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return code(error) === "EPERM"
  }
}

/** Linux: clock ticks since boot, field 22 of /proc/PID/stat. Elsewhere nothing is known. */
const startTime = (pid: number): string => {
  try {
    const stat = Fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
  } catch {
    return ""
  }
}
