import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { main, run as command, start, temporary } from "../cli/command.ts"
import { steps, write } from "./run.ts"
import { ended, has, watch } from "./tmux.ts"

describe("watch, of what is not well", () => {
  it("keeps what it has when the run is deleted under two of it, and goes on with another", async () => {
    const directory = Path.join(temporary(), "run")
    write(directory, `${steps(1, 20)}{"seq":21,"torn\n${steps(22, 30)}{"seq":31,"st`)
    const both = [{ columns: 80, rows: 24 }, { columns: 120, rows: 40 }].map((size) => watch([directory], size))
    for (const one of both) await one.until(has("finished", "step 300", "torn lines 1"))
    Fs.rmSync(directory, { recursive: true })
    for (const one of both) await one.until(has("gone", "its log was deleted or moved", "train/loss", "step 300"))
    write(directory, steps(1, 5))
    for (const one of both) await one.until(has("finished", "step 50"))
    for (const one of both) {
      one.press("q")
      await ended(one, 0)
    }
  })

  it("shows names that would do something to a terminal as text", async () => {
    const directory = temporary()
    const evil = ["\x1b[31mred\x1b[2J", "a\nb", "\x9b2J", "\u202eright", "\x07bell", "<img src=x onerror=alert(1)>"]
    const metrics = Object.fromEntries(evil.map((name, nth) => [name, nth]))
    write(directory, `${JSON.stringify({ seq: 1, step: 1, timestamp: 1, rank: 0, metrics })}\n`, {
      config: { evil: "\x1b[2J" }
    })
    const terminal = watch([directory], { columns: 120, rows: 40 })
    await terminal.until(has("\\x1b[31mred\\x1b[2J", "a\\x0ab", "\\x9b2J", "\\u202eright", "\\x07bell", "<img src=x"))
    terminal.press("q")
    await ended(terminal, 0)
    const { out } = await command(["watch", directory])
    assert.isFalse(/[\p{Cc}\p{Cf}]/u.test(out.replaceAll("\n", "")))
  })

  it("finds its way among 20,000 metrics", async () => {
    const directory = temporary()
    const metrics = Object.fromEntries(Array.from({ length: 20_000 }, (_, nth) => [`g${nth % 300}/m${nth}`, nth]))
    const line = (seq: number) => `${JSON.stringify({ seq, step: seq, timestamp: seq, rank: 0, metrics })}\n`
    write(directory, line(1) + line(2))
    const terminal = watch([directory], { columns: 80, rows: 24 })
    await terminal.until(has("1-4 of 20,000", "g0/m0"))
    terminal.press("G")
    await terminal.until(has("20,000 of 20,000", "g199/m19999"))
    terminal.press("/")
    terminal.type("m1234$")
    await terminal.until(has("1 of 20,000", "g34/m1234"))
    terminal.press("Enter", "q")
    await ended(terminal, 0)
  })
})

describe("watch, without a terminal", () => {
  it("prints the run once", async () => {
    const directory = temporary()
    write(directory, steps(1, 200))
    const { code, error, out } = await command(["watch", directory, "--filter", "train"])
    assert.deepStrictEqual([code, error], [0, ""])
    assert.match(out, /^● finished {2}demo \/ 20261123-134512-k3f9\nstep 2,000 /)
    assert.match(out, /^train\/loss +0\.005 ±0\.0005 +0\.0045 +1\.2 /m)
    assert.notMatch(out, /eval\/acc/)
    assert.include(out, "rank 3 is the slowest of train/dt in 90% of the records")
    assert.notInclude(out, "\x1b")
  })

  it("refuses what is no run, and a pattern that is none", async () => {
    const directory = temporary()
    Fs.writeFileSync(Path.join(directory, "plain.jsonl"), "{\"loss\": 1}\n")
    for (
      const [args, message] of [
        [[directory], /it is not a run/],
        [[Path.join(directory, "no")], /there is no such run/],
        [[Path.join(directory, "plain.jsonl")], /is not a run's log/],
        [[directory, "--filter", "("], /--filter: .*Unterminated group/]
      ] as const
    ) {
      const { code, error } = await command(["watch", ...args])
      assert.strictEqual(code, 2)
      assert.match(error, message)
    }
  })

  it("shows a run that was copied by half", async () => {
    const directory = temporary()
    const log = write(directory, "{\"seq\":1,\"step\":1,\"timest")
    Fs.writeFileSync(Path.join(directory, ".ezpz", "run.json"), "{\"format\":1,\"ru")
    const { code, out } = await command(["watch", directory])
    assert.deepStrictEqual([code, out.includes("no records yet")], [0, true])
    Fs.writeFileSync(log, steps(1, 3).slice(5))
    assert.match((await command(["watch", directory])).out, /train\/loss/)
  })

  it("ends well when its reader does", async () => {
    const directory = temporary()
    write(directory, steps(1, 20))
    const reader = start("bash", [
      "-c",
      `"${process.execPath}" "${main}" watch "${directory}" | true; echo "\${PIPESTATUS[0]}"`
    ])
    assert.strictEqual((await reader.ended).out, "0\n")
  })
})
