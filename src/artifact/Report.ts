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
import type { ArtifactError } from "./ArtifactError.ts"
import { configuration, environment } from "./report/Environment.ts"
import { count, type Format, keyText, left, type Lines, plural } from "./report/Format.ts"
import { fenced, markdown } from "./report/Markdown.ts"
import type { Input, Plot, TerminalPlot } from "./report/Model.ts"
import { ranks } from "./report/Ranks.ts"
import { datasets, groupTitle, header, missing, overview, undrawn } from "./report/Sections.ts"
import type * as Series from "./Series.ts"
import { writeFile } from "./writeFile.ts"

export type { Dataset, Input, Plot, TerminalPlot } from "./report/Model.ts"

/** Sections of plots: at most so many. */
const maxSections = 250

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
  const format = markdown(directory)
  const files = filesByMetric(input)
  const sections = input.series.filter((series) => files.has(idOf(series)))
  const anchors = new Map(sections.slice(0, maxSections).map((series, nth) => [series, `plot-${nth + 1}`]))
  return [
    ...header(input, format),
    ...missing(input, format),
    ...environment(input.info, format),
    ...configuration(input.info.config, format),
    ...datasets(input, format),
    ...ranks(input.ranks, format),
    ...overview(input, anchors, format),
    ...plots(sections, anchors, files, format),
    ...undrawn(input, format)
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
// Plots
// -----------------------------------------------------------------------------

const plots = (
  sections: ReadonlyArray<Series.Series>,
  anchors: ReadonlyMap<Series.Series, string>,
  files: ReadonlyMap<string, Files>,
  format: Format
): Lines => {
  if (sections.length === 0) return []
  const { heading } = format
  const lines: Array<string> = [...heading(2, "Plots")]
  let group: string | undefined
  for (const [series, anchor] of anchors) {
    if (series.group.name !== group) {
      group = series.group.name
      if (group !== "") lines.push(...heading(3, groupTitle(group, format)))
    }
    const found = files.get(idOf(series))
    if (found !== undefined) lines.push("", ...plot(series, anchor, found, format))
  }
  return [
    ...lines,
    ...left(format, sections.length - maxSections, "plot", "is in the folder plots", "are in the folder plots")
  ]
}

const plot = (series: Series.Series, anchor: string, files: Files, format: Format): Lines => {
  const { pictures, texts } = files
  const { code, link, plain } = format
  const shown = texts.find((each) => each.text !== undefined)
  return [
    `#### <a id="${anchor}"></a>${keyText(series.variable.key, format)}`,
    "",
    ...(pictures.length > 0
      ? pictures.flatMap(({ metric, png }) => [`!${link(metric === "" ? "(empty)" : plain(metric), png)}`, ""])
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
