/** Directories that nobody else may enter: what lies in them, keys and sockets, is safe from other users of a machine. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeDirectory } from "../../../internal/makeDirectory.ts"

/** Makes one, or finds one that is so. Throws where it belongs to others or is open to them. */
export const privateDirectory = (directory: string): void => {
  makeDirectory(Path.dirname(directory))
  try {
    Fs.mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    if (!Fs.existsSync(directory)) throw error
  }
  const open = openness(Fs.lstatSync(directory))
  if (open !== undefined) throw new Error(`${directory} ${open}`)
}

/** Why what is stored there is not to be trusted; undefined if only this user can have made it. */
export const openness = ({ mode, uid }: { readonly mode: number; readonly uid: number }): string | undefined => {
  const me = process.getuid?.()
  if (me === undefined) return undefined
  if (uid !== me) return "belongs to another user"
  return (mode & 0o077) === 0 ? undefined : `is open to others (mode 0${(mode & 0o777).toString(8)})`
}
