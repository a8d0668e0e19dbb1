/** Ranks that a real Slurm started: srun by itself, and steps of a batch job. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { main } from "../../cli/command.ts"
import { hasStatistics, isAlone, isSilent, prepare } from "./launched.ts"
import { closedWith, read, start, temporary, until } from "./processes.ts"
import * as Slurm from "./slurm.ts"

const worldSize = 4
const others = [1, 2, 3]

describe.skipIf(!Slurm.isInstalled && process.env["CI"] === undefined)("ranks under Slurm", () => {
  let slurm: Slurm.Cluster
  beforeAll(async () => {
    slurm = await Slurm.cluster()
  })

  /** A directory, which is the home, too: ranks meet where a user's do. */
  const home = () => {
    const directory = temporary()
    return { directory, env: { ...slurm.env, HOME: directory } }
  }

  /** Runs a batch job to its end, and gives its number. */
  const batched = async (
    { directory, env }: ReturnType<typeof home>,
    ranks: number,
    ...lines: ReadonlyArray<string>
  ): Promise<string> => {
    const at = (name: string): string => Path.join(directory, name)
    const said = (name: string): string => Fs.existsSync(at(name)) ? Fs.readFileSync(at(name), "utf8").trim() : ""
    Fs.writeFileSync(at("job.sh"), ["#!/bin/sh -e", `trap 'echo $? > "${at("status")}"' EXIT`, ...lines].join("\n"))
    const args = ["--parsable", "--output=output", "-N", "2", "-n", String(ranks), "job.sh"]
    const { error, out } = await start("sbatch", args, directory, env).ended
    await until(() => said("status") !== "", () => `${error}${said("output")}`)
    assert.strictEqual(said("status"), "0", said("output"))
    return out.trim()
  }

  it("srun on two nodes: rank 0 has the statistics of all; the others print nothing and write nothing", async () => {
    const { directory, env } = home()
    const { command, left } = prepare(directory, "srun", "SLURM_PROCID")
    const { code, error } = await start("srun", ["-N", "2", "-n", "4", "sh", "-c", command()], directory, env).ended
    assert.strictEqual(code, 0, error)
    hasStatistics(left(0), worldSize)
    others.map(left).forEach(isSilent)
  })

  it("a batch script is one rank, and two of its steps at a time are two jobs", async () => {
    const { directory, env } = home()
    const batch = prepare(directory, "batch", "SLURM_PROCID")
    const steps = [prepare(directory, "one", "SLURM_PROCID", 10), prepare(directory, "two", "SLURM_PROCID", 20)]
    await batched(
      { directory, env },
      4,
      `env > environment; ${batch.command()}`,
      ...steps.map(({ command }) => `srun --exact -N 2 -n 2 sh -c ${quoted(command())} &`),
      "wait"
    )
    assert.match(Fs.readFileSync(Path.join(directory, "environment"), "utf8"), /^SLURM_NTASKS=4$/m)
    isAlone(batch.left(0))
    for (const [index, { left }] of steps.entries()) {
      hasStatistics(left(0), 2, 10 * (index + 1))
      isSilent(left(1))
    }
  })

  it("doctor says which rank of which step it is, also where srun speaks PMI, and that they find each other", async () => {
    const { directory, env } = home()
    const doctor = `node '${main}' doctor > ${directory}/doctor-$SLURM_STEP_ID-$SLURM_PROCID`
    const job = await batched(
      { directory, env },
      5,
      `(${doctor}) &`,
      `srun --exact -N 2 -n 2 sh -c ${quoted(doctor)}`,
      `srun --exact -N 2 -n 3 --mpi=pmi2 sh -c ${quoted(doctor)}`,
      "wait"
    )
    const row = (file: string, label: string): string | undefined =>
      new RegExp(`^${label} +(.*)$`, "m").exec(Fs.readFileSync(Path.join(directory, file), "utf8"))?.[1]
    assert.strictEqual(row("doctor--0", "rank"), "0 of 1 (launcher: none)")
    for (const [step, locals] of [["0 of 1", "0 of 1"], ["0 of 2", "1 of 2", "0 of 1"]].entries()) {
      for (const [rank, local] of locals.entries()) {
        const file = `doctor-${step}-${rank}`
        assert.strictEqual(row(file, "rank"), `${rank} of ${locals.length}, ${local} on this host (launcher: Slurm)`)
        assert.strictEqual(row(file, "job"), `slurm-${job}.${step}`)
        assert.match(row(file, "root") ?? "", rank === 0 ? /^this process would be it/ : /^answers at /)
      }
    }
  })

  it("a batch job that a step has submitted is one rank, though it has that step's variables", async () => {
    const { directory, env } = home()
    const [at, output] = ["environment", "doctor"].map((name) => Path.join(directory, name))
    const nested = `env > ${at}; node ${main} doctor > ${output}.part; mv ${output}.part ${output}`
    const submit = `[ $SLURM_PROCID = 0 ] || sbatch -n 2 --output=output --wrap "${nested}"`
    const { error } = await start("srun", ["-N", "1", "-n", "2", "sh", "-c", submit], directory, env).ended
    await until(() => Fs.existsSync(output ?? ""), () => error)
    assert.match(Fs.readFileSync(at ?? "", "utf8"), /^SLURM_STEP_NUM_TASKS=2$/m)
    assert.match(Fs.readFileSync(output ?? "", "utf8"), /^rank +0 of 1 \(launcher: none\)$/m)
  })

  it("scancel: what was said until then is closed, and the run is finalized", async () => {
    const { directory, env } = home()
    const run = Path.join(directory, "run")
    const endless = "import itertools, time\nfor step in itertools.count(1):\n" +
      "  print('{\"step\": %d, \"loss\": 0.5}' % step, flush=True)\n  time.sleep(0.02)\n"
    Fs.writeFileSync(Path.join(directory, "train.py"), endless)
    const command = `python3 train.py | node '${main}' --backends csv --no-plots --outdir '${run}' 2> err-$SLURM_PROCID`
    const { ended } = start("srun", ["-N", "2", "-n", "4", "sh", "-c", command], directory, env)
    await until(() => closedWith(read(run), worldSize) > 20, () => "statistics of all ranks")
    await slurm.run("scancel", "--user", Os.userInfo().username)
    const { error } = await ended
    const said = Fs.readFileSync(Path.join(directory, "err-0"), "utf8")
    assert.match(said, /^SIGTERM: finishing the run/m, error)
    const { last, records } = read(run)
    assert.include(said, `${records.length} lines: ${records.length} accepted, 0 refused`)
    assert.deepStrictEqual([...last.keys()], records.map(({ seq }) => seq))
    assert.includeMembers(Fs.readdirSync(run), ["dataset.h5", "report.md"])
    for (const rank of others) assert.strictEqual(Fs.readFileSync(Path.join(directory, `err-${rank}`), "utf8"), "")
  })

  it("with a secret ranks that share no directory find the root at the first of Slurm's nodes", async () => {
    const { directory, env } = home()
    const { command, left } = prepare(directory, "srun", "SLURM_PROCID")
    // Outside of what is compared: each has a home and a temporary directory of its own.
    const own = `'${directory}'/own-$SLURM_PROCID`
    const before = `mkdir ${own} ${own}/tmp && export HOME=${own} TMPDIR=${own}/tmp`
    const { code, error } = await start(
      "srun",
      ["-N", "2", "-n", "4", "sh", "-c", command("", before)],
      directory,
      { ...env, EZPZ_SECRET: "a secret of this job's own" }
    ).ended
    assert.strictEqual(code, 0, error)
    hasStatistics(left(0), worldSize)
    others.map(left).forEach(isSilent)
  })
})

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
