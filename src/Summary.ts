/**
 * The console line: one record of metrics as `key=value(±std)` tokens a person can scan.
 *
 *     iter=180   loss=0.078(± 0.026) accuracy=0.984(±9.9e-3) lr=0.000059 memory=0.01/0.01GiB (0%)
 *
 * The rules:
 *
 * - Tokens stand in the order of the record, one space between them. `null` is no value here, and not shown.
 * - Numbers print as Python's `f"{x:.6f}"` does: ties to the even digit, `-0` with its sign, all digits of large ones,
 *   `nan`, `inf`, `-inf`. A key prints as an integer as long as every value it has had was one: {@link make} remembers
 *   that from line to line. An array prints as its mean.
 * - `loss/std` beside `loss`, in the record or among the statistics handed over with it, becomes `loss=value(±std)`; the
 *   other statistics of a metric that is there (`/mean`, `/min`, `/max`, `/avg`) are not shown. Those of one that is not
 *   there are metrics like any other. Statistics are these keys, not a pattern in names: `grad_mean` is a metric.
 * - Which rank had the least and the greatest value (`/argmin`, `/argmax`) and how many had none (`/nonfinite`) are not
 *   shown where they are handed over as statistics; in a record they are metrics.
 * - A std has two significant digits, fixed from 0.01 up, below that scientific: `0.020`, `1.3`, `5.1e-4`. The style
 *   "aligned" sets it in a column of 6 and leaves that column blank where the std is exactly 0; "tight" does neither.
 * - Counters and known constants are bare: no std, no column. Counters are padded on the right, by the last part of
 *   their name, so that what follows stays put while they grow. Blanks at the end of the line are cut.
 * - The four memory metrics (`mem_alloc`, `mem_reserved`, `mem_peak_alloc`, `mem_peak_reserved`, GiB, behind any prefix)
 *   become one token at the end: allocated / reserved, and the peak allocation in percent of the device's total. A
 *   second prefix gets a token of its own, under its name.
 * - A line stays one line: control characters and the like in keys and strings are escaped, long ones are cut.
 *
 * @since 0.1.0
 */
import { escaped } from "./internal/oneLine.ts"
import { fixed, integer, nonFinite } from "./internal/pyformat.ts"
import type { Metrics, Value } from "./Metrics.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How the std of a metric is set: in a column of its own, or hugging the value.
 *
 * @category models
 * @since 0.1.0
 */
export type Style = "aligned" | "tight"

/**
 * What a formatter is told once.
 *
 * - `precision`: digits behind the point, 0 to 100; 6 unless said.
 * - `style`: "aligned" unless said.
 * - `constants`: further metrics that are the same on every rank; by full key or by the last part of it.
 * - `minWidths`: the least width of a metric's token, by full key or by the last part of it; wins over the built-in ones.
 * - `skip`: keys not shown, or a predicate, which is asked once per key.
 * - `memoryTotal`: the device's memory in GiB, what the peak is a percentage of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly precision?: number | undefined
  readonly style?: Style | undefined
  readonly constants?: Iterable<string> | undefined
  readonly minWidths?: { readonly [key: string]: number } | undefined
  readonly skip?: Iterable<string> | ((key: string) => boolean) | undefined
  readonly memoryTotal?: number | undefined
}

/**
 * What may differ from line to line. `step` puts the step in front, under the name `stepKey` ("step" unless said); a
 * metric of that name is then not shown again.
 *
 * @category models
 * @since 0.1.0
 */
export interface LineOptions {
  readonly precision?: number | undefined
  readonly memoryTotal?: number | undefined
  readonly step?: number | undefined
  readonly stepKey?: string | undefined
}

/**
 * Formats the lines of one run. `aggregated` holds the statistics across the ranks under keys such as `loss/std`; they
 * win over those in the record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Formatter {
  readonly format: (metrics: Metrics, aggregated?: Metrics, options?: LineOptions) => string
}

/** What a key is, worked out when it is first seen; only `real` changes: whether it has had a value with a fraction. */
interface Token {
  readonly key: string
  readonly head: string
  readonly spacedHead: string
  readonly stdKey: string
  /** The metric this is a statistic of, or "". */
  readonly base: string
  /** Index into {@link memoryNames}, or -1. */
  readonly memory: number
  readonly shown: boolean
  readonly bare: boolean
  readonly width: number
  real: boolean
}

interface Memory {
  readonly prefix: string
  readonly values: [alloc?: number, reserved?: number, peakAlloc?: number, peakReserved?: number]
}

const counters = new Set(["iter", "step", "epoch", "batch", "idx", "bidx"])

const constants = new Set([
  "lr",
  "learning_rate",
  "momentum",
  "beta1",
  "beta2",
  "weight_decay",
  "wd",
  "eps",
  "epsilon",
  "clip_grad",
  "grad_clip",
  "clip_norm",
  "max_grad_norm",
  "warmup_steps",
  "warmup_iters",
  "warmup"
])

const memoryNames = ["mem_alloc", "mem_reserved", "mem_peak_alloc", "mem_peak_reserved"]

const statistics = ["/mean", "/min", "/max", "/avg", "/std"]

/** The width of `(± 0.026)`. */
const stdWidth = 9
const maxWidth = 1000
const maxKeyLength = 200
const maxTextLength = 120

/** So many keys are remembered at least, and twice as many at most. */
const maxTokens = 16384

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * A formatter for the lines of one run, which remembers which keys have had only integers: `8` and `8.0` are one and the
 * same number here, so a loss that happens to be `8` prints like the others once it has had a fraction.
 *
 * What it remembers is bounded; a run with ever new keys does not make it grow.
 *
 * @example
 * ```ts
 * import { Summary } from "ezpz-stream"
 *
 * const summary = Summary.make({ precision: 3 })
 * assert.strictEqual(summary.format({ iter: 7, loss: 8.5 }, { "loss/std": 0.026 }), "iter=7     loss=8.500(± 0.026)")
 * assert.strictEqual(summary.format({ iter: 8, loss: 8 }), "iter=8     loss=8.000")
 * assert.strictEqual(summary.format({ loss: 8 }, undefined, { step: 9 }), "step=9     loss=8.000")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Formatter => {
  const describe = describer(options)
  const tight = options.style === "tight"
  const precision = clamp(options.precision, 6, 100)

  // Two generations: the older one is dropped when the younger is full, and a key in use moves to the younger.
  let young = new Map<string, Token>()
  let old = new Map<string, Token>()
  // The tokens of the last line's records: the next ones nearly always have the same keys in the same order.
  let plan: Array<Token> = []
  let aggregatedPlan: Array<Token> = []

  const lookup = (key: string): Token => {
    const known = young.get(key)
    if (known !== undefined) return known
    const token = old.get(key) ?? describe(key)
    if (key.length > maxKeyLength) return token
    if (young.size >= maxTokens) {
      old = young
      young = new Map()
      // What is in use has to be looked up again, or it would be taken for forgotten.
      plan = []
      aggregatedPlan = []
    }
    young.set(key, token)
    return token
  }

  /** Makes `tokens` begin with those of the record; gives their number. */
  const follow = (record: Metrics, tokens: Array<Token>): number => {
    let n = 0
    for (const key in record) {
      if (tokens[n]?.key !== key) tokens[n] = lookup(key)
      n++
    }
    return n
  }

  const format = (metrics: Metrics, aggregated?: Metrics, lineOptions?: LineOptions): string => {
    const digits = lineOptions?.precision === undefined ? precision : clamp(lineOptions.precision, precision, 100)
    let line = ""
    let owed = 0
    let memories: Array<Memory> | undefined
    let endsInText = false

    const put = (token: Token, value: Value, std: Value | undefined): void => {
      const text = typeof value === "number" ? numberText(token, value, digits) : otherText(value, digits)
      if (owed > 0) line += " ".repeat(owed)
      owed = 0
      line += (line === "" ? token.head : token.spacedHead) + text
      endsInText = typeof value === "string"
      let width = token.width === 0 ? 0 : token.head.length + text.length
      if (typeof std === "number") {
        if (std !== 0) {
          const deviation = stdText(std)
          const column = tight ? deviation : deviation.padStart(6)
          line += "(±" + column + ")"
          width += column.length + 3
          endsInText = false
        } else if (!tight) {
          owed = stdWidth
          width += stdWidth
        }
      }
      if (token.width > width) owed += token.width - width
    }

    let stepKey: string | undefined
    if (lineOptions?.step !== undefined) {
      stepKey = lineOptions.stepKey ?? "step"
      put(lookup(stepKey), lineOptions.step, undefined)
    }

    const tokens = plan
    const n = follow(metrics, tokens)
    let hasStatistics = aggregated !== undefined
    for (let i = 0; i < n && !hasStatistics; i++) hasStatistics = tokens[i]!.base !== ""
    for (let i = 0; i < n; i++) {
      const token = tokens[i]!
      if (!token.shown || token.key === stepKey) continue
      const value = metrics[token.key]
      if (value === null || value === undefined) continue
      if (token.memory >= 0 && typeof value !== "string") {
        memories = remember(memories, token, value)
      } else if (!hasStatistics) {
        put(token, value, undefined)
      } else if (token.base === "" || !isStatistic(metrics, token.base, value)) {
        put(token, value, token.bare ? undefined : aggregated?.[token.stdKey] ?? metrics[token.stdKey])
      }
    }
    if (tokens.length > maxTokens) plan = []

    if (aggregated !== undefined) {
      const tokens = aggregatedPlan
      const n = follow(aggregated, tokens)
      for (let i = 0; i < n; i++) {
        const token = tokens[i]!
        const value = aggregated[token.key]
        if (token.base === "" || !token.shown || value === null || value === undefined) continue
        if (!isStatistic(metrics, token.base, value) && metrics[token.key] === undefined) put(token, value, undefined)
      }
      if (tokens.length > maxTokens) aggregatedPlan = []
    }
    if (memories !== undefined) {
      const total = lineOptions?.memoryTotal ?? options.memoryTotal
      for (const [i, memory] of memories.entries()) {
        if (owed > 0) line += " ".repeat(owed)
        owed = 0
        line += (line === "" ? "" : " ") + (i === 0 ? "" : memory.prefix) + "memory=" + memoryText(memory.values, total)
        endsInText = false
      }
    }
    return endsInText ? trimBlanks(line) : line
  }

  return { format }
}

/**
 * One line, each number by its value alone: see {@link make} for the lines of a run.
 *
 * @example
 * ```ts
 * import { Summary } from "ezpz-stream"
 *
 * const metrics = { iter: 100, loss: 0.5, "loss/std": 0.02, lr: 0.000234 }
 * assert.strictEqual(Summary.format(metrics, { precision: 2 }), "iter=100   loss=0.50(± 0.020) lr=0.00")
 * assert.strictEqual(Summary.format(metrics, { style: "tight" }), "iter=100  loss=0.500000(±0.020) lr=0.000234")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const format = (
  metrics: Metrics,
  options: Options & LineOptions & { readonly aggregated?: Metrics | undefined } = {}
): string => make(options).format(metrics, options.aggregated, options)

// -----------------------------------------------------------------------------
// Keys
// -----------------------------------------------------------------------------

const describer = (options: Options): (key: string) => Token => {
  const own = new Set(options.constants)
  const widths = new Map(Object.entries(options.minWidths ?? {}))
  const skip = options.skip
  const names = typeof skip === "function" ? undefined : new Set(skip)
  const skips = typeof skip === "function" ? skip : (key: string): boolean => names!.has(key)
  const counterWidths: { readonly [name: string]: number } = options.style === "tight"
    ? { iter: 9, step: 9, epoch: 7, batch: 9, idx: 9, bidx: 9 }
    : { iter: 10, step: 10, epoch: 8, batch: 10, idx: 10, bidx: 10 }

  return (key) => {
    const leaf = key.slice(key.lastIndexOf("/") + 1)
    const base = baseOf(key)
    const counter = counters.has(leaf)
    const head = `${escaped(key, maxKeyLength)}=`
    return {
      key,
      head,
      spacedHead: ` ${head}`,
      stdKey: `${key}/std`,
      base,
      memory: memoryNames.indexOf(leaf),
      shown: !skips(key) && !memoryNames.includes(base.slice(base.lastIndexOf("/") + 1)),
      bare: counter || constants.has(leaf) || own.has(key) || own.has(leaf),
      width: clamp(widths.get(key) ?? widths.get(leaf) ?? (counter ? counterWidths[leaf] : undefined), 0, maxWidth),
      real: false
    }
  }
}

const baseOf = (key: string): string => {
  for (const suffix of statistics) {
    if (key.endsWith(suffix)) return key.slice(0, -suffix.length)
  }
  return ""
}

/** Whether `value` is a statistic of a metric that is there: both must be of a kind that statistics have. */
const isStatistic = (metrics: Metrics, base: string, value: Value): boolean => {
  if (typeof value === "string" || typeof value === "boolean") return false
  const of = metrics[base]
  return typeof of === "number" || typeof of === "boolean" || Array.isArray(of)
}

const clamp = (value: number | undefined, otherwise: number, max: number): number =>
  value === undefined || Number.isNaN(value) ? otherwise : Math.min(max, Math.max(0, Math.floor(value)))

// -----------------------------------------------------------------------------
// Values
// -----------------------------------------------------------------------------

const numberText = (token: Token, value: number, digits: number): string => {
  if (!token.real) {
    // -0 and the non-finite numbers are no integers in any language.
    if (Math.floor(value) === value && value - value === 0 && (value !== 0 || 1 / value > 0)) return integer(value)
    token.real = true
  }
  return fixed(value, digits)
}

const otherText = (value: Value, digits: number): string =>
  typeof value === "string"
    ? escaped(value, maxTextLength)
    : Array.isArray(value)
    ? fixed(mean(value), digits)
    : String(value)

const mean = (array: ReadonlyArray<number | ReadonlyArray<number>>): number => {
  const numbers = array.flat()
  const sum = numbers.reduce((total, x) => total + x, 0)
  // The sum of finite numbers may be beyond every double where their mean is not.
  return Number.isFinite(sum) ? sum / numbers.length : numbers.reduce((total, x) => total + x / numbers.length, 0)
}

/** Two significant digits, by the magnitude before rounding: 0.0996 is 0.100, as 0.0995 is. */
const stdText = (std: number): string => {
  if (std - std !== 0) return nonFinite(std)
  const magnitude = Math.abs(std)
  // No tie is a double down here, and exponents have no leading zero in JavaScript.
  if (magnitude < 0.01) return std.toExponential(1)
  return fixed(std, magnitude < 0.1 ? 3 : magnitude < 1 ? 2 : magnitude < 10 ? 1 : 0)
}

const remember = (memories: Array<Memory> | undefined, token: Token, value: Value): Array<Memory> => {
  const all = memories ?? []
  const prefix = token.head.slice(0, -1 - memoryNames[token.memory]!.length)
  let memory = all.find((one) => one.prefix === prefix)
  if (memory === undefined) {
    memory = { prefix, values: [] }
    all.push(memory)
  }
  memory.values[token.memory] = Array.isArray(value) ? mean(value) : Number(value)
  return all
}

const memoryText = (
  [alloc, reserved, peakAlloc, peakReserved]: Memory["values"],
  total: number | undefined
): string => {
  if (alloc === undefined) {
    return peakAlloc !== undefined
      ? `${fixed(peakAlloc, 2)}GiB (peak)`
      : reserved !== undefined
      ? `${fixed(reserved, 2)}GiB (reserved)`
      : `${fixed(peakReserved ?? NaN, 2)}GiB (peak reserved)`
  }
  const size = fixed(alloc, 2) + (reserved === undefined ? "GiB" : `/${fixed(reserved, 2)}GiB`)
  return peakAlloc === undefined || total === undefined || !(total > 0)
    ? size
    : `${size} (${fixed((100 * peakAlloc) / total, 0)}%)`
}

const trimBlanks = (line: string): string => {
  let end = line.length
  while (end > 0 && line.charCodeAt(end - 1) === 0x20) end--
  return line.slice(0, end)
}
