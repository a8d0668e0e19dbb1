/**
 * The report of a run as one file that can be sent: report.html.
 *
 * It says what report.md says, in the same sections, with a chart for each metric that is drawn. The rules:
 *
 * - Nothing is loaded from anywhere: style, script and data are in the file. Its policy allows that very script and that
 *   very style, by their hashes, and nothing else. Foreign text goes through html/Html.ts.
 * - Without scripts (in mail, say) and on paper everything can be read: each chart is a picture in the page, which the
 *   script replaces when it comes into view.
 * - It stays below {@link most} bytes whatever the run: curves are thinned to share what room there is, long names are
 *   cut, and what goes beyond the limits is counted.
 *
 * @since 0.5.0
 */
import * as Effect from "effect/Effect"
import * as Crypto from "node:crypto"
import * as Path from "node:path"
import type { ArtifactError } from "./ArtifactError.ts"
import { type Assets, load } from "./html/Assets.ts"
import * as Curves from "./html/Curves.ts"
import { html, idOf, text } from "./html/Html.ts"
import * as Still from "./html/Still.ts"
import { configuration, environment } from "./report/Environment.ts"
import { count, type Format, keyText, left, type Lines, number, plural } from "./report/Format.ts"
import type { Input } from "./report/Model.ts"
import { ranks } from "./report/Ranks.ts"
import { datasets, groupTitle, header, missing, overview, undrawn } from "./report/Sections.ts"
import type { Series } from "./Series.ts"
import { writeFile } from "./writeFile.ts"

/**
 * No report has more bytes than this.
 *
 * @category rendering
 * @since 0.5.0
 */
export const most = 2_950_000

/** Of these, at most so many are for curves, for their pictures, and for text before names are cut. */
const mostData = 1_300_000
const mostStills = 450_000
const mostText = 800_000

/** Charts: as many as report.md has sections of plots. */
const maxCharts = 250

// -----------------------------------------------------------------------------
// Rendering
// -----------------------------------------------------------------------------

/**
 * The text of a report. Without `assets` it has neither script nor style.
 *
 * @category rendering
 * @since 0.5.0
 */
export const render = (input: Input, assets: Assets | undefined): string => {
  const drawn = input.series.filter((series) => series.drawn)
  const charts = new Map(drawn.slice(0, maxCharts).map((series, nth) => [series, `plot-${nth + 1}`]))
  const whole = sections(input, charts, html(Infinity))
  const words = sizeOf(whole) <= mostText ? whole : sections(input, charts, html(60))
  const room = most - sizeOf(words) - (assets === undefined ? 0 : assets.script.length + assets.style.length) - 20_000
  // What a picture says of itself has to fit, too.
  const size = Math.max(0, Math.min(mostStills, room * 0.3)) / Math.max(1, charts.size)
  const stills = [...charts.keys()].map((series) => Still.draw(series, described(series), size))
  const forData = Math.min(mostData, room - stills.reduce((sum, still) => sum + Buffer.byteLength(still), 0))
  const data = Curves.encode([...charts.keys()], Math.max(1000, forData))
  return document(input, words, stills, data, assets)
}

/**
 * Writes report.html into a directory, and gives its path.
 *
 * @category writing
 * @since 0.5.0
 */
export const write = (input: Input, directory: string): Effect.Effect<string, ArtifactError> =>
  Effect.gen(function*() {
    const path = Path.join(directory, "report.html")
    const assets = yield* Effect.sync(load)
    if (assets === undefined) {
      yield* Effect.logWarning("report.html has no style and no script: they have not been built")
    }
    yield* Effect.suspend(() => writeFile("report", path, render(input, assets)))
    return path
  })

// -----------------------------------------------------------------------------
// The document
// -----------------------------------------------------------------------------

const document = (
  { info, series }: Input,
  words: Words,
  stills: ReadonlyArray<string>,
  data: Curves.Encoded,
  assets: Assets | undefined
): string => {
  const title = `${info.run.name ?? info.run.id} · ${info.run.project}`
  const policy = [
    "default-src 'none'",
    ...(assets === undefined ? [] : [`script-src ${hash(assets.script)}`, `style-src ${hash(assets.style)}`]),
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'"
  ]
  let still = 0
  return [
    "<!doctype html>",
    `<html lang="en">`,
    "<head>",
    `<meta charset="utf-8">`,
    `<meta http-equiv="Content-Security-Policy" content="${policy.join("; ")}">`,
    `<meta name="viewport" content="width=device-width, initial-scale=1">`,
    `<meta name="color-scheme" content="light dark">`,
    `<title>${text(title)}</title>`,
    `<link rel="icon" href="data:,">`,
    ...(assets === undefined ? [] : [`<style>${assets.style}</style>`]),
    "</head>",
    `<body class="sheet">`,
    `<main id="main">`,
    ...words.before,
    ...words.charts.map((line) => line === pictureHere ? stills[still++] ?? "" : line),
    ...words.after,
    ...thinned(data, series),
    "</main>",
    ...(assets === undefined ? [] : [
      `<div id="status" role="status" class="unseen"></div>`,
      `<script type="application/json" id="data">${data.text}</script>`,
      `<script>${assets.script}</script>`
    ]),
    "</body>",
    "</html>"
  ].join("\n") + "\n"
}

const hash = (content: string): string => `'sha256-${Crypto.createHash("sha256").update(content).digest("base64")}'`

/** All text of a document, and where the pictures go. */
interface Words {
  readonly before: Lines
  readonly charts: Lines
  readonly after: Lines
}

const pictureHere = "<!--picture-->"

const sizeOf = ({ after, before, charts }: Words): number =>
  Buffer.byteLength([...before, ...charts, ...after].join("\n"))

const sections = (input: Input, charts: ReadonlyMap<Series, string>, format: Format): Words => {
  const after = [
    ...overview(input, charts, format),
    ...ranks(input.ranks, format),
    ...configuration(input.info.config, format),
    ...environment(input.info, format),
    ...datasets(input, format),
    ...undrawn(input, format)
  ]
  const [title = "", ...rest] = header(input, format)
  const lacking = missing(input, format)
  const shown = cards(input, charts, format)
  return {
    before: [title, ...contents([...shown, ...after]), ...rest, ...lacking],
    charts: shown,
    after
  }
}

/** Where the sections are that this report has. */
const contents = (lines: Lines): Lines => {
  const titles = ["Charts", "Metric Overview", "Ranks", "Configuration", "Environment", "Datasets", "Not Drawn"]
    .filter((title) => lines.some((line) => line.startsWith(`<h2 id="${idOf(title)}"`)))
  const items = titles.map((title) => `<li><a href="#${idOf(title)}">${title}</a></li>`)
  return titles.length < 2 ? [] : [`<nav aria-label="Contents"><ul>${items.join("")}</ul></nav>`]
}

// -----------------------------------------------------------------------------
// Charts
// -----------------------------------------------------------------------------

const cards = (input: Input, charts: ReadonlyMap<Series, string>, format: Format): Lines => {
  if (charts.size === 0) return []
  const total = input.series.filter((series) => series.drawn).length
  const lines: Array<string> = [
    ...format.heading(2, "Charts"),
    "<noscript><p class=\"note\">Scripts do not run here: the charts are pictures.</p></noscript>",
    `<div id="toolbar"></div>`
  ]
  let group: string | undefined
  for (const [series, id] of charts) {
    if (series.group.name !== group) {
      if (group !== undefined) lines.push("</div>", "</section>")
      group = series.group.name
      lines.push("<section>", ...format.heading(3, groupTitle(group, format)), `<div class="cards">`)
    }
    lines.push(
      `<article class="card" id="${id}">`,
      `<header><h4>${keyText(series.variable.key, format)}</h4></header>`,
      `<div class="still">`,
      pictureHere,
      `<p class="meta">${numbers(series)}</p>`,
      "</div>",
      "</article>"
    )
  }
  return [
    ...lines,
    "</div>",
    "</section>",
    ...left(format, total - charts.size, "chart", "is in the folder plots", "are in the folder plots")
  ]
}

/** The numbers of what is drawn: a metric's own, or those of its band. */
const numbers = (series: Series): string => {
  const { axis, last, summary, variable } = series
  const draws = `${plural(variable.count, "draw")} by ${axis}`
  const band = Curves.bandOf(series, Infinity)
  const min = band === undefined ? summary.min : band.low.y.reduce(smaller, NaN)
  const max = band === undefined ? summary.max : band.high.y.reduce(larger, NaN)
  if (Number.isNaN(min) || Number.isNaN(max)) return `No finite values in ${draws}`
  const shown = (value: number): string => number(value, summary.std)
  return `Latest ${shown(last?.y ?? NaN)}, from ${shown(min)} to ${shown(max)}, ${draws}` +
    (band === undefined ? "" : `; mean and range across ${band.across}`)
}

/** Gaps are NaN. */
const smaller = (a: number, b: number): number => a <= b || Number.isNaN(b) ? a : b
const larger = (a: number, b: number): number => a >= b || Number.isNaN(b) ? a : b

const described = (series: Series): string => `${series.variable.key.slice(0, 120)}. ${numbers(series)}`

/** What a reader of these charts cannot see of the run. */
const thinned = ({ curves, stretches }: Curves.Encoded, all: ReadonlyArray<Series>): Lines => {
  const drawn = all.filter((series) => series.drawn)
  const longest = drawn.reduce((max, series) => Math.max(max, series.variable.count), 0)
  const lacking = Math.min(drawn.length, maxCharts) - curves
  return [
    ...(longest > 2 * stretches && stretches > 0
      ? [
        `<p class="note">Curves are thinned to ${
          count(stretches)
        } stretches at most, each with its smallest and its largest ` +
        `value; all values are in the datasets and in the log.</p>`
      ]
      : []),
    ...(lacking > 0
      ? [`<p class="note">${plural(lacking, "chart")} cannot be zoomed into: there was no room for more.</p>`]
      : [])
  ]
}
