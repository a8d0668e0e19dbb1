/**
 * How a report is written down: the sections say what stands in it, a format how that looks in Markdown or in HTML.
 *
 * Text in a section is markup of its format: what is foreign goes through `plain` or `code`, what is ours holds no
 * character that either format gives a meaning to.
 *
 * @since 0.5.0
 */

/**
 * Some lines of a document, without line breaks.
 *
 * @category models
 * @since 0.1.0
 */
export type Lines = ReadonlyArray<string>

/**
 * Makes a link from markup and a path.
 *
 * @category models
 * @since 0.1.0
 */
export type Link = (text: string, path: string) => string

/**
 * A way to write a report. `plain` and `code` take foreign text, of which they keep at most `max` characters; all others
 * take markup.
 *
 * Of a table the columns from `numbers` on hold numbers; one whose second head is empty lists properties. `folded` may
 * hide a table of so many `rows` until it is asked for.
 *
 * @category models
 * @since 0.5.0
 */
export interface Format {
  readonly plain: (value: string, max?: number) => string
  readonly code: (value: string, max?: number) => string
  readonly link: Link
  /** Leads to a place in the report. */
  readonly anchor: (text: string, id: string) => string
  readonly heading: (level: number, text: string) => Lines
  readonly paragraph: (text: string) => Lines
  readonly list: (items: ReadonlyArray<string>) => Lines
  readonly table: (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>, numbers?: number) => Lines
  readonly folded: (rows: number, lines: Lines) => Lines
}

// -----------------------------------------------------------------------------
// Text
// -----------------------------------------------------------------------------

/**
 * A metric's key. Something stands for the empty one: a link needs something to be clicked at.
 *
 * @category text
 * @since 0.5.0
 */
export const keyText = (key: string, { code }: Format): string => key === "" ? "(empty)" : code(key)

/**
 * What a list or a table has left out, and where it is; nothing where it is whole.
 *
 * @category text
 * @since 0.1.0
 */
export const left = (format: Format, many: number, what: string, one: string, more: string): Lines =>
  many <= 0 ? [] : format.paragraph(`${plural(many, `more ${what}`)} ${many === 1 ? one : more}.`)

/**
 * An argument as a shell would want it.
 *
 * @category text
 * @since 0.1.0
 */
export const quoted = (argument: string): string =>
  /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`

// -----------------------------------------------------------------------------
// Numbers
// -----------------------------------------------------------------------------

/**
 * A number that does not look more exact than it is: integers in full as far as doubles count them one by one, others
 * with six significant digits, and with as many more as half a `std` takes to be seen. What is rounded to an integer of
 * a million or more has an exponent, and its zeros.
 *
 * @category numbers
 * @since 0.1.0
 */
export const number = (value: number, std = NaN): string => {
  if (Number.isSafeInteger(value) || !Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  const wanted = std > 0 ? Math.floor(Math.log10(size)) + 1 - Math.floor(Math.log10(std / 2)) : 0
  const digits = Math.min(17, Math.max(6, wanted))
  const rounded = Number(value.toPrecision(digits))
  const shown = Math.abs(rounded)
  const looksExact = shown >= 1e6 && Number.isInteger(rounded)
  if (shown >= 1e-4 && shown < 1e15 && !looksExact) return String(rounded)
  // The largest doubles round to what is none.
  const exact = rounded === value || !Number.isFinite(rounded)
  return (exact ? value.toExponential() : value.toExponential(digits - 1)).replace("e+", "e")
}

/**
 * An integer with commas.
 *
 * @category numbers
 * @since 0.1.0
 */
export const count = (value: number): string => String(value).replaceAll(/\B(?=(?:\d{3})+$)/g, ",")

/**
 * How many of what.
 *
 * @category numbers
 * @since 0.1.0
 */
export const plural = (many: number, what: string): string => `${count(many)} ${what}${many === 1 ? "" : "s"}`

/**
 * A time in seconds as a person would say it.
 *
 * @category numbers
 * @since 0.1.0
 */
export const duration = (seconds: number): string => {
  if (seconds < 60) return `${number(Math.round(seconds * 1000) / 1000)} s`
  const whole = Math.round(seconds)
  const days = Math.floor(whole / 86400)
  const parts = [
    `${days} d`,
    `${Math.floor(whole / 3600) % 24} h`,
    `${Math.floor(whole / 60) % 60} min`,
    `${whole % 60} s`
  ]
  return parts.slice(days > 0 ? 0 : whole >= 3600 ? 1 : 2).join(" ")
}
