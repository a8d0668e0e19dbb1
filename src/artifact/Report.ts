/**
 * The report of a run: report.md, Markdown as GitHub, GitLab and editors show it.
 *
 * First what the run was and what of it is missing, then its environment, config and datasets, the ranks that stand out,
 * the numbers of every metric in one table per group, and a section per plot. Links are relative to the report, so that a run's folder can be
 * moved or put into a repository as it is.
 *
 * Names, values and messages come from elsewhere and may hold anything: they are set as code, cut when they are long,
 * and can neither end a table cell nor become Markdown or HTML. A report stays readable, and small, however many metrics
 * there are: what goes beyond its limits is counted.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Path from "node:path"
import * as Census from "../Census.ts"
import type { ArtifactError } from "./ArtifactError.ts"
import type { Ranks } from "./Ranks.ts"
import { configuration, environment } from "./report/Environment.ts"
import { code, count, duration, fenced, left, linker, number, plain, plural, quoted, table } from "./report/Markdown.ts"
import type { Lines, Link } from "./report/Markdown.ts"
import { ranks } from "./report/Ranks.ts"
import type { RunInfo } from "./RunInfo.ts"
import * as Series from "./Series.ts"
import { writeFile } from "./writeFile.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What a report is made from. Paths are absolute, or relative to the report.
 *
 * `notDrawn` counts the metrics of each group that were beyond the limits of plots, `failures` are the plots that could
 * not be written, `corrupt` the lines of the log that could not be read (some of `info.counts.corrupt`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly info: RunInfo
  readonly census: Census.Census
  readonly series: ReadonlyArray<Series.Series>
  readonly plots: ReadonlyArray<Plot>
  readonly terminalPlots: ReadonlyArray<TerminalPlot>
  readonly datasets: ReadonlyArray<Dataset>
  readonly ranks?: Ranks | undefined
  readonly notDrawn?: ReadonlyArray<{ readonly group: string; readonly count: number }> | undefined
  readonly failures?: ReadonlyArray<{ readonly message: string }> | undefined
  readonly corrupt?: ReadonlyArray<{ readonly line: number; readonly reason: string }> | undefined
}

/**
 * The files of one picture.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plot {
  readonly group: string
  readonly metric: string
  readonly kind: "metric" | "ridge"
  readonly png: string
  readonly svg: string
}

/**
 * One plot as text. `text` is shown where the metric has no picture.
 *
 * @category models
 * @since 0.1.0
 */
export interface TerminalPlot {
  readonly group: string
  readonly metric: string
  readonly path: string
  readonly text?: string | undefined
}

/**
 * One dataset.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dataset {
  readonly group: string
  readonly path: string
  readonly draws: number
  readonly variables: { readonly length: number }
}

/** Lines of the overview, sections of plots, lines of other tables, and items of lists: at most so many. */
const maxMetrics = 1000
const maxSections = 250
const maxRows = 200
const maxItems = 20

// -----------------------------------------------------------------------------
// Rendering
// -----------------------------------------------------------------------------

/**
 * The text of a report that stands in `directory`; the run's own unless said.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (input: Input, directory: string = input.info.run.directory): string => {
  const link = linker(directory)
  const files = filesByMetric(input)
  const sections = input.series.filter((series) => files.has(idOf(series)))
  const anchors = new Map(sections.slice(0, maxSections).map((series, nth) => [series, `plot-${nth + 1}`]))
  return [
    ...header(input),
    ...missing(input),
    ...environment(input.info),
    ...configuration(input.info.config),
    ...datasets(input.datasets, link),
    ...ranks(input.ranks),
    ...overview(input, anchors),
    ...plots(sections, anchors, files, link),
    ...undrawn(input)
  ].join("\n") + "\n"
}

/**
 * Writes report.md into a directory, and gives its path.
 *
 * @category writing
 * @since 0.1.0
 */
export const write = (input: Input, directory: string): Effect.Effect<string, ArtifactError> => {
  const path = Path.join(directory, "report.md")
  return Effect.as(Effect.suspend(() => writeFile("report", path, render(input, directory))), path)
}

// -----------------------------------------------------------------------------
// Sections
// -----------------------------------------------------------------------------

const header = ({ census, info }: Input): Lines => {
  const { run } = info
  const metrics = census.groups.flatMap((group) => group.variables).filter((variable) =>
    variable.statistic === undefined
  )
  return [
    `# Run ${code(run.id)}`,
    "",
    `Generated ${info.finalizedAt.iso} by ezpz-stream ${plain(info.provenance.version)}.`,
    "",
    ...table(["Run", ""], [
      ["Project", code(run.project)],
      ["Name", code(run.name ?? "")],
      ["State", plain(run.state)],
      ["Started", info.startedAt.iso],
      ["Ended", info.endedAt.iso],
      ["Duration", duration(info.duration)],
      ["Records", count(info.counts.rows)],
      ["Last step", census.lastStep === undefined ? "" : number(census.lastStep)],
      ["Metrics", `${count(metrics.length)} in ${plural(census.groups.length, "group")}`]
    ])
  ]
}

const missing = ({ corrupt = [], failures = [], info }: Input): Lines => {
  const { counts, run, undelivered } = info
  const items: Array<string> = []
  for (const { backend, lastFailure, records } of undelivered) {
    const reason = lastFailure === null ? "" : ` Last failure: ${code(lastFailure)}.`
    items.push(
      `${plural(records, "record")} not delivered to ${code(backend)}.${reason} ` +
        `${code(`ezpz-stream sync ${quoted(run.directory)}`)} delivers what is left.`
    )
  }
  if (counts.refused > 0) items.push(`${plural(counts.refused, "input line")} refused.`)
  if (counts.corrupt > 0) {
    const lines = corrupt.slice(0, 5).map(({ line, reason }) => `line ${line}: ${code(reason)}`)
    const examples = lines.length === 0 ? "" : ` (${lines.join("; ")}${counts.corrupt > lines.length ? "; …" : ""})`
    items.push(`${plural(counts.corrupt, "line")} of the log could not be read${examples}.`)
  }
  if (failures.length > 0) {
    items.push(`${plural(failures.length, "plot")} could not be written: see [Not Drawn](#not-drawn).`)
  }
  return items.length === 0 ? [] : ["", "## What Is Missing", "", ...items.map((item) => `- ${item}`)]
}

const datasets = (all: ReadonlyArray<Dataset>, link: Link): Lines =>
  all.length === 0 ? [] : [
    "",
    "## Datasets",
    "",
    ...table(
      ["Group", "File", "Draws", "Variables"],
      all.slice(0, maxRows).map((dataset) => [
        code(dataset.group),
        link(code(Path.basename(dataset.path)), dataset.path),
        count(dataset.draws),
        count(dataset.variables.length)
      ]),
      2
    ),
    ...left(all.length - maxRows, "dataset", "stands beside this report", "stand beside this report")
  ]

const overview = ({ census, series: all }: Input, anchors: ReadonlyMap<Series.Series, string>): Lines => {
  if (all.length === 0) return []
  const lines: Array<string> = ["", "## Metric Overview"]
  const groups = new Map<string, Array<Series.Series>>()
  for (const series of all.slice(0, maxMetrics)) {
    const group = groups.get(series.group.name)
    if (group === undefined) groups.set(series.group.name, [series])
    else group.push(series)
  }
  const names = new Map<string, Array<string>>()
  const renamed = Census.renamed(census)
  for (const { group, key, name } of renamed.slice(0, maxRows)) {
    const note = `${keyText(key)} is ${code(name)}`
    const notes = names.get(group)
    if (notes === undefined) names.set(group, [note])
    else notes.push(note)
  }
  for (const [name, members] of groups) {
    if (groups.size > 1 || name !== "") lines.push("", `### ${groupTitle(name)}`)
    lines.push(
      "",
      ...table(
        ["Metric", "Latest", "Mean", "Min", "Max", "Std", "Count"],
        members.map((series) => {
          const { summary, variable } = series
          const anchor = anchors.get(series)
          const name = keyText(variable.key)
          const statistic = (value: number) => summary.count === 0 ? "" : number(value, summary.std)
          return [
            anchor === undefined ? name : `[${name}](#${anchor})`,
            summary.count + summary.nonFinite === 0 ? "" : number(summary.latest, summary.std),
            statistic(summary.mean),
            statistic(summary.min),
            statistic(summary.max),
            summary.count === 0 ? "" : number(summary.std),
            count(summary.count) + (summary.nonFinite === 0 ? "" : ` (and ${count(summary.nonFinite)} not finite)`)
          ]
        }),
        1
      )
    )
    const notes = names.get(name)
    if (notes !== undefined) lines.push("", `Variables: ${listed(notes)}.`)
  }
  return [
    ...lines,
    ...left(
      renamed.length - maxRows,
      "variable",
      "has another name in its dataset",
      "have another name in their dataset"
    ),
    ...left(all.length - maxMetrics, "metric", "is in the datasets", "are in the datasets")
  ]
}

const plots = (
  sections: ReadonlyArray<Series.Series>,
  anchors: ReadonlyMap<Series.Series, string>,
  files: ReadonlyMap<string, Files>,
  link: Link
): Lines => {
  if (sections.length === 0) return []
  const lines: Array<string> = ["", "## Plots"]
  let group: string | undefined
  for (const [series, anchor] of anchors) {
    if (series.group.name !== group) {
      group = series.group.name
      if (group !== "") lines.push("", `### ${groupTitle(group)}`)
    }
    const found = files.get(idOf(series))
    if (found !== undefined) lines.push("", ...plot(series, anchor, found, link))
  }
  return [
    ...lines,
    ...left(sections.length - maxSections, "plot", "is in the folder plots", "are in the folder plots")
  ]
}

const plot = (series: Series.Series, anchor: string, files: Files, link: Link): Lines => {
  const { pictures, texts } = files
  const shown = texts.find((each) => each.text !== undefined)
  return [
    `#### <a id="${anchor}"></a>${keyText(series.variable.key)}`,
    "",
    ...(pictures.length > 0
      ? pictures.flatMap(({ metric, png }) => [`!${link(metric === "" ? empty : plain(metric), png)}`, ""])
      : shown?.text === undefined
      ? []
      : [...fenced(shown.text), ""]),
    `- Kind: ${kind(series, pictures)}`,
    `- Components: ${components(series).join(", ")}`,
    `- Points: ${points(series)} from ${plural(series.variable.count, "draw")}, by ${series.axis}`,
    `- Files: ${
      [
        ...pictures.flatMap(({ kind, png, svg }) => {
          const what = kind === "ridge" ? "ridge " : ""
          return [link(`${what}png`, png), link(`${what}svg`, svg)]
        }),
        ...texts.map(({ path }) => link(code(Path.basename(path)), path))
      ].join(", ")
    }`
  ]
}

const kind = ({ spread }: Series.Series, pictures: ReadonlyArray<Plot>): string => {
  const lines = spread === undefined ? "values" : `values and statistics across ${spread}`
  const kinds = pictures.length === 0
    ? ["terminal plot"]
    : pictures.map((each) => each.kind === "ridge" ? "ridges" : "lines")
  return `${kinds.join(", ")} (${lines})`
}

/** Gaps are no points. */
const points = ({ raw, summary }: Series.Series): string =>
  summary.count === 0 ? "no finite values" : count(raw.y.reduce((sum, y) => Number.isFinite(y) ? sum + 1 : sum, 0))

const components = (series: Series.Series): ReadonlyArray<string> => [
  "values",
  ...(series.trend !== undefined && series.mean === undefined ? ["trend"] : []),
  ...(["mean", "std", "min", "max"] as const).filter((name) => series[name] !== undefined),
  ...(series.ridges === undefined ? [] : [`ridges by ${series.ridges.by}`])
]

const undrawn = ({ census, failures = [], notDrawn = [], series }: Input): Lines => {
  const items: Array<string> = []
  const add = (what: string, keys: ReadonlyArray<string>): void => {
    if (keys.length > 0) items.push(`${what}: ${listed(keys.map(keyText))}.`)
  }
  const metrics = census.groups.flatMap((group) => group.variables).filter((variable) =>
    variable.statistic === undefined
  )
  add("Counters", series.map((each) => each.variable).filter(Series.isCounter).map((variable) => variable.key))
  add(
    "Text",
    metrics.filter((variable) => variable.count === 0 && variable.texts > 0).map((variable) => variable.key)
  )
  add(
    "Without any value",
    metrics.filter((variable) => variable.count === 0 && variable.texts === 0).map((variable) => variable.key)
  )
  for (const { count: many, group } of notDrawn.slice(0, maxItems)) {
    items.push(`${plural(many, "metric")} of ${group === "" ? "no group" : code(group)}: more than are drawn.`)
  }
  for (const failure of failures.slice(0, maxItems)) items.push(code(failure.message, 500))
  if (failures.length > maxItems) items.push(`${count(failures.length - maxItems)} more plots could not be written.`)
  return items.length === 0 ? [] : ["", "## Not Drawn", "", ...items.map((item) => `- ${item}`)]
}

// -----------------------------------------------------------------------------
// Files of a metric
// -----------------------------------------------------------------------------

interface Files {
  readonly pictures: Array<Plot>
  readonly texts: Array<TerminalPlot>
}

const filesByMetric = (input: Input): ReadonlyMap<string, Files> => {
  const found = new Map<string, Files>()
  const of = ({ group, metric }: { readonly group: string; readonly metric: string }): Files => {
    const id = `${group}\0${metric}`
    const known = found.get(id) ?? { pictures: [], texts: [] }
    found.set(id, known)
    return known
  }
  for (const picture of input.plots) of(picture).pictures.push(picture)
  for (const text of input.terminalPlots) of(text).texts.push(text)
  return found
}

const idOf = (series: Series.Series): string => `${series.group.name}\0${series.variable.key}`

const listed = (all: ReadonlyArray<string>): string =>
  all.slice(0, maxItems).join(", ") + (all.length > maxItems ? ` and ${count(all.length - maxItems)} more` : "")

/** What stands for the empty key: a link needs something to be clicked at. */
const empty = "(empty)"

const keyText = (key: string): string => key === "" ? empty : code(key)

const groupTitle = (name: string): string => name === "" ? "Without a group" : code(name)
