/**
 * Files that are written at positions of our own choosing, and errors that name the path.
 *
 * @since 0.1.0
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeDirectory } from "../../internal/makeDirectory.ts"

/**
 * An open file. `length` is what counts of it: what lies beyond is cut off before more is written.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenFile {
  path: string
  fd: number
  length: number
}

/**
 * How a file is opened for reading and writing: empty, as it is, or as it is if it is there.
 *
 * @category models
 * @since 0.1.0
 */
export type Flags = "w+" | "r+" | "r+ or new"

/**
 * Opens a file.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = (path: string, flags: Flags): OpenFile =>
  at(path, () => {
    const fd = Fs.openSync(path, flags === "r+ or new" ? Fs.constants.O_RDWR | Fs.constants.O_CREAT : flags)
    return { path, fd, length: Fs.fstatSync(fd).size }
  })

/**
 * Closes a file. What is closed holds no data back, so that nothing is lost where that fails.
 *
 * @category destructors
 * @since 0.1.0
 */
export const close = ({ fd }: Readonly<OpenFile>): void => quietly(() => Fs.closeSync(fd))

/**
 * Cuts a file.
 *
 * @category writing
 * @since 0.1.0
 */
export const cut = (file: OpenFile, length: number): void => {
  at(file.path, () => Fs.ftruncateSync(file.fd, length))
  file.length = length
}

/**
 * Sees to it that what counts of a file is all there is of it: an append that failed may have left more behind. Throws
 * where there is less, or where the file has been removed.
 *
 * @category writing
 * @since 0.1.0
 */
export const tidy = (file: OpenFile): void => {
  const { nlink, size } = Fs.fstatSync(file.fd)
  if (nlink === 0) throw new Error("it has been removed or replaced by somebody else")
  if (size < file.length) throw new Error("it is shorter than what was written to it")
  if (size > file.length) cut(file, file.length)
}

/**
 * Appends text; on failure the file is as it was, or is made so before the next time.
 *
 * @category writing
 * @since 0.1.0
 */
export const append = (file: OpenFile, text: string): void => {
  at(file.path, () => {
    const bytes = Buffer.from(text)
    writeFully(file.fd, bytes, file.length)
    file.length += bytes.length
  })
}

/**
 * Writes all of the bytes at a position.
 *
 * @category writing
 * @since 0.1.0
 */
export const writeFully = (fd: number, bytes: Buffer, position: number): void => {
  for (let done = 0; done < bytes.length;) {
    done += Fs.writeSync(fd, bytes, done, bytes.length - done, position + done)
  }
}

/**
 * Where a file is written before it is renamed into its place: beside it, hidden.
 *
 * @category writing
 * @since 0.1.0
 */
export const temporary = (path: string): string => Path.join(Path.dirname(path), `.${Path.basename(path)}.tmp`)

/**
 * Writes a file beside its place and renames it into it.
 *
 * @category writing
 * @since 0.1.0
 */
export const replace = (path: string, text: string): void =>
  at(path, () => {
    try {
      makeDirectory(Path.dirname(path))
      Fs.writeFileSync(temporary(path), text)
      Fs.renameSync(temporary(path), path)
    } catch (error) {
      quietly(() => Fs.rmSync(temporary(path), { force: true }))
      throw error
    }
  })

/**
 * Moves those of the files that exist from one directory to another: renames, or copies where that cannot be done; then
 * does what `then` says. Whatever fails, all of it is undone.
 *
 * @category moving
 * @since 0.1.0
 */
export const move = (from: string, to: string, names: ReadonlyArray<string>, then: () => void): void => {
  const undo: Array<() => void> = []
  const copied: Array<string> = []
  try {
    for (const name of names) {
      const source = Path.join(from, name)
      const target = Path.join(to, name)
      if (!Fs.existsSync(source)) continue
      at(target, () => {
        makeDirectory(Path.dirname(target))
        try {
          Fs.renameSync(source, target)
          undo.push(() => Fs.renameSync(target, source))
        } catch (error) {
          if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error
          undo.push(() => Fs.rmSync(`${target}.tmp`, { force: true }), () => Fs.rmSync(target, { force: true }))
          Fs.copyFileSync(source, `${target}.tmp`)
          Fs.renameSync(`${target}.tmp`, target)
          copied.push(source)
        }
      })
    }
    then()
  } catch (error) {
    for (const step of undo.reverse()) quietly(step)
    throw error
  }
  for (const source of copied) quietly(() => Fs.rmSync(source))
}

/**
 * Runs what may fail without harm.
 *
 * @category errors
 * @since 0.1.0
 */
export const quietly = (run: () => void): void => {
  try {
    run()
  } catch {
    // The failure that led here, if any, is the one to tell.
  }
}

/**
 * Runs what touches a path, so that its failure names the path.
 *
 * @category errors
 * @since 0.1.0
 */
export const at = <A>(path: string, run: () => A): A => {
  try {
    return run()
  } catch (cause) {
    throw failure(path, cause)
  }
}

/**
 * What went wrong with a path, and what helps.
 *
 * @category errors
 * @since 0.1.0
 */
export const failure = (path: string, cause: unknown): Error => {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  const help = full.has(code) ? ". Make some room there" : closed.has(code) ? ". Choose another directory" : ""
  return new Error(`${path} could not be written: ${reason}${help}`, { cause })
}

const full: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"])
const closed: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR"])
