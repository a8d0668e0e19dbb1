/**
 * The machine without its GPUs: processors, memory, network, disks, load.
 *
 * Linux tells it in /proc and /sys, elsewhere node:os has some of it. In a container or a batch job the memory there is
 * is what its control group may use (version 2 or 1, the strictest of those it is in), without cached files that would
 * be given back.
 *
 * @since 0.2.0
 */
import * as Os from "node:os"
import * as Path from "node:path"
import * as Files from "./Files.ts"
import * as Text from "./Text.ts"

/**
 * Values by name; what is not known is undefined.
 *
 * @category models
 * @since 0.2.0
 */
export interface Values {
  readonly [name: string]: number | undefined
}

/** MLflow's megabyte. */
const megabyte = 1_000_000

/**
 * Reads the machine, again and again: what counts up is told since the reader was made, and the processors' use since
 * the last time.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (root: string, platform: NodeJS.Platform): () => Values => {
  const read = platform === "linux" ? linux(root) : portable(platform)
  read()
  return read
}

// -----------------------------------------------------------------------------
// Linux
// -----------------------------------------------------------------------------

const linux = (root: string): () => Values => {
  const proc = (name: string, most?: number): string | undefined => Files.text(Path.join(root, "proc", name), most)
  const cpu = use()
  const network = counters()
  const disks = counters()
  const group = controlGroup(root)
  const physical = physicalInterfaces(root)
  return () => {
    const memory = memoryOf(Text.memory(proc("meminfo") ?? ""), group)
    const net = proc("net/dev")
    const received = net === undefined ? undefined : network(physical(Text.interfaces(net)))
    const stats = proc("diskstats")
    const moved = stats === undefined ? undefined : disks(Text.disks(stats))
    const load = Number.parseFloat(proc("loadavg") ?? "")
    return {
      cpu_utilization_percentage: cpu(Text.cpuTime(proc("stat", 1024) ?? "")),
      system_memory_usage_megabytes: memory === undefined ? undefined : memory.used / megabyte,
      system_memory_usage_percentage: memory === undefined ? undefined : memory.used / memory.total * 100,
      network_receive_megabytes: received === undefined ? undefined : received.read / megabyte,
      network_transmit_megabytes: received === undefined ? undefined : received.written / megabyte,
      disk_read_megabytes: moved === undefined ? undefined : moved.read / megabyte,
      disk_write_megabytes: moved === undefined ? undefined : moved.written / megabyte,
      load_average_1m: Number.isNaN(load) ? undefined : load
    }
  }
}

/** In percent, between one time and the next; in between nothing may have been counted: then as before. */
const use = (): (now: Text.CpuTime | undefined) => number | undefined => {
  let last: Text.CpuTime | undefined
  let percentage: number | undefined
  return (now) => {
    if (now === undefined) return undefined
    if (last !== undefined && now.total > last.total) {
      percentage = Math.min(Math.max(0, (now.busy - last.busy) / (now.total - last.total)), 1) * 100
    }
    last = now
    return percentage
  }
}

/** Devices come and go, and their counters begin anew: only what was counted between two readings is added. */
const counters = (): (now: ReadonlyMap<string, Text.Traffic>) => Text.Traffic => {
  let last: ReadonlyMap<string, Text.Traffic> = new Map()
  let read = 0
  let written = 0
  return (now) => {
    for (const [name, counted] of now) {
      const before = last.get(name)
      if (before === undefined) continue
      read += Math.max(0, counted.read - before.read)
      written += Math.max(0, counted.written - before.written)
    }
    last = now
    return { read, written }
  }
}

/**
 * What goes through a bridge, a bond or a container's cable goes through a physical interface, too, and is counted
 * there. Where none is to be seen (inside a container) all are taken.
 */
const physicalInterfaces = (root: string) => {
  const known = new Map<string, boolean>()
  const isPhysical = (name: string): boolean => {
    const found = known.get(name) ?? Files.names(Path.join(root, "sys/class/net", name, "device")).length > 0
    known.set(name, found)
    return found
  }
  return (all: ReadonlyMap<string, Text.Traffic>): ReadonlyMap<string, Text.Traffic> => {
    const physical = new Map([...all].filter(([name]) => isPhysical(name)))
    return physical.size > 0 ? physical : all
  }
}

// -----------------------------------------------------------------------------
// Control groups
// -----------------------------------------------------------------------------

/** Files of the group whose limit is the strictest. */
interface ControlGroup {
  readonly limit: string
  readonly usage: string
  readonly stat: string
}

const memoryOf = (
  machine: { readonly total: number; readonly available: number } | undefined,
  group: ControlGroup | undefined
): { readonly used: number; readonly total: number } | undefined => {
  const limit = group === undefined ? undefined : Text.integer(Files.text(group.limit))
  const usage = group === undefined ? undefined : Text.integer(Files.text(group.usage))
  if (group !== undefined && limit !== undefined && usage !== undefined && limit < (machine?.total ?? Infinity)) {
    const cached = Text.inactiveFile(Files.text(group.stat) ?? "")
    return { used: Math.max(0, usage - cached), total: limit }
  }
  return machine === undefined ? undefined : { used: machine.total - machine.available, total: machine.total }
}

const controlGroup = (root: string): ControlGroup | undefined => {
  const { v1, v2 } = Text.controlGroup(Files.text(Path.join(root, "proc/self/cgroup")) ?? "")
  const mount = Path.join(root, "sys/fs/cgroup")
  const candidates = [
    ...levels(v2).flatMap((path) => [
      group(Path.join(mount, path), "memory.max", "memory.current"),
      group(Path.join(mount, "unified", path), "memory.max", "memory.current")
    ]),
    ...levels(v1).map((path) =>
      group(Path.join(mount, "memory", path), "memory.limit_in_bytes", "memory.usage_in_bytes")
    )
  ]
  let strictest: ControlGroup | undefined
  let least = Infinity
  for (const candidate of candidates) {
    const limit = Text.integer(Files.text(candidate.limit)) ?? Infinity
    // Of equal ones the outermost, which is the one that counts all.
    if (limit <= least && limit < Infinity) {
      least = limit
      strictest = candidate
    }
  }
  return strictest
}

/** A group and those it is in. Inside a container the path may be the host's, and only the root be there. */
const levels = (path: string | undefined): ReadonlyArray<string> => {
  if (path === undefined) return []
  const parts = path.split("/").filter((part) => part !== "" && part !== "..")
  return parts.map((_, i) => `/${parts.slice(0, parts.length - i).join("/")}`).concat("/")
}

const group = (directory: string, limit: string, usage: string): ControlGroup => ({
  limit: Path.join(directory, limit),
  usage: Path.join(directory, usage),
  stat: Path.join(directory, "memory.stat")
})

// -----------------------------------------------------------------------------
// Other systems
// -----------------------------------------------------------------------------

const portable = (platform: NodeJS.Platform): () => Values => {
  const cpu = use()
  return () => {
    const times = Os.cpus().map((cpu) => cpu.times)
    const total = times.reduce((sum, time) => sum + time.user + time.nice + time.sys + time.idle + time.irq, 0)
    const idle = times.reduce((sum, time) => sum + time.idle, 0)
    const memory = Os.totalmem()
    const used = memory - Os.freemem()
    return {
      cpu_utilization_percentage: total === 0 ? undefined : cpu({ busy: total - idle, total }),
      system_memory_usage_megabytes: used / megabyte,
      system_memory_usage_percentage: memory === 0 ? undefined : used / memory * 100,
      load_average_1m: platform === "win32" ? undefined : Os.loadavg()[0]
    }
  }
}
