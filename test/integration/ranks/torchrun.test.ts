/**
 * Ranks that torchrun started: the one that `EZPZ_TORCHRUN` names, or that is in the PATH. CI installs one: PyTorch is a
 * lot to install for whoever only wants to run the tests (gigabytes, where pip finds no build for CPUs alone).
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { main } from "../../cli/command.ts"
import { python, timeout } from "../python.ts"
import { count, freePorts, hasStatistics, isSilent, prepare, runOf } from "./launched.ts"
import { read, start, surroundings, temporary } from "./processes.ts"

const found = process.env["EZPZ_TORCHRUN"] ??
  (spawnSync("sh", ["-c", "command -v torchrun"]).status === 0 ? "torchrun" : undefined)

describe.skipIf(found === undefined && process.env["CI"] === undefined)("ranks under torchrun", () => {
  let torchrun = found ?? ""
  beforeAll(async () => {
    torchrun = found ?? Path.join(Path.dirname(await python("requirements-torch")), "torchrun")
  }, timeout)

  /** Starts one in a directory, which is the home, too. */
  const launch = (directory: string, args: ReadonlyArray<string>) =>
    start(torchrun, args, directory, { ...surroundings(), HOME: directory, OMP_NUM_THREADS: "1" }).ended

  it("a pipe on each rank: rank 0 has the statistics of all; the others print nothing and write nothing", async () => {
    const directory = temporary()
    const { command, left } = prepare(directory, "ranks", "RANK")
    const { code, error } = await launch(directory, ["--nproc-per-node", "4", "--no-python", "sh", "-c", command()])
    assert.strictEqual(code, 0, error)
    hasStatistics(left(0), 4)
    for (const rank of [1, 2, 3]) isSilent(left(rank))
  })

  it("a script that starts the command itself, beside torch's own all-reduce at MASTER_PORT", async () => {
    const directory = temporary()
    const { left } = prepare(directory, "ranks", "RANK")
    Fs.writeFileSync(Path.join(directory, "distributed.py"), distributed)
    const { code, error } = await launch(directory, ["--nproc-per-node", "2", "distributed.py", process.execPath, main])
    assert.strictEqual(code, 0, error)
    hasStatistics(left(0), 2)
    isSilent(left(1))
    const { last, records } = read(runOf(left(0)))
    for (const { metrics, seq } of records) {
      assert.closeTo(Number(metrics?.["reduced/loss"]), last.get(seq)?.aggregated?.["loss/mean"] ?? NaN, 1e-15)
    }
  })

  it("of two nodes' ranks one is killed and all are started over: the run goes on", async () => {
    const directory = temporary()
    const run = Path.join(directory, "run")
    Fs.writeFileSync(Path.join(directory, "elastic.py"), elastic)
    const command = "life=$([ -e failed ] && echo second || echo first); " +
      `python3 elastic.py $life | node '${main}' --backends csv --no-plots --outdir run ` +
      "$([ $life = first ] || echo --resume) > out-$RANK-$life 2> err-$RANK-$life"
    const [port = 0] = await freePorts(1)
    const args = ["--nnodes", "2", "--nproc-per-node", "2", "--max-restarts", "1"]
    const meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", `localhost:${port}`, "--rdzv-id", "elastic"]
    const nodes = [0, 1].map(() => launch(directory, [...args, ...meeting, "--no-python", "sh", "-c", command]))
    for (const { code, error } of await Promise.all(nodes)) assert.strictEqual(code, 0, error)

    const { last, records } = read(run)
    assert.deepStrictEqual([...last.keys()], records.map(({ seq }) => seq))
    const [first = [], second = []] = [false, true].map((late) =>
      records.filter(({ step }) => late === (step ?? 0) > 1e6)
    )
    assert.deepStrictEqual(first.map(({ step }) => step), first.map((_, i) => i + 1))
    assert.isAtLeast(first.filter(({ seq }) => last.get(seq)?.count === 4).length, 5)
    assert.deepStrictEqual(second.map(({ step }) => step), second.map((_, i) => 1e6 + 1 + i))
    assert.strictEqual(second.length, 20)
    for (const { seq, step } of second) {
      assert.deepInclude(last.get(seq), { count: 4, expected: 4 })
      assert.strictEqual(last.get(seq)?.aggregated?.["loss/mean"], (step ?? NaN) + 1.5 / 8)
    }
    for (const name of Fs.readdirSync(directory).filter((name) => /^(?:out|err)-[123]-/.test(name))) {
      assert.strictEqual(Fs.readFileSync(Path.join(directory, name), "utf8"), "", name)
    }
  })
})

/** Says what `train.py` says, to a command of its own, and what torch's all-reduce makes of it. */
const distributed = `
import json, os, subprocess, sys
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, world_size = dist.get_rank(), dist.get_world_size()
place = f"ranks/rank-{rank}"
os.mkdir(place)
with open(place + "-out", "w") as out, open(place + "-err", "w") as err:
    tracker = subprocess.Popen([*sys.argv[1:], "--backends", "csv", "--no-plots"],
                               stdin=subprocess.PIPE, stdout=out, stderr=err, cwd=place, text=True)
for step in range(1, ${count} + 1):
    loss = 1 / step + ((rank * 37 + step) % 8) / 16
    total = torch.tensor([loss], dtype=torch.float64)
    dist.all_reduce(total)
    record = {"step": step, "loss": loss, "train/dt": 1e9 + 8 * rank, "step_size": 0.125}
    print(json.dumps({**record, "reduced/loss": total.item() / world_size}), file=tracker.stdin, flush=True)
tracker.stdin.close()
code = tracker.wait()
dist.destroy_process_group()
sys.exit(code)
`

/** The first time rank 3 is killed, with its tracker, once the run has statistics of all. */
const elastic = `
import itertools, json, os, signal, sys, time

rank = int(os.environ["RANK"])

def say(step):
    print(json.dumps({"step": step, "loss": step + rank / 8}), flush=True)

def closed():
    try:
        with open("run/metrics.jsonl") as log:
            return log.read().count('"count":4,"expected":4')
    except FileNotFoundError:
        return 0

if sys.argv[1] == "second":
    for step in range(1, 21):
        say(1000000 + step)
else:
    for step in itertools.count(1):
        say(step)
        time.sleep(0.05)
        if rank == 3 and step % 5 == 0 and closed() >= 5:
            open("failed", "w").close()
            os.killpg(0, signal.SIGKILL)
`
