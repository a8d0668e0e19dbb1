import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ezpz, temporary } from "../cli/command.ts"
import { steps, write } from "./run.ts"
import { commandLine, ended, has, open, watch } from "./tmux.ts"

const sizes = [{ columns: 80, rows: 24 }, { columns: 120, rows: 40 }, { columns: 220, rows: 60 }]

describe("watch, in a terminal", () => {
  for (const size of sizes) {
    it(`follows a run that goes on, at ${size.columns}x${size.rows}`, async () => {
      const directory = Path.join(temporary(), "run")
      const tracked = ezpz(["--outdir", directory, "--project", "demo", "--no-plots", "--backends", "none", "--quiet"])
      await tracked.write("{\"step\": 1, \"train/loss\": 4, \"eval/acc\": 0.25}\n")
      const log = Path.join(directory, "metrics.jsonl")
      const isThere = (): boolean => Fs.existsSync(log) && Fs.statSync(log).size > 0
      while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 20))

      const terminal = watch([directory, "--total-steps", "10"], size)
      const first = await terminal.until(
        has("running", "demo /", "step 1/10", "train/loss", "eval/acc", "train", "eval")
      )
      assert.isAtMost(Math.max(...first.split("\n").map((line) => line.length)), size.columns)
      await tracked.write("{\"step\": 2, \"train/loss\": 3.125, \"eval/acc\": 0.75}\n")
      await terminal.until(has("step 2/10", "3.125", "0.75"))
      await tracked.write("{\"step\": 3, \"train/loss\": 2.25, \"eval/new\": 1}\n")
      await terminal.until(has("2.25", "eval/new"))

      terminal.press("?")
      await terminal.until(has("filter by a regular expression", "slow ranks"))
      terminal.press("Escape")
      terminal.press("/")
      terminal.type("LOSS|acc")
      await terminal.until(has("/LOSS|acc", "1 of 3"))
      terminal.press("C-u")
      terminal.type("loss|acc")
      await terminal.until(has("2 of 3"))
      terminal.press("Enter")
      await terminal.until((screen) => screen.includes("/loss|acc") && !screen.includes("eval/new"))
      terminal.press("Right", "Enter", "Home")
      await terminal.until(has("2 of 2", "step 1   after 0.0s   value 0.25"))
      terminal.press("Right")
      await terminal.until(has("value 0.25"))
      terminal.press("End")
      await terminal.until(has("step 2", "value 0.75"))

      tracked.end()
      await tracked.ended
      await terminal.until(has("finished"))
      terminal.press("q")
      await ended(terminal, 0)
    })
  }

  it("shows bands, scales, smoothing, groups and slow ranks, and says what is chosen", async () => {
    const directory = temporary()
    write(directory, steps(1, 200), { config: { train: { total_steps: 4000 } } })
    const terminal = watch([directory], { columns: 120, rows: 40 })
    await terminal.until(has("finished", "step 2,000/4,000", "50%", "ranks 4", "train/loss", "±", "eval/acc"))
    terminal.press("r")
    const ranks = await terminal.until(has("Ranks: 4 in 200 records"))
    assert.match(ranks, /train\/dt +3 slowest +90% +25% +20%/)
    terminal.press("r", "y", "s", "b", "x")
    await terminal.until(has("log · smooth 0.6 · min..max · x: time"))
    terminal.press("x", "Tab")
    await terminal.until((screen) => screen.includes("train/dt") && !screen.includes("eval/acc"))
    terminal.press("Enter", "Home")
    await terminal.until(has("ranks: mean 1 ± 0.1", "min 0.9 (rank 2)", "max 1.2 (rank 1)"))
    terminal.press("+", "+")
    await terminal.until((screen) => screen.includes("500") && !screen.includes("2000"))
    terminal.press("C-c")
    await ended(terminal, 130)
  })

  it("fits another size at once, however small or large", async () => {
    const directory = temporary()
    write(directory, steps(1, 20))
    const terminal = watch([directory], { columns: 80, rows: 24 })
    await terminal.until(has("train/loss"))
    for (const [columns, rows] of [[20, 6], [5, 2], [300, 90], [80, 24]] as const) {
      terminal.resize(columns, rows)
      await terminal.until((screen) =>
        screen.split("\n").length - 1 === rows && (columns < 20 || screen.includes("finished")) &&
        (columns !== 300 || screen.includes("? help  q quit"))
      )
    }
    await terminal.until(has("train/loss", "eval/acc", "? help  q quit"))
    terminal.press("q")
    await ended(terminal, 0)
  })

  it("gives the terminal back when it is told to end", async () => {
    const directory = temporary()
    write(directory, steps(1, 20))
    for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
      const terminal = watch([directory], { columns: 80, rows: 24 })
      await terminal.until(has("train/loss"))
      assert.isTrue(terminal.modes().alternate)
      process.kill(terminal.pid(), signal)
      await ended(terminal, code)
    }
  })

  it("stops as any program does, and goes on where it was", async () => {
    const directory = temporary()
    write(directory, steps(1, 20))
    const terminal = open(["bash", "--norc", "--noprofile", "-i"], { columns: 100, rows: 24, env: { PS1: "ready " } })
    terminal.type(`${commandLine([directory])}\n`)
    await terminal.until(has("finished", "train/loss", "? help"))
    terminal.press("C-z")
    await terminal.until(has("Stopped"))
    assert.deepStrictEqual(terminal.modes(), { alternate: false, cursor: true })
    terminal.type("fg\n")
    await terminal.until(has("finished", "train/loss", "? help"))
    terminal.press("q")
    await terminal.until((shown) => shown.trimEnd().endsWith("ready"))
    terminal.type("echo over-$?; stty -a | tr ' ;' '\\n\\n' | grep icanon\n")
    await terminal.until((shown) => /^over-0\nicanon$/m.test(shown))
  })

  it("has no colour under NO_COLOR", async () => {
    const directory = temporary()
    write(directory, steps(1, 20))
    const plain = watch([directory], { columns: 80, rows: 24, env: { NO_COLOR: "1" } })
    const colored = watch([directory], { columns: 80, rows: 24 })
    await plain.until(has("train/loss", "? help"))
    await colored.until(has("train/loss", "? help"))
    assert.notMatch(plain.screen(true), /\p{Cc}\[[\d;]*3[0-7]/u)
    assert.match(colored.screen(true), /\p{Cc}\[[\d;]*3[0-7]/u)
  })
})
