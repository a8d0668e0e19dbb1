/**
 * Directories, with those above them.
 *
 * One level is made at a time: Node's own `recursive: true` never ends where the system says of a directory that is
 * there that a new one in it has no parent (`/proc` does), and deaf to signals, too.
 *
 * @since 0.1.0
 */
import { existsSync, mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"

/**
 * Makes a directory, and those above it that are not there. What is there already stays as it is, also what another
 * process makes meanwhile. Throws the system's error, with the path of the directory that could not be made.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeDirectory = (path: string): void => {
  if (isDirectory(path)) return
  const missing = [path]
  for (let above = dirname(path); above !== dirname(above) && !existsSync(above); above = dirname(above)) {
    missing.push(above)
  }
  for (const directory of missing.reverse()) {
    try {
      mkdirSync(directory)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST" && isDirectory(directory))) throw error
    }
  }
}

const isDirectory = (path: string): boolean => {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
