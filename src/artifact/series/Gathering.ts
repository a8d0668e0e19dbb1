/**
 * The series of one group while a run goes by: which columns belong to which metric, and what becomes of them.
 *
 * @since 0.1.0
 */
import * as Census from "../../Census.ts"
import * as Columns from "../../Columns.ts"
import * as Moments from "../../Moments.ts"
import * as Bins from "./Bins.ts"
import * as Chains from "./Chains.ts"
import type { Histogram, Last, Points, Series, Summary } from "./Model.ts"
import * as Stretches from "./Stretches.ts"

/** How many stretches a trend has, and how many values a series needs to have one. */
const trendStretches = 64
const trendValues = 100

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
  readonly members: Array<Member>
  readonly drawn: number
  readonly tooMany: number
}

/** A metric under way. `everywhere` says that no draw of its group lacks it: then NaN is a value, and a gap. */
interface Member {
  readonly variable: Census.Variable
  readonly everywhere: boolean
  readonly moments: Moments.Accumulator
  readonly picture: Picture | undefined
  latest: number
  latestX: number
  lastSpread: Last | undefined
  infinite: number
}

interface Picture {
  readonly raw: Stretches.Raw
  readonly histogram: Bins.Bins
  readonly spread: Spread | undefined
  readonly ridges: Chains.Gathered | undefined
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
      moments: new Moments.Accumulator(),
      picture: draw
        ? openPicture(variable, statistics, { stretches, draws, numChains, exact: dropped === 0 })
        : undefined,
      latest: NaN,
      latestX: NaN,
      lastSpread: undefined,
      infinite: 0
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
    members,
    drawn,
    tooMany
  }
}

/** Statistics that are no values of their metric: ranks, and how many there were. They are no metrics of their own. */
const about = new Set(["argmin", "argmax", "nonfinite"])

/**
 * The metrics of a group with the statistics that belong to them. Statistics of a metric that no record here has (other
 * ranks logged it) stand under the first of them that is a value.
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
    if (variable.statistic === undefined || about.has(variable.statistic.name) || !Census.isNumeric(variable)) continue
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
  sizes: { readonly stretches: number; readonly draws: number; readonly numChains: number; readonly exact: boolean }
): Picture => {
  const { max, min } = variable
  const { draws, exact, numChains, stretches } = sizes
  const scale = Bins.scaleOf(min, max)
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
    ridges: Chains.open(variable, numChains, draws)
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
      else addVector(member, column, batch, x, pieces)
    }
    const spread = member.picture?.spread
    if (spread?.across !== "ranks") continue
    for (const { histogram, line, source } of spread.lines) {
      const values = source === undefined ? undefined : batch.columns.get(source)
      if (values !== undefined) Stretches.addLine(line, values, pieces, histogram)
    }
    const named = (name: SpreadName): Float64Array | undefined => {
      const source = spread.lines.find((line) => line.name === name)?.source
      return source === undefined ? undefined : batch.columns.get(source)
    }
    member.lastSpread = lastOf(named, x) ?? member.lastSpread
  }
}

/** The last mean there is, and what belongs to it. */
const lastOf = (named: (name: SpreadName) => Float64Array | undefined, x: Float64Array): Last | undefined => {
  const mean = named("mean")
  const i = mean?.findLastIndex((value) => value === value) ?? -1
  const y = mean?.[i]
  return y === undefined ? undefined : {
    x: x[i]!,
    y,
    spread: { std: named("std")?.[i] ?? 0, min: named("min")?.[i] ?? y, max: named("max")?.[i] ?? y }
  }
}

const addScalar = (
  member: Member,
  column: Float64Array,
  length: number,
  x: Float64Array,
  pieces: Stretches.Pieces
): void => {
  member.moments.addRange(column)
  if (!member.everywhere) member.infinite += infinities(column)
  for (let i = length - 1; i >= 0; i--) {
    const value = column[i]!
    if (!member.everywhere && value !== value) continue
    member.latest = value
    member.latestX = x[i]!
    break
  }
  if (member.picture !== undefined) Stretches.addRaw(member.picture.raw, column, x, pieces, member.picture.histogram)
}

const addVector = (
  member: Member,
  column: Float64Array,
  batch: Columns.Batch,
  x: Float64Array,
  pieces: Stretches.Pieces
): void => {
  const { moments, picture, variable } = member
  moments.addRange(column)
  member.infinite += infinities(column)
  const across = Chains.across(column, batch.length, variable, Bins.scaleOf(variable.min, variable.max))
  const last = across.mean.findLast((value) => value === value)
  if (last !== undefined) member.latest = last
  if (picture === undefined) return
  Stretches.addRaw(picture.raw, across.first, x, pieces, undefined)
  for (const { histogram, line, name } of picture.spread?.lines ?? []) {
    Stretches.addLine(line, across[name], pieces, histogram)
  }
  member.lastSpread = lastOf((name) => across[name], x) ?? member.lastSpread
  for (const value of column) if (value - value === 0) Bins.add(picture.histogram, value)
  if (picture.ridges !== undefined) Chains.add(picture.ridges, column, batch, x)
}

const infinities = (values: Float64Array): number => {
  let count = 0
  for (const value of values) if (value === Infinity || value === -Infinity) count++
  return count
}

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
    ridges: picture?.ridges === undefined ? undefined : Chains.finish(picture.ridges, self.axis),
    last: picture === undefined ? undefined : member.lastSpread ?? ownLast(member),
    summary: summaryOf(self, member)
  }
}

const ownLast = ({ latest, latestX }: Member): Last | undefined =>
  Number.isNaN(latestX) ? undefined : { x: latestX, y: latest, spread: undefined }

/**
 * The mean of coarser stretches, where the values are noisy enough to be seen so: a smooth line needs no trend over it.
 */
const trendOf = (self: Gathering, raw: Stretches.Raw, points: Points): Points | undefined => {
  const values = raw.count.reduce((total, count) => total + count, 0)
  if (values < trendValues || !isNoisy(points.y)) return undefined
  const count = Math.min(trendStretches, Math.floor(values / 10))
  const x: Array<number> = []
  const y: Array<number> = []
  for (let nth = 0; nth < count; nth++) {
    const to = Math.ceil((nth + 1) * self.stretches / count)
    let n = 0
    let sum = 0
    let sumX = 0
    for (let stretch = Math.ceil(nth * self.stretches / count); stretch < to; stretch++) {
      if (raw.count[stretch] === 0) continue
      n += raw.count[stretch]!
      sum += raw.sum[stretch]!
      sumX += self.sumX[stretch]! / self.drawsOf[stretch]! * raw.count[stretch]!
    }
    if (n === 0) continue
    x.push(sumX / n)
    y.push(sum / n / raw.scale)
  }
  return { x: Float64Array.from(x), y: Float64Array.from(y) }
}

/** Whether a line turns around at a quarter of its points or more, and mostly by more than 1/40 of its range. */
const isNoisy = (y: Float64Array): boolean => {
  const finite = y.filter((value) => value - value === 0)
  const steps = finite.slice(1).map((value, i) => value / 2 - finite[i]! / 2)
  const turns = steps.reduce(
    (count, step, i) => i > 0 && Math.sign(step) * Math.sign(steps[i - 1]!) < 0 ? count + 1 : count,
    0
  )
  const sizes = steps.map(Math.abs).sort()
  let min = Infinity
  let max = -Infinity
  for (const value of finite) {
    if (value < min) min = value
    if (value > max) max = value
  }
  return turns >= steps.length / 4 && sizes[sizes.length >> 1]! >= (max / 2 - min / 2) / 40
}

const summaryOf = (self: Gathering, { everywhere, infinite, latest, moments, variable }: Member): Summary => {
  const result = moments.result()
  const { count, max, min, nonFinite } = result
  return {
    latest,
    mean: Moments.mean(result),
    min,
    max,
    std: Moments.std(result),
    count,
    // Where draws may lack the metric, only those that the census has counted and that warm-up cannot have dropped.
    nonFinite: variable.chains > 0
      ? infinite
      : everywhere
      ? nonFinite
      : Math.max(infinite, variable.count - self.dropped - count)
  }
}
