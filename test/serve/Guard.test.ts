import { assert, describe, it } from "@effect/vitest"
import * as Guard from "../../src/serve/Guard.ts"

describe("Guard", () => {
  const names = new Set(["box.example"])

  it("knows this server by its addresses, localhost and the names it was given", () => {
    for (
      const host of [
        "localhost",
        "LOCALHOST:6226",
        "localhost.",
        "a.localhost",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]:6226",
        "192.0.2.7:1",
        "box.example:1"
      ]
    ) assert.isTrue(Guard.isOurs(host, names), host)
  })

  it("does not know foreign names, whatever they look like", () => {
    for (
      const host of [
        undefined,
        "",
        "evil.example",
        "evil.example:6226",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example#localhost",
        "localhost@evil.example",
        "user:localhost",
        "localhost:99999999",
        "[::1].evil.example",
        "[evil.example]",
        "box.example.evil",
        "1.2.3",
        "0x7f000001",
        "2130706433",
        "localhost\u0000"
      ]
    ) assert.isFalse(Guard.isOurs(host, names), String(host))
  })

  it("takes only addresses of this machine for loopback", () => {
    for (const host of ["127.0.0.1", "127.8.9.1", "::1", "localhost"]) assert.isTrue(Guard.isLoopback(host), host)
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "127.evil", "", "localhost.evil"]) {
      assert.isFalse(Guard.isLoopback(host), host)
    }
  })

  it("finds the token in its own cookie or as a bearer, and nowhere else", () => {
    const token = Guard.randomToken()
    assert.match(token, /^[\w-]{32}$/)
    const cookie = Guard.cookieOf(token, 6226).split(";")[0]
    assert.isTrue(Guard.hasToken(token, 6226, { cookie: `a=b; ${cookie}` }))
    assert.isTrue(Guard.hasToken(token, 6226, { authorization: `Bearer ${token}` }))
    for (
      const given of [
        {},
        { cookie: "" },
        { cookie: "ezpz-stream-6226=" },
        { cookie: `ezpz-stream-6226=${token}x` },
        { cookie: `ezpz-stream-6226=${token.slice(1)}` },
        { cookie: `other=${token}` },
        { authorization: token },
        { authorization: `Basic ${token}` },
        { authorization: "Bearer " }
      ]
    ) assert.isFalse(Guard.hasToken(token, 6226, given), JSON.stringify(given))
    assert.isFalse(Guard.hasToken(token, 1, { cookie }), "the cookie of another port")
  })

  it("lets a link to the page be followed, and nothing else be asked by another site", () => {
    assert.isFalse(Guard.isForeign("cross-site", "/"))
    assert.isFalse(Guard.isForeign(undefined, "/api/runs"))
    assert.isFalse(Guard.isForeign("same-origin", "/api/runs"))
    assert.isFalse(Guard.isForeign("none", "/csv"))
    assert.isTrue(Guard.isForeign("cross-site", "/api/runs"))
    assert.isTrue(Guard.isForeign("same-site", "/file"))
  })
})
