import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Settings from "../../../src/backend/wandb/Settings.ts"
import { context } from "./support.ts"

const settings = (environment: Record<string, string>, netrc = "", more: Parameters<typeof context>[1] = {}) =>
  Settings.make(context("/runs/a", { environment, projectGiven: false, ...more }), netrc)

describe("Settings", () => {
  it("the mode: WANDB_DISABLED, else WANDB_MODE, else online", () => {
    const mode = (environment: Record<string, string>) => settings(environment).mode
    assert.strictEqual(mode({}), "online")
    for (const word of ["1", "true", "YES", "on"]) {
      assert.strictEqual(mode({ WANDB_DISABLED: word, WANDB_MODE: "online" }), "disabled")
    }
    assert.strictEqual(mode({ WANDB_DISABLED: "0", WANDB_MODE: "offline" }), "offline")
    assert.strictEqual(mode({ WANDB_DISABLED: "", WANDB_MODE: "dryrun" }), "offline")
    assert.strictEqual(mode({ WANDB_MODE: " Disabled " }), "disabled")
    assert.strictEqual(mode({ WANDB_MODE: "shared" }), "online")
    assert.deepStrictEqual(settings({ WANDB_MODE: "offline" }).warnings, [])
    for (const word of ["toString", "local"]) {
      assert.strictEqual(mode({ WANDB_MODE: word }), "online")
      assert.lengthOf(settings({ WANDB_MODE: word }).warnings, 1)
    }
  })

  it("the project: argument, WB_PROJECT, WANDB_PROJECT, WB_PROJECT_NAME, then what the script is called", () => {
    const all = { WB_PROJECT: "a", WANDB_PROJECT: "b", WB_PROJECT_NAME: "c" }
    assert.strictEqual(settings(all, "", { projectGiven: true }).project, "project")
    assert.strictEqual(settings(all).project, "a")
    assert.strictEqual(settings({ ...all, WB_PROJECT: "" }).project, "b")
    assert.strictEqual(settings({ WB_PROJECT_NAME: "c" }).project, "c")
    assert.strictEqual(settings({}).project, "project")
    assert.strictEqual(settings({ WB_PROJECT: "a/b:c" }).project, "a-b-c")
  })

  it("a run id stays itself where W&B allows it, and is unique where not", () => {
    const id = (runId: string) => settings({}, "", { runId }).runId
    assert.strictEqual(id("2026-11-25_run-7"), "2026-11-25_run-7")
    assert.match(id("a/b"), /^a-b-[0-9a-f]{8}$/)
    assert.notStrictEqual(id("a/b"), id("a:b"))
    assert.match(id("x".repeat(200)), /^x{55}-[0-9a-f]{8}$/)
    assert.strictEqual(id("a/b"), id("a/b"))
  })

  it("the run's labels, and the place of offline runs", () => {
    const found = settings({
      WANDB_ENTITY: "team",
      WANDB_NAME: "nice",
      WANDB_RUN_GROUP: "g",
      WANDB_JOB_TYPE: "train",
      WANDB_TAGS: "a, b,,a",
      WANDB_NOTES: "why",
      WANDB_DIR: "/scratch"
    })
    assert.deepInclude(found, {
      entity: "team",
      displayName: "nice",
      group: "g",
      jobType: "train",
      tags: ["a", "b"],
      notes: "why",
      directory: "/scratch"
    })
    assert.strictEqual(settings({ WANDB_NAME: "nice" }, "", { runName: "given" }).displayName, "given")
    assert.strictEqual(settings({}).directory, "/runs/a")
  })

  it("the key: WANDB_API_KEY, else what the netrc file has for the server's host", () => {
    const netrc = `
      # machine api.wandb.ai password commented
      machine other.example.org login user password other
      default login user password default
      machine api.wandb.ai
        login user
        password "abc def"
      macdef init
      machine api.wandb.ai password macro

      machine wandb.example.org:8080 account x password with-port machine wandb.example.org password bare
    `
    const key = (environment: Record<string, string>) => settings(environment, netrc).apiKey
    assert.strictEqual(key({}), "abc def")
    assert.strictEqual(key({ WANDB_API_KEY: "own" }), "own")
    assert.strictEqual(key({ WANDB_BASE_URL: "https://wandb.example.org:8080/" }), "with-port")
    assert.strictEqual(key({ WANDB_BASE_URL: "https://wandb.example.org:9090" }), "bare")
    assert.isUndefined(key({ WANDB_BASE_URL: "https://elsewhere.example.org" }))
    assert.isUndefined(settings({}, "machine api.wandb.ai password").apiKey)
    assert.isUndefined(settings({}, "{\"no\": \"netrc\"}").apiKey)
  })

  it("what keeps a run from going online says what helps", () => {
    assert.include(Settings.obstacle(settings({})), "WANDB_MODE=offline")
    assert.include(Settings.obstacle(settings({ WANDB_BASE_URL: "nowhere", WANDB_API_KEY: "k" })), "WANDB_BASE_URL")
    assert.isUndefined(Settings.obstacle(settings({ WANDB_API_KEY: "k" })))
  })

  it("the description names how a run would authenticate, and never a value", () => {
    const home = Fs.mkdtempSync(Path.join(Os.tmpdir(), "home-"))
    try {
      const describe = (environment: Record<string, string>) => Settings.describe(environment, home)
      assert.include(describe({}), "no key")
      assert.include(describe({ WANDB_MODE: "offline" }), "offline")
      assert.include(describe({ WANDB_DISABLED: "1" }), "disabled")
      Fs.writeFileSync(Path.join(home, ".netrc"), "machine api.wandb.ai login user password marked-secret")
      assert.include(describe({}), ".netrc")
      const all = [
        describe({}),
        describe({ WANDB_API_KEY: "marked-secret" }),
        describe({ WANDB_BASE_URL: "https://u:marked-secret@wandb.example.org", WANDB_API_KEY: "marked-secret" })
      ]
      assert.include(all[1], "with WANDB_API_KEY")
      assert.include(all[2], "wandb.example.org")
      assert.isFalse(all.some((text) => text.includes("marked-secret")))
    } finally {
      Fs.rmSync(home, { recursive: true })
    }
  })
})
