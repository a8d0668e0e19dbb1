import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Files from "../../src/serve/Files.ts"
import { temporary } from "../support/directory.ts"

const names = ["metrics.jsonl", "dataset.h5", "train.h5", "metrics.csv", "report.md", "config.json"]

describe("Files", () => {
  it.live("lists what was made of a run, and nothing else that lies there", () =>
    Effect.scoped(Effect.gen(function*() {
      const directory = yield* temporary
      for (const folder of ["plots/mplot/train", ".ezpz", "tables", "src", "plots/.hidden"]) {
        Fs.mkdirSync(Path.join(directory, folder), { recursive: true })
      }
      const ours = [...names, "plots/mplot/train/loss.png", "plots/index.json", "tables/a.csv"]
      for (
        const name of [
          ...ours,
          ".env",
          "train.py",
          "id_rsa",
          ".ezpz/run.json",
          "src/metrics.csv",
          "plots/.hidden/a.png"
        ]
      ) Fs.writeFileSync(Path.join(directory, name), name)
      Fs.symlinkSync("/etc/passwd", Path.join(directory, "link.h5"))
      assert.deepStrictEqual(Files.list(directory).map(({ path }) => path).sort(), [...ours].sort())
      assert.deepStrictEqual(Files.list(Path.join(directory, "gone")), [])
    })))

  it.live("opens what it lists, and nothing through a link, out of the run, or that is no file", () =>
    Effect.scoped(Effect.gen(function*() {
      const root = yield* temporary
      const directory = Path.join(root, "run")
      Fs.mkdirSync(Path.join(directory, "plots"), { recursive: true })
      Fs.mkdirSync(Path.join(root, "outside"))
      Fs.writeFileSync(Path.join(root, "metrics.csv"), "secret")
      Fs.writeFileSync(Path.join(root, "outside", "a.png"), "secret")
      Fs.writeFileSync(Path.join(directory, "metrics.csv"), "a,b")
      Fs.symlinkSync("../metrics.csv", Path.join(directory, "training_history.csv"))
      Fs.symlinkSync(Path.join(root, "outside"), Path.join(directory, "plots", "mplot"))
      Fs.mkdirSync(Path.join(directory, "a.h5"))
      execFileSync("mkfifo", [Path.join(directory, "fifo.h5")])
      const opened = Files.open(directory, "metrics.csv")
      assert.strictEqual(opened?.size, 3)
      if (opened !== undefined) Fs.closeSync(opened.fd)
      for (
        const path of [
          "",
          ".",
          "..",
          "../metrics.csv",
          "./metrics.csv",
          "plots/../metrics.csv",
          "plots//a.png",
          "/etc/passwd",
          Path.join(directory, "metrics.csv"),
          "metrics.csv\0.png",
          "..\\metrics.csv",
          "training_history.csv",
          "plots/mplot/a.png",
          "a.h5",
          "fifo.h5",
          "gone.h5",
          ".ezpz/run.json",
          `${"a/".repeat(3000)}a.png`
        ]
      ) assert.isUndefined(Files.open(directory, path), JSON.stringify(path))
    })))
})
