/** A GPU and its NCCL that are none: compiled from C, loaded and called as the real ones are (test/support/drivers). */
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

/** What an environment says of them; `fail`, `hang` and `async` say whose sends do that from then on. */
export interface Fakes {
  readonly environment: Readonly<Record<string, string>>
  readonly directory: string
  readonly set: (what: "fail" | "hang" | "async", rank: number) => void
}

export const compile = (directory: string): Fakes => {
  const library = (source: string, name: string): string => {
    const path = Path.join(directory, name)
    const file = fileURLToPath(new URL(`../../support/drivers/${source}`, import.meta.url))
    execFileSync("cc", ["-shared", "-fPIC", "-D_GNU_SOURCE", "-o", path, file], { stdio: "pipe" })
    return path
  }
  return {
    directory,
    environment: {
      EZPZ_CUDA_LIBRARY: library("cuda.c", "libcuda.so.1"),
      EZPZ_NCCL_LIBRARY: library("nccl.c", "libnccl.so.2"),
      FAKE_NCCL_DIRECTORY: directory
    },
    set: (what, rank) => Fs.writeFileSync(Path.join(directory, what), String(rank))
  }
}
