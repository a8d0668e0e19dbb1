/** Folding a long run, against reading its log and calling JSON.parse. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { logged, narrowKeys, steady, write } from "./data.ts"
import { alternate, child, command, type Context, median, run, spread, type Usage } from "./measure.ts"
import { atMost, count, type Findings, megabytes, ratio, seconds, times } from "./report.ts"

export const title = "a long run folded into every output"

export const about =
  "`ezpz-stream finalize RUN` for runs of 8 metrics: dataset, metric plots (png and svg), terminal plots, report and " +
  "run info, from the log alone. Against a loop that reads the log in pieces of 1 MiB and calls `JSON.parse` on every " +
  "line. Both as whole processes, start-up included. Memory is the kernel's peak of the resident set, all threads."

/** The phases `finalize` notes in run_info.json. */
const phases = ["counting", "folding", "terminal plots", "plots"]

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const fold = async (lines: number) => {
    const runDirectory = join(directory, `run-${lines}`)
    mkdirSync(runDirectory)
    const log = write(join(runDirectory, "metrics.jsonl"), logged(steady(narrowKeys)), { lines })
    const phaseTimes: Array<ReadonlyArray<number>> = []
    const { loop, ours } = await alternate(quick ? 1 : 5, {
      loop: () => run([child("parse.js"), log.path]),
      ours: async () => {
        for (const name of readdirSync(runDirectory)) {
          if (name !== "metrics.jsonl") rmSync(join(runDirectory, name), { recursive: true })
        }
        const usage = await run([command, "finalize", runDirectory])
        const info: { readonly timings: { readonly [phase: string]: number } } = JSON.parse(
          readFileSync(join(runDirectory, "run_info.json"), "utf8")
        )
        phaseTimes.push(phases.map((phase) => info.timings[phase] ?? NaN))
        return usage
      }
    })
    rmSync(runDirectory, { recursive: true })
    const wall = (usages: ReadonlyArray<Usage>) => spread(usages.map((usage) => usage.wall))
    return {
      lines,
      bytes: log.bytes,
      loop: wall(loop),
      ours: wall(ours),
      peak: spread(ours.map((usage) => usage.rss)).max,
      phases: phases.map((_, phase) => median(phaseTimes.map((one) => one[phase] ?? NaN)))
    }
  }

  const short = await fold(quick ? 10_000 : 100_000)
  const long = await fold(quick ? 50_000 : 1_000_000)
  const all = [short, long]
  // What does not grow with the run (start-up, the plots) is the same in both.
  const perStep = (run: typeof short): number => ((run.phases[0] ?? NaN) + (run.phases[1] ?? NaN)) / run.lines
  return {
    tables: [
      {
        columns: ["run", "bare loop", "finalize", "ratio", "peak memory"],
        rows: all.map(({ bytes, lines, loop, ours, peak }) => [
          `${count(lines)} steps, ${megabytes(bytes)}`,
          times(loop),
          times(ours),
          ratio(ours.median / loop.median),
          megabytes(peak)
        ])
      },
      {
        columns: ["run", ...phases],
        rows: all.map(({ lines, phases }) => [`${count(lines)} steps`, ...phases.map(seconds)])
      }
    ],
    checks: [
      atMost(`${count(long.lines)} steps within 8x of the bare loop`, long.ours.median / long.loop.median, 8, ratio),
      atMost(
        `${count(long.lines)} steps within 5x of the bare loop (aim)`,
        long.ours.median / long.loop.median,
        5,
        ratio
      ),
      atMost(`${count(long.lines)} steps: peak memory below 500 MB`, long.peak, 500e6, megabytes),
      atMost(
        "linear: a step of the long run costs at most 1.25x one of the short run",
        perStep(long) / perStep(short),
        1.25,
        ratio
      )
    ]
  }
}
