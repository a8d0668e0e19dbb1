/**
 * How many floating-point operations a step of a model takes, from a description of it.
 *
 * - A multiplication and the addition that follows are two operations, as in the peak figures of devices. (Tables of
 *   vision models often count the pair once, and call that FLOPs, too.)
 * - Counted is what matrix multiplications and convolutions do: norms, activations, softmax and embeddings are far below
 *   the accuracy of any of this.
 * - Going backward costs twice what going forward does: gradients of the inputs, and of the weights. Recomputed activations
 *   do not count: MFU is about the model, not about how it is run.
 * - Attention is counted whole, also where a causal mask makes half of it unnecessary, unless the description says that
 *   the half is left out (`causal`).
 *
 * @since 0.4.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A transformer, by what its configuration calls hidden size (`width`), heads, and so on.
 *
 * - `sequence`: tokens of one sample. `batch`: samples of a step; 1 unless said.
 * - `vocab`: how many outputs each token has; without it there is no such layer.
 * - `keyValueHeads`: with grouped queries, fewer than `heads`. `headWidth`: unless it is `width / heads`.
 * - `feedForward`: the width inside the feed-forward part; 4 x `width` unless said. `gated`: it has three matrices (SwiGLU
 *   and the like) instead of two. `experts`: how many experts each token goes through; 1 unless said.
 * - `causal`: the half of attention that the mask hides is not computed.
 *
 * @category models
 * @since 0.4.0
 */
export interface Transformer {
  readonly type: "transformer"
  readonly layers: number
  readonly width: number
  readonly heads: number
  readonly sequence: number
  readonly batch?: number | undefined
  readonly vocab?: number | undefined
  readonly keyValueHeads?: number | undefined
  readonly headWidth?: number | undefined
  readonly feedForward?: number | undefined
  readonly gated?: boolean | undefined
  readonly experts?: number | undefined
  readonly causal?: boolean | undefined
}

/**
 * A matrix of weights. `positions`: to how many vectors of one sample it is applied; 1 unless said.
 *
 * @category models
 * @since 0.4.0
 */
export interface Linear {
  readonly type: "linear"
  readonly inputs: number
  readonly outputs: number
  readonly positions?: number | undefined
}

/**
 * A convolution of any number of dimensions. `size`: what goes in, in each of them: `[224, 224]`; `kernel`, `stride` and
 * `padding` are one number for all dimensions, or one for each. `padding` may be `"same"`: size / stride, rounded up.
 *
 * @category models
 * @since 0.4.0
 */
export interface Convolution {
  readonly type: "convolution"
  readonly inputs: number
  readonly outputs: number
  readonly size: ReadonlyArray<number>
  readonly kernel: number | ReadonlyArray<number>
  readonly stride?: number | ReadonlyArray<number> | undefined
  readonly padding?: number | ReadonlyArray<number> | "same" | undefined
  readonly groups?: number | undefined
}

/**
 * Layers, each of which knows its own size: branches need no special care.
 *
 * @category models
 * @since 0.4.0
 */
export interface Stack {
  readonly type: "stack"
  readonly layers: ReadonlyArray<Linear | Convolution>
  readonly batch?: number | undefined
}

/**
 * Nothing but a number of parameters, and of tokens in a step: 2 operations for each of both going forward, 6 with the way
 * back (`6 N D`). Attention is left out, which matters where sequences are long.
 *
 * @category models
 * @since 0.4.0
 */
export interface Parameters {
  readonly type: "parameters"
  readonly parameters: number
  readonly tokens: number
}

/**
 * A model as it is described here; several of them together are one, too.
 *
 * @category models
 * @since 0.4.0
 */
export type Model = Transformer | Stack | Parameters | ReadonlyArray<Model>

/**
 * `pass`: `"forward"`, or with the way back (`"both"`, the default: what a training step does).
 *
 * @category models
 * @since 0.4.0
 */
export interface EstimateOptions {
  readonly pass?: "forward" | "both" | undefined
}

// -----------------------------------------------------------------------------
// Estimating
// -----------------------------------------------------------------------------

/**
 * The operations of one step of a model. See {@link tryEstimate} for a number in any case.
 *
 * @example
 * ```ts
 * import { Result } from "effect"
 * import { Flops } from "ezpz-stream"
 *
 * const gpt2: Flops.Model = { type: "transformer", layers: 12, width: 768, heads: 12, vocab: 50257, sequence: 1024 }
 * assert.strictEqual(Result.getOrThrow(Flops.estimateModelFlops(gpt2, { pass: "forward" })), 291_648_307_200)
 *
 * // 124 million parameters, half a million tokens: 6 N D.
 * const step = Flops.estimateModelFlops({ type: "parameters", parameters: 124e6, tokens: 524_288 })
 * assert.strictEqual(Result.getOrThrow(step), 6 * 124e6 * 524_288)
 * ```
 *
 * @category estimating
 * @since 0.4.0
 */
export const estimateModelFlops = (
  model: Model,
  { pass = "both" }: EstimateOptions = {}
): Result.Result<number, FlopsError> => {
  const reason = wrong(model)
  if (reason !== undefined) return Result.fail(new FlopsError({ reason }))
  const forward = count(model)
  return Result.succeed(pass === "forward" ? forward : 3 * forward)
}

const isList = (model: Model): model is ReadonlyArray<Model> => Array.isArray(model)

const count = (model: Model): number => {
  if (isList(model)) return model.reduce((sum, part) => sum + count(part), 0)
  switch (model.type) {
    case "transformer":
      return transformer(model)
    case "stack":
      return (model.batch ?? 1) * model.layers.reduce((sum, layer) => sum + layerFlops(layer), 0)
    case "parameters":
      return 2 * model.parameters * model.tokens
  }
}

const transformer = (model: Transformer): number => {
  const { batch = 1, experts = 1, heads, layers, sequence, vocab = 0, width } = model
  const headWidth = model.headWidth ?? width / heads
  const inner = heads * headWidth
  const shared = (model.keyValueHeads ?? heads) * headWidth
  // Query and output are as wide as all heads, key and value as those that are shared.
  const projections = width * (2 * inner + 2 * shared)
  const feedForward = (model.gated === true ? 3 : 2) * width * (model.feedForward ?? 4 * width) * experts
  // Scores, and the values they weigh.
  const attention = 2 * sequence * inner * (model.causal === true ? 0.5 : 1)
  return 2 * batch * sequence * (layers * (projections + feedForward + attention) + width * vocab)
}

const layerFlops = (layer: Linear | Convolution): number =>
  layer.type === "linear"
    ? 2 * (layer.positions ?? 1) * layer.inputs * layer.outputs
    : 2 * product(outputSize(layer)) * product(each(layer.kernel, layer)) * layer.inputs / (layer.groups ?? 1) *
      layer.outputs

const outputSize = (layer: Convolution): ReadonlyArray<number> => {
  const { padding = 0, stride = 1 } = layer
  const kernels = each(layer.kernel, layer)
  const strides = each(stride, layer)
  if (padding === "same") return layer.size.map((size, i) => Math.ceil(size / strides[i]!))
  const paddings = each(padding, layer)
  return layer.size.map((size, i) => Math.floor((size + 2 * paddings[i]! - kernels[i]!) / strides[i]!) + 1)
}

const each = (value: number | ReadonlyArray<number>, { size }: Convolution): ReadonlyArray<number> =>
  typeof value === "number" ? size.map(() => value) : value

const product = (numbers: ReadonlyArray<number>): number => numbers.reduce((product, n) => product * n, 1)

// -----------------------------------------------------------------------------
// What is not a model
// -----------------------------------------------------------------------------

/** Descriptions come from configurations, which may say anything. */
const wrong = (model: Model): string | undefined => {
  if (isList(model)) return model.map(wrong).find((reason) => reason !== undefined)
  if (typeof model !== "object" || model === null) return "the description is not an object"
  switch (model.type) {
    case "transformer":
      return wrongTransformer(model)
    case "stack":
      return positive("stack", { batch: model.batch ?? 1 }) ??
        (Array.isArray(model.layers) ? undefined : "a stack has layers") ??
        model.layers.map(wrongLayer).find((reason) => reason !== undefined)
    case "parameters":
      return positive("parameters", { parameters: model.parameters, tokens: model.tokens })
    default:
      return unknown(model)
  }
}

const wrongTransformer = (model: Transformer): string | undefined => {
  const { batch = 1, experts = 1, heads, keyValueHeads = heads, layers, sequence, vocab = 0, width } = model
  const { feedForward = 4 * width, headWidth = width / heads } = model
  const needed = { layers, width, heads, sequence, batch, keyValueHeads, headWidth, feedForward, experts }
  const reason = positive("transformer", needed)
  if (reason !== undefined) return reason
  if (!(vocab >= 0 && vocab < Infinity)) return "the transformer's vocab is no number from 0"
  if (model.headWidth === undefined && width % heads !== 0) {
    return `the transformer's width ${width} cannot be divided among ${heads} heads`
  }
  return heads % keyValueHeads === 0 ? undefined : `${heads} heads cannot share ${keyValueHeads} keys and values`
}

const wrongLayer = (layer: Linear | Convolution, i: number): string | undefined => {
  if (typeof layer !== "object" || layer === null) return `layer ${i} is not an object`
  const name = `layer ${i}`
  switch (layer.type) {
    case "linear":
      return positive(name, { inputs: layer.inputs, outputs: layer.outputs, positions: layer.positions ?? 1 })
    case "convolution":
      return wrongConvolution(name, layer)
    default:
      return unknown(layer)
  }
}

const wrongConvolution = (name: string, layer: Convolution): string | undefined => {
  const { groups = 1, inputs, kernel, outputs, padding = 0, size, stride = 1 } = layer
  const reason = positive(name, { inputs, outputs, groups })
  if (reason !== undefined) return reason
  if (!Array.isArray(size) || !size.every(isPositive)) return `${name}'s size is no list of numbers above 0`
  if (inputs % groups !== 0 || outputs % groups !== 0) return `${name} cannot be divided into ${groups} groups`
  const fits = (value: number | ReadonlyArray<number>, accept: (n: number) => boolean): boolean => {
    const all = each(value, layer)
    return Array.isArray(all) && all.length === size.length && all.every(accept)
  }
  if (!fits(kernel, isPositive)) return `${name}'s kernel is not above 0 in each dimension`
  if (!fits(stride, isPositive)) return `${name}'s stride is not above 0 in each dimension`
  if (padding !== "same" && !fits(padding, (n) => n >= 0 && n < Infinity)) {
    return `${name}'s padding is not a number from 0 in each dimension`
  }
  return outputSize(layer).every((n) => n >= 1) ? undefined : `${name}'s kernel is larger than what it is applied to`
}

const isPositive = (n: unknown): boolean => typeof n === "number" && n > 0 && n < Infinity

const positive = (name: string, numbers: { readonly [name: string]: unknown }): string | undefined => {
  const bad = Object.entries(numbers).find(([, value]) => !isPositive(value))
  return bad === undefined ? undefined : `${name}: ${bad[0]} is no number above 0`
}

const unknown = (part: never): string => {
  const type: unknown = Object.entries(part).find(([key]) => key === "type")?.[1]
  return `there is no type ${String(type)}`
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

/**
 * A description that is none of a model.
 *
 * @category errors
 * @since 0.4.0
 */
export class FlopsError extends Schema.TaggedError<FlopsError>()("FlopsError", { reason: Schema.String }) {
  override get message(): string {
    return `The model's operations cannot be counted: ${this.reason}.`
  }
}
