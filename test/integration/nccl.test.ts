/**
 * NVIDIA's own NCCL, from its Python package: found where it is installed, loaded and called, as far as it goes without a GPU.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import { beforeAll } from "vitest"
import * as Client from "../../src/reducer/nccl/Client.ts"
import * as Fakes from "../reducer/nccl/fakes.ts"
import { complaints, end, isComplete, nccl, patient, say, start } from "../reducer/nccl/ranks.ts"
import * as Python from "./python.ts"
import { closedWith, surroundings, temporary, until } from "./ranks/processes.ts"

let prefix = ""
beforeAll(async () => {
  prefix = Path.dirname(Path.dirname(await Python.python("requirements-nccl")))
}, Python.timeout)

/** The driver is none: there is no GPU. NCCL looks for the machine's own, and says what it finds. */
const environment = () => {
  const { EZPZ_CUDA_LIBRARY } = Fakes.compile(temporary()).environment
  return { EZPZ_CUDA_LIBRARY: EZPZ_CUDA_LIBRARY ?? "" }
}

describe("NVIDIA's NCCL", () => {
  it.live(
    "is found in a virtual environment, gives its version, and an id for a communicator",
    () =>
      Effect.gen(function*() {
        for (const where of [{ VIRTUAL_ENV: prefix }, { PATH: `${prefix}/bin` }]) {
          const bridge = yield* Client.start({ rank: 0, localRank: 0 }, {
            ...surroundings(),
            ...environment(),
            ...where
          })
          assert.match(
            bridge.description,
            /^NCCL 2\.19\.3 \(.*\/lib\/python3\.\d+\/site-packages\/nvidia\/nccl\/lib\/libnccl\.so\.2\), CUDA 12\.4/
          )
          assert.isUndefined(bridge.carries)
          const id = yield* bridge.uniqueId
          assert.strictEqual(id.length, 128)
          assert.isTrue(id.some((byte) => byte !== 0))
        }
      }).pipe(Effect.scoped),
    120_000
  )

  it("has no GPU here: its own words are told, and values go over ZeroMQ", patient, async () => {
    const { log, ranks, root } = start(2, nccl, { ...environment(), VIRTUAL_ENV: prefix })
    say(ranks, 1, 50)
    await until(() => complaints(root.error()).length > 0, root.error)
    say(ranks, 51, 100)
    await until(() => closedWith(log(), 2) === 100, root.error)
    const { code, error } = await end(ranks)
    assert.strictEqual(code, 0)
    assert.match(error, /warning: NCCL is given up: rank [01]: ncclCommInitRank: unhandled cuda error/)
    assert.strictEqual(complaints(error).length, 1, error)
    isComplete(log(), 100, 2)
  })
})
