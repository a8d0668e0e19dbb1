/**
 * Small files of /proc and /sys, which are made as they are read: never waiting, cheap enough for every sample.
 *
 * @since 0.2.0
 */
import * as Fs from "node:fs"

/** What is longer (/proc/stat of many processors) is read to here. */
const buffer = Buffer.alloc(64 * 1024)

/**
 * The beginning of a file, at most 64 KiB; undefined if it cannot be read.
 *
 * @category reading
 * @since 0.2.0
 */
export const text = (path: string, most = buffer.length): string | undefined => {
  let file: number | undefined
  try {
    file = Fs.openSync(path, "r")
    let length = 0
    while (length < most) {
      const read = Fs.readSync(file, buffer, length, most - length, null)
      if (read === 0) break
      length += read
    }
    return buffer.toString("latin1", 0, length)
  } catch {
    return undefined
  } finally {
    if (file !== undefined) Fs.closeSync(file)
  }
}

/**
 * The names in a directory; none if it cannot be read.
 *
 * @category reading
 * @since 0.2.0
 */
export const names = (directory: string): ReadonlyArray<string> => {
  try {
    return Fs.readdirSync(directory)
  } catch {
    return []
  }
}
