/**
 * How a value stands in a CSV file.
 *
 * - A number is the shortest text that reads back as the same double. NaN is `NaN`, the infinities `inf` and `-inf`:
 *   Python's `float`, pandas and R read all three. `-0.0` keeps its sign, and integers beyond 2^53 are in scientific
 *   notation, since readers that take digits for integers overflow at 2^63.
 * - A boolean is `true` or `false`. No value is an empty cell, an empty string `""`.
 * - Strings and headers are quoted as RFC 4180 says. Lone surrogates, which UTF-8 has no bytes for, are replaced.
 * - An array is its JSON text, its non-finite numbers as strings, as in the run log.
 *
 * Lines end with `\n`. Rows of numbers are 5 times as fast without csv-stringify, which measures 22 us for 40 of them,
 * so it has what is rare: text that needs quotes, headers, tables.
 *
 * @since 0.1.0
 */
import type { Options } from "csv-stringify/sync"
import { stringify } from "csv-stringify/sync"
import * as Metrics from "../../Metrics.ts"

/**
 * A number that JSON writes as {@link number} does.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isPlain = (value: number): boolean =>
  value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER && (value !== 0 || 1 / value > 0)

/**
 * The text of a number.
 *
 * @category encoding
 * @since 0.1.0
 */
export const number = (value: number): string =>
  isPlain(value)
    ? String(value)
    : value === 0
    ? "-0.0"
    : Number.isFinite(value)
    ? value.toExponential()
    : Number.isNaN(value)
    ? "NaN"
    : value > 0
    ? "inf"
    : "-inf"

/**
 * The text of a cell.
 *
 * @category encoding
 * @since 0.1.0
 */
export const cell = (value: Metrics.Value | undefined): string =>
  typeof value === "number"
    ? number(value)
    : value === null || value === undefined
    ? ""
    : typeof value === "string"
    ? needsNoQuotes.test(value) ? value.toWellFormed() : line([value])
    : typeof value === "boolean"
    ? String(value)
    : line([value])

/**
 * The cells of a row, without the end of the line.
 *
 * @category encoding
 * @since 0.1.0
 */
export const line = (cells: ReadonlyArray<Metrics.Value | undefined>): string => stringify([cells], options)

/**
 * Rows as whole lines.
 *
 * @category encoding
 * @since 0.1.0
 */
export const lines = (rows: ReadonlyArray<ReadonlyArray<Metrics.Value | undefined>>): string =>
  rows.length === 0 ? "" : `${stringify([...rows], options)}\n`

const needsNoQuotes = /^[^",\r\n]+$/

const options: Options = {
  eof: false,
  // The empty string, not the absent value.
  quoted_match: /^$/,
  cast: {
    number,
    boolean: String,
    string: (value) => value.toWellFormed(),
    object: (value) => json(value)
  }
}

const json = (value: unknown): string =>
  Array.isArray(value)
    ? `[${value.map((item: unknown) => typeof item === "number" ? Metrics.numberText(item) : json(item)).join(",")}]`
    : JSON.stringify(value) ?? ""
