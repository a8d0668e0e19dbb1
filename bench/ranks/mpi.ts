/** Open MPI's all-reduce of as many numbers, in C. */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { child } from "../measure.ts"

/** Seconds of one all-reduce, and of the four that mean, std, max and min take. */
export interface Reduced {
  readonly one: number
  readonly four: number
}

/** Compiles the program. */
export const compile = (directory: string): string => {
  const program = join(directory, "allreduce")
  try {
    execFileSync("mpicc", ["-O2", "-o", program, child("allreduce.c")], { stdio: ["ignore", "ignore", "pipe"] })
  } catch (cause) {
    throw new Error("Open MPI is needed to measure beside it: apt-get install openmpi-bin libopenmpi-dev", { cause })
  }
  return program
}

export const run = (program: string, size: number, keys: number, steps: number): Reduced => {
  const text = execFileSync(
    "mpirun",
    ["--allow-run-as-root", "--oversubscribe", "-n", String(size), program, String(keys), String(steps)],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }
  )
  const [one = NaN, four = NaN] = text.trim().split(" ").map(Number)
  return { one: one / 1e6, four: four / 1e6 }
}
