/** A run in a terminal: what it takes to follow one. */
import { execFileSync } from "node:child_process"
import { appendFileSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { logged, narrowKeys, steady, wideKeys, write } from "../data.ts"
import { command, type Context, environment, type Spread, spread } from "../measure.ts"
import { atMost, count, type Findings } from "../report.ts"
import { runInfo } from "./runInfo.ts"

interface Case {
  readonly keys: ReadonlyArray<string>
  readonly columns: number
  readonly rows: number
}

const cases: ReadonlyArray<Case> = [
  { keys: narrowKeys, columns: 80, rows: 24 },
  { keys: wideKeys, columns: 80, rows: 24 },
  { keys: wideKeys, columns: 200, rows: 60 }
]

const mostCpu = 0.05
const periodMillis = 100
/** The kernel's ticks a second, in which it counts. */
const ticks = 100

/** A share of a core. */
const follow = async (
  directory: string,
  { columns, keys, rows }: Case,
  lines: number,
  seconds: number
): Promise<number> => {
  const run = join(directory, `watched-${keys.length}-${columns}`)
  const log = join(run, "metrics.jsonl")
  runInfo(run, "watched", "finished")
  const next = logged(steady(keys))
  write(log, next, { lines })
  const socket = `ezpz-bench-${process.pid}`
  const tmux = (...args: ReadonlyArray<string>): string =>
    execFileSync("tmux", ["-u", "-f", "/dev/null", "-L", socket, ...args], {
      encoding: "utf8",
      env: { ...environment, TMUX: undefined, LANG: "C.UTF-8" }
    })
  const size = ["-x", String(columns), "-y", String(rows)]
  tmux("new-session", "-d", "-s", "t", ...size, process.execPath, command, "watch", run)
  const writing = setInterval(() => appendFileSync(log, next()), periodMillis)
  try {
    const pid = Number(tmux("display-message", "-p", "-t", "t", "#{pane_pid}"))
    const cpu = (): number => {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ")
      return (Number(fields[11]) + Number(fields[12])) / ticks
    }
    await sleep(500 * seconds)
    const [from, before] = [performance.now(), cpu()]
    await sleep(1000 * seconds)
    const share = (cpu() - before) / ((performance.now() - from) / 1000)
    const screen = tmux("capture-pane", "-p", "-t", "t")
    if (!screen.includes(keys[0]!.slice(0, 8))) throw new Error(`watch does not show the run:\n${screen}`)
    return share
  } finally {
    clearInterval(writing)
    tmux("kill-server")
    rmSync(run, { recursive: true })
  }
}

export const measure = async ({ directory, quick }: Context): Promise<Findings> => {
  const measured: Array<Case & { readonly share: Spread }> = []
  for (const one of cases) {
    const shares: Array<number> = []
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      shares.push(await follow(directory, one, quick ? 1000 : 100_000, quick ? 2 : 10))
    }
    measured.push({ ...one, share: spread(shares) })
  }
  return {
    tables: [{
      columns: ["watch, 10 records a second", "terminal", "of a core"],
      rows: measured.map(({ columns, keys, rows, share }) => [
        `${count(keys.length)} metrics`,
        `${columns} x ${rows}`,
        `${percent(share.median)} (${percent(share.min)}..${percent(share.max)})`
      ])
    }],
    checks: measured.map(({ columns, keys, rows, share }) =>
      atMost(
        `watch: ${keys.length} metrics at ${columns} x ${rows} below 5% of a core`,
        share.median,
        mostCpu,
        percent
      )
    )
  }
}

const percent = (value: number): string => `${(100 * value).toFixed(1)}%`
