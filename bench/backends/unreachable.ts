/** A long run whose server is not there, and its delivery once it is: memory, and that nothing is missing or twice. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { narrowKeys, printed, steady, write } from "../data.ts"
import { child, command, type Context, run, type Usage } from "../measure.ts"
import { atMost, type Check, count, type Findings, megabytes, ratio, seconds } from "../report.ts"
import * as Recorder from "./recorder.ts"

export const title = "a server that is away all the time, and sync"

export const about =
  "`ezpz-stream --backends mlflow --quiet --no-finalize --finish-timeout 1 -`, the records of 8 metrics coming through " +
  "a pipe, while nothing listens where the server should be. Then a server is there, which counts what it gets and " +
  "keeps nothing, and `ezpz-stream sync RUN` delivers. Whole processes; memory is the kernel's peak of the resident set."

interface Delivery {
  readonly records: number
  readonly tracking: Usage
  readonly syncing: Usage
  readonly counts: Recorder.Counts
}

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const lengths = quick ? [10_000, 50_000] : [100_000, 1_000_000]
  const all: Array<Delivery> = []
  for (const records of lengths) all.push(await deliver(directory, records))

  const [short, long] = all
  const name = count(lengths[1] ?? NaN)
  const flat = (what: string, of: "tracking" | "syncing"): Check =>
    atMost(
      `${what}: peak memory flat, at ${name} records at most 1.25x that at ${count(lengths[0] ?? NaN)}`,
      (long?.[of].rss ?? NaN) / (short?.[of].rss ?? NaN),
      1.25,
      ratio
    )
  const points = (long?.records ?? NaN) * narrowKeys.length
  const { again, closed, missing, points: came } = long?.counts ?? { again: NaN, closed: 0, missing: NaN, points: NaN }
  return {
    tables: [
      {
        columns: ["records, no server", "tracking", "peak memory", "sync", "records", "peak memory"],
        rows: all.map(({ records, syncing, tracking }) => [
          count(records),
          seconds(tracking.wall),
          megabytes(tracking.rss),
          seconds(syncing.wall),
          `${count(Math.round(records / syncing.wall))}/s`,
          megabytes(syncing.rss)
        ])
      },
      {
        columns: ["records", "requests", "points that came", "twice", "missing", "run closed"],
        rows: all.map(({ counts, records }) => [
          count(records),
          count(counts.requests),
          count(counts.points),
          count(counts.again),
          count(counts.missing),
          counts.closed > 0 ? "yes" : "no"
        ])
      }
    ],
    checks: [
      flat("tracking", "tracking"),
      flat("sync", "syncing"),
      {
        target: `sync delivers all ${count(points)} points of ${name} records, each once, and closes the run`,
        measured: `${count(came)}, ${count(again)} twice, ${count(missing)} missing`,
        met: came === points && again === 0 && missing === 0 && closed > 0
      }
    ]
  }
}

/** The input is a tenth of the run or so, again and again, its steps going on. */
const lines = 10_000

const deliver = async (directory: string, records: number): Promise<Delivery> => {
  const job = steady(narrowKeys)
  const input = write(join(directory, "input.jsonl"), () => printed(job), { lines })
  const outdir = join(directory, `run${records}`)
  const port = await Recorder.freePort()
  const env = { MLFLOW_TRACKING_URI: `http://127.0.0.1:${port}`, EZPZ_SYSTEM_METRICS: "0" }
  const tracking = await run(
    [command, "--backends", "mlflow", "--quiet", "--no-finalize", "--finish-timeout", "1", "--outdir", outdir, "-"],
    { stdin: [child("repeat.js"), input.path, String(records / lines)], env }
  )
  const recorder = await Recorder.start({ port })
  try {
    const syncing = await run([command, "sync", outdir, "--quiet"], { env })
    return { records, tracking, syncing, counts: await recorder.counts() }
  } finally {
    await recorder.stop()
    rmSync(outdir, { recursive: true, force: true })
  }
}
