/**
 * What a run holds, counted in one pass over its log: the groups, their metrics, how many values of what shape, in
 * what range. Everything that has to be known before a dataset or a plot can be written comes from here: its size,
 * its names, its axes, what `warmup` drops.
 *
 * A group's draws are the records that have a key of that group. A metric's value in a draw where it is absent is NaN.
 *
 * @since 0.1.0
 */
import * as FileName from "./FileName.ts"
import * as Fold from "./Fold.ts"
import * as Metrics from "./Metrics.ts"
import type { Row } from "./Row.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The contents of a run. Groups and variables stand in the order in which they first appeared.
 *
 * @category models
 * @since 0.1.0
 */
export interface Census {
  readonly rows: number
  readonly groups: ReadonlyArray<Group>
  readonly firstTimestamp: number | undefined
  readonly lastTimestamp: number | undefined
  readonly lastStep: number | undefined
}

/**
 * The metrics that share a prefix. `name` is the prefix (empty for keys without one), `file` the stem of what is
 * written for it. `orderedSteps` says that every draw has a step and none is smaller than the one before: only then
 * can the step be an axis.
 *
 * @category models
 * @since 0.1.0
 */
export interface Group {
  readonly name: string
  readonly file: string
  readonly draws: number
  readonly orderedSteps: boolean
  readonly variables: ReadonlyArray<Variable>
}

/**
 * One metric, or one statistic of a metric across ranks.
 *
 * `index` is its place in the group. `name` is its name in datasets, `file` the stem of its plots; both are unique in
 * the group. `chains` and `leapfrogs` are the largest extents seen: 0 and 0 for a scalar, n and 0 for a vector, n and
 * m for a matrix. `count` counts draws with a numeric value (NaN is one), `texts` those with a string; `min` and `max`
 * are over finite values (Infinity and -Infinity where there is none).
 *
 * @category models
 * @since 0.1.0
 */
export interface Variable {
  readonly key: string
  readonly statistic: Statistic | undefined
  readonly index: number
  readonly name: string
  readonly file: string
  readonly chains: number
  readonly leapfrogs: number
  readonly count: number
  readonly texts: number
  readonly integer: boolean
  readonly min: number
  readonly max: number
}

/**
 * Which statistic (`mean`, `min`, `max`, `std`, ...) of which metric.
 *
 * @category models
 * @since 0.1.0
 */
export interface Statistic {
  readonly of: string
  readonly name: string
}

/**
 * The names of a dataset's dimensions and coordinates, which no variable may have.
 *
 * @category models
 * @since 0.1.0
 */
export const reserved: ReadonlySet<string> = new Set(["draw", "chain", "leapfrog", "step", "timestamp"])

// -----------------------------------------------------------------------------
// Queries
// -----------------------------------------------------------------------------

/**
 * Whether a variable has numbers to put into a dataset or a plot.
 *
 * @category queries
 * @since 0.1.0
 */
export const isNumeric = (variable: Variable): boolean => variable.count > 0

/**
 * How many draws `warmup` drops from a group: below 1 it is a fraction of the group's draws, else a count. At least
 * one draw is left.
 *
 * @category queries
 * @since 0.1.0
 */
export const dropped = (group: Group, warmup: number): number => {
  const wanted = warmup < 1 ? Math.floor(group.draws * warmup) : Math.floor(warmup)
  return wanted > 0 ? Math.max(0, Math.min(wanted, group.draws - 1)) : 0
}

/**
 * A variable of which a dataset's reader would not guess the name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Renamed {
  readonly key: string
  readonly group: string
  readonly name: string
}

/**
 * The variables with numbers whose name in the datasets is not the plain one (the key without its group, `_` for `/`),
 * since that was taken, is {@link reserved}, or cannot be a name.
 *
 * @category queries
 * @since 0.1.0
 */
export const renamed = (census: Census): ReadonlyArray<Renamed> =>
  census.groups.flatMap((group) =>
    group.variables.filter((variable) =>
      isNumeric(variable) && variable.name !== short(group.name, variable.key).replaceAll("/", "_")
    ).map(({ key, name }) => ({ key, group: group.name, name }))
  )

/** A key without its group. */
const short = (group: string, key: string): string => group === "" ? key : key.slice(group.length + 1)

// -----------------------------------------------------------------------------
// The counting fold
// -----------------------------------------------------------------------------

type MutableVariable = { -readonly [K in keyof Variable]: Variable[K] }

interface Counting {
  readonly variable: MutableVariable
  readonly group: CountingGroup
}

interface CountingGroup {
  readonly name: string
  readonly file: string
  readonly variables: Array<MutableVariable>
  readonly variableNames: FileName.Names
  readonly fileNames: FileName.Names
  draws: number
  lastRow: number
  lastStep: number
  ordered: boolean
}

interface State {
  rows: number
  firstTimestamp: number | undefined
  lastTimestamp: number | undefined
  lastStep: number | undefined
  readonly groups: Map<string, CountingGroup>
  readonly groupFiles: FileName.Names
  readonly metrics: Map<string, Counting>
  readonly statistics: Map<string, Counting>
}

/**
 * What the census counts: a record with its statistics, or, as they stand in the log, the one without the other.
 *
 * @category models
 * @since 0.1.0
 */
export type Counted = Pick<Row, "step" | "timestamp" | "statistics"> & { readonly metrics: Metrics.Metrics | undefined }

/**
 * The fold that counts. `keys` are metrics that come first, whether they occur or not.
 *
 * @category folds
 * @since 0.1.0
 */
export const foldKnowing = (keys: ReadonlyArray<string>): Fold.Fold<Counted, Census> =>
  Fold.make(() => start(keys), (state: State, row: Counted) => step(state, row), (state) => ({
    rows: state.rows,
    firstTimestamp: state.firstTimestamp,
    lastTimestamp: state.lastTimestamp,
    lastStep: state.lastStep,
    groups: Array.from(state.groups.values(), (group) => ({
      name: group.name,
      file: group.file,
      draws: group.draws,
      orderedSteps: group.ordered,
      variables: group.variables
    }))
  }))

/**
 * The fold that counts.
 *
 * @category folds
 * @since 0.1.0
 */
export const fold: Fold.Fold<Counted, Census> = foldKnowing([])

const start = (keys: ReadonlyArray<string>): State => {
  const state: State = {
    rows: 0,
    firstTimestamp: undefined,
    lastTimestamp: undefined,
    lastStep: undefined,
    groups: new Map(),
    groupFiles: FileName.files(["dataset"]),
    metrics: new Map(),
    statistics: new Map()
  }
  for (const key of keys) if (!state.metrics.has(key)) enter(state, key, undefined)
  return state
}

const step = (state: State, row: Counted): State => {
  if (row.metrics !== undefined) {
    state.rows++
    state.firstTimestamp ??= row.timestamp
    state.lastTimestamp = row.timestamp
    if (row.step !== undefined) state.lastStep = row.step
    const metrics = row.metrics
    for (const key in metrics) {
      const { group, variable } = state.metrics.get(key) ?? enter(state, key, undefined)
      if (group.lastRow !== state.rows) draw(group, state.rows, row.step)
      count(variable, metrics[key] ?? null)
    }
  }
  const values = row.statistics?.values
  if (values !== undefined) {
    for (const key in values) {
      const { variable } = state.statistics.get(key) ?? enter(state, key, splitStatistic(key))
      count(variable, values[key] ?? null)
    }
  }
  return state
}

const draw = (group: CountingGroup, row: number, step: number | undefined): void => {
  group.lastRow = row
  group.draws++
  if (step === undefined || step < group.lastStep) group.ordered = false
  else group.lastStep = step
}

const splitStatistic = (key: string): Statistic => {
  const slash = key.lastIndexOf("/")
  return { of: slash < 0 ? key : key.slice(0, slash), name: key.slice(slash + 1) }
}

const enter = (state: State, key: string, statistic: Statistic | undefined): Counting => {
  const groupName = Metrics.group(statistic?.of ?? key)
  let group = state.groups.get(groupName)
  if (group === undefined) {
    group = {
      name: groupName,
      file: groupName === "" ? "dataset" : state.groupFiles.name(groupName),
      variables: [],
      variableNames: FileName.variables(reserved),
      fileNames: FileName.files(),
      draws: 0,
      lastRow: 0,
      lastStep: -Infinity,
      ordered: true
    }
    state.groups.set(groupName, group)
  }
  const own = short(groupName, key)
  const variable: MutableVariable = {
    key,
    statistic,
    index: group.variables.length,
    name: group.variableNames.name(own),
    file: group.fileNames.name(own),
    chains: 0,
    leapfrogs: 0,
    count: 0,
    texts: 0,
    integer: true,
    min: Infinity,
    max: -Infinity
  }
  group.variables.push(variable)
  const counting = { variable, group }
  const known = statistic === undefined ? state.metrics : state.statistics
  known.set(key, counting)
  return counting
}

const count = (variable: MutableVariable, value: Metrics.Value): void => {
  if (typeof value === "number") {
    variable.count++
    range(variable, value)
  } else if (typeof value === "boolean") {
    variable.count++
    range(variable, value ? 1 : 0)
  } else if (typeof value === "string") variable.texts++
  else if (value !== null) {
    variable.count++
    if (value.length > variable.chains) variable.chains = value.length
    for (const item of value) {
      if (typeof item === "number") range(variable, item)
      else {
        if (item.length > variable.leapfrogs) variable.leapfrogs = item.length
        for (const number of item) range(variable, number)
      }
    }
  }
}

const range = (variable: MutableVariable, value: number): void => {
  if (value - value !== 0) return
  if (value < variable.min) variable.min = value
  if (value > variable.max) variable.max = value
  if (variable.integer && !Number.isInteger(value)) variable.integer = false
}
