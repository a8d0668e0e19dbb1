import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Dotenv from "../src/Dotenv.ts"
import type { Environment } from "../src/Rank.ts"
import { temporary } from "./support/directory.ts"

/** A home and a working directory with files in them. */
const places = (files: { readonly amsc?: string | Buffer; readonly env?: string | Buffer }) =>
  Effect.map(temporary, (directory) => {
    const home = Path.join(directory, "home")
    const project = Path.join(directory, "project")
    Fs.mkdirSync(home)
    Fs.mkdirSync(project)
    const amsc = Path.join(home, ".amsc.env")
    const env = Path.join(project, ".env")
    if (files.amsc !== undefined) Fs.writeFileSync(amsc, files.amsc)
    if (files.env !== undefined) Fs.writeFileSync(env, files.env)
    return { home, directory: project, amsc, env }
  })

/** What was loaded, with the warnings. */
const read = (environment: Environment, at: Dotenv.Places) =>
  Effect.suspend(() => {
    const warnings: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      warnings.push(`${logLevel}: ${Array.isArray(message) ? message.join(" ") : String(message)}`)
    })
    return Dotenv.read(environment, at).pipe(
      Effect.map((loaded) => ({ ...loaded, warnings })),
      Effect.provide(Logger.layer([logger]))
    )
  })

describe("Dotenv", () => {
  it.effect("the shell comes before the project's file, and that before the user's", () =>
    Effect.gen(function*() {
      const { amsc, env, ...at } = yield* places({
        amsc: "AMSC_API_KEY=user\nMLFLOW_TRACKING_URI=user\nONLY=user\nSET=user\nEMPTY=user\n",
        env: "AMSC_API_KEY=project\nMLFLOW_TRACKING_URI=project\nSET=project\nEMPTY=project\nNONE=\n"
      })
      const shell = { SET: "shell", EMPTY: "", UNSET: undefined, HOME: "/home" }
      const { environment, files, sources, warnings } = yield* read(shell, at)
      assert.deepStrictEqual({ ...environment }, {
        SET: "shell",
        EMPTY: "",
        UNSET: undefined,
        HOME: "/home",
        AMSC_API_KEY: "project",
        MLFLOW_TRACKING_URI: "project",
        ONLY: "user",
        NONE: ""
      })
      assert.deepStrictEqual(sources, { AMSC_API_KEY: env, MLFLOW_TRACKING_URI: env, ONLY: amsc, NONE: env })
      assert.deepStrictEqual([files, warnings], [[amsc, env], []])
      assert.deepStrictEqual(yield* Dotenv.load(shell, at), environment)
      assert.deepStrictEqual(shell, { SET: "shell", EMPTY: "", UNSET: undefined, HOME: "/home" })
      assert.isUndefined(process.env["AMSC_API_KEY"])
    }))

  it.effect("files are read as people write them", () =>
    Effect.gen(function*() {
      const { amsc: _, env: __, ...at } = yield* places({
        env:
          "\ufeff# a comment\r\nexport A=1\r\n\r\nB = two words # comment\r\nC=\"x # y\\nz\"\r\nD='${A}'\r\nE=${A}\r\n" +
          "no assignment\r\nF=a=b\r\n__proto__=x\r\nG=é"
      })
      const { environment, warnings } = yield* read({}, at)
      const { A, B, C, D, E, F, G } = environment
      assert.deepStrictEqual([A, B, C, D, E, F, G], ["1", "two words", "x # y\nz", "${A}", "${A}", "a=b", "é"])
      assert.deepStrictEqual(warnings, [])
      assert.strictEqual(Object.getPrototypeOf(environment), Object.prototype)
    }))

  it.effect("without files, a home or a directory there is nothing to say", () =>
    Effect.gen(function*() {
      const { amsc: _, env, ...at } = yield* places({})
      const nothing = { environment: { A: "1" }, sources: {}, files: [], warnings: [] }
      assert.deepStrictEqual(yield* read({ A: "1" }, at), nothing)
      assert.deepStrictEqual(yield* read({ A: "1" }, { ...at, home: undefined }), nothing)
      assert.deepStrictEqual(yield* read({ A: "1" }, { home: "/nowhere", directory: "/nowhere/either" }), nothing)
      // Python keeps virtual environments in directories of that name.
      Fs.mkdirSync(env)
      assert.deepStrictEqual(yield* read({ A: "1" }, at), nothing)
    }))

  it.effect("a file that is no text is one warning, with its name and nothing of what it says", () =>
    Effect.gen(function*() {
      const secret = "AMSC_API_KEY=very-secret\n"
      const utf16 = Buffer.from(`\ufeff${secret}`, "utf16le")
      for (const bytes of [utf16, Buffer.from(`${secret}\0`), Buffer.from([...Buffer.from(secret), 0xff])]) {
        const { amsc: _, env, ...at } = yield* places({ amsc: "A=1", env: bytes })
        const { environment, warnings } = yield* read({}, at)
        assert.deepStrictEqual(environment, { A: "1" })
        assert.deepStrictEqual(warnings, [`Warn: ${env} is passed over: it is not UTF-8 text`])
      }
      const large = yield* places({ env: secret + "#".repeat(1024 * 1024) })
      const { warnings } = yield* read({}, large)
      assert.deepStrictEqual(warnings, [`Warn: ${large.env} is passed over: it is larger than a megabyte`])
    }))

  it.effect("one that cannot be read is a warning, too, and never waited for", () =>
    Effect.gen(function*() {
      const { amsc, env, ...at } = yield* places({ amsc: "A=1" })
      execFileSync("mkfifo", [env])
      const pipe = yield* read({}, at)
      assert.deepStrictEqual([pipe.environment, pipe.warnings], [
        { A: "1" },
        [`Warn: ${env} is passed over: it is not a file`]
      ])
      Fs.rmSync(env)
      Fs.symlinkSync(env, env)
      assert.deepStrictEqual((yield* read({}, at)).warnings, [
        `Warn: ${env} is passed over: it cannot be read (ELOOP)`
      ])
      // Who is root may read everything.
      if (process.getuid?.() === 0) return
      Fs.rmSync(env)
      Fs.chmodSync(amsc, 0)
      assert.deepStrictEqual((yield* read({}, at)).warnings, [
        `Warn: ${amsc} is passed over: it cannot be read (EACCES)`
      ])
    }))

  it.effect("no file sets what makes programs load code", () =>
    Effect.gen(function*() {
      const at = yield* places({
        amsc: "LD_PRELOAD=/x.so\nPATH=/x\n",
        env:
          "NODE_OPTIONS=--require=x\nDYLD_INSERT_LIBRARIES=x\nBASH_ENV=x\nGIT_SSH_COMMAND=x\nNODE_RANK=1\nWANDB_MODE=offline\n"
      })
      const { environment, sources } = yield* read({}, at)
      assert.deepStrictEqual(environment, { NODE_RANK: "1", WANDB_MODE: "offline" })
      assert.deepStrictEqual(Object.keys(sources), ["NODE_RANK", "WANDB_MODE"])
    }))
})
