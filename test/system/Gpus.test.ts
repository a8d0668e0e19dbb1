import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Text from "../../src/system/Text.ts"
import { temporary } from "../support/directory.ts"
import { fakeLevelZero, fakeNvml } from "../support/drivers.ts"
import { only, sampler, write } from "../support/machine.ts"

/** A directory with an nvidia-smi that notes each call, for PATH. */
const fakeSmi = (script: string) =>
  Effect.map(temporary, (directory) => {
    const path = Path.join(directory, "nvidia-smi")
    const calls = Path.join(directory, "calls")
    Fs.writeFileSync(path, `#!/bin/sh\necho "$@" >> '${calls}'\n${script}\n`, { mode: 0o755 })
    const readCalls = () => Fs.existsSync(calls) ? Fs.readFileSync(calls, "utf8").split("\n").slice(0, -1) : []
    return { directory, path, calls: readCalls, environment: { PATH: `${directory}:${process.env["PATH"]}` } }
  })

describe("GPUs", () => {
  it.effect("of NVIDIA are what NVML says, without a process", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      const smi = yield* fakeSmi("echo '0, 1, 1, 1, 1, 1, 1'")
      nvml.set(
        { used: 1000 * 2 ** 20, total: 4000 * 2 ** 20, reserved: 2 ** 20 },
        { used: 0, total: 2 ** 30, utilization: null, milliwatts: null, most: null, celsius: 33 }
      )
      const { sample } = yield* sampler(yield* temporary, { environment: { ...smi.environment, ...nvml.environment } })
      assert.deepStrictEqual(only(yield* sample, "gpu_"), {
        gpu_0_utilization_percentage: 97,
        gpu_0_memory_usage_megabytes: 1048.576,
        gpu_0_memory_usage_percentage: 25,
        gpu_0_power_usage_watts: 350.5,
        gpu_0_power_usage_percentage: 50.071,
        gpu_0_temperature_celsius: 61,
        gpu_1_memory_usage_megabytes: 0,
        gpu_1_memory_usage_percentage: 0,
        gpu_1_temperature_celsius: 33
      })
      nvml.set({ utilization: 5, celsius: null })
      const later = only(yield* sample, "gpu_")
      assert.strictEqual(later["gpu_0_utilization_percentage"], 5)
      assert.isFalse("gpu_0_temperature_celsius" in later || "gpu_1_temperature_celsius" in later)
      assert.deepStrictEqual(smi.calls(), [])
      assert.lengthOf(nvml.calls().filter((name) => name === "nvmlInit_v2"), 1)
    }))

  it.live("are asked through nvidia-smi where NVML cannot be loaded, does not start, or is not wanted", () =>
    Effect.gen(function*() {
      const broken = yield* fakeNvml()
      broken.write("init 18\n")
      for (const path of [broken.path, "/nowhere/libnvidia-ml.so.1", "off"]) {
        const smi = yield* fakeSmi("echo '0, 97, [N/A], [N/A], [N/A], [N/A], [N/A]'")
        const { sample } = yield* sampler(yield* temporary, { environment: { ...smi.environment, EZPZ_NVML: path } })
        assert.deepStrictEqual(only(yield* sample, "gpu_"), { gpu_0_utilization_percentage: 97 }, path)
        assert.lengthOf(smi.calls(), 1)
      }
    }))

  it.live("of a driver that hangs are left out, and asked again once it has answered", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      nvml.write("hang\n")
      const { sample } = yield* sampler(yield* temporary, { environment: { PATH: "", ...nvml.environment } })
      const waiting = yield* Effect.forkChild(sample, { startImmediately: true })
      for (let i = 0; i < 3; i++) assert.deepStrictEqual(only(yield* sample, "gpu_"), {})
      nvml.set({ utilization: 7 })
      assert.strictEqual((yield* Fiber.join(waiting))["gpu_0_utilization_percentage"], 7)
      assert.strictEqual((yield* sample)["gpu_0_utilization_percentage"], 7)
    }))

  it.effect("of Intel are what Level Zero says of their memory", () =>
    Effect.gen(function*() {
      const environment = { PATH: "", EZPZ_LEVEL_ZERO: yield* fakeLevelZero }
      const values = only(yield* (yield* sampler(yield* temporary, { environment })).sample, "gpu_")
      assert.strictEqual(values["gpu_3_memory_usage_percentage"], 6.25)
      assert.lengthOf(Object.keys(values), 8)
    }))

  it.live("of NVIDIA are else what nvidia-smi says", () =>
    Effect.gen(function*() {
      const smi = yield* fakeSmi(
        "echo '0, 97, 1000, 4000, 350.50, 700.00, 61'; echo '1, [N/A], 0, 4000, [N/A], [N/A], 33'"
      )
      const { sample } = yield* sampler(yield* temporary, { environment: smi.environment })
      assert.deepStrictEqual(only(yield* sample, "gpu_"), {
        gpu_0_utilization_percentage: 97,
        gpu_0_memory_usage_megabytes: 1048.576,
        gpu_0_memory_usage_percentage: 25,
        gpu_0_power_usage_watts: 350.5,
        gpu_0_power_usage_percentage: 50.071,
        gpu_0_temperature_celsius: 61,
        gpu_1_memory_usage_megabytes: 0,
        gpu_1_memory_usage_percentage: 0,
        gpu_1_temperature_celsius: 33
      })
      assert.deepStrictEqual(smi.calls(), [`--query-gpu=${Text.nvidiaQuery} --format=csv,noheader,nounits`])
      const not = yield* sampler(yield* temporary, { environment: smi.environment, gpus: false })
      assert.deepStrictEqual(only(yield* not.sample, "gpu_"), {})
      assert.lengthOf(smi.calls(), 1)
    }))

  it.live("are not asked again after three failures in a row", () =>
    Effect.gen(function*() {
      const smi = yield* fakeSmi("[ -e \"$0.fine\" ] && echo '0, 5, 1, 2, 3, 4, 5' && exit 0\necho no driver; exit 9")
      const { sample } = yield* sampler(yield* temporary, { environment: smi.environment })
      const ask = Effect.map(sample, (sample) => sample["gpu_0_utilization_percentage"])
      assert.deepStrictEqual([yield* ask, yield* ask], [undefined, undefined])
      Fs.writeFileSync(`${smi.path}.fine`, "")
      assert.strictEqual(yield* ask, 5)
      Fs.rmSync(`${smi.path}.fine`)
      for (let i = 0; i < 6; i++) assert.isUndefined(yield* ask)
      assert.lengthOf(smi.calls(), 6)
    }))

  it.live("are not asked again where there is no nvidia-smi", () =>
    Effect.gen(function*() {
      const smi = yield* fakeSmi("echo '0, 5, 1, 2, 3, 4, 5'")
      Fs.renameSync(smi.path, `${smi.path}.later`)
      const { sample } = yield* sampler(yield* temporary, { environment: { PATH: smi.directory } })
      yield* sample
      Fs.renameSync(`${smi.path}.later`, smi.path)
      assert.deepStrictEqual(only(yield* sample, "gpu_"), {})
      assert.deepStrictEqual(smi.calls(), [])
    }))

  it.live("one nvidia-smi runs at a time, holds nothing else up, and ends with the sample", () =>
    Effect.gen(function*() {
      const smi = yield* fakeSmi("echo $$ >> \"$0.pid\"; exec sleep 600")
      const { sample } = yield* sampler(yield* temporary, { environment: smi.environment })
      const waiting = yield* Effect.forkChild(sample)
      const pid = yield* Effect.promise(async () => {
        while (!Fs.existsSync(`${smi.path}.pid`) || Fs.statSync(`${smi.path}.pid`).size === 0) {
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        return Number(Fs.readFileSync(`${smi.path}.pid`, "utf8"))
      })
      for (let i = 0; i < 3; i++) assert.containsAllKeys(yield* sample, ["process_memory_megabytes"])
      assert.lengthOf(smi.calls(), 1)
      yield* Fiber.interrupt(waiting)
      yield* Effect.promise(async () => {
        while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
      })
      // The next one asks anew.
      yield* Fiber.interrupt(yield* Effect.forkChild(Effect.andThen(sample, Clock.currentTimeMillis)))
    }))

  it.effect("of AMD are what their files say, by number of the card, after NVIDIA's", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const card = (number: number, busy: number): { readonly [path: string]: string } => {
        const device = `sys/class/drm/card${number}/device`
        return {
          [`${device}/vendor`]: "0x1002\n",
          [`${device}/gpu_busy_percent`]: `${busy}\n`,
          [`${device}/mem_info_vram_used`]: "16000000000\n",
          [`${device}/mem_info_vram_total`]: "64000000000\n",
          [`${device}/hwmon/hwmon5/power1_average`]: "250000000\n",
          [`${device}/hwmon/hwmon5/power1_cap`]: "500000000\n",
          [`${device}/hwmon/hwmon5/temp1_input`]: "45000\n"
        }
      }
      write(root, {
        ...card(10, 20),
        ...card(2, 10),
        "sys/class/drm/card2-HDMI-A-1/status": "connected\n",
        "sys/class/drm/card0/device/vendor": "0x8086\n",
        "sys/class/drm/card1/device/vendor": "0x1002\n",
        "sys/class/drm/renderD128/device/vendor": "0x1002\n"
      })
      const gpu = (i: number, busy: number) => ({
        [`gpu_${i}_utilization_percentage`]: busy,
        [`gpu_${i}_memory_usage_megabytes`]: 16_000,
        [`gpu_${i}_memory_usage_percentage`]: 25,
        [`gpu_${i}_power_usage_watts`]: 250,
        [`gpu_${i}_power_usage_percentage`]: 50,
        [`gpu_${i}_temperature_celsius`]: 45
      })
      const alone = yield* sampler(root)
      assert.deepStrictEqual(only(yield* alone.sample, "gpu_"), { ...gpu(0, 10), ...gpu(1, 20) })
      const smi = yield* fakeSmi("echo '0, 97, [N/A], [N/A], [N/A], [N/A], [N/A]'")
      const both = yield* sampler(root, { environment: smi.environment })
      assert.deepStrictEqual(only(yield* both.sample, "gpu_"), {
        gpu_0_utilization_percentage: 97,
        ...gpu(1, 10),
        ...gpu(2, 20)
      })
    }))
})

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
