/** Ranks that torchrun starts over, all at once, while their run is still being finished. */
import { assert, it } from "@effect/vitest"
import * as Path from "node:path"
import { main } from "../../cli/command.ts"
import { closedWith, read, sleep, start, steps, surroundings, temporary, until } from "./processes.ts"

it("who is started over is in the next run, and not in the one that is being finished", async () => {
  const directory = temporary()
  const [before, next] = ["before", "next"].map((name) => Path.join(directory, name))
  // As on each of several nodes, which do not count the same restarts.
  const rank = (index: number, run = "") =>
    start(process.execPath, [main, "--backends", "csv", "--no-plots", "--outdir", run], directory, {
      ...surroundings(),
      RANK: String(index),
      WORLD_SIZE: "3",
      LOCAL_RANK: "0",
      LOCAL_WORLD_SIZE: "1",
      GROUP_WORLD_SIZE: "3",
      MASTER_ADDR: "127.0.0.1",
      MASTER_PORT: "29500",
      TORCHELASTIC_RUN_ID: "job",
      EZPZ_RENDEZVOUS_DIR: Path.join(directory, "rendezvous")
    })
  const first = [0, 1, 2].map((index) => rank(index, before))
  const log = () => read(before ?? "")
  for (const { say } of first) say(steps(1, 5, () => ({ loss: 1 })))
  await until(() => closedWith(log(), 3) === 5, () => first.map(({ error }) => error()).join())
  // The root waits for these of the others, and one of them is gone without a word.
  first[0]?.say(steps(6, 8, () => ({ loss: 1 })))
  await sleep(300)
  first[2]?.kill("SIGKILL")
  await first[2]?.ended
  const second = [0, 1, 2].map((index) => rank(index, next))
  await sleep(300)
  for (const { kill } of first) kill("SIGTERM")
  for (const { end, say } of second) {
    say(steps(1, 20, () => ({ loss: 2 })))
    end()
  }
  for (const { ended } of second) assert.strictEqual((await ended).code, 0)
  await first[0]?.ended
  assert.strictEqual(closedWith(log(), 3), 5)
  for (const { aggregated } of log().closings) assert.strictEqual(aggregated?.["loss/max"], 1)
  assert.strictEqual(closedWith(read(next ?? ""), 3), 20)
})
