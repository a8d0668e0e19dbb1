/**
 * Memory of the device that trains, as metrics of a step, in GiB:
 *
 * - `mem_alloc`: what processes have taken of it, `mem_peak_alloc` the most since the last time
 * - `mem_reserved`: that, and what driver and firmware keep for themselves; `mem_peak_reserved` the most of it
 *
 * In the summary line they become one token, `memory=0.01/0.01GiB (0%)`: taken, reserved, and the peak in percent of the
 * device's memory (which the formatter is told: {@link total}).
 *
 * The figures are the driver's (NVML, AMD's /sys, Intel's Level Zero), so they need nothing of the training process and
 * see all processes on the device. A framework's own counters differ: `torch.cuda.memory_reserved()` is what its allocator
 * has taken from the driver, to which the driver adds its context (some 0.5 GiB), and `memory_allocated()` is less, as the
 * allocator keeps what was freed.
 *
 * A driver is asked at most every 100 ms, on a thread of its own; in between the last answer is told, which costs
 * microseconds. A peak is that of the answers. Without a GPU, or where EZPZ_TRACK_MEMORY is 0, there are no metrics.
 *
 * @since 0.4.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { everyMillis, Gauge, type Values } from "./memory/Gauge.ts"
import type { Environment } from "./Rank.ts"
import * as Devices from "./system/Devices.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A device as frameworks name it: `0`, `"cuda"`, `"cuda:1"`, `"xpu:0"`, or a UUID; without a number the one of this rank.
 *
 * @category models
 * @since 0.4.0
 */
export type Device = Devices.Spec

/**
 * The metrics of a step; none where nothing can be told.
 *
 * @category models
 * @since 0.4.0
 */
export interface MemoryMetrics {
  readonly [name: string]: number
}

/**
 * - `prefix`: what names begin with, `train/`.
 * - `resetPeak`: false keeps the peak for the next time. It is the device's: whoever resets it does so for all.
 *
 * @category models
 * @since 0.4.0
 */
export interface ReadOptions {
  readonly prefix?: string | undefined
  readonly resetPeak?: boolean | undefined
}

/**
 * A device's memory, read in the background. `total` in GiB; undefined where there is no device.
 *
 * `readUnsafe` tells the last reading and waits for nothing.
 *
 * @category models
 * @since 0.4.0
 */
export interface Meter {
  readonly name: string | undefined
  readonly total: number | undefined
  readonly metrics: (options?: ReadOptions) => Effect.Effect<MemoryMetrics>
  readonly readUnsafe: (clock: Clock.Clock, options?: ReadOptions) => MemoryMetrics
}

const gibibyte = 2 ** 30

/** How long one answer of a driver is waited for. */
const readMillis = 1000

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The metrics of a device's memory, to be merged into a record.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { History, Memory } from "ezpz-stream"
 *
 * const program = Effect.gen(function*() {
 *   const history = yield* History.make({ outdir, memoryTotal: yield* Memory.total("cuda") })
 *   const metrics = { loss: 0.5, ...(yield* Memory.metrics("cuda", { prefix: "train/" })) }
 *   // On a GPU: loss=0.500000 memory=12.25/12.72GiB (16%)
 *   return yield* history.update(metrics)
 * }).pipe(Effect.scoped)
 *
 * assert.match(await Effect.runPromise(program), /^loss=0\.500000/)
 * ```
 *
 * @category constructors
 * @since 0.4.0
 */
export const metrics = (
  device?: Device,
  options: ReadOptions & Devices.Options = {}
): Effect.Effect<MemoryMetrics> =>
  Effect.flatMap(
    gauge(device, options),
    (found) => found === undefined ? Effect.succeed(none) : current(found, options)
  )

/**
 * A device's memory in GiB, what a peak is a percentage of; undefined where there is no device.
 *
 * @category constructors
 * @since 0.4.0
 */
export const total = (device?: Device, options: Devices.Options = {}): Effect.Effect<number | undefined> =>
  Effect.flatMap(
    gauge(device, options),
    (found) => found === undefined ? Effect.undefined : Effect.map(latest(found), totalOf)
  )

/**
 * Reads a device's memory every 100 ms until its scope closes, so that peaks between steps are seen, too.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Memory } from "ezpz-stream"
 *
 * const program = Effect.gen(function*() {
 *   const memory = yield* Memory.make("cuda:0")
 *   return { ...(yield* memory.metrics()), loss: 0.5 }
 * }).pipe(Effect.scoped)
 *
 * assert.strictEqual((await Effect.runPromise(program)).loss, 0.5)
 * ```
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (device?: Device, options: Devices.Options = {}): Effect.Effect<Meter, never, Scope.Scope> =>
  Effect.gen(function*() {
    const found = yield* gauge(device, options)
    if (found === undefined) return nothing
    const first = yield* latest(found)
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(everyMillis), refreshed(found))))
    return {
      name: (yield* Devices.find(device, options))?.name,
      total: totalOf(first),
      metrics: (options) => current(found, options),
      readUnsafe: (clock, options) => told(found, clock.currentTimeMillisUnsafe(), options)
    }
  })

/**
 * Whether memory is to be tracked: EZPZ_TRACK_MEMORY=0 says no.
 *
 * @category guards
 * @since 0.4.0
 */
export const isTracked = (environment: Environment): boolean =>
  !/^(?:0|false|no|off)$/i.test(environment["EZPZ_TRACK_MEMORY"]?.trim() ?? "")

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

const none: MemoryMetrics = {}

const nothing: Meter = {
  name: undefined,
  total: undefined,
  metrics: () => Effect.succeed(none),
  readUnsafe: () => none
}

/** One for each device: what is read for one caller need not be read for the next. */
const gauges = new WeakMap<Devices.Device, Gauge>()

const gauge = (device: Device | undefined, options: Devices.Options): Effect.Effect<Gauge | undefined> =>
  isTracked(options.environment ?? process.env)
    ? Effect.map(Devices.find(device, options), (found) => {
      if (found === undefined) return undefined
      const known = gauges.get(found) ?? new Gauge(found)
      gauges.set(found, known)
      return known
    })
    : Effect.undefined

/** Reads again where it is time to; a driver that hangs holds nobody up for long. */
const refreshed = (found: Gauge): Effect.Effect<void> =>
  Effect.clockWith((clock) => {
    const now = clock.currentTimeMillisUnsafe()
    return found.isDue(now)
      ? Effect.promise(() => found.read(now)).pipe(
        Effect.timeoutOrElse({ duration: readMillis, orElse: () => Effect.void })
      )
      : Effect.void
  })

const latest = (found: Gauge): Effect.Effect<Values | undefined> =>
  Effect.flatMap(refreshed(found), () => Effect.map(Clock.currentTimeMillis, (now) => found.values(now, false)))

const current = (found: Gauge, options?: ReadOptions): Effect.Effect<MemoryMetrics> =>
  Effect.clockWith((clock) => {
    const now = clock.currentTimeMillisUnsafe()
    return found.isDue(now)
      ? Effect.map(refreshed(found), () => told(found, clock.currentTimeMillisUnsafe(), options))
      : Effect.succeed(told(found, now, options))
  })

const told = (found: Gauge, now: number, { prefix = "", resetPeak = true }: ReadOptions = {}): MemoryMetrics => {
  const values = found.values(now, resetPeak)
  return values === undefined ? none : {
    [`${prefix}mem_alloc`]: values.used / gibibyte,
    [`${prefix}mem_peak_alloc`]: values.peakUsed / gibibyte,
    [`${prefix}mem_reserved`]: values.held / gibibyte,
    [`${prefix}mem_peak_reserved`]: values.peakHeld / gibibyte
  }
}

const totalOf = (values: Values | undefined): number | undefined =>
  values === undefined ? undefined : values.total / gibibyte
