import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Flops from "../src/Flops.ts"
import * as Memory from "../src/Memory.ts"
import * as Summary from "../src/Summary.ts"
import { temporary } from "./support/directory.ts"
import { fakeLevelZero, type FakeNvml, fakeNvml, gib } from "./support/drivers.ts"

/** One GPU, of which so much is used. */
const using = (nvml: FakeNvml, used: number): void => nvml.set({ used: used * gib, reserved: gib / 2, total: 80 * gib })

const memoryCalls = (nvml: FakeNvml): number => nvml.calls().filter((name) => name.includes("Memory")).length

describe("metrics of an NVIDIA GPU", () => {
  it.effect("are the four of the reference, in GiB, and make the summary's token with the device's total", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      using(nvml, 12)
      const options = { environment: nvml.environment }
      const metrics = yield* Memory.metrics("cuda:0", options)
      assert.deepStrictEqual(metrics, {
        mem_alloc: 12,
        mem_peak_alloc: 12,
        mem_reserved: 12.5,
        mem_peak_reserved: 12.5
      })
      const memoryTotal = yield* Memory.total("cuda:0", options)
      assert.strictEqual(memoryTotal, 80)
      assert.strictEqual(Summary.format(metrics, { memoryTotal }), "memory=12.00/12.50GiB (15%)")
      assert.deepStrictEqual(Object.keys(yield* Memory.metrics("cuda:0", { ...options, prefix: "train/" })), [
        "train/mem_alloc",
        "train/mem_peak_alloc",
        "train/mem_reserved",
        "train/mem_peak_reserved"
      ])
    }))

  it.effect("are read every 100 ms of the program's clock at most, however often they are asked for", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      using(nvml, 1)
      const read = Effect.map(Memory.metrics(0, { environment: nvml.environment }), (all) => all["mem_alloc"])
      assert.strictEqual(yield* read, 1)
      using(nvml, 2)
      nvml.calls()
      for (let i = 0; i < 1000; i++) assert.strictEqual(yield* read, 1)
      yield* TestClock.adjust(99)
      assert.strictEqual(yield* read, 1)
      assert.strictEqual(memoryCalls(nvml), 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* read, 2)
      assert.strictEqual(memoryCalls(nvml), 1)
    }))

  it.effect("have the peak since it was last told, which resetPeak: false keeps", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      const peak = (resetPeak?: boolean) =>
        Effect.map(Memory.metrics(0, { environment: nvml.environment, resetPeak }), (all) => [
          all["mem_alloc"],
          all["mem_peak_alloc"],
          all["mem_peak_reserved"]
        ])
      const later = (used: number) => Effect.andThen(Effect.sync(() => using(nvml, used)), TestClock.adjust(100))
      using(nvml, 5)
      assert.deepStrictEqual(yield* peak(), [5, 5, 5.5])
      yield* later(9)
      assert.deepStrictEqual(yield* peak(false), [9, 9, 9.5])
      yield* later(3)
      assert.deepStrictEqual(yield* peak(false), [3, 9, 9.5])
      assert.deepStrictEqual(yield* peak(), [3, 9, 9.5])
      assert.deepStrictEqual(yield* peak(), [3, 3, 3.5])
    }))

  it.live("a meter sees peaks between steps, and stops with its scope", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      using(nvml, 1)
      yield* Effect.scoped(Effect.gen(function*() {
        const meter = yield* Memory.make(0, { environment: nvml.environment })
        assert.deepStrictEqual([meter.name, meter.total], ["NVIDIA H100 80GB HBM3", 80])
        yield* meter.metrics()
        const next = (used: number) =>
          Effect.gen(function*() {
            using(nvml, used)
            nvml.calls()
            // The one that may have begun before, and one after it.
            while (memoryCallsSoFar(nvml) < 2) yield* Effect.sleep(5)
          })
        yield* next(40)
        yield* next(2)
        const metrics = yield* meter.metrics()
        assert.deepStrictEqual([metrics["mem_alloc"], metrics["mem_peak_alloc"]], [2, 40])
      }))
      nvml.calls()
      yield* Effect.sleep(250)
      assert.strictEqual(memoryCalls(nvml), 0)
    }))

  it.effect("of a driver before 510 count what is reserved as used", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml("-DOLD")
      using(nvml, 12)
      assert.deepStrictEqual(yield* Memory.metrics(0, { environment: nvml.environment }), {
        mem_alloc: 12.5,
        mem_peak_alloc: 12.5,
        mem_reserved: 12.5,
        mem_peak_reserved: 12.5
      })
    }))

  it.effect("are left out while a GPU does not tell, and come back", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      const read = Memory.metrics(0, { environment: nvml.environment })
      nvml.set({ used: null })
      assert.deepStrictEqual(yield* read, {})
      using(nvml, 4)
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* read)["mem_alloc"], 4)
      nvml.write("")
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* read, {})
    }))
})

/** Without forgetting them. */
const memoryCallsSoFar = (nvml: FakeNvml): number => {
  const path = Path.join(Path.dirname(nvml.path), "gpus.calls")
  return Fs.existsSync(path)
    ? Fs.readFileSync(path, "utf8").split("\n").filter((name) => name.includes("Memory")).length
    : 0
}

describe("there are no metrics", () => {
  it.effect("with EZPZ_TRACK_MEMORY=0, and no library is loaded for it", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      using(nvml, 1)
      for (const off of ["0", "false", " no ", "OFF"]) {
        const environment = { ...nvml.environment, EZPZ_TRACK_MEMORY: off }
        assert.deepStrictEqual(yield* Memory.metrics(0, { environment }), {})
        assert.isUndefined(yield* Memory.total(0, { environment }))
        const meter = yield* Memory.make(0, { environment })
        assert.deepStrictEqual([meter.total, yield* meter.metrics()], [undefined, {}])
      }
      assert.deepStrictEqual(nvml.calls(), [])
      assert.isTrue(Memory.isTracked({ EZPZ_TRACK_MEMORY: "1" }) && Memory.isTracked({}))
    }))

  it.effect("without a GPU, for a device that is none, and where the library does not work", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const nvml = yield* fakeNvml()
      using(nvml, 1)
      assert.deepStrictEqual(yield* Memory.metrics(undefined, { environment: {}, root }), {})
      for (const device of ["cpu", "mps", "meta", "", "cuda:x", -1, 1.5, "cuda:1", 7, "GPU-none", "xpu"]) {
        assert.deepStrictEqual(
          yield* Memory.metrics(device, { environment: nvml.environment, root }),
          {},
          String(device)
        )
      }
      const text = Path.join(root, "libnvidia-ml.so.1")
      Fs.writeFileSync(text, "not a library")
      for (const path of [text, Path.join(root, "nowhere.so"), "libc.so.6", "off"]) {
        assert.deepStrictEqual(yield* Memory.metrics(0, { environment: { EZPZ_NVML: path }, root }), {}, path)
      }
      const broken = yield* fakeNvml()
      broken.write("init 9\nGPU-0;a;1;1;1;1;1;1;1\n")
      assert.deepStrictEqual(yield* Memory.metrics(0, { environment: broken.environment, root }), {})
    }))

  it("where there is no GPU, and koffi is not loaded to find that out", () => {
    const root = JSON.stringify(new URL("../src/", import.meta.url).href)
    const script = `
      const { Effect } = await import("effect")
      const Memory = await import(${root} + "Memory.ts")
      const SystemMetrics = await import(${root} + "SystemMetrics.ts")
      const environment = { PATH: "" }
      const options = { environment, root: "/nowhere" }
      const found = await Effect.runPromise(Memory.metrics(undefined, options))
      await Effect.runPromise(Effect.flatMap(SystemMetrics.make(options), ({ sample }) => sample))
      const loaded = process.report.getReport().sharedObjects.filter((name) => name.includes("koffi"))
      console.log(JSON.stringify({ found, loaded }))`
    const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: import.meta.dirname })
    assert.deepStrictEqual(JSON.parse(String(out)), { found: {}, loaded: [] })
  })

  it.effect("of a driver that hangs, which is waited for once", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      nvml.write("hang\n")
      const read = Memory.metrics(0, { environment: nvml.environment })
      const first = yield* Effect.forkChild(read, { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* Fiber.join(first), {})
      // No time passes any more.
      for (let i = 0; i < 100; i++) assert.deepStrictEqual(yield* read, {})
      using(nvml, 1)
      while (Object.keys(yield* read).length === 0) yield* moment
      assert.strictEqual((yield* read)["mem_alloc"], 1)
      // And later, while a run is on: what was said last is told for ten seconds.
      nvml.write("hang\n")
      yield* TestClock.adjust(100)
      const second = yield* Effect.forkChild(read, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(second))["mem_alloc"], 1)
      assert.strictEqual((yield* read)["mem_alloc"], 1)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* read, {})
      using(nvml, 2)
      while ((yield* read)["mem_alloc"] !== 2) {
        yield* moment
        yield* TestClock.adjust(100)
      }
    }))
})

/** Real time: a library's threads know no other. */
const moment = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))

describe("which GPU", () => {
  it.effect("is the one of the local rank among those that are visible", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      const uuid = (i: number): string => `GPU-0000000${i}-aaaa-bbbb-cccc-dddddddddddd`
      nvml.set(...[0, 1, 2, 3].map((i) => ({ used: i * gib, name: `GPU ${i}` })))
      const cases: ReadonlyArray<
        readonly [device: Memory.Device | undefined, { readonly [name: string]: string }, string?]
      > = [
        [undefined, {}, "GPU 0"],
        [undefined, { RANK: "6", WORLD_SIZE: "8", LOCAL_RANK: "2", LOCAL_WORLD_SIZE: "4" }, "GPU 2"],
        ["cuda", { RANK: "6", WORLD_SIZE: "8", LOCAL_RANK: "2", LOCAL_WORLD_SIZE: "4" }, "GPU 2"],
        // A launcher that gives each rank one of its own.
        [undefined, {
          RANK: "3",
          WORLD_SIZE: "4",
          LOCAL_RANK: "3",
          LOCAL_WORLD_SIZE: "4",
          CUDA_VISIBLE_DEVICES: "3"
        }, "GPU 3"],
        [1, {}, "GPU 1"],
        ["gpu:3", {}, "GPU 3"],
        [4, {}],
        [1, { CUDA_VISIBLE_DEVICES: "2, 0" }, "GPU 0"],
        [2, { CUDA_VISIBLE_DEVICES: "2,0" }],
        [0, { CUDA_VISIBLE_DEVICES: "" }],
        [0, { CUDA_VISIBLE_DEVICES: "NoDevFiles" }],
        [1, { CUDA_VISIBLE_DEVICES: "2,-1,0" }],
        [1, { CUDA_VISIBLE_DEVICES: `${uuid(1)},${uuid(2)}` }, "GPU 2"],
        [0, { CUDA_VISIBLE_DEVICES: "GPU-00000003" }, "GPU 3"],
        [uuid(2), {}, "GPU 2"],
        ["xpu:0", {}]
      ]
      const root = yield* temporary
      for (const [device, own, expected] of cases) {
        const environment = { ...nvml.environment, ...own }
        const name = yield* Flops.getDeviceName(device, { environment, root })
        assert.strictEqual(name, expected, `${device} ${JSON.stringify(own)}`)
        const used = (yield* Memory.metrics(device, { environment, root }))["mem_alloc"]
        assert.strictEqual(used, expected === undefined ? undefined : Number(expected.slice(4)))
      }
    }))

  it.effect("of AMD is found by its files, as HIP and the runtime narrow them", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const card = (number: number, used: number, more: { readonly [name: string]: string }): void => {
        const device = Path.join(root, `sys/class/drm/card${number}/device`)
        Fs.mkdirSync(device, { recursive: true })
        const files = {
          vendor: "0x1002",
          mem_info_vram_used: `${used * gib}`,
          mem_info_vram_total: `${192 * gib}`,
          ...more
        }
        for (const [name, text] of Object.entries(files)) Fs.writeFileSync(Path.join(device, name), `${text}\n`)
      }
      card(1, 10, { product_name: "AMD Instinct MI300X OAM" })
      card(2, 20, { device: "0x74a1", unique_id: "abc" })
      card(3, 30, { device: "0x0001" })
      const of = (device: Memory.Device | undefined, environment: { readonly [name: string]: string } = {}) =>
        Effect.all([
          Flops.getDeviceName(device, { environment, root }),
          Effect.map(Memory.metrics(device, { environment, root }), (all) => all["mem_alloc"])
        ])
      assert.deepStrictEqual(yield* of("cuda:0"), ["AMD Instinct MI300X OAM", 10])
      assert.deepStrictEqual(yield* of(1), ["AMD Instinct MI300X", 20])
      assert.deepStrictEqual(yield* of("hip:2"), [undefined, 30])
      assert.deepStrictEqual(yield* of(0, { ROCR_VISIBLE_DEVICES: "1,2", HIP_VISIBLE_DEVICES: "1" }), [undefined, 30])
      assert.deepStrictEqual(yield* of(0, { ROCR_VISIBLE_DEVICES: "GPU-abc" }), ["AMD Instinct MI300X", 20])
      assert.deepStrictEqual(yield* of("xpu"), [undefined, undefined])
      assert.strictEqual(yield* Memory.total(0, { environment: {}, root }), 192)
    }))

  it.effect("of Intel is a stack of a card, or a whole card, without memory of the host", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const path = yield* fakeLevelZero
      const of = (device: Memory.Device | undefined, own: { readonly [name: string]: string } = {}) => {
        const environment = { EZPZ_LEVEL_ZERO: path, ...own }
        return Effect.gen(function*() {
          const { mem_alloc: used } = yield* Memory.metrics(device, { environment, root })
          return [used, yield* Memory.total(device, { environment, root })]
        })
      }
      assert.deepStrictEqual(yield* of("xpu"), [1, 64])
      assert.deepStrictEqual(yield* of("xpu:3"), [4, 64])
      assert.deepStrictEqual(yield* of(2), [3, 64])
      assert.deepStrictEqual(yield* of("xpu:4"), [undefined, undefined])
      assert.deepStrictEqual(yield* of("xpu:0", { ZE_AFFINITY_MASK: "2,3" }), [3, 64])
      assert.deepStrictEqual(yield* of("xpu:1", { ZE_FLAT_DEVICE_HIERARCHY: "COMPOSITE" }), [7, 128])
      assert.deepStrictEqual(yield* of("cuda"), [undefined, undefined])
      const environment = { EZPZ_LEVEL_ZERO: path }
      assert.strictEqual(yield* Flops.getDeviceName("xpu", { environment, root }), "Intel(R) Data Center GPU Max 1550")
      // 8 x 56 vector engines of a stack.
      assert.strictEqual(yield* Flops.peakFlops("xpu", { environment, root }), 512 * 448 * 1300e6)
    }))
})
