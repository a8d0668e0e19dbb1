/**
 * Reductions over NCCL on real processes, with the host's memory as the engine: the same statistics to the last bit, and
 * whatever becomes of a bridge, each record is in the log once, in order, with all that its ranks said.
 */
import { assert, describe, it } from "@effect/vitest"
import { closedWith, job, type Running, steps, until } from "../../integration/ranks/processes.ts"
import {
  bridgeOf,
  brought,
  closings,
  complaints,
  end,
  host,
  isAlive,
  isComplete,
  isUp,
  nccl,
  patient,
  said,
  say,
  start
} from "./ranks.ts"

describe("ranks over NCCL", () => {
  for (const worldSize of [2, 4]) {
    it(`have the statistics that they have over ZeroMQ, bit for bit (${worldSize})`, patient, async () => {
      const count = 200
      const one = start(worldSize, nccl, host)
      await until(isUp(one.root), one.root.error)
      say(one.ranks, 1, 100)
      await until(() => closedWith(one.log(), worldSize) === 100, one.root.error)
      say(one.ranks, 101, count)
      await until(() => closedWith(one.log(), worldSize) === count, one.root.error)
      const { code, error } = await end(one.ranks)
      assert.strictEqual(code, 0, error)
      assert.isAbove(brought(error), 0, error)
      assert.deepStrictEqual(complaints(error), [])

      const other = start(worldSize, [], {})
      say(other.ranks, 1, count)
      await end(other.ranks)
      isComplete(one.log(), count, worldSize)
      assert.deepStrictEqual(closings(one.log()), closings(other.log()))
    })
  }
})

describe.concurrent("without NCCL in the end", () => {
  it("auto where one rank has no GPU: nobody complains", patient, async () => {
    const { log, rank } = job(2)
    const ranks: [Running, Running] = [rank(0, ["--reducer", "auto"], host), rank(1, ["--reducer", "auto"])]
    say(ranks, 1, 50)
    await until(() => closedWith(log(), 2) === 50, ranks[0].error)
    const { code, error } = await end(ranks)
    assert.strictEqual(code, 0)
    assert.deepStrictEqual([complaints(error), brought(error)], [[], NaN], error)
    isComplete(log(), 50, 2)
  })

  it("auto where every rank has a bridge: it is taken", patient, async () => {
    const { log, ranks, root } = start(2, ["--reducer", "auto"], host)
    await until(isUp(root), root.error)
    say(ranks, 1, 50)
    await until(() => closedWith(log(), 2) === 50, root.error)
    const { error } = await end(ranks)
    assert.isAbove(brought(error), 0)
  })

  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    for (const whose of [0, 1]) {
      it(`a bridge of rank ${whose} that gets ${signal}: no step is lost, none counts twice`, patient, async () => {
        const { log, ranks, root } = start(3, nccl, host)
        await until(isUp(root), root.error)
        say(ranks, 1, 50)
        await until(() => closedWith(log(), 3) === 50, root.error)
        const bridge = bridgeOf(ranks[whose]!)
        process.kill(bridge, signal)
        say(ranks, 51, 150)
        await until(() => complaints(root.error()).length > 0, root.error)
        say(ranks, 151, 200)
        await until(() => closedWith(log(), 3) === 200, root.error)
        const { code, error } = await end(ranks)
        assert.strictEqual(code, 0)
        assert.strictEqual(complaints(error).length, 1, error)
        // Who hears of it first, the rank or those whose bridge was connected to its, is a matter of luck.
        const killed = /NCCL is given up: rank \d: (?:its bridge has ended \(SIGKILL\)|rank \d is gone)/
        assert.match(error, signal === "SIGKILL" ? killed : /NCCL is given up: nothing has come for 5 s/)
        isComplete(log(), 200, 3)
        await until(() => !isAlive(bridge), () => "the bridge is still there")
      })
    }
  }

  it("a rank that is killed: its bridge ends with it, and the others go on over ZeroMQ", patient, async () => {
    const { log, ranks, root } = start(3, nccl, host)
    await until(isUp(root), root.error)
    say(ranks, 1, 50)
    await until(() => closedWith(log(), 3) === 50, root.error)
    const bridge = bridgeOf(ranks[2]!)
    ranks[2]!.kill("SIGKILL")
    say(ranks.slice(0, 2), 51, 60)
    await until(() => log().last.size === 60 && complaints(root.error()).length > 0, root.error)
    await until(() => !isAlive(bridge), () => "the bridge is still there")
    const { code, error } = await end(ranks)
    assert.strictEqual(code, 0)
    assert.deepStrictEqual(complaints(error), [
      "warning: NCCL is given up: rank 2 is gone. Values go over ZeroMQ, and none is lost"
    ])
    assert.strictEqual(closedWith(log(), 2), 10)
    assert.strictEqual(closedWith(log(), 3), 50)
  })

  it(
    "a root that is killed and started again: what ranks still hold arrives, and NCCL is begun anew",
    patient,
    async () => {
      const { log, rank, ranks, root } = start(2, nccl, host)
      await until(isUp(root), root.error)
      say(ranks, 1, 50)
      await until(() => closedWith(log(), 2) === 50, root.error)
      root.kill("SIGKILL")
      await root.ended
      ranks[1]!.say(steps(51, 100, said(1)))
      const again = rank(0, [...nccl, "--resume"], host)
      again.say(steps(51, 100, said(0)))
      await until(() => closedWith(log(), 2) === 100, again.error)
      await until(isUp(again), again.error)
      say([again, ranks[1]!], 101, 150)
      await until(() => closedWith(log(), 2) === 150, again.error)
      const { code, error } = await end([again, ranks[1]!])
      assert.strictEqual(code, 0)
      assert.isAbove(brought(error), 0, error)
      isComplete(log(), 150, 2)
    }
  )

  it(
    "a rank that finishes before the others: the rest is told over ZeroMQ, and that is no trouble",
    patient,
    async () => {
      const { log, ranks, root } = start(3, nccl, host)
      await until(isUp(root), root.error)
      say(ranks, 1, 50)
      ranks[2]!.end()
      await ranks[2]!.ended
      say(ranks.slice(0, 2), 51, 80)
      const { code, error } = await end([ranks[0], ranks[1]!])
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(complaints(error), [])
      assert.strictEqual(log().last.size, 80)
      assert.strictEqual(closedWith(log(), 3), 50)
    }
  )
})
