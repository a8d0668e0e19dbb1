/**
 * The engine of GPUs, with libraries that are compiled here and called as the real ones are: what is called, with what, and
 * what becomes of each failure.
 */
import { assert, describe, it } from "@effect/vitest"
import { closedWith, job, temporary, until } from "../../integration/ranks/processes.ts"
import * as Fakes from "./fakes.ts"
import {
  bridgeOf,
  brought,
  closings,
  complaints,
  end,
  isAlive,
  isComplete,
  isUp,
  nccl,
  patient,
  say,
  start
} from "./ranks.ts"

const { environment } = Fakes.compile(temporary())

/** Libraries of a test's own, whose files say who is to fail. */
const fakes = (): Fakes.Fakes => Fakes.compile(temporary())

describe.concurrent("NCCL and a GPU", () => {
  it("bring the same statistics as ZeroMQ, bit for bit", patient, async () => {
    const one = start(3, nccl, environment)
    await until(isUp(one.root), one.root.error)
    assert.include(one.root.error(), "NCCL 2.19.3")
    assert.include(one.root.error(), "CUDA 12.4")
    assert.include(one.root.error(), "GPU 0: Fake H100 0")
    say(one.ranks, 1, 200)
    await until(() => closedWith(one.log(), 3) === 200, one.root.error)
    const { error } = await end(one.ranks)
    assert.isAbove(brought(error), 0, error)
    const other = start(3, [], {})
    say(other.ranks, 1, 200)
    await end(other.ranks)
    isComplete(one.log(), 200, 3)
    assert.deepStrictEqual(closings(one.log()), closings(other.log()))
  })

  const missing: ReadonlyArray<readonly [string, Readonly<Record<string, string>>, RegExp]> = [
    [
      "no driver",
      { EZPZ_CUDA_LIBRARY: "/nowhere/libcuda.so.1" },
      /the CUDA driver cannot be loaded: \/nowhere\/libcuda.so.1: /
    ],
    [
      "a driver that does not start",
      { FAKE_CUDA_INIT: "100" },
      /libcuda.so.1\) does not start: no CUDA-capable device is detected/
    ],
    ["no GPU that is visible", { FAKE_CUDA_DEVICES: "0" }, /libcuda.so.1\) shows no GPU/],
    ["no NCCL", { EZPZ_NCCL_LIBRARY: "/nowhere/libnccl.so.2" }, /NCCL cannot be loaded: \/nowhere\/libnccl.so.2: /],
    [
      "an NCCL that is too old",
      { FAKE_NCCL_VERSION: "2604" },
      /NCCL 2.6.4 \(.*libnccl.so.2\) is too old: 2.7 is needed/
    ],
    ["an engine that there is not", { EZPZ_NCCL_ENGINE: "rccl" }, /EZPZ_NCCL_ENGINE is "rccl", not cuda or host/]
  ]
  for (const [what, env, reason] of missing) {
    it(`${what}: it is said once, and values go over ZeroMQ`, patient, async () => {
      const { log, ranks } = start(2, nccl, { ...environment, ...env })
      say(ranks, 1, 50)
      await until(() => complaints(ranks[0].error()).length > 0, ranks[0].error)
      const { code, error } = await end(ranks)
      assert.strictEqual(code, 0)
      assert.strictEqual(complaints(error).length, 1, error)
      assert.include(error, "NCCL is not used: rank ")
      assert.match(error, reason)
      isComplete(log(), 50, 2)
    })
  }

  it("one rank without NCCL: no rank waits for the others in vain", patient, async () => {
    const { log, rank } = job(2)
    const without = { ...environment, EZPZ_NCCL_LIBRARY: "/nowhere/libnccl.so.2" }
    const ranks = [rank(0, nccl, environment), rank(1, nccl, without)] as const
    say(ranks, 1, 50)
    await until(() => complaints(ranks[0].error()).length > 0, ranks[0].error)
    const { error } = await end(ranks)
    assert.include(error, "NCCL is not used: rank 1: NCCL cannot be loaded: /nowhere/libnccl.so.2")
    isComplete(log(), 50, 2)
  })

  for (const what of ["fail", "async"] as const) {
    it(`a communicator that fails (${what}): no step is lost, none counts twice`, patient, async () => {
      const { environment, set } = fakes()
      const { log, ranks, root } = start(3, nccl, environment)
      await until(isUp(root), root.error)
      say(ranks, 1, 50)
      await until(() => closedWith(log(), 3) === 50, root.error)
      set(what, 2)
      say(ranks, 51, 150)
      await until(() => closedWith(log(), 3) === 150, root.error)
      const { code, error } = await end(ranks)
      assert.strictEqual(code, 0)
      assert.strictEqual(complaints(error).length, 1, error)
      // The root may hear of it by its connection first.
      assert.match(error, /NCCL is given up: rank [02]: /)
      assert.include(error, "remote process exited or there was a network error")
      isComplete(log(), 150, 3)
    })
  }

  it("a bridge that never comes back from NCCL: it is given up, and ends with its rank", patient, async () => {
    const { environment, set } = fakes()
    const { log, ranks, root } = start(2, nccl, environment)
    await until(isUp(root), root.error)
    say(ranks, 1, 50)
    await until(() => closedWith(log(), 2) === 50, root.error)
    set("hang", 1)
    const bridge = bridgeOf(ranks[1]!)
    say(ranks, 51, 100)
    await until(() => closedWith(log(), 2) === 100, root.error)
    assert.strictEqual(complaints(root.error()).length, 1)
    ranks[1]!.kill("SIGKILL")
    await until(() => !isAlive(bridge), () => "the bridge is still there")
    await end([root])
    isComplete(log(), 100, 2)
  })
})
