import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Zmq from "zeromq"
import * as Keys from "../../../src/reducer/zeromq/Keys.ts"
import * as Transport from "../../../src/reducer/zeromq/Transport.ts"
import { temporary } from "../../support/directory.ts"
import { frame, numberIn, type Plan, type Told } from "./process/transport.ts"

const me = { job: "job", rank: 1, incarnation: 1, process: "here" }

/** Until it is so: real sockets take their time. A test that waits in vain fails by its time-out. */
const until = (what: string, holds: () => boolean, millis = 15_000) =>
  Effect.gen(function*() {
    for (let waited = 0; !holds(); waited += 10) {
      if (waited > millis) return assert.fail(`never: ${what}`)
      yield* Effect.sleep(10)
    }
  })

const listen = (options: Omit<Transport.ListenOptions, "receive">) =>
  Effect.gen(function*() {
    const got: Array<readonly [string, number]> = []
    const batches: Array<number> = []
    const root = yield* Transport.listen({
      ...options,
      receive: (batch) => {
        batches.push(batch.length)
        got.push(...batch.map(({ frame, peer }) => [peer, numberIn(frame)] as const))
      }
    })
    return { root, got, batches, from: (peer: string) => got.flatMap(([from, n]) => from === peer ? [n] : []) }
  })

const connect = (target: Transport.Target, options: Partial<Transport.ConnectOptions> = {}) =>
  Effect.gen(function*() {
    const got: Array<number> = []
    const states: Array<boolean> = []
    const peer = yield* Transport.connect({
      target,
      identity: Transport.identity(me),
      receive: (batch) => got.push(...batch.map(numberIn)),
      connection: (connected) => states.push(connected),
      ...options
    })
    return { peer, got, states }
  })

const loopback = { interface: "127.0.0.1", ports: [0], hosts: ["127.0.0.1"] }

const child = (plan: Plan) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const told: Array<Told> = []
      const process_: ChildProcess = spawn(
        process.execPath,
        [fileURLToPath(new URL("./process/transport.ts", import.meta.url)), JSON.stringify(plan)],
        { stdio: ["ignore", "pipe", "inherit"] }
      )
      let rest = ""
      process_.stdout?.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\n")
        rest = lines.pop() ?? ""
        for (const line of lines) told.push(JSON.parse(line))
      })
      const numbers = () => told.flatMap((told) => told.told === "received" ? told.numbers : [])
      return { told, numbers, signal: (signal: NodeJS.Signals) => void process_.kill(signal), process: process_ }
    }),
    (child) => Effect.sync(() => child.signal("SIGKILL"))
  )

const isRising = (numbers: ReadonlyArray<number>): boolean => numbers.every((n, i) => i === 0 || n > numbers[i - 1]!)

describe("what comes to who looks at it now and then", () => {
  it.live("is there together, in order", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      let beat = () => {}
      let isPaced = true
      const pace = () => isPaced ? new Promise<void>((resume) => beat = resume) : undefined
      const { batches, got, root } = yield* listen({ ipc: Path.join(directory, "root", "s"), pace })
      const { peer } = yield* connect({ endpoints: root.endpoints })
      yield* until("connected", peer.connected)
      peer.send(frame(0))
      yield* until("the first", () => got.length === 1)
      for (let n = 1; n <= 20; n++) peer.send(frame(n))
      yield* Effect.sleep(100)
      assert.strictEqual(got.length, 1)
      beat()
      yield* until("the others", () => got.length === 21)
      assert.deepStrictEqual(got.map(([, n]) => n), Array.from({ length: 21 }, (_, n) => n))
      assert.isAtMost(batches.length, 3)
      isPaced = false
      beat()
      peer.send(frame(21))
      yield* until("the last", () => got.length === 22)
    }).pipe(Effect.scoped))
})

describe("frames", () => {
  it.live("arrive in order, in both directions, many at a time", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const { batches, got, root } = yield* listen({ ipc: Path.join(directory, "root", "s") })
      const { got: back, peer } = yield* connect({ endpoints: root.endpoints })
      yield* until("connected", peer.connected)
      for (let n = 0; n < 500; n++) assert.isTrue(peer.send(frame(n, 8 + n % 200)))
      yield* until("all there", () => got.length === 500)
      assert.deepStrictEqual(got, Array.from({ length: 500 }, (_, n) => [Transport.identity(me), n] as const))
      assert.isBelow(batches.length, 250)
      for (let n = 0; n < 500; n++) root.send(Transport.identity(me), frame(n, 300))
      yield* until("all back", () => back.length === 500)
      assert.deepStrictEqual(back, Array.from({ length: 500 }, (_, n) => n))
      assert.deepStrictEqual(root.stats(), { sent: 500, unsent: 0, received: 500, refused: 0 })
      assert.deepStrictEqual(peer.stats(), { sent: 500, unsent: 0, received: 500, refused: 0 })
    }))

  it.live("that cannot be sent are said or counted, and never kept", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const ipc = Path.join(directory, "root", "s")
      const { peer, states } = yield* connect({ endpoints: [`ipc://${ipc}`] })
      for (let n = 0; n < 10; n++) assert.isFalse(peer.send(frame(n)))
      const { got, root } = yield* listen({ ipc })
      root.send("nobody", frame(1))
      yield* until("connected", peer.connected)
      assert.isTrue(peer.send(frame(10)))
      yield* until("there", () => got.length > 0)
      assert.deepStrictEqual(got, [[Transport.identity(me), 10]])
      assert.deepStrictEqual(states, [true])
      assert.strictEqual(root.stats().unsent, 1)
      assert.strictEqual(peer.stats().unsent, 10)
    }))

  it.live("beyond what fits on the way are refused; those before arrive, however long the root is busy", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const keys = Keys.random()
      const { root, got } = yield* listen({
        ipc: Path.join(directory, "root", "s"),
        tcp: { ...loopback, keys },
        highWaterMark: 10
      })
      for (const endpoint of root.endpoints) {
        const { got: back, peer, states } = yield* connect({ endpoints: [endpoint], keys }, {
          identity: endpoint,
          highWaterMark: 10
        })
        yield* until("connected", peer.connected)
        got.length = 0
        const sent: Array<number> = []
        // This process reads nothing meanwhile, for long.
        for (let n = 0; n < 1000; n++) if (peer.send(frame(n, 65_536))) sent.push(n)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500)
        assert.isBelow(sent.length, 1000)
        yield* until("all that were taken", () => got.length >= sent.length)
        assert.isTrue(sent.every((n) => got.some(([, there]) => there === n)))
        assert.isTrue(isRising(got.map(([, n]) => n)))
        assert.deepStrictEqual(states, [true])
        // And it still hears: a refusal swallows no signal.
        root.send(endpoint, frame(7))
        yield* until("heard", () => back.length === 1)
        assert.isTrue(peer.send(frame(1e9)))
        yield* until("goes on", () => got.at(-1)?.[1] === 1e9)
      }
    }))
})

describe("who gets in", () => {
  it.live("a peer with a key of the job, handed over or derived from a secret", () =>
    Effect.gen(function*() {
      for (const [mine, theirs] of [[Keys.random()], [Keys.fromSecret("s", "j"), Keys.fromSecret("s", "j")]]) {
        if (mine === undefined) continue
        const { got, root } = yield* listen({ tcp: { ...loopback, keys: mine } })
        const { got: back, peer } = yield* connect({ endpoints: root.endpoints, keys: theirs ?? mine })
        yield* until("connected", peer.connected)
        assert.isTrue(peer.send(frame(1)))
        yield* until("there", () => got.length === 1)
        root.send(Transport.identity(me), frame(2))
        yield* until("back", () => back.length === 1)
      }
      assert.notDeepEqual(Keys.fromSecret("s", "j"), Keys.fromSecret("s", "k"))
      assert.notDeepEqual(Keys.fromSecret("s", "j"), Keys.fromSecret("t", "j"))
    }).pipe(Effect.scoped))

  it.live("nobody else: not without a key, with a wrong one, in plaintext, or with no ZeroMQ at all", () =>
    Effect.gen(function*() {
      const keys = Keys.random()
      const other = Keys.random()
      const { got, root } = yield* listen({ tcp: { ...loopback, keys } })
      const endpoint = root.endpoints[0]!
      const stranger = (options: ConstructorParameters<typeof Zmq.Dealer>[0]) =>
        Effect.map(
          Effect.acquireRelease(
            Effect.sync(() => new Zmq.Dealer({ ...options, linger: 0, sendTimeout: 0 })),
            (socket) => Effect.sync(() => socket.close())
          ),
          (socket) => {
            const received: Array<unknown> = []
            let handshakes = 0
            socket.events.on("handshake", () => void handshakes++)
            socket.connect(endpoint)
            // Queued, to go out as soon as it is let in.
            for (let n = 0; n < 10; n++) void socket.send(frame(n))
            void socket.receive().then((message) => received.push(message), () => undefined)
            return { received, handshakes: () => handshakes }
          }
        )
      const strangers = yield* Effect.all([
        stranger({ routingId: "plain" }),
        stranger({
          routingId: "wrong client key",
          curveServerKey: keys.server.publicKey,
          curvePublicKey: other.client.publicKey,
          curveSecretKey: other.client.secretKey
        }),
        stranger({
          routingId: "wrong server key",
          curveServerKey: other.server.publicKey,
          curvePublicKey: keys.client.publicKey,
          curveSecretKey: keys.client.secretKey
        }),
        stranger({
          routingId: "the root's own key",
          curveServerKey: keys.server.publicKey,
          curvePublicKey: keys.server.publicKey,
          curveSecretKey: keys.server.secretKey
        })
      ])
      const raw = yield* Effect.acquireRelease(
        Effect.sync(() => Net.connect(root.port!, "127.0.0.1")),
        (socket) => Effect.sync(() => socket.destroy())
      )
      raw.on("error", () => undefined).write(Buffer.alloc(10_000, "GET / HTTP/1.1\r\n"))
      const wrong = yield* connect({ endpoints: [endpoint], keys: other }, { identity: "wrong" })
      const mine = yield* connect({ endpoints: [endpoint], keys })
      yield* until("mine is in", mine.peer.connected)
      yield* until("others were turned away", () => root.stats().refused >= 6)
      for (const name of ["plain", "wrong client key", "wrong server key", "the root's own key", "wrong"]) {
        root.send(name, frame(0))
      }
      assert.isTrue(mine.peer.send(frame(1)))
      yield* until("mine is there", () => got.length === 1)
      yield* Effect.sleep(500)
      assert.deepStrictEqual(got, [[Transport.identity(me), 1]])
      for (const { handshakes, received } of strangers) {
        assert.deepStrictEqual(received, [])
        assert.strictEqual(handshakes(), 0)
      }
      assert.isFalse(wrong.peer.send(frame(1)))
      assert.deepStrictEqual(wrong.states, [])
      assert.strictEqual(root.stats().unsent, 5)
    }))

  it.live("at several roots of one process, each its own", () =>
    Effect.gen(function*() {
      const [one, two] = [Keys.random(), Keys.random()]
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(listen({ tcp: { ...loopback, keys: one } }), scope)
      const second = yield* listen({ tcp: { ...loopback, keys: two } })
      const here = yield* connect({ endpoints: second.root.endpoints, keys: two })
      // The right server, and a key that only the other root admits.
      const wrong = yield* connect({
        endpoints: second.root.endpoints,
        keys: { server: two.server, client: one.client }
      }, { identity: "wrong" })
      yield* until("in", here.peer.connected)
      yield* until("turned away", () => second.root.stats().refused > 0)
      assert.strictEqual(first.root.stats().refused, 0)
      assert.isFalse(wrong.peer.connected())
      // One that ends takes nothing from the other.
      yield* Scope.close(scope, Exit.void)
      const later = yield* connect({ endpoints: second.root.endpoints, keys: two }, { identity: "later" })
      yield* until("in, later", later.peer.connected)
      assert.isFalse(wrong.peer.connected())
    }))

  it.live("in plaintext only on this host, unless somebody asks for it by name", () =>
    Effect.gen(function*() {
      const everywhere = { interface: "*", ports: [0], hosts: ["127.0.0.1"] }
      const refused = yield* Effect.flip(listen({ tcp: everywhere }))
      assert.include(refused.message, "Could not listen at tcp://*: without keys everybody could")
      const distant = yield* Effect.flip(connect({ endpoints: ["tcp://10.1.2.3:7"] }))
      assert.include(distant.message, "Could not connect at tcp://10.1.2.3:7: without keys everybody could")
      const { root } = yield* listen({ tcp: { ...everywhere, allowPlaintext: true } })
      const { root: local } = yield* listen({ tcp: loopback })
      for (const { endpoints } of [root, local]) {
        const { peer } = yield* connect({ endpoints })
        yield* until("connected", peer.connected)
      }
    }))

  it.live("through a directory that only its owner may enter", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const ipc = Path.join(directory, "private", "s")
      yield* Effect.gen(function*() {
        yield* listen({ ipc })
        assert.strictEqual(Fs.statSync(Path.dirname(ipc)).mode & 0o777, 0o700)
        assert.strictEqual(Fs.statSync(ipc).mode & 0o777, 0o600)
      }).pipe(Effect.scoped)
      assert.isFalse(Fs.existsSync(ipc))
      Fs.chmodSync(Path.dirname(ipc), 0o750)
      const open = yield* Effect.flip(listen({ ipc }))
      assert.include(open.message, "is open to others (mode 0750)")
      Fs.symlinkSync(directory, Path.join(directory, "link"))
      const link = yield* Effect.flip(listen({ ipc: Path.join(directory, "link", "s") }))
      assert.include(link.message, "is open to others")
    }))

  it.live("at the next port, where one is taken", () =>
    Effect.gen(function*() {
      const { root: first } = yield* listen({ tcp: loopback })
      const taken = first.port!
      const { root } = yield* listen({ tcp: { ...loopback, ports: [taken, 0] } })
      assert.notStrictEqual(root.port, taken)
      const error = yield* Effect.flip(listen({ tcp: { ...loopback, ports: [taken] } }))
      assert.include(error.message, `tcp://127.0.0.1:${taken}`)
    }))
})

describe("peers and roots that go and come", () => {
  it.live("a peer that is killed and comes again, under the same name or a new one", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const { from, root } = yield* listen({ ipc: Path.join(directory, "root", "s") })
      const start = (incarnation: number) =>
        child({
          end: "peer",
          options: { target: { endpoints: root.endpoints }, identity: Transport.identity({ ...me, incarnation }) },
          everyMillis: 5
        })
      const names = [1, 1, 2].map((incarnation) => [incarnation, Transport.identity({ ...me, incarnation })] as const)
      for (const [incarnation, name] of names) {
        const peer = yield* start(incarnation)
        const before = from(name).length
        yield* until("heard", () => from(name).length >= before + 3)
        assert.strictEqual(from(name)[before], 1)
        root.send(name, frame(42))
        yield* until("answered", () => peer.numbers().includes(42))
        peer.signal("SIGKILL")
        yield* until("gone", () => peer.process.signalCode !== null)
      }
      const unsent = root.stats().unsent
      const [, last] = names[2]!
      yield* until("known to be gone", () => (root.send(last, frame(1)), root.stats().unsent > unsent))
    }))

  it.live("the later of two with one name", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const { got, root } = yield* listen({ ipc: Path.join(directory, "root", "s") })
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(connect({ endpoints: root.endpoints }), scope)
      yield* until("first", first.peer.connected)
      first.peer.send(frame(1))
      yield* until("heard", () => got.length === 1)
      const second = yield* connect({ endpoints: root.endpoints })
      yield* until("second", second.peer.connected)
      yield* Scope.close(scope, Exit.void)
      yield* until("it is heard", () => (second.peer.send(frame(2)), got.some(([, n]) => n === 2)))
      yield* until("and answered", () => (root.send(Transport.identity(me), frame(3)), second.got.includes(3)))
      assert.isFalse(first.got.includes(3))
    }))

  it.live("a peer that is stopped holds up nobody, and comes back when it goes on", () =>
    Effect.gen(function*() {
      const keys = Keys.random()
      const directory = yield* temporary
      const { from, root } = yield* listen({ ipc: Path.join(directory, "root", "s"), tcp: { ...loopback, keys } })
      const peers = yield* Effect.forEach(root.endpoints, (endpoint, rank) =>
        Effect.gen(function*() {
          const name = Transport.identity({ ...me, rank })
          const target = { endpoints: [endpoint], keys }
          return { name, ...(yield* child({ end: "peer", options: { target, identity: name }, everyMillis: 5 })) }
        }))
      const other = yield* connect({ endpoints: root.endpoints.slice(0, 1) }, { identity: "other" })
      other.peer.send(frame(0))
      for (const { name } of peers) yield* until("heard", () => from(name).length > 3)
      yield* until("connected", other.peer.connected)
      yield* until("known", () => (other.peer.send(frame(0)), from("other").length > 0))
      for (const peer of peers) peer.signal("SIGSTOP")
      // Far more than fits on the way to those that do not read.
      let n = 0
      yield* until("no more for the stopped", () => {
        for (const { name } of peers) for (let i = 0; i < 100; i++) root.send(name, frame(-1, 4096))
        root.send("other", frame(++n))
        return root.stats().unsent > 500
      })
      yield* until("all of the others", () => other.got.length === n)
      assert.isTrue(isRising(other.got))
      const heard = peers.map(({ name }) => from(name).length)
      for (const peer of peers) peer.signal("SIGCONT")
      for (const [i, { name, numbers }] of peers.entries()) {
        yield* until("heard again", () => from(name).length > heard[i]! + 3)
        yield* until("answered again", () => (root.send(name, frame(77)), numbers().includes(77)))
      }
    }))

  it.live("a root that is stopped: nothing waits, and what was taken arrives when it goes on", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const root = yield* child({ end: "root", options: { ipc: Path.join(directory, "root", "s") } })
      const { peer, states } = yield* connect({ endpoints: [`ipc://${Path.join(directory, "root", "s")}`] })
      yield* until("connected", peer.connected)
      root.signal("SIGSTOP")
      const taken: Array<number> = []
      yield* until("no more is taken", () => {
        for (let i = 0; i < 100; i++) if (peer.send(frame(taken.length, 4096))) taken.push(taken.length)
        return !peer.send(frame(-1, 4096))
      })
      root.signal("SIGCONT")
      yield* until("it hears all of it", () => root.numbers().filter((n) => n >= 0).length === taken.length)
      assert.deepStrictEqual(root.numbers().filter((n) => n >= 0), taken)
      assert.deepStrictEqual(states, [true])
    }))

  it.live("peers that are killed while the root is too busy to read what they said: it goes on", () =>
    Effect.gen(function*() {
      const keys = Keys.random()
      const directory = yield* temporary
      const { from, root } = yield* listen({
        ipc: Path.join(directory, "root", "s"),
        tcp: { ...loopback, keys },
        highWaterMark: 2
      })
      const peers = yield* Effect.forEach(
        root.endpoints,
        (endpoint) =>
          child({
            end: "peer",
            options: { target: { endpoints: [endpoint], keys }, identity: endpoint },
            everyMillis: 1
          })
      )
      for (const endpoint of root.endpoints) yield* until("heard", () => from(endpoint).length > 3)
      const busy = (millis: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
      busy(300)
      for (const peer of peers) peer.signal("SIGKILL")
      busy(1000)
      const other = yield* connect({ endpoints: root.endpoints.slice(0, 1) }, { identity: "other" })
      yield* until("another is heard", () => (other.peer.send(frame(5)), from("other").includes(5)))
    }))

  it.live("a root that is killed and started again, at the same place or another", () =>
    Effect.gen(function*() {
      const keys = Keys.random()
      const start = (port: number) => child({ end: "root", options: { tcp: { ...loopback, ports: [port, 0], keys } } })
      const whereIs = ({ told }: { readonly told: ReadonlyArray<Told> }) =>
        told.flatMap((told) => told.told === "endpoints" ? told.endpoints : [])
      const first = yield* start(0)
      yield* until("first", () => whereIs(first).length > 0)
      const { got, peer, states } = yield* connect({ endpoints: whereIs(first), keys })
      yield* until("connected", peer.connected)
      peer.send(frame(1))
      yield* until("answered", () => got.includes(1))
      first.signal("SIGKILL")
      yield* until("gone", () => !peer.connected())
      assert.isFalse(peer.send(frame(2)))

      const second = yield* start(Number(whereIs(first)[0]!.split(":").at(-1)))
      yield* until("second", () => whereIs(second).length > 0)
      assert.deepStrictEqual(whereIs(second), whereIs(first))
      yield* until("connected again", peer.connected)
      peer.send(frame(3))
      yield* until("answered again", () => got.includes(3))
      second.signal("SIGKILL")

      const third = yield* start(0)
      yield* until("third", () => whereIs(third).length > 0)
      peer.redirect({ endpoints: whereIs(third), keys })
      yield* until("connected elsewhere", peer.connected)
      peer.send(frame(4))
      yield* until("answered from elsewhere", () => got.includes(4))
      assert.deepStrictEqual(third.numbers(), [4])
      assert.deepStrictEqual(states.filter((connected) => connected).length, 3)
    }))

  it.live("the first endpoint that answers", () =>
    Effect.gen(function*() {
      const keys = Keys.random()
      const { root: stranger } = yield* listen({ tcp: { ...loopback, keys: Keys.random() } })
      const { got, root } = yield* listen({ tcp: { ...loopback, keys } })
      const endpoints = ["tcp://127.0.0.1:9", ...stranger.endpoints, ...root.endpoints]
      const { peer } = yield* connect({ endpoints, keys }, { patienceMillis: 100 })
      yield* until("connected", peer.connected)
      yield* until("there", () => (peer.send(frame(1)), got.length > 0))
    }))
})
