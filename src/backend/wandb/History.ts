/**
 * A record as a line of W&B's history.
 *
 * - `_step` is `seq - 1`: it grows with every line, whatever the job's steps do, so W&B drops none of them. The job's
 *   step is the metric `step`, which all others are drawn over ({@link definitions}); where the job gave none, it is
 *   `_step`. `_timestamp` is seconds since 1970, `_runtime` seconds since the run began.
 * - A metric with one of these names, or `_wandb`, gets a trailing `_`; one that has that already gets another.
 * - Keys stand as they are: W&B groups `train/loss` by what is before the `/` itself.
 * - Numbers that are not finite stand bare, `NaN`, `Infinity`, `-Infinity`, as W&B's own client writes them.
 * - An array of up to 32 numbers stays a list. A longer one is a histogram of 64 bins, as W&B's client makes of arrays
 *   of that size, over what is finite in it: that is what W&B can show of it. The log and the datasets have the values.
 * - `null` is no value, and is left out of the summary.
 *
 * @since 0.2.0
 */
import type { RunState } from "../../Backend.ts"
import type { Metrics, Value } from "../../Metrics.ts"
import type { Row } from "../../Row.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The metric that holds the job's step.
 *
 * @category models
 * @since 0.2.0
 */
export const stepKey = "step"

/**
 * With which code a run ends that ended so.
 *
 * @category constants
 * @since 0.2.0
 */
export const exitCodes: { readonly [state in RunState]: number } = { finished: 0, failed: 1, killed: 255 }

/**
 * What W&B is told of metrics: `step` is one, and all others are drawn over it.
 *
 * @category models
 * @since 0.2.0
 */
export const definitions: ReadonlyArray<
  { readonly name: string } | { readonly globName: string; readonly stepMetric: string }
> = [{ name: stepKey }, { globName: "*", stepMetric: stepKey }]

// -----------------------------------------------------------------------------
// Lines
// -----------------------------------------------------------------------------

/**
 * The place of a record in W&B's order.
 *
 * @category lines
 * @since 0.2.0
 */
export const stepOf = (row: Row): number => row.seq - 1

/**
 * Calls `put` with each item of a record's line: its key, and its value as JSON text.
 *
 * @category lines
 * @since 0.2.0
 */
export const each = (row: Row, createdAt: number, put: (key: string, json: string) => void): void => {
  put("_step", String(stepOf(row)))
  put("_timestamp", String(row.timestamp))
  put("_runtime", String(runtime(row.timestamp, createdAt)))
  put(stepKey, number(row.step ?? stepOf(row)))
  eachMetric(row.metrics, put)
  if (row.statistics !== undefined) eachMetric(row.statistics.values, put, row.metrics)
}

/**
 * A record's line as JSON text, without an end of line.
 *
 * @category lines
 * @since 0.2.0
 */
export const line = (row: Row, createdAt: number): string => {
  let text = "{"
  each(row, createdAt, (key, json) => {
    text += `${text.length > 1 ? "," : ""}${JSON.stringify(key)}:${json}`
  })
  return `${text}}`
}

/**
 * Seconds since the run began, to the microsecond, never negative.
 *
 * @category lines
 * @since 0.2.0
 */
export const runtime = (timestamp: number, createdAt: number): number =>
  Math.max(0, Math.round((timestamp - createdAt) * 1e6) / 1e6)

/**
 * Calls `put` with each metric, its name as W&B has it, its value as JSON text.
 *
 * @category lines
 * @since 0.2.0
 */
export const eachMetric = (metrics: Metrics, put: (key: string, json: string) => void, but?: Metrics): void => {
  for (const key in metrics) {
    const value = metrics[key]
    if (value === undefined || (but !== undefined && Object.hasOwn(but, key))) continue
    put(name(key), typeof value === "number" ? number(value) : text(value))
  }
}

/**
 * A metric's name as W&B has it.
 *
 * @category lines
 * @since 0.2.0
 */
export const name = (key: string): string => {
  const first = key.charCodeAt(0)
  return (first === underscore || first === letterS) && reserved.test(key) ? `${key}_` : key
}

const underscore = 0x5f
const letterS = 0x73
const reserved = /^(?:step|_step|_timestamp|_runtime|_wandb)_*$/

/**
 * The key of an image. A plot is called like the metric it shows, whose place it must not take.
 *
 * @category lines
 * @since 0.2.0
 */
export const imageKey = (name: string): string => `images/${name}`

/**
 * The key of a table.
 *
 * @category lines
 * @since 0.2.0
 */
export const tableKey = (name: string): string => `tables/${name}`

// -----------------------------------------------------------------------------
// Values
// -----------------------------------------------------------------------------

/**
 * A value as W&B's JSON text, where numbers need not be finite.
 *
 * @category values
 * @since 0.2.0
 */
export const text = (value: Value): string =>
  typeof value === "number"
    ? number(value)
    : typeof value !== "object" || value === null
    ? JSON.stringify(value)
    : array(value)

const number = (value: number): string => Object.is(value, -0) ? "-0.0" : String(value)

const array = (values: ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>>): string => {
  const all = values.flat()
  const finite = all.length > mostListed ? all.filter(Number.isFinite) : []
  return finite.length === 0 ? list(values) : histogram(finite)
}

const list = (values: ReadonlyArray<number | ReadonlyArray<number>>): string =>
  `[${values.map((value) => typeof value === "number" ? number(value) : list(value)).join(",")}]`

const mostListed = 32
const bins = 64

/** Bins of one width from the least to the greatest value, the last one closed. */
const histogram = (values: ReadonlyArray<number>): string => {
  let low = Infinity
  let high = -Infinity
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  if (low === high) {
    low -= 0.5
    high += 0.5
  }
  // Halves, since the difference of two doubles may be none.
  const span = high / 2 - low / 2
  const counts = Array.from({ length: bins }, () => 0)
  for (const value of values) {
    const bin = Math.min(bins - 1, Math.floor((value / 2 - low / 2) / span * bins))
    counts[bin] = (counts[bin] ?? 0) + 1
  }
  const edges = Array.from({ length: bins + 1 }, (_, i) => i === bins ? high : low * (1 - i / bins) + high * (i / bins))
  return JSON.stringify({ _type: "histogram", values: counts, bins: edges })
}
