/**
 * The run log: what a run is. Everything else is made from it.
 *
 * Format, version 1
 * - UTF-8, one JSON object a line, each line ended by `\n`. Lines are only ever appended.
 * - A record: `{"seq":7,"step":6,"timestamp":1764000000.25,"rank":0,"metrics":{"train/loss":0.5}}`. `seq` counts the
 *   run's records from 1; `step` is what the job said, or null; `timestamp` is seconds since 1970; `metrics` is flat,
 *   its non-finite numbers the strings "NaN", "Infinity", "-Infinity".
 * - The statistics of a step, once it has closed on all ranks: `{"seq":7,"step":6,"timestamp":...,"rank":0,
 *   "aggregated":{"train/loss/mean":0.5,...},"count":8,"expected":8}`. `seq` is that of the record they complete. A
 *   later line for the same record amends an earlier one: the last counts.
 * - Other members of a line are ignored, so that later versions may add some.
 *
 * Writing
 * - A batch of records is one write at the end of the file. When it returns, the records are the kernel's: they survive
 *   the death of the process (`kill -9`), and with `fsync` the loss of power.
 * - A write that fails half-way is taken back (the file is cut to where it was): its records were not accepted.
 * - Several processes never write one log: see the lock in RunDirectory.ts.
 *
 * Reading
 * - A line that is torn or is not one of the above costs that line: it is counted, and reading goes on.
 * - A last line without `\n` counts if it is whole (an object that was cut never is).
 *
 * Recovery
 * - Going on with a log first looks at its end: a whole last line gets its `\n`, a torn one, which nobody was told is
 *   safe, is cut off. Then `seq` goes on from the last record.
 *
 * @since 0.1.0
 */
export {
  type Closing,
  type Corrupt,
  decodeLine,
  type Entry,
  formatVersion,
  isRow,
  type Page,
  recordLine,
  statisticsLine
} from "./runlog/Entry.ts"
export { failWith, RunLogError } from "./runlog/File.ts"
export * from "./runlog/Reader.ts"
export * from "./runlog/Writer.ts"
