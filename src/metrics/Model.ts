/**
 * What a record of metrics is, and what its keys say.
 *
 * @since 0.1.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * One metric's value.
 *
 * @category models
 * @since 0.1.0
 */
export type Value =
  | number
  | boolean
  | string
  | null
  | ReadonlyArray<number>
  | ReadonlyArray<ReadonlyArray<number>>

/**
 * A flat record of metrics, in the order the job gave them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Metrics {
  readonly [key: string]: Value
}

/**
 * What a program may hand over: values, integers as `bigint`, typed arrays, and objects of these to any depth up to
 * {@link maxDepth}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly [key: string]:
    | Value
    | bigint
    | Float32Array
    | Float64Array
    | Input
    | undefined
}

/**
 * A record that was understood: flat values, the same as JSON text, and the step it names, if any.
 *
 * `notes` names the values that could not stay as they came and what became of them; it is empty for nearly every
 * record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decoded {
  readonly _tag: "Decoded"
  readonly metrics: Metrics
  readonly text: string
  readonly step: number | undefined
  readonly stepKey: string | undefined
  readonly notes: ReadonlyArray<string>
}

/**
 * A record that was not understood, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface Refused {
  readonly _tag: "Refused"
  readonly reason: string
}

/**
 * How deep objects may nest before a record is refused.
 *
 * @category models
 * @since 0.1.0
 */
export const maxDepth = 64

// -----------------------------------------------------------------------------
// Keys
// -----------------------------------------------------------------------------

/**
 * The group a key belongs to: what stands before its first `/`, or the empty string.
 *
 * @example
 * ```ts
 * import { Metrics } from "ezpz-stream"
 *
 * assert.strictEqual(Metrics.group("train/loss"), "train")
 * assert.strictEqual(Metrics.group("loss"), "")
 * ```
 *
 * @category keys
 * @since 0.1.0
 */
export const group = (key: string): string => {
  const slash = key.indexOf("/")
  return slash < 0 ? "" : key.slice(0, slash)
}

/**
 * A key without its group: `train/loss` is `loss`. A key of the empty group stays as it is.
 *
 * @category keys
 * @since 0.1.0
 */
export const withoutGroup = (key: string): string => {
  const slash = key.indexOf("/")
  return slash <= 0 ? key : key.slice(slash + 1)
}

/**
 * The last part of a key: `train/time/dt` is `dt`.
 *
 * @category keys
 * @since 0.1.0
 */
export const leaf = (key: string): string => key.slice(key.lastIndexOf("/") + 1)
