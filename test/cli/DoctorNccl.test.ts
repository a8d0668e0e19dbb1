/** What `doctor` says of the bridge: what it would use, or what is missing and where it was looked for. */
import { assert, describe, it } from "@effect/vitest"
import { surroundings } from "../integration/ranks/processes.ts"
import * as Fakes from "../reducer/nccl/fakes.ts"
import { run, temporary } from "./command.ts"

const doctor = async (env: Readonly<Record<string, string>>): Promise<string> => {
  const { code, error, out } = await run(["doctor"], {
    cwd: temporary(),
    env: { PATH: surroundings()["PATH"] ?? "", ...env }
  })
  assert.strictEqual(code, 0, error)
  return out
}

describe("doctor says of the bridge", () => {
  it("which NCCL, which driver and which GPU it would use", async () => {
    const { directory, environment } = Fakes.compile(temporary())
    assert.include(
      await doctor({
        ...environment,
        EZPZ_LOCAL_RANK: "1",
        FAKE_CUDA_DEVICES: "2",
        EZPZ_RANK: "1",
        EZPZ_WORLD_SIZE: "2"
      }),
      `nccl          NCCL 2.19.3 (${directory}/libnccl.so.2), CUDA 12.4 (${directory}/libcuda.so.1), GPU 1: Fake H100 1\n`
    )
  })

  it("that there is no NCCL, and where it was looked for; handles are read all the same", async () => {
    const { environment } = Fakes.compile(temporary())
    assert.match(
      await doctor({ ...environment, EZPZ_NCCL_LIBRARY: "/nowhere/libnccl.so.2" }),
      /^nccl +no NCCL: NCCL cannot be loaded: \/nowhere\/libnccl\.so\.2: .*, CUDA 12\.4 .*\. Values go over ZeroMQ$/m
    )
  })

  it("that the driver cannot be loaded", async () => {
    assert.match(
      await doctor({ EZPZ_CUDA_LIBRARY: "/nowhere/libcuda.so.1" }),
      /^nccl +no bridge: the CUDA driver cannot be loaded: \/nowhere\/libcuda\.so\.1: .*\. Values go over ZeroMQ$/m
    )
  })
})
