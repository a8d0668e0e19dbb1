/**
 * Moments as numbers in a row, somewhere in an array: they can be sent as they are, and nothing is allocated to work on
 * them.
 *
 *     count, nonFinite, min, max, argmin, argmax, scale, sumHigh, sumLow, m2High, m2Low
 *
 * `sumHigh + sumLow` is the sum times 2^(-700 * scale), `m2High + m2Low` the M2 times 2^(-1400 * scale).
 *
 * @since 0.3.0
 */
import { mergeSums } from "./sums.ts"

/**
 * What a state says, by name.
 *
 * @category models
 * @since 0.3.0
 */
export interface State {
  readonly count: number
  readonly nonFinite: number
  readonly min: number
  readonly max: number
  readonly argmin: number
  readonly argmax: number
  readonly scale: number
  readonly sumHigh: number
  readonly sumLow: number
  readonly m2High: number
  readonly m2Low: number
}

/**
 * How many doubles a state is.
 *
 * @category constants
 * @since 0.3.0
 */
export const stateSize = 11

/**
 * Makes a state that of no values.
 *
 * @category kernels
 * @since 0.3.0
 */
export const clear = (self: Float64Array, at: number): void => {
  self.fill(0, at, at + stateSize)
  self[at + 2] = NaN
  self[at + 3] = NaN
  self[at + 4] = -1
  self[at + 5] = -1
}

/**
 * Merges a state into another.
 *
 * @category kernels
 * @since 0.3.0
 */
export const mergeState = (self: Float64Array, at: number, that: Float64Array, from: number): void => {
  self[at + 1]! += that[from + 1]!
  const added = that[from]!
  if (added === 0) return
  const count = self[at]!
  const min = that[from + 2]!
  const least = self[at + 2]!
  if (count === 0 || min < least || (min === least && that[from + 4]! < self[at + 4]!)) {
    self[at + 2] = min
    self[at + 4] = that[from + 4]!
  }
  const max = that[from + 3]!
  const greatest = self[at + 3]!
  if (count === 0 || max > greatest || (max === greatest && that[from + 5]! < self[at + 5]!)) {
    self[at + 3] = max
    self[at + 5] = that[from + 5]!
  }
  mergeSums(self, at, that, from)
  settle(self, at)
}

/**
 * Equal values have no spread, whatever was rounded on the way.
 *
 * @category kernels
 * @since 0.3.0
 */
export const settle = (self: Float64Array, at: number): void => {
  if (self[at + 2] === self[at + 3]) {
    self[at + 9] = 0
    self[at + 10] = 0
  }
}

/**
 * Writes a state.
 *
 * @category writing
 * @since 0.3.0
 */
export const setState = (out: Float64Array, at: number, state: State): void => {
  out[at] = state.count
  out[at + 1] = state.nonFinite
  out[at + 2] = state.min
  out[at + 3] = state.max
  out[at + 4] = state.argmin
  out[at + 5] = state.argmax
  out[at + 6] = state.scale
  out[at + 7] = state.sumHigh
  out[at + 8] = state.sumLow
  out[at + 9] = state.m2High
  out[at + 10] = state.m2Low
}

/**
 * Reads a state.
 *
 * @category reading
 * @since 0.3.0
 */
export const stateAt = (states: Float64Array, at: number): State => ({
  count: states[at]!,
  nonFinite: states[at + 1]!,
  min: states[at + 2]!,
  max: states[at + 3]!,
  argmin: states[at + 4]!,
  argmax: states[at + 5]!,
  scale: states[at + 6]!,
  sumHigh: states[at + 7]!,
  sumLow: states[at + 8]!,
  m2High: states[at + 9]!,
  m2Low: states[at + 10]!
})
