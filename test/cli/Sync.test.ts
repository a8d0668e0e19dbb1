/**
 * `ezpz-stream sync`, with W&B as the server that is away, comes back, and breaks off.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { connect, createServer } from "node:net"
import * as Path from "node:path"
import * as Wandb from "../integration/wandb/server.ts"
import { ezpz, logged, records, run, temporary } from "./command.ts"

let server: Wandb.Server

beforeAll(async () => {
  server = await Wandb.make()
})
afterAll(() => server[Symbol.asyncDispose]())

const environment = (): Readonly<Record<string, string>> => ({
  WANDB_BASE_URL: server.url,
  WANDB_API_KEY: server.apiKey
})

/** Where nobody listens. */
const away = { WANDB_BASE_URL: "http://127.0.0.1:1", WANDB_API_KEY: Wandb.apiKey }

const runId = (directory: string): string =>
  JSON.parse(Fs.readFileSync(Path.join(directory, ".ezpz", "run.json"), "utf8")).runId

/** The history of a run as the server has it. */
const received = (directory: string): Wandb.Run => {
  const found = [...server.runs.values()].find((one) => one.name === runId(directory))
  if (found === undefined) throw new Error(`the server does not know ${directory}`)
  return found
}

/** Every record of the log is there once, in order, with its values. */
const assertDelivered = (directory: string): Wandb.Run => {
  const remote = received(directory)
  const lines = Wandb.records(remote.history)
  const log = logged(directory)
  assert.strictEqual(lines.filter((line) => "loss" in line).length, log.length)
  assert.deepStrictEqual(
    lines.filter((line) => "loss" in line).map((line) => [line["_step"], line["step"], line["loss"]]),
    log.map((record) => [record.seq - 1, record.step, record.metrics["loss"]])
  )
  assert.deepStrictEqual(remote.errors, [])
  return remote
}

/** A way to a server that is closed until it is opened. */
const wayTo = async (port: number) => {
  const way = { open: false, url: "", [Symbol.asyncDispose]: async () => void relay.close() }
  const relay = createServer((from) => {
    if (!way.open) return void from.destroy()
    const to = connect(port, "127.0.0.1")
    from.pipe(to)
    to.pipe(from)
    for (const [one, other] of [[from, to], [to, from]] as const) one.on("error", () => other.destroy())
  })
  await new Promise<void>((listening) => relay.listen(0, "127.0.0.1", listening))
  const address = relay.address()
  way.url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
  return way
}

/** A run whose server was away. */
const recorded = async (n: number, options: ReadonlyArray<string> = []): Promise<string> => {
  const directory = Path.join(temporary(), "run")
  const { code, error } = await run(
    ["-", "-o", directory, "-q", "--backends", "wandb", "--no-plots", "--finish-timeout", "0.2", ...options],
    { input: records(n), env: away }
  )
  assert.strictEqual(code, 0, error)
  assert.match(error, new RegExp(`not delivered to wandb: ${n.toLocaleString("en")} records`))
  assert.include(error, `deliver: ezpz-stream sync ${directory}`)
  return directory
}

describe("a run whose server was away", () => {
  it("is delivered whole, with its outputs and its end, and again does nothing", async () => {
    const directory = await recorded(300)
    const first = await run(["sync", directory], { env: environment() })
    assert.strictEqual(first.code, 0, first.error)
    assert.match(first.error, /wandb has all of 300 records\n$/)
    const remote = assertDelivered(directory)
    assert.isTrue(remote.complete)
    assert.strictEqual(remote.exitCode, 0)
    assert.isTrue(remote.files.has("report.md"))
    const lines = remote.history.length
    const again = await run(["sync", directory], { env: environment() })
    assert.strictEqual(again.code, 0, again.error)
    assert.strictEqual(received(directory).history.length, lines)
  })

  it("is told about, with what is left and how to try again, and exits with 1, while the server is still away", async () => {
    const directory = await recorded(20)
    const { code, error, out } = await run(["sync", "--patience", "0.5", directory], { env: away })
    assert.deepStrictEqual([code, out], [1, ""])
    assert.match(error, /wandb lacks 20 records and \d+ outputs .*ECONNREFUSED/)
    assert.match(error, /again: ezpz-stream sync /)
  })

  it("fails a strict run", async () => {
    const directory = Path.join(temporary(), "run")
    const { code } = await run(
      ["-", "-o", directory, "-q", "--backends", "wandb", "--no-plots", "--finish-timeout", "0.2", "--strict"],
      { input: records(3), env: away }
    )
    assert.strictEqual(code, 1)
  })

  it("is delivered with several others, whatever becomes of one of them", async () => {
    const [one, two] = [await recorded(5), await recorded(6)]
    Fs.rmSync(Path.join(one, ".ezpz", "run.json"))
    const { code, error } = await run(["sync", one, two], { env: environment() })
    assert.strictEqual(code, 1)
    assert.include(error, "nothing says which run it is")
    assertDelivered(two)
  })

  it("needs no credentials to be told that there is no such run", async () => {
    const { code, error } = await run(["sync", "nowhere"])
    assert.deepStrictEqual([code, error], [2, "Cannot use nowhere: there is no such run.\n"])
  })
})

describe("a run that was recorded offline", () => {
  it("is delivered whole when it is online", async () => {
    const directory = Path.join(temporary(), "run")
    await run(["-", "-o", directory, "-q", "--backends", "wandb", "--no-plots"], {
      input: records(50),
      env: { WANDB_MODE: "offline" }
    })
    const { code, error } = await run(["sync", directory], { env: environment() })
    assert.strictEqual(code, 0, error)
    assert.isTrue(assertDelivered(directory).complete)
  })
})

describe("a run whose process was killed", () => {
  it("is delivered as far as it came, torn line or not, and closed as killed", async () => {
    const directory = Path.join(temporary(), "run")
    const job = ezpz(["-", "-o", directory, "--backends", "wandb"], { env: away })
    await job.write(records(40))
    await job.until((running) => running.out().includes("step=40"))
    job.process.kill("SIGKILL")
    await job.ended
    Fs.appendFileSync(Path.join(directory, "metrics.jsonl"), `{"seq":41,"step":41,"times`)
    const { code, error } = await run(["sync", directory], { env: environment() })
    assert.strictEqual(code, 0, error)
    const remote = received(directory)
    assert.strictEqual(Wandb.records(remote.history).filter((line) => "loss" in line).length, 40)
    assert.deepStrictEqual([remote.complete, remote.exitCode], [true, 255])
  })
})

describe("a sync that is interrupted", () => {
  it("has lost nothing: the next one goes on, and no line is doubled", async () => {
    const directory = await recorded(20_000, ["--no-finalize"])
    for (const signal of ["SIGINT", "SIGKILL"] as const) {
      let streams = 0
      server.fault = ({ route }) => {
        if (route === "file_stream" && ++streams >= 3) syncing.process.kill(signal)
        return route === "file_stream" ? { kind: "slow", millis: 20 } : undefined
      }
      const syncing = ezpz(["sync", directory], { env: environment() })
      const { code } = await syncing.ended
      assert.strictEqual(code, signal === "SIGINT" ? 130 : null)
    }
    server.fault = () => undefined
    const { code, error } = await run(["sync", directory], { env: environment() })
    assert.strictEqual(code, 0, error)
    assertDelivered(directory)
  })
})

describe("a run that still goes on", () => {
  it("is delivered as far as it has come where its own process cannot, which then goes on with the rest", async () => {
    const directory = Path.join(temporary(), "run")
    await using way = await wayTo(server.port)
    const job = ezpz(["-", "-o", directory, "--backends", "wandb", "--no-plots"], {
      env: { WANDB_BASE_URL: way.url, WANDB_API_KEY: server.apiKey }
    })
    await job.write(records(30))
    await job.until((running) => running.out().includes("step=30") && running.error().includes("wandb.start() failed"))
    const { code, error } = await run(["sync", directory], { env: environment() })
    assert.strictEqual(code, 0, error)
    assert.match(error, /wandb has all of 30 records so far; the run goes on/)
    assert.isFalse(assertDelivered(directory).complete)
    way.open = true
    await job.write(records(10, 31))
    job.end()
    const ended = await job.ended
    assert.strictEqual(ended.code, 0, ended.error)
    const remote = assertDelivered(directory)
    // What the other process has delivered was not sent again.
    assert.deepStrictEqual([remote.complete, remote.repeated], [true, 0])
  })

  it("is left to its own process while that delivers", async () => {
    const directory = Path.join(temporary(), "run")
    const job = ezpz(["-", "-o", directory, "--backends", "wandb"], { env: environment() })
    await job.write(records(10))
    await job.until((running) => running.out().includes("step=10"))
    const { code, error } = await run(["sync", directory], { env: environment() })
    assert.match(error, new RegExp(`process ${job.process.pid} is delivering to wandb now|so far; the run goes on`))
    assert.include([0, 1], code)
    job.end()
    assert.strictEqual((await job.ended).code, 0)
    assertDelivered(directory)
  })
})
