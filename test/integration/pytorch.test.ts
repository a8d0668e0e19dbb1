/**
 * The Python helper that leaves metrics on the device, with a real PyTorch: without a GPU, and with one that the tests' own driver
 * stands for.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { beforeAll } from "vitest"
import { main } from "../cli/command.ts"
import * as Fakes from "../reducer/nccl/fakes.ts"
import * as Python from "./python.ts"
import { read, start, surroundings, temporary } from "./ranks/processes.ts"

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const examples = here("../../examples")

let python = ""
beforeAll(async () => {
  python = await Python.python("requirements-torch")
}, Python.timeout)

/** Runs a script, tracked; gives what the command said and what is in the log. */
const track = async (script: string, env: Readonly<Record<string, string>> = {}) => {
  const cwd = temporary()
  const { code, error, out } = await start(
    "sh",
    ["-c", `'${python}' -B -W ignore ${script} | '${process.execPath}' '${main}' --no-plots --outdir run`],
    cwd,
    { ...surroundings(), OMP_NUM_THREADS: "1", ...env }
  ).ended
  assert.strictEqual(code, 0, error)
  return { error, out, metrics: read(Path.join(cwd, "run")).records.map(({ metrics }) => metrics) }
}

const onGpu = async (dtype: string, steps: number, slots: number, seconds: number) => {
  const { directory, environment } = Fakes.compile(temporary())
  const expected = Path.join(directory, "expected")
  const { error, metrics } = await track(
    `'${here("pytorch/gpu.py")}' '${examples}' ${dtype} ${steps} ${slots} ${seconds} '${expected}'`,
    { ...environment, FAKE_CUDA_SHARED: directory, LD_LIBRARY_PATH: directory }
  )
  const values: ReadonlyArray<unknown> = Fs.readFileSync(expected, "utf8").trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  )
  return { error, metrics, values }
}

describe("metrics that PyTorch leaves on a GPU", () => {
  for (const dtype of ["float32", "float64", "bfloat16", "float16"]) {
    it(`are read exactly (${dtype}), places being used again`, async () => {
      const { error, metrics, values } = await onGpu(dtype, 100, 64, 0.005)
      assert.include(error, "100 lines: 100 accepted, 0 refused")
      assert.deepStrictEqual(metrics, values)
    })
  }

  it("of which some are written again before they are read: those are refused, and none is taken for another", async () => {
    const { error, metrics, values } = await onGpu("float64", 2000, 8, 0)
    const refused = Number(/accepted, ([\d,]+) refused/.exec(error)?.[1]?.replace(",", ""))
    assert.isAbove(refused, 0, error)
    assert.include(error, "the memory of $cuda was used again before it was read")
    assert.strictEqual(metrics.length + refused, 2000)
    const all = new Set(values.map((value) => JSON.stringify(value)))
    for (const record of metrics) assert.isTrue(all.delete(JSON.stringify(record)))
    assert.deepStrictEqual(metrics.at(-1), values.at(-1))
  })

  it("without a GPU the example trains on the host, and prints numbers", async () => {
    const { error, metrics } = await track(`'${examples}/pytorch_gpu.py' --steps 20 --width 16`)
    assert.include(error, "20 lines: 20 accepted, 0 refused")
    assert.deepStrictEqual(Object.keys(metrics[0] ?? {}), [
      "loss",
      ...[0, 1, 2, 3, 4].map((i) => `grad_norm/${i}`),
      "dt"
    ])
    assert.isBelow(Number(metrics.at(-1)?.["loss"]), Number(metrics[0]?.["loss"]))
  })
})
