import { assert, describe, it } from "@effect/vitest"
import { from, of } from "ix/asynciterable"
import { filter, map, take } from "ix/asynciterable/operators"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { make, track } from "../src/async.ts"
import { readLines } from "./support/directory.ts"

const withDirectory = async (run: (outdir: string) => Promise<void>): Promise<void> => {
  const outdir = Fs.mkdtempSync(Path.join(Os.tmpdir(), "ezpz-stream-"))
  try {
    await run(outdir)
  } finally {
    Fs.rmSync(outdir, { recursive: true, force: true })
  }
}

async function* training(steps: number) {
  for (let step = 1; step <= steps; step++) yield { step, "train/loss": 1 / (step + 1) }
}

const environment = {}

describe("track", () => {
  it("gives every record of an async iterable, and folds the run at its end", () =>
    withDirectory(async (outdir) => {
      const lines: Array<string> = []
      for await (const tracked of track(training(3), { outdir, environment })) lines.push(tracked.summary.trimEnd())
      assert.deepStrictEqual(lines, [
        "step=1     train/loss=0.500000",
        "step=2     train/loss=0.333333",
        "step=3     train/loss=0.250000"
      ])
      assert.isTrue(Fs.existsSync(Path.join(outdir, "train.h5")))
      assert.isTrue(Fs.existsSync(Path.join(outdir, "plots/mplot/train/loss.png")))
    }))

  it("is an operator among ix's own", () =>
    withDirectory(async (outdir) => {
      const even = await from(training(10)).pipe(
        filter(({ step }) => step % 2 === 0),
        track({ outdir, environment, finalize: { plots: false } }),
        map((tracked) => [tracked.seq, tracked.step])
      )
      const seen: Array<unknown> = []
      for await (const pair of even) seen.push(pair)
      assert.deepStrictEqual(seen, [[1, 2], [2, 4], [3, 6], [4, 8], [5, 10]])
    }))

  it("folds what came when nobody reads on", () =>
    withDirectory(async (outdir) => {
      const first = from(track(training(1000), { outdir, environment, finalize: { plots: false } })).pipe(take(2))
      for await (const _ of first) { /* only two */ }
      assert.isTrue(Fs.existsSync(Path.join(outdir, "report.md")))
      const count = readLines(Path.join(outdir, "metrics.jsonl")).length
      assert.isTrue(count >= 2 && count <= 3, String(count))
    }))

  it("folds what came when the source fails, and passes its error on", () =>
    withDirectory(async (outdir) => {
      async function* failing() {
        yield { step: 1, loss: 1 }
        throw new Error("out of memory")
      }
      let error: unknown
      try {
        for await (const _ of track(failing(), { outdir, environment, finalize: { plots: false } })) {
          /* to the end */
        }
      } catch (caught) {
        error = caught
      }
      assert.match(String(error), /out of memory/)
      assert.strictEqual(JSON.parse(Fs.readFileSync(Path.join(outdir, ".ezpz/run.json"), "utf8")).state, "failed")
    }))

  it("takes a synchronous iterable, too", () =>
    withDirectory(async (outdir) => {
      const seqs: Array<number> = []
      for await (const { seq } of track(of({ loss: 1 }, { loss: 2 }), { outdir, environment, finalize: false })) {
        seqs.push(seq)
      }
      assert.deepStrictEqual(seqs, [1, 2])
    }))
})

describe("make", () => {
  it("records synchronously, folds, and lets go of the directory", () =>
    withDirectory(async (outdir) => {
      {
        await using history = await make({ outdir, environment })
        assert.strictEqual(history.update({ loss: 0.42 }, { step: 1 }), "loss=0.420000")
        assert.strictEqual(readLines(history.logPath).length, 1)
        assert.throws(() => history.update(JSON.parse(`${"{\"a\":".repeat(70)}1${"}".repeat(70)}`)), /nested deeper/)
        const { dataset } = await history.finalize({ plots: false })
        assert.strictEqual(dataset?.draws, 1)
      }
      await using again = await make({ outdir, environment })
      assert.strictEqual(again.resumedAt, 1)
    }))
})
