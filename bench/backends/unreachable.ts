/** A long run whose server is not there, and its delivery once it is: memory, and that nothing is missing or twice. */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { narrowKeys, printed, steady, write } from "../data.ts"
import { alternate, child, command, type Context, median, run, type Spread, spread, type Usage } from "../measure.ts"
import { atMost, type Check, count, type Findings, megabytes, ratio, seconds, times } from "../report.ts"
import * as Recorder from "./recorder.ts"

export const title = "a server that is away all the time, and sync"

export const about =
  "`ezpz-stream --backends mlflow --quiet --no-finalize --finish-timeout 1 -`, the records of 8 metrics coming through " +
  "a pipe, while nothing listens where the server should be; in turn with the same without a backend. Then a server is " +
  "there, which counts what it gets and keeps nothing, and `ezpz-stream sync RUN` delivers. Whole processes; memory is " +
  "the kernel's peak of the resident set."

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const lengths = quick ? [10_000, 50_000] : [100_000, 1_000_000]
  const job = steady(narrowKeys)
  const input = write(join(directory, "input.jsonl"), () => printed(job), { lines })
  const all: Array<Delivery> = []
  for (const records of lengths) all.push(await deliver(directory, input.path, records, quick ? 1 : 3))

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
        columns: ["records", "tracking, no backend", "peak memory", "tracking, no server", "peak memory"],
        rows: all.map(({ plain, records, tracking }) => [
          count(records),
          times(plain.wall),
          megabytes(plain.rss),
          times(tracking.wall),
          megabytes(tracking.rss)
        ])
      },
      {
        columns: ["records", "sync", "records", "peak memory", "requests", "points", "twice", "missing", "run closed"],
        rows: all.map(({ counts, records, syncing }) => [
          count(records),
          seconds(syncing.wall),
          `${count(Math.round(records / syncing.wall))}/s`,
          megabytes(syncing.rss),
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

interface Tracking {
  readonly wall: Spread
  readonly rss: number
}

interface Delivery {
  readonly records: number
  readonly plain: Tracking
  readonly tracking: Tracking
  readonly syncing: Usage
  readonly counts: Recorder.Counts
}

/** The input comes again and again, its steps going on. */
const lines = 10_000

const deliver = async (directory: string, input: string, records: number, rounds: number): Promise<Delivery> => {
  const outdir = join(directory, "run")
  const port = await Recorder.freePort()
  const env = { MLFLOW_TRACKING_URI: `http://127.0.0.1:${port}`, EZPZ_SYSTEM_METRICS: "0" }
  const track = (backends: string): Promise<Usage> => {
    rmSync(outdir, { recursive: true, force: true })
    const options = ["--backends", backends, "--quiet", "--no-finalize", "--finish-timeout", "1", "--outdir", outdir]
    return run([command, ...options, "-"], {
      stdin: [child("repeat.js"), input, String(records / lines)],
      env
    })
  }
  const runs = await alternate(rounds, { plain: () => track("none"), tracking: () => track("mlflow") })
  const of = (usages: ReadonlyArray<Usage>): Tracking => ({
    wall: spread(usages.map(({ wall }) => wall)),
    rss: median(usages.map(({ rss }) => rss))
  })
  // The last run is there still.
  const recorder = await Recorder.start({ port })
  try {
    const syncing = await run([command, "sync", outdir, "--quiet"], { env })
    const counts = await recorder.counts()
    return { records, plain: of(runs.plain), tracking: of(runs.tracking), syncing, counts }
  } finally {
    await recorder.stop()
  }
}
