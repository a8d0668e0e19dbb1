/** Everything a user waits for: tracking a finished log and making every output. */
import { join } from "node:path"
import { agent, type Job, narrowKeys, printed, steady, write } from "./data.ts"
import { command, type Context, run, spread } from "./measure.ts"
import { atMost, count, type Findings, megabytes, seconds, times } from "./report.ts"

export const title = "a log tracked and folded, every output"

export const about =
  "`ezpz-stream --backends csv FILE`, from the first line to the last output: log, csv, datasets, metric plots, " +
  "terminal plots and report. One log has the shape of a reinforcement learner's: 5,667 lines, 63 metrics in six groups, " +
  "two kinds of record, steps that jump. The Python library this one follows took 34 s and 957 MB for such a log, and " +
  "10 s and 1,255 MB for 100,000 steps of 8 metrics, on a machine like the one the targets were set on."

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const track = async (name: string, job: Job, lines: number) => {
    const input = write(join(directory, `${name}.jsonl`), () => printed(job), { lines })
    const usages = []
    for (let i = 0; i < (quick ? 1 : 5); i++) {
      const outdir = join(directory, `${name}${i}`)
      usages.push(await run([command, "--backends", "csv", "--outdir", outdir, input.path]))
    }
    const wall = spread(usages.map((usage) => usage.wall))
    const peak = spread(usages.map((usage) => usage.rss))
    const cpu = spread(usages.map((usage) => usage.cpu))
    return { wall, peak, row: [name, count(lines), times(wall), times(cpu), megabytes(peak.max)] }
  }
  const learner = await track("63 metrics, six groups", agent(), quick ? 1000 : 5667)
  const plain = await track("8 metrics", steady(narrowKeys), quick ? 10_000 : 100_000)
  return {
    tables: [{
      columns: ["log", "lines", "time", "processor time", "peak memory"],
      rows: [learner.row, plain.row]
    }],
    checks: [
      atMost("63 metrics in six groups: 5 s", learner.wall.median, 5, seconds),
      atMost("63 metrics in six groups: less memory than the reference's 957 MB", learner.peak.max, 957e6, megabytes),
      atMost("8 metrics: less time than the reference's 10 s", plain.wall.median, 10, seconds),
      atMost("8 metrics: less memory than the reference's 1,255 MB", plain.peak.max, 1255e6, megabytes)
    ]
  }
}
