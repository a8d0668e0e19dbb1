/**
 * What the command line adds to records: the device's memory (`--memory`), and of those that carry a `dt`, the seconds of
 * a step, `tflops` and `mfu` (`--flops-per-step`).
 *
 * What a job says itself is not replaced: it knows its allocator, and its model.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Flops, Memory, Metrics, Rank } from "../index.ts"
import type { TrackOptions } from "./options.ts"

/** `memoryTotal`: the device's memory in GiB, of which a peak is a part. */
export interface Extras {
  readonly memoryTotal: number | undefined
  readonly add: (records: ReadonlyArray<Metrics.Decoded>) => ReadonlyArray<Metrics.Decoded>
}

type Values = Readonly<Record<string, number>>

/** `environment` is the run's, with what a `.env` says; libraries are looked for by the shell's alone. */
export const make = (
  options: Pick<TrackOptions, "flopsPerStep" | "memory">,
  environment: Rank.Environment
): Effect.Effect<Extras, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (!options.memory && options.flopsPerStep === undefined) return nothing
    const clock = yield* Clock.Clock
    const first = Rank.fromEnvironment(environment).rank === 0
    const meter = options.memory && Memory.isTracked(environment) ? yield* Memory.make() : undefined
    if (meter !== undefined && meter.total === undefined && first) {
      yield* Effect.logWarning("No GPU was found, or its driver does not answer: --memory adds nothing")
    }
    const throughput = options.flopsPerStep === undefined
      ? undefined
      : makeThroughput(options.flopsPerStep, yield* peak(environment, first))
    return {
      memoryTotal: meter?.total,
      add: (records) => {
        // Read once for records that came together: the peak is that since the last ones.
        const memory = meter?.total === undefined || records.length === 0 ? {} : meter.readUnsafe(clock)
        return records.map((decoded) => {
          const { metrics } = decoded
          const more = { ...(tellsMemory(metrics) ? {} : memory), ...throughput?.(metrics) }
          return withValues(decoded, more)
        })
      }
    }
  })

const nothing: Extras = { memoryTotal: undefined, add: (records) => records }

/** EZPZ_PEAK_FLOPS for a device that is not known, or a log from elsewhere. */
const peak = (environment: Rank.Environment, tells: boolean): Effect.Effect<number | undefined> =>
  Effect.suspend(() => {
    const text = environment["EZPZ_PEAK_FLOPS"]?.trim() ?? ""
    if (text !== "" && Number(text) > 0 && Number(text) < Infinity) return Effect.succeed(Number(text))
    if (!tells) return Effect.map(Flops.getDeviceName(), (name) => Flops.getPeakFlops(name))
    return Effect.andThen(
      text === ""
        ? Effect.void
        : Effect.logWarning(`EZPZ_PEAK_FLOPS is "${text}", which is no number of operations a second`),
      Flops.peakFlops()
    )
  })

const makeThroughput = (flops: number, peakFlops: number | undefined) => (metrics: Metrics.Metrics): Values => {
  const values: Record<string, number> = {}
  // Other groups' times are of other things: an evaluation, a part of the step.
  for (const group of ["", "train/"]) {
    const dt = metrics[`${group}dt`]
    if (typeof dt !== "number" || !(dt > 0 && dt < Infinity)) continue
    const tflops = flops / dt / 1e12
    if (!Number.isFinite(tflops)) continue
    const own = { tflops, mfu: Flops.computeMfu(flops, dt, { peakFlops }) }
    for (const [name, value] of Object.entries(own)) {
      if (!Object.hasOwn(metrics, `${group}${name}`)) values[`${group}${name}`] = value
    }
  }
  return values
}

/** Under any prefix: two of them would be two tokens in the line. */
const tellsMemory = (metrics: Metrics.Metrics): boolean => {
  for (const key in metrics) {
    if (/(?:^|\/)mem_(?:peak_)?(?:alloc|reserved)$/.test(key)) return true
  }
  return false
}

/** A record carries its text, which goes to the log as it is. */
const withValues = (decoded: Metrics.Decoded, values: Values): Metrics.Decoded => {
  const members = Object.entries(values).map(([key, value]) => `${JSON.stringify(key)}:${Metrics.numberText(value)}`)
  if (members.length === 0) return decoded
  const body = decoded.text.slice(0, decoded.text.lastIndexOf("}")).trimEnd()
  const separator = body.endsWith("{") ? "" : ","
  return {
    ...decoded,
    metrics: { ...decoded.metrics, ...values },
    text: `${body}${separator}${members.join(",")}}`
  }
}
