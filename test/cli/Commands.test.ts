import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { lines, records, run, temporary } from "./command.ts"

describe("plot", () => {
  it("draws a run, its log, and any file of JSON lines alike", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "raw.jsonl"), `text\n${records(100)}`)
    await run(["raw.jsonl", "-o", "r", "--no-finalize", "-q"], { cwd })
    const [a, b, c] = await Promise.all(
      ["r", "r/metrics.jsonl", "raw.jsonl"].map((path) => run(["plot", path, "--metric", "loss"], { cwd }))
    )
    assert.strictEqual(a?.code, 0, a?.error)
    assert.include(a?.out, "loss")
    assert.notInclude(a?.out, "train/acc")
    assert.notInclude(a?.out, "\u001b")
    assert.isAbove(lines(a?.out ?? "").length, 10)
    assert.strictEqual(b?.out, a?.out)
    assert.strictEqual(c?.out, a?.out)
  })

  it("finds a metric with or without its group, several, or all", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "raw.jsonl"), records(100))
    const { out } = await run(["plot", "raw.jsonl", "-m", "acc"], { cwd })
    assert.include(out, "train/acc")
    const all = await run(["plot", "raw.jsonl"], { cwd })
    const both = await run(["plot", "raw.jsonl", "-m", "loss", "-m", "train/acc"], { cwd })
    assert.strictEqual(both.out, all.out)
    assert.include(all.out, "loss")
    assert.include(all.out, "train/acc")
  })

  it("an unknown metric is wrong usage, and those there are are listed", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "raw.jsonl"), records(10))
    const { code, error, out } = await run(["plot", "raw.jsonl", "--metric", "lost"], { cwd })
    assert.deepStrictEqual([code, out], [2, ""])
    assert.match(error, /^.*lost.*loss.*train\/acc.*\n$/)
  })

  it("a file without numbers draws nothing, and says so", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "raw.jsonl"), "hello\n{\"a\":\"b\"}\n")
    const { code, error, out } = await run(["plot", "raw.jsonl"], { cwd })
    assert.deepStrictEqual([code, out], [0, ""])
    assert.include(error, "no numeric metrics")
  })
})

describe("finalize", () => {
  it("made again, the outputs are the same to the byte", async () => {
    const directory = temporary()
    await run(["-", "-o", directory, "--backends", "csv"], { input: records(50) })
    const names = Fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) =>
      /\.(h5|png|svg|txt|csv|jsonl)$/.test(name) && !name.includes("rank0") && !name.startsWith(".ezpz")
    )
    const contents = () => names.map((name) => Fs.readFileSync(Path.join(directory, name)).toString("base64"))
    const before = contents()
    const { code, error } = await run(["finalize", directory])
    assert.strictEqual(code, 0, error)
    assert.isAbove(names.length, 8)
    for (const [i, content] of contents().entries()) assert.strictEqual(content, before[i], names[i])
  })

  it("takes the log itself, and a log that stands alone", async () => {
    const cwd = temporary()
    await run(["-", "-o", "r", "--no-finalize"], { cwd, input: records(5) })
    Fs.mkdirSync(Path.join(cwd, "alone"))
    Fs.copyFileSync(Path.join(cwd, "r/metrics.jsonl"), Path.join(cwd, "alone/metrics.jsonl"))
    for (const path of ["r/metrics.jsonl", "alone/metrics.jsonl"]) {
      const { code, error } = await run(["finalize", path, "--no-plots"], { cwd })
      assert.strictEqual(code, 0, error)
      assert.isTrue(Fs.existsSync(Path.join(cwd, Path.dirname(path), "dataset.h5")))
    }
  })

  it("a torn and a corrupt line of the log cost themselves, and are counted", async () => {
    const directory = temporary()
    await run(["-", "-o", directory, "--no-finalize"], { input: records(5) })
    const path = Path.join(directory, "metrics.jsonl")
    const log = Fs.readFileSync(path, "utf8").split("\n")
    log[2] = "\0\0\0\0 \ufffd"
    Fs.writeFileSync(path, `${log.join("\n")}{"seq":6,"step":6,"timest`)
    const { code, error } = await run(["finalize", directory, "--no-plots"])
    assert.strictEqual(code, 0)
    assert.include(error, "4 records")
    assert.match(error, /\b[12] lines? of the log could not be read/)
  })

  it("a file of plain records is no run: it is told how to track it", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "raw.jsonl"), records(5))
    const { code, error } = await run(["finalize", "raw.jsonl"], { cwd })
    assert.strictEqual(code, 2)
    assert.include(error, "ezpz-stream raw.jsonl")
    assert.deepStrictEqual(Fs.readdirSync(cwd), ["raw.jsonl"])
  })
})

describe("secrets", () => {
  const secret = "verysecretvalue-0123456789"
  const env = {
    WANDB_API_KEY: secret,
    MLFLOW_TRACKING_PASSWORD: secret,
    MLFLOW_TRACKING_TOKEN: secret,
    AMSC_API_KEY: secret,
    MY_SERVICE_TOKEN: secret,
    HF_TOKEN: secret
  }

  it("doctor says which credentials there are, never what they are", async () => {
    const cwd = temporary()
    const { code, error, out } = await run(["doctor"], { cwd, env })
    assert.strictEqual(code, 0, error)
    assert.include(out, "WANDB_API_KEY")
    assert.notInclude(`${out}${error}`, secret)
    assert.deepStrictEqual(Fs.readdirSync(cwd), [])
  })

  it("no output and no file of a run holds one", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "c.json"), `{"wandb": {"api_key": "${secret}"}, "db_password": "${secret}"}`)
    const config = [
      "--config",
      `api_key=${secret}`,
      "--config",
      `url=https://user:${secret}@host/x`,
      "--config",
      "@c.json"
    ]
    const args = [
      "run",
      "-o",
      "r",
      "--backends",
      "csv",
      ...config,
      "--",
      "bash",
      "-c",
      "echo '{\"loss\":1}'",
      "x",
      "--token",
      secret
    ]
    const { code, error, out } = await run(args, { cwd, env })
    assert.strictEqual(code, 0, error)
    assert.notInclude(`${out}${error}`, secret)
    const again = await run(["finalize", "r"], { cwd, env })
    assert.notInclude(`${again.out}${again.error}`, secret)
    for (const name of Fs.readdirSync(Path.join(cwd, "r"), { recursive: true, encoding: "utf8" })) {
      const path = Path.join(cwd, "r", name)
      if (Fs.statSync(path).isFile()) assert.isFalse(Fs.readFileSync(path).includes(secret), name)
    }
  })
})
