/**
 * Which device is meant, and what it tells of itself.
 *
 * A device is named as frameworks name it: `cuda:1`, `xpu:0`, or a number; `cuda` is also what an AMD GPU is called there.
 * It is counted among those that are visible: CUDA_VISIBLE_DEVICES, ROCR_ and HIP_VISIBLE_DEVICES, ZE_AFFINITY_MASK. Without
 * a number it is the one of this rank: the local rank's, counted around where a launcher has given each rank its own.
 *
 * Numbers are those of the driver, in the order of the bus: CUDA counts so, too, with CUDA_DEVICE_ORDER=PCI_BUS_ID, and
 * otherwise puts the fastest first, which on nodes with GPUs of one kind is the same.
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import * as Rank from "../Rank.ts"
import * as Amd from "./Amd.ts"
import * as LevelZero from "./LevelZero.ts"
import * as Nvml from "./Nvml.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A device as frameworks name it: `0`, `"cuda"`, `"cuda:1"`, `"xpu:0"`, a UUID (`"GPU-..."`, `"MIG-..."`). `"cpu"`, `"mps"`
 * and whatever else is no device here.
 *
 * @category models
 * @since 0.4.0
 */
export type Spec = number | string

/**
 * Where devices are looked for. `environment` says which are visible, and where libraries are (it should be the shell's, not
 * what a `.env` says); `root` is where /proc, /sys and /dev are.
 *
 * @category models
 * @since 0.4.0
 */
export interface Options {
  readonly environment?: Rank.Environment | undefined
  readonly root?: string | undefined
}

/**
 * A device that was found.
 *
 * @category models
 * @since 0.4.0
 */
export interface Device {
  readonly name: string | undefined
  readonly computeUnits: number | undefined
  readonly memory: () => Promise<Nvml.Memory | undefined>
}

// -----------------------------------------------------------------------------
// Finding
// -----------------------------------------------------------------------------

/** How long a driver is waited for, once: it may have to wake a GPU that sleeps, or hang. */
const findMillis = 5000

interface Search {
  readonly looking: Promise<void>
  ended: boolean
  waited: boolean
  device: Device | undefined
}

const searches = new WeakMap<Rank.Environment, Map<string, Search>>()

/**
 * Finds a device; undefined where there is none. It is looked for once in the life of the process (for each environment), and
 * always the same object. A driver that does not answer is waited for once; when it does, later calls have the device.
 *
 * @category constructors
 * @since 0.4.0
 */
export const find = (
  spec?: Spec,
  { environment = process.env, root = "/" }: Options = {}
): Effect.Effect<Device | undefined> =>
  Effect.suspend(() => {
    const key = `${typeof spec} ${spec} ${root}`
    const ofEnvironment = searches.get(environment) ?? new Map<string, Search>()
    searches.set(environment, ofEnvironment)
    const search = ofEnvironment.get(key) ?? start(spec, environment, root)
    ofEnvironment.set(key, search)
    if (search.ended || search.waited) return Effect.succeed(search.device)
    return Effect.promise(() => search.looking).pipe(
      Effect.timeoutOrElse({
        duration: findMillis,
        orElse: () => Effect.sync(() => void (search.waited = true))
      }),
      Effect.map(() => search.device)
    )
  })

const start = (spec: Spec | undefined, environment: Rank.Environment, root: string): Search => {
  const asked = parse(spec)
  const { localRank } = Rank.fromEnvironment(environment)
  const looking = asked === undefined ? Promise.resolve(undefined) : look(asked, localRank, environment, root)
  const search: Search = {
    looking: looking.catch(() => undefined).then((device) => {
      search.device = device
      search.ended = true
    }),
    ended: false,
    waited: false,
    device: undefined
  }
  return search
}

type Kind = "nvidia" | "amd" | "intel"

interface Asked {
  readonly kinds: ReadonlyArray<Kind>
  readonly index: number | undefined
  readonly uuid: string | undefined
}

const parse = (spec: Spec | undefined): Asked | undefined => {
  const all: ReadonlyArray<Kind> = ["nvidia", "amd", "intel"]
  if (spec === undefined) return { kinds: all, index: undefined, uuid: undefined }
  if (typeof spec === "number") {
    return Number.isInteger(spec) && spec >= 0 ? { kinds: all, index: spec, uuid: undefined } : undefined
  }
  if (/^(?:GPU|MIG)-/.test(spec)) return { kinds: ["nvidia"], index: undefined, uuid: spec }
  const match = /^(gpu|cuda|hip|xpu)?:?(\d+)?$/i.exec(spec.trim())
  if (match === null || spec.trim() === "") return undefined
  const [, kind = "gpu", index] = match
  const kinds: { readonly [name: string]: ReadonlyArray<Kind> } = {
    gpu: all,
    cuda: ["nvidia", "amd"],
    hip: ["amd"],
    xpu: ["intel"]
  }
  return {
    kinds: kinds[kind.toLowerCase()] ?? [],
    index: index === undefined ? undefined : Number(index),
    uuid: undefined
  }
}

const look = async (
  { index, kinds, uuid }: Asked,
  localRank: number,
  environment: Rank.Environment,
  root: string
): Promise<Device | undefined> => {
  const choose = <A>(all: ReadonlyArray<A>): A | undefined =>
    index === undefined ? all[localRank % Math.max(1, all.length)] : all[index]
  for (const kind of kinds) {
    // A kind that is there decides: the second GPU of one kind is not the first of the next.
    if (kind === "nvidia") {
      const nvml = await Nvml.load(environment, root)
      if ("missing" in nvml) continue
      if (uuid !== undefined) return nvidia(nvml, uuid)
      const all = visible(environment["CUDA_VISIBLE_DEVICES"]) ?? numbers(await nvml.count())
      const chosen = choose(all)
      if (all.length > 0) return chosen === undefined ? undefined : nvidia(nvml, chosen)
    } else if (kind === "amd") {
      const all = amdVisible(Amd.cards(root), environment)
      if (all.length > 0) return amd(choose(all))
    } else {
      const all = intelVisible(await LevelZero.load(environment, root), environment)
      if (all.length > 0) return intel(choose(all))
    }
  }
  return undefined
}

// -----------------------------------------------------------------------------
// What is visible
// -----------------------------------------------------------------------------

/**
 * The entries of a list of devices; undefined without a list. As CUDA reads it: what stands behind an entry that is no device
 * is not seen, and neither is anything in an empty list.
 */
const visible = (list: string | undefined): ReadonlyArray<string> | undefined => {
  if (list === undefined) return undefined
  const entries = list.split(",").map((entry) => entry.trim())
  const end = entries.findIndex((entry) => !/^(?:\d+|(?:GPU|MIG)-.+)$/.test(entry))
  return end < 0 ? entries : entries.slice(0, end)
}

const numbers = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => String(i))

/** The runtime's list is applied first, HIP's counts in what it has left. */
const amdVisible = (cards: ReadonlyArray<Amd.Card>, environment: Rank.Environment): ReadonlyArray<Amd.Card> => {
  const narrowed = (all: ReadonlyArray<Amd.Card>, list: string | undefined): ReadonlyArray<Amd.Card> =>
    visible(list)?.flatMap((entry) =>
      (/^\d+$/.test(entry) ? all[Number(entry)] : all.find((card) => entry === `GPU-${card.uniqueId}`)) ?? []
    ) ?? all
  return narrowed(
    narrowed(cards, environment["ROCR_VISIBLE_DEVICES"]),
    environment["HIP_VISIBLE_DEVICES"] ?? environment["CUDA_VISIBLE_DEVICES"]
  )
}

/** `card.stack` counts cards where these are devices; what it then narrows a card to cannot be asked for. */
const intelVisible = (
  devices: ReadonlyArray<LevelZero.Device>,
  environment: Rank.Environment
): ReadonlyArray<LevelZero.Device> => {
  const mask = environment["ZE_AFFINITY_MASK"]?.trim() ?? ""
  if (mask === "") return devices
  const indices = new Set(mask.split(",").map((entry) => Number.parseInt(entry, 10)))
  return devices.filter((_, i) => indices.has(i))
}

// -----------------------------------------------------------------------------
// Devices of each kind
// -----------------------------------------------------------------------------

const nvidia = async (nvml: Nvml.Nvml, which: string): Promise<Device | undefined> => {
  const device = /^\d+$/.test(which) ? await nvml.device(Number(which)) : await byUuid(nvml, which)
  return device === undefined ? undefined : { name: device.name, computeUnits: undefined, memory: device.memory }
}

/** CUDA takes the beginning of a UUID, too. */
const byUuid = async (nvml: Nvml.Nvml, uuid: string): Promise<Nvml.Device | undefined> => {
  const exact = await nvml.device(uuid)
  if (exact !== undefined) return exact
  for (let i = 0, count = await nvml.count(); i < count; i++) {
    const device = await nvml.device(i)
    if (device?.uuid?.startsWith(uuid) === true) return device
  }
  return undefined
}

const amd = (card: Amd.Card | undefined): Device | undefined =>
  card === undefined ? undefined : {
    name: card.name,
    computeUnits: undefined,
    memory: async () => {
      const { total, used } = await Amd.readMemory(card.device)
      return total === undefined || used === undefined ? undefined : { total, used, reserved: 0 }
    }
  }

const intel = (device: LevelZero.Device | undefined): Device | undefined =>
  device === undefined ? undefined : {
    ...device,
    memory: async () => {
      const memory = await device.memory()
      return memory === undefined ? undefined : { ...memory, reserved: 0 }
    }
  }
