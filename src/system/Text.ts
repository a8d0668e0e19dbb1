/**
 * What the kernel and nvidia-smi write, as numbers. Each function takes a whole text, and passes over what it does not
 * understand.
 *
 * @since 0.2.0
 */

/**
 * Time that the processors have been busy, and all time, in the same unit.
 *
 * @category models
 * @since 0.2.0
 */
export interface CpuTime {
  readonly busy: number
  readonly total: number
}

/**
 * What has gone in and out, in bytes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Traffic {
  readonly read: number
  readonly written: number
}

/**
 * The first line of /proc/stat: `cpu user nice system idle iowait irq softirq steal guest guest_nice`. A guest's time is
 * in the user's already; waiting for a disk is idle time.
 *
 * @category parsing
 * @since 0.2.0
 */
export const cpuTime = (stat: string): CpuTime | undefined => {
  const fields = /^cpu +([\d ]+)/.exec(stat)?.[1]?.split(" ").map(Number).slice(0, 8)
  if (fields === undefined || fields.length < 4) return undefined
  const total = fields.reduce((sum, field) => sum + field, 0)
  return { busy: total - (fields[3] ?? 0) - (fields[4] ?? 0), total }
}

/**
 * /proc/meminfo in bytes: all there is, and what programs could still have (before Linux 3.14 that was not told).
 *
 * @category parsing
 * @since 0.2.0
 */
export const memory = (meminfo: string): { readonly total: number; readonly available: number } | undefined => {
  const of = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(meminfo)?.[1]) * 1024
  const total = of("MemTotal")
  const available = of("MemAvailable")
  const estimate = of("MemFree") + of("Buffers") + of("Cached")
  const known = Number.isNaN(available) ? estimate : available
  return total > 0 && known >= 0 ? { total, available: Math.min(known, total) } : undefined
}

/**
 * /proc/net/dev by interface: `name: bytes packets errs drop fifo frame compressed multicast bytes ...`. The loopback is
 * no network.
 *
 * @category parsing
 * @since 0.2.0
 */
export const interfaces = (dev: string): ReadonlyMap<string, Traffic> =>
  new Map(
    dev.split("\n").flatMap((line): Array<[string, Traffic]> => {
      const colon = line.lastIndexOf(":")
      const name = line.slice(0, colon).trim()
      const fields = line.slice(colon + 1).trim().split(/ +/).map(Number)
      return colon < 0 || name === "lo" ? [] : traffic(name, fields[0], fields[8])
    })
  )

/**
 * /proc/diskstats by whole disk, in bytes: `major minor name reads merged sectors ms writes merged sectors ...`, a sector
 * having 512 bytes whatever the disk. Partitions, and what is made of other disks (LVM, RAID, loops), would count twice.
 *
 * @category parsing
 * @since 0.2.0
 */
export const disks = (diskstats: string): ReadonlyMap<string, Traffic> =>
  new Map(
    diskstats.split("\n").flatMap((line): Array<[string, Traffic]> => {
      const fields = line.trim().split(/ +/)
      const name = fields[2] ?? ""
      return wholeDisk.test(name) ? traffic(name, Number(fields[5]) * 512, Number(fields[9]) * 512) : []
    })
  )

const wholeDisk = /^(?:(?:[shv]|xv)d[a-z]+|nvme\d+n\d+|mmcblk\d+|dasd[a-z]+|pmem\d+)$/

const traffic = (
  name: string,
  read: number | undefined,
  written: number | undefined
): Array<[string, Traffic]> =>
  read === undefined || written === undefined || !Number.isFinite(read + written) ? [] : [[name, { read, written }]]

/**
 * Where a process stands in the trees of control groups (/proc/self/cgroup): `0::/path` in that of version 2, and
 * `4:memory:/path` in one of version 1.
 *
 * @category parsing
 * @since 0.2.0
 */
export const controlGroup = (cgroup: string): { readonly v2: string | undefined; readonly v1: string | undefined } => ({
  v2: /^0::(\/.*)$/m.exec(cgroup)?.[1],
  v1: /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(\/.*)$/m.exec(cgroup)?.[1]
})

/**
 * A number of bytes as control groups and sysfs have them; undefined for `max` and whatever else is none.
 *
 * @category parsing
 * @since 0.2.0
 */
export const integer = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+\n?$/.test(text) ? Number(text) : undefined

/**
 * Cached files in a group's memory that the kernel gives back before it runs out (memory.stat).
 *
 * @category parsing
 * @since 0.2.0
 */
export const inactiveFile = (stat: string): number =>
  Number(/^total_inactive_file (\d+)$/m.exec(stat)?.[1] ?? /^inactive_file (\d+)$/m.exec(stat)?.[1] ?? 0)

/**
 * The columns that nvidia-smi is asked for.
 *
 * @category parsing
 * @since 0.2.0
 */
export const nvidiaQuery =
  "index,utilization.gpu,memory.used,memory.total,power.draw,enforced.power.limit,temperature.gpu"

/**
 * Its answer: a line for each GPU. A card that cannot tell a value has `[N/A]`, `[Not Supported]` and the like there.
 *
 * @category parsing
 * @since 0.2.0
 */
export const nvidia = (csv: string): ReadonlyMap<number, Gpu> =>
  new Map(
    csv.split("\n").flatMap((line): Array<[number, Gpu]> => {
      const [index, utilization, used, total, watts, wattsMost, celsius] = line.split(",").map((field) =>
        /^-?\d+(?:\.\d+)?$/.test(field.trim()) ? Number(field) : undefined
      )
      return index === undefined
        ? []
        : [[index, { utilization, used: bytes(used), total: bytes(total), watts, wattsMost, celsius }]]
    })
  )

/** nvidia-smi counts memory in MiB. */
const bytes = (mebibytes: number | undefined): number | undefined =>
  mebibytes === undefined ? undefined : mebibytes * 1024 * 1024

/**
 * What a GPU tells of itself: utilization in percent, memory in bytes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Gpu {
  readonly utilization: number | undefined
  readonly used: number | undefined
  readonly total: number | undefined
  readonly watts: number | undefined
  readonly wattsMost: number | undefined
  readonly celsius: number | undefined
}
