/**
 * What goes wrong between ranks, on real processes: whatever becomes of one, the run of rank 0 goes on and ends, each
 * record is in its log once and in order, and what is said of it is right for the ranks that are counted.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Path from "node:path"
import { snapshot } from "../../support/directory.ts"
import { closedWith, expected, job, type Log, read, type Running, sleep, steps, until } from "./processes.ts"

const loss = (rank: number, step: number): number => rank * 10 + 1 / step
const said = (rank: number) => (step: number) => ({ loss: loss(rank, step) })
/** Tests run side by side: whole seconds are no time. */
const patient = { timeout: 120_000 }

/** Each record once, in order, and what is said last of each is right for these ranks. */
const check = (log: Log, count: number, ranksAt: (step: number) => ReadonlyArray<number>): void => {
  assert.deepStrictEqual(log.records.map(({ seq }) => seq), Array.from({ length: count }, (_, i) => i + 1))
  const first = log.closings.filter(({ seq }, i, all) => all.findIndex((other) => other.seq === seq) === i)
  assert.deepStrictEqual(first.map(({ seq }) => seq), log.records.map(({ seq }) => seq), "closed in order")
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

const endAll = async (root: Running, ...others: ReadonlyArray<Running>) => {
  for (const rank of [root, ...others]) rank.end()
  return [await root.ended, ...await Promise.all(others.map(({ ended }) => ended))] as const
}

const printed = (out: string): ReadonlyArray<number> =>
  out.trimEnd().split("\n").map((line) => Number(/step=(\d+)/.exec(line)?.[1]))

const upTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i + 1)

describe.concurrent("a rank", () => {
  it("that is killed: the run goes on, and soon does not expect it any more", patient, async () => {
    const { log, rank } = job(3)
    const ranks = [0, 1, 2].map((index) => rank(index))
    const [root, one, two] = ranks as [Running, Running, Running]
    for (const [index, each] of ranks.entries()) each.say(steps(1, 20, said(index)))
    await until(() => closedWith(log(), 3) === 20, root.error)
    two.kill("SIGKILL")
    let step = 20
    await until(() => {
      if (log().last.size === step && step < 500) {
        step++
        root.say(steps(step, step, said(0)))
        one.say(steps(step, step, said(1)))
      }
      return [...log().last.values()].some((line) => line.expected === 2)
    }, root.error)
    const [{ code, out }] = await endAll(root, one)
    assert.strictEqual(code, 0)
    check(log(), step, (at) => at <= 20 ? [0, 1, 2] : [0, 1])
    assert.deepStrictEqual(printed(out), upTo(step))
  })

  it("that is stopped and goes on: its values are added when they come", patient, async () => {
    const { log, rank } = job(2)
    const [root, one] = [rank(0), rank(1)]
    root.say(steps(1, 10, said(0)))
    one.say(steps(1, 10, said(1)))
    await until(() => closedWith(log(), 2) === 10, root.error)
    one.kill("SIGSTOP")
    root.say(steps(11, 15, said(0)))
    one.say(steps(11, 15, said(1)))
    await until(() => closedWith(log(), 1) === 5, root.error)
    assert.isTrue([...log().last.values()].every((line) => line.expected === 2))
    one.kill("SIGCONT")
    await until(() => closedWith(log(), 2) === 15, root.error)
    root.say(steps(16, 20, said(0)))
    one.say(steps(16, 20, said(1)))
    await until(() => closedWith(log(), 2) === 20, root.error)
    const [{ code, out }, other] = await endAll(root, one)
    assert.deepStrictEqual([code, other?.code], [0, 0])
    check(log(), 20, () => [0, 1])
    assert.deepStrictEqual(printed(out), upTo(20))
  })

  it("that is killed and started again at once is one rank", patient, async () => {
    const { log, rank } = job(2)
    const [root, first] = [rank(0), rank(1)]
    root.say(steps(1, 10, said(0)))
    first.say(steps(1, 10, said(1)))
    await until(() => closedWith(log(), 2) === 10, root.error)
    first.kill("SIGKILL")
    const second = rank(1)
    root.say(steps(11, 20, said(0)))
    second.say(steps(11, 20, said(1)))
    await until(() => closedWith(log(), 2) === 20, root.error)
    const [{ code }, other] = await endAll(root, second)
    assert.deepStrictEqual([code, other?.code, other?.out], [0, 0, ""])
    check(log(), 20, () => [0, 1])
  })

  it("that comes late closes nothing early", patient, async () => {
    const { log, rank } = job(2)
    const root = rank(0)
    root.say(steps(1, 10, said(0)))
    await until(() => log().records.length === 10, root.error)
    await sleep(3000)
    assert.strictEqual(log().closings.length, 0)
    assert.strictEqual(root.out(), "")
    const one = rank(1)
    one.say(steps(1, 10, said(1)))
    const [{ code }] = await endAll(root, one)
    assert.strictEqual(code, 0)
    check(log(), 10, () => [0, 1])
    assert.strictEqual(log().closings.length, 10, "no partial ones")
  })

  it(
    "with other keys, in another order, that change from step to step, counts where it has some",
    patient,
    async () => {
      const { log, rank } = job(3)
      const ranks = [0, 1, 2].map((index) => rank(index)) as [Running, Running, Running]
      const says = [
        (step: number) => ({ loss: loss(0, step), acc: 1, ...(step % 2 === 0 ? { even: step } : {}), text: "a" }),
        (step: number) => ({ acc: 3, extra: step, loss: loss(1, step) }),
        (step: number) => ({ [`own${step}`]: 1, loss: loss(2, step), ...(step % 4 === 0 ? { even: 2 * step } : {}) })
      ]
      for (const [index, each] of ranks.entries()) each.say(steps(1, 24, says[index] ?? said(index)))
      await until(() => log().last.size === 24, ranks[0].error)
      const [{ code }] = await endAll(...ranks)
      assert.strictEqual(code, 0)
      check(log(), 24, () => [0, 1, 2])
      for (const { aggregated, seq } of log().last.values()) {
        assert.deepInclude(aggregated, { "acc/mean": 2, "acc/std": 1 })
        assert.strictEqual(aggregated?.["even/mean"], seq % 4 === 0 ? 1.5 * seq : seq % 2 === 0 ? seq : undefined)
        assert.notProperty(aggregated, "extra/mean")
        assert.notProperty(aggregated, "text/mean")
      }
    }
  )

  it("without steps, beside a root that has some, holds up nothing", patient, async () => {
    const { log, rank } = job(2)
    const [root, one] = [rank(0), rank(1)]
    root.say(steps(1, 5, said(0)))
    // It goes on all the time: that is no progress in what is waited for.
    const timer = setInterval(() => one.say(`{"loss": 1}\n`), 100)
    await until(() => log().last.size === 5, root.error).finally(() => clearInterval(timer))
    const [{ code }] = await endAll(root, one)
    assert.strictEqual(code, 0)
    check(log(), 5, () => [0])
  })

  it("that records nothing holds up nothing", patient, async () => {
    const { log, rank } = job(2)
    const [root, one] = [0, 1].map((index) => rank(index, [], { EZPZ_REDUCE_TIMEOUT: "600" })) as [Running, Running]
    root.say(steps(1, 5, said(0)))
    const [{ code, error }, other] = await endAll(root, one)
    assert.deepStrictEqual([code, other], [0, { code: 0, out: "", error: "" }])
    assert.notInclude(error, "never came")
    check(log(), 5, () => [0])
  })

  it("of another job or another world at the same place gets nothing in, and ends", patient, async () => {
    const { log, rank } = job(2)
    const [root, one] = [rank(0), rank(1)]
    const soon = { EZPZ_REDUCE_TIMEOUT: "6" }
    const strangers = [
      rank(1, [], { EZPZ_JOB_ID: "another", ...soon }),
      rank(1, [], { EZPZ_WORLD_SIZE: "5", EZPZ_LOCAL_WORLD_SIZE: "5", ...soon })
    ]
    root.say(steps(1, 10, said(0)))
    for (const stranger of strangers) {
      stranger.say(steps(1, 10, () => ({ loss: 1e6 })))
      stranger.end()
    }
    one.say(steps(1, 10, said(1)))
    const ends = await Promise.all(strangers.map(({ ended }) => ended))
    for (const { code, error, out } of ends) {
      assert.deepStrictEqual([code, out], [0, ""])
      assert.match(error, /Rank 0 was not there .* its 10 records are in no run/)
    }
    await until(() => closedWith(log(), 2) === 10, root.error)
    const [{ code, error }] = await endAll(root, one)
    assert.strictEqual(code, 0)
    assert.match(error, /another world size were refused/)
    check(log(), 10, () => [0, 1])
  })
})

describe.concurrent("rank 0", () => {
  it("that evaluates alone shifts nothing; a secret is in no file", patient, async () => {
    const { directory, log, rank } = job(3)
    const secret = { EZPZ_SECRET: "nobody-is-to-read-this" }
    const ranks = [0, 1, 2].map((index) => rank(index, [], secret)) as [Running, Running, Running]
    let text = ""
    for (let step = 1; step <= 20; step++) {
      text += steps(step, step, said(0))
      if (step % 5 === 0) text += `{"step": ${step}, "eval/acc": ${step}}\n`
    }
    ranks[0].say(text)
    ranks[1].say(steps(1, 20, said(1)))
    ranks[2].say(steps(1, 20, said(2)))
    await until(() => log().last.size === 24, ranks[0].error)
    const [{ code, error }] = await endAll(...ranks)
    assert.strictEqual(code, 0)
    for (const content of [...snapshot(directory).values(), Buffer.from(error).toString("base64")]) {
      assert.notInclude(Buffer.from(content, "base64").toString("latin1"), secret.EZPZ_SECRET)
    }
    const { closings, records } = log()
    assert.deepStrictEqual(closings.map(({ seq }) => seq), upTo(24))
    for (const [i, { aggregated, step }] of closings.entries()) {
      if (records[i]?.metrics?.["loss"] === undefined) assert.strictEqual(aggregated?.["eval/acc/mean"], step)
      else assert.closeTo(aggregated?.["loss/mean"] ?? NaN, 10 + 1 / (step ?? 0), 1e-12)
    }
  })

  it("that is killed and goes on with --resume gets what the ranks hold", patient, async () => {
    const { log, rank } = job(3)
    const first = rank(0)
    const others = [rank(1), rank(2)] as const
    first.say(steps(1, 20, said(0)))
    for (const [i, other] of others.entries()) other.say(steps(1, 20, said(i + 1)))
    await until(() => closedWith(log(), 3) === 20, first.error)
    first.kill("SIGKILL")
    await first.ended
    // Nobody takes these yet.
    for (const [i, other] of others.entries()) other.say(steps(21, 40, said(i + 1)))
    await sleep(500)
    const second = rank(0, ["--resume"])
    second.say(steps(21, 40, said(0)))
    await until(() => closedWith(log(), 3) === 40, second.error)
    for (const [i, other] of others.entries()) other.say(steps(41, 50, said(i + 1)))
    second.say(steps(41, 50, said(0)))
    await until(() => closedWith(log(), 3) === 50, second.error)
    const ends = await endAll(second, ...others)
    assert.deepStrictEqual(ends.map(({ code }) => code), [0, 0, 0])
    for (const { error, out } of ends.slice(1)) assert.deepStrictEqual([out, error], ["", ""])
    assert.notInclude(ends[0]?.error, "lost")
    check(log(), 50, () => [0, 1, 2])
  })

  it("that is stopped and goes on: ranks notice nothing", patient, async () => {
    const { log, rank } = job(2)
    const [root, one] = [rank(0), rank(1)]
    root.say(steps(1, 10, said(0)))
    one.say(steps(1, 10, said(1)))
    await until(() => closedWith(log(), 2) === 10, root.error)
    root.kill("SIGSTOP")
    one.say(steps(11, 20, said(1)))
    // Longer than until another root is looked for.
    await sleep(3500)
    root.kill("SIGCONT")
    root.say(steps(11, 20, said(0)))
    await until(() => closedWith(log(), 2) === 20, root.error)
    const [{ code }, other] = await endAll(root, one)
    assert.deepStrictEqual([code, other], [0, { code: 0, out: "", error: "" }])
    check(log(), 20, () => [0, 1])
  })

  it("that is killed and comes again gets what ranks hold that have ended meanwhile", patient, async () => {
    const { log, rank } = job(2)
    const [first, one] = [rank(0), rank(1)]
    first.say(steps(1, 10, said(0)))
    one.say(steps(1, 10, said(1)))
    await until(() => closedWith(log(), 2) === 10, first.error)
    first.kill("SIGKILL")
    await first.ended
    one.say(steps(11, 20, said(1)))
    one.end()
    await sleep(500)
    const second = rank(0, ["--resume"])
    second.say(steps(11, 20, said(0)))
    assert.deepStrictEqual(await one.ended, { code: 0, out: "", error: "" })
    const [{ code }] = await endAll(second)
    assert.strictEqual(code, 0)
    check(log(), 20, () => [0, 1])
  })

  it("that never comes: a rank says so, and ends", patient, async () => {
    const { rank } = job(2)
    const one = rank(1, [], { EZPZ_REDUCE_TIMEOUT: "6" })
    one.say(steps(1, 10, said(1)))
    one.end()
    const { code, error, out } = await one.ended
    assert.deepStrictEqual([code, out], [0, ""])
    assert.match(error, /Rank 0 was not there in the 6 s that rank 1 waited at its end: its 10 records are in no run/)
  })

  it("whose ranks never come: it says so, and ends with what it has", patient, async () => {
    const { log, rank } = job(3)
    const root = rank(0, [], { EZPZ_REDUCE_TIMEOUT: "6" })
    root.say(steps(1, 10, said(0)))
    const [{ code, error, out }] = await endAll(root)
    assert.strictEqual(code, 0)
    assert.match(error, /2 of 3 ranks never came/)
    check(log(), 10, () => [0])
    assert.deepStrictEqual(printed(out), upTo(10))
  })

  it("two runs of one job, one after the other: neither hears of the other", patient, async () => {
    const { directory, rank } = job(2)
    const runs = ["a", "b"].map((name) => Path.join(directory, name))
    const says = runs.map((_, i) => steps(1, 10, (step) => ({ loss: i * 100 + step })))
    const first = rank(0, ["--outdir", runs[0] ?? ""])
    const one = rank(1)
    first.say(says[0] ?? "")
    one.say(says[0] ?? "")
    one.end()
    assert.strictEqual((await one.ended).code, 0)
    // The rank begins the second run while the root is still at the first.
    const early = rank(1)
    early.say(says[1] ?? "")
    early.end()
    await sleep(1500)
    first.end()
    assert.strictEqual((await first.ended).code, 0)
    const second = rank(0, ["--outdir", runs[1] ?? ""])
    second.say(says[1] ?? "")
    second.end()
    assert.deepStrictEqual((await Promise.all([second.ended, early.ended])).map(({ code }) => code), [0, 0])
    for (const [i, run] of runs.entries()) {
      for (const { aggregated, count, seq } of read(run).closings) {
        assert.strictEqual(count, 2)
        assert.deepInclude(aggregated, { "loss/mean": i * 100 + seq, "loss/std": 0 })
      }
      assert.strictEqual(read(run).closings.length, 10)
    }
  })
})
