import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ezpz, lines, logged, run, temporary } from "./command.ts"

const bash = (script: string): ReadonlyArray<string> => ["--", "bash", "-c", script]

describe("run -- CMD", () => {
  for (
    const [code, ending] of [[0, "exit 0"], [3, "exit 3"], [137, "kill -KILL $$"], [134, "kill -ABRT $$"]] as const
  ) {
    it(`ends with the command's code: \`${ending}\` is ${code}`, async () => {
      const directory = temporary()
      const script = `echo '{"step":1,"loss":0.5}'; ${ending}`
      const ended = await run(["run", "--outdir", directory, "--no-plots", ...bash(script)])
      assert.strictEqual(ended.code, code, ended.error)
      assert.match(ended.out, /^step=1 +loss=0.500000\n$/)
      assert.strictEqual(logged(directory).length, 1)
      const { state } = JSON.parse(Fs.readFileSync(Path.join(directory, ".ezpz/run.json"), "utf8"))
      assert.strictEqual(state, code === 0 ? "finished" : "failed")
    })
  }

  it("tracks what is JSON on its stdout, passes the rest and its stderr on, and leaves it its stdin", async () => {
    const script =
      `read name; echo "hello $name"; echo '{"step":1}'; printf 'to stderr\\r\\n\\xff\\n' >&2; printf '{"step":2}'`
    const ended = await run(["run", "-o", temporary(), "--no-finalize", ...bash(script)], { input: "world\n" })
    assert.strictEqual(ended.out, "step=1\nstep=2\n")
    const first = lines(ended.error)
    assert.include(first, "hello world")
    // Both write to one pipe, so our line may come between two of the command's.
    for (const line of ["to stderr\r\n", "\xff\n"]) {
      assert.isTrue(ended.stderr.includes(Buffer.from(line, "latin1")), line)
    }
  })

  it("passes the command's arguments on untouched", async () => {
    const args = ["--help", "-q", "--outdir", "a b", "'", "", "*", "--", "-"]
    const ended = await run(["run", "-o", temporary(), "--no-finalize", "--", "printf", "[%s]\\n", ...args])
    assert.include(ended.error, args.map((arg) => `[${arg}]\n`).join(""))
  })

  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
    it(`forwards ${signal}, tracks what the command still says, and ends with ${code}`, async () => {
      const directory = temporary()
      const script = `trap 'echo "{\\"step\\":2}"; exit 7' ${
        signal.slice(3)
      }; echo '{"step":1}'; while :; do sleep 0.05; done`
      const running = ezpz(["run", "-o", directory, "--no-plots", ...bash(script)])
      await running.until(() => running.out().includes("step=1"))
      running.process.kill(signal)
      const { code: ended, error } = await running.ended
      assert.strictEqual(ended, code, error)
      assert.deepStrictEqual(logged(directory).map(({ step }) => step), [1, 2])
    })
  }

  it("a second signal ends at once, and the command with it", async () => {
    const directory = temporary()
    const script = `trap '' TERM; echo "{\\"step\\":$$}"; while :; do sleep 0.05; done`
    const running = ezpz(["run", "-o", directory, ...bash(script)])
    await running.until(() => running.out().includes("step="))
    running.process.kill("SIGTERM")
    await running.until(() => running.error().includes("SIGTERM: finishing"))
    running.process.kill("SIGTERM")
    const { code } = await running.ended
    assert.strictEqual(code, 143)
    const pid = logged(directory)[0]?.step ?? 0
    for (let tries = 0; tries < 100 && alive(pid); tries++) await new Promise((resolve) => setTimeout(resolve, 20))
    assert.isFalse(alive(pid))
  })

  it("says what is wrong with a command that cannot be started", async () => {
    const cwd = temporary()
    const missing = await run(["run", "-o", "a", "--", "no-such-command", "--x"], { cwd })
    assert.strictEqual(missing.code, 127)
    assert.match(missing.error, /^There is no command no-such-command\..*\n$/)
    Fs.writeFileSync(Path.join(cwd, "plain.txt"), "")
    const forbidden = await run(["run", "-o", "b", "--", "./plain.txt"], { cwd })
    assert.strictEqual(forbidden.code, 126)
    assert.match(forbidden.error, /^\.\/plain\.txt cannot be started: .*\n$/)
    // Nothing was tracked, so the directory is free for the next attempt.
    const again = await run(["run", "-o", "a", "--no-plots", ...bash("echo '{\"a\":1}'")], { cwd })
    assert.strictEqual(again.code, 0, again.error)
  })

  it("does not start the command for a run that cannot be written", async () => {
    const cwd = temporary()
    await run(["-", "-o", "a", "--no-finalize"], { cwd, input: "{\"a\":1}\n" })
    const { code } = await run(["run", "-o", "a", "--", "touch", "started"], { cwd })
    assert.strictEqual(code, 2)
    assert.isFalse(Fs.existsSync(Path.join(cwd, "started")))
  })

  it("names the run's project after the script", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "train_it.sh"), "echo '{\"loss\":1}'")
    await run(["run", "--no-finalize", "--", "bash", "-e", "./train_it.sh", "--lr", "0.5"], { cwd })
    assert.deepStrictEqual(Fs.readdirSync(Path.join(cwd, "outputs")), ["train_it"])
  })
})

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
