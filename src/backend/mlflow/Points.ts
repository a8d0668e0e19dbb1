/**
 * Records as points of metrics, each as the text of its JSON.
 *
 * - A number is a point. A boolean is 0 or 1, an array of numbers its mean: MLflow has nothing but numbers. A string is
 *   no point (it is counted and told once per key), `null` and an empty array are none either.
 * - Statistics are metrics like others, `loss/mean`. A metric beside its statistics is `loss/local`, so that the server
 *   shows all of it as one group.
 * - NaN and the infinities are sent as such. A server on a database keeps NaN, and keeps an infinity as
 *   +-1.7976931348623157e308.
 * - The exact step of a record whose step MLflow cannot hold is its metric `ezpz/step`.
 * - Names are those of Names.ts.
 *
 * @since 0.2.0
 */
import type { Metrics, Value } from "../../Metrics.ts"
import type { Row } from "../../Row.ts"
import * as Names from "./Names.ts"
import type { Place } from "./Position.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * A point: the name it had, its JSON, and how many bytes that has.
 *
 * @category models
 * @since 0.2.0
 */
export interface Point {
  readonly key: string
  readonly text: string
  readonly bytes: number
}

/**
 * Makes points, and remembers what is to be told of the records they came from.
 *
 * @category models
 * @since 0.2.0
 */
export interface Maker {
  readonly points: (row: Row, place: Place) => ReadonlyArray<Point>
  readonly point: (name: string, value: number, step: number, millis: number) => Point
  /** What has come up since it was last asked. */
  readonly notes: () => Notes
}

/**
 * Names that are others in MLflow, keys whose strings are left out, and whether there was an infinity, or a step that
 * is no integer: each told once.
 *
 * @category models
 * @since 0.2.0
 */
export interface Notes {
  readonly renamed: ReadonlyArray<readonly [from: string, to: string]>
  readonly strings: ReadonlyArray<string>
  readonly infinity: boolean
  readonly fraction: boolean
}

/** Beyond so many different keys nothing more is remembered of one. */
const mostKeys = 100_000
const mostTold = 1000

/** The metric that holds the exact step. */
const stepKey = "ezpz/step"

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes a maker of points.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (): Maker => {
  const names = new Map<string, Name>()
  const strings = new Set<string>()
  let renamed: Array<readonly [string, string]> = []
  let toldRenamed = 0
  let freshStrings: Array<string> = []
  let infinity: boolean | undefined
  let fraction: boolean | undefined

  const nameOf = (key: string): Name => {
    const known = names.get(key)
    if (known !== undefined) return known
    const encoded = Names.encode(key)
    const text = `{"key":${JSON.stringify(encoded)},"value":`
    const name = { text, bytes: Buffer.byteLength(text), local: `${key}/local`, statistics: statisticsOf(key) }
    if (encoded !== key && toldRenamed < mostTold) {
      toldRenamed++
      renamed.push([key, encoded])
    }
    if (names.size >= mostKeys) names.clear()
    names.set(key, name)
    return name
  }

  const point = (key: string, value: number, step: number, millis: number): Point => {
    const name = nameOf(key)
    if (infinity === undefined && (value === Infinity || value === -Infinity)) infinity = true
    const rest = `${numberText(value)},"timestamp":${millis},"step":${stepText(step)}}`
    return { key, text: name.text + rest, bytes: name.bytes + rest.length }
  }

  const skip = (key: string, value: Value): void => {
    if (typeof value !== "string" || strings.size >= mostTold || strings.has(key)) return
    strings.add(key)
    freshStrings.push(key)
  }

  const points: Maker["points"] = (row, { exact, millis, step }) => {
    const out: Array<Point> = []
    const values = row.statistics?.values
    for (const key in row.metrics) {
      const value = row.metrics[key]
      if (value === undefined) continue
      const number = numberOf(value)
      if (number === undefined) {
        skip(key, value)
        continue
      }
      if (values !== undefined && nameOf(key).statistics.some((name) => values[name] !== undefined)) {
        out.push(point(free(nameOf(key).local, row.metrics, values), number, step, millis))
        // Where a metric has the name of a statistic, the statistic has it.
      } else if (values?.[key] === undefined) out.push(point(key, number, step, millis))
    }
    if (values !== undefined) {
      for (const key in values) {
        const value = values[key]
        const number = value === undefined ? undefined : numberOf(value)
        if (number !== undefined) out.push(point(key, number, step, millis))
      }
    }
    if (exact !== undefined && row.metrics[stepKey] === undefined) {
      fraction ??= true
      out.push(point(stepKey, exact, step, millis))
    }
    return out
  }

  return {
    points,
    point,
    notes: () => {
      const notes = { renamed, strings: freshStrings, infinity: infinity === true, fraction: fraction === true }
      renamed = []
      freshStrings = []
      if (infinity !== undefined) infinity = false
      if (fraction !== undefined) fraction = false
      return notes
    }
  }
}

/**
 * A value as the number that stands for it; undefined if none does.
 *
 * @category constructors
 * @since 0.2.0
 */
export const numberOf = (value: Value): number | undefined => {
  if (typeof value === "number") return value
  if (typeof value === "boolean") return value ? 1 : 0
  if (typeof value === "string" || value === null) return undefined
  let sum = 0
  let count = 0
  for (const item of value) {
    for (const number of typeof item === "number" ? [item] : item) {
      sum += number
      count++
    }
  }
  return count === 0 ? undefined : sum / count
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

interface Name {
  /** The beginning of a point's JSON. */
  readonly text: string
  readonly bytes: number
  readonly local: string
  readonly statistics: ReadonlyArray<string>
}

const statisticsOf = (key: string): ReadonlyArray<string> => [`${key}/mean`, `${key}/min`, `${key}/max`, `${key}/std`]

/** A name that no metric of the record has already. */
const free = (name: string, metrics: Metrics, statistics: Metrics): string => {
  let unused = name
  while (metrics[unused] !== undefined || statistics[unused] !== undefined) {
    // One that moves to `name/local` itself is not in the way.
    if (statistics[unused] === undefined && statisticsOf(unused).some((other) => statistics[other] !== undefined)) break
    unused += "_"
  }
  return unused
}

const numberText = (value: number): string =>
  Number.isFinite(value) ? Object.is(value, -0) ? "-0.0" : String(value) : `"${value}"`

/** Beyond 2^53 as text, which JSON readers do not round. */
const stepText = (step: number): string => Number.isSafeInteger(step) ? String(step) : `"${BigInt(step)}"`
