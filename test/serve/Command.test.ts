import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { ezpz, run, temporary } from "../cli/command.ts"
import { ask, falling, make } from "./runs.ts"

/** Starts the command, and waits for the address it prints. */
const serving = async (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}, cwd?: string) => {
  const command = ezpz(["serve", ...args], { env, ...cwd === undefined ? {} : { cwd } })
  await command.until(({ out }) => out().includes("\n"))
  const address = new URL(command.out().trim())
  return { command, address, port: Number(address.port) }
}

describe("ezpz-stream serve", () => {
  it("prints the address, serves the runs, and ends with a signal", async () => {
    const root = temporary()
    make(root, "a", falling(3))
    const { address, command, port } = await serving(["--port", "0", root])
    assert.strictEqual(address.hostname, "127.0.0.1")
    assert.strictEqual(address.search, "")
    assert.include((await ask(port, "/api/runs")).text, "\"id\":\"a\"")
    assert.include((await ask(port, "/")).text, "page.js")
    assert.strictEqual((await ask(port, "/page.js")).status, 200)
    command.process.kill("SIGINT")
    const { code, error } = await command.ended
    assert.strictEqual(code, 130)
    assert.match(error, /^Runs below .*Only this machine can reach it\. Ctrl\+C ends it\.\n$/)
  })

  it("takes outputs/ where no root is named, a run, or its log", async () => {
    const root = temporary()
    const directory = make(root, "outputs/demo/a", falling(3))
    for (
      const [args, id] of [[[], "demo/a"], [[directory], "."], [[Path.join(directory, "metrics.jsonl")], "."]] as const
    ) {
      const { command, port } = await serving(["--port", "0", ...args], {}, root)
      assert.include((await ask(port, "/api/runs")).text, `"id":"${id}"`)
      command.process.kill("SIGTERM")
      assert.strictEqual((await command.ended).code, 143)
    }
  })

  it("listens elsewhere only with a token, its own or the one it is given", async () => {
    const root = temporary()
    make(root, "a", falling(3))
    const token = "chosen-by-somebody"
    for (const env of [{}, { EZPZ_SERVE_TOKEN: token }]) {
      const { address, port } = await serving(["--host", "0.0.0.0", "--port", "0", root], env)
      const given = address.searchParams.get("token") ?? ""
      if ("EZPZ_SERVE_TOKEN" in env) assert.strictEqual(given, token)
      else assert.match(given, /^[\w-]{32}$/)
      assert.strictEqual((await ask(port, "/api/runs")).status, 401)
      const headers = { Authorization: `Bearer ${given}` }
      assert.strictEqual((await ask(port, "/api/runs", { headers })).status, 200)
    }
    const asked = await serving(["--token", "--port", "0", root])
    assert.strictEqual((await ask(asked.port, "/api/runs")).status, 401)
    const weak = await run(["serve", "--host", "0.0.0.0", root], { env: { EZPZ_SERVE_TOKEN: "short" } })
    assert.strictEqual(weak.code, 2)
  })

  it("says why it cannot: a root that is not there, a file, a port that is taken", async () => {
    const root = temporary()
    Fs.writeFileSync(Path.join(root, "file"), "")
    for (const path of ["nosuch", "file"]) {
      const { code, error, out } = await run(["serve", Path.join(root, path)])
      assert.deepStrictEqual([code, out], [2, ""])
      assert.include(error, path)
    }
    const taken = Net.createServer()
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve))
    const address = taken.address()
    const port = typeof address === "object" ? address?.port : undefined
    const { code, error } = await run(["serve", "--port", String(port), root])
    taken.close()
    assert.strictEqual(code, 1)
    assert.match(error, /^Cannot serve: port \d+ of 127.0.0.1 is taken. --port 0/)
  })
})
