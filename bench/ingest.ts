/** Tracking a file, against reading it and calling JSON.parse; and memory, however long the input is. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { narrowKeys, printed, steady, wideKeys, write, type Written } from "./data.ts"
import { alternate, child, command, type Context, median, run, spread, type Usage } from "./measure.ts"
import { atLeast, atMost, count, type Findings, fraction, megabytes, ratio, times } from "./report.ts"

export const title = "a file of records through the command line"

export const about =
  "`ezpz-stream --backends csv --quiet --no-finalize FILE` against a loop that reads the same file in pieces of 1 MiB " +
  "and calls `JSON.parse` on every line. Both are timed as whole processes; net is without what the same process takes " +
  "for a file of one line. Memory is the kernel's peak of the resident set, the records coming through a pipe."

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  let runs = 0
  const track = (input: string, stdin?: ReadonlyArray<string>): Promise<Usage> => {
    const outdir = join(directory, `run${runs++}`)
    // What one run left to be written to the disk is not the next one's to wait for.
    return run([command, "--backends", "csv", "--quiet", "--no-finalize", "--outdir", outdir, input], { stdin })
      .finally(() => rmSync(outdir, { recursive: true, force: true }))
  }
  const parse = async (input: Written): Promise<Usage> => {
    const usage = await run([child("parse.js"), input.path])
    if (Number(usage.stdout) !== input.lines) throw new Error("the loop did not read all lines")
    return usage
  }

  const compare = async (keys: ReadonlyArray<string>, bytes: number) => {
    const job = steady(keys)
    const input = write(join(directory, "input.jsonl"), () => printed(job), { bytes })
    const one = write(join(directory, "one.jsonl"), () => printed(job), { lines: 1 })
    const all = await alternate(quick ? 3 : 9, {
      loop: () => parse(input),
      ours: () => track(input.path),
      loopStart: () => parse(one),
      oursStart: () => track(one.path)
    })
    const wall = (usages: ReadonlyArray<Usage>) => spread(usages.map((usage) => usage.wall))
    const [loop, ours] = [wall(all.loop), wall(all.ours)]
    const oursNet = ours.median - wall(all.oursStart).median
    const net = (loop.median - wall(all.loopStart).median) / oursNet
    const whole = loop.median / ours.median
    const row = [
      `${keys.length} metrics, ${count(input.lines)} lines, ${megabytes(input.bytes)}`,
      times(loop),
      times(ours),
      fraction(whole),
      fraction(net),
      `${megabytes(input.bytes / oursNet)}/s`,
      times(spread(all.ours.map((usage) => usage.cpu)))
    ]
    return { row, net, whole, input: input.path }
  }

  const size = quick ? 4e6 : 16e6
  const narrow = await compare(narrowKeys, size)
  const long = quick ? undefined : await compare(wideKeys, 10 * size)
  const wide = await compare(wideKeys, size)

  const lengths = quick ? [1, 5, 20] : [1, 10, 100]
  const peaks: Array<number> = []
  for (const times of lengths) {
    const usages = []
    for (let i = 0; i < (quick ? 1 : 3); i++) {
      usages.push(await track("-", [child("repeat.js"), wide.input, String(times)]))
    }
    peaks.push(median(usages.map((usage) => usage.rss)))
  }
  // At the first length the heap has not come to its working size yet: flat is from the second on.
  const [, settled = NaN, longest = NaN] = peaks

  return {
    tables: [
      {
        columns: ["input", "bare loop", "ezpz-stream", "speed", "net speed", "net rate", "processor time"],
        rows: [wide, ...(long === undefined ? [] : [long]), narrow].map(({ row }) => row)
      },
      {
        columns: ["length of the input", "peak memory"],
        rows: lengths.map((times, i) => [`${times} x ${megabytes(size)}`, megabytes(peaks[i] ?? NaN)])
      }
    ],
    checks: [
      atLeast("at least 1/3 of the bare loop's speed, whole processes", wide.whole, 1 / 3, fraction),
      atLeast("at least 1/3 of the bare loop's speed, net of start-up", wide.net, 1 / 3, fraction),
      atMost(`peak memory at ${lengths[2]} times the length below 250 MB`, longest, 250e6, megabytes),
      atMost(
        `peak memory flat: at ${lengths[2]} times the length at most 1.25x that at ${lengths[1]} times`,
        longest / settled,
        1.25,
        ratio
      )
    ]
  }
}
