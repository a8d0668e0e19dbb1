/**
 * A column of numbers that grows for ever in bounded memory: bins of consecutive points.
 *
 * The rules. Up to `capacity` points each bin is one point, so nothing is lost. When one more comes, each two bins become
 * one, and from then on a bin takes twice as many points (`span`). Every bin but the last is full. A bin has the extent
 * of its steps and times, the least and the greatest value with the ranks they came from, and sums for the mean: so a
 * picture of the bins has every extreme, at any length of the run. What is not finite is counted, and in nothing else.
 *
 * A point is a value (then `low`, `high` and mean are the same) or what several ranks or chains had: then it has a `std`.
 *
 * @since 0.5.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Bins in the order of the log; only the first `length` elements of each array count. `seq` is that of a bin's first
 * record. The mean of a bin is `sum / count`, its std `deviation / count`; `count` is of points with a finite value,
 * `gaps` of those without. `highFirst`: the greatest value came before the least. `deviation`, `argLow` and `argHigh` are
 * empty where points are single values.
 *
 * @category models
 * @since 0.5.0
 */
export interface Bins {
  capacity: number
  span: number
  length: number
  /** How many points there were, and the extent of their steps and times. */
  total: number
  fromStep: number
  toStep: number
  fromTime: number
  toTime: number
  readonly spread: boolean
  seq: Float64Array
  stepLow: Float64Array
  stepHigh: Float64Array
  timeLow: Float64Array
  timeHigh: Float64Array
  low: Float64Array
  high: Float64Array
  sum: Float64Array
  count: Uint32Array
  gaps: Uint32Array
  highFirst: Uint8Array
  deviation: Float64Array
  argLow: Int32Array
  argHigh: Int32Array
}

/**
 * One point. Of a single value `low`, `mean` and `high` are the same.
 *
 * @category models
 * @since 0.5.0
 */
export interface Point {
  seq: number
  step: number
  time: number
  low: number
  mean: number
  high: number
  std: number
  argLow: number
  argHigh: number
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

const least = 16

/**
 * No points yet. `capacity` is even.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (capacity: number, spread: boolean): Bins => {
  const size = Math.min(capacity, least)
  return {
    capacity,
    span: 1,
    length: 0,
    total: 0,
    fromStep: Infinity,
    toStep: -Infinity,
    fromTime: Infinity,
    toTime: -Infinity,
    spread,
    seq: new Float64Array(size),
    stepLow: new Float64Array(size),
    stepHigh: new Float64Array(size),
    timeLow: new Float64Array(size),
    timeHigh: new Float64Array(size),
    low: new Float64Array(size),
    high: new Float64Array(size),
    sum: new Float64Array(size),
    count: new Uint32Array(size),
    gaps: new Uint32Array(size),
    highFirst: new Uint8Array(size),
    deviation: new Float64Array(spread ? size : 0),
    argLow: new Int32Array(spread ? size : 0),
    argHigh: new Int32Array(spread ? size : 0)
  }
}

// -----------------------------------------------------------------------------
// Folding
// -----------------------------------------------------------------------------

/**
 * Appends a point.
 *
 * @category folding
 * @since 0.5.0
 */
export const add = (self: Bins, point: Point): void => {
  const last = self.length - 1
  if (last < 0 || self.count[last]! + self.gaps[last]! >= self.span) {
    if (self.length >= self.capacity) {
      halve(self)
      return add(self, point)
    }
    if (self.length >= self.seq.length) grow(self)
    open(self, self.length++, point)
  }
  self.total++
  put(self, self.length - 1, point)
}

/**
 * Puts a point in the place of the one of the same seq, if there is one, and appends it otherwise. In a bin of several
 * points the old one cannot be taken out: the bin then has the extremes of both.
 *
 * @category folding
 * @since 0.5.0
 */
export const amend = (self: Bins, point: Point): void => {
  let bin = self.length - 1
  while (bin >= 0 && self.seq[bin]! > point.seq) bin--
  if (bin < 0 || self.total === 0) return add(self, point)
  if (self.span === 1) {
    if (self.seq[bin] !== point.seq) return add(self, point)
    open(self, bin, point)
    put(self, bin, point)
  } else if (bin === self.length - 1) add(self, point)
  else if (point.low - point.high === 0 || point.low < point.high) widen(self, bin, point)
}

/**
 * Makes room for fewer bins, or more: what was joined stays joined.
 *
 * @category folding
 * @since 0.5.0
 */
export const resize = (self: Bins, capacity: number): void => {
  self.capacity = capacity
  while (self.length > capacity) halve(self)
}

const open = (self: Bins, bin: number, { seq, step, time }: Point): void => {
  self.seq[bin] = seq
  self.stepLow[bin] = step
  self.stepHigh[bin] = step
  self.timeLow[bin] = time
  self.timeHigh[bin] = time
  self.low[bin] = Infinity
  self.high[bin] = -Infinity
  self.sum[bin] = 0
  self.count[bin] = 0
  self.gaps[bin] = 0
  self.highFirst[bin] = 0
  if (self.spread) {
    self.deviation[bin] = 0
    self.argLow[bin] = -1
    self.argHigh[bin] = -1
  }
}

const put = (self: Bins, bin: number, point: Point): void => {
  const { mean, step, time } = point
  if (step < self.fromStep) self.fromStep = step
  if (step > self.toStep) self.toStep = step
  if (time < self.fromTime) self.fromTime = time
  if (time > self.toTime) self.toTime = time
  if (step < self.stepLow[bin]!) self.stepLow[bin] = step
  if (step > self.stepHigh[bin]!) self.stepHigh[bin] = step
  if (time < self.timeLow[bin]!) self.timeLow[bin] = time
  if (time > self.timeHigh[bin]!) self.timeHigh[bin] = time
  if (mean - mean !== 0) {
    self.gaps[bin]!++
    return
  }
  self.count[bin]!++
  self.sum[bin]! += mean
  if (self.spread) self.deviation[bin]! += point.std
  widen(self, bin, point)
}

const widen = (self: Bins, bin: number, { argHigh, argLow, high, low }: Point): void => {
  const lower = low < self.low[bin]!
  if (lower) {
    self.low[bin] = low
    if (self.spread) self.argLow[bin] = argLow
  }
  if (high > self.high[bin]!) {
    self.high[bin] = high
    if (self.spread) self.argHigh[bin] = argHigh
    self.highFirst[bin] = 0
  } else if (lower) self.highFirst[bin] = 1
}

/** Each two bins become one. The last one, if it was alone, stays open. */
const halve = (self: Bins): void => {
  const { length } = self
  for (let to = 0, from = 0; from < length; to++, from += 2) {
    const next = from + 1 < length ? from + 1 : from
    const first = self.low[from]! <= self.low[next]! ? from : next
    const top = self.high[next]! > self.high[from]! ? next : from
    self.highFirst[to] = first === top ? self.highFirst[first]! : top < first ? 1 : 0
    if (self.spread) {
      self.argLow[to] = self.argLow[first]!
      self.argHigh[to] = self.argHigh[top]!
    }
    self.low[to] = self.low[first]!
    self.high[to] = self.high[top]!
    self.seq[to] = self.seq[from]!
    self.stepLow[to] = Math.min(self.stepLow[from]!, self.stepLow[next]!)
    self.stepHigh[to] = Math.max(self.stepHigh[from]!, self.stepHigh[next]!)
    self.timeLow[to] = Math.min(self.timeLow[from]!, self.timeLow[next]!)
    self.timeHigh[to] = Math.max(self.timeHigh[from]!, self.timeHigh[next]!)
    const alone = next === from
    self.sum[to] = self.sum[from]! + (alone ? 0 : self.sum[next]!)
    self.count[to] = self.count[from]! + (alone ? 0 : self.count[next]!)
    self.gaps[to] = self.gaps[from]! + (alone ? 0 : self.gaps[next]!)
    if (self.spread) self.deviation[to] = self.deviation[from]! + (alone ? 0 : self.deviation[next]!)
  }
  self.length = Math.ceil(length / 2)
  self.span *= 2
}

const grow = (self: Bins): void => {
  const size = Math.min(self.capacity, self.seq.length * 2)
  const numbers = (old: Float64Array): Float64Array => {
    const larger = new Float64Array(size)
    larger.set(old)
    return larger
  }
  self.seq = numbers(self.seq)
  self.stepLow = numbers(self.stepLow)
  self.stepHigh = numbers(self.stepHigh)
  self.timeLow = numbers(self.timeLow)
  self.timeHigh = numbers(self.timeHigh)
  self.low = numbers(self.low)
  self.high = numbers(self.high)
  self.sum = numbers(self.sum)
  const counts = (old: Uint32Array): Uint32Array => {
    const larger = new Uint32Array(size)
    larger.set(old)
    return larger
  }
  self.count = counts(self.count)
  self.gaps = counts(self.gaps)
  const flags = new Uint8Array(size)
  flags.set(self.highFirst)
  self.highFirst = flags
  if (!self.spread) return
  self.deviation = numbers(self.deviation)
  const ranks = (old: Int32Array): Int32Array => {
    const larger = new Int32Array(size)
    larger.set(old)
    return larger
  }
  self.argLow = ranks(self.argLow)
  self.argHigh = ranks(self.argHigh)
}

// -----------------------------------------------------------------------------
// Queries
// -----------------------------------------------------------------------------

/**
 * The mean of a bin; NaN where nothing in it was finite.
 *
 * @category queries
 * @since 0.5.0
 */
export const mean = (self: Bins, bin: number): number => self.sum[bin]! / self.count[bin]!

/**
 * The mean std of a bin's points; 0 of single values.
 *
 * @category queries
 * @since 0.5.0
 */
export const std = (self: Bins, bin: number): number => self.spread ? self.deviation[bin]! / self.count[bin]! : 0
