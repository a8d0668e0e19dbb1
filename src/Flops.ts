/**
 * Throughput in terms of the model: floating-point operations of a step, and how much of what the device could do at most
 * they are (MFU, model FLOPS utilization, in percent).
 *
 * Operations are those of one device: with data parallelism, of its share of the batch. See `flops/Model.ts` for what is
 * counted and `flops/Peak.ts` for what devices can do.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Flops } from "ezpz-stream"
 *
 * const program = Effect.gen(function*() {
 *   const gpt2: Flops.Model = { type: "transformer", layers: 12, width: 768, heads: 12, vocab: 50257, sequence: 1024 }
 *   const modelFlops = yield* Flops.tryEstimate(gpt2)
 *   const peakFlops = yield* Flops.peakFlops()
 *   // Per step, dt being the seconds it took:
 *   const dt = 0.5
 *   return { tflops: modelFlops / dt / 1e12, mfu: Flops.computeMfu(modelFlops, dt, { peakFlops }) }
 * })
 *
 * const { mfu, tflops } = await Effect.runPromise(program)
 * assert.closeTo(tflops, 1.75, 0.01)
 * assert.isAtLeast(mfu, 0)
 * ```
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { estimateModelFlops, type EstimateOptions, type Model } from "./flops/Model.ts"
import { getPeakFlops } from "./flops/Peak.ts"
import * as Devices from "./system/Devices.ts"

export * from "./flops/Model.ts"
export * from "./flops/Peak.ts"

// -----------------------------------------------------------------------------
// Utilization
// -----------------------------------------------------------------------------

/**
 * What a device can do: its figure, or its name. Without either nothing can be said.
 *
 * @category models
 * @since 0.4.0
 */
export interface MfuOptions {
  readonly peakFlops?: number | undefined
  readonly device?: string | undefined
}

/**
 * How much of a device's peak a step has used, in percent: `modelFlops` operations in `seconds`. 0 where that cannot be
 * known: no time, no operations, an unknown device.
 *
 * @example
 * ```ts
 * import { Flops } from "ezpz-stream"
 *
 * assert.strictEqual(Flops.computeMfu(100e12, 1, { peakFlops: 200e12 }), 50)
 * assert.strictEqual(Flops.computeMfu(156e12, 1, { device: "NVIDIA A100-SXM4-80GB" }), 50)
 * assert.strictEqual(Flops.computeMfu(156e12, 1), 0)
 * ```
 *
 * @category utilization
 * @since 0.4.0
 */
export const computeMfu = (modelFlops: number, seconds: number, { device, peakFlops }: MfuOptions = {}): number => {
  const peak = peakFlops ?? getPeakFlops(device) ?? 0
  const mfu = 100 * modelFlops / seconds / peak
  return modelFlops > 0 && seconds > 0 && peak > 0 && Number.isFinite(mfu) ? mfu : 0
}

// -----------------------------------------------------------------------------
// Devices
// -----------------------------------------------------------------------------

/**
 * The name of a device of this machine, as its driver has it; undefined without one, or where nothing tells.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Flops } from "ezpz-stream"
 *
 * // On a node with an H100: NVIDIA H100 80GB HBM3
 * const name = await Effect.runPromise(Flops.getDeviceName())
 * assert.isTrue(name === undefined || name.length > 0)
 * ```
 *
 * @category devices
 * @since 0.4.0
 */
export const getDeviceName = (
  device?: Devices.Spec,
  options?: Devices.Options
): Effect.Effect<string | undefined> => Effect.map(Devices.find(device, options), (found) => found?.name)

/**
 * What a device of this machine can do at most. An unknown one is warned about once, and has no value.
 *
 * @category devices
 * @since 0.4.0
 */
export const peakFlops = (device?: Devices.Spec, options?: Devices.Options): Effect.Effect<number | undefined> =>
  Effect.flatMap(Devices.find(device, options), (found) => {
    const peak = getPeakFlops(found?.name, { computeUnits: found?.computeUnits })
    const name = found?.name ?? "no device"
    if (peak !== undefined || warned.has(name)) return Effect.succeed(peak)
    warned.add(name)
    return Effect.as(
      Effect.logWarning(
        found === undefined
          ? "No GPU was found: how much of its peak a step uses (MFU) cannot be known"
          : `The peak of ${name === "" ? "this device" : name} is not known, nor how much of it a step uses (MFU)`
      ),
      undefined
    )
  })

/** Told once in the life of the process. */
const warned = new Set<string>()

// -----------------------------------------------------------------------------
// Estimating
// -----------------------------------------------------------------------------

/**
 * As {@link estimateModelFlops}, but never fails: a model that cannot be understood is warned about, and counts 0.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Flops } from "ezpz-stream"
 *
 * const mlp: Flops.Model = { type: "stack", batch: 32, layers: [{ type: "linear", inputs: 784, outputs: 10 }] }
 * assert.strictEqual(await Effect.runPromise(Flops.tryEstimate(mlp, { pass: "forward" })), 2 * 32 * 784 * 10)
 * ```
 *
 * @category estimating
 * @since 0.4.0
 */
export const tryEstimate = (model: Model, options?: EstimateOptions): Effect.Effect<number> =>
  Result.match(estimateModelFlops(model, options), {
    onSuccess: Effect.succeed,
    onFailure: (error) => Effect.as(Effect.logWarning(`${error.message} They count 0`), 0)
  })
