import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as RunDirectory from "../src/RunDirectory.ts"
import * as RunLog from "../src/RunLog.ts"
import { snapshot, temporary } from "./support/directory.ts"

const run: RunDirectory.Run = {
  format: RunLog.formatVersion,
  runId: "r1",
  runName: "first",
  projectName: "p",
  projectGiven: true,
  createdAt: 12.5,
  state: "running",
  backends: ["csv"],
  config: { lr: 1 }
}

const logIn = (directory: string): string => Path.join(directory, RunDirectory.logName)

const lockOf = (logPath: string): string => Path.join(RunDirectory.privateDirectory(logPath), "lock")

const put = (path: string, text: string): void => {
  Fs.mkdirSync(Path.dirname(path), { recursive: true })
  Fs.writeFileSync(path, text)
}

const holder = (log: string): unknown => JSON.parse(Fs.readFileSync(lockOf(log), "utf8"))

const refusal = (log: string) =>
  Effect.map(Effect.flip(Effect.scoped(RunDirectory.lock(log))), (error) => error.message)

const startOf = (pid: number): string =>
  Fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[19] ?? ""

const linux = process.platform === "linux"

describe("paths", () => {
  it("keep what is private beside the log, apart for logs that have neighbours", () => {
    const paths = ["/a/metrics.jsonl", "/a/r1/r1.jsonl", "/a/r1/r2.jsonl", "/a/other"].map(
      RunDirectory.privateDirectory
    )
    assert.deepStrictEqual(paths, ["/a/.ezpz", "/a/r1/.ezpz", "/a/r1/.ezpz/r2", "/a/.ezpz/other"])
  })

  it("give each backend a cursor of its own, inside the run", () => {
    const names = ["csv", "wandb", "a/b", "a_b", "a\u02fb", "a%002fb", "../../x", "..", "", "é", "\ud800", "\0"]
    const paths = names.map((name) => RunDirectory.cursorPath("/a/metrics.jsonl", name))
    assert.strictEqual(new Set(paths).size, names.length)
    assert.strictEqual(paths[0], "/a/.ezpz/csv.cursor.json")
    for (const path of paths) assert.strictEqual(Path.dirname(path), "/a/.ezpz")
  })

  it.effect("find a run by its directory or its log, and say what is missing", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const named = Path.join(directory, "r1")
      put(logIn(directory), "")
      put(Path.join(named, "r1.jsonl"), "")
      assert.strictEqual(yield* RunDirectory.findLog(directory), logIn(directory))
      assert.strictEqual(yield* RunDirectory.findLog(logIn(directory)), logIn(directory))
      assert.strictEqual(yield* RunDirectory.findLog(named), Path.join(named, "r1.jsonl"))
      const empty = Path.join(directory, "empty")
      Fs.mkdirSync(empty)
      for (
        const [path, reason] of [
          [empty, /there is no metrics\.jsonl in it, so it is not a run/],
          [Path.join(directory, "no"), /there is no such run/],
          [Path.join(logIn(directory), "x"), /there is no such run/],
          ["a\0b", /null bytes/]
        ] as const
      ) {
        assert.match((yield* Effect.flip(RunDirectory.findLog(path))).message, reason)
      }
    }))
})

describe("run.json", () => {
  it.effect("is read as it was written", () =>
    Effect.gen(function*() {
      const log = logIn(Path.join(yield* temporary, "deep"))
      assert.strictEqual(yield* RunDirectory.readRun(log), undefined)
      yield* RunDirectory.writeRun(log, run)
      assert.deepStrictEqual(yield* RunDirectory.readRun(log), run)
      yield* RunDirectory.writeRun(log, { ...run, state: "finished" })
      assert.deepStrictEqual(yield* RunDirectory.readRun(log), { ...run, state: "finished" })
      assert.deepStrictEqual(Fs.readdirSync(RunDirectory.privateDirectory(log)), ["run.json"])
    }))

  it.effect("of a newer format is refused, and of this or none is read", () =>
    Effect.gen(function*() {
      const log = logIn(yield* temporary)
      const path = Path.join(RunDirectory.privateDirectory(log), "run.json")
      put(path, JSON.stringify({ ...run, format: RunLog.formatVersion + 1 }))
      const error = yield* Effect.flip(RunDirectory.readRun(log))
      assert.strictEqual(error._tag, "RunDirectoryError")
      assert.match(error.message, /written in format 2, and this version reads up to 1\. Update ezpz-stream/)
      put(path, `{"runId":"old"}`)
      assert.deepInclude(yield* RunDirectory.readRun(log), { runId: "old", state: "running", backends: [] })
    }))

  it.effect("that is damaged says nothing, and kills nobody", () =>
    Effect.gen(function*() {
      const log = logIn(yield* temporary)
      for (const text of ["", "null", "7", "{\"runId\":", "\"x\""]) {
        put(Path.join(RunDirectory.privateDirectory(log), "run.json"), text)
        assert.strictEqual(yield* RunDirectory.readRun(log), undefined)
      }
    }))
})

describe("lock", () => {
  it.effect("is held until its scope closes, and says by whom", () =>
    Effect.gen(function*() {
      const log = logIn(yield* temporary)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* RunDirectory.lock(log)
        assert.deepInclude(holder(log), { pid: process.pid, host: Os.hostname() })
        assert.match(yield* refusal(log), /it is being written by this very process/)
        assert.deepStrictEqual(Fs.readdirSync(RunDirectory.privateDirectory(log)), ["lock"])
      }))
      assert.isFalse(Fs.existsSync(lockOf(log)))
      yield* Effect.scoped(RunDirectory.lock(log))
    }))

  it.effect.skipIf(!linux)("is seen through another name of the same directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const real = Path.join(directory, "real")
      Fs.mkdirSync(real)
      Fs.symlinkSync(real, Path.join(directory, "link"))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* RunDirectory.lock(logIn(real))
        assert.match(
          yield* refusal(logIn(Path.join(directory, "link"))),
          new RegExp(`process ${process.pid} is writing this run`)
        )
      }))
    }))

  it.effect.skipIf(!linux)(
    "of a living process is respected, and taken over once that is gone",
    () =>
      Effect.gen(function*() {
        const log = logIn(yield* temporary)
        const child = spawn("sleep", ["60"])
        const pid = child.pid ?? 0
        put(lockOf(log), JSON.stringify({ pid, host: Os.hostname(), started: startOf(pid) }))
        assert.match(
          yield* refusal(log),
          new RegExp(`process ${pid} is writing this run\\. Wait for it, or choose another`)
        )
        assert.deepInclude(holder(log), { pid })
        yield* Effect.promise(() => new Promise((resolve) => child.on("exit", resolve).kill("SIGKILL")))
        yield* Effect.scoped(Effect.andThen(
          RunDirectory.lock(log),
          Effect.sync(() => assert.deepInclude(holder(log), { pid: process.pid }))
        ))
      })
  )

  it.effect.skipIf(!linux)(
    "of an id that is another process's by now is taken over, our own id too",
    () =>
      Effect.gen(function*() {
        const log = logIn(yield* temporary)
        for (const pid of [process.pid, process.ppid]) {
          put(lockOf(log), JSON.stringify({ pid, host: Os.hostname(), started: "1" }))
          yield* Effect.scoped(RunDirectory.lock(log))
          assert.isFalse(Fs.existsSync(lockOf(log)))
        }
      })
  )

  it.effect("of another machine is never taken over, and the message says what to remove", () =>
    Effect.gen(function*() {
      const log = logIn(yield* temporary)
      put(lockOf(log), JSON.stringify({ pid: 1, host: "elsewhere", started: "1" }))
      const message = yield* refusal(log)
      assert.include(message, "process 1 on elsewhere is writing this run, or was when it ended")
      assert.include(message, `remove ${lockOf(log)}`)
      assert.deepInclude(holder(log), { host: "elsewhere" })
    }))

  it.effect("that is torn, empty or nonsense is nobody's", () =>
    Effect.gen(function*() {
      const log = logIn(yield* temporary)
      for (const text of ["", "{\"pid\":", "null", "7", "{}"]) {
        put(lockOf(log), text)
        yield* Effect.scoped(RunDirectory.lock(log))
        assert.isFalse(Fs.existsSync(lockOf(log)))
      }
    }))

  it.effect("is not removed by who has lost it", () =>
    Effect.gen(function*() {
      const log = logIn(yield* temporary)
      const scope = yield* Scope.make()
      yield* Scope.provide(RunDirectory.lock(log), scope)
      put(lockOf(log), JSON.stringify({ pid: 1, host: "elsewhere", started: "1" }))
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(holder(log), { host: "elsewhere" })
    }))

  it.effect("goes to one of many processes that want a stale one at once", () =>
    Effect.gen(function*() {
      const log = logIn(yield* temporary)
      put(lockOf(log), JSON.stringify({ pid: 2 ** 22 + 1, host: Os.hostname(), started: "1" }))
      const module = JSON.stringify(Path.resolve("src/RunDirectory.ts"))
      // Each says that it is there, begins at the first byte it gets, says how it went, and holds on to the end.
      const script = `import * as Effect from "effect/Effect"
        import { lock } from ${module}
        const event = (name) => Effect.callback((resume) => void process.stdin.once(name, () => resume(Effect.void)))
        const say = (what) => Effect.sync(() => console.log(what))
        const held = Effect.scoped(Effect.andThen(lock(${
        JSON.stringify(log)
      }), Effect.andThen(say("mine"), event("end"))))
        console.log("there")
        Effect.runPromise(Effect.andThen(event("data"), Effect.catch(held, () => say("busy")))).then(() => process.exit())`
      const children = [1, 2, 3].map(() => spawn(process.execPath, ["--input-type=module", "-e", script]))
      // Who is told that it is busy ends before the others have said anything.
      const closed = Promise.all(children.map((child) => once(child, "close")))
      const line = (child: (typeof children)[number]) =>
        Effect.callback<string>((resume) =>
          void child.stdout.once("data", (data) => resume(Effect.succeed(String(data).trim())))
        )
      assert.deepStrictEqual(yield* Effect.forEach(children, line, { concurrency: 3 }), ["there", "there", "there"])
      const answers = Effect.forEach(children, line, { concurrency: 3 })
      for (const child of children) child.stdin.write("go")
      const said = [...(yield* answers)]
      for (const child of children) {
        child.stdin.end()
      }
      yield* Effect.promise(() => closed)
      assert.deepStrictEqual(said.sort(), ["busy", "busy", "mine"])
      assert.deepStrictEqual(Fs.readdirSync(RunDirectory.privateDirectory(log)), [])
    }))
})

/** Another file system than that of temporary directories, if this machine has one we know. */
const elsewhere = (() => {
  try {
    return Fs.statSync("/dev/shm").dev === Fs.statSync(Os.tmpdir()).dev ? undefined : "/dev/shm"
  } catch {
    return undefined
  }
})()

const onOtherDisk = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(elsewhere ?? "", "ezpz-stream-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

describe("move", () => {
  const moves = (other: Effect.Effect<string, never, Scope.Scope>) =>
    Effect.gen(function*() {
      const root = yield* temporary
      const from = Path.join(root, "history", "r1", "r1.jsonl")
      const to = logIn(Path.join(yield* other, "out"))
      const scope = yield* Scope.make()
      yield* Scope.provide(RunDirectory.lock(from), scope)
      yield* RunDirectory.writeRun(from, run)
      const text = RunLog.recordLine(1, 1, 1, 0, `{"é":1}`)
      put(from, text)
      put(RunDirectory.cursorPath(from, "csv"), "{}")
      yield* Scope.provide(RunDirectory.move(from, to), scope)
      yield* RunDirectory.leave(from, to)
      assert.strictEqual(Fs.readFileSync(to, "utf8"), text)
      assert.deepStrictEqual(yield* RunDirectory.readRun(to), run)
      assert.isTrue(Fs.existsSync(RunDirectory.cursorPath(to, "csv")))
      assert.deepInclude(holder(to), { pid: process.pid })
      // Nothing stays behind, not the folders either; what was above them does.
      assert.deepStrictEqual(Fs.readdirSync(Path.join(root, "history")), [])
      // The old place is free.
      yield* Effect.scoped(RunDirectory.lock(from))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([...snapshot(Path.dirname(to)).keys()], [
        ".ezpz/csv.cursor.json",
        ".ezpz/run.json",
        "metrics.jsonl"
      ])
    })

  it.effect("takes the log and all that is known of it along", () => moves(temporary))

  it.effect.skipIf(elsewhere === undefined)("does so to another file system", () => moves(onOtherDisk))

  it.effect("renames a log in its folder, and keeps the lock", () =>
    Effect.gen(function*() {
      const directory = Path.join(yield* temporary, "r1")
      const from = Path.join(directory, "r1.jsonl")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* RunDirectory.lock(from)
        yield* RunDirectory.writeRun(from, run)
        put(from, "x")
        yield* RunDirectory.move(from, logIn(directory))
        assert.isTrue(Fs.existsSync(lockOf(logIn(directory))))
      }))
      assert.deepStrictEqual([...snapshot(directory).keys()], [".ezpz/run.json", "metrics.jsonl"])
    }))

  it.effect("leaves the neighbours of a log alone", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const [one, two] = ["a.jsonl", "b.jsonl"].map((name) => Path.join(directory, name))
      for (const log of [one!, two!]) {
        put(log, log)
        yield* RunDirectory.writeRun(log, { ...run, runId: log })
      }
      yield* Effect.scoped(RunDirectory.move(one!, logIn(Path.join(directory, "out"))))
      assert.deepStrictEqual([...snapshot(directory).keys()], [
        ".ezpz/b/run.json",
        "b.jsonl",
        "out/.ezpz/run.json",
        "out/metrics.jsonl"
      ])
    }))

  it.effect("is refused where somebody writes, and moves nothing", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const from = logIn(Path.join(directory, "from"))
      const to = logIn(Path.join(directory, "to"))
      put(from, "x")
      put(lockOf(to), JSON.stringify({ pid: 1, host: "elsewhere", started: "1" }))
      const error = yield* Effect.flip(Effect.scoped(RunDirectory.move(from, to)))
      assert.match(error.message, /on elsewhere is writing this run/)
      assert.strictEqual(Fs.readFileSync(from, "utf8"), "x")
      assert.isFalse(Fs.existsSync(to))
    }))

  it.effect.skipIf(elsewhere === undefined || process.getuid?.() !== 0)(
    "keeps the file where the other disk is full",
    () =>
      Effect.gen(function*() {
        const from = Path.join(yield* temporary, "big")
        Fs.writeFileSync(from, Buffer.alloc(256 * 1024))
        const disk = yield* temporary
        const mounted = yield* Effect.sync(() => {
          try {
            execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], { stdio: "ignore" })
            return true
          } catch {
            return false
          }
        })
        if (!mounted) return
        yield* Effect.addFinalizer(() => Effect.sync(() => execFileSync("umount", [disk])))
        assert.throws(() => RunDirectory.moveFile(from, Path.join(disk, "big")), /ENOSPC/)
        assert.strictEqual(Fs.statSync(from).size, 256 * 1024)
        assert.deepStrictEqual(Fs.readdirSync(disk), [])
      })
  )
})
