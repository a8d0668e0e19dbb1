/**
 * What a report is made from.
 *
 * @since 0.1.0
 */
import type * as Census from "../../Census.ts"
import type { Ranks } from "../Ranks.ts"
import type { RunInfo } from "../RunInfo.ts"
import type * as Series from "../Series.ts"

/**
 * What a report is made from. Paths are absolute, or relative to the report.
 *
 * `notDrawn` counts the metrics of each group that were beyond the limits of plots, `failures` are the plots that could
 * not be written, `corrupt` the lines of the log that could not be read (some of `info.counts.corrupt`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly info: RunInfo
  readonly census: Census.Census
  readonly series: ReadonlyArray<Series.Series>
  readonly plots: ReadonlyArray<Plot>
  readonly terminalPlots: ReadonlyArray<TerminalPlot>
  readonly datasets: ReadonlyArray<Dataset>
  readonly ranks?: Ranks | undefined
  readonly notDrawn?: ReadonlyArray<{ readonly group: string; readonly count: number }> | undefined
  readonly failures?: ReadonlyArray<{ readonly message: string }> | undefined
  readonly corrupt?: ReadonlyArray<{ readonly line: number; readonly reason: string }> | undefined
}

/**
 * The files of one picture.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plot {
  readonly group: string
  readonly metric: string
  readonly kind: "metric" | "ridge"
  readonly png: string
  readonly svg: string
}

/**
 * One plot as text. `text` is shown where the metric has no picture.
 *
 * @category models
 * @since 0.1.0
 */
export interface TerminalPlot {
  readonly group: string
  readonly metric: string
  readonly path: string
  readonly text?: string | undefined
}

/**
 * One dataset.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dataset {
  readonly group: string
  readonly path: string
  readonly draws: number
  readonly variables: { readonly length: number }
}
