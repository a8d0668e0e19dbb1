/**
 * What `ezpz-stream serve` answers: every path, and a schema for what comes back.
 *
 * - `/api/runs`: the runs under the root, as far as a list shows them
 * - `/api/run?run=ID`: one run, its metrics, configuration and files
 * - `/api/series?run=ID&key=K..&x=step|time|relative&from=&to=&width=&smooth=&fine=1`: some metrics of one run, decimated
 *   to the width; `fine` reads the log again where what is in memory is too coarse for the range
 * - `/api/filter?run=ID..&pattern=P`: the metrics whose names a regular expression matches
 * - `/api/ranks?run=ID`: which ranks were the slowest and the strangest
 * - `/api/report?run=ID`: the report, as the Markdown it is
 * - `/api/events?run=ID..`: server-sent events, one {@link Change} each, when a run has grown or ended
 * - `/csv?run=ID&key=K..`: the records as a table, all metrics where no key is given
 * - `/file?run=ID&path=P`: a file of the run, to keep
 *
 * All are read with GET, nothing is ever changed. A run's id is its directory, relative to the root, with `/` between
 * folders (`.` is the root itself). Numbers that JSON has no word for are strings where one value is told ({@link Value}),
 * and null in series, where a curve has its gaps. What goes wrong is a {@link Problem}, with a status of 4xx or 5xx.
 *
 * @since 0.5.0
 */
import * as Schema from "effect/Schema"

// -----------------------------------------------------------------------------
// Parts
// -----------------------------------------------------------------------------

/**
 * A number, also one that JSON has no word for.
 *
 * @category parts
 * @since 0.5.0
 */
export const Value = Schema.Union([Schema.Finite, Schema.Literals(["NaN", "Infinity", "-Infinity"])])

/**
 * How a run is. `killed`: it was, or nobody writes it any more and it never ended; `gone`: it was deleted; `unknown`: nothing
 * says whose log it is.
 *
 * @category parts
 * @since 0.5.0
 */
export const State = Schema.Literals(["running", "finished", "failed", "killed", "gone", "unknown"])

/**
 * A configuration, flat: each value as JSON, or as it is where it is text.
 *
 * @category parts
 * @since 0.5.0
 */
export const Config = Schema.Record(Schema.String, Schema.String)

/**
 * What x is: the step, the time (seconds since 1970), or seconds since the run began.
 *
 * @category parts
 * @since 0.5.0
 */
export const Axis = Schema.Literals(["step", "time", "relative"])

// -----------------------------------------------------------------------------
// Answers
// -----------------------------------------------------------------------------

/**
 * A run in the list.
 *
 * @category answers
 * @since 0.5.0
 */
export const Listed = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  project: Schema.String,
  state: State,
  /** Seconds since 1970. */
  createdAt: Schema.Finite,
  updatedAt: Schema.Finite,
  step: Schema.NullOr(Schema.Finite),
  bytes: Schema.Finite,
  config: Config,
  /** What was logged last, of some metrics. */
  last: Schema.Record(Schema.String, Value),
  /** Why it is not shown as it should be. */
  problem: Schema.NullOr(Schema.String)
})

/**
 * The answer of `/api/runs`.
 *
 * @category answers
 * @since 0.5.0
 */
export const Runs = Schema.Struct({
  root: Schema.String,
  version: Schema.String,
  runs: Schema.Array(Listed),
  /** What was left out, and why. */
  notes: Schema.Array(Schema.String)
})

/**
 * A metric of a run. `system`: a sample of the machine. `statistics`: it has a mean, a range and a deviation across ranks.
 *
 * @category answers
 * @since 0.5.0
 */
export const Metric = Schema.Struct({
  key: Schema.String,
  group: Schema.String,
  system: Schema.Boolean,
  statistics: Schema.Boolean,
  points: Schema.Finite,
  last: Schema.NullOr(Value)
})

/**
 * A file of a run that can be had.
 *
 * @category answers
 * @since 0.5.0
 */
export const File = Schema.Struct({
  path: Schema.String,
  bytes: Schema.Finite,
  kind: Schema.Literals(["log", "dataset", "table", "report", "plot", "other"])
})

/**
 * The answer of `/api/run`. `read` is how much of the log has been read, from 0 to 1; `revision` grows with every change.
 *
 * @category answers
 * @since 0.5.0
 */
export const Run = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  project: Schema.String,
  state: State,
  createdAt: Schema.Finite,
  updatedAt: Schema.Finite,
  revision: Schema.Finite,
  read: Schema.Finite,
  records: Schema.Finite,
  corrupt: Schema.Finite,
  step: Schema.NullOr(Schema.Finite),
  config: Config,
  metrics: Schema.Array(Metric),
  files: Schema.Array(File),
  notes: Schema.Array(Schema.String)
})

const Xs = Schema.Array(Schema.Finite)

const Ys = Schema.Array(Schema.NullOr(Schema.Finite))

/**
 * A line: `x` ascends (several points may have the same one), `y` has a gap where it is null.
 *
 * @category answers
 * @since 0.5.0
 */
export const Line = Schema.Struct({ x: Xs, y: Ys })

/**
 * A metric's curve. `points` is how many records there are of it. `y` are the record's own values, of a vector the means;
 * `smooth` is there where it was asked for; `coarse`: the log has more of this range than is told here; `last` is the
 * run's last value, wherever it is; `band` is what ranks or chains had: mean, deviation and range.
 *
 * @category answers
 * @since 0.5.0
 */
export const Curve = Schema.Struct({
  key: Schema.String,
  points: Schema.Finite,
  coarse: Schema.Boolean,
  last: Schema.NullOr(Schema.Struct({
    x: Schema.Finite,
    y: Value,
    spread: Schema.NullOr(Schema.Struct({ std: Value, low: Value, high: Value }))
  })),
  x: Xs,
  y: Ys,
  smooth: Schema.NullOr(Line),
  band: Schema.NullOr(Schema.Struct({
    across: Schema.Literals(["ranks", "chains"]),
    x: Xs,
    mean: Ys,
    std: Ys,
    low: Ys,
    high: Ys
  }))
})

/**
 * The answer of `/api/series`. `from` and `to` are the ends of the whole run, null while it has no records.
 *
 * @category answers
 * @since 0.5.0
 */
export const Series = Schema.Struct({
  run: Schema.String,
  revision: Schema.Finite,
  read: Schema.Finite,
  from: Schema.NullOr(Schema.Finite),
  to: Schema.NullOr(Schema.Finite),
  curves: Schema.Array(Curve)
})

/**
 * The answer of `/api/filter`. `problem`: why the expression cannot be used, then there are no keys.
 *
 * @category answers
 * @since 0.5.0
 */
export const Filtered = Schema.Struct({
  problem: Schema.NullOr(Schema.String),
  keys: Schema.Array(Schema.String)
})

/**
 * The answer of `/api/ranks`: rows of text under their titles.
 *
 * @category answers
 * @since 0.5.0
 */
export const Ranks = Schema.Struct({
  notes: Schema.Array(Schema.String),
  tables: Schema.Array(Schema.Struct({
    title: Schema.String,
    columns: Schema.Array(Schema.String),
    rows: Schema.Array(Schema.Array(Schema.String))
  }))
})

/**
 * The answer of `/api/report`; null where there is none (yet).
 *
 * @category answers
 * @since 0.5.0
 */
export const Report = Schema.Struct({ markdown: Schema.NullOr(Schema.String) })

/**
 * An event of `/api/events`.
 *
 * @category answers
 * @since 0.5.0
 */
export const Change = Schema.Struct({
  run: Schema.String,
  revision: Schema.Finite,
  state: State,
  updatedAt: Schema.Finite,
  records: Schema.Finite,
  step: Schema.NullOr(Schema.Finite),
  metrics: Schema.Finite,
  read: Schema.Finite
})

/**
 * What went wrong, in words.
 *
 * @category answers
 * @since 0.5.0
 */
export const Problem = Schema.Struct({ problem: Schema.String })

// -----------------------------------------------------------------------------
// Types
// -----------------------------------------------------------------------------

/** @category types @since 0.5.0 */
export type Value = typeof Value.Type
/** @category types @since 0.5.0 */
export type State = typeof State.Type
/** @category types @since 0.5.0 */
export type Config = typeof Config.Type
/** @category types @since 0.5.0 */
export type Axis = typeof Axis.Type
/** @category types @since 0.5.0 */
export type Listed = typeof Listed.Type
/** @category types @since 0.5.0 */
export type Runs = typeof Runs.Type
/** @category types @since 0.5.0 */
export type Metric = typeof Metric.Type
/** @category types @since 0.5.0 */
export type File = typeof File.Type
/** @category types @since 0.5.0 */
export type Run = typeof Run.Type
/** @category types @since 0.5.0 */
export type Line = typeof Line.Type
/** @category types @since 0.5.0 */
export type Curve = typeof Curve.Type
/** @category types @since 0.5.0 */
export type Series = typeof Series.Type
/** @category types @since 0.5.0 */
export type Filtered = typeof Filtered.Type
/** @category types @since 0.5.0 */
export type Ranks = typeof Ranks.Type
/** @category types @since 0.5.0 */
export type Report = typeof Report.Type
/** @category types @since 0.5.0 */
export type Change = typeof Change.Type
