/**
 * A record that is in the log, with the line the console shows for it. Formatting costs more than recording does, so it
 * waits until somebody asks.
 *
 * @since 0.1.0
 */
import type * as Metrics from "../Metrics.ts"
import type { Row } from "../Row.ts"
import type * as Summary from "../Summary.ts"
import type { History, Tracked } from "./Model.ts"

/** What the records of one run share. */
export interface Run {
  readonly formatter: Summary.Formatter
  readonly history: () => History
}

/** A row as it goes through a run: made once for each record. */
export class TrackedRow implements Tracked {
  readonly seq: number
  readonly step: number | undefined
  readonly timestamp: number
  readonly rank: number
  readonly metrics: Metrics.Metrics
  readonly statistics: Row["statistics"]
  readonly stepKey: string | undefined
  readonly #run: Run
  #summary: string | undefined = undefined

  constructor(
    run: Run,
    seq: number,
    timestamp: number,
    rank: number,
    { metrics, step, stepKey }: Pick<Tracked, "metrics" | "step" | "stepKey">,
    statistics?: Row["statistics"]
  ) {
    this.seq = seq
    this.step = step
    this.timestamp = timestamp
    this.rank = rank
    this.metrics = metrics
    this.statistics = statistics
    this.stepKey = stepKey
    this.#run = run
  }

  /** A reducer gives a row with its statistics back as a new one. */
  static of(run: Run, row: Row & { readonly stepKey?: string | undefined }): TrackedRow {
    return row instanceof TrackedRow
      ? row
      : new TrackedRow(run, row.seq, row.timestamp, row.rank, { ...row, stepKey: row.stepKey }, row.statistics)
  }

  get summary(): string {
    return this.#summary ??= this.#run.formatter.format(this.metrics, this.statistics?.values, leading(this))
  }

  static historyOf(tracked: Tracked): History | undefined {
    return tracked instanceof TrackedRow ? tracked.#run.history() : undefined
  }
}

/** Nothing before the metrics. */
export const none: Summary.LineOptions = {}

/** The step leads the line under the name it came with; one that the caller gave is not repeated to them. */
export const leading = ({ step, stepKey }: Pick<Tracked, "step" | "stepKey">): Summary.LineOptions =>
  stepKey === undefined ? none : { step, stepKey }
