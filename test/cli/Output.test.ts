import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { account, ezpz, lines, logged, records, run, shell, temporary } from "./command.ts"

const note = "stdout was closed; nothing more is written there"

describe("what reads the output may go away", () => {
  it("a closed stdout (| head -1) stops the lines and nothing else", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "in.jsonl"), records(50_000))
    const script = "ezpz-stream in.jsonl --outdir run --no-plots 2>err | head -1; echo ${PIPESTATUS[0]}"
    const { out } = await shell(script, { cwd }).ended
    assert.deepStrictEqual(lines(out).map((line) => line.slice(0, 6)), ["step=1", "0"])
    assert.strictEqual(logged(Path.join(cwd, "run")).length, 50_000)
    const error = Fs.readFileSync(Path.join(cwd, "err"), "utf8")
    assert.strictEqual(error.split(note).length, 2, "told once")
    assert.deepStrictEqual(account(error), { lines: 50_000, accepted: 50_000, refused: 0 })
    assert.isTrue(Fs.existsSync(Path.join(cwd, "run/dataset.h5")))
  })

  it("a job goes on when stdout is closed between two records", async () => {
    const directory = temporary()
    const running = ezpz(["-", "--outdir", directory, "--no-plots"])
    await running.write(records(1))
    await running.until(() => running.out() !== "")
    running.process.stdout?.destroy()
    for (let step = 2; step <= 20; step++) await running.write(records(1, step))
    running.end()
    const { code, error } = await running.ended
    assert.strictEqual(code, 0, error)
    assert.strictEqual(logged(directory).length, 20)
    assert.include(error, note)
  })

  it("stderr may be closed, too, or both may be", async () => {
    const cwd = temporary()
    const input = records(3000).replaceAll("}\n", "}\nnot a record\n")
    Fs.writeFileSync(Path.join(cwd, "in.txt"), input)
    const script = `
      ezpz-stream in.txt --outdir a --no-plots 2>&- >a.out; echo $?
      ezpz-stream in.txt --outdir b --no-plots >&- 2>&-; echo $?
      { ezpz-stream in.txt --outdir c --no-plots; echo $? >c.code; } 2>&1 | true
      { ezpz-stream in.txt --outdir d --no-plots; echo $? >d.code; } 2> >(true) | true
      wait; while [ ! -s d.code ]; do sleep 0.1; done; cat c.code d.code`
    const { out } = await shell(script, { cwd }).ended
    assert.deepStrictEqual(lines(out), ["0", "0", "0", "0"])
    for (const name of ["a", "b", "c", "d"]) assert.strictEqual(logged(Path.join(cwd, name)).length, 3000, name)
    assert.strictEqual(lines(Fs.readFileSync(Path.join(cwd, "a.out"), "utf8")).length, 3000)
  })

  it("a reader that is slow, or only begins at the end, misses nothing", async () => {
    const cwd = temporary()
    const n = 100_000
    Fs.writeFileSync(Path.join(cwd, "in.txt"), records(n).replaceAll("}\n", "}\nnot a record\n"))
    const script = `
      { ezpz-stream in.txt --outdir a --no-plots 2>err | { sleep 1; wc -l; }; }
      ezpz-stream in.txt --outdir b --no-finalize 2>&1 >/dev/null | { sleep 1; grep -c '^not a record'; }`
    const { out } = await shell(script, { cwd }).ended
    assert.deepStrictEqual(lines(out).map(Number), [n, n])
  })

  it("what is refused stands among what is accepted, in the order it came", async () => {
    const cwd = temporary()
    const mixed = "begin\n{\"step\":1}\n{\"step\":2}\nmiddle\nof\n{\"step\":3}\nend"
    Fs.writeFileSync(Path.join(cwd, "in.txt"), mixed)
    const script = "ezpz-stream in.txt --outdir a --no-finalize --tee > both 2>&1; head -7 both"
    const { out } = await shell(script, { cwd }).ended
    assert.strictEqual(out, `${mixed}\n`)
  })

  it("--tee gives the input byte for byte", async () => {
    const input = Buffer.concat([
      Buffer.from("\ufeff{\"step\": 1, \"note\": \"é 🚀\"}\r\n  {\"loss\": 0.10, \"x\": NaN} \n"),
      Buffer.from("{\"a\":{\"b\":[1,2.50]}}")
    ])
    const { code, stdout } = await run(["-", "--outdir", temporary(), "--no-finalize", "--tee"], { input })
    assert.strictEqual(code, 0)
    assert.isTrue(stdout.equals(input), stdout.toString())

    const many = Buffer.from(records(30_000))
    const all = await run(["-", "--outdir", temporary(), "--no-finalize", "--tee"], { input: many })
    assert.isTrue(all.stdout.equals(many))
  })

  it("--quiet prints nothing on stdout, and on stderr only what matters", async () => {
    const silent = await run(["-", "--outdir", temporary(), "--quiet", "--no-plots"], { input: records(10) })
    assert.deepStrictEqual([silent.code, silent.out, silent.error], [0, "", ""])

    const told = await run(["-", "--outdir", temporary(), "-q", "--no-plots"], { input: `${records(10)}oops\n` })
    assert.strictEqual(told.out, "")
    assert.deepStrictEqual(lines(told.error), [
      "oops",
      "11 lines: 10 accepted, 1 refused",
      "  1 × not JSON (first: line 11)"
    ])
  })

  it("no colour and no bar where there is no terminal", async () => {
    const { error, out } = await run(["-", "--outdir", temporary(), "--no-plots"], {
      input: records(1000),
      env: { EZPZ_TPLOT_STDOUT: "1" }
    })
    assert.notInclude(`${out}${error}`, "\u001b")
  })
})
