/** What `ezpz-stream doctor` says of ranks. */
import { assert, describe, it, onTestFinished } from "@effect/vitest"
import { spawn } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { main, run, temporary } from "./command.ts"

const rankOf = (directory: string, rank: number): Record<string, string> => ({
  EZPZ_RANK: `${rank}`,
  EZPZ_WORLD_SIZE: "2",
  EZPZ_LOCAL_RANK: `${rank}`,
  EZPZ_LOCAL_WORLD_SIZE: "2",
  EZPZ_JOB_ID: "doctor",
  EZPZ_RENDEZVOUS_DIR: directory
})

/** A rank 0 that waits for its input. */
const root = async (env: Readonly<Record<string, string>>): Promise<void> => {
  const child = spawn(process.execPath, [main, "--no-finalize", "--outdir", join(env["EZPZ_RENDEZVOUS_DIR"]!, "run")], {
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
    stdio: ["pipe", "ignore", "ignore"]
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  while (globSync(join(env["EZPZ_RENDEZVOUS_DIR"]!, "*", "root.json")).length === 0) {
    await new Promise((resume) => setTimeout(resume, 20))
  }
}

const said = (out: string, label: string): string => new RegExp(`^${label} +(.*)$`, "m").exec(out)?.[1] ?? ""

describe("doctor", () => {
  it("says that one rank needs no transport", async () => {
    const { code, out } = await run(["doctor"], { cwd: temporary() })
    assert.strictEqual(code, 0)
    assert.strictEqual(said(out, "rank"), "0 of 1 (launcher: none)")
    assert.strictEqual(said(out, "transport"), "none needed: one rank")
  })

  it("finds the root of several ranks, and says whether it answers; no key of it", async () => {
    const cwd = temporary()
    const before = await run(["doctor"], { cwd, env: rankOf(cwd, 1) })
    assert.strictEqual(before.code, 0)
    assert.strictEqual(said(before.out, "rank"), "1 of 2, 1 of 2 on this host (launcher: EZPZ_RANK)")
    assert.strictEqual(said(before.out, "job"), "doctor")
    assert.match(
      said(before.out, "root"),
      /^not found: .*root\.json is not there\. Looked for 3 s\. Is rank 0 running\?/
    )

    await root(rankOf(cwd, 0))
    const found = await run(["doctor"], { cwd, env: rankOf(cwd, 1) })
    assert.match(said(found.out, "root"), /^answers at ipc:\/\//)
    assert.match(said(found.out, "transport"), /^ZeroMQ over ipc/)
    const [file = ""] = globSync(join(cwd, "*", "root.json"))
    const keys = readFileSync(file, "utf8").match(/Key":"[^"]{40}"/g) ?? []
    assert.strictEqual(keys.length, 4)
    for (const key of keys) assert.notInclude(found.out, key.slice(6, -1))
  })

  it("asks for it at the endpoint that was given, with keys from the secret, and does not show that", async () => {
    const cwd = temporary()
    const secret = "of-no-concern-to-anybody"
    const at = { EZPZ_ROOT: "tcp://127.0.0.1:9", EZPZ_SECRET: secret }
    const { code, error, out } = await run(["doctor"], { cwd, env: { ...rankOf(cwd, 1), ...at } })
    assert.strictEqual(code, 0)
    assert.strictEqual(said(out, "root"), "does not answer at tcp://127.0.0.1:9")
    assert.strictEqual(said(out, "transport"), "ZeroMQ over tcp, encrypted (CURVE), with keys from EZPZ_SECRET")
    assert.notInclude(out + error, secret)
  })

  it("says what turns statistics off", async () => {
    const cwd = temporary()
    const { out } = await run(["doctor"], { cwd, env: { ...rankOf(cwd, 0), EZPZ_LOCAL_HISTORY: "1" } })
    assert.strictEqual(said(out, "transport"), "none: EZPZ_LOCAL_HISTORY turns statistics across ranks off")
  })
})
