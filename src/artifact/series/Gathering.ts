/**
 * The series of one group while a run goes by: which columns belong to which metric, and what becomes of them.
 *
 * @since 0.1.0
 */
import * as Census from "../../Census.ts"
import * as Columns from "../../Columns.ts"
import type { Histogram, Points, Ridges, Series, Summary } from "../Series.ts"
import * as Bins from "./Bins.ts"
import * as Stretches from "./Stretches.ts"

/** How many stretches a trend has, and how many values a series needs to have one. */
const trendStretches = 64
const trendValues = 100

/** How many rows ridges have at most. */
const ridgeRows = 12

/**
 * A group under way. `sumX` and `draws` of each stretch give its middle.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gathering {
  readonly group: Census.Group
  readonly axis: "step" | "draw"
  readonly draws: number
  readonly dropped: number
  readonly stretches: number
  readonly sumX: Float64Array
  readonly drawsOf: Uint32Array
  readonly rows: number
  readonly rowFrom: Float64Array
  readonly rowTo: Float64Array
  readonly members: Array<Member>
  readonly drawn: number
  readonly tooMany: number
}

/** A metric under way. `everywhere` says that no draw of its group lacks it: then NaN is a value, and a gap. */
interface Member {
  readonly variable: Census.Variable
  readonly everywhere: boolean
  readonly moments: Stretches.Moments
  readonly picture: Picture | undefined
  latest: number
}

interface Picture {
  readonly raw: Stretches.Raw
  readonly histogram: Bins.Bins
  readonly spread: Spread | undefined
  readonly ridges: ReadonlyArray<Bins.Bins>
  readonly ridgeChains: number
}

interface Spread {
  readonly across: "ranks" | "chains"
  readonly lines: ReadonlyArray<SpreadLine>
}

/** `source` is the index of the statistic's variable, or undefined where it is computed from the chains. */
interface SpreadLine {
  readonly name: SpreadName
  readonly source: number | undefined
  readonly line: Stretches.Line
  readonly histogram: Bins.Bins
}

const spreadNames = ["mean", "min", "max", "std"] as const
type SpreadName = typeof spreadNames[number]

const keepOf = (name: SpreadName): Stretches.Line["keep"] => name === "std" ? "mean" : name

/**
 * What the series of a group are cut into and limited to: see `Series.Options`. `dropped` is how many draws warm-up
 * takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  readonly stretches: number
  readonly dropped: number
  readonly numChains: number
  readonly limit: number
  readonly isCounter: (variable: Census.Variable) => boolean
}

/**
 * A group of which nothing has been seen.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = (group: Census.Group, settings: Settings): Gathering => {
  const { dropped, isCounter, limit, numChains } = settings
  const draws = group.draws - dropped
  const stretches = Math.min(settings.stretches, draws)
  const rows = Math.min(ridgeRows, draws)
  const members: Array<Member> = []
  let drawn = 0
  let tooMany = 0
  for (const { statistics, variable } of metricsOf(group)) {
    const wanted = !isCounter(variable)
    const draw = wanted && drawn < limit
    if (draw) drawn++
    else if (wanted) tooMany++
    members.push({
      variable,
      everywhere: variable.count >= group.draws,
      moments: Stretches.moments(Bins.scaleOf(variable.min, variable.max)),
      picture: draw ? openPicture(variable, statistics, stretches, rows, numChains, dropped === 0) : undefined,
      latest: NaN
    })
  }
  return {
    group,
    axis: group.orderedSteps ? "step" : "draw",
    draws,
    dropped,
    stretches,
    sumX: new Float64Array(stretches),
    drawsOf: new Uint32Array(stretches),
    rows,
    rowFrom: new Float64Array(rows).fill(NaN),
    rowTo: new Float64Array(rows).fill(NaN),
    members,
    drawn,
    tooMany
  }
}

/**
 * The metrics of a group with the statistics that belong to them. Statistics of a metric that no record here has (other
 * ranks logged it) stand under the first of them.
 */
const metricsOf = (
  group: Census.Group
): Array<{ readonly variable: Census.Variable; readonly statistics: Map<string, Census.Variable> }> => {
  const found = new Map<string, { variable: Census.Variable; readonly statistics: Map<string, Census.Variable> }>()
  for (const variable of group.variables) {
    if (variable.statistic === undefined && Census.isNumeric(variable)) {
      found.set(variable.key, { variable, statistics: new Map() })
    }
  }
  for (const variable of group.variables) {
    if (variable.statistic === undefined || !Census.isNumeric(variable)) continue
    let metric = found.get(variable.statistic.of)
    if (metric === undefined) {
      metric = { variable, statistics: new Map() }
      found.set(variable.statistic.of, metric)
    }
    metric.statistics.set(variable.statistic.name, variable)
  }
  return Array.from(found.values()).sort((a, b) => a.variable.index - b.variable.index)
}

const openPicture = (
  variable: Census.Variable,
  statistics: Map<string, Census.Variable>,
  stretches: number,
  rows: number,
  numChains: number,
  exact: boolean
): Picture => {
  const { max, min } = variable
  const scale = Bins.scaleOf(min, max)
  const ridgeChains = Math.min(variable.chains, Math.max(0, numChains))
  const ridges = ridgeChains === 0 ? 0 : variable.leapfrogs > 0 ? Math.min(ridgeRows, variable.leapfrogs) : rows
  return {
    raw: Stretches.raw(stretches, scale),
    histogram: Bins.make(min, max, exact),
    spread: variable.chains > 0
      ? {
        across: "chains",
        lines: spreadNames.map((name) => ({
          name,
          source: undefined,
          line: Stretches.line(stretches, scale, keepOf(name)),
          histogram: name === "std"
            ? Bins.make(0, max >= min ? Math.max(max / 2 - min / 2, Number.MIN_VALUE) : 1, false)
            : Bins.make(min, max, false)
        }))
      }
      : spreadOf(statistics, stretches, exact),
    ridges: Array.from({ length: ridges }, () => Bins.make(min, max, false)),
    ridgeChains
  }
}

const spreadOf = (statistics: Map<string, Census.Variable>, stretches: number, exact: boolean): Spread | undefined => {
  const lines: Array<SpreadLine> = []
  for (const name of spreadNames) {
    const source = statistics.get(name)
    if (source === undefined || Columns.width(source) !== 1) continue
    lines.push({
      name,
      source: source.index,
      line: Stretches.line(stretches, Bins.scaleOf(source.min, source.max), keepOf(name)),
      histogram: Bins.make(source.min, source.max, exact)
    })
  }
  return lines.length === 0 ? undefined : { across: "ranks", lines }
}

// -----------------------------------------------------------------------------
// Adding a batch
// -----------------------------------------------------------------------------

/**
 * Adds a batch of the group.
 *
 * @category folding
 * @since 0.1.0
 */
export const add = (self: Gathering, batch: Columns.Batch): void => {
  const { first, length } = batch
  const pieces = Stretches.cut(first, length, self.draws, self.stretches)
  const x = self.axis === "step" ? batch.step : Float64Array.from({ length }, (_, i) => first + i)
  for (let piece = 0; piece + 1 < pieces.bounds.length; piece++) {
    const stretch = pieces.first + piece
    const from = pieces.bounds[piece]!
    const to = pieces.bounds[piece + 1]!
    let sum = 0
    for (let i = from; i < to; i++) sum += x[i]!
    self.sumX[stretch]! += sum
    self.drawsOf[stretch]! += to - from
  }
  for (const member of self.members) {
    const column = batch.columns.get(member.variable.index)
    if (column !== undefined) {
      if (member.variable.chains === 0) addScalar(member, column, length, x, pieces)
      else addVector(member, column, batch, x, pieces, self)
    }
    const spread = member.picture?.spread
    if (spread?.across !== "ranks") continue
    for (const { histogram, line, source } of spread.lines) {
      const values = source === undefined ? undefined : batch.columns.get(source)
      if (values !== undefined) Stretches.addLine(line, values, pieces, histogram)
    }
  }
  if (self.members.some(({ picture }) => picture !== undefined && picture.ridges.length > 0)) addRows(self, batch, x)
}

/** Where the rows of ridges begin and end on the axis. */
const addRows = (self: Gathering, batch: Columns.Batch, x: Float64Array): void => {
  for (let i = 0; i < batch.length; i++) {
    const row = Stretches.stretchOf(batch.first + i, self.draws, self.rows)
    if (self.rowFrom[row] !== self.rowFrom[row]) self.rowFrom[row] = x[i]!
    self.rowTo[row] = x[i]!
  }
}

const addScalar = (
  member: Member,
  column: Float64Array,
  length: number,
  x: Float64Array,
  pieces: Stretches.Pieces
): void => {
  Stretches.addMoments(member.moments, column, 0, length)
  for (let i = length - 1; i >= 0; i--) {
    const value = column[i]!
    if (!member.everywhere && value !== value) continue
    member.latest = value
    break
  }
  if (member.picture !== undefined) Stretches.addRaw(member.picture.raw, column, x, pieces, member.picture.histogram)
}

const addVector = (
  member: Member,
  column: Float64Array,
  batch: Columns.Batch,
  x: Float64Array,
  pieces: Stretches.Pieces,
  self: Gathering
): void => {
  const { moments, picture, variable } = member
  const width = Columns.width(variable)
  Stretches.addMoments(moments, column, 0, batch.length * width)
  const chains = acrossChains(column, batch.length, width, Math.max(1, variable.leapfrogs), moments.scale)
  for (let i = batch.length - 1; i >= 0; i--) {
    if (chains.mean[i] !== chains.mean[i]) continue
    member.latest = chains.mean[i]!
    break
  }
  if (picture === undefined) return
  Stretches.addRaw(picture.raw, chains.first, x, pieces, undefined)
  for (const { histogram, line, name } of picture.spread?.lines ?? []) {
    Stretches.addLine(line, chains[name], pieces, histogram)
  }
  for (let i = 0; i < batch.length * width; i++) {
    const value = column[i]!
    if (value - value === 0) Bins.add(picture.histogram, value)
  }
  addRidges(picture, variable, column, batch, self)
}

/** The statistics of every draw's numbers, and the first chain (the mean of its leapfrogs). */
const acrossChains = (column: Float64Array, length: number, width: number, leapfrogs: number, scale: number) => {
  const result = {
    first: new Float64Array(length).fill(NaN),
    mean: new Float64Array(length).fill(NaN),
    min: new Float64Array(length).fill(NaN),
    max: new Float64Array(length).fill(NaN),
    std: new Float64Array(length).fill(NaN)
  }
  for (let draw = 0; draw < length; draw++) {
    const from = draw * width
    const chain = Stretches.moments(scale)
    Stretches.addMoments(chain, column, from, from + leapfrogs)
    if (chain.count > 0) result.first[draw] = chain.mean / scale
    Stretches.addMoments(chain, column, from + leapfrogs, from + width)
    if (chain.count === 0) continue
    result.mean[draw] = chain.mean / scale
    result.min[draw] = chain.min
    result.max[draw] = chain.max
    result.std[draw] = Math.sqrt(chain.m2 / chain.count) / scale
  }
  return result
}

const addRidges = (
  picture: Picture,
  variable: Census.Variable,
  column: Float64Array,
  batch: Columns.Batch,
  self: Gathering
): void => {
  const { ridgeChains, ridges } = picture
  if (ridges.length === 0) return
  const width = Columns.width(variable)
  const leapfrogs = Math.max(1, variable.leapfrogs)
  for (let draw = 0; draw < batch.length; draw++) {
    const row = ridges[variable.leapfrogs > 0 ? 0 : Stretches.stretchOf(batch.first + draw, self.draws, self.rows)]!
    for (let at = draw * width; at < draw * width + ridgeChains * leapfrogs; at += leapfrogs) {
      if (variable.leapfrogs === 0) addFinite(row, column[at]!)
      else ridges.forEach((bins, nth) => addFinite(bins, column[at + leapfrogOf(nth, ridges.length, leapfrogs)]!))
    }
  }
}

const addFinite = (bins: Bins.Bins, value: number): void => {
  if (value - value === 0) Bins.add(bins, value)
}

/** Which leapfrog step a row shows: the first, the last, and evenly between. */
const leapfrogOf = (row: number, rows: number, leapfrogs: number): number =>
  rows === 1 ? 0 : Math.round(row * (leapfrogs - 1) / (rows - 1))

// -----------------------------------------------------------------------------
// Finishing
// -----------------------------------------------------------------------------

/**
 * The series of the group. What was gathered is let go of on the way.
 *
 * @category folding
 * @since 0.1.0
 */
export const finish = (self: Gathering): Array<Series> => {
  const centre = self.sumX.map((sum, stretch) => sum / self.drawsOf[stretch]!)
  return self.members.splice(0).map((member) => finishMember(self, member, centre))
}

const nothing: Points = { x: new Float64Array(0), y: new Float64Array(0) }

const finishMember = (self: Gathering, member: Member, centre: Float64Array): Series => {
  const { picture, variable } = member
  const spread = picture?.spread
  const points = (name: SpreadName): Points | undefined => {
    const found = spread?.lines.find((line) => line.name === name)
    return found === undefined ? undefined : Stretches.linePoints(found.line, centre, member.everywhere)
  }
  const histogram = (name: SpreadName): Histogram | undefined => {
    const found = spread?.lines.find((line) => line.name === name)
    return found === undefined ? undefined : Bins.finish([found.histogram])[0]
  }
  const raw = picture === undefined ? nothing : Stretches.rawPoints(picture.raw, centre, member.everywhere)
  return {
    group: self.group,
    variable,
    axis: self.axis,
    drawn: picture !== undefined,
    raw,
    trend: picture === undefined ? undefined : trendOf(self, picture.raw, raw),
    spread: spread?.across,
    mean: points("mean"),
    min: points("min"),
    max: points("max"),
    std: points("std"),
    histograms: {
      raw: picture === undefined
        ? { from: 0, to: 1, counts: new Float64Array(0) }
        : Bins.finish([picture.histogram])[0]!,
      mean: histogram("mean"),
      min: histogram("min"),
      max: histogram("max"),
      std: histogram("std")
    },
    ridges: picture === undefined || picture.ridges.length === 0 ? undefined : ridgesOf(self, variable, picture.ridges),
    summary: summaryOf(self, member)
  }
}

/**
 * The mean of coarser stretches, where the line goes up and down much more than they do: a smooth line needs no trend
 * drawn over it.
 */
const trendOf = (self: Gathering, raw: Stretches.Raw, points: Points): Points | undefined => {
  const values = raw.count.reduce((total, count) => total + count, 0)
  const count = Math.min(trendStretches, Math.floor(values / 10))
  if (values < trendValues) return undefined
  const x: Array<number> = []
  const y: Array<number> = []
  for (let nth = 0; nth < count; nth++) {
    const to = Math.ceil((nth + 1) * self.stretches / count)
    let sum = 0
    let n = 0
    let sumX = 0
    for (let stretch = Math.ceil(nth * self.stretches / count); stretch < to; stretch++) {
      if (raw.count[stretch] === 0) continue
      sum += raw.sum[stretch]!
      n += raw.count[stretch]!
      sumX += self.sumX[stretch]! / self.drawsOf[stretch]! * raw.count[stretch]!
    }
    if (n === 0) continue
    x.push(sumX / n)
    y.push(sum / n / raw.scale)
  }
  return variation(points.y) > 3 * variation(y) ? { x: Float64Array.from(x), y: Float64Array.from(y) } : undefined
}

/** How much a line goes up and down in all. */
const variation = (y: ArrayLike<number>): number => {
  let total = 0
  for (let i = 1; i < y.length; i++) {
    const step = Math.abs(y[i]! / 2 - y[i - 1]! / 2)
    if (step === step) total += step
  }
  return total
}

const ridgesOf = (self: Gathering, variable: Census.Variable, rows: ReadonlyArray<Bins.Bins>): Ridges => {
  const by = variable.leapfrogs > 0 ? "leapfrog" : "draw"
  const label = (row: number): string => {
    if (by === "leapfrog") return `leapfrog ${leapfrogOf(row, rows.length, variable.leapfrogs)}`
    const from = Stretches.compact(self.rowFrom[row]!)
    const to = Stretches.compact(self.rowTo[row]!)
    return from === to ? `${self.axis} ${from}` : `${self.axis} ${from}–${to}`
  }
  return { by, rows: Bins.finish(rows).map((histogram, row) => ({ label: label(row), histogram })) }
}

const summaryOf = (self: Gathering, { everywhere, latest, moments, variable }: Member): Summary => {
  const { count, infinite, m2, max, mean, min, scale } = moments
  // Numbers that should be there: exact without warm-up and where no draw lacks the metric, else at least that many.
  const draws = everywhere ? self.draws : Math.max(0, variable.count - self.dropped)
  const expected = variable.chains === 0 ? draws : 0
  return {
    latest,
    mean: count === 0 ? NaN : mean / scale,
    min: count === 0 ? NaN : min,
    max: count === 0 ? NaN : max,
    std: count === 0 ? NaN : Math.sqrt(m2 / count) / scale,
    count,
    nonFinite: Math.max(infinite, expected - count)
  }
}
