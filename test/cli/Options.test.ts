import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { lines, logged, records, run, shell, temporary } from "./command.ts"

const track = (args: ReadonlyArray<string>, input: string, directory = temporary()) =>
  run(["-", "-o", directory, ...args], { input })

const runOf = (directory: string) => JSON.parse(Fs.readFileSync(Path.join(directory, ".ezpz/run.json"), "utf8"))

describe("summary lines", () => {
  it("--every N prints the first of each N, and loses no record", async () => {
    const directory = temporary()
    const { out } = await track(["--every", "10", "--no-finalize"], records(95), directory)
    assert.deepStrictEqual(
      lines(out).map((line) => Number(/^step=(\d+) /.exec(line)?.[1])),
      [1, 11, 21, 31, 41, 51, 61, 71, 81, 91]
    )
    assert.strictEqual(logged(directory).length, 95)
  })

  it("--precision and --summary say how", async () => {
    const input = `{"step":7,"loss":0.123456789,"lr":0.5}\n`
    const { out } = await track(["--no-finalize", "--precision", "2", "--summary", "tight"], input)
    assert.strictEqual(out, "step=7    loss=0.12 lr=0.50\n")
    const aligned = await track(["--no-finalize", "--precision", "0"], input)
    assert.strictEqual(aligned.out, "step=7     loss=0 lr=0\n")
  })

  it("--step-key says what the step is, and the line begins with it", async () => {
    const directory = temporary()
    const { out } = await track(
      ["--no-finalize", "--summary", "tight", "--step-key", "epoch"],
      `{"epoch":3,"step":17,"loss":1}\n{"step":18}\n`,
      directory
    )
    assert.deepStrictEqual(logged(directory).map(({ step }) => step), [3, 18])
    assert.match(lines(out)[0] ?? "", /^epoch=3 /)
    assert.match(lines(out)[1] ?? "", /^step=18/)
  })
})

describe("--config", () => {
  it("takes KEY=VALUE, JSON values, and files of nested values; later ones win", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "c.json"), `{"lr": 1, "model": {"layers": [1, 2], "name": "a=b"}}`)
    const args = [
      "--config",
      "@c.json",
      "--config",
      "lr=1e-4",
      "--config",
      "note=a=b c",
      "--config",
      `opt={"k":[true]}`
    ]
    const { code, error } = await run(["-", "-o", "r", "--no-finalize", ...args], { cwd, input: records(1) })
    assert.strictEqual(code, 0, error)
    assert.deepStrictEqual(runOf(Path.join(cwd, "r")).config, {
      lr: 1e-4,
      model: { layers: [1, 2], name: "a=b" },
      note: "a=b c",
      opt: { k: [true] }
    })
  })

  it("what is wrong with it is told in a line, and nothing is started", async () => {
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, "list.json"), "[1]")
    Fs.writeFileSync(Path.join(cwd, "torn.json"), "{\"a\":")
    for (const given of ["lr", "=1", "@missing.json", "@list.json", "@torn.json", "@."]) {
      const { code, error, out } = await run(["-", "-o", "r", "--config", given], { cwd, input: records(1) })
      assert.deepStrictEqual([code, out], [2, ""], given)
      assert.match(error, /^--config .*\n$/)
      assert.isTrue(error.startsWith(`--config ${given}`), error)
    }
    assert.isFalse(Fs.existsSync(Path.join(cwd, "r")))
  })
})

describe("what is made", () => {
  it("--no-plots draws none, --no-finalize makes nothing but the log and says how to make the rest", async () => {
    const [a, b] = [temporary(), temporary()]
    await track(["--no-plots"], records(5), a)
    assert.includeMembers(Fs.readdirSync(a), ["dataset.h5", "report.md"])
    assert.isFalse(Fs.existsSync(Path.join(a, "plots")))
    const { error } = await track(["--no-finalize"], records(5), b)
    assert.deepStrictEqual(
      Fs.readdirSync(b).filter((name) => name !== ".ezpz" && name !== "logs" && !name.includes("rank0")),
      [
        "metrics.jsonl"
      ]
    )
    const command = /ezpz-stream (finalize .*)\n/.exec(error)?.[1]?.split(" ") ?? []
    const { code } = await run([...command, "--no-plots"])
    assert.strictEqual(code, 0)
    assert.include(Fs.readdirSync(b), "dataset.h5")
  })

  it("the account names the run's files, and they are there", async () => {
    const directory = temporary()
    const { error } = await track([], records(5), directory)
    assert.include(error, `outputs: ${directory}`)
    for (const name of ["metrics.jsonl, 5 records", "dataset.h5 train.h5", "2 png and svg", "report.md report.html"]) {
      assert.include(error, name)
    }
  })

  it("--warmup leaves draws out of datasets", async () => {
    const directory = temporary()
    await track(["--no-plots", "--warmup", "0.5"], records(10), directory)
    assert.match(Fs.readFileSync(Path.join(directory, "report.md"), "utf8"), /dataset\.h5.*\| 5 \|/)
  })

  it("a report's links lead to files, also where --outdir is relative", async () => {
    const cwd = temporary()
    await run(["-", "-o", "sub/run"], { cwd, input: records(5) })
    const report = Fs.readFileSync(Path.join(cwd, "sub/run/report.md"), "utf8")
    const links = [...report.matchAll(/\]\(([^)#]+)\)/g)].map((match) => decodeURI(match[1] ?? ""))
    assert.isAbove(links.length, 5)
    for (const link of links) assert.isTrue(Fs.existsSync(Path.join(cwd, "sub/run", link)), link)
  })

  it("without --outdir a run has a directory of its own, and two runs two", async () => {
    const cwd = temporary()
    for (let i = 0; i < 2; i++) {
      await run(["-", "--project", "my/../project", "--no-finalize"], { cwd, input: records(1) })
    }
    const [project = "", ...none] = Fs.readdirSync(Path.join(cwd, "outputs"))
    assert.deepStrictEqual(none, [])
    assert.strictEqual(Fs.readdirSync(Path.join(cwd, "outputs", project)).length, 2)
  })
})

describe("--strict", () => {
  it("is 1 where a line was refused, else 0", async () => {
    assert.strictEqual((await track(["--strict", "--no-plots"], records(3))).code, 0)
    assert.strictEqual((await track(["--strict", "--no-plots"], `${records(3)}no record\n`)).code, 1)
    assert.strictEqual((await track(["--no-plots"], `${records(3)}no record\n`)).code, 0)
  })
})

describe("usage", () => {
  const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
    [["--every", "0"], "--every"],
    [["--every", "x"], "--every"],
    [["--every", "1.5"], "--every"],
    [["--precision", "-1"], "--precision"],
    [["--precision", "21"], "--precision"],
    [["--summary", "wide"], "--summary"],
    [["--warmup", "-1"], "--warmup"],
    [["--warmup", "1.5"], "--warmup"],
    [["--warmup", "NaN"], "--warmup"],
    [["--num-chains", "0"], "--num-chains"],
    [["--distributed", "maybe"], "--distributed"],
    [["--outdir"], "--outdir"],
    [["--outdir", ""], "--outdir"],
    [["--no-such-flag"], "--no-such-flag"],
    [["-", "more"], "more"],
    [["finalize"], "RUN"],
    [["finalize", "no/such/run"], "no/such/run"],
    [["finalize", "."], "metrics.jsonl"],
    [["plot"], "RUN|LOG"],
    [["plot", "no/such/run"], "no/such/run"],
    [["run"], "CMD"],
    [["no-such-verb"], "no-such-verb"]
  ]
  it("what is wrong is exit 2, told on stderr in a line that names it, and nothing is started", async () => {
    const cwd = temporary()
    for (const [args, named] of wrong) {
      const { code, error, out } = await run(args, { cwd, input: records(1) })
      assert.deepStrictEqual([code, out], [2, ""], args.join(" "))
      const [first = "", ...more] = lines(error)
      assert.include(first, named)
      assert.isAtMost(more.length, 1, error)
      assert.notInclude(error, "    at ")
    }
    assert.deepStrictEqual(Fs.readdirSync(cwd), [])
  })

  it("a current directory that is gone is told of, not a stack trace", async () => {
    const cwd = temporary()
    const script = "mkdir gone && cd gone && rmdir ../gone && echo '{\"a\":1}' | ezpz-stream"
    const { code, error, out } = await shell(script, { cwd }).ended
    assert.deepStrictEqual([code, out], [1, ""])
    assert.match(error, /^The current directory has been removed.*\n$/)
  })

  it("--help and --version write to stdout alone, and end with 0", async () => {
    for (
      const args of [["--help"], ["-h"], ["run", "--help"], ["finalize", "--help"], ["plot", "--help"], [
        "doctor",
        "-h"
      ]]
    ) {
      const { code, error, out } = await run(args)
      assert.deepStrictEqual([code, error], [0, ""], args.join(" "))
      assert.include(out, "USAGE")
      assert.notInclude(out, "\u001b")
    }
    const { code, error, out } = await run(["--version"])
    assert.deepStrictEqual([code, error], [0, ""])
    assert.match(out, /\d+\.\d+\.\d+\n$/)
  })

  it("every option is in --help", async () => {
    const { out } = await run(["--help"])
    for (
      const name of [
        "backends",
        "outdir",
        "project",
        "run-name",
        "config",
        "step-key",
        "every",
        "precision",
        "summary",
        "warmup"
      ]
    ) {
      assert.include(out, `--${name}`)
    }
    for (
      const name of ["num-chains", "no-plots", "no-finalize", "tee", "strict", "quiet", "follow", "resume", "overwrite"]
    ) {
      assert.include(out, `--${name}`)
    }
    assert.include(out, "EXAMPLES")
  })
})
