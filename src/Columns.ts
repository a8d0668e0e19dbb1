/**
 * Rows as columns: the records of a run, cut into batches of one `Float64Array` per metric, group by group.
 *
 * Datasets and plots work on columns, and turning rows into columns once for all of them is what makes a pass over a
 * long log cheap. A batch holds only the metrics that occur in it: a metric without a column is absent (NaN)
 * throughout. Draws that `warmup` drops are left out, and draw numbers count what is left.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Census from "./Census.ts"
import type * as Fold from "./Fold.ts"
import type { Value } from "./Metrics.ts"
import type { Row } from "./Row.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * Some consecutive draws of one group: `first` is the number of the first, `length` how many there are.
 *
 * `step` and `timestamp` hold one value per draw (a missing step is NaN). `columns` maps a variable's index in its
 * group to its values: `length` of them for a scalar, `length * chains` for a vector and `length * chains * leapfrogs`
 * for a matrix, draw by draw and chain by chain, what is absent being NaN. `last` says that the group ends here.
 *
 * @category models
 * @since 0.1.0
 */
export interface Batch {
  readonly group: Census.Group
  readonly first: number
  readonly length: number
  readonly last: boolean
  readonly step: Float64Array
  readonly timestamp: Float64Array
  readonly columns: ReadonlyMap<number, Float64Array>
}

/**
 * How many numbers one draw of a variable has.
 *
 * @category models
 * @since 0.1.0
 */
export const width = (variable: Census.Variable): number =>
  variable.chains === 0 ? 1 : variable.chains * Math.max(1, variable.leapfrogs)

/** A batch has at most this many draws, and the batches that fill at once at most this many numbers (32 MB). */
const maxDraws = 4096
const maxNumbers = 4_194_304

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/**
 * Makes a fold over batches a fold over rows: the census says what is in them, `warmup` how many draws of each group
 * are left out (below 1 a fraction, else a count).
 *
 * @category combinators
 * @since 0.1.0
 */
export const fromRows = <B, E, R>(
  fold: Fold.Fold<Batch, B, E, R>,
  census: Census.Census,
  warmup = 0
): Fold.Fold<Row, B, E, R> => ({
  open: Effect.map(fold.open, (running) => {
    const batcher = makeBatcher(census, warmup)
    const handOn = (batches: ReadonlyArray<Batch>) => batches.length === 0 ? Effect.void : running.push(batches)
    return {
      push: (rows) => Effect.suspend(() => handOn(batcher.push(rows))),
      done: Effect.suspend(() => Effect.andThen(handOn(batcher.end()), running.done))
    }
  })
})

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** The batch a group is filling. */
interface Filling {
  readonly group: Census.Group
  readonly capacity: number
  /** Draws seen, with those that warm-up drops. */
  seen: number
  readonly dropped: number
  first: number
  length: number
  lastRow: number
  step: Float64Array
  timestamp: Float64Array
  columns: Map<number, Float64Array>
}

interface Place {
  readonly filling: Filling
  readonly variable: Census.Variable
  readonly width: number
}

const makeBatcher = (census: Census.Census, warmup: number) => {
  const metrics = new Map<string, Place>()
  const statistics = new Map<string, Place>()
  const fillings: Array<Filling> = []
  for (const group of census.groups) {
    const filling = emptyFilling(group, warmup, Math.floor(maxNumbers / census.groups.length))
    fillings.push(filling)
    for (const variable of group.variables) {
      const known = variable.statistic === undefined ? metrics : statistics
      known.set(variable.key, { filling, variable, width: width(variable) })
    }
  }
  let row = 0
  let ready: Array<Batch> = []

  /** The draw of this row in its group, or -1 where warm-up drops it. */
  const drawOf = (filling: Filling, source: Row): number => {
    if (filling.lastRow !== row) {
      filling.lastRow = row
      filling.seen++
      if (filling.seen > filling.dropped) {
        if (filling.length === filling.capacity) flush(filling, false)
        filling.step[filling.length] = source.step ?? NaN
        filling.timestamp[filling.length] = source.timestamp
        filling.length++
      }
    }
    return filling.seen > filling.dropped ? filling.length - 1 : -1
  }

  const flush = (filling: Filling, last: boolean): void => {
    const { columns, first, group, length, step, timestamp } = filling
    const cut = new Map<number, Float64Array>()
    for (const variable of group.variables) {
      const column = columns.get(variable.index)
      if (column !== undefined) cut.set(variable.index, column.subarray(0, length * width(variable)))
    }
    ready.push({
      group,
      first,
      length,
      last,
      step: step.subarray(0, length),
      timestamp: timestamp.subarray(0, length),
      columns: cut
    })
    filling.first += length
    filling.length = 0
    filling.step = new Float64Array(last ? 0 : filling.capacity)
    filling.timestamp = new Float64Array(last ? 0 : filling.capacity)
    filling.columns = new Map()
  }

  const put = (place: Place, value: Value, source: Row): void => {
    const { filling, variable } = place
    const draw = drawOf(filling, source)
    if (draw < 0 || value === null || typeof value === "string") return
    let column = filling.columns.get(variable.index)
    if (column === undefined) {
      column = new Float64Array(filling.capacity * place.width).fill(NaN)
      filling.columns.set(variable.index, column)
    }
    if (typeof value === "number") column[draw * place.width] = value
    else if (typeof value === "boolean") column[draw * place.width] = value ? 1 : 0
    else putArray(column, draw * place.width, Math.max(1, variable.leapfrogs), value)
  }

  return {
    push: (rows: ReadonlyArray<Row>): ReadonlyArray<Batch> => {
      for (const source of rows) {
        row++
        for (const key in source.metrics) {
          const place = metrics.get(key)
          if (place !== undefined) put(place, source.metrics[key] ?? null, source)
        }
        const values = source.statistics?.values
        if (values === undefined) continue
        for (const key in values) {
          const place = statistics.get(key)
          // A group's draws are the records with a metric of it: statistics add no draw.
          if (place !== undefined && place.filling.lastRow === row) put(place, values[key] ?? null, source)
        }
      }
      return take()
    },
    end: (): ReadonlyArray<Batch> => {
      for (const filling of fillings) flush(filling, true)
      return take()
    }
  }

  function take(): ReadonlyArray<Batch> {
    const batches = ready
    ready = []
    return batches
  }
}

const emptyFilling = (group: Census.Group, warmup: number, mostNumbers: number): Filling => {
  const dropped = Census.dropped(group, warmup)
  const numbers = group.variables.reduce((sum, variable) => sum + width(variable), 2)
  const capacity = Math.max(1, Math.min(maxDraws, group.draws - dropped, Math.floor(mostNumbers / numbers)))
  return {
    group,
    capacity,
    seen: 0,
    dropped,
    first: 0,
    length: 0,
    lastRow: 0,
    step: new Float64Array(capacity),
    timestamp: new Float64Array(capacity),
    columns: new Map()
  }
}

const putArray = (
  column: Float64Array,
  start: number,
  leapfrogs: number,
  value: ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>>
): void => {
  for (const [chain, item] of value.entries()) {
    if (typeof item === "number") column[start + chain * leapfrogs] = item
    else for (const [leapfrog, number] of item.entries()) column[start + chain * leapfrogs + leapfrog] = number
  }
}
