/**
 * More nodes than the root talks to itself: aggregators below aggregators, on real processes. Node 0 is the root's. With a
 * star of 2 and a fan-in of 2 eight nodes are a tree: 4 talks to the root, 6 to 4, 5 to 4, 7 to 6; 2, and 1, to the root, for
 * which node 0 stands, and 3 to 2.
 */
import { assert, describe, it } from "@effect/vitest"
import { fileURLToPath } from "node:url"
import { expected, type Running, sleep, start, steps, surroundings, temporary, until } from "./processes.ts"

const member = fileURLToPath(new URL("member.ts", import.meta.url))
const loss = (rank: number, step: number): number => rank * 10 + 1 / step
/** Tests run side by side, and each starts many processes. */
const patient = { timeout: 240_000 }

interface Told {
  readonly seq: number
  readonly step: number
  readonly amended: boolean
  readonly statistics: {
    readonly count: number
    readonly expected: number
    readonly values: Readonly<Record<string, number>>
  }
}

const tree = (nodes: number, perNode: number) => {
  const directory = temporary()
  const worldSize = nodes * perNode
  return {
    start: (rank: number): Running =>
      start(process.execPath, [member, "2", "2"], directory, {
        ...surroundings(),
        TMPDIR: directory,
        EZPZ_RANK: String(rank),
        EZPZ_WORLD_SIZE: String(worldSize),
        EZPZ_LOCAL_RANK: String(rank % perNode),
        EZPZ_LOCAL_WORLD_SIZE: String(perNode),
        EZPZ_NODE: `node${Math.floor(rank / perNode)}`,
        EZPZ_JOB_ID: "tree",
        EZPZ_RENDEZVOUS_DIR: `${directory}/rendezvous`
      }),
    ranks: Array.from({ length: worldSize }, (_, rank) => rank)
  }
}

/** What is said last of each record. */
const last = (root: Running): ReadonlyMap<number, Told> => {
  const out = root.out()
  const lines = out.slice(0, out.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "")
  return new Map(lines.map((line): Told => JSON.parse(line)).map((told) => [told.seq, told]))
}

const closedWith = (root: Running, count: number): number =>
  [...last(root).values()].filter(({ statistics }) => statistics.count === count).length

const sayAll = (running: ReadonlyMap<number, Running>, from: number, to: number): void => {
  for (const [rank, each] of running) each.say(steps(from, to, (step) => ({ loss: loss(rank, step) })))
}

const check = (root: Running, ranksAt: (step: number) => ReadonlyArray<number>): void => {
  for (const { statistics, step } of last(root).values()) {
    const ranks = ranksAt(step)
    assert.strictEqual(statistics.count, ranks.length, `count of ${step}`)
    for (const [name, value] of Object.entries(expected("loss", ranks.map((rank) => loss(rank, step))))) {
      const got = statistics.values[name]
      if (name.includes("/arg")) assert.strictEqual(got, ranks[value], `${name} of ${step}`)
      else assert.closeTo(got ?? NaN, value, 1e-12 * Math.max(1, Math.abs(value)), `${name} of ${step}`)
    }
  }
}

const endAll = async (running: ReadonlyMap<number, Running>) => {
  for (const each of running.values()) each.end()
  return await Promise.all([...running.values()].map(({ ended }) => ended))
}

const shapeOf = (error: string) => {
  const [, direct, spoken, aggregators] =
    /^Debug: (\d+) ranks came by themselves, (\d+) through (\d+) aggregators$/m.exec(error) ?? []
  return { direct: Number(direct), spoken: Number(spoken), aggregators: Number(aggregators) }
}

describe.concurrent("a tree of aggregators", () => {
  it("of two levels: three nodes come to the root by themselves, and all is there", patient, async () => {
    const { ranks, start } = tree(8, 1)
    const running = new Map(ranks.map((rank) => [rank, start(rank)]))
    const root = running.get(0)!
    sayAll(running, 1, 30)
    await until(() => closedWith(root, 8) === 30, () => `${root.out()}${root.error()}`, 100)
    const ends = await endAll(running)
    check(root, () => ranks)
    assert.deepStrictEqual(ends.slice(1), ranks.slice(1).map(() => ({ code: 0, out: "", error: "" })))
    // 1, 7 and 3, where all nodes start in time.
    const { aggregators, direct, spoken } = shapeOf(ends[0]?.error ?? "")
    assert.strictEqual(direct + spoken, 8)
    assert.isAbove(spoken, aggregators)
  })

  it("with ranks below each; an inner one is killed: those below it find another way", patient, async () => {
    const { ranks, start } = tree(8, 2)
    const running = new Map(ranks.map((rank) => [rank, start(rank)]))
    const root = running.get(0)!
    sayAll(running, 1, 20)
    await until(() => closedWith(root, 16) === 20, () => `${root.out()}${root.error()}`, 100)
    // The first rank of node 4, through which 5, 6 and 7 come.
    running.get(8)?.kill("SIGKILL")
    running.delete(8)
    sayAll(running, 21, 30)
    await until(() => closedWith(root, 15) === 10, () => `${root.out()}${root.error()}`, 100)
    for (let step = 31; step <= 40; step++) {
      sayAll(running, step, step)
      await sleep(20)
    }
    await until(() => closedWith(root, 15) === 20, () => `${root.out()}${root.error()}`, 100)
    const ends = await endAll(running)
    check(root, (step) => step <= 20 ? ranks : ranks.filter((rank) => rank !== 8))
    assert.deepStrictEqual(ends.slice(1), ends.slice(1).map(() => ({ code: 0, out: "", error: "" })))
    // Rank 1 from the root's own node, 9 whose aggregator is gone; nodes 1, 2, 5 and 6, with 3 and 7 below them.
    const { direct, spoken } = shapeOf(ends[0]?.error ?? "")
    assert.strictEqual(direct + spoken, 15)
    assert.isAtLeast(direct, 3)
    assert.isAbove(spoken, 0)
  })
})
