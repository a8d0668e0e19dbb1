/**
 * Drivers' libraries with GPUs of a test's making, compiled from C: what is loaded and called is a real library, with the
 * names and structures of the vendor's headers.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { temporary } from "./directory.ts"

/** A GPU as nvml.c reads it; null is what it cannot tell. */
export interface FakeGpu {
  readonly uuid?: string
  readonly name?: string
  readonly total?: number | null
  readonly used?: number | null
  readonly reserved?: number | null
  readonly utilization?: number | null
  readonly celsius?: number | null
  readonly milliwatts?: number | null
  readonly most?: number | null
}

/** `set` says what the GPUs tell from now on; `calls` which functions were called, and forgets them. */
export interface FakeNvml {
  readonly path: string
  readonly environment: { readonly [name: string]: string }
  readonly set: (...gpus: ReadonlyArray<FakeGpu>) => void
  readonly write: (text: string) => void
  readonly calls: () => ReadonlyArray<string>
}

export const gib = 2 ** 30

/** Compiles NVIDIA's management library into a directory; two tests' libraries are two, with a state of their own. */
export const compileNvml = (directory: string, ...flags: ReadonlyArray<string>): FakeNvml => {
  const values = Path.join(directory, "gpus")
  const path = Path.join(directory, "libnvidia-ml.so.1")
  compile("nvml.c", path, [`-DVALUES="${values}"`, ...flags])
  // At once: the library may read at any time.
  const write = (text: string): void => {
    Fs.writeFileSync(`${values}.new`, text)
    Fs.renameSync(`${values}.new`, values)
  }
  write("")
  return {
    path,
    environment: { EZPZ_NVML: path },
    write,
    set: (...gpus) => write(gpus.map((gpu, i) => line(gpu, i)).join("")),
    calls: () => {
      const file = `${values}.calls`
      const calls = Fs.existsSync(file) ? Fs.readFileSync(file, "utf8").split("\n").slice(0, -1) : []
      Fs.rmSync(file, { force: true })
      return calls
    }
  }
}

export const fakeNvml = (...flags: ReadonlyArray<string>): Effect.Effect<FakeNvml, never, Scope.Scope> =>
  Effect.map(temporary, (directory) => compileNvml(directory, ...flags))

/** Compiles Level Zero; gives the library's path. */
export const fakeLevelZero: Effect.Effect<string, never, Scope.Scope> = Effect.map(temporary, (directory) => {
  const path = Path.join(directory, "libze_loader.so.1")
  compile("levelzero.c", path, [])
  return path
})

const compile = (source: string, path: string, flags: ReadonlyArray<string>): void => {
  const file = fileURLToPath(new URL(`drivers/${source}`, import.meta.url))
  execFileSync("cc", ["-shared", "-fPIC", "-D_GNU_SOURCE", "-o", path, ...flags, file], { stdio: "pipe" })
}

const line = (gpu: FakeGpu, i: number): string =>
  [
    gpu.uuid ?? `GPU-0000000${i}-aaaa-bbbb-cccc-dddddddddddd`,
    gpu.name ?? "NVIDIA H100 80GB HBM3",
    told(gpu.total, 80 * gib),
    told(gpu.used, gib),
    told(gpu.reserved, gib / 2),
    told(gpu.utilization, 97),
    told(gpu.celsius, 61),
    told(gpu.milliwatts, 350_500),
    told(gpu.most, 700_000)
  ].join(";") + "\n"

const told = (value: number | null | undefined, otherwise: number): string =>
  value === null ? "-" : String(value ?? otherwise)
