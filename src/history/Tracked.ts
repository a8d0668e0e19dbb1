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

export class TrackedRow implements Tracked {
  readonly seq: number
  readonly step: number | undefined
  readonly timestamp: number
  readonly rank: number
  readonly metrics: Metrics.Metrics
  readonly statistics: Row["statistics"]
  readonly stepKey: string | undefined
  readonly #formatter: Summary.Formatter
  readonly #history: History
  #summary: string | undefined

  constructor(row: Row, stepKey: string | undefined, formatter: Summary.Formatter, history: History) {
    this.seq = row.seq
    this.step = row.step
    this.timestamp = row.timestamp
    this.rank = row.rank
    this.metrics = row.metrics
    this.statistics = row.statistics
    this.stepKey = stepKey
    this.#formatter = formatter
    this.#history = history
  }

  get summary(): string {
    return this.#summary ??= this.#formatter.format(this.metrics, this.statistics?.values, leading(this))
  }

  static historyOf(tracked: Tracked): History | undefined {
    return tracked instanceof TrackedRow ? tracked.#history : undefined
  }
}

/** Nothing before the metrics. */
export const none: Summary.LineOptions = {}

/** The step leads the line under the name it came with; one that the caller gave is not repeated to them. */
export const leading = ({ step, stepKey }: Pick<Tracked, "step" | "stepKey">): Summary.LineOptions =>
  stepKey === undefined ? none : { step, stepKey }
