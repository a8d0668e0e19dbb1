/** Runs to look at, as their logs have them. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { recordLine, statisticsLine } from "../../src/RunLog.ts"

/** A record of two groups and its statistics across four ranks, rank 3 being the slow one. */
export const step = (seq: number, loss = 1 / seq): string =>
  recordLine(
    seq,
    seq * 10,
    1_795_445_508 + seq,
    0,
    JSON.stringify({ "train/loss": loss, "train/dt": 0.1, "eval/acc": 0.5 })
  ) +
  statisticsLine({
    seq,
    step: seq * 10,
    timestamp: 1_795_445_508 + seq,
    rank: 0,
    statistics: {
      values: {
        ...of("train/loss", loss, seq % 4),
        ...of("train/dt", 0.1, seq % 10 === 0 ? 1 : 3)
      },
      count: 4,
      expected: 4
    }
  })

const of = (key: string, mean: number, slowest: number) => ({
  [`${key}/mean`]: mean,
  [`${key}/min`]: mean * 0.9,
  [`${key}/max`]: mean * 1.2,
  [`${key}/std`]: mean * 0.1,
  [`${key}/argmin`]: (slowest + 1) % 4,
  [`${key}/argmax`]: slowest
})

export const steps = (from: number, to: number): string => {
  let text = ""
  for (let seq = from; seq <= to; seq++) text += step(seq)
  return text
}

/** Writes a run's directory. */
export const write = (
  directory: string,
  log: string,
  run: { readonly state?: string; readonly config?: unknown; readonly backends?: ReadonlyArray<string> } = {}
): string => {
  Fs.mkdirSync(Path.join(directory, ".ezpz"), { recursive: true })
  const path = Path.join(directory, "metrics.jsonl")
  Fs.writeFileSync(path, log)
  Fs.writeFileSync(
    Path.join(directory, ".ezpz", "run.json"),
    JSON.stringify({
      format: 1,
      runId: "20261123-134512-k3f9",
      projectName: "demo",
      createdAt: 1_795_445_508,
      state: "finished",
      backends: [],
      config: {},
      ...run
    })
  )
  return path
}
