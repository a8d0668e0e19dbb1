/**
 * What the system said when a file could not be used, as a person can act upon it.
 *
 * @since 0.1.0
 */

const remedies: { readonly [code: string]: string } = {
  ENOSPC: "The disk is full: free some space.",
  EDQUOT: "The disk quota is used up: free some space.",
  EFBIG: "The file may not grow further (ulimit -f).",
  EACCES: "It may not be written by this user: choose another directory with --outdir.",
  EPERM: "It may not be written by this user: choose another directory with --outdir.",
  EROFS: "The file system is read-only: choose another directory with --outdir.",
  ENOENT: "There is no such file.",
  ENOTDIR: "A part of that path is a file: choose another directory with --outdir.",
  EEXIST: "There is a run already: go on with it (--resume), replace it (--overwrite), or choose another directory."
}

/**
 * An error as a sentence, with its code: `The disk is full: free some space. (ENOSPC)`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const explain = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const code = "code" in cause ? String(cause.code) : ""
  return `${remedies[code] ?? cause.message}${code === "" ? "" : ` (${code})`}`
}
