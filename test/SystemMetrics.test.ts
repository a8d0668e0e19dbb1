import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Text from "../src/system/Text.ts"
import * as SystemMetrics from "../src/SystemMetrics.ts"
import { temporary } from "./support/directory.ts"
import { only, sampler, without, write } from "./support/machine.ts"

const net = (lines: { readonly [name: string]: readonly [received: number, sent: number] }): string =>
  [
    "Inter-|   Receive                                                |  Transmit",
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed",
    ...Object.entries(lines).map(([name, [received, sent]]) =>
      `${
        name.padStart(6)
      }: ${received}       9    0    0    0     0          0         0 ${sent}       9    0    0    0     0       0          0`
    )
  ].join("\n") + "\n"

const diskstats = (lines: { readonly [name: string]: readonly [read: number, written: number] }): string =>
  Object.entries(lines)
    .map(([name, [read, written]]) => ` 259       0 ${name} 11 0 ${read} 5 12 0 ${written} 6 0 7 8 0 0 0 0 0 0\n`)
    .join("")

describe("texts of the kernel", () => {
  it("the processors' time is busy unless idle or waiting, a guest's counted once", () => {
    assert.deepStrictEqual(Text.cpuTime("cpu  100 20 30 800 50 5 15 10 60 4\ncpu0 1 1 1 1\n"), {
      busy: 180,
      total: 1030
    })
    assert.deepStrictEqual(Text.cpuTime("cpu 1 2 3 4"), { busy: 6, total: 10 })
    assert.deepStrictEqual([Text.cpuTime(""), Text.cpuTime("cpu  x"), Text.cpuTime("cpu0 1 2 3 4")], [
      undefined,
      undefined,
      undefined
    ])
  })

  it("memory is told in bytes, on old kernels by estimate", () => {
    const old =
      "MemTotal:       1000 kB\nMemFree:         200 kB\nBuffers:   50 kB\nCached:   150 kB\nSwapCached: 9 kB\n"
    assert.deepStrictEqual(Text.memory(`${old}MemAvailable:   600 kB\n`), { total: 1_024_000, available: 614_400 })
    assert.deepStrictEqual(Text.memory(old), { total: 1_024_000, available: 409_600 })
    assert.isUndefined(Text.memory("MemTotal: 1000 kB\n"))
    assert.isUndefined(Text.memory(""))
  })

  it("interfaces and disks are told by name, what would count twice left out", () => {
    assert.deepStrictEqual(
      [...Text.interfaces(net({ lo: [1, 1], eth0: [10, 20], "eth0.5:1": [3, 4] }) + "broken:\n")],
      [["eth0", { read: 10, written: 20 }], ["eth0.5:1", { read: 3, written: 4 }]]
    )
    // A counter may stand right behind the colon.
    assert.deepStrictEqual([...Text.interfaces("ib0:77 0 0 0 0 0 0 0 88 0 0 0 0 0 0 0")], [
      ["ib0", { read: 77, written: 88 }]
    ])
    const all = [
      "sda",
      "sda1",
      "nvme0n1",
      "nvme0n1p2",
      "nvme0c0n1",
      "vdb",
      "xvda",
      "dm-0",
      "md0",
      "loop0",
      "ram0",
      "sr0",
      "zram0"
    ]
    const disks = Text.disks(diskstats(Object.fromEntries(all.map((name) => [name, [2, 4]]))) + "8 0 sdz 1\n")
    assert.deepStrictEqual([...disks.keys()], ["sda", "nvme0n1", "vdb", "xvda"])
    assert.deepStrictEqual(disks.get("sda"), { read: 1024, written: 2048 })
  })

  it("a process's control groups are found in both trees", () => {
    const v1 = "12:pids:/x\n4:memory:/docker/abc\n1:name=systemd:/y\n"
    assert.deepStrictEqual(Text.controlGroup(v1), { v2: undefined, v1: "/docker/abc" })
    assert.deepStrictEqual(Text.controlGroup(`${v1}0::/slice/a:b\n`), { v2: "/slice/a:b", v1: "/docker/abc" })
    assert.deepStrictEqual(Text.controlGroup("3:cpu,memory,pids:/a\n"), { v2: undefined, v1: "/a" })
    assert.deepStrictEqual(Text.controlGroup(""), { v2: undefined, v1: undefined })
  })

  it("nvidia-smi's answer is a GPU a line, unknown values left out", () => {
    const gpus = Text.nvidia(
      "0, 97, 70000, 81559, 612.34, 700.00, 61\n3, [N/A], [Not Supported], 81559, [Unknown Error], [N/A], 40\n\nNo devices\n"
    )
    assert.deepStrictEqual([...gpus], [
      [0, { utilization: 97, used: 73_400_320_000, total: 85_520_809_984, watts: 612.34, wattsMost: 700, celsius: 61 }],
      [3, {
        utilization: undefined,
        used: undefined,
        total: 85_520_809_984,
        watts: undefined,
        wattsMost: undefined,
        celsius: 40
      }]
    ])
  })
})

describe("a sample", () => {
  it.effect("tells what Linux tells: usage between samples, traffic since the start", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      write(root, {
        "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\n",
        "proc/meminfo": "MemTotal: 16000000 kB\nMemFree: 1 kB\nMemAvailable: 4000000 kB\n",
        "proc/net/dev": net({ lo: [5, 5], eth0: [1000, 2000] }),
        "proc/diskstats": diskstats({ sda: [1000, 2000], sda1: [1000, 2000] }),
        "proc/loadavg": "1.25 2.00 3.00 2/345 6789\n"
      })
      const { sample } = yield* sampler(root)
      const first = yield* sample
      assert.deepStrictEqual(without(first, "process_", "disk_usage", "disk_available"), {
        system_memory_usage_megabytes: 12_288,
        system_memory_usage_percentage: 75,
        network_receive_megabytes: 0,
        network_transmit_megabytes: 0,
        disk_read_megabytes: 0,
        disk_write_megabytes: 0,
        load_average_1m: 1.25
      })
      write(root, {
        "proc/stat": "cpu  150 0 125 825 0 0 0 0 0 0\n",
        "proc/net/dev": net({ lo: [9e9, 9e9], eth0: [3_001_000, 502_000], eth1: [7e9, 7e9] }),
        "proc/diskstats": diskstats({ sda: [3000, 2500] })
      })
      const traffic = ["cpu", "network", "disk_read", "disk_write"]
      const second = {
        cpu_utilization_percentage: 75,
        network_receive_megabytes: 3,
        network_transmit_megabytes: 0.5,
        disk_read_megabytes: 1.024,
        disk_write_megabytes: 0.256
      }
      assert.deepStrictEqual(only(yield* sample, ...traffic), second)
      // Nothing has been counted in between.
      assert.deepStrictEqual(only(yield* sample, ...traffic), second)
      // A counter that has begun anew, and one that has come since.
      write(root, { "proc/net/dev": net({ eth0: [500, 500], eth1: [7_001_000_000, 7e9] }) })
      assert.strictEqual((yield* sample)["network_receive_megabytes"], 4)
    }))

  it.effect("leaves out what cannot be had", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      write(root, { "proc/meminfo": "garbage", "proc/stat": "", "proc/loadavg": "?" })
      const { sample } = yield* sampler(root, { disk: Path.join(root, "nowhere") })
      yield* sample
      assert.deepStrictEqual(Object.keys(yield* sample), ["process_memory_megabytes"])
    }))

  it.effect("counts what goes through a bridge at the physical interface only", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      write(root, {
        "sys/class/net/eth0/device/vendor": "0x1af4",
        "sys/class/net/docker0/mtu": "1500",
        "proc/net/dev": net({ eth0: [0, 0], docker0: [0, 0], veth1: [0, 0] })
      })
      const { sample } = yield* sampler(root)
      write(root, { "proc/net/dev": net({ eth0: [1e6, 2e6], docker0: [1e6, 2e6], veth1: [1e6, 2e6] }) })
      assert.deepStrictEqual(only(yield* sample, "network"), {
        network_receive_megabytes: 1,
        network_transmit_megabytes: 2
      })
    }))

  it.effect("tells memory by the strictest limit of the control groups, without cached files", () =>
    Effect.gen(function*() {
      const meminfo = { "proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 4000000 kB\n" }
      const cases: ReadonlyArray<readonly [files: { readonly [path: string]: string }, used: number, of: number]> = [
        // Version 2: a job's limit above the group of its step.
        [
          {
            "proc/self/cgroup": "0::/job/step\n",
            "sys/fs/cgroup/job/step/memory.max": "max\n",
            "sys/fs/cgroup/job/step/memory.current": "1\n",
            "sys/fs/cgroup/job/memory.max": "4000000000\n",
            "sys/fs/cgroup/job/memory.current": "1500000000\n",
            "sys/fs/cgroup/job/memory.stat": "anon 1\ninactive_file 500000000\nactive_file 7\n"
          },
          1000,
          4000
        ],
        // In a container the path may be the host's: the root is the group.
        [
          {
            "proc/self/cgroup": "0::/docker/abc\n",
            "sys/fs/cgroup/memory.max": "2000000000\n",
            "sys/fs/cgroup/memory.current": "500000000\n"
          },
          500,
          2000
        ],
        [
          {
            "proc/self/cgroup": "4:memory:/docker/abc\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "600000000\n",
            "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 200000000\n"
          },
          400,
          2000
        ],
        // No limit, and one beyond the machine's memory.
        [
          {
            "proc/self/cgroup": "4:memory:/a\n",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "5\n"
          },
          12_288,
          16_384
        ],
        [{ "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n" }, 12_288, 16_384]
      ]
      for (const [files, used, total] of cases) {
        const root = yield* temporary
        write(root, { ...meminfo, ...files })
        const { sample } = yield* sampler(root)
        assert.deepStrictEqual(only(yield* sample, "system_memory"), {
          system_memory_usage_megabytes: used,
          system_memory_usage_percentage: used / total * 100
        }, JSON.stringify(files))
      }
    }))

  it.effect("tells the process's share of a processor by the clock of the program", () =>
    Effect.gen(function*() {
      const { sample } = yield* sampler(yield* temporary)
      assert.notProperty(yield* sample, "process_cpu_percentage")
      const start = process.cpuUsage()
      while (process.cpuUsage(start).user < 50_000) JSON.stringify(start)
      yield* TestClock.adjust("1 second")
      const busy = yield* sample
      assert.isAtLeast(busy["process_cpu_percentage"] ?? 0, 5)
      assert.isAbove(busy["process_memory_megabytes"] ?? 0, 20)
    }))

  it.live("of this machine is finite and makes sense, time and again", () =>
    Effect.gen(function*() {
      const { sample } = yield* SystemMetrics.make()
      yield* sample
      yield* Effect.sleep(50)
      const values = yield* sample
      for (const [name, value] of Object.entries(values)) {
        assert.isTrue(Number.isFinite(value) && value >= 0, name)
        if (name.endsWith("_percentage") && !name.startsWith("process_")) assert.isAtMost(value, 100, name)
      }
      const expected = ["cpu_utilization_percentage", "system_memory_usage_megabytes", "load_average_1m"]
      assert.deepStrictEqual(expected.filter((name) => !(name in values)), [])
      const space = Fs.statfsSync("/")
      const all = (space.blocks - space.bfree + space.bavail) * space.bsize / 1e6
      const told = (values["disk_usage_megabytes"] ?? 0) + (values["disk_available_megabytes"] ?? 0)
      assert.closeTo(told, all, all / 100)
    }))

  it.live("elsewhere tells what node:os knows", () =>
    Effect.gen(function*() {
      const { sample } = yield* sampler(yield* temporary, { platform: "darwin" })
      yield* Effect.sleep(50)
      assert.containsAllKeys(yield* sample, [
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
        "load_average_1m",
        "disk_usage_megabytes",
        "process_memory_megabytes"
      ])
      const windows = yield* sampler(yield* temporary, { platform: "win32" })
      assert.notProperty(yield* windows.sample, "load_average_1m")
    }))
})
