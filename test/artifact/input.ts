/** What finalize would hand over to a report. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Report from "../../src/artifact/Report.ts"
import type { RunInfo } from "../../src/artifact/RunInfo.ts"
import * as Series from "../../src/artifact/Series.ts"
import * as Census from "../../src/Census.ts"
import * as Columns from "../../src/Columns.ts"
import * as Fold from "../../src/Fold.ts"
import type { Metrics } from "../../src/Metrics.ts"
import type { Row } from "../../src/Row.ts"

const instant = (seconds: number) => ({ seconds, iso: new Date(seconds * 1000).toISOString() })

export const info: RunInfo = {
  run: {
    id: "run-1",
    name: null,
    project: "project",
    state: "finished",
    directory: "/runs/run-1",
    backends: ["csv", "wandb"]
  },
  startedAt: instant(1000),
  endedAt: instant(4723),
  finalizedAt: instant(4724),
  duration: 3723,
  counts: { rows: 100, refused: 0, corrupt: 0 },
  outputs: { warmup: 0, numChains: null },
  undelivered: [],
  timings: { datasets: 0.5, plots: 2.25 },
  files: [],
  config: { lr: 1e-4, model: { layers: [1, 2], best: NaN }, empty: {} },
  provenance: {
    version: "0.1.0",
    platform: {
      host: "node-1",
      user: null,
      os: "Linux 6.1",
      arch: "x64",
      cpu: "A_CPU (tm)",
      cores: 8,
      memory: 2 ** 34,
      node: "v22.0.0"
    },
    command: ["node", "train.js", "a b"],
    workingDirectory: "/work",
    git: { commit: "0123456789", branch: "main", dirty: true },
    distributed: { rank: 0, worldSize: 4, localRank: 0, launcher: "Slurm" },
    environment: { SLURM_JOB_ID: "7" }
  }
}

/** For these records. */
export const inputOf = (records: ReadonlyArray<Metrics>, maxPerGroup?: number) =>
  inputOfRows(
    records.map((metrics, n) => ({ seq: n + 1, step: n, timestamp: n, rank: 0, metrics, statistics: undefined })),
    maxPerGroup
  )

/** For these rows. */
export const inputOfRows = (all: ReadonlyArray<Row>, maxPerGroup?: number) =>
  Effect.gen(function*() {
    const rows = Stream.fromIterable(all)
    const census = yield* Fold.run(rows, Census.fold)
    const { notDrawn, series } = yield* Fold.run(
      rows,
      Columns.fromRows(Series.fold(census, maxPerGroup === undefined ? {} : { maxPerGroup }), census)
    )
    const input: Report.Input = {
      info,
      census,
      series,
      notDrawn,
      plots: series.filter(({ drawn }) => drawn).map(({ group, variable }) => ({
        group: group.name,
        metric: variable.key,
        kind: "metric",
        png: `/runs/run-1/plots/mplot/${group.name}/${variable.file}.png`,
        svg: `/runs/run-1/plots/mplot/${group.name}/${variable.file}.svg`
      })),
      terminalPlots: series.filter(({ drawn }) => drawn).map(({ group, variable }) => ({
        group: group.name,
        metric: variable.key,
        path: `/runs/run-1/plots/tplot/${group.name}/${variable.file}.txt`,
        text: `plot of ${variable.key}`
      })),
      datasets: census.groups.map((group) => ({
        group: group.name,
        path: `/runs/run-1/${group.file}.h5`,
        draws: group.draws,
        variables: group.variables
      }))
    }
    return input
  })
