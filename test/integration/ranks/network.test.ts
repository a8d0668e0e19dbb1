/**
 * Ranks on several hosts, and what networks do: they are slow, lose packets, break and come back. Real processes on
 * namespaces of the kernel with its own TCP between them (network.ts). Whatever happens, the run of rank 0 goes on and
 * ends, each record is in its log once and in order, what is said of it is right for the ranks that are counted, and
 * what a rank has said while the network was away is added when it is back.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Host, jobOn, network, type NetworkOptions, unavailable } from "./network.ts"
import { closedWith, expected, type Log, type Running, sleep, steps, until } from "./processes.ts"

const loss = (rank: number, step: number): number => rank * 10 + 1 / step
const said = (rank: number) => (step: number) => ({ loss: loss(rank, step) })
/** Tests run side by side: whole seconds are no time. */
const patient = { timeout: 120_000 }
const upTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i + 1)

/** Each record once, in order, and what is said last of each is right for these ranks. */
const check = (log: Log, count: number, ranksAt: (step: number) => ReadonlyArray<number>): void => {
  assert.deepStrictEqual(log.records.map(({ seq }) => seq), upTo(count))
  const first = log.closings.filter(({ seq }, i, all) => all.findIndex((other) => other.seq === seq) === i)
  assert.deepStrictEqual(first.map(({ seq }) => seq), upTo(count), "closed in order")
  for (const { aggregated, count, seq, step } of log.last.values()) {
    const ranks = ranksAt(step ?? seq)
    assert.strictEqual(count, ranks.length, `count of ${seq}`)
    const values = expected("loss", ranks.map((rank) => loss(rank, step ?? seq)))
    for (const [name, value] of Object.entries(values)) {
      if (name.includes("/arg")) assert.strictEqual(aggregated?.[name], ranks[value], `${name} of ${seq}`)
      else assert.closeTo(aggregated?.[name] ?? NaN, value, 1e-12 * Math.max(1, Math.abs(value)), `${name} of ${seq}`)
    }
  }
}

const printed = (out: string): ReadonlyArray<number> =>
  out.trimEnd().split("\n").map((line) => Number(/step=(\d+)/.exec(line)?.[1]))

const endAll = async (...ranks: ReadonlyArray<Running>) => {
  for (const rank of ranks) rank.end()
  return await Promise.all(ranks.map(({ ended }) => ended))
}

/** So many hosts, named alpha, beta, ... */
const hosts = async (count: number, options: Omit<NetworkOptions, "names"> = {}) => {
  const names = Object.fromEntries(["alpha", "beta", "gamma"].slice(0, count).map((name) => [name, {}]))
  const net = await network({ ...options, names })
  return { net, hosts: net.hosts as readonly [Host, Host, Host] }
}

/** Each says these steps. */
const sayAll = (ranks: ReadonlyArray<Running>, from: number, to: number): void => {
  for (const [index, rank] of ranks.entries()) rank.say(steps(from, to, said(index)))
}

/** Where the root is, as a person says it. On a host of its own every port is free. */
const given = { EZPZ_ROOT: "tcp://10.77.0.1:9999", EZPZ_SECRET: "the same for all" }

const silent = { code: 0, out: "", error: "" }

const reason = unavailable === undefined ? "" : ` (not here: ${unavailable})`
const options = { concurrent: true, skip: unavailable !== undefined }

describe(`a network${reason}`, options, () => {
  it("away until the rank is not expected any more: it is soon back, and so are its values", patient, async () => {
    const { hosts: [alpha, beta], net } = await hosts(2)
    const { log, rank } = jobOn([alpha, beta])
    const ranks = [rank(0, [], given), rank(1, [], given)] as const
    const [root] = ranks
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 2) === 10, root.error)
    await net.links(beta, { cut: true })
    let step = 10
    await until(() => {
      if (log().last.size === step && step < 500) {
        step++
        sayAll(ranks, step, step)
      }
      return [...log().last.values()].some((line) => line.expected === 1)
    }, root.error)
    await sleep(2000)
    await net.links(beta, {})
    await until(() => closedWith(log(), 2) === step, root.error)
    const [first, other] = await endAll(...ranks)
    assert.deepStrictEqual([first?.code, other], [0, silent])
    check(log(), step, () => [0, 1])
    assert.deepStrictEqual(printed(first?.out ?? ""), upTo(step))
  })

  it("whose root is at its second address, where neither its name nor its first one leads to it", patient, async () => {
    const net = await network({ names: { alpha: { deadAddresses: ["10.88.0.1"] }, beta: {} }, namesKnown: false })
    const [alpha, beta] = net.hosts as readonly [Host, Host]
    const { directory, log, rank } = jobOn([alpha, beta])
    const ranks = [rank(0), rank(1)] as const
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 2) === 10, () => ranks[0].error() + ranks[1].error())
    const place = Fs.readdirSync(Path.join(directory, "rendezvous"))[0] ?? "none"
    const { endpoints } = JSON.parse(Fs.readFileSync(Path.join(directory, "rendezvous", place, "root.json"), "utf8"))
    assert.deepStrictEqual(
      endpoints.filter((endpoint: string) => endpoint.startsWith("tcp:")).map((endpoint: string) =>
        endpoint.replace(/:\d+$/, "")
      ),
      ["tcp://alpha", "tcp://10.88.0.1", "tcp://10.77.0.1"]
    )
    const [first, other] = await endAll(...ranks)
    assert.deepStrictEqual([first?.code, other], [0, silent])
    check(log(), 10, () => [0, 1])
  })

  it(
    "that is slow, and loses and reorders packets: no value is lost, and nothing goes over it in the clear",
    patient,
    async () => {
      const { hosts: [alpha, beta, gamma], net } = await hosts(3)
      for (const host of [beta, gamma]) await net.link(alpha, host, { delay: 40, jitter: 30, loss: 0.08 })
      await net.watch("loss")
      // The root's host has a second rank: it comes through a socket there.
      const { log, rank } = jobOn([alpha, alpha, beta, gamma])
      const ranks = [0, 1, 2, 3].map((index) => rank(index))
      const [root, ...others] = ranks as [Running, ...ReadonlyArray<Running>]
      for (let step = 1; step <= 100; step++) {
        sayAll(ranks, step, step)
        await sleep(30)
      }
      await until(() => closedWith(log(), 4) === 100, root.error)
      const [first, ...ends] = await endAll(root, ...others)
      assert.strictEqual(first?.code, 0)
      assert.deepStrictEqual(ends, others.map(() => silent))
      check(log(), 100, () => [0, 1, 2, 3])
      assert.deepStrictEqual(printed(first?.out ?? ""), upTo(100))
      const { lost, passed, seen } = await net.counts()
      assert.isAbove(passed, 20)
      assert.isAbove(lost, 0)
      assert.strictEqual(seen, 0, "names of metrics in packets")
    }
  )

  it("across which a handshake takes seconds", patient, async () => {
    const { hosts: [alpha, beta], net } = await hosts(2)
    await net.link(alpha, beta, { delay: 400 })
    const { log, rank } = jobOn([alpha, beta])
    const ranks = [rank(0, [], given), rank(1, [], given)] as const
    const [root, one] = ranks
    sayAll(ranks, 1, 20)
    await until(() => closedWith(log(), 2) === 20, root.error)
    for (let step = 21; step <= 40; step++) {
      sayAll(ranks, step, step)
      await sleep(50)
    }
    await until(() => closedWith(log(), 2) === 40, root.error)
    const [first, other] = await endAll(root, one)
    assert.deepStrictEqual([first?.code, other], [0, silent])
    check(log(), 40, () => [0, 1])
  })

  it("that is away for a moment: nobody notices", patient, async () => {
    const { hosts: [alpha, beta], net } = await hosts(2)
    const { log, rank } = jobOn([alpha, beta])
    const ranks = [rank(0), rank(1)] as const
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 2) === 10, ranks[0].error)
    await net.links(beta, { cut: true })
    sayAll(ranks, 11, 20)
    await sleep(250)
    await net.links(beta, {})
    await until(() => closedWith(log(), 2) === 20, ranks[0].error)
    const [first, other] = await endAll(...ranks)
    assert.deepStrictEqual([first?.code, other], [0, silent])
    check(log(), 20, () => [0, 1])
    assert.strictEqual(log().closings.length, 20, "no partial ones")
  })

  for (
    const [name, cut] of [
      ["both ways", undefined],
      ["from the root alone", 0],
      ["to the root alone", 1]
    ] as const
  ) {
    it(
      `cut ${name} for longer than the deadline: records close without the rank, and are amended`,
      patient,
      async () => {
        const { hosts: [alpha, beta, gamma], net } = await hosts(3)
        const { log, rank } = jobOn([alpha, beta, gamma])
        const ranks = [rank(0), rank(1), rank(2)] as const
        const [root] = ranks
        sayAll(ranks, 1, 20)
        await until(() => closedWith(log(), 3) === 20, root.error)
        if (cut === undefined) await net.links(gamma, { cut: true })
        else await net.link(cut === 0 ? alpha : gamma, cut === 0 ? gamma : alpha, { cut: true }, "one way")
        // Of the ways back acknowledgements of the kernel are a part: without them it sends what it has sent again.
        sayAll(ranks, 21, 40)
        await sleep(2500)
        sayAll(ranks, 41, 60)
        if (cut === 0) await sleep(1500)
        else await until(() => closedWith(log(), 2) === 40, root.error)
        await net.links(gamma, {})
        await until(() => closedWith(log(), 3) === 60, root.error)
        sayAll(ranks, 61, 80)
        await until(() => closedWith(log(), 3) === 80, root.error)
        const [first, ...others] = await endAll(...ranks)
        assert.deepStrictEqual([first?.code, ...others], [0, silent, silent])
        check(log(), 80, () => [0, 1, 2])
        assert.deepStrictEqual(printed(first?.out ?? ""), upTo(80))
      }
    )
  }

  it("cut to a host of several ranks, which speak through one of them: all are amended", patient, async () => {
    const { hosts: [alpha, beta, gamma], net } = await hosts(3)
    const { log, rank } = jobOn([alpha, beta, gamma, gamma, gamma])
    const ranks = [0, 1, 2, 3, 4].map((index) => rank(index))
    const [root] = ranks as [Running]
    sayAll(ranks, 1, 20)
    await until(() => closedWith(log(), 5) === 20, root.error)
    await net.links(gamma, { cut: true })
    sayAll(ranks, 21, 40)
    await until(() => closedWith(log(), 2) === 20, root.error)
    await net.links(gamma, {})
    await until(() => closedWith(log(), 5) === 40, root.error)
    sayAll(ranks, 41, 60)
    await until(() => closedWith(log(), 5) === 60, root.error)
    const [first, ...others] = await endAll(...ranks)
    assert.strictEqual(first?.code, 0)
    assert.deepStrictEqual(others, others.map(() => silent))
    check(log(), 60, () => [0, 1, 2, 3, 4])
    assert.deepStrictEqual(printed(first?.out ?? ""), upTo(60))
  })

  it("that is away when rank 0 ends: it says so, and so does the rank; neither hangs", patient, async () => {
    const { hosts: [alpha, beta], net } = await hosts(2)
    const { log, rank } = jobOn([alpha, beta])
    const ranks = [rank(0), rank(1, [], { EZPZ_REDUCE_TIMEOUT: "2" })] as const
    const [root, one] = ranks
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 2) === 10, root.error)
    await net.links(beta, { cut: true })
    sayAll(ranks, 11, 20)
    root.end()
    const { code, error } = await root.ended
    assert.strictEqual(code, 0)
    assert.match(error, /10 records closed without all ranks/)
    one.end()
    const other = await one.ended
    assert.deepStrictEqual([other.code, other.out], [0, ""])
    assert.match(other.error, /Rank 0 has not taken the last \d+ batches of records of rank 1/)
    check(log(), 20, (step) => step <= 10 ? [0, 1] : [0])
  })

  it("that is away when a rank ends: it waits for it to come back", patient, async () => {
    const { hosts: [alpha, beta], net } = await hosts(2)
    const { log, rank } = jobOn([alpha, beta])
    const ranks = [rank(0), rank(1)] as const
    const [root, one] = ranks
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 2) === 10, root.error)
    await net.links(beta, { cut: true })
    sayAll(ranks, 11, 20)
    one.end()
    await until(() => closedWith(log(), 1) === 10, root.error)
    await net.links(beta, {})
    assert.deepStrictEqual(await one.ended, silent)
    const [first] = await endAll(root)
    assert.strictEqual(first?.code, 0)
    check(log(), 20, () => [0, 1])
  })

  it("of which a host's device goes down and comes back with another address", patient, async () => {
    const net = await network({ names: { alpha: {}, beta: { addresses: ["10.77.0.2", "10.77.0.3"] } } })
    const [alpha, beta] = net.hosts as readonly [Host, Host]
    beta.ip("address delete 10.77.0.3/24 dev net0")
    const { log, rank } = jobOn([alpha, beta])
    const ranks = [rank(0), rank(1)] as const
    const [root] = ranks
    sayAll(ranks, 1, 10)
    await until(() => closedWith(log(), 2) === 10, root.error)
    beta.ip("link set net0 down")
    sayAll(ranks, 11, 20)
    await until(() => closedWith(log(), 1) === 10, root.error)
    beta.ip("address delete 10.77.0.2/24 dev net0")
    beta.ip("address add 10.77.0.3/24 dev net0")
    beta.ip("link set net0 up")
    beta.ip("route replace default dev net0")
    await until(() => closedWith(log(), 2) === 20, root.error)
    const [first, other] = await endAll(...ranks)
    assert.deepStrictEqual([first?.code, other], [0, silent])
    check(log(), 20, () => [0, 1])
  })

  it("that never lets a rank through: it says so, and ends; rank 0 goes on without it", patient, async () => {
    const { hosts: [alpha, beta, gamma], net } = await hosts(3)
    await net.links(gamma, { cut: true })
    const { log, rank } = jobOn([alpha, beta, gamma])
    const soon = { EZPZ_REDUCE_TIMEOUT: "2" }
    const reached = [rank(0, [], soon), rank(1)] as const
    sayAll(reached, 1, 10)
    // It is where rank 2 looks for it: of that alone it does not complain.
    await until(() => log().records.length === 10, reached[0].error)
    const ranks = [...reached, rank(2, [], { ...soon, EZPZ_JOIN_TIMEOUT: "1" })] as const
    ranks[2].say(steps(1, 10, said(2)))
    const unanswered = /Rank 2 has had no answer from rank 0 for 1 s, at tcp:\/\/alpha:\d+, tcp:\/\/10\.77\.0\.1:\d+\. /
    await until(() => unanswered.test(ranks[2].error()), ranks[2].error)
    const [first, one, two] = await endAll(...ranks)
    assert.deepStrictEqual([first?.code, one, two?.code, two?.out], [0, silent, 0, ""])
    assert.match(first?.error ?? "", /1 of 3 ranks never came/)
    assert.match(two?.error ?? "", /Rank 0 was not there in the 2 s that rank 2 waited .* its 10 records are in no run/)
    check(log(), 10, () => [0, 1])
  })

  it(
    "whose hosts share no directory: the root is found by a secret and the name that the launcher gives",
    patient,
    async () => {
      const { hosts: [alpha, beta, gamma] } = await hosts(3)
      const { log, rank } = jobOn([alpha, beta, gamma])
      const env = (host: Host, secret = "the same for all") => ({
        HOME: host.directory,
        EZPZ_RENDEZVOUS_DIR: "",
        EZPZ_SECRET: secret,
        MASTER_ADDR: "alpha",
        MASTER_PORT: "29500"
      })
      const soon = { EZPZ_REDUCE_TIMEOUT: "2" }
      const ranks = [
        rank(0, [], { ...env(alpha), ...soon }),
        rank(1, [], env(beta)),
        rank(2, [], { ...env(gamma, "another one"), ...soon })
      ] as const
      sayAll(ranks, 1, 10)
      // It is found after the files that are not there.
      await sleep(4000)
      const [first, one, two] = await endAll(...ranks)
      assert.deepStrictEqual([first?.code, one, two?.code, two?.out], [0, silent, 0, ""])
      assert.match(two?.error ?? "", /its 10 records are in no run/)
      check(log(), 10, () => [0, 1])
    }
  )

  it("whose root's host breaks down: the run goes on at another host", patient, async () => {
    const { hosts: [alpha, beta, gamma], net } = await hosts(3)
    const { log, rank } = jobOn([alpha, beta, gamma])
    const [root, one, two] = [rank(0), rank(1), rank(2)]
    sayAll([root, one, two], 1, 10)
    await until(() => closedWith(log(), 3) === 10, root.error)
    await net.links(alpha, { cut: true })
    root.kill("SIGKILL")
    await root.ended
    one.say(steps(11, 20, said(1)))
    two.say(steps(11, 20, said(2)))
    await sleep(500)
    // Nobody but a person can know that a process of a host that does not answer is gone.
    const refused = rank(0, ["--resume"], {}, beta)
    const { code, error } = await refused.ended
    assert.strictEqual(code, 1)
    const [, lock = "none"] = /process \d+ on alpha is writing this run.* If it is gone, remove (.*)\./.exec(error) ??
      []
    Fs.rmSync(lock)
    // Its turn to deliver has the dead process as well.
    Fs.rmSync(Path.join(Path.dirname(lock), "csv.lock"))
    const second = rank(0, ["--resume"], {}, beta)
    second.say(steps(11, 20, said(0)))
    await until(() => closedWith(log(), 3) === 20, () => second.error() + one.error())
    const ends = await endAll(second, one, two)
    assert.deepStrictEqual(ends.map(({ code }) => code), [0, 0, 0])
    check(log(), 20, () => [0, 1, 2])
  })
})
