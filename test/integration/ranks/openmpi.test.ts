/** Ranks that Open MPI started, each a script whose output the command tracks. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { main } from "../../cli/command.ts"
import { snapshot } from "../../support/directory.ts"
import { expected, read, start, surroundings, temporary } from "./processes.ts"

const worldSize = 8
const count = 40

/** What a rank says at a step: the same in the job and in the test. */
const said = (rank: number, step: number): Readonly<Record<string, number>> => ({
  loss: 1 / step + ((rank * 37 + step) % 8) / 16,
  "train/dt": 1e9 + 8 * rank,
  step_size: 0.125
})

const script = `
const rank = Number(process.env.OMPI_COMM_WORLD_RANK)
const said = (rank, step) => ({
  loss: 1 / step + ((rank * 37 + step) % 8) / 16,
  "train/dt": 1e9 + 8 * rank,
  step_size: 0.125
})
for (let step = 1; step <= ${count}; step++) console.log(JSON.stringify({ step, ...said(rank, step) }))
`

const mpirun = async (extra: Readonly<Record<string, string>> = {}) => {
  const directory = temporary()
  Fs.writeFileSync(Path.join(directory, "train.mjs"), script)
  const command = `cd "$(mktemp -d -p '${directory}' rank-$OMPI_COMM_WORLD_RANK-XXXX)" && ` +
    `node ../train.mjs | node '${main}' --backends csv --no-plots > ../out-$OMPI_COMM_WORLD_RANK 2> ../err-$OMPI_COMM_WORLD_RANK`
  const { code, error } = await start(
    "mpirun",
    ["--allow-run-as-root", "--oversubscribe", "-n", String(worldSize), "sh", "-c", command],
    directory,
    { ...surroundings(), EZPZ_RENDEZVOUS_DIR: Path.join(directory, "rendezvous"), ...extra }
  ).ended
  assert.strictEqual(code, 0, error)
  const rank = (index: number) => {
    const name = Fs.readdirSync(directory).find((name) => name.startsWith(`rank-${index}-`))
    return {
      out: Fs.readFileSync(Path.join(directory, `out-${index}`), "utf8"),
      error: Fs.readFileSync(Path.join(directory, `err-${index}`), "utf8"),
      files: [...snapshot(Path.join(directory, name ?? "none")).keys()],
      directory: Path.join(directory, name ?? "none")
    }
  }
  return Array.from({ length: worldSize }, (_, index) => rank(index))
}

const runOf = ({ directory, files }: { readonly directory: string; readonly files: ReadonlyArray<string> }): string =>
  Path.join(directory, Path.dirname(files.find((file) => file.endsWith("/metrics.jsonl")) ?? "none"))

const hasMpi = spawnSync("mpirun", ["--version"]).status === 0

describe.skipIf(!hasMpi && process.env["CI"] === undefined)("ranks under mpirun", () => {
  it("rank 0 has the statistics of all; the others print nothing and write nothing", async () => {
    const [first, ...others] = await mpirun()
    assert.isDefined(first)
    const { closings, records } = read(runOf(first))
    const all = Array.from({ length: count }, (_, i) => i + 1)
    assert.deepStrictEqual(records.map(({ seq, step }) => [seq, step]), all.map((step) => [step, step]))
    assert.deepStrictEqual(closings.map(({ seq }) => seq), all)
    for (const { aggregated, seq, ...line } of closings) {
      assert.deepInclude(line, { count: worldSize, expected: worldSize })
      for (const key of Object.keys(said(0, 1))) {
        const values = Array.from({ length: worldSize }, (_, rank) => said(rank, seq)[key] ?? NaN)
        for (const [name, value] of Object.entries(expected(key, values))) {
          assert.closeTo(aggregated?.[name] ?? NaN, value, 1e-12 * Math.max(1, Math.abs(value)), `${name} of ${seq}`)
        }
      }
    }
    const lines = first.out.trimEnd().split("\n")
    assert.deepStrictEqual(lines.map((line) => Number(/step=(\d+)/.exec(line)?.[1])), all)
    for (const line of lines) assert.match(line, /loss=[\d.]+\(± +[\d.]+\)/)
    assert.include(first.error, `${count} lines: ${count} accepted, 0 refused`)
    const csv = first.files.find((file) => file.endsWith("/metrics.csv"))
    assert.match(Fs.readFileSync(Path.join(first.directory, csv ?? "none"), "utf8"), /loss\/mean|loss\/std/)
    for (const { error, files, out } of others) {
      assert.deepStrictEqual({ out, error, files }, { out: "", error: "", files: [] })
    }
  })

  it("EZPZ_NO_DISTRIBUTED_HISTORY=1: rank 0 alone, as if it were the only one", async () => {
    const [first, ...others] = await mpirun({ EZPZ_NO_DISTRIBUTED_HISTORY: "1" })
    assert.isDefined(first)
    const { closings, records } = read(runOf(first))
    assert.deepStrictEqual([records.length, closings.length], [count, 0])
    assert.notInclude(first.out, "±")
    assert.strictEqual(first.out.trimEnd().split("\n").length, count)
    for (const { error, files, out } of others) {
      assert.deepStrictEqual({ out, error, files }, { out: "", error: "", files: [] })
    }
  })
})
