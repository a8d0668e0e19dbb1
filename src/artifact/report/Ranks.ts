/**
 * The report's section about ranks: who was the slowest, who stood out, and how often ranks were missing.
 *
 * Times and rates come first, each with its slowest rank, whether that stands out or not: "no rank is slow" is an answer,
 * too. Of all else there are only the ranks that are extreme more often than chance would have it. Values that were not
 * finite are counted by metric, since their ranks are not known.
 *
 * @since 0.3.0
 */
import { type Extreme, type Metric, type Ranks, standsOut } from "../Ranks.ts"
import { count, type Format, keyText, left, type Lines, number, plural } from "./Format.ts"

/** Ranks of one end of a metric, lines of the table about speed and about the rest, items: at most so many. */
const maxRanks = 3
const maxSpeeds = 20
const maxOthers = 20
const maxItems = 10

type EndName = "least" | "greatest"

/** A rank at one end of a metric. */
interface Found {
  readonly metric: Metric
  readonly end: EndName
  readonly extreme: Extreme
  readonly outstanding: boolean
}

/**
 * The section, where several ranks were expected.
 *
 * @category sections
 * @since 0.3.0
 */
export const ranks = (self: Ranks | undefined, format: Format): Lines => {
  if (self === undefined) return []
  const { heading, paragraph, table } = format
  const found = self.metrics.flatMap((metric) => [...at(metric, slowEnd(metric)), ...at(metric, fastEnd(metric))])
  const speeds = found.filter(({ metric }) => metric.speed !== undefined).sort(byOutstanding)
  const others = found.filter(({ metric }) => metric.speed === undefined).sort(byOutstanding)
  const shown = [...speeds.slice(0, maxSpeeds), ...others.slice(0, maxOthers)]
  const rest = speeds.length + others.length - shown.length
  const short = Math.max(0, ...shown.map(({ end, metric }) => metric[end].short))
  return [
    ...heading(2, "Ranks"),
    ...paragraph(
      `Statistics across ${plural(self.worldSize, "rank")} in ${plural(self.records, "record")}` +
        `${lacking(self)}.${found.some(({ outstanding }) => outstanding) ? "" : " No rank stands out."}`
    ),
    ...(shown.length === 0 ? [] : [
      ...table(
        ["Metric", "Rank", "Is", "Records", "Share", "By chance", "From the mean"],
        shown.map((one) => line(one, format)),
        3
      ),
      ...paragraph(
        "By chance is what a rank would have if all were alike; where ranks share a value it counts for the lowest." +
          (short > 0
            ? ` There were too many ranks to count them all: records may be short by up to ${count(short)}.`
            : "")
      )
    ]),
    ...left(format, rest, "rank", "is left out", "are left out"),
    ...left(format, self.left, "metric", "was not looked at", "were not looked at"),
    ...nonFinite(self.metrics, format)
  ]
}

const lacking = ({ alone, partial: { count: many, fewest, silent }, worldSize }: Ranks): string =>
  (alone === 0 ? "" : `, ${count(alone)} of them from rank 0 alone`) +
  (many === 0 ? "" : `, ${count(many)} of them without all ranks (at least ${count(fewest)} of ${count(worldSize)}` +
    `${silent === 0 ? "" : `; in ${count(silent)} a rank that was there said nothing`})`)

/** Where the slow ranks are, if the metric is about speed. */
const slowEnd = ({ speed }: Metric): EndName => speed === "rate" ? "least" : "greatest"
const fastEnd = ({ speed }: Metric): EndName => speed === "rate" ? "greatest" : "least"

/** The ranks at one end that stand out; the slowest in any case. */
const at = (metric: Metric, end: EndName): ReadonlyArray<Found> =>
  metric[end].ranks.slice(0, maxRanks).map((extreme) => ({
    metric,
    end,
    extreme,
    outstanding: standsOut(metric, extreme)
  })).filter(({ outstanding }, nth) =>
    outstanding || (nth === 0 && metric.speed !== undefined && end === slowEnd(metric))
  )

/** Those that stand out first, times before rates in the order of the metrics; of all else the most frequent first. */
const byOutstanding = (a: Found, b: Found): number =>
  Number(b.outstanding) - Number(a.outstanding) ||
  Number(b.metric.speed === "time") - Number(a.metric.speed === "time") ||
  (a.metric.speed === undefined ? excess(b) - excess(a) : 0)

const excess = ({ extreme, metric }: Found): number => (extreme.count - metric.chance) / metric.records

const line = ({ end, extreme, metric }: Found, format: Format): ReadonlyArray<string> => [
  keyText(metric.key, format),
  String(extreme.rank),
  metric.speed === undefined ? end : end === slowEnd(metric) ? "slowest" : "fastest",
  count(extreme.count),
  percent(extreme.count / metric.records),
  percent(metric.chance / metric.records),
  distance(metric, end, extreme)
]

/** In standard deviations; of times and rates also in percent, which says what it costs. */
const distance = ({ speed }: Metric, end: EndName, { deviation, relative }: Extreme): string => {
  const sign = end === "least" ? "-" : "+"
  const deviations = `${sign}${deviation.toFixed(deviation < 10 ? 2 : 1)} std`
  return speed === undefined || !Number.isFinite(relative) ? deviations : `${sign}${percent(relative)}, ${deviations}`
}

/** Two significant digits below ten percent. */
const percent = (share: number): string => {
  const value = 100 * share
  return `${value < 10 ? number(Number(value.toPrecision(2))) : number(Math.round(value))}%`
}

const nonFinite = (metrics: ReadonlyArray<Metric>, format: Format): Lines => {
  const found = metrics.filter((metric) => metric.nonFinite.records > 0)
    .sort((a, b) => b.nonFinite.records - a.nonFinite.records)
  if (found.length === 0) return []
  return [
    ...format.paragraph("Values that were not finite are in no statistic:"),
    ...format.list(
      found.slice(0, maxItems).map(({ key, nonFinite: { most, records } }) =>
        `${keyText(key, format)} in ${plural(records, "record")}, on up to ${plural(most, "rank")} at once.`
      )
    ),
    ...left(format, found.length - maxItems, "metric", "has such values", "have such values")
  ]
}
