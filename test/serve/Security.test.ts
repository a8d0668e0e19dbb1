import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Api from "../../src/serve/Api.ts"
import { snapshot, temporary } from "../support/directory.ts"
import { type Answer, ask, falling, line, make, serve } from "./runs.ts"

const live = (name: string, test: Effect.Effect<void, unknown, Scope.Scope>): void =>
  it.live(name, () => Effect.scoped(test))

const get = (port: number, path: string, options: Parameters<typeof ask>[2] = {}): Effect.Effect<Answer> =>
  Effect.promise(() => ask(port, path, options))

/** An answer, as its schema says it is. */
const read = <S extends Schema.Decoder<unknown>>(schema: S, { status, text }: Answer): S["Type"] => {
  assert.strictEqual(status, 200, text)
  return Schema.decodeUnknownSync(schema)(JSON.parse(text), { onExcessProperty: "error" })
}

const problem = ({ text }: Answer): string => Schema.decodeUnknownSync(Api.Problem)(JSON.parse(text)).problem

describe("who may ask", () => {
  live(
    "a foreign Host is refused on every path, and so are other methods and other sites",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(1))
      const { port } = yield* serve(root)
      for (const path of ["/", "/page.js", "/api/runs", "/api/events?run=a", "/file?run=a&path=metrics.jsonl"]) {
        for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80"]) {
          const refused = yield* get(port, path, { headers: { Host: host } })
          assert.strictEqual(refused.status, 403)
          assert.notInclude(refused.text, "loss")
        }
        for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]) {
          assert.strictEqual((yield* get(port, path, { method })).status, 405)
        }
      }
      const foreign = yield* get(port, "/api/runs", { headers: { "Sec-Fetch-Site": "cross-site" } })
      assert.strictEqual(foreign.status, 403)
      assert.isUndefined(foreign.headers["access-control-allow-origin"])
      assert.strictEqual((yield* get(port, "/api/runs", { headers: { Host: `localhost:${port}` } })).status, 200)
    })
  )

  live(
    "beyond loopback a token is needed: in the address once, then in a cookie that no script reads",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(1))
      assert.strictEqual((yield* Effect.flip(serve(root, { host: "0.0.0.0" }))).inUse, false)
      const token = "0123456789abcdefghij"
      const { address, port } = yield* serve(root, { token })
      assert.strictEqual(address, `http://127.0.0.1:${port}/?token=${token}`)
      for (const path of ["/", "/page.js", "/api/runs", "/csv?run=a", "/?token=wrong", `/api/runs?token=${token}`]) {
        const refused = yield* get(port, path)
        assert.strictEqual(refused.status, 401, path)
        assert.match(problem(refused), /address/)
      }
      const named = { Host: "box.cluster.example" }
      assert.strictEqual((yield* get(port, "/api/runs", { headers: named })).status, 401)
      const bearer = { ...named, Authorization: `Bearer ${token}` }
      assert.strictEqual((yield* get(port, "/api/runs", { headers: bearer })).status, 200)
      const entered = yield* get(port, `/?token=${token}&run=a`)
      assert.strictEqual(entered.status, 303)
      assert.strictEqual(entered.headers.location, "./?run=a")
      const cookie = String(entered.headers["set-cookie"])
      assert.match(cookie, /; HttpOnly; SameSite=Strict/)
      const headers = { Cookie: cookie.split(";")[0] ?? "" }
      for (const path of ["/", "/page.js", "/api/runs"]) {
        assert.strictEqual((yield* get(port, path, { headers })).status, 200)
      }
      assert.strictEqual(
        (yield* get(port, "/api/runs", { headers: { Authorization: `Bearer ${token}` } })).status,
        200
      )
    })
  )

  live(
    "no path leaves the root: ways up, encoded ones, links, NUL",
    Effect.gen(function*() {
      const top = yield* temporary
      const root = Path.join(top, "root")
      make(root, "a", falling(1))
      const secret = make(top, "secret", line(1, { secret: 1 }))
      Fs.writeFileSync(Path.join(secret, "report.md"), "secret")
      Fs.symlinkSync(secret, Path.join(root, "link"))
      Fs.mkdirSync(Path.join(root, "linked"))
      Fs.symlinkSync(Path.join(secret, "metrics.jsonl"), Path.join(root, "linked", "metrics.jsonl"))
      const { port } = yield* serve(root)
      assert.deepStrictEqual(read(Api.Runs, yield* get(port, "/api/runs")).runs.map(({ id }) => id), ["a"])
      const ids = [
        "../secret",
        "..%2fsecret",
        "a/../../secret",
        "%2e%2e/secret",
        "link",
        "linked",
        secret,
        "a%00",
        "%00",
        "",
        "..",
        "a/..",
        "a/.ezpz",
        "..%5csecret",
        "%252e%252e%252fsecret",
        "a/"
      ]
      for (const id of ids) {
        for (const path of [`/api/run?run=${id}`, `/api/report?run=${id}`, `/csv?run=${id}`, `/api/events?run=${id}`]) {
          const { status, text } = yield* get(port, path)
          assert.strictEqual(status, 404, path)
          assert.notInclude(text, "secret\"")
        }
        assert.strictEqual((yield* get(port, `/file?run=${id}&path=report.md`)).status, 404)
      }
      for (const path of ["../../secret/report.md", "..%2f..%2fsecret%2freport.md", ".ezpz/run.json", "report.md%00"]) {
        assert.strictEqual((yield* get(port, `/file?run=a&path=${path}`)).status, 404)
      }
      for (
        const path of ["/../../etc/passwd", "/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/page.js/x"]
      ) {
        assert.strictEqual((yield* get(port, path)).status, 404, path)
      }
    })
  )

  live(
    "what makes no sense is refused with a reason, and the server goes on",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(1))
      const { port } = yield* serve(root)
      const many = Array.from({ length: 300 }, (_, i) => `key=${i}`).join("&")
      for (
        const path of [
          "/api/run",
          "/api/run?run=a&run=a",
          "/api/series?run=a",
          "/api/series?run=a&key=loss&x=y",
          "/api/series?run=a&key=loss&width=1e9",
          "/api/series?run=a&key=loss&width=",
          "/api/series?run=a&key=loss&from=2&to=1",
          "/api/series?run=a&key=loss&from=x&to=1",
          "/api/series?run=a&key=loss&from=1",
          "/api/series?run=a&key=loss&smooth=1",
          `/api/series?run=a&${many}`,
          "/api/events",
          "/api/filter?pattern=x"
        ]
      ) {
        const refused = yield* get(port, path)
        assert.strictEqual(refused.status, 400, path)
        assert.isNotEmpty(problem(refused))
      }
      assert.deepStrictEqual(read(Api.Series, yield* get(port, "/api/series?run=a&key=nosuch")).curves, [])
      assert.strictEqual((yield* get(port, `/api/run?run=${"x".repeat(100_000)}`)).status, 404)
      assert.strictEqual((yield* get(port, "/api/runs")).status, 200)
    })
  )

  live(
    "every page and answer has a strict content security policy, and nothing of a run is written to",
    Effect.gen(function*() {
      const root = yield* temporary
      make(root, "a", falling(5), { state: "running" })
      const before = snapshot(root)
      const { port } = yield* serve(root)
      for (const path of ["/", "/page.js", "/page.css", "/icon.svg", "/api/runs", "/api/run?run=a", "/nothing"]) {
        const policy = String((yield* get(port, path)).headers["content-security-policy"])
        assert.match(policy, /default-src 'none'; script-src 'self';/)
        assert.notMatch(policy, /unsafe|\*|https?:/)
      }
      const page = yield* get(port, "/")
      assert.notMatch(page.text, /<script(?![^>]* src="page.js")|<style|style=|https?:\/\/|\son\w+=/)
      for (const path of ["/api/series?run=a&key=loss", "/csv?run=a", "/api/ranks?run=a"]) yield* get(port, path)
      assert.deepStrictEqual(snapshot(root), before)
    })
  )
})
