import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { temporary as directory } from "../../support/directory.ts"
import { contents, createdAt, folder, kept, row, startProcess } from "./support.ts"

const rows = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => row(from + i, { loss: 1 / (from + i), [`key${(from + i) % 3}`]: i }))

const fileOf = (directory: string) => Path.join(folder(directory), "run-run-1.wandb")
const steps = (directory: string) => contents(fileOf(directory)).history.map((line) => Number(line["_step"]))
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

describe("Offline", () => {
  it.effect("a run is in W&B's own place, from header to footer", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const { wandb } = yield* startProcess(path)
      yield* wandb.log(rows(1, 3))
      yield* wandb.finish("finished")
      const date = new Date(createdAt * 1000)
      const day = `${date.getFullYear()}${String(date.getMonth() + 1).padStart(2, "0")}`
      assert.match(Path.basename(folder(path)), new RegExp(`^offline-run-${day}\\d\\d_\\d{6}-run-1$`))
      assert.deepStrictEqual(Fs.readdirSync(folder(path)).sort(), ["files", "logs", "run-run-1.wandb"])
      assert.deepStrictEqual(contents(fileOf(path)).kinds, [21, 17, 26, 12, 12, 2, 2, 2, 3, 3, 18, 22])
      assert.deepStrictEqual(yield* wandb.files, [fileOf(path)])
    }))

  it.effect("a batch is in the file when it is acknowledged, in one piece", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const { wandb } = yield* startProcess(path)
      yield* wandb.log(rows(1, 2000))
      assert.deepStrictEqual(steps(path), upTo(2000))
    }))

  it.effect("a run that is killed goes on from any checkpoint, wherever its file is torn, with no line lost or doubled", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const first = yield* startProcess(path)
      const checkpoints = [kept(yield* first.wandb.checkpoint)]
      for (let batch = 0; batch < 6; batch++) {
        yield* first.wandb.log(rows(batch * 40 + 1, batch * 40 + 40))
        yield* first.wandb.logSystem([{ seq: batch, timestamp: createdAt + batch, metrics: { cpu: 1 } }])
        checkpoints.push(kept(yield* first.wandb.checkpoint))
      }
      yield* first.kill
      const file = fileOf(path)
      const whole = Fs.readFileSync(file)
      const cuts = Array.from({ length: 120 }, (_, i) => Math.round(whole.length * (1 - i / 130)) - i)
      for (const [i, cut] of cuts.entries()) {
        Fs.writeFileSync(file, whole.subarray(0, cut))
        const known = i % checkpoints.length
        const { kill, wandb } = yield* startProcess(path, { checkpoint: checkpoints[known] })
        // Where less is left than was acknowledged, all rows come again.
        yield* wandb.log(rows(wandb.restart ? 1 : known * 40 + 1, 300))
        yield* wandb.finish("finished")
        yield* kill
        assert.deepStrictEqual(steps(path), upTo(300), `cut at ${cut} of ${whole.length}, checkpoint ${known}`)
        assert.strictEqual(contents(file).kinds.at(-1), 22)
      }
    }))

  it.effect("a run that was closed goes on where it was, and is closed once", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const first = yield* startProcess(path)
      yield* first.wandb.log(rows(1, 5))
      const checkpoint = kept(yield* first.wandb.checkpoint)
      yield* first.wandb.logTable("history", { columns: ["a"], rows: Stream.fromIterable([[1], [NaN]]) })
      yield* first.wandb.finish("killed")
      yield* first.kill
      const file = fileOf(path)
      const closed = Fs.readFileSync(file)
      // The table is shown by a line of its own.
      assert.deepStrictEqual(steps(path), upTo(6))
      Fs.writeFileSync(`${file}.synced`, "")

      // Nothing new: nothing changes.
      const idle = yield* startProcess(path, { checkpoint })
      yield* idle.wandb.finish("killed")
      yield* idle.kill
      assert.isTrue(closed.equals(Fs.readFileSync(file)))
      assert.isTrue(Fs.existsSync(`${file}.synced`))

      const second = yield* startProcess(path, { checkpoint })
      yield* second.wandb.log(rows(5, 8))
      yield* second.wandb.finish("finished")
      assert.isFalse(Fs.existsSync(`${file}.synced`))
      assert.deepStrictEqual(steps(path), upTo(8))
      const { kinds } = contents(file)
      assert.deepStrictEqual(kinds.filter((kind) => kind >= 18 && kind <= 22), [21, 18, 22])
    }))

  it.effect("files that were removed are begun anew, and all rows asked for", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const first = yield* startProcess(path)
      yield* first.wandb.log(rows(1, 5))
      const checkpoint = kept(yield* first.wandb.checkpoint)
      assert.isFalse(first.wandb.restart)
      Fs.rmSync(folder(path), { recursive: true })
      // While it runs that is a failure, and nothing is acknowledged.
      assert.include((yield* Effect.flip(first.wandb.log(rows(6, 7)))).message, "removed")
      yield* first.kill
      const second = yield* startProcess(path, { checkpoint })
      assert.isTrue(second.wandb.restart)
      yield* second.wandb.log(rows(1, 7))
      assert.deepStrictEqual(steps(path), upTo(7))
    }))

  it.effect("without a checkpoint the run begins anew", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const first = yield* startProcess(path)
      yield* first.wandb.log(rows(1, 50))
      yield* first.kill
      const second = yield* startProcess(path)
      yield* second.wandb.log(rows(1, 2))
      assert.deepStrictEqual(steps(path), upTo(2))
    }))

  it.effect("the latest value of each key is in the summary, whatever came in one batch", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const { wandb } = yield* startProcess(path)
      yield* wandb.log([row(1, { a: 1, b: 1 }), row(2, { a: 2, c: null }), row(3, { b: 3 })])
      yield* wandb.logSummary({ best: 0.5, none: null })
      const { summary } = contents(fileOf(path))
      assert.deepInclude(summary, { a: "2", b: "3", best: "0.5", _step: "2", step: "20" })
      assert.doesNotHaveAnyKeys(summary, ["c", "none"])
      yield* wandb.finish("finished")
      assert.strictEqual(contents(fileOf(path)).summary["_wandb.runtime"], "2")
    }))

  it.effect("the run's directory may move, and the run goes on there", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const [from, to] = [Path.join(path, "a"), Path.join(path, "b", "c")]
      Fs.mkdirSync(from)
      Fs.mkdirSync(to, { recursive: true })
      const first = yield* startProcess(from)
      yield* first.wandb.log(rows(1, 3))
      yield* first.wandb.move(to)
      assert.isFalse(Fs.existsSync(Path.join(from, "wandb")))
      yield* first.wandb.log(rows(4, 5))
      assert.deepStrictEqual(yield* first.wandb.files, [fileOf(to)])
      const checkpoint = kept(yield* first.wandb.checkpoint)
      yield* first.kill
      const second = yield* startProcess(to, { checkpoint })
      yield* second.wandb.log(rows(6, 7))
      assert.deepStrictEqual(steps(to), upTo(7))
    }))

  it.effect("where the user has named a place, offline runs are there and stay there", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const [from, to, place] = ["a", "b", "place"].map((name) => Path.join(path, name))
      if (from === undefined || to === undefined || place === undefined) return assert.fail()
      Fs.mkdirSync(from)
      const { wandb } = yield* startProcess(from, { environment: { WANDB_MODE: "offline", WANDB_DIR: place } })
      yield* wandb.move(to)
      yield* wandb.log(rows(1, 3))
      assert.deepStrictEqual(steps(place), upTo(3))
      assert.deepStrictEqual(yield* wandb.files, [])
    }))

  it.effect("artifacts are among the run's files; one that is gone fails for good, the others are taken", () =>
    Effect.gen(function*() {
      const path = yield* directory
      Fs.mkdirSync(Path.join(path, "plots"))
      Fs.writeFileSync(Path.join(path, "plots", "loss.svg"), "<svg/>")
      const { wandb } = yield* startProcess(path)
      // The run's own files are not taken for artifacts.
      const paths = [Path.join(path, "plots"), fileOf(path), Path.join(path, "gone.md")]
      const error = yield* Effect.flip(wandb.logArtifacts(paths))
      assert.isTrue(error.permanent)
      assert.include(error.message, "gone.md")
      const files = Path.join(folder(path), "files")
      assert.deepStrictEqual(Fs.readdirSync(files, { recursive: true }).sort(), ["plots", "plots/loss.svg"])
      yield* wandb.logArtifacts([Path.join(path, "plots", "loss.svg")])
      assert.strictEqual(Fs.readFileSync(Path.join(files, "plots", "loss.svg"), "utf8"), "<svg/>")
      const missing = yield* Effect.flip(wandb.logImage("a", Path.join(path, "gone.png")))
      assert.isTrue(missing.permanent)
    }))

  it.effect("an image is shown by the record that comes after it", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const image = Path.join(path, "x.png")
      Fs.writeFileSync(image, png)
      const { wandb } = yield* startProcess(path)
      yield* wandb.log(rows(1, 2))
      yield* wandb.logImage("loss", image, { caption: "a caption" })
      yield* wandb.log(rows(3, 4))
      yield* wandb.finish("failed")
      const { history } = contents(fileOf(path))
      const shown = history.map((line) => line["images/loss"])
      assert.deepStrictEqual(shown.map((text) => text !== undefined), [false, false, true, false])
      const entry = JSON.parse(shown[2] ?? "")
      assert.deepInclude(entry, { _type: "image-file", width: 3, height: 2, format: "png", caption: "a caption" })
      assert.isTrue(Fs.readFileSync(Path.join(folder(path), "files", entry.path)).equals(png))
    }))

  it.effect("disabled takes everything and writes nothing; another mode later gets all of it", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const off = yield* startProcess(path, { environment: { WANDB_DISABLED: "true" } })
      yield* off.wandb.log(rows(1, 5))
      const checkpoint = kept(yield* off.wandb.checkpoint)
      yield* off.wandb.finish("finished")
      assert.deepStrictEqual(Fs.readdirSync(path), [])
      assert.isFalse(off.wandb.wantsSystem)
      const on = yield* startProcess(path, { checkpoint })
      assert.isTrue(on.wandb.restart)
      const off2 = yield* startProcess(path, { environment: { WANDB_DISABLED: "true" }, checkpoint })
      assert.isFalse(off2.wandb.restart)
    }))

  it.effect("online without a key fails, and says what to do", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const error = yield* Effect.flip(
        startProcess(path, { environment: { WANDB_BASE_URL: "http://127.0.0.1:9", NETRC: Path.join(path, "none") } })
      )
      assert.include(error.message, "WANDB_API_KEY")
      assert.include(error.message, "WANDB_MODE=offline")
    }))
})

/** 3 x 2, as far as anybody looks. */
const png = Buffer.concat([
  Buffer.from("89504e470d0a1a0a0000000d49484452", "hex"),
  Buffer.from([0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, 0])
])
