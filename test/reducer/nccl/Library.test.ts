import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { versionText } from "../../../src/reducer/nccl/engine/Cuda.ts"
import * as Library from "../../../src/reducer/nccl/engine/Library.ts"
import { temporary } from "../../integration/ranks/processes.ts"

/** Makes a file, and gives its path. */
const put = (...path: ReadonlyArray<string>): string => {
  const file = Path.join(...path)
  Fs.mkdirSync(Path.dirname(file), { recursive: true })
  Fs.writeFileSync(file, "")
  return file
}

describe("libraries are looked for", () => {
  it("where a person says, and then nowhere else", () => {
    const environment = { EZPZ_CUDA_LIBRARY: "/a/libcuda.so", EZPZ_NCCL_LIBRARY: "/b/libnccl.so", PATH: "/usr/bin" }
    assert.deepStrictEqual(Library.cudaPlaces(environment), ["/a/libcuda.so"])
    assert.deepStrictEqual(Library.ncclPlaces(environment), ["/b/libnccl.so"])
  })

  it("the driver where the system, WSL, NixOS and containers have it", () => {
    assert.deepStrictEqual(Library.cudaPlaces({}), [
      "libcuda.so.1",
      "/usr/lib/wsl/lib/libcuda.so.1",
      "/run/opengl-driver/lib/libcuda.so.1",
      "/usr/local/nvidia/lib64/libcuda.so.1"
    ])
  })

  it("NCCL in the system, then the toolkit, then Python's environments, in this order", () => {
    const directory = temporary()
    const at = (...path: ReadonlyArray<string>): string => put(directory, ...path)
    const packaged = ["lib", "python3.12", "site-packages", "nvidia", "nccl", "lib", "libnccl.so.2"]
    const toolkit = at("cuda", "lib64", "libnccl.so.2")
    const virtual = at("venv", ...packaged)
    const condas = [at("conda", ...packaged), at("conda", "lib", "libnccl.so.2")]
    const base = at("base", ...packaged)
    at("base", "bin", "python3.12")
    Fs.mkdirSync(Path.join(directory, "other", "bin"), { recursive: true })
    Fs.symlinkSync(Path.join(directory, "base", "bin", "python3.12"), Path.join(directory, "other", "bin", "python3"))
    const other = at("other", ...packaged)
    assert.deepStrictEqual(
      Library.ncclPlaces({
        CUDA_HOME: Path.join(directory, "cuda"),
        VIRTUAL_ENV: Path.join(directory, "venv"),
        CONDA_PREFIX: Path.join(directory, "conda"),
        PATH: ["", "/nowhere", Path.join(directory, "other", "bin")].join(":")
      }).filter((path) => !path.startsWith("/usr/local/cuda")),
      ["libnccl.so.2", toolkit, virtual, ...condas, other, base]
    )
  })

  it("what cannot be loaded is told with its places, and with what the loader says of a file that is there", async () => {
    const broken = put(temporary(), "libnccl.so.2")
    const error = await Library.load("NCCL", ["/nowhere/libnccl.so.2", broken]).then(
      () => "loaded",
      (error: unknown) => String(error)
    )
    assert.include(error, `NCCL cannot be loaded: /nowhere/libnccl.so.2, ${broken}: `)
    assert.include(error, "file too short")
  })
})

describe("NCCL's version", () => {
  it("is read as NCCL has written it, before and since 2.9", () => {
    assert.deepStrictEqual([2604, 2708, 2804, 20_906, 21_903, 22_703].map(versionText), [
      "2.6.4",
      "2.7.8",
      "2.8.4",
      "2.9.6",
      "2.19.3",
      "2.27.3"
    ])
  })
})
