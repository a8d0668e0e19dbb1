/**
 * Ranks on several nodes, each with an aggregator in the process of its first rank: what goes wrong between them, on real
 * processes. Nodes share this host; they are told apart by EZPZ_NODE. Whatever becomes of an aggregator, the run of rank 0
 * goes on and ends, each record is in its log once and in order, nobody is counted twice, and what is said of it is right
 * for the ranks that are counted.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { closedWith, expected, job, type Log, type Running, sleep, steps, until } from "./processes.ts"

const loss = (rank: number, step: number): number => rank * 10 + 1 / step
const said = (rank: number) => (step: number) => ({ loss: loss(rank, step) })
/** Tests run side by side: whole seconds are no time. */
const patient = { timeout: 120_000 }
const silent = { code: 0, out: "", error: "" }
const upTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i + 1)

/** A job on nodes of so many ranks each, in the order of ranks. */
const nodes = (...sizes: ReadonlyArray<number>) => {
  const places = sizes.flatMap((size, node) => Array.from({ length: size }, (_, local) => ({ node, local, size })))
  const { directory, log, rank } = job(places.length)
  /** The sockets of the aggregator of a node: `01` listens, `03` is a connection. */
  const sockets = (node: number, state: "01" | "03"): number => {
    const hash = Crypto.createHash("sha256").update(`node${node}`).digest("hex").slice(0, 8)
    return Fs.readFileSync("/proc/net/unix", "utf8").split("\n")
      .filter((line) => line.includes(directory) && line.endsWith(`/node-${hash}`) && line.split(/\s+/)[5] === state)
      .length
  }
  /** How many ranks are connected to it. */
  const below = (node: number): number => sockets(node, "03")
  /** How many are connected to the root from other nodes. */
  const direct = (): number => {
    const [job = ""] = Fs.readdirSync(Path.join(directory, "rendezvous"))
    const { endpoints } = JSON.parse(Fs.readFileSync(Path.join(directory, "rendezvous", job, "root.json"), "utf8"))
    const port = Number(/:(\d+)$/.exec(endpoints.at(-1))?.[1]).toString(16).toUpperCase().padStart(4, "0")
    return Fs.readFileSync("/proc/net/tcp", "utf8").split("\n")
      .filter((line) => new RegExp(`^\\s*\\d+: [0-9A-F]+:${port} \\S+ 01 `).test(line)).length
  }
  const begin = (
    index: number,
    args: ReadonlyArray<string> = [],
    env: Readonly<Record<string, string>> = {}
  ): Running => {
    const place = places[index]
    if (place === undefined) throw new Error(`there is no place for rank ${index}`)
    return rank(index, args, {
      TMPDIR: directory,
      EZPZ_NODE: `node${place.node}`,
      EZPZ_LOCAL_RANK: String(place.local),
      EZPZ_LOCAL_WORLD_SIZE: String(place.size),
      ...env
    })
  }
  return {
    log,
    below,
    direct,
    start: begin,
    /** All ranks. On a busy machine some start so late that they are not waited for: aggregators first. */
    startAll: async (env: Readonly<Record<string, string>> = {}): Promise<ReadonlyArray<Running>> => {
      const ranks = new Map<number, Running>()
      for (const [index, { local }] of places.entries()) if (local === 0) ranks.set(index, begin(index, [], env))
      await until(() => sizes.every((size, node) => node === 0 || size === 1 || sockets(node, "01") > 0), () => "")
      return places.map((_, index) => ranks.get(index) ?? begin(index, [], env))
    }
  }
}

/** Each says these steps. */
const sayAll = (ranks: Readonly<Record<number, Running>>, from: number, to: number): void => {
  for (const [index, rank] of Object.entries(ranks)) rank.say(steps(from, to, said(Number(index))))
}

/** Each record once, in order, and what is said last of each is right for these ranks. */
const check = ({ closings, last, records }: Log, count: number, ranksAt: (step: number) => ReadonlyArray<number>) => {
  assert.deepStrictEqual(records.map(({ seq }) => seq), upTo(count))
  const first = closings.filter(({ seq }, i, all) => all.findIndex((other) => other.seq === seq) === i)
  assert.deepStrictEqual(first.map(({ seq }) => seq), upTo(count), "closed in order")
  for (const { aggregated, count, seq, step } of last.values()) {
    const ranks = ranksAt(step ?? seq)
    assert.strictEqual(count, ranks.length, `count of ${seq}`)
    for (const [name, value] of Object.entries(expected("loss", ranks.map((rank) => loss(rank, step ?? seq))))) {
      if (name.includes("/arg")) assert.strictEqual(aggregated?.[name], ranks[value], `${name} of ${seq}`)
      else assert.closeTo(aggregated?.[name] ?? NaN, value, 1e-12 * Math.max(1, Math.abs(value)), `${name} of ${seq}`)
    }
  }
}

const endAll = async (root: Running, ...others: ReadonlyArray<Running>) => {
  for (const rank of [root, ...others]) rank.end()
  return [await root.ended, ...await Promise.all(others.map(({ ended }) => ended))] as const
}

describe.concurrent("nodes", () => {
  it("of several ranks: each has one connection to the root, and all is there", patient, async () => {
    const { below, direct, log, startAll } = nodes(2, 2, 2)
    const ranks = await startAll()
    const [root, ...others] = ranks as [Running, ...ReadonlyArray<Running>]
    sayAll(ranks, 1, 40)
    await until(() => closedWith(log(), 6) === 40, root.error)
    assert.deepStrictEqual([direct(), below(0), below(1), below(2)], [2, 0, 2, 2])
    for (let step = 41; step <= 60; step++) {
      sayAll(ranks, step, step)
      await sleep(20)
    }
    const [{ code, error }, ...ends] = await endAll(root, ...others)
    assert.deepStrictEqual([code, ends], [0, others.map(() => silent)])
    assert.notInclude(error, "warning")
    check(log(), 60, () => [0, 1, 2, 3, 4, 5])
  })

  it("of one rank have no aggregator", patient, async () => {
    const { below, direct, log, startAll } = nodes(1, 1, 1)
    const ranks = await startAll() as [Running, Running, Running]
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 3) === 10, ranks[0].error)
    assert.deepStrictEqual([direct(), below(1), below(2)], [2, 0, 0])
    const [{ code }, ...ends] = await endAll(...ranks)
    assert.deepStrictEqual([code, ends], [0, [silent, silent]])
    check(log(), 10, () => [0, 1, 2])
  })

  it("where rank 0, and one rank below an aggregator, log more than others: nothing is shifted", patient, async () => {
    const { log, startAll } = nodes(1, 2)
    const ranks = await startAll() as [Running, Running, Running]
    const more = (rank: number): string =>
      upTo(20).map((step) =>
        steps(step, step, said(rank)) + (step % 5 === 0 ? `{"step": ${step}, "eval/acc": ${step + rank}}\n` : "")
      ).join("")
    ranks[0].say(more(0))
    ranks[1].say(steps(1, 20, said(1)))
    ranks[2].say(more(2))
    await until(() => closedWith(log(), 3) === 20 && closedWith(log(), 2) === 4, ranks[0].error)
    const [{ code }, ...ends] = await endAll(...ranks)
    assert.deepStrictEqual([code, ends], [0, [silent, silent]])
    const { last, records } = log()
    for (const [i, { aggregated, count, step }] of upTo(24).map((seq) => last.get(seq)!).entries()) {
      const isLoss = records[i]?.metrics?.["loss"] !== undefined
      assert.strictEqual(count, isLoss ? 3 : 2)
      if (!isLoss) assert.strictEqual(aggregated?.["eval/acc/mean"], (step ?? 0) + 1)
      else assert.closeTo(aggregated?.["loss/mean"] ?? NaN, 10 + 1 / (step ?? 0), 1e-12)
    }
  })
})

describe.concurrent("the first rank of a node", () => {
  it(
    "that is killed: its neighbour goes to the root, and nothing of it is lost or counted twice",
    patient,
    async () => {
      const { direct, log, startAll } = nodes(1, 2, 2)
      const ranks = await startAll() as [Running, Running, Running, Running, Running]
      const [root, one, ...others] = ranks
      sayAll(ranks, 1, 20)
      await until(() => closedWith(log(), 5) === 20, root.error)
      one.kill("SIGKILL")
      let step = 20
      const left = { 0: root, 2: ranks[2], 3: ranks[3], 4: ranks[4] }
      await until(() => {
        if (log().records.length === step && step < 500) sayAll(left, ++step, step)
        return [...log().last.values()].some(({ count, expected }) => count === 4 && expected === 4)
      }, root.error)
      sayAll(left, step + 1, step += 20)
      await until(() => closedWith(log(), 4) === step - 20, root.error)
      assert.isAtLeast(direct(), 2)
      const [{ code }, ...ends] = await endAll(root, ...others)
      assert.deepStrictEqual([code, ends], [0, others.map(() => silent)])
      check(log(), step, (at) => at <= 20 ? [0, 1, 2, 3, 4] : [0, 2, 3, 4])
    }
  )

  it("that is stopped and goes on: its values are added when they come, its neighbour's before", patient, async () => {
    const { log, startAll } = nodes(1, 2)
    const ranks = await startAll() as [Running, Running, Running]
    const [root, one, two] = ranks
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 3) === 10, root.error)
    one.kill("SIGSTOP")
    sayAll(ranks, 11, 20)
    await until(() => closedWith(log(), 2) === 10, root.error)
    one.kill("SIGCONT")
    await until(() => closedWith(log(), 3) === 20, root.error)
    sayAll(ranks, 21, 30)
    await until(() => closedWith(log(), 3) === 30, root.error)
    const [{ code }, ...ends] = await endAll(root, one, two)
    assert.deepStrictEqual([code, ends], [0, [silent, silent]])
    check(log(), 30, () => [0, 1, 2])
  })

  for (const [when, millis] of [["at once", 0], ["later", 4000]] as const) {
    it(`that is killed and started again ${when} is one rank`, patient, async () => {
      const { log, start, startAll } = nodes(1, 2)
      const [root, first, two] = await startAll() as [Running, Running, Running]
      sayAll([root, first, two], 1, 10)
      await until(() => closedWith(log(), 3) === 10, root.error)
      first.kill("SIGKILL")
      two.say(steps(11, 20, said(2)))
      await sleep(millis)
      const second = start(1)
      sayAll({ 0: root, 1: second }, 11, 20)
      await until(() => closedWith(log(), 3) === 20, root.error)
      sayAll([root, second, two], 21, 30)
      await until(() => closedWith(log(), 3) === 30, root.error)
      const [{ code }, ...ends] = await endAll(root, second, two)
      assert.deepStrictEqual([code, ends], [0, [silent, silent]])
      check(log(), 30, () => [0, 1, 2])
    })
  }

  it("that ends before its neighbour waits for it", patient, async () => {
    const { below, log, startAll } = nodes(1, 2)
    const [root, one, two] = await startAll() as [Running, Running, Running]
    sayAll([root, one, two], 1, 10)
    one.end()
    await until(() => closedWith(log(), 3) === 10, root.error)
    for (let step = 11; step <= 20; step++) {
      sayAll({ 0: root, 2: two }, step, step)
      await sleep(50)
    }
    await until(() => closedWith(log(), 2) === 10, root.error)
    assert.strictEqual(below(1), 2)
    const [{ code }, ...ends] = await endAll(root, one, two)
    assert.deepStrictEqual([code, ends], [0, [silent, silent]])
    check(log(), 20, (at) => at <= 10 ? [0, 1, 2] : [0, 2])
  })

  it("that does not run ezpz-stream: its neighbour goes to the root", patient, async () => {
    const { direct, log, start } = nodes(1, 2)
    const [root, two] = [start(0, [], { EZPZ_JOIN_TIMEOUT: "12" }), start(2)]
    sayAll({ 0: root, 2: two }, 1, 10)
    await until(() => closedWith(log(), 2) === 10, root.error)
    assert.strictEqual(direct(), 1)
    const [{ code, error }, end] = await endAll(root, two)
    assert.deepStrictEqual([code, end], [0, silent])
    assert.match(error, /1 of 3 ranks never came/)
    check(log(), 10, () => [0, 2])
  })
})

describe.concurrent("another rank of a node", () => {
  it("that is killed: the run goes on, and soon does not expect it any more", patient, async () => {
    const { log, startAll } = nodes(1, 2)
    const [root, one, two] = await startAll() as [Running, Running, Running]
    sayAll([root, one, two], 1, 20)
    await until(() => closedWith(log(), 3) === 20, root.error)
    two.kill("SIGKILL")
    let step = 20
    await until(() => {
      if (log().last.size === step && step < 500) sayAll([root, one], ++step, step)
      return [...log().last.values()].some(({ expected }) => expected === 2)
    }, root.error)
    const [{ code }, end] = await endAll(root, one)
    assert.deepStrictEqual([code, end], [0, silent])
    check(log(), step, (at) => at <= 20 ? [0, 1, 2] : [0, 1])
  })

  it("that is stopped and goes on: its values are added when they come", patient, async () => {
    const { below, log, startAll } = nodes(1, 2)
    const ranks = await startAll() as [Running, Running, Running]
    const [root, one, two] = ranks
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 3) === 10, root.error)
    two.kill("SIGSTOP")
    sayAll(ranks, 11, 20)
    await until(() => closedWith(log(), 2) === 10, root.error)
    two.kill("SIGCONT")
    await until(() => closedWith(log(), 3) === 20, root.error)
    assert.strictEqual(below(1), 2)
    const [{ code }, ...ends] = await endAll(root, one, two)
    assert.deepStrictEqual([code, ends], [0, [silent, silent]])
    check(log(), 20, () => [0, 1, 2])
  })

  it("that is killed and started again is one rank", patient, async () => {
    const { below, log, start, startAll } = nodes(1, 2)
    const [root, one, first] = await startAll() as [Running, Running, Running]
    sayAll([root, one, first], 1, 10)
    await until(() => closedWith(log(), 3) === 10, root.error)
    first.kill("SIGKILL")
    const second = start(2)
    sayAll([root, one, second], 11, 20)
    await until(() => closedWith(log(), 3) === 20, root.error)
    assert.strictEqual(below(1), 2)
    const [{ code }, ...ends] = await endAll(root, one, second)
    assert.deepStrictEqual([code, ends], [0, [silent, silent]])
    check(log(), 20, () => [0, 1, 2])
  })

  it("that comes late closes nothing early, and one that never comes holds up nothing for ever", patient, async () => {
    const { below, log, start } = nodes(1, 3)
    const [root, one] = [start(0, [], { EZPZ_JOIN_TIMEOUT: "12" }), start(1)]
    sayAll([root, one], 1, 10)
    await until(() => log().records.length === 10, root.error)
    await sleep(3000)
    assert.strictEqual(log().closings.length, 0)
    const two = start(2)
    two.say(steps(1, 10, said(2)))
    await until(() => closedWith(log(), 3) === 10, root.error)
    assert.strictEqual(below(1), 2)
    const [{ code, error }, ...ends] = await endAll(root, one, two)
    assert.deepStrictEqual([code, ends], [0, [silent, silent]])
    assert.match(error, /1 of 4 ranks never came/)
    check(log(), 10, () => [0, 1, 2])
  })
})

describe.concurrent("rank 0", () => {
  it("that is killed and goes on with --resume gets what ranks and aggregators hold", patient, async () => {
    const { below, log, start, startAll } = nodes(1, 2, 2)
    const [first, ...others] = await startAll() as [Running, Running, Running, Running, Running]
    sayAll([first, ...others], 1, 20)
    await until(() => closedWith(log(), 5) === 20, first.error)
    first.kill("SIGKILL")
    await first.ended
    // Nobody takes these yet; one of them ends meanwhile.
    sayAll({ 1: others[0], 2: others[1], 3: others[2], 4: others[3] }, 21, 40)
    others[3].end()
    await sleep(1500)
    const second = start(0, ["--resume"])
    second.say(steps(21, 40, said(0)))
    await until(() => closedWith(log(), 5) === 40, second.error)
    sayAll([second, ...others.slice(0, 3)], 41, 50)
    await until(() => closedWith(log(), 4) === 10, second.error)
    assert.deepStrictEqual([below(1), below(2)], [2, 1])
    const [{ code, error }, ...ends] = await endAll(second, ...others)
    assert.deepStrictEqual([code, ends], [0, others.map(() => silent)])
    assert.notInclude(error, "lost")
    check(log(), 50, (at) => at <= 40 ? [0, 1, 2, 3, 4] : [0, 1, 2, 3])
  })
})
