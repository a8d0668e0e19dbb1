/**
 * What a benchmark found, on a terminal and as docs/benchmarks.md.
 */
import type { Spread } from "./measure.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Table {
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

/** A target beside what was measured. */
export interface Check {
  readonly target: string
  readonly measured: string
  readonly met: boolean
}

export interface Findings {
  readonly tables: ReadonlyArray<Table>
  readonly checks: ReadonlyArray<Check>
}

/** `about` says what was measured and how. */
export interface Section extends Findings {
  readonly name: string
  readonly title: string
  readonly about: string
}

// -----------------------------------------------------------------------------
// Numbers
// -----------------------------------------------------------------------------

const units: ReadonlyArray<readonly [number, string]> = [[1, "s"], [1e-3, "ms"], [1e-6, "us"], [0, "ns"]]

/** Three digits, whatever the size. */
const short = (value: number): string =>
  value >= 100 || value === 0 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

/** Seconds in the unit that suits them. */
export const seconds = (value: number): string => {
  const [unit, name] = units.find(([unit]) => value >= unit) ?? [1, "s"]
  return `${short(value / (unit || 1e-9))} ${name}`
}

/** The median of some times, and between what they were. */
export const times = ({ max, median, min }: Spread): string => {
  const [unit, name] = units.find(([unit]) => median >= unit) ?? [1, "s"]
  const scale = unit || 1e-9
  return `${short(median / scale)} ${name} (${short(min / scale)}..${short(max / scale)})`
}

export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6).toLocaleString("en")} MB`

export const ratio = (value: number): string => `${short(value)}x`

/** A speed by another one: `1/2.5`, or `1.2x` where it is the faster one. */
export const fraction = (value: number): string => value < 1 ? `1/${short(1 / value)}` : ratio(value)

export const count = (value: number): string => value.toLocaleString("en")

/** A target of at most so much. */
export const atMost = (target: string, measured: number, limit: number, show: (value: number) => string): Check => ({
  target,
  measured: show(measured),
  met: measured <= limit
})

/** A target of at least so much. */
export const atLeast = (target: string, measured: number, limit: number, show: (value: number) => string): Check => ({
  target,
  measured: show(measured),
  met: measured >= limit
})

// -----------------------------------------------------------------------------
// Rendering
// -----------------------------------------------------------------------------

const checksTable = (checks: ReadonlyArray<Check>): Table => ({
  columns: ["target", "measured", "met"],
  rows: checks.map(({ measured, met, target }) => [target, measured, met ? "yes" : "no"])
})

const aligned = ({ columns, rows }: Table): string => {
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map((row) => (row[i] ?? "").length)))
  const line = (cells: ReadonlyArray<string>): string =>
    cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()
  return [columns, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("\n")
}

/** A section for the terminal. */
export const text = ({ checks, name, tables, title }: Section): string =>
  [`== ${name}: ${title}`, ...tables.map(aligned), ...(checks.length > 0 ? [aligned(checksTable(checks))] : [])]
    .join("\n\n") + "\n"

const markdownTable = ({ columns, rows }: Table): string =>
  [columns, columns.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

/** All sections as a page. */
export const page = (machine: ReadonlyArray<readonly [string, string]>, sections: ReadonlyArray<Section>): string =>
  [
    "# Benchmarks",
    "This page is written by `npm run bench`, which builds the package, runs every benchmark on the machine below and " +
    "compares things that ran in turn (A B A B) in that one run. Numbers are medians; in brackets the smallest and the " +
    "largest. `npm run bench -- ingest` runs one of them and prints it, with `--write` it takes its place here and says when; " +
    "`--quick` takes small sizes. The data is generated from a seed, in the shape of real training logs, and removed " +
    "afterwards.",
    markdownTable({ columns: ["", ""], rows: machine }),
    "## Targets",
    markdownTable({
      columns: ["benchmark", "target", "measured", "met"],
      rows: sections.flatMap(targets)
    }),
    ...sections.map((section) => chapter(section))
  ].join("\n\n") + "\n"

const targets = ({ checks, name }: Section): Table["rows"] =>
  checksTable(checks).rows.map((row) => [`[${name}](#${name})`, ...row])

const chapter = ({ about, name, tables, title }: Section, ...notes: ReadonlyArray<string>): string =>
  [`## ${name}`, `**${title}.** ${about}`, ...notes, ...tables.map(markdownTable)].join("\n\n")

/** The page with one section measured again, at another time than the others. */
export const renewed = (
  page: string,
  machine: ReadonlyArray<readonly [string, string]>,
  section: Section
): string => {
  const { name } = section
  const when = machine.map(([key, value]) => `${key} ${value}`).join(", ")
  const rows = targets(section).map((cells) => `| ${cells.join(" | ")} |\n`).join("")
  const isTarget = new RegExp(`(?:^\\| \\[${name}\\]\\(#${name}\\) \\|.*\\n)+`, "m")
  const isChapter = new RegExp(`^## ${name}\\n[^]*?(?=^## |$(?![^]))`, "m")
  if (!isTarget.test(page) || !isChapter.test(page)) throw new Error(`the page has no ${name}`)
  return `${
    page.replace(isTarget, () => rows).replace(isChapter, () => `${chapter(section, `Measured apart: ${when}.`)}\n\n`)
      .trimEnd()
  }\n`
}
