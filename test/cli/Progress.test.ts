import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Progress from "../../src/cli/Progress.ts"
import { type Bar, render } from "../../src/cli/Screen.ts"
import { main, records, shell, temporary } from "./command.ts"

const whole: Progress.Whole = { size: undefined, resumedAt: 0, isGiven: false, totalSteps: () => undefined }

const total = (steps: number): Partial<Progress.Whole> => ({ totalSteps: () => steps })

/** What the bar shows where a record has come in at each of the times (in seconds), with these steps. */
const bars = (
  steps: ReadonlyArray<readonly [seconds: number, step: number | undefined]>,
  known: Partial<Progress.Whole> = {},
  bytesEach = 10
): ReadonlyArray<Bar> => {
  const barOf = Progress.make({ ...whole, ...known })
  const firstStep = steps.find(([, step]) => step !== undefined)?.[1]
  return steps.map(([seconds, step], i) =>
    barOf({ bytes: (i + 1) * bytesEach, accepted: i + 1, refused: 0, firstStep, step }, seconds * 1000)
  )
}

const said = (...given: Parameters<typeof bars>): ReadonlyArray<string> => lastOf(...given)?.details ?? []

const lastOf = (...given: Parameters<typeof bars>): Bar | undefined => bars(...given).at(-1)

/** Steps that follow one another every so many seconds. */
const even = (n: number, from: number, seconds = 1, by = 1): ReadonlyArray<readonly [number, number]> =>
  Array.from({ length: n }, (_, i) => [i * seconds, from + i * by])

describe("the bar", () => {
  it("says steps, time left, rate and time elapsed, from steps that begin at 1 or at 0", () => {
    for (const from of [0, 1]) {
      const bar = lastOf(even(21, from), total(101))
      assert.deepStrictEqual(bar?.details, ["21/101 steps", "1:20 left", "1.00 steps/s", "0:20 elapsed"])
      assert.strictEqual(bar?.fraction, 21 / 101)
      const last = lastOf(even(20, from), total(20))
      assert.deepStrictEqual([last?.fraction, last?.details[0]], [1, "20/20 steps"], "complete, whatever the first was")
    }
  })

  it("of records without steps counts each as one", () => {
    const steps = even(11, 0, 2).map(([seconds]) => [seconds, undefined] as const)
    assert.deepStrictEqual(lastOf(steps, total(21))?.details, [
      "11/21 records",
      "0:20 left",
      "2.00 s/record",
      "0:20 elapsed"
    ])
    assert.deepStrictEqual(lastOf(steps)?.details, ["11 records", "2.00 s/record", "0:20 elapsed"])
  })

  it("right after a resume counts what was there, and takes none of it for fast", () => {
    const known = { ...total(1000), resumedAt: 500 }
    const [first, second] = bars(even(2, 500), known)
    assert.deepStrictEqual([first?.fraction, first?.details], [0.501, ["501/1,000 steps", "0:00 elapsed"]])
    assert.deepStrictEqual(second?.details.slice(1, 3), ["8:18 left", "1.00 steps/s"])
    assert.strictEqual(bars(even(1, 501), known)[0]?.fraction, 0.501, "steps from 1")
    const without = [[0, undefined], [1, undefined]] as const
    assert.deepStrictEqual(lastOf(without, known)?.details[0], "502/1,000 records")
  })

  it("of a total that was passed says so, and nothing of the time left", () => {
    const bar = lastOf(even(12, 1), total(10))
    assert.isUndefined(bar?.fraction)
    assert.deepStrictEqual(bar?.details, ["step 12 (of 10)", "1.00 steps/s", "0:11 elapsed"])
  })

  it("takes the file's size before a total of the records, and --total-steps before both", () => {
    const known = { ...total(1000), size: 100 }
    const bar = lastOf(even(5, 1), known)
    assert.deepStrictEqual([bar?.fraction, bar?.details[0]], [0.5, "5 records"])
    assert.strictEqual(bar?.details[1], "0:05 left")
    assert.strictEqual(lastOf(even(5, 1), { ...known, isGiven: true })?.fraction, 0.005)
    assert.strictEqual(lastOf(even(11, 1), known)?.fraction, 0.011, "a file that has grown has no size any more")
  })

  it.effect("begins with the first input, and is drawn twice a second", () =>
    Effect.gen(function*() {
      const none = { bytes: 0, accepted: 0, refused: 0, firstStep: undefined, step: undefined }
      let counters: Progress.Counters = none
      const drawn: Array<Bar> = []
      const screen = { progress: (bar: () => Bar) => void drawn.push(bar()) }
      yield* Effect.forkChild(Progress.show(screen, { ...whole, ...total(100) }, () => counters))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(drawn.length, 0)
      for (let step = 1; step <= 4; step++) {
        counters = { ...none, bytes: step, accepted: step, refused: 1, firstStep: 1, step }
        yield* TestClock.adjust("2 seconds")
      }
      assert.strictEqual(drawn.length, 16)
      assert.deepStrictEqual(drawn.at(-1)?.details, [
        "4/100 steps",
        "1 refused",
        "3:12 left",
        "2.00 s/step",
        "0:08 elapsed"
      ])
    }))
})

describe("the rate", () => {
  it("leaves out where the step jumped or went back, once or again and again", () => {
    const jumped = [...even(20, 0), ...even(20, 50_000).map(([s, step]) => [s + 20, step] as const)]
    assert.include(said(jumped, total(100_000)), "1.00 steps/s")
    const back = [...even(20, 100), ...even(10, 80).map(([s, step]) => [s + 20, step] as const)]
    assert.include(said(back, total(100_000)), "1.00 steps/s")
    // An evaluation counts on its own.
    const mixed = even(60, 1000).map(([s, step], i) =>
      i % 7 === 3 ? [s, Math.floor(step / 100)] as const : [s, step] as const
    )
    assert.include(said(mixed, total(2000)), "1.00 steps/s")
  })

  it("takes even strides for steps, and a burst for what it is", () => {
    assert.include(said(even(10, 19, 4, 20)), "5.00 steps/s")
    const barOf = Progress.make(whole)
    const bar = [[0, 100], [60, 200], [60.5, 300], [61, 400], [120, 500], [120.5, 600], [121, 700]].map((
      [s = 0, n = 0]
    ) => barOf({ bytes: n, accepted: n, refused: 0, firstStep: 1, step: n }, s * 1000)).at(-1)
    assert.include(bar?.details ?? [], "4.96 steps/s")
  })

  it("falls in a pause, forgets what is long past, and keeps a few of slow steps", () => {
    const even10 = Array.from({ length: 11 }, (_, i) => ({ at: i * 1000, amount: i, records: i }))
    assert.deepStrictEqual([10, 11, 20, 110].map((now) => Progress.rateOf(even10, now * 1000)), [
      1,
      1,
      10 / 19,
      10 / 109
    ])
    const faster = [...even(100, 1), ...even(500, 101, 0.5).map(([s, step]) => [s + 100, step] as const)]
    assert.include(said(faster), "2.00 steps/s")
    assert.include(said(even(10, 1, 600), total(20)), "10:00/step")
    assert.include(said(even(10, 1, 600), total(20)), "1:40:00 left")
  })

  it("is not said before there is one, nor is a time that nobody will see the end of", () => {
    assert.deepStrictEqual(lastOf([[0, 5], [10, 5]], total(10))?.details, ["5/10 steps", "0:10 elapsed"])
    assert.deepStrictEqual(lastOf(even(3, 1), total(1e15))?.details.length, 3)
    assert.deepStrictEqual([0, 59.6, 3599, 3661, 90_061].map(Progress.duration), [
      "0:00",
      "1:00",
      "59:59",
      "1:01:01",
      "1d 01:01"
    ])
  })
})

describe("the line of the bar", () => {
  const bar: Bar = {
    label: "tracking",
    fraction: 0.5,
    details: ["1,234/2,468 steps", "3:01 left", "12.5 steps/s", "4:05 elapsed"]
  }

  it("never reaches the last column, and gives up the bar's length first, then the last details", () => {
    for (let columns = 1; columns <= 200; columns++) {
      for (const fraction of [undefined, 0, 0.999, 1, 7]) {
        assert.isAtMost(render({ ...bar, fraction }, columns).length, Math.max(0, columns - 1))
      }
    }
    assert.strictEqual(
      render(bar, 120),
      `tracking ${"━".repeat(12)}${"─".repeat(12)}  50%  1,234/2,468 steps · 3:01 left · 12.5 steps/s · 4:05 elapsed`
    )
    assert.match(render(bar, 80), /^tracking ━{4,}─{4,} {2}50% .* 12\.5 steps\/s$/)
    assert.strictEqual(render(bar, 42), "tracking ━━━━────  50%  1,234/2,468 steps")
    assert.strictEqual(render(bar, 41), "tracking  50%  1,234/2,468 steps")
    assert.strictEqual(render({ ...bar, fraction: undefined }, 42), "tracking  1,234/2,468 steps · 3:01 left")
  })

  it("is whole at the end alone", () => {
    assert.include(render({ ...bar, fraction: 0.9999 }, 120), " 99% ")
    assert.include(render({ ...bar, fraction: 1 }, 120), `${"━".repeat(24)} 100% `)
  })
})

// -----------------------------------------------------------------------------
// A real terminal
// -----------------------------------------------------------------------------

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Runs a script on a terminal of 100 columns, which has what was written to it as its own output. */
const onTerminal = async (script: string, cwd: string, env: Readonly<Record<string, string>> = {}): Promise<string> => {
  Fs.writeFileSync(Path.join(cwd, "job.sh"), `stty cols 100 rows 30\n${script}\n`)
  const inner = `ezpz-stream() { "$NODE" "$MAIN" "$@"; }; . ./job.sh`
  const { out } = await shell(
    `export NODE=${quote(process.execPath)} MAIN=${quote(main)}; script -qec ${
      quote(`bash -c ${quote(inner)}`)
    } /dev/null`,
    { cwd, env: { TERM: "xterm-256color", ...env }, stdio: ["ignore", "pipe", "pipe"] }
  ).ended
  return out.replaceAll("\u001b", escape)
}

/** What stands for the character ESC here. */
const escape = "␛"

/** A job of steps from `from`, ten in a second. */
const job = (from: number, to: number, more = ""): string =>
  `for i in $(seq ${from} ${to}); do echo "{\\"step\\": $i, \\"loss\\": 1${more}}"; sleep 0.1; done`

/** The bars that were drawn. */
const barsIn = (output: string): ReadonlyArray<string> =>
  [...output.matchAll(/\r␛\[K(tracking[^\r]*)\r/g)].map(([, text = ""]) => text)

/** The lines on the screen at the end. */
const screenOf = (output: string): ReadonlyArray<string> => {
  const lines = [""]
  let column = 0
  for (const [token] of output.matchAll(/␛\[K|[^]/gu)) {
    const line = lines.at(-1) ?? ""
    if (token === "\r") column = 0
    else if (token === "\n") {
      lines.push("")
      column = 0
    } else if (token === `${escape}[K`) lines.splice(-1, 1, line.slice(0, column))
    else {
      lines.splice(-1, 1, line.slice(0, column) + token + line.slice(column + 1))
      column++
    }
  }
  return lines
}

describe("on a terminal", () => {
  it("the bar stays below the lines and is gone at the end; it has no colours", async () => {
    const cwd = temporary()
    const script = `(${job(1, 20, `, \\"total_steps\\": 40`)}) | ezpz-stream --no-finalize -o run`
    const output = await onTerminal(script, cwd, { NO_COLOR: "1" })
    const drawn = barsIn(output)
    assert.isNotEmpty(drawn, output)
    assert.match(
      drawn.at(-1) ?? "",
      /^tracking ━+─+ {2}\d\d% {2}\d+\/40 steps · 0:0\d left · [\d.]+ steps\/s · 0:0\d elapsed$/
    )
    for (const line of drawn) assert.isBelow(line.length, 100)
    const screen = screenOf(output)
    assert.deepStrictEqual(
      screen.slice(0, 20).map((line) => line.slice(0, 8).trim()),
      Array.from({ length: 20 }, (_, i) => `step=${i + 1}`)
    )
    assert.strictEqual(screen[20], "20 lines: 20 accepted, 0 refused")
    assert.notMatch(output, /␛\[[\d;]*m/)
    assert.strictEqual(JSON.parse(Fs.readFileSync(Path.join(cwd, "run/.ezpz/run.json"), "utf8")).totalSteps, 40)
  })

  it("--total-steps is what a run goes on with, and wins over a file's size and what records say", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "first.jsonl"), records(50))
    const script = [
      `ezpz-stream --no-finalize -o run --total-steps 100 first.jsonl`,
      `(${job(51, 62, `, \\"total_steps\\": 7`)}) | ezpz-stream --no-finalize -o run --resume --total-steps 200`
    ].join("\n")
    const drawn = barsIn(await onTerminal(script, cwd))
    assert.match(drawn.at(-1) ?? "", / {2}(2[5-9]|3[01])% {2}(5[1-9]|6[0-2])\/200 steps · /)
    assert.strictEqual(JSON.parse(Fs.readFileSync(Path.join(cwd, "run/.ezpz/run.json"), "utf8")).totalSteps, 200)
  })

  it("a file's size is known by its name and through <", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "in.jsonl"), records(400_000))
    for (const input of ["in.jsonl", "- < in.jsonl"]) {
      const options = "--no-finalize --every 100000 -o run --overwrite"
      const drawn = barsIn(await onTerminal(`ezpz-stream ${options} ${input}`, cwd))
      assert.isNotEmpty(drawn, input)
      for (const line of drawn) assert.match(line, /^tracking [━─]{8,24} {1,3}\d+% {2}[\d,]+ records · /, input)
    }
  })

  it("of a file that somebody has read from before us, what is left is the whole", async () => {
    const cwd = temporary()
    const line = `{"step": 100000, "loss": 0.5}\n`
    Fs.writeFileSync(Path.join(cwd, "in.jsonl"), line.repeat(800_000))
    const options = "--no-finalize --every 100000 -o run"
    const script = `(head -c ${400_000 * line.length} > /dev/null; ezpz-stream ${options} -) < in.jsonl`
    const last = barsIn(await onTerminal(script, cwd)).at(-1) ?? ""
    const [, percent = "", count = ""] = / (\d+)% {2}([\d,]+) records/.exec(last) ?? []
    assert.isAbove(Number(percent), Number(count.replaceAll(",", "")) / 4000 - 3, last)
    assert.isAtMost(Number(percent), 100)
  })

  it("there is none with --quiet, on a dumb terminal, or where stderr is elsewhere", async () => {
    const cwd = temporary()
    const input = `(${job(1, 10)})`
    const script = [
      `${input} | ezpz-stream --no-finalize --quiet -o a`,
      `${input} | TERM=dumb ezpz-stream --no-finalize -o b`,
      `${input} | ezpz-stream --no-finalize -o c 2> err`,
      `(${job(1, 10)}) | ezpz-stream --no-finalize -o d 2>&1 | cat`
    ].join("\n")
    const output = await onTerminal(script, cwd)
    assert.notInclude(output, escape)
    assert.notInclude(Fs.readFileSync(Path.join(cwd, "err"), "utf8"), "\u001b")
    assert.strictEqual(screenOf(output).filter((line) => line.startsWith("step=")).length, 30)
  })
})
