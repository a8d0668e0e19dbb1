/**
 * What ranks say, whoever started them, and what has to come of it. Each runs in a directory of its own, its script's
 * output piped into the command; rank 0's has a run with everybody's statistics, the others' stay empty.
 */
import { assert } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { main } from "../../cli/command.ts"
import { snapshot } from "../../support/directory.ts"
import { expected, read } from "./processes.ts"

export const count = 40

/** What a rank says at a step: the same in the job and in the test, to the last bit. */
export const said = (rank: number, step: number): Readonly<Record<string, number>> => ({
  loss: 1 / step + ((rank * 37 + step) % 8) / 16,
  "train/dt": 1e9 + 8 * rank,
  step_size: 0.125
})

/** `train.py VARIABLE [OFFSET]`: says what the rank in that variable says, counted from the offset. */
const script = `
import json, os, sys
rank = int(os.environ[sys.argv[1]]) + int(sys.argv[2] if len(sys.argv) > 2 else 0)
for step in range(1, ${count} + 1):
    loss = 1 / step + ((rank * 37 + step) % 8) / 16
    print(json.dumps({"step": step, "loss": loss, "train/dt": 1e9 + 8 * rank, "step_size": 0.125}))
`

/** A place for the ranks of a launch, and what the shell of each has to run there. */
export const prepare = (directory: string, name: string, variable: string, offset = 0) => {
  const at = Path.join(directory, name)
  Fs.mkdirSync(at, { recursive: true })
  Fs.writeFileSync(Path.join(directory, "train.py"), script)
  const place = `'${at}'/rank-$${variable}`
  return {
    directory: at,
    /** `args` are the command's own, `before` is what the shell does first. */
    command: (args = "", before = "true"): string =>
      `mkdir ${place} && cd ${place} && ${before} && python3 '${directory}/train.py' ${variable} ${offset} | ` +
      `node '${main}' --backends csv --no-plots ${args} > ${place}-out 2> ${place}-err`,
    left: (rank: number): Left => {
      const own = Path.join(at, `rank-${rank}`)
      return {
        directory: own,
        out: Fs.readFileSync(`${own}-out`, "utf8"),
        error: Fs.readFileSync(`${own}-err`, "utf8"),
        files: [...snapshot(own).keys()]
      }
    }
  }
}

/** What a rank has written, and printed. */
export interface Left {
  readonly directory: string
  readonly out: string
  readonly error: string
  readonly files: ReadonlyArray<string>
}

export const runOf = ({ directory, files }: Left): string =>
  Path.join(directory, Path.dirname(files.find((file) => file.endsWith("/metrics.jsonl")) ?? "none"))

/** Rank 0 has all records with the statistics of all ranks, in the order of steps: printed, in the log and in the csv. */
export const hasStatistics = (left: Left, worldSize: number, offset = 0): void => {
  const { closings, records } = read(runOf(left))
  const all = Array.from({ length: count }, (_, i) => i + 1)
  assert.deepStrictEqual(records.map(({ seq, step }) => [seq, step]), all.map((step) => [step, step]), left.error)
  assert.deepStrictEqual(closings.map(({ seq }) => seq), all)
  for (const { metrics, seq } of records) assert.deepInclude(metrics, said(offset, seq))
  for (const { aggregated, seq, ...line } of closings) {
    assert.deepInclude(line, { count: worldSize, expected: worldSize })
    for (const [name, value] of Object.entries(statistics(worldSize, offset, seq))) {
      assert.closeTo(aggregated?.[name] ?? NaN, value, 1e-12 * Math.max(1, Math.abs(value)), `${name} of ${seq}`)
    }
  }

  const lines = left.out.trimEnd().split("\n")
  assert.deepStrictEqual(lines.map((line) => Number(/step=(\d+)/.exec(line)?.[1])), all)
  for (const line of lines) assert.match(line, /loss=[\d.]+\(± +[\d.]+\)/)
  assert.include(left.error, `${count} lines: ${count} accepted, 0 refused`)

  const [columns = [], ...rows] = Fs.readFileSync(Path.join(runOf(left), "metrics.csv"), "utf8").trimEnd().split("\n")
    .map((line) => line.split(","))
  assert.deepStrictEqual(rows.map((row) => Number(row[columns.indexOf("step")])), all)
  for (const [index, row] of rows.entries()) {
    for (const [name, value] of Object.entries(statistics(worldSize, offset, index + 1))) {
      const cell = Number(row[columns.indexOf(name)])
      assert.closeTo(cell, value, 1e-12 * Math.max(1, Math.abs(value)), `${name} in row ${index}`)
    }
  }
}

const statistics = (worldSize: number, offset: number, step: number): Readonly<Record<string, number>> =>
  Object.assign(
    {},
    ...Object.keys(said(0, step)).map((key) =>
      expected(key, Array.from({ length: worldSize }, (_, rank) => said(rank + offset, step)[key] ?? NaN))
    )
  )

/** The records of one that has nobody beside it. */
export const isAlone = (left: Left, offset = 0): void => {
  const { closings, records } = read(runOf(left))
  assert.deepStrictEqual([records.length, closings.length], [count, 0], left.error)
  for (const { metrics, seq } of records) assert.deepInclude(metrics, said(offset, seq))
  assert.notInclude(left.out, "±")
  assert.strictEqual(left.out.trimEnd().split("\n").length, count)
}

/** Another rank than 0 prints nothing and writes nothing. */
export const isSilent = ({ error, files, out }: Left): void =>
  assert.deepStrictEqual({ out, error, files }, { out: "", error: "", files: [] })

/** Ports that were free a moment ago, for those who take no 0. */
export const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const servers = await Promise.all(Array.from({ length: count }, () =>
    new Promise<Net.Server>((resolve, reject) => {
      const server = Net.createServer().once("error", reject).listen(0, () => resolve(server))
    })))
  return Promise.all(servers.map((server) => {
    const address = server.address()
    return new Promise<number>((resolve) =>
      server.close(() => resolve(typeof address === "object" ? address?.port ?? 0 : 0))
    )
  }))
}
