import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Lock from "../../../src/internal/lock.ts"
import type { Environment } from "../../../src/Rank.ts"
import * as Keys from "../../../src/reducer/zeromq/Keys.ts"
import * as Rendezvous from "../../../src/reducer/zeromq/Rendezvous.ts"
import * as Transport from "../../../src/reducer/zeromq/Transport.ts"
import { temporary } from "../../support/directory.ts"

/** What ranks of one job agree on; each test has a home and a directory for temporary files of its own. */
const setting = (environment: Environment = {}, id = "job", masterPort: number | undefined = undefined) =>
  Effect.map(temporary, (root): Rendezvous.Options => {
    const rootHosts = environment["MASTER_ADDR"] === undefined ? [] : [environment["MASTER_ADDR"]]
    const temporary = Path.join(root, "tmp")
    Fs.mkdirSync(temporary)
    return { environment, job: { id, rootHosts, masterPort }, home: Path.join(root, "home"), temporary }
  })

const claim = (options: Rendezvous.Options, more: Partial<Rendezvous.ClaimOptions> = {}) =>
  Rendezvous.claim({ ...options, runId: "run", hosts: "one", ...more })

/** A root that listens, answers with the same, and says where it is. */
const open = (options: Rendezvous.Options, more: Partial<Rendezvous.ClaimOptions> = {}) =>
  Effect.gen(function*() {
    const claimed = yield* claim(options, more)
    const root: Transport.Root = yield* Transport.listen({
      ...claimed.listen,
      receive: (batch) => {
        for (const { frame, peer } of batch) root.send(peer, new Uint8Array(frame))
      }
    })
    yield* claimed.publish(root.endpoints)
    return { ...claimed, root }
  })

const until = (what: string, holds: () => boolean) =>
  Effect.gen(function*() {
    for (let waited = 0; !holds(); waited += 10) {
      if (waited > 15_000) return assert.fail(`never: ${what}`)
      yield* Effect.sleep(10)
    }
  })

/** Whether the root at a place answers what it is sent. */
const answers = (target: Rendezvous.Place, word: string) =>
  Effect.gen(function*() {
    const got: Array<string> = []
    const peer = yield* Transport.connect({
      target,
      identity: Transport.identity({ job: word, rank: 1, incarnation: 1, process: "here" }),
      patienceMillis: 100,
      receive: (batch) => got.push(...batch.map((frame) => Buffer.from(frame).toString()))
    })
    yield* until("connected", peer.connected)
    assert.isTrue(peer.send(Buffer.from(word)))
    yield* until("answered", () => got.length > 0)
    assert.deepStrictEqual(got, [word])
  }).pipe(Effect.scoped)

const sharedFile = ({ home }: Rendezvous.Options): string => {
  const directory = Path.join(home ?? "", ".ezpz-stream")
  return Path.join(directory, Fs.readdirSync(directory)[0] ?? "", "root.json")
}

const modeOf = (path: string): number => Fs.statSync(path).mode & 0o777

const child = (options: Rendezvous.ClaimOptions) =>
  Effect.gen(function*() {
    const started = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [
          fileURLToPath(new URL("./process/root.ts", import.meta.url)),
          JSON.stringify(options)
        ], { stdio: ["ignore", "pipe", "inherit"] })
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    let published = false
    started.stdout.on("data", () => (published = true))
    yield* until("published", () => published)
    const kill = Effect.gen(function*() {
      started.kill("SIGKILL")
      yield* until("dead", () => started.signalCode !== null)
    })
    return { pid: started.pid, kill }
  })

describe("by a file", () => {
  it.live("ranks find the root, with the job's keys; only their owner can read them; at the end nothing is left", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      const scope = yield* Scope.make()
      const root = yield* Scope.provide(open(options), scope)
      const path = sharedFile(options)
      assert.strictEqual(modeOf(path), 0o600)
      assert.strictEqual(modeOf(Path.dirname(path)), 0o700)
      assert.strictEqual(modeOf(Path.join(options.temporary!, `ezpz-stream-${process.getuid!()}`)), 0o700)
      const place = yield* Rendezvous.find(options)
      assert.strictEqual(place.source, "file")
      assert.deepStrictEqual([place.run, place.incarnation], [root.run, root.incarnation])
      assert.deepStrictEqual(place.endpoints, root.root.endpoints)
      assert.deepStrictEqual(root.notes, [])
      assert.isTrue(yield* root.isMine)
      yield* answers(place, "hello")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(Fs.readdirSync(Path.join(options.home!, ".ezpz-stream")), [])
      assert.deepStrictEqual(Fs.readdirSync(Path.join(options.temporary!, `ezpz-stream-${process.getuid!()}`)), [])
    }))

  it.live("ranks of other hosts take its names there, over tcp", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      yield* open(options, { hosts: "several" })
      const path = sharedFile(options)
      Fs.writeFileSync(path, Fs.readFileSync(path, "utf8").replace(/"host":"[^"]*"/, "\"host\":\"elsewhere\""))
      const place = yield* Rendezvous.find(options)
      assert.isTrue(place.endpoints.length > 0 && place.endpoints.every((endpoint) => endpoint.startsWith("tcp://")))
      assert.include(place.endpoints.join(" "), `tcp://${Os.hostname()}:`)
      yield* answers(place, "from afar")
    }))

  it.effect("however long it takes the root to come, within the time", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      const found = yield* Effect.forkChild(Rendezvous.find({ ...options, timeoutMillis: 30_000 }))
      yield* TestClock.adjust("20 seconds")
      assert.isUndefined(found.pollUnsafe())
      const { publish } = yield* claim(options, { hosts: "several" })
      yield* publish(["tcp://node7:4000"])
      Fs.writeFileSync(
        sharedFile(options),
        Fs.readFileSync(sharedFile(options), "utf8").replace(/"host":"[^"]*"/, "\"host\":\"node7\"")
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual((yield* Fiber.join(found)).endpoints, ["tcp://node7:4000"])
    }))

  it.effect("or else an error says what was looked for, and where", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      const found = yield* Effect.forkChild(Effect.flip(Rendezvous.find({ ...options, timeoutMillis: 30_000 })))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(found.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      const { message } = yield* Fiber.join(found)
      for (
        const part of [
          "Could not find the root of job job:",
          `${options.home}/.ezpz-stream/job-`,
          `${options.temporary}/ezpz-stream-`,
          "/root.json is not there",
          "Looked for 30 s. Is rank 0 running?",
          "EZPZ_SECRET is not set, the launcher names no host"
        ]
      ) assert.include(message, part)
    }))

  it.effect("in the directory that was asked for, and in no other", () =>
    Effect.gen(function*() {
      const elsewhere = yield* temporary
      const options = yield* setting({ EZPZ_RENDEZVOUS_DIR: elsewhere }, "a/b job")
      const { publish } = yield* claim(options)
      yield* publish([])
      assert.isFalse(Fs.existsSync(options.home!))
      const [directory] = Fs.readdirSync(elsewhere)
      assert.match(directory!, /^a_b_job-[0-9a-f]{16}$/)
      assert.strictEqual(modeOf(Path.join(elsewhere, directory!)), 0o700)
    }))

  it.effect("for ranks of the root's host alone, where nothing is shared, and that is said", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      Fs.writeFileSync(options.home!, "a file")
      const { notes, publish } = yield* claim(options, { hosts: "several" })
      yield* publish(["tcp://node7:4000"])
      assert.match(notes[0]!, /^only ranks of this host can find the root, as no directory is shared \(.*ENOTDIR/)
      assert.strictEqual((yield* Rendezvous.find(options)).endpoints[0], "tcp://node7:4000")
      const neither = yield* setting()
      Fs.writeFileSync(neither.home!, "a file")
      Fs.rmdirSync(neither.temporary!)
      Fs.writeFileSync(neither.temporary!, "a file")
      const error = yield* Effect.flip(claim(neither))
      assert.match(error.message, /^Could not take the root's place of job job: no directory for it can be used/)
    }))

  it.effect("that nobody else could have written, and that is whole and of this job", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      const { publish } = yield* claim(options, { hosts: "several" })
      yield* publish(["tcp://node7:4000"])
      const path = sharedFile(options)
      const good = Fs.readFileSync(path, "utf8")
      const refusal = Effect.map(
        Effect.flip(Rendezvous.find({ ...options, timeoutMillis: 0 })),
        ({ message }) => message
      )
      const elsewhere = good.replace(/"host":"[^"]*"/, "\"host\":\"node7\"")
      for (
        const [text, said] of [
          [elsewhere.slice(0, -1), "is not what this version writes"],
          [elsewhere.replace("\"format\":1", "\"format\":2"), "is not what this version writes"],
          [elsewhere.replace(/"publicKey":"./, "\"publicKey\":\""), "is not what this version writes"],
          [elsewhere.replace("\"job\":\"job\"", "\"job\":\"job2\""), "belongs to another job (job2)"],
          [good.replace(/"pid":\d+/, "\"pid\":1"), "was left by process 1, which is gone"],
          ["", "is not what this version writes"]
        ] as const
      ) {
        Fs.writeFileSync(path, text)
        assert.include(yield* refusal, `root.json ${said}`)
      }
      Fs.writeFileSync(path, elsewhere)
      Fs.chmodSync(path, 0o644)
      assert.include(yield* refusal, "root.json is open to others (mode 0644) and is not believed")
      Fs.renameSync(path, `${path}.other`)
      Fs.chmodSync(`${path}.other`, 0o600)
      Fs.symlinkSync(`${path}.other`, path)
      assert.include(yield* refusal, "root.json cannot be read (ELOOP)")
      Fs.renameSync(`${path}.other`, path)
      assert.strictEqual((yield* Rendezvous.find(options)).source, "file")
    }))
})

describe("by what a person says", () => {
  it.live("at an endpoint: of this host, or with keys from the secret", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const ipc = `ipc://${Path.join(directory, "private", "root")}`
      const probe = yield* Transport.listen({
        tcp: { interface: "127.0.0.1", ports: [0], hosts: ["127.0.0.1"] },
        receive: () => undefined
      }).pipe(Effect.scoped)
      for (
        const environment of [
          { EZPZ_ROOT: ipc },
          { EZPZ_ROOT: probe.endpoints[0] },
          { EZPZ_ROOT: probe.endpoints[0], EZPZ_SECRET: "between us" },
          { EZPZ_ROOT: `tcp://${Os.hostname()}:${probe.port}`, EZPZ_SECRET: "between us" }
        ]
      ) {
        const options = yield* setting({ ...environment })
        yield* Effect.gen(function*() {
          const { root } = yield* open(options, { hosts: "several" })
          assert.deepStrictEqual(root.endpoints, [environment.EZPZ_ROOT ?? ""])
          const place = yield* Rendezvous.find(options)
          assert.strictEqual(place.source, "explicit")
          assert.strictEqual(place.keys !== undefined, "EZPZ_SECRET" in environment)
          yield* answers(place, "said")
          assert.isFalse(Fs.existsSync(options.home!))
        }).pipe(Effect.scoped)
      }
    }))

  it.effect("but not beyond this host without a secret, at the training's own port, or at what is no endpoint", () =>
    Effect.gen(function*() {
      for (
        const [EZPZ_ROOT, said] of [
          ["tcp://node7:4000", "beyond this host EZPZ_SECRET is needed"],
          ["tcp://127.0.0.1:29500", "its port is MASTER_PORT"],
          ["tcp://127.0.0.1:0", "neither tcp://host:port nor ipc:///path"],
          ["tcp://node7", "neither tcp://host:port nor ipc:///path"],
          ["ipc://here", "neither tcp://host:port nor ipc:///path"],
          ["node7:4000", "neither tcp://host:port nor ipc:///path"]
        ] as const
      ) {
        const options = yield* setting({ EZPZ_ROOT }, "job", 29_500)
        for (const error of [yield* Effect.flip(claim(options)), yield* Effect.flip(Rendezvous.find(options))]) {
          assert.include(error.message, `EZPZ_ROOT is ${EZPZ_ROOT}: ${said}`)
        }
      }
    }))
})

describe("by what can be computed", () => {
  it.effect("where nothing is shared but a secret: ports and keys follow from the job, after a look for the file", () =>
    Effect.gen(function*() {
      const environment = { EZPZ_SECRET: "between us", MASTER_ADDR: "node7" }
      const options = yield* setting(environment, "job", 29_500)
      const found = yield* Effect.forkChild(Rendezvous.find(options))
      yield* TestClock.adjust("1 seconds")
      assert.isUndefined(found.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      const place = yield* Fiber.join(found)
      assert.strictEqual(place.source, "derived")
      // The root's host has another home.
      const { listen } = yield* claim(yield* setting(environment, "job", 29_500), { hosts: "several" })
      const ports = listen.tcp!.ports.slice(0, -1)
      assert.deepStrictEqual(place.endpoints, ports.map((port) => `tcp://node7:${port}`))
      assert.deepStrictEqual(place.keys, listen.tcp!.keys)
      assert.deepStrictEqual(place.keys, Keys.fromSecret("between us", "job"))
      const { listen: other } = yield* claim(yield* setting(environment, "other", 29_500), { hosts: "several" })
      assert.notDeepEqual(other.tcp!.ports, listen.tcp!.ports)
      assert.notDeepEqual(other.tcp!.keys, listen.tcp!.keys)
    }))

  it.effect("never the training's own port, nor those beside it", () =>
    Effect.gen(function*() {
      const options = yield* setting({ EZPZ_SECRET: "between us" })
      for (let masterPort = 20_000; masterPort < 32_000; masterPort += 1500) {
        const { listen } = yield* claim(
          { ...options, job: { id: `job${masterPort}`, rootHosts: [], masterPort } },
          { hosts: "several" }
        )
        const { ports } = listen.tcp!
        assert.isAtLeast(ports.length, 3)
        for (const port of ports.slice(0, -1)) {
          assert.isTrue(port >= 20_000 && port < 32_000 && Math.abs(port - masterPort) > 16)
        }
      }
    }))
})

describe("whose root it is", () => {
  it.live("two jobs at a time on one machine do not meet", () =>
    Effect.gen(function*() {
      const one = yield* setting({}, "one")
      const two = { ...one, job: { ...one.job, id: "two" } }
      const roots = yield* Effect.all([open(one, { hosts: "several" }), open(two, { hosts: "several" })])
      const places = yield* Effect.all([Rendezvous.find(one), Rendezvous.find(two)])
      for (const [i, place] of places.entries()) {
        assert.strictEqual(place.run, roots[i]!.run)
        yield* answers(place, `job ${i}`)
      }
      assert.notDeepEqual(places[0].endpoints, places[1].endpoints)
      assert.notDeepEqual(places[0].keys, places[1].keys)
    }))

  it.live("a second root of one job is turned away, unless the first leaves in time", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      const root = yield* child({ ...options, runId: "run", hosts: "one" })
      const error = yield* Effect.flip(claim(options, { patienceMillis: 50 }))
      assert.include(error.message, `process ${root.pid} of this host is its root already`)
      assert.include(error.message, "EZPZ_JOB_ID")
      const second = yield* Effect.forkChild(claim(options))
      yield* Effect.sleep(100)
      yield* root.kill
      yield* Fiber.join(second)
      // Within one process, too.
      const third = yield* Effect.flip(claim(options, { patienceMillis: 0 }))
      assert.include(third.message, `process ${process.pid} of this host is its root already`)
    }))

  it.live("a root that was killed is not found; one that goes on with its run has its keys, another run has not", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      const root = yield* child({ ...options, runId: "run", hosts: "one" })
      const first = yield* Rendezvous.find(options)
      yield* answers(first, "first")
      yield* root.kill
      const gone = yield* Effect.flip(Rendezvous.find({ ...options, timeoutMillis: 0 }))
      assert.include(gone.message, `was left by process ${root.pid}, which is gone`)

      const follow = yield* Effect.forkChild(Rendezvous.find({ ...options, other: first, run: first.run }))
      const second = yield* child({ ...options, runId: "run", hosts: "one" })
      const found = yield* Fiber.join(follow)
      assert.deepStrictEqual([found.run, found.keys], [first.run, first.keys])
      assert.isAbove(found.incarnation!, first.incarnation!)
      yield* answers(found, "second")
      // Its sockets replace those that were left.
      assert.strictEqual(Fs.readdirSync(Path.dirname(found.endpoints[0]!.slice("ipc://".length))).length, 1)
      yield* second.kill

      yield* open(options, { runId: "the next" })
      const next = yield* Rendezvous.find(options)
      assert.notStrictEqual(next.run, first.run)
      assert.notDeepEqual(next.keys, first.keys)
      assert.isAbove(next.incarnation!, found.incarnation!)
      const stays = yield* Effect.flip(
        Rendezvous.find({ ...options, other: found, run: found.run, timeoutMillis: 0 })
      )
      assert.include(stays.message, "root.json is of another run")
      const same = yield* Effect.flip(Rendezvous.find({ ...options, other: next, timeoutMillis: 0 }))
      assert.include(same.message, "root.json is the same")
    }))

  it.effect("what roots have left that were killed is taken away after a week; not sooner, and not of one that is there", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      const all = Path.join(options.home ?? "", ".ezpz-stream")
      const killed = (name: string, days: number): string => {
        const directory = Path.join(all, name)
        const at = new Date(-days * 24 * 3600 * 1000)
        Fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
        const keys = { server: Keys.random().server, client: Keys.random().client }
        const contents = { format: 1, job: name, runId: "r", run: "r", incarnation: 1, pid: 1, endpoints: [], keys }
        const file = Path.join(directory, "root.json")
        Fs.writeFileSync(file, JSON.stringify({ ...contents, host: Os.hostname() }), { mode: 0o600 })
        Fs.utimesSync(file, at, at)
        return directory
      }
      const old = killed("old", 8)
      const recent = killed("recent", 6)
      const alive = killed("alive", 8)
      const lock = Lock.take(Path.join(alive, "root.lock"))
      const others = Path.join(all, "others")
      Fs.mkdirSync(others)
      yield* Effect.scoped(claim(options))
      assert.deepStrictEqual([old, recent, alive, others].map((one) => Fs.existsSync(one)), [false, true, true, true])
      if (Lock.isHeld(lock)) lock.release()
    }))

  it.effect("a root on another host is replaced where the launcher put a new one, and both can tell", () =>
    Effect.gen(function*() {
      const options = yield* setting()
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(claim(options), scope)
      yield* first.publish([])
      const path = sharedFile(options)
      // As seen from another host.
      const lock = Path.join(Path.dirname(path), "root.lock")
      for (const file of [path, lock]) {
        Fs.writeFileSync(file, Fs.readFileSync(file, "utf8").replace(/"host":"[^"]*"/, "\"host\":\"node7\""))
      }
      const second = yield* child({ ...options, runId: "run", hosts: "one" }).pipe(Effect.as(true), TestClock.withLive)
      assert.isTrue(second)
      assert.isFalse(yield* first.isMine)
      yield* Scope.close(scope, Exit.void)
      // What is another's stays.
      assert.strictEqual((yield* Rendezvous.find(options)).source, "file")
    }))
})
