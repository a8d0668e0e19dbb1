/**
 * What is known of runs, in the words of the API.
 *
 * @since 0.5.0
 */
import * as Path from "node:path"
import type { Config } from "../Backend.ts"
import { version } from "../version.ts"
import type * as Decimate from "../view/Decimate.ts"
import type { Live } from "../view/Live.ts"
import * as Ranks from "../view/Ranks.ts"
import type { Listed } from "../view/Runs.ts"
import type * as Series from "../view/Series.ts"
import type * as Api from "./Api.ts"
import * as Curves from "./Curves.ts"
import * as Files from "./Files.ts"

// -----------------------------------------------------------------------------
// Values
// -----------------------------------------------------------------------------

const seconds = (time: number): number => time > 1e11 ? time / 1000 : time

const finite = (one: number | undefined): number | null => one !== undefined && Number.isFinite(one) ? one : null

const cut = (text: string, most: number): string => text.length > most ? `${text.slice(0, most - 1)}…` : text

/**
 * A configuration without levels: `optimizer.lr`. Longer ones and longer values are cut.
 *
 * @category encoding
 * @since 0.5.0
 */
export const flatten = (config: Config, mostKeys: number, mostText: number): Api.Config => {
  const flat: Array<[string, string]> = []
  const visit = (given: object, prefix: string, depth: number): void => {
    for (const [key, one] of Object.entries(given)) {
      if (flat.length >= mostKeys) return
      const name = `${prefix}${key}`
      const isGroup = typeof one === "object" && one !== null && !Array.isArray(one) && Object.keys(one).length > 0
      if (isGroup && depth < 8) visit(one, `${name}.`, depth + 1)
      else flat.push([name, cut(typeof one === "string" ? one : JSON.stringify(one) ?? "", mostText)])
    }
  }
  visit(config, "", 0)
  return Object.fromEntries(flat)
}

// -----------------------------------------------------------------------------
// Runs
// -----------------------------------------------------------------------------

/**
 * The list of runs.
 *
 * @category answers
 * @since 0.5.0
 */
export const runs = (root: string, found: ReadonlyArray<Listed>): Api.Runs => ({
  root,
  version,
  runs: found.slice(0, mostListed).map((one): Api.Listed => ({
    id: one.id,
    name: one.runName ?? one.runId,
    project: one.project,
    state: one.state,
    createdAt: one.createdAt > 0 ? one.createdAt : one.lastTime,
    updatedAt: one.lastTime,
    step: finite(one.lastStep),
    bytes: one.bytes,
    config: flatten(one.config, 40, 80),
    last: Object.fromEntries(Object.entries(one.values).slice(0, 24).map(([key, last]) => [key, Curves.value(last)])),
    problem: one.error ?? null
  })),
  notes: found.length > mostListed ? [`${found.length - mostListed} older runs are not listed.`] : []
})

const mostListed = 5000

const systemPrefix = "system/"

/**
 * A series by the name the API has for it.
 *
 * @category queries
 * @since 0.5.0
 */
export const seriesOf = (live: Live, key: string): Series.Series | undefined => {
  const own = live.store.series.get(key)
  if (own !== undefined || !key.startsWith(systemPrefix)) return own
  const sample = live.system.series.get(key.slice(systemPrefix.length))
  return sample === undefined ? undefined : { ...sample, key }
}

const metrics = (live: Live): ReadonlyArray<Api.Metric> => {
  const one = (series: Series.Series, system: boolean): Api.Metric => ({
    key: system ? `${systemPrefix}${series.key}` : series.key,
    group: system ? "system" : series.group,
    system,
    statistics: series.spread !== undefined,
    points: (series.spread ?? series.values).total,
    last: series.values.total === 0 && series.lastSpread === undefined
      ? null
      : Curves.value(series.across === "ranks" ? series.lastSpread?.mean ?? series.last : series.last)
  })
  const own = [...live.store.series.values()].map((series) => one(series, false))
  return [...own, ...samples(live).map((series) => one(series, true))]
}

/** A metric of the job's own comes before a sample that would have its name. */
const samples = ({ store, system }: Live): ReadonlyArray<Series.Series> =>
  [...system.series.values()].filter(({ key }) => !store.series.has(`${systemPrefix}${key}`))

const read = ({ read, size }: Live): number => size === 0 ? 1 : Math.min(1, read / size)

/** A last line that is still being written is not waited for. */
const readOf = (live: Live): number => live.sampled ? Math.min(0.99, read(live)) : 1

/**
 * One run.
 *
 * @category answers
 * @since 0.5.0
 */
export const run = (id: string, live: Live): Api.Run => {
  const { run, store } = live
  const notes = [
    ...live.error === undefined ? [] : [live.error],
    ...live.state === "gone" ? ["The run has been deleted; this is what was seen of it."] : [],
    ...live.corrupt > 0 ? [`${live.corrupt} lines of the log are torn or corrupt and were left out.`] : [],
    ...live.sampled ? ["The log is long: this is a first look, until all of it has been read."] : [],
    ...store.left > 0 ? [`${store.left} more metrics are not kept.`] : [],
    ...live.undelivered.map(({ backend, outputs, records }) =>
      `${backend} has not acknowledged ${
        [
          ...records > 0 ? [`${records} records`] : [],
          ...outputs > 0 ? [`${outputs} files and tables`] : []
        ].join(" and ")
      }.`
    )
  ]
  return {
    id,
    name: run?.runName ?? run?.runId ?? Path.basename(live.directory),
    project: run?.projectName ?? "",
    createdAt: seconds(run?.createdAt ?? 0) || (finite(store.firstTime) ?? 0),
    ...facts(live),
    corrupt: live.corrupt,
    config: flatten(run?.config ?? {}, 2000, 2000),
    metrics: metrics(live),
    files: Files.list(live.directory),
    notes
  }
}

/** What changes all the time. */
const facts = (live: Live) => ({
  revision: live.version,
  state: live.state,
  updatedAt: finite(live.store.lastTime) ?? 0,
  read: readOf(live),
  records: live.store.rows,
  step: finite(live.store.lastStep)
})

/**
 * How far a run is.
 *
 * @category answers
 * @since 0.5.0
 */
export const change = (id: string, live: Live): Api.Change => ({
  run: id,
  ...facts(live),
  metrics: live.store.series.size + samples(live).length
})

// -----------------------------------------------------------------------------
// Series
// -----------------------------------------------------------------------------

/**
 * What of series is asked for.
 *
 * @category models
 * @since 0.5.0
 */
export interface Wanted {
  readonly keys: ReadonlyArray<string>
  readonly axis: Decimate.Axis
  readonly range: { readonly from: number; readonly to: number } | undefined
  readonly columns: number
  readonly smooth: number
}

/**
 * Where in a run what is asked for lies; undefined where there is nothing of it.
 *
 * @category queries
 * @since 0.5.0
 */
export const windowOf = (live: Live, { axis, columns, keys, range }: Wanted) => {
  const origin = finite(live.store.firstTime) ?? 0
  const all = keys.flatMap((key) => seriesOf(live, key) ?? [])
  const whole = Curves.extent(all, axis, origin)
  if (whole === undefined) return undefined
  const { from, to } = range ?? whole
  const window: Decimate.Window = { axis, from, to: to > from ? to : from + 1, columns, origin, beyond: true }
  return { all, whole, window }
}

/**
 * Some metrics of a run.
 *
 * @category answers
 * @since 0.5.0
 */
export const series = (
  id: string,
  live: Live,
  wanted: Wanted,
  fine: ReadonlyMap<string, Series.Series>
): Api.Series => {
  const place = windowOf(live, wanted)
  return {
    run: id,
    revision: live.version,
    read: readOf(live),
    from: place?.whole.from ?? null,
    to: place?.whole.to ?? null,
    curves: place?.all.map((one) => Curves.curve(fine.get(one.key) ?? one, place.window, wanted.smooth, one)) ?? []
  }
}

// -----------------------------------------------------------------------------
// Ranks
// -----------------------------------------------------------------------------

const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)}%`

const short = (one: number): string => Number.isFinite(one) ? String(Number(one.toPrecision(3))) : "–"

/**
 * Which ranks stand out.
 *
 * @category answers
 * @since 0.5.0
 */
export const ranks = ({ ranks }: Live): Api.Ranks => {
  const { partial, records, worldSize } = ranks
  if (records === 0) {
    return { notes: ["No statistics across ranks: the run has one, or none of its steps has closed."], tables: [] }
  }
  const found = Ranks.table(ranks)
  const rows = found.slice(0, 500).map((one) => [
    one.key,
    String(one.rank),
    one.is,
    `${percent(one.share)} of ${Math.round(one.count / one.share)}`,
    percent(one.chance),
    `${short(one.deviation)} std, ${short(one.relative * 100)}%`,
    one.outstanding ? "stands out" : ""
  ])
  return {
    notes: [
      `${worldSize} ranks, ${records} records with statistics${
        partial > 0 ? `, ${partial} of them without some ranks` : ""
      }.`,
      ...rows.length === 0 ? ["No rank is slower than the others, or stands out."] : []
    ],
    tables: rows.length === 0 ? [] : [{
      title: "The slowest and the strangest ranks",
      columns: ["Metric", "Rank", "Is the", "In records", "By chance", "From the mean", "Remark"],
      rows
    }]
  }
}

/**
 * The names a pattern is looked for in.
 *
 * @category queries
 * @since 0.5.0
 */
export const names = (live: Live): ReadonlyArray<string> => metrics(live).map(({ key }) => key)

/**
 * The columns of a run's table: each metric, and where ranks or chains have statistics, those.
 *
 * @category queries
 * @since 0.5.0
 */
export const columns = (live: Live, keys: ReadonlyArray<string>): ReadonlyArray<string> => {
  const wanted = keys.length > 0 ? keys : [...live.store.series.keys(), ...live.store.texts.keys()]
  return [
    ...new Set(wanted.flatMap((key) =>
      live.store.series.get(key)?.across === "ranks"
        ? [key, ...["mean", "min", "max", "std"].map((name) => `${key}/${name}`)]
        : [key]
    ))
  ]
}
