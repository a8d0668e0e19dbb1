/**
 * The sections that report.md and report.html share: what the run was, what is missing, its datasets, the numbers of
 * every metric, and what has not been drawn. What goes beyond the limits is counted.
 *
 * @since 0.5.0
 */
import * as Path from "node:path"
import * as Census from "../../Census.ts"
import * as Series from "../Series.ts"
import { count, duration, type Format, keyText, left, type Lines, number, plural, quoted } from "./Format.ts"
import type { Input } from "./Model.ts"

/** Lines of the overview, lines of other tables, and items of lists: at most so many. */
const maxMetrics = 1000
const maxRows = 200
const maxItems = 20

/**
 * What the run was.
 *
 * @category sections
 * @since 0.1.0
 */
export const header = ({ census, info }: Input, format: Format): Lines => {
  const { code, heading, paragraph, plain, table } = format
  const { run } = info
  const metrics = census.groups.flatMap((group) => group.variables).filter((variable) =>
    variable.statistic === undefined
  )
  return [
    ...heading(1, `Run ${code(run.id)}`),
    ...paragraph(`Generated ${info.finalizedAt.iso} by ezpz-stream ${plain(info.provenance.version)}.`),
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

/**
 * What did not get in, or out.
 *
 * @category sections
 * @since 0.1.0
 */
export const missing = ({ corrupt = [], failures = [], info }: Input, format: Format): Lines => {
  const { code } = format
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
    items.push(
      `${plural(failures.length, "plot")} could not be written: see ${format.anchor("Not Drawn", "not-drawn")}.`
    )
  }
  return items.length === 0 ? [] : [...format.heading(2, "What Is Missing"), ...format.list(items)]
}

/**
 * The run's datasets.
 *
 * @category sections
 * @since 0.1.0
 */
export const datasets = ({ datasets: all }: Input, format: Format): Lines => {
  const { code, heading, link, table } = format
  return all.length === 0 ? [] : [
    ...heading(2, "Datasets"),
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
    ...left(format, all.length - maxRows, "dataset", "stands beside this report", "stand beside this report")
  ]
}

/**
 * The numbers of every metric, a table per group; those that are drawn lead to where.
 *
 * @category sections
 * @since 0.1.0
 */
export const overview = (
  { census, series: all }: Input,
  anchors: ReadonlyMap<Series.Series, string>,
  format: Format
): Lines => {
  if (all.length === 0) return []
  const { code, heading, paragraph, table } = format
  const lines: Array<string> = [...heading(2, "Metric Overview")]
  const groups = new Map<string, Array<Series.Series>>()
  for (const series of all.slice(0, maxMetrics)) {
    const group = groups.get(series.group.name)
    if (group === undefined) groups.set(series.group.name, [series])
    else group.push(series)
  }
  const names = new Map<string, Array<string>>()
  const renamed = Census.renamed(census)
  for (const { group, key, name } of renamed.slice(0, maxRows)) {
    const note = `${keyText(key, format)} is ${code(name)}`
    const notes = names.get(group)
    if (notes === undefined) names.set(group, [note])
    else notes.push(note)
  }
  for (const [name, members] of groups) {
    if (groups.size > 1 || name !== "") lines.push(...heading(3, groupTitle(name, format)))
    lines.push(
      ...table(
        ["Metric", "Latest", "Mean", "Min", "Max", "Std", "Count"],
        members.map((series) => {
          const { summary, variable } = series
          const anchor = anchors.get(series)
          const name = keyText(variable.key, format)
          const statistic = (value: number) => summary.count === 0 ? "" : number(value, summary.std)
          return [
            anchor === undefined ? name : format.anchor(name, anchor),
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
    if (notes !== undefined) lines.push(...paragraph(`Variables: ${listed(notes)}.`))
  }
  return [
    ...lines,
    ...(all.some(({ spread }) => spread === "ranks")
      ? paragraph("Values are rank 0's own, not those of all ranks.")
      : []),
    ...left(
      format,
      renamed.length - maxRows,
      "variable",
      "has another name in its dataset",
      "have another name in their dataset"
    ),
    ...left(format, all.length - maxMetrics, "metric", "is in the datasets", "are in the datasets")
  ]
}

/**
 * What has no plot, and why.
 *
 * @category sections
 * @since 0.1.0
 */
export const undrawn = ({ census, failures = [], notDrawn = [], series }: Input, format: Format): Lines => {
  const { code } = format
  const items: Array<string> = []
  const add = (what: string, keys: ReadonlyArray<string>): void => {
    if (keys.length > 0) items.push(`${what}: ${listed(keys.map((key) => keyText(key, format)))}.`)
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
  return items.length === 0 ? [] : [...format.heading(2, "Not Drawn"), ...format.list(items)]
}

/**
 * A group's name as a heading.
 *
 * @category sections
 * @since 0.5.0
 */
export const groupTitle = (name: string, { code }: Format): string => name === "" ? "Without a group" : code(name)

const listed = (all: ReadonlyArray<string>): string =>
  all.slice(0, maxItems).join(", ") + (all.length > maxItems ? ` and ${count(all.length - maxItems)} more` : "")
