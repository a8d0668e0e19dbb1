/** `--memory` and `--flops-per-step`, with a driver's library of the test's making (support/drivers). */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { compileNvml, gib } from "../support/drivers.ts"
import { ezpz, lines, logged, records, run, temporary } from "./command.ts"

const off = { EZPZ_NVML: "off", EZPZ_LEVEL_ZERO: "off" }

const track = async (
  args: ReadonlyArray<string>,
  input: string,
  env: Readonly<Record<string, string>>,
  cwd = temporary()
) => {
  const ended = await run(["-", "-o", "r", "--no-finalize", ...args], { cwd, input, env })
  assert.strictEqual(ended.code, 0, ended.error)
  return { ...ended, rows: logged(Path.join(cwd, "r")) }
}

describe("--memory", () => {
  it("adds the four metrics to each record, and their token to the line", async () => {
    const nvml = compileNvml(temporary())
    nvml.set({ used: 12 * gib, reserved: gib / 2, total: 80 * gib })
    const { error, out, rows } = await track(["--memory", "--precision", "2"], records(2), nvml.environment)
    assert.deepStrictEqual(lines(out), [
      "step=1     loss=1 train/acc=0.50 memory=12.00/12.50GiB (15%)",
      "step=2     loss=0.50 train/acc=0.50 memory=12.00/12.50GiB (15%)"
    ])
    assert.notInclude(error, "warning")
    const memory = { mem_alloc: 12, mem_peak_alloc: 12, mem_reserved: 12.5, mem_peak_reserved: 12.5 }
    assert.deepStrictEqual(rows.map(({ metrics }) => metrics), [
      { loss: 1, "train/acc": 0.5, ...memory },
      { loss: 0.5, "train/acc": 0.5, ...memory }
    ])
  })

  it("sees a peak between two records, also of a command that it started", async () => {
    const nvml = compileNvml(temporary())
    const [cwd, go] = [temporary(), Path.join(temporary(), "go")]
    nvml.set({ used: gib })
    const script = `echo '{"step":1}'; while [ ! -e '${go}' ]; do sleep 0.02; done; echo '{"step":2}'`
    const args = ["run", "-o", "r", "--no-finalize", "--memory", "--", "sh", "-c", script]
    const running = ezpz(args, { cwd, env: nvml.environment })
    await running.until(({ out }) => out().includes("step=1"))
    const next = async (used: number): Promise<void> => {
      nvml.set({ used: used * gib })
      nvml.calls()
      // A reading that may have begun before, and one after it.
      let readings = 0
      while (readings < 2) {
        await new Promise((resolve) => setTimeout(resolve, 10))
        readings += nvml.calls().length
      }
    }
    await next(40)
    await next(2)
    Fs.writeFileSync(go, "")
    const { code, out } = await running.ended
    assert.strictEqual(code, 0)
    assert.match(lines(out)[1] ?? "", /memory=2\.00\/2\.50GiB \(50%\)$/)
    assert.strictEqual(logged(Path.join(cwd, "r"))[1]?.metrics["mem_peak_alloc"], 40)
  })

  it("is that of each rank's own GPU, and has statistics across ranks", async () => {
    const nvml = compileNvml(temporary())
    const cwd = temporary()
    nvml.set({ used: gib }, { used: 3 * gib })
    const rank = (n: number) =>
      run(["-", "-o", "r", "--no-finalize", "--memory"], {
        cwd,
        input: `{"step":1,"loss":${n}}\n`,
        env: {
          ...nvml.environment,
          EZPZ_RANK: `${n}`,
          EZPZ_WORLD_SIZE: "2",
          EZPZ_LOCAL_RANK: `${n}`,
          EZPZ_LOCAL_WORLD_SIZE: "2",
          EZPZ_JOB_ID: "memory",
          EZPZ_RENDEZVOUS_DIR: cwd
        }
      })
    const [root, other] = await Promise.all([rank(0), rank(1)])
    assert.deepStrictEqual([root.code, other.code], [0, 0], root.error + other.error)
    const log = Fs.readFileSync(Path.join(cwd, "r/metrics.jsonl"), "utf8").split("\n").filter((line) => line !== "")
    const aggregated = log.map((line) => JSON.parse(line)).find((line) => "aggregated" in line).aggregated
    assert.deepStrictEqual(
      ["mean", "min", "max", "std"].map((name) => aggregated[`mem_alloc/${name}`]),
      [2, 1, 3, 1]
    )
    assert.match(root.out, /memory=1\.00\/1\.50GiB/)
  })

  it("adds nothing where the job tells its own, whatever their prefix", async () => {
    const nvml = compileNvml(temporary())
    nvml.set({})
    const input = `{"train/mem_alloc":1.5}\n{"mem_peak_reserved":2}\n`
    const { rows } = await track(["--memory"], input, nvml.environment)
    assert.deepStrictEqual(rows.map(({ metrics }) => metrics), [{ "train/mem_alloc": 1.5 }, { mem_peak_reserved: 2 }])
  })

  it("adds nothing with EZPZ_TRACK_MEMORY=0, in the shell or a .env; a .env names no library", async () => {
    const nvml = compileNvml(temporary())
    nvml.set({})
    const shell = await track(["--memory"], `{"a":1}\n`, { ...nvml.environment, EZPZ_TRACK_MEMORY: "0" })
    assert.deepStrictEqual(shell.rows[0]?.metrics, { a: 1 })
    const cwd = temporary()
    Fs.writeFileSync(Path.join(cwd, ".env"), "EZPZ_TRACK_MEMORY=0\n")
    assert.deepStrictEqual((await track(["--memory"], `{"a":1}\n`, nvml.environment, cwd)).rows[0]?.metrics, { a: 1 })
    assert.deepStrictEqual(nvml.calls(), [])
    const other = temporary()
    Fs.writeFileSync(Path.join(other, ".env"), `EZPZ_NVML=${nvml.path}\n`)
    await track(["--memory"], `{"a":1}\n`, {}, other)
    assert.deepStrictEqual(nvml.calls(), [])
  })

  it("without a GPU says so in a line, and the run is as it would be", async () => {
    const { error, out, rows } = await track(["--memory"], records(2), off)
    assert.lengthOf(lines(error).filter((line) => line.startsWith("warning:")), 1)
    assert.include(error, "warning: No GPU was found, or its driver does not answer: --memory adds nothing\n")
    assert.notInclude(out, "memory")
    assert.deepStrictEqual(Object.keys(rows[0]?.metrics ?? {}), ["loss", "train/acc"])
  })

  it("a driver that hangs does not keep a run from being recorded, and from ending", async () => {
    const nvml = compileNvml(temporary())
    nvml.write("hang\n")
    const { error, rows } = await track(["--memory"], records(3), nvml.environment)
    assert.include(error, "does not answer")
    assert.include(error, "3 lines: 3 accepted, 0 refused")
    assert.lengthOf(rows, 3)
  })
})

describe("doctor", () => {
  const gpus = (out: string): ReadonlyArray<string> => {
    const from = lines(out).findIndex((line) => line.startsWith("gpu "))
    const rest = lines(out).slice(from)
    const rows = rest.slice(0, rest.findIndex((line, i) => i > 0 && line.startsWith("outputs")))
    // What a bridge would use is looked at elsewhere.
    return rows.map((line) => line.slice(14)).filter((line) => !line.startsWith("no bridge"))
  }

  it("lists the GPUs, their memory and peak, and through what they were asked", async () => {
    const nvml = compileNvml(temporary())
    nvml.set({}, { name: "NVIDIA Quadro 2000", total: gib })
    const { code, out } = await run(["doctor"], { cwd: temporary(), env: nvml.environment })
    assert.strictEqual(code, 0)
    assert.deepStrictEqual(gpus(out), [
      "0: NVIDIA H100 80GB HBM3, 80.0 GiB, peak 989 TFLOPS",
      "1: NVIDIA Quadro 2000, 1.0 GiB, peak not known",
      `NVML: ${nvml.path}, driver 550.54.15`
    ])
  })

  it("says why there are none", async () => {
    const nvml = compileNvml(temporary())
    nvml.write("init 18\n")
    const cwd = temporary()
    const broken = await run(["doctor"], { cwd, env: nvml.environment })
    assert.deepStrictEqual(gpus(broken.out), [
      "none found",
      `NVML: ${nvml.path} does not start: library and driver have different versions`
    ])
    const missing = await run(["doctor"], { cwd, env: { EZPZ_NVML: "/nowhere/libnvidia-ml.so.1" } })
    assert.match(gpus(missing.out)[1] ?? "", /^NVML: \/nowhere\/libnvidia-ml\.so\.1: .*cannot open shared object file/)
  })
})

describe("--flops-per-step", () => {
  const nvmlOf = (name: string): Readonly<Record<string, string>> => {
    const nvml = compileNvml(temporary())
    nvml.set({ name })
    return nvml.environment
  }

  it("adds tflops and mfu to records with a dt, by the GPU's name", async () => {
    const input = [
      `{"step":1,"dt":0.5,"loss":2}`,
      `{"step":2,"train/dt":0.25,"loss":2}`,
      `{"step":3,"loss":2}`,
      `{"step":4,"eval/dt":1,"dtf":1,"timing/forward/dt":1}`
    ].join("\n")
    const { out, rows } = await track(
      ["--flops-per-step", "98.9e12", "--precision", "1", "--summary", "tight"],
      input,
      nvmlOf("NVIDIA H100 80GB HBM3")
    )
    assert.strictEqual(lines(out)[0], "step=1    dt=0.5 loss=2 tflops=197.8 mfu=20")
    assert.deepStrictEqual(rows.map(({ metrics }) => metrics), [
      { dt: 0.5, loss: 2, tflops: 197.8, mfu: 20 },
      { "train/dt": 0.25, loss: 2, "train/tflops": 395.6, "train/mfu": 40 },
      { loss: 2 },
      { "eval/dt": 1, dtf: 1, "timing/forward/dt": 1 }
    ])
  })

  it("adds nothing to a dt that is no time, and replaces nothing that the job says", async () => {
    const input = [
      `{"dt":0}`,
      `{"dt":-1}`,
      `{"dt":NaN}`,
      `{"dt":Infinity}`,
      `{"dt":"1"}`,
      `{"dt":true}`,
      `{"dt":[1]}`,
      `{"dt":1e-320}`,
      `{"dt":1,"mfu":7}`
    ].join("\n")
    const { rows } = await track(["--flops-per-step", "1e12"], input, { ...off, EZPZ_PEAK_FLOPS: "2e12" })
    assert.deepStrictEqual(
      rows.map(({ metrics }) => [metrics["tflops"], metrics["mfu"]]),
      [...Array.from({ length: 8 }, () => [undefined, undefined]), [1, 7]]
    )
  })

  it("EZPZ_PEAK_FLOPS says what a device can do; else an unknown one is warned about, and mfu is 0", async () => {
    const input = `{"dt":1}\n{"dt":1}\n`
    const given = await track(["--flops-per-step", "1e12"], input, {
      ...nvmlOf("NVIDIA H100"),
      EZPZ_PEAK_FLOPS: "4e12"
    })
    assert.strictEqual(given.rows[1]?.metrics["mfu"], 25)
    const cases: ReadonlyArray<readonly [Readonly<Record<string, string>>, ReadonlyArray<string>]> = [
      [nvmlOf("NVIDIA Quadro 2000"), ["The peak of NVIDIA Quadro 2000 is not known"]],
      [off, ["No GPU was found"]],
      [{ ...off, EZPZ_PEAK_FLOPS: "fast" }, ["EZPZ_PEAK_FLOPS is \"fast\"", "No GPU was found"]]
    ]
    for (const [env, warnings] of cases) {
      const { error, rows } = await track(["--flops-per-step", "1e12"], input, env)
      assert.deepStrictEqual(
        rows.map(({ metrics }) => metrics),
        Array.from({ length: 2 }, () => ({ dt: 1, tflops: 1, mfu: 0 }))
      )
      const told = lines(error).filter((line) => line.startsWith("warning:"))
      assert.lengthOf(told, warnings.length, error)
      for (const [i, warning] of warnings.entries()) assert.include(told[i], warning)
    }
  })

  it("leaves the text of a record as it came, and --tee the line", async () => {
    const odd = `  { "step" : 1 , "dt" : 0.50 , "n" : 12345678901234567890 , "s" : "a}\\u0022\\u007d" }  `
    const cwd = temporary()
    const { out } = await track(["--flops-per-step", "1e12", "--tee"], `${odd}\n`, off, cwd)
    assert.strictEqual(out, `${odd}\n`)
    const [line = ""] = Fs.readFileSync(Path.join(cwd, "r/metrics.jsonl"), "utf8").split("\n")
    assert.include(line, "12345678901234567890")
    assert.deepStrictEqual(JSON.parse(line).metrics, {
      dt: 0.5,
      n: Number("12345678901234567890"),
      s: "a}\"}",
      tflops: 2,
      mfu: 0
    })
  })

  it("what is no number above 0 is wrong usage", async () => {
    for (const value of ["0", "-1", "x", "Infinity", "NaN", ""]) {
      const { code, error } = await run(["-", `--flops-per-step=${value}`], { input: records(1) })
      assert.strictEqual(code, 2, value)
      assert.include(error, "--flops-per-step")
    }
  })
})
