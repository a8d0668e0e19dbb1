import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as Flops from "../src/Flops.ts"
import { temporary } from "./support/directory.ts"
import { fakeNvml } from "./support/drivers.ts"

const forward = (model: Flops.Model): number => Result.getOrThrow(Flops.estimateModelFlops(model, { pass: "forward" }))

const both = (model: Flops.Model): number => Result.getOrThrow(Flops.estimateModelFlops(model))

/** Collects what is logged. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
  return Effect.map(Effect.provide(effect, Logger.layer([logger])), (value) => ({ value, lines }))
}

const gpt2: Flops.Transformer = {
  type: "transformer",
  layers: 12,
  width: 768,
  heads: 12,
  vocab: 50_257,
  sequence: 1024
}

const llama: Flops.Transformer = {
  type: "transformer",
  layers: 32,
  width: 4096,
  heads: 32,
  feedForward: 11_008,
  gated: true,
  vocab: 32_000,
  sequence: 128
}

const conv = (inputs: number, outputs: number, kernel: number, size: number, stride = 1): Flops.Convolution => ({
  type: "convolution",
  inputs,
  outputs,
  kernel,
  stride,
  padding: (kernel - 1) / 2,
  size: [size, size]
})

/** Torchvision's: the stride is in the 3 x 3 convolution. */
const resnet50: Flops.Stack = {
  type: "stack",
  layers: [
    conv(3, 64, 7, 224, 2),
    ...[[64, 256, 3, 56, 1], [128, 512, 4, 56, 2], [256, 1024, 6, 28, 2], [512, 2048, 3, 14, 2]].flatMap(
      ([inner = 0, outer = 0, blocks = 0, size = 0, stride = 1]) =>
        Array.from({ length: blocks }, (_, block) => {
          const first = block === 0
          const inputs = !first ? outer : inner === 64 ? 64 : inner * 2
          const outputSize = size / stride
          const inputSize = first ? size : outputSize
          return [
            conv(inputs, inner, 1, inputSize),
            conv(inner, inner, 3, inputSize, first ? stride : 1),
            conv(inner, outer, 1, outputSize),
            ...(first ? [conv(inputs, outer, 1, inputSize, stride)] : [])
          ]
        }).flat()
    ),
    { type: "linear", inputs: 2048, outputs: 1000 }
  ]
}

const vit: Flops.Model = [
  {
    type: "stack",
    layers: [
      { type: "convolution", inputs: 3, outputs: 768, kernel: 16, stride: 16, size: [224, 224] },
      { type: "linear", inputs: 768, outputs: 1000 }
    ]
  },
  // 14 x 14 patches and the class token.
  { type: "transformer", layers: 12, width: 768, heads: 12, sequence: 197 }
]

describe("published counts", () => {
  it("GPT-2 124M, 1024 tokens: nanoGPT's transformer_sizing.ipynb", () => {
    assert.strictEqual(forward(gpt2), 291_648_307_200)
    assert.strictEqual(both(gpt2), 874_944_921_600)
    assert.strictEqual(both({ ...gpt2, batch: 20 }), 20 * 874_944_921_600)
    // The same notebook's estimate after the PaLM paper (Chowdhery et al. 2022, appendix B): (6 N + 12 L H Q T) T, with the
    // 124,337,664 parameters it counts.
    const palm = both({ type: "parameters", parameters: 124_337_664, tokens: 1024 }) + 12 * 12 * 768 * 1024 * 1024
    assert.strictEqual(palm, 879_894_724_608)
    assert.closeTo(palm / both(gpt2), 1.0057, 5e-5)
  })

  it("Llama-2-7B, 128 tokens: calflops' table, 1700.06 GFLOPs forward and 5100.19 in all", () => {
    // Its count has elementwise operations in it, below 0.01 %.
    assert.closeTo(forward(llama) / 1e9, 1700.06, 0.1)
    assert.closeTo(both(llama) / 1e9, 5100.19, 0.3)
    // 6 N D with the 6,738,415,616 parameters of the same table: embeddings count, attention does not.
    const estimate = both({ type: "parameters", parameters: 6_738_415_616, tokens: 128 })
    assert.closeTo(estimate / both(llama), 1.015, 1e-3)
  })

  it("ResNet-50, 224 x 224: torchvision's 4.089 billion multiply-adds", () => {
    assert.closeTo(forward(resnet50) / 2 / 1e9, 4.089, 0.0005)
  })

  it("ViT-B/16, 224 x 224: torchvision's 17.564 billion multiply-adds", () => {
    assert.closeTo(forward(vit) / 2 / 1e9, 17.564, 0.0005)
  })
})

describe("what a description may say", () => {
  it("grouped queries, wider heads, experts, and attention of which half is left out", () => {
    const base: Flops.Transformer = { type: "transformer", layers: 1, width: 8, heads: 4, sequence: 2 }
    const [projections, feedForward, attention] = [8 * 32, 2 * 8 * 32, 2 * 2 * 8]
    assert.strictEqual(forward(base), 2 * 2 * (projections + feedForward + attention))
    assert.strictEqual(forward({ ...base, causal: true }), 2 * 2 * (projections + feedForward + attention / 2))
    assert.strictEqual(forward({ ...base, keyValueHeads: 1 }), 2 * 2 * (8 * (16 + 4) + feedForward + attention))
    assert.strictEqual(forward({ ...base, headWidth: 4 }), 2 * 2 * (2 * projections + feedForward + 2 * attention))
    assert.strictEqual(forward({ ...base, experts: 2 }), 2 * 2 * (projections + 2 * feedForward + attention))
    assert.strictEqual(
      forward({ ...base, gated: true, feedForward: 10 }),
      2 * 2 * (projections + 3 * 8 * 10 + attention)
    )
    assert.strictEqual(forward({ ...base, vocab: 5 }) - forward(base), 2 * 2 * 8 * 5)
  })

  it("convolutions of any dimension, with groups, strides, paddings", () => {
    const of = (layer: Omit<Flops.Convolution, "type">): number =>
      forward({ type: "stack", layers: [{ type: "convolution", ...layer }] })
    assert.strictEqual(of({ inputs: 2, outputs: 3, kernel: 3, size: [10] }), 2 * 8 * 3 * 2 * 3)
    assert.strictEqual(of({ inputs: 4, outputs: 4, kernel: [1, 3], size: [5, 7], groups: 4 }), 2 * 5 * 5 * 3 * 4)
    assert.strictEqual(
      of({ inputs: 1, outputs: 1, kernel: 3, stride: 2, padding: "same", size: [7, 8, 9] }),
      2 * 80 * 27
    )
    assert.strictEqual(
      of({ inputs: 1, outputs: 1, kernel: 3, stride: [2, 1], padding: [1, 0], size: [8, 8] }),
      2 * 24 * 9
    )
    const linear: Flops.Stack = { type: "stack", layers: [{ type: "linear", inputs: 3, outputs: 5, positions: 7 }] }
    assert.strictEqual(forward({ ...linear, batch: 2 }), 2 * 2 * 3 * 5 * 7)
    assert.strictEqual(forward([]), 0)
  })

  /** As it comes from a configuration that nobody has checked. */
  const parsed = (json: string): Flops.Model => JSON.parse(json)

  const wrong: ReadonlyArray<readonly [model: Flops.Model, named: string]> = [
    [{ ...gpt2, layers: 0 }, "layers"],
    [{ ...gpt2, width: NaN }, "width"],
    [{ ...gpt2, heads: 7 }, "7 heads"],
    [{ ...gpt2, keyValueHeads: 5 }, "5 keys"],
    [{ ...gpt2, sequence: Infinity }, "sequence"],
    [{ ...gpt2, vocab: -1 }, "vocab"],
    [[gpt2, { type: "stack", layers: [conv(3, 4, 9, 4, 1), { ...conv(3, 4, 9, 4), padding: 0 }] }], "layer 1"],
    [{ type: "stack", layers: [{ ...conv(3, 4, 3, 9), groups: 2 }] }, "groups"],
    [{ type: "stack", layers: [{ ...conv(3, 4, 3, 9), stride: [1] }] }, "stride"],
    [{ type: "stack", batch: -1, layers: [] }, "batch"],
    [{ type: "parameters", parameters: 1, tokens: 0 }, "tokens"],
    [parsed(`{"type":"transformer"}`), "layers"],
    [parsed(`{"type":"stack"}`), "layers"],
    [parsed(`{"type":"stack","layers":[null,{"type":"pool"}]}`), "layer 0"],
    [parsed(`{"type":"stack","layers":[{"type":"pool"}]}`), "pool"],
    [
      parsed(`{"type":"stack","layers":[{"type":"convolution","inputs":1,"outputs":1,"kernel":"3","size":[3]}]}`),
      "kernel"
    ],
    [parsed(`{"type":"lstm"}`), "lstm"],
    [parsed("null"), "object"],
    [parsed("7"), "object"],
    [parsed(`{}`), "undefined"]
  ]

  it("what is none of a model is told, by name", () => {
    for (const [model, named] of wrong) {
      const result = Flops.estimateModelFlops(model)
      assert.isTrue(Result.isFailure(result), named)
      if (Result.isFailure(result)) assert.include(result.failure.message, named)
    }
  })

  it.effect("tryEstimate warns of it and gives 0", () =>
    Effect.gen(function*() {
      for (const [model, named] of wrong) {
        const { lines, value } = yield* logged(Flops.tryEstimate(model))
        assert.deepStrictEqual([value, lines.length], [0, 1])
        assert.match(lines[0] ?? "", /^Warn The model's operations cannot be counted: .*They count 0$/)
        assert.include(lines[0], named)
      }
      const fine = yield* logged(Flops.tryEstimate(gpt2))
      assert.deepStrictEqual(fine, { value: 874_944_921_600, lines: [] })
    }))
})

describe("computeMfu", () => {
  it("is a percentage of the peak, and 0 where it cannot be known", () => {
    assert.strictEqual(Flops.computeMfu(100e12, 1, { peakFlops: 200e12 }), 50)
    assert.strictEqual(Flops.computeMfu(989e12, 2, { device: "NVIDIA H100 80GB HBM3" }), 50)
    assert.closeTo(Flops.computeMfu(874_944_921_600 * 100, 0.755, { device: "NVIDIA A100-SXM4-40GB" }), 37.14, 0.005)
    const unknown: ReadonlyArray<readonly [number, number, Flops.MfuOptions?]> = [
      [1e12, 1],
      [1e12, 1, { device: "TPU" }],
      [1e12, 0, { peakFlops: 1e12 }],
      [1e12, -1, { peakFlops: 1e12 }],
      [1e12, NaN, { peakFlops: 1e12 }],
      [1e12, Infinity, { peakFlops: 1e12 }],
      [0, 1, { peakFlops: 1e12 }],
      [-1, 1, { peakFlops: 1e12 }],
      [NaN, 1, { peakFlops: 1e12 }],
      [Infinity, 1, { peakFlops: 1e12 }],
      [1e12, 1, { peakFlops: 0 }],
      [1e12, 1, { peakFlops: NaN }],
      [1e12, 1, { peakFlops: Infinity }]
    ]
    for (const [flops, seconds, options] of unknown) {
      assert.strictEqual(Flops.computeMfu(flops, seconds, options), 0, JSON.stringify([flops, seconds, options]))
    }
  })
})

describe("the peak of a device", () => {
  it("is found by a part of its name, the first that fits, and by no more than that", () => {
    const known: ReadonlyArray<readonly [string, number | undefined]> = [
      ["NVIDIA H100 NVL", 835e12],
      ["NVIDIA H100 PCIe", 756e12],
      ["NVIDIA H100 80GB HBM3", 989e12],
      ["nvidia h100", 989e12],
      ["NVIDIA GH200 480GB", 989e12],
      ["NVIDIA H200", 989e12],
      ["NVIDIA H200 NVL", 835e12],
      ["NVIDIA B200", 2.25e15],
      ["NVIDIA GB200", 2.5e15],
      ["NVIDIA A100-SXM4-80GB", 312e12],
      ["NVIDIA A100 80GB PCIe", 312e12],
      ["NVIDIA L40S", 362e12],
      ["AMD Instinct MI355X", 2.5e15],
      ["AMD Instinct MI325X OAM", 1300e12],
      ["AMD Instinct MI300X", 1300e12],
      ["AMD Instinct MI250X", 191.5e12],
      ["Intel(R) Data Center GPU Max 1550", 512 * 1024 * 1300e6],
      ["Apple M3 Max", undefined],
      ["NVIDIA RTX A1000", undefined],
      ["NVIDIA L40", undefined],
      ["Intel(R) Data Center GPU Max 1100", undefined],
      ["", undefined]
    ]
    for (const [name, peak] of known) assert.strictEqual(Flops.getPeakFlops(name), peak, name)
    assert.isUndefined(Flops.getPeakFlops(undefined))
    assert.strictEqual(
      Flops.getPeakFlops("Intel(R) Data Center GPU Max 1550", { computeUnits: 448 }),
      512 * 448 * 1300e6
    )
  })

  it.effect("of this machine's GPU is that of its name; an unknown one is warned about once", () =>
    Effect.gen(function*() {
      const nvml = yield* fakeNvml()
      nvml.set({ name: "NVIDIA A100-SXM4-80GB" }, { name: "NVIDIA Quadro 2000" })
      const { environment } = nvml
      assert.strictEqual(yield* Flops.getDeviceName("cuda:1", { environment }), "NVIDIA Quadro 2000")
      assert.deepStrictEqual(yield* logged(Flops.peakFlops(0, { environment })), { value: 312e12, lines: [] })
      const unknown = yield* logged(Flops.peakFlops(1, { environment }))
      assert.isUndefined(unknown.value)
      assert.deepStrictEqual(unknown.lines, [
        "Warn The peak of NVIDIA Quadro 2000 is not known, nor how much of it a step uses (MFU)"
      ])
      assert.deepStrictEqual(yield* logged(Flops.peakFlops(1, { environment })), { value: undefined, lines: [] })
      const root = yield* temporary
      const none = yield* logged(Flops.peakFlops(undefined, { environment: {}, root }))
      assert.deepStrictEqual(none.lines, [
        "Warn No GPU was found: how much of its peak a step uses (MFU) cannot be known"
      ])
      assert.isUndefined(yield* Flops.getDeviceName(undefined, { environment: {}, root }))
    }))
})
