/**
 * What devices can do at most: floating-point operations a second in bfloat16, dense.
 *
 * - Data sheets put the figure with 2:4 sparsity first, which is twice the dense one and which no ordinary training
 *   reaches; here it is always the dense one.
 * - A device is known by a part of its name, whatever the case; the first entry that fits counts. A name goes on where a
 *   digit follows: an RTX A1000 is no A100.
 * - What is not listed has no figure, rather than a guess.
 *
 * @since 0.4.0
 */

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * What a name does not tell. `computeUnits`: of an Intel Max GPU, its vector engines; unless said those of a whole card
 * (1024). Where each of its two stacks is a device of its own, that device has half of them or less.
 *
 * @category models
 * @since 0.4.0
 */
export interface PeakOptions {
  readonly computeUnits?: number | undefined
}

interface Entry {
  readonly part: string
  readonly peak: number | ((options: PeakOptions) => number)
}

// -----------------------------------------------------------------------------
// The table
// -----------------------------------------------------------------------------

const entries: ReadonlyArray<Entry> = [
  // NVIDIA H100 data sheet: with sparsity 1,671 (NVL), 1,513 (PCIe) and 1,979 (SXM) teraFLOPS.
  { part: "H100 NVL", peak: 835e12 },
  { part: "H100 PCIE", peak: 756e12 },
  { part: "H100", peak: 989e12 },
  // NVIDIA H200 data sheet: with sparsity 1,671 (NVL) and 1,979 (SXM).
  { part: "H200 NVL", peak: 835e12 },
  { part: "H200", peak: 989e12 },
  // NVIDIA GB200 NVL72: 360 petaFLOPS with sparsity for 72 GPUs. HGX B200: 36 for 8.
  { part: "GB200", peak: 2.5e15 },
  { part: "B200", peak: 2.25e15 },
  // NVIDIA A100 data sheet: 312, with sparsity 624.
  { part: "A100", peak: 312e12 },
  // NVIDIA L40S data sheet: 362.05, with sparsity 733. (183 is its TF32 figure.)
  { part: "L40S", peak: 362e12 },
  // AMD Instinct data sheets: MI355X 2.5 petaFLOPS, with sparsity 5; MI325X and MI300X 1,307.4 teraFLOPS, taken as 1,300;
  // MI250X 383 for a module of two dies, each of which is a device.
  { part: "MI355X", peak: 2.5e15 },
  { part: "MI325X", peak: 1300e12 },
  { part: "MI300X", peak: 1300e12 },
  { part: "MI250X", peak: 191.5e12 },
  // Intel Data Center GPU Max 1550: 512 operations a clock for each of its 1024 vector engines, at 1300 MHz. "Max" alone
  // is also what Apple calls its processors.
  { part: "MAX 1550", peak: ({ computeUnits = 1024 }) => 512 * computeUnits * 1300e6 }
]

const patterns = entries.map(({ part, peak }) => ({ pattern: new RegExp(`${part}(?!\\d)`, "i"), peak }))

/**
 * The most a device can do, in floating-point operations a second (bfloat16, dense); undefined for one that is not known.
 *
 * @example
 * ```ts
 * import { Flops } from "ezpz-stream"
 *
 * assert.strictEqual(Flops.getPeakFlops("NVIDIA H100 80GB HBM3"), 989e12)
 * assert.isUndefined(Flops.getPeakFlops("Apple M3 Max"))
 * ```
 *
 * @category devices
 * @since 0.4.0
 */
export const getPeakFlops = (device: string | undefined, options: PeakOptions = {}): number | undefined => {
  if (device === undefined) return undefined
  const found = patterns.find(({ pattern }) => pattern.test(device))
  return typeof found?.peak === "function" ? found.peak(options) : found?.peak
}
