/**
 * Lines that say where in a GPU's memory their values are, through a real bridge and a driver that is compiled here: memory of
 * another process is a file there, and so is an event (test/support/drivers/cuda.c).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { closedWith, surroundings, temporary, until } from "../integration/ranks/processes.ts"
import * as Fakes from "../reducer/nccl/fakes.ts"
import { bridgeOf, complaints, end, isUp, nccl, patient, start as startRanks } from "../reducer/nccl/ranks.ts"
import { ezpz, run } from "./command.ts"

const { environment } = Fakes.compile(temporary())
const env = { ...environment, PATH: surroundings()["PATH"] ?? "" }

/** 64 bytes that hold a path, as the driver of these tests has handles. */
const handleOf = (path: string): string => {
  const bytes = Buffer.alloc(64)
  bytes.write(path)
  return bytes.toString("base64")
}

const memory = (path: string, bytes: Uint8Array): string => {
  Fs.writeFileSync(path, bytes)
  return handleOf(path)
}

const line = (step: number, $cuda: object, rest: object = {}): string => `${JSON.stringify({ step, $cuda, ...rest })}\n`

const records = (outdir: string): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  Fs.readFileSync(Path.join(outdir, "metrics.jsonl"), "utf8").trimEnd().split("\n").map((text) =>
    JSON.parse(text).metrics
  )

const args = ["--backends", "csv", "--no-plots", "--outdir", "run"]

describe("metrics in a GPU's memory", () => {
  it("are read in each dtype, exactly, among lines that are as they were", async () => {
    const cwd = temporary()
    const f32 = Buffer.from(new Float32Array([0.1, -Infinity, 3e38]).buffer)
    const f64 = Buffer.from(new Float64Array([NaN, 0.1, 1 / 3, -0]).buffer)
    const bf16 = Buffer.from(new Uint16Array([0x3f80, 0x4049, 0xff80, 0x0001]).buffer)
    const f16 = Buffer.from(new Uint16Array([0x3c00, 0x4248, 0x7c00, 0x0001, 0x8000]).buffer)
    const at = (name: string, bytes: Uint8Array): string => memory(Path.join(cwd, name), bytes)
    const input = [
      line(1, { handle: at("a", f32), offset: 0, dtype: "f32", keys: ["loss", "train/acc", "big"] }, { lr: 0.5 }),
      "{\"step\":2,\"loss\":NaN}\n",
      line(3, { handle: at("b", f64), offset: 8, dtype: "f64", keys: ["a", "b", "c"] }),
      line(4, { handle: at("c", bf16), dtype: "bf16", keys: ["a", "b", "c", "d"] }),
      line(5, { handle: at("d", f16), dtype: "f16", keys: ["a", "b", "c", "d", "e"] }),
      `{"step":6,"eval":{"$cuda":${
        JSON.stringify({ handle: handleOf(Path.join(cwd, "b")), dtype: "f64", keys: ["x"] })
      }},"y":NaN}\n`
    ].join("")
    Fs.writeFileSync(Path.join(cwd, "log"), input)
    const { code, error } = await run([...args, "log"], { cwd, env })
    assert.strictEqual(code, 0, error)
    assert.include(error, "6 lines: 6 accepted, 0 refused")
    assert.deepStrictEqual(records(Path.join(cwd, "run")), [
      { loss: Math.fround(0.1), "train/acc": "-Infinity", big: Math.fround(3e38), lr: 0.5 },
      { loss: "NaN" },
      { a: 0.1, b: 1 / 3, c: -0 },
      { a: 1, b: 3.140625, c: "-Infinity", d: 2 ** -133 },
      { a: 1, b: 3.140625, c: "Infinity", d: 2 ** -24, e: -0 },
      { "eval/x": "NaN", y: "NaN" }
    ])
  })

  it("are waited for until their event has come", async () => {
    const cwd = temporary()
    const values = new Float64Array([1.5])
    const handle = memory(Path.join(cwd, "memory"), Buffer.from(values.buffer))
    const event = handleOf(Path.join(cwd, "event"))
    const job = ezpz(args, { cwd, env })
    await job.write(line(1, { handle, dtype: "f64", keys: ["loss"] }))
    await job.until(({ out }) => out().includes("loss=1.500000"))
    await job.write(line(2, { handle, dtype: "f64", keys: ["loss"], event }))
    // The job's device is not done yet: what is there now is none of its values.
    await new Promise((resolve) => setTimeout(resolve, 200))
    // Written where it is: what is cut short cannot be mapped meanwhile.
    const file = Fs.openSync(Path.join(cwd, "memory"), "r+")
    Fs.writeSync(file, new Float64Array([2.5]))
    Fs.closeSync(file)
    Fs.writeFileSync(Path.join(cwd, "event"), "")
    await job.until(({ out }) => out().includes("step=2"))
    job.end()
    const { out } = await job.ended
    assert.include(out, "loss=2.500000")
  })

  it("that make no sense, are gone, or were written again are refused, each with its reason", async () => {
    const cwd = temporary()
    const handle = memory(Path.join(cwd, "memory"), Buffer.from(new Float64Array([7, 0.5]).buffer))
    const bad: ReadonlyArray<readonly [object, string]> = [
      [{ handle: "AAAA", dtype: "f64", keys: ["a"] }, "$cuda needs a handle: 64 bytes in base64"],
      [{ handle, dtype: "int8", keys: ["a"] }, "$cuda needs a dtype: f32, f64, bf16 or f16"],
      [{ handle, dtype: "f64", keys: [] }, "$cuda needs keys, a list of names"],
      [{ handle, dtype: "f64", keys: ["a", "a"] }, "$cuda names a key twice"],
      [{ handle, dtype: "f64", keys: ["a"], offset: 3 }, "$cuda has an offset that is no multiple of a value's bytes"],
      [{ handle, dtype: "f64", keys: ["a", "b", "c"] }, "$cuda reaches beyond the memory that its handle is of"],
      [{ handle, dtype: "f64", keys: ["a"], device: 3 }, "there is no GPU 3: 1 are visible"],
      [{ handle, dtype: "f64", keys: ["a"], event: "x" }, "$cuda has an event that is not 64 bytes in base64"],
      [
        { handle, dtype: "f64", keys: ["a"], offset: 8, check: { offset: 0, value: 6 } },
        "the memory of $cuda was used again before it was read"
      ],
      [
        { handle: handleOf(Path.join(cwd, "gone")), dtype: "f64", keys: ["a"] },
        "$cuda cannot be read: cuIpcOpenMemHandle"
      ]
    ]
    const good = line(9, { handle, dtype: "f64", keys: ["a"], offset: 8, check: { offset: 0, value: 7 } })
    Fs.writeFileSync(Path.join(cwd, "log"), bad.map(([$cuda], i) => line(i, $cuda)).join("") + good)
    const { code, error } = await run([...args, "log"], { cwd, env })
    assert.strictEqual(code, 0, error)
    for (const [i, [, reason]] of bad.entries()) assert.include(error, `line ${i + 1} refused: ${reason}`)
    assert.include(error, "11 lines: 1 accepted, 10 refused")
    assert.deepStrictEqual(records(Path.join(cwd, "run")), [{ a: 0.5 }])
  })

  it("without a driver: it is said once what is missing, and those records are refused", async () => {
    const cwd = temporary()
    const handle = memory(Path.join(cwd, "memory"), new Uint8Array(8))
    const $cuda = { handle, dtype: "f64", keys: ["a"] }
    Fs.writeFileSync(Path.join(cwd, "log"), line(1, $cuda) + "{\"step\":2,\"loss\":1}\n" + line(3, $cuda))
    const missing = { ...env, EZPZ_CUDA_LIBRARY: "/nowhere/libcuda.so.1" }
    const { code, error } = await run([...args, "log"], { cwd, env: missing })
    assert.strictEqual(code, 0, error)
    const warnings = error.split("\n").filter((text) => text.startsWith("warning: $cuda"))
    assert.strictEqual(warnings.length, 1, error)
    assert.include(warnings[0], "$cuda cannot be read: the CUDA driver cannot be loaded: /nowhere/libcuda.so.1")
    assert.include(error, "3 lines: 1 accepted, 2 refused")
  })

  it("are read by the bridge that NCCL has, and by another one when that has died", patient, async () => {
    const { directory, log, ranks, root } = startRanks(2, nccl, environment)
    const handles = ranks.map((_, rank) =>
      memory(Path.join(directory, `memory-${rank}`), Buffer.from(new Float64Array([rank + 0.25]).buffer))
    )
    const say = (from: number, to: number): void => {
      for (const [rank, each] of ranks.entries()) {
        for (let step = from; step <= to; step++) {
          each.say(line(step, { handle: handles[rank], dtype: "f64", keys: ["loss"] }))
        }
      }
    }
    await until(isUp(root), root.error)
    say(1, 20)
    await until(() => closedWith(log(), 2) === 20, root.error)
    const bridge = bridgeOf(ranks[1]!)
    process.kill(bridge, "SIGKILL")
    await until(() => complaints(root.error()).length > 0, root.error)
    say(21, 40)
    await until(() => closedWith(log(), 2) === 40, root.error)
    assert.notStrictEqual(bridgeOf(ranks[1]!), bridge)
    const { error } = await end(ranks)
    assert.include(error, "40 lines: 40 accepted, 0 refused")
    for (const { aggregated } of log().last.values()) {
      assert.deepInclude(aggregated, { "loss/min": 0.25, "loss/max": 1.25, "loss/mean": 0.75 })
    }
  })
})
