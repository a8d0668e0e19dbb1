import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { execFileSync } from "node:child_process"
import { fixed, integer } from "../src/internal/pyformat.ts"
import type { Metrics } from "../src/Metrics.ts"
import * as Summary from "../src/Summary.ts"

const tight = (metrics: Metrics, options: Summary.Options = {}): string =>
  Summary.format(metrics, { ...options, style: "tight" })

describe("Summary: the line, in both styles", () => {
  const rows: ReadonlyArray<readonly [name: string, Metrics, precision: number, tight: string, aligned: string]> = [
    ["a std", { loss: 0.5, "loss/std": 0.02 }, 2, "loss=0.50(±0.020)", "loss=0.50(± 0.020)"],
    [
      "two significant digits",
      { loss: 0.289993, "loss/std": 0.157124 },
      6,
      "loss=0.289993(±0.16)",
      "loss=0.289993(±  0.16)"
    ],
    [
      "a small std",
      { dtb: 0.027595, "dtb/std": 0.000302 },
      6,
      "dtb=0.027595(±3.0e-4)",
      "dtb=0.027595(±3.0e-4)"
    ],
    [
      "a large std",
      { tflops: 16.778491, "tflops/std": 1.297581 },
      6,
      "tflops=16.778491(±1.3)",
      "tflops=16.778491(±   1.3)"
    ],
    ["a constant, std 0", { lr: 0.000234, "lr/std": 0 }, 6, "lr=0.000234", "lr=0.000234"],
    ["a constant, std .5", { lr: 0.000234, "lr/std": 0.5 }, 6, "lr=0.000234", "lr=0.000234"],
    [
      "a counter",
      { iter: 100, "iter/std": 5, loss: 0.5, "loss/std": 0.02 },
      2,
      "iter=100  loss=0.50(±0.020)",
      "iter=100   loss=0.50(± 0.020)"
    ],
    ["four digits", { iter: 1234, loss: 0.5 }, 6, "iter=1234 loss=0.500000", "iter=1234  loss=0.500000"],
    ["five digits", { iter: 12345, loss: 0.5 }, 6, "iter=12345 loss=0.500000", "iter=12345 loss=0.500000"],
    [
      "a counter behind a prefix",
      { "train/iter": 8, "train/loss": 0.5 },
      6,
      "train/iter=8 train/loss=0.500000",
      "train/iter=8 train/loss=0.500000"
    ],
    ["a statistic alone", { "loss/mean": 0.4 }, 2, "loss/mean=0.40", "loss/mean=0.40"],
    ["no numbers", { loss: NaN, acc: Infinity }, 6, "loss=nan acc=inf", "loss=nan acc=inf"],
    ["a std of NaN", { loss: 0.5, "loss/std": NaN }, 6, "loss=0.500000(±nan)", "loss=0.500000(±   nan)"],
    ["minus infinity", { loss: -Infinity, "loss/std": Infinity }, 6, "loss=-inf(±inf)", "loss=-inf(±   inf)"],
    ["an epoch", { epoch: 3, loss: 0.5 }, 1, "epoch=3 loss=0.5", "epoch=3  loss=0.5"],
    [
      "an index",
      { bidx: 3, idx: 4, batch: 5, step: 6, a: 0.5 },
      1,
      "bidx=3    idx=4     batch=5   step=6    a=0.5",
      "bidx=3     idx=4      batch=5    step=6     a=0.5"
    ],
    ["a counter at the end", { loss: 0.5, iter: 3 }, 1, "loss=0.5 iter=3", "loss=0.5 iter=3"],
    ["nothing", {}, 6, "", ""]
  ]
  for (const [name, metrics, precision, expectedTight, expectedAligned] of rows) {
    it(name, () => {
      assert.strictEqual(tight(metrics, { precision }), expectedTight)
      assert.strictEqual(Summary.format(metrics, { precision }), expectedAligned)
    })
  }

  it("the line of the documentation", () => {
    const summary = Summary.make({ precision: 3, memoryTotal: 64 })
    const line = summary.format(
      {
        iter: 180,
        loss: 0.0781,
        accuracy: 0.9842,
        dtf: 0.01404,
        "train/mem_alloc": 0.008,
        "train/mem_reserved": 0.012,
        "train/mem_peak_alloc": 0.011,
        "train/mem_peak_reserved": 0.012
      },
      {
        "iter/std": 0,
        "loss/mean": 0.08,
        "loss/min": 0.01,
        "loss/max": 0.2,
        "loss/std": 0.0262,
        "accuracy/std": 0.00991,
        "dtf/std": 0.000741,
        "train/mem_alloc/mean": 0.01,
        "train/mem_alloc/std": 0.01
      }
    )
    assert.strictEqual(
      line,
      "iter=180   loss=0.078(± 0.026) accuracy=0.984(±9.9e-3) dtf=0.014(±7.4e-4) memory=0.01/0.01GiB (0%)"
    )
  })
})

describe("Summary: the std", () => {
  const stds: ReadonlyArray<readonly [number, string]> = [
    [0.0099999, "1.0e-2"],
    [0.01, "0.010"],
    [0.0095, "9.5e-3"],
    [0.0996, "0.100"],
    [9.99, "10.0"],
    [99.5, "100"],
    [12.5, "12"],
    [611, "611"],
    [1e-10, "1.0e-10"],
    [5e-324, "4.9e-324"],
    [1e22, "10000000000000000000000"]
  ]
  for (const [std, text] of stds) {
    it(`${std} is ${text}`, () => assert.strictEqual(tight({ x: 0.5, "x/std": std }), `x=0.500000(±${text})`))
  }

  it("0 keeps its column in the aligned style, so that what follows stays put; the tight style leaves it out", () => {
    const row = (std: number): Metrics => ({ a: 0.5, "a/std": std, b: 0.25 })
    assert.strictEqual(Summary.format(row(0.026), { precision: 2 }), "a=0.50(± 0.026) b=0.25")
    assert.strictEqual(Summary.format(row(0), { precision: 2 }), "a=0.50          b=0.25")
    assert.strictEqual(Summary.format(row(-0), { precision: 2 }), "a=0.50          b=0.25")
    assert.strictEqual(tight(row(0), { precision: 2 }), "a=0.50 b=0.25")
  })

  it("a column at the end of the line leaves no blanks behind", () => {
    assert.strictEqual(Summary.format({ a: 0.5, "a/std": 0 }), "a=0.500000")
    assert.strictEqual(Summary.format({ a: 0.5, "a/std": 0, b: null }), "a=0.500000")
  })

  it("of a metric comes from the statistics handed over before the record", () => {
    assert.strictEqual(
      Summary.format({ a: 0.5, "a/std": 0.3 }, { aggregated: { "a/std": 0.02 } }),
      "a=0.500000(± 0.020)"
    )
  })
})

describe("Summary: what is a statistic", () => {
  it("is a key we made, not a pattern in names", () => {
    assert.strictEqual(
      Summary.format({ grad: 1.5, grad_mean: 0.5, grad_std: 0.25 }, { precision: 2 }),
      "grad=1.50 grad_mean=0.50 grad_std=0.25"
    )
  })

  it("is not shown beside its metric, in whatever order they come", () => {
    const metrics = { "a/max": 2, "a/std": 0.5, a: 1.5, "a/min": 1, "a/mean": 1.5, "a/avg": 1.5 }
    assert.strictEqual(tight(metrics, { precision: 1 }), "a=1.5(±0.50)")
    const { a, ...aggregated } = metrics
    assert.strictEqual(Summary.format({ a }, { precision: 1, style: "tight", aggregated }), "a=1.5(±0.50)")
  })

  it("is not shown where it is a rank, or how many had no value, unless a record has it as a metric", () => {
    const aggregated = { "a/nonfinite": 1, "a/mean": 1, "a/std": 0.5, "a/argmin": 0, "a/argmax": 3, "b/argmin": 2 }
    assert.strictEqual(Summary.format({ a: 1.5 }, { precision: 1, style: "tight", aggregated }), "a=1.5(±0.50)")
    assert.strictEqual(tight({ a: 1.5, "a/argmax": 3 }, { precision: 1 }), "a=1.5 a/argmax=3")
  })

  it("is shown where its metric is absent or has no value, in the order of the record", () => {
    assert.strictEqual(tight({ "b/std": 0.5, c: 0.25, "b/max": 1.5 }), "b/std=0.500000 c=0.250000 b/max=1.500000")
    assert.strictEqual(tight({ b: null, "b/max": 1.5 }), "b/max=1.500000")
    assert.strictEqual(
      Summary.format({ c: 0.25 }, { aggregated: { "b/mean": 0.5, "c/mean": 1, "b/std": 0 } }),
      "c=0.250000 b/mean=0.500000 b/std=0"
    )
  })

  it("has a number for a metric: what stands beside a string is a metric itself", () => {
    assert.strictEqual(tight({ model: "gpt", "model/mean": 0.5 }), "model=gpt model/mean=0.500000")
    assert.strictEqual(
      tight({ "constructor/std": 0.5, "__proto__/std": 0.5 }),
      "constructor/std=0.500000 __proto__/std=0.500000"
    )
  })
})

describe("Summary: integers", () => {
  it("print as integers, large ones with all their digits", () => {
    assert.strictEqual(
      Summary.format({ a: 8, b: -3, c: 0, d: 2 ** 60, e: 1e25 }),
      "a=8 b=-3 c=0 d=1152921504606846976 e=10000000000000000905969664"
    )
  })

  it("-0 is none", () => assert.strictEqual(Summary.format({ a: -0 }), "a=-0.000000"))

  it("stay integers as long as every value of the key was one, from line to line", () => {
    const { format } = Summary.make({ precision: 1 })
    assert.strictEqual(format({ a: 1, b: 1 }), "a=1 b=1")
    assert.strictEqual(format({ a: 0.5, b: 2 }), "a=0.5 b=2")
    assert.strictEqual(format({ a: 2, b: 3 }), "a=2.0 b=3")
    assert.strictEqual(format({ b: NaN, a: 3 }), "b=nan a=3.0")
    assert.strictEqual(format({ b: 3 }), "b=3.0")
    assert.strictEqual(Summary.format({ a: 2 }), "a=2")
  })

  it("are remembered by key, whatever stands around it", () => {
    const { format } = Summary.make({ precision: 1 })
    format({ "x/loss": 0.5 })
    assert.strictEqual(format({ loss: 1, "x/loss": 1, "x/loss/std": 1 }), "loss=1 x/loss=1.0(±   1.0)")
  })

  it("are remembered for the keys in use, while ever new keys come by", () => {
    const { format } = Summary.make({ precision: 1 })
    format({ a: 0.5 })
    for (let i = 0; i < 40_000; i++) format({ [`key${i}`]: 0.5, a: 1 })
    assert.strictEqual(format({ a: 1 }), "a=1.0")
    assert.strictEqual(format({ key1: 1 }), "key1=1", "a key of long ago is forgotten: memory is bounded")
  })

  it("print in records of more keys than are remembered", () => {
    const record = Object.fromEntries(Array.from({ length: 40_000 }, (_, i) => [`k${i}`, i / 2]))
    const { format } = Summary.make({ precision: 1 })
    const line = format(record)
    assert.strictEqual(line.split(" ").length, 40_000)
    assert.isTrue(line.startsWith("k0=0 k1=0.5 k2=1 k3=1.5 "))
    assert.isTrue(format(record).endsWith(" k39999=19999.5"))
  })
})

describe("Summary: other values", () => {
  it("an array prints as its mean, in two dimensions too", () => {
    assert.strictEqual(
      Summary.format({
        a: [1, 2, 6],
        b: [[1, 2], [3]],
        c: [],
        d: [1, NaN],
        e: [1e308, 1.5e308, 1.4e308].map((x) => x / 1e308)
      }, { precision: 2 }),
      "a=3.00 b=2.00 c=nan d=nan e=1.30"
    )
    assert.strictEqual(Summary.format({ a: [1e308, 1e308] }, { precision: 0 }), `a=${BigInt(1e308)}`)
    assert.strictEqual(tight({ a: [1, 2], "a/std": 0.5 }, { precision: 1 }), "a=1.5(±0.50)")
  })

  it("booleans and strings print as they are, null not at all", () => {
    assert.strictEqual(
      Summary.format({ a: true, b: false, c: "warm up", d: null, e: "" }),
      "a=true b=false c=warm up e="
    )
  })

  it("blanks at the end are cut", () => assert.strictEqual(Summary.format({ a: "x  ", d: null }), "a=x"))

  it("long strings are cut, and never in the middle of a character", () => {
    const line = Summary.format({ a: "x".repeat(1000) })
    assert.strictEqual(line, `a=${"x".repeat(119)}…`)
    assert.strictEqual(Summary.format({ a: "x".repeat(118) + "😀😀" }), `a=${"x".repeat(118)}…`)
    assert.strictEqual(Summary.format({ a: "x".repeat(120) }), `a=${"x".repeat(120)}`)
    assert.isBelow(Summary.format({ ["k".repeat(10_000)]: 1 }).length, 210)
  })

  it("nothing in a key or a string breaks the line or reaches the terminal as a command", () => {
    assert.strictEqual(
      Summary.format({ "a\nb": 1, "\u001b[31mred": 2, c: "x\r\ny\tz\u009b2J\u2028\u202e", d: "\u0000\u007f" }),
      "a\\nb=1 \\x1b[31mred=2 c=x\\r\\ny\\tz\\x9b2J\\u2028\\u202e d=\\x00\\x7f"
    )
    fc.assert(fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })), (metrics) => {
      // oxlint-disable-next-line no-control-regex
      assert.notMatch(Summary.format(metrics), /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/)
    }))
  })
})

describe("Summary: options", () => {
  it("constants of the caller's own are bare, by key or by its last part", () => {
    const metrics = { "train/temp": 0.5, "train/temp/std": 0, a: 0.5, "a/std": 0.1 }
    assert.strictEqual(
      Summary.format(metrics, { precision: 1, constants: ["temp"] }),
      "train/temp=0.5 a=0.5(±  0.10)"
    )
    assert.strictEqual(
      Summary.format(metrics, { precision: 1, constants: new Set(["a"]) }),
      "train/temp=0.5          a=0.5"
    )
    for (const name of ["learning_rate", "opt/beta2", "wd", "max_grad_norm", "warmup"]) {
      assert.strictEqual(Summary.format({ [name]: 0.5, [`${name}/std`]: 0.5 }, { precision: 1 }), `${name}=0.5`)
    }
  })

  it("minWidths pads tokens on the right, and wins over the built-in widths", () => {
    const metrics = { iter: 5, loss: 0.5 }
    assert.strictEqual(Summary.format(metrics, { minWidths: { iter: 4 } }), "iter=5 loss=0.500000")
    assert.strictEqual(Summary.format(metrics, { minWidths: { iter: 20 } }), `iter=5${" ".repeat(14)} loss=0.500000`)
    assert.strictEqual(
      Summary.format({ "t/a": 0.5, "t/a/std": 0.1, b: 1 }, { precision: 1, minWidths: { a: 20 } }),
      "t/a=0.5(±  0.10)     b=1"
    )
    assert.strictEqual(Summary.format({ a: 1, b: 1 }, { minWidths: { a: Infinity } }).length, 1000 + 4)
  })

  it("skip leaves keys out, by name or by predicate", () => {
    const metrics = { a: 1, b: 2, "a/std": 3, mem_alloc: 1 }
    assert.strictEqual(Summary.format(metrics, { skip: ["a", "mem_alloc"] }), "b=2")
    assert.strictEqual(Summary.format(metrics, { skip: (key) => key.startsWith("m") || key === "b" }), "a=1(±   3.0)")
  })

  it("precision can differ from line to line, and is kept within what can be printed", () => {
    const { format } = Summary.make({ precision: 2 })
    assert.strictEqual(format({ a: 0.125 }), "a=0.12")
    assert.strictEqual(format({ a: 0.125 }, undefined, { precision: 3 }), "a=0.125")
    assert.strictEqual(format({ a: 0.125 }, undefined, { precision: 0 }), "a=0")
    assert.strictEqual(format({ a: 0.125 }, undefined, { precision: NaN }), "a=0.12")
    assert.strictEqual(format({ a: 0.125 }, undefined, { precision: -1 }), "a=0")
    assert.strictEqual(format({ a: 0.125 }, undefined, { precision: 1e9 }), `a=0.125${"0".repeat(97)}`)
  })

  it("step puts the step first, under the name it came with, and only once", () => {
    const { format } = Summary.make({ precision: 1 })
    assert.strictEqual(format({ loss: 0.5 }, undefined, { step: 7 }), "step=7     loss=0.5")
    assert.strictEqual(format({ loss: 0.5, iter: 7 }, undefined, { step: 7, stepKey: "iter" }), "iter=7     loss=0.5")
    assert.strictEqual(format({}, undefined, { step: 1.5 }), "step=1.5")
  })
})

describe("Summary: memory", () => {
  const all = { mem_alloc: 1.5, mem_peak_alloc: 2.5, mem_reserved: 3, mem_peak_reserved: 4 }
  const rows: ReadonlyArray<readonly [name: string, Metrics, total: number | undefined, text: string]> = [
    ["allocated and reserved, the peak in percent", all, 10, "memory=1.50/3.00GiB (25%)"],
    ["no percentage without a total", all, undefined, "memory=1.50/3.00GiB"],
    ["nor with a total of nothing", all, 0, "memory=1.50/3.00GiB"],
    ["allocated only", { mem_alloc: 1.5 }, 10, "memory=1.50GiB"],
    ["peak only", { mem_peak_alloc: 2.5 }, 10, "memory=2.50GiB (peak)"],
    ["allocated and peak", { mem_alloc: 1.5, mem_peak_alloc: 2.5 }, 10, "memory=1.50GiB (25%)"],
    ["reserved only", { mem_reserved: 2.5 }, 10, "memory=2.50GiB (reserved)"],
    ["ties to even", { mem_alloc: 1, mem_peak_alloc: 12.5 }, 100, "memory=1.00GiB (12%)"],
    ["at the end of the line", { mem_alloc: 1, iter: 3 }, 100, "iter=3     memory=1.00GiB"],
    [
      "by prefix",
      { "a/mem_alloc": 1, "b/mem_alloc": 2, "a/mem_reserved": 3 },
      9,
      "memory=1.00/3.00GiB b/memory=2.00GiB"
    ],
    ["statistics of it show nowhere", { "mem_alloc/std": 1, "a/mem_alloc/mean": 1, b: 2 }, 9, "b=2"],
    [
      "names that only look like it are metrics",
      { mem_loss: 1, mem_alloc_extra: 2, "mem_x/mean": 3 },
      9,
      "mem_loss=1 mem_alloc_extra=2 mem_x/mean=3"
    ]
  ]
  for (const [name, metrics, memoryTotal, text] of rows) {
    it(name, () => assert.strictEqual(Summary.format(metrics, { memoryTotal }), text))
  }

  it("the total may come with the line", () => {
    assert.strictEqual(Summary.make().format(all, undefined, { memoryTotal: 5 }), "memory=1.50/3.00GiB (50%)")
  })
})

describe("Summary: numbers as Python prints them", () => {
  let state = 17
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const view = new DataView(new ArrayBuffer(8))
  const bits = (): number => {
    view.setUint32(0, random() * 2 ** 32)
    view.setUint32(4, random() * 2 ** 32)
    return view.getFloat64(0)
  }
  const hex = (value: number): string => {
    view.setFloat64(0, value)
    return view.getBigUint64(0).toString(16).padStart(16, "0")
  }
  const values = [
    0,
    -0,
    NaN,
    Infinity,
    -Infinity,
    5e-324,
    -5e-324,
    2 ** -1022,
    1.7976931348623157e308,
    1e21,
    -1e21,
    1e22,
    999999999999999900000,
    2.5,
    0.5,
    1.5,
    -0.5,
    -2.5,
    0.125,
    0.375,
    12.5,
    1e-7,
    -1e-7,
    5e-7,
    4.999999999e-7,
    999.9999995,
    999.9999996,
    999.9999994,
    1000,
    0.9999995,
    0.015625,
    2 ** -7,
    3 * 2 ** -7,
    1.0000005,
    8.5e15 + 0.5,
    2 ** 52 + 0.5,
    2 ** 53,
    0.1,
    1 / 3,
    ...Array.from({ length: 800 }, bits),
    // Ties at 0 to 6 digits: odd multiples of 2^-(p+1).
    ...Array.from(
      { length: 1400 },
      (_, i) => (2 * Math.floor(random() * 10 ** (i % 9)) + 1) * 2 ** -((i % 7) + 1) * (i % 2 === 0 ? 1 : -1)
    ),
    // One step beside a tie, or beside what rounds like one in six decimals.
    ...Array.from(
      { length: 600 },
      (_, i) => (Math.floor(random() * 1e6) + 0.5) * 1e-6 * (1 + ((i % 3) - 1) * 2 ** -52)
    ),
    ...Array.from({ length: 800 }, () => (random() - 0.5) * 2000),
    ...Array.from({ length: 400 }, () => random() * 10 ** (random() * 40 - 12))
  ]
  const small = values.filter((x) => x > 0 && x < 0.01)
  const precisions = [0, 1, 2, 3, 6, 7, 20]

  const script = `
import struct, sys
for line in sys.stdin:
    kind, bits = line.split()
    x = struct.unpack('>d', bytes.fromhex(bits))[0]
    if kind == 'e':
        mantissa, exponent = format(x, '.1e').split('e')
        print(mantissa + 'e' + exponent[0] + exponent[1:].lstrip('0'))
    elif kind == 'i':
        print(int(x))
    else:
        print(format(x, '.' + kind + 'f'))
`

  it("ties, subnormals, the huge and the tiny, in one go", () => {
    const integers = values.filter((x) => Number.isInteger(x) && !Object.is(x, -0))
    const requests = [
      ...precisions.flatMap((p) => values.map((x) => `${p} ${hex(x)}`)),
      ...small.map((x) => `e ${hex(x)}`),
      ...integers.map((x) => `i ${hex(x)}`)
    ]
    const answers = [
      ...precisions.flatMap((p) => values.map((x) => fixed(x, p))),
      ...small.map((x) =>
        Summary.format({ x: 0.5, "x/std": x }, { precision: 0, style: "tight" }).slice("x=0(±".length, -1)
      ),
      ...integers.map((x) => integer(x))
    ]
    const output = execFileSync("python3", ["-c", script], {
      input: requests.join("\n"),
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024
    })
    const expected = output.trimEnd().split("\n")
    assert.isAbove(small.length, 300)
    assert.strictEqual(expected.length, answers.length)
    const wrong = answers.flatMap((answer, i) =>
      answer === expected[i] ? [] : [`${requests[i]}: ${answer}, Python ${expected[i]}`]
    )
    assert.deepStrictEqual(wrong.slice(0, 10), [])
  })

  it("agrees with toFixed wherever there is no tie, on the fast way and beside it", () => {
    fc.assert(
      fc.property(fc.double({ min: -2000, max: 2000, noNaN: true }), (x) => {
        if (!Number.isInteger(x * 2 ** 7) && x !== 0) assert.strictEqual(fixed(x, 6), x.toFixed(6))
      }),
      { numRuns: 2000 }
    )
  })
})
