import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as fc from "fast-check"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join, relative, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { inflateSync } from "node:zlib"
import * as Plot from "../../src/artifact/Plot.ts"
import * as Figure from "../../src/artifact/plot/Figure.ts"
import * as Painter from "../../src/artifact/plot/Painter.ts"
import * as Png from "../../src/artifact/plot/Png.ts"
import { render } from "../../src/artifact/plot/Render.ts"
import * as Text from "../../src/artifact/plot/Text.ts"
import * as Ticks from "../../src/artifact/plot/Ticks.ts"
import * as Series from "../../src/artifact/Series.ts"
import * as Census from "../../src/Census.ts"
import * as Columns from "../../src/Columns.ts"
import * as Fold from "../../src/Fold.ts"
import type { Metrics } from "../../src/Metrics.ts"
import type { Row } from "../../src/Row.ts"

// -----------------------------------------------------------------------------
// Series to draw
// -----------------------------------------------------------------------------

const seriesOf = (
  draws: number,
  metrics: (i: number) => Metrics,
  values?: (i: number) => Metrics,
  options?: { readonly numChains?: number }
) => {
  const rows = Array.from({ length: draws }, (_, i): Row => ({
    seq: i + 1,
    step: i,
    timestamp: i,
    rank: 0,
    metrics: metrics(i),
    statistics: values === undefined ? undefined : { values: values(i), count: 2, expected: 2 }
  }))
  return Effect.gen(function*() {
    const census = yield* Fold.run(Stream.fromIterable(rows), Census.fold)
    const { series } = yield* Fold.run(
      Stream.fromIterable(rows),
      Columns.fromRows(Series.fold(census, options), census)
    )
    return series
  })
}

const svgOf = (series: Series.Series, runId?: string) =>
  Effect.map(Effect.promise(() => render(Figure.lines(series, 0, runId))), ({ svg }) => svg)

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "plot-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const filesIn = (path: string): ReadonlyArray<string> =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(path, join(entry.parentPath, entry.name)))
    .sort()

/** Every point of every shape of an SVG, in the coordinates of its viewBox. */
const pointsOf = (svg: string): ReadonlyArray<readonly [number, number]> => {
  const points: Array<readonly [number, number]> = []
  const open: Array<readonly [number, number]> = [[0, 0]]
  for (const [, close, name = "", attributes = "", empty] of svg.matchAll(/<(\/?)(\w+)([^>]*?)(\/?)>/g)) {
    if (close === "/") {
      open.pop()
      continue
    }
    const [x, y] = open.at(-1)!
    const [, dx = "0", dy = "0"] = /transform="translate\(([^,]+),([^)]+)\)/.exec(attributes) ?? []
    const here = [x + Number(dx), y + Number(dy)] as const
    if (name !== "svg" && name !== "g") points.push(here)
    const path = / d="([^"]*)"/.exec(attributes)?.[1]
    for (const [, px, py] of path?.matchAll(/[MLC, ](-?[\d.e+-]+),(-?[\d.e+-]+)/g) ?? []) {
      points.push([here[0] + Number(px), here[1] + Number(py)])
    }
    const [, x2, y2] = / x2="([^"]+)" y2="([^"]+)"/.exec(attributes) ?? []
    if (x2 !== undefined) points.push([here[0] + Number(x2), here[1] + Number(y2)])
    if (empty !== "/") open.push(here)
  }
  return points
}

/** The characters of a font, by its table of 32-bit codes (format 12 of `cmap`). */
const coverage = (font: Buffer): ReadonlySet<number> => {
  const codes = new Set<number>()
  for (let at = 12; at < 12 + font.readUInt16BE(4) * 16; at += 16) {
    if (font.toString("latin1", at, at + 4) !== "cmap") continue
    const cmap = font.readUInt32BE(at + 8)
    for (let nth = 0; nth < font.readUInt16BE(cmap + 2); nth++) {
      const table = cmap + font.readUInt32BE(cmap + 8 + nth * 8)
      if (font.readUInt16BE(table) !== 12) continue
      const end = table + 16 + font.readUInt32BE(table + 12) * 12
      for (let group = table + 16; group < end; group += 12) {
        for (let code = font.readUInt32BE(group); code <= font.readUInt32BE(group + 4); code++) codes.add(code)
      }
    }
  }
  return codes
}

const noise = (i: number) => Math.sin(i * 12.9898) * 43758.5453 % 1

/** Starting threads takes its time on a busy machine. */
const slow = 60_000

// -----------------------------------------------------------------------------
// Pictures
// -----------------------------------------------------------------------------

describe("a picture", () => {
  it.effect("is a PNG of the declared size, small, and an SVG, the same to the byte each time", () =>
    Effect.gen(function*() {
      const [series] = yield* seriesOf(20_000, (i) => ({ "train/loss": 3 * Math.exp(-i / 4000) + noise(i) }))
      const figure = Figure.lines(series!, 0, "run-1")
      const first = yield* Effect.promise(() => render(figure))
      const second = yield* Effect.promise(() => render(figure))
      assert.strictEqual(first.svg, second.svg)
      assert.isTrue(Buffer.from(first.png).equals(second.png))
      const bytes = Buffer.from(first.png)
      assert.strictEqual(bytes.subarray(0, 8).toString("latin1"), "\x89PNG\r\n\x1a\n")
      assert.deepStrictEqual([bytes.readUInt32BE(16), bytes.readUInt32BE(20)], [1200, 720])
      assert.isBelow(bytes.length, 100_000)
      assert.match(first.svg, /^<svg [^>]*viewBox="0 0 800 480"/)
    }))

  it.effect("says what it shows", () =>
    Effect.gen(function*() {
      const [series] = yield* seriesOf(20_000, (i) => ({ "train/loss": noise(i) }))
      const svg = yield* svgOf(series!, "run-1")
      for (
        const text of [
          ">train/loss<",
          ">run-1 · 20,000 values · min–max decimated<",
          ">step<",
          ">loss<",
          ">6,000<",
          ">trend<"
        ]
      ) {
        assert.include(svg, text)
      }
    }))

  it.effect("of one line has no legend, of a spread one that names each part", () =>
    Effect.gen(function*() {
      const [alone] = yield* seriesOf(50, (i) => ({ loss: i }))
      assert.deepStrictEqual(Figure.lines(alone!, 0).legend, [])
      const labels = (names: ReadonlyArray<string>) =>
        Effect.map(
          seriesOf(50, (i) => ({ loss: i }), (i) => Object.fromEntries(names.map((name) => [`loss/${name}`, i]))),
          ([series]) => Figure.lines(series!, 0).legend.map(({ label }) => label)
        )
      assert.deepStrictEqual(yield* labels(["mean", "min", "max", "std"]), ["rank 0", "mean of ranks", "± std"])
      assert.deepStrictEqual(yield* labels(["mean", "min", "max"]), ["rank 0", "mean of ranks", "min–max"])
    }))

  it.effect("has a band of one standard deviation around the mean", () =>
    Effect.gen(function*() {
      const [series] = yield* seriesOf(3, () => ({ loss: 5 }), (i) => ({ "loss/mean": i, "loss/std": 0.5 }))
      const [band] = Figure.lines(series!, 0).bands
      assert.deepStrictEqual([Array.from(band!.y), Array.from(band!.to)], [[-0.5, 0.5, 1.5], [0.5, 1.5, 2.5]])
    }))

  const shapes: ReadonlyArray<readonly [string, number, (i: number) => number]> = [
    ["a constant", 100, () => 3e-4],
    ["zero", 100, () => 0],
    ["one value", 1, () => 0.8123],
    ["nothing finite", 50, () => NaN],
    ["gaps and infinities", 100, (i) => i % 7 === 0 ? NaN : i === 50 ? Infinity : noise(i)],
    ["values alone between gaps", 100, (i) => i % 2 === 0 ? NaN : noise(i)],
    ["tiny values", 100, (i) => 1e-12 * noise(i)],
    ["denormal values", 100, (i) => 5e-320 * i],
    ["the largest doubles", 100, (i) => Number.MAX_VALUE * Math.cos(i)],
    ["a narrow range far from zero", 100, (i) => 1.7e9 + i / 100],
    ["a spike", 5000, (i) => i === 2500 ? 1e9 : noise(i)]
  ]
  for (const [name, draws, value] of shapes) {
    it.effect(`of ${name} stays inside its frame, numbers only`, () =>
      Effect.gen(function*() {
        const [series] = yield* seriesOf(draws, (i) => ({ loss: value(i) }))
        const svg = yield* svgOf(series!)
        assert.notMatch(svg, /NaN|Infinity|undefined|null/)
        const points = pointsOf(svg)
        assert.isAbove(points.length, 5)
        for (const [x, y] of points) assert.isTrue(x >= 0 && x <= 800.5 && y >= 0 && y <= 480.5, `${x},${y}`)
      }))
  }

  it.effect("at the ends of the doubles has true labels and a line that fills it", () =>
    Effect.gen(function*() {
      const [huge] = yield* seriesOf(100, (i) => ({ loss: 1.7e308 * Math.cos(i) }))
      const [tiny] = yield* seriesOf(100, (i) => ({ loss: 5e-320 * i }))
      assert.includeMembers([...Figure.lines(huge!, 0).y.labels], ["−1.5e308", "0", "1.5e308"])
      assert.includeMembers([...Figure.lines(tiny!, 0).y.labels], ["0", "4e-318"])
      for (const series of [huge!, tiny!]) {
        const { lines: [line], y } = Figure.lines(series, 0)
        const height = y.domain[1] - y.domain[0]
        assert.isAbove(Math.max(...line!.y) - Math.min(...line!.y), 0.85 * height)
      }
    }))

  it.effect("of one value shows a dot, of none says so", () =>
    Effect.gen(function*() {
      const [single] = yield* seriesOf(1, () => ({ acc: 0.5 }))
      assert.deepStrictEqual(Array.from(Figure.lines(single!, 0).dots.y), [0.5])
      const [none] = yield* seriesOf(3, () => ({ acc: NaN }))
      const svg = yield* svgOf(none!)
      assert.include(svg, "no finite values")
      assert.include(svg, "3 values · 3 not finite")
    }))

  it.effect("cuts a long key and keeps its end", () =>
    Effect.gen(function*() {
      const [series] = yield* seriesOf(3, (i) => ({ [`${"layers/attention/".repeat(20)}weight_norm`]: i }))
      const { title } = Figure.lines(series!, 0)
      assert.match(title, /^layers\/attention.*….*weight_norm$/)
      assert.isAtMost(Text.width(title, 17), Figure.width - 56)
    }))

  it.effect("escapes what a key holds, and shows what cannot be shown", () =>
    Effect.gen(function*() {
      const [series] = yield* seriesOf(3, (i) => ({ "<img src=x onerror=alert(1)>&\"\u0000\u202e\ud800": i }))
      const svg = yield* svgOf(series!, "</text><script>")
      assert.notMatch(svg, /<img|<script|\p{C}/u)
      assert.include(svg, "&lt;img src=x onerror=alert(1)&gt;&amp;")
      assert.include(svg, "\ufffd\ufffd\ufffd<")
    }))

  it.effect("writes a character that its font lacks as its code point, and keeps what the font has", () =>
    Effect.gen(function*() {
      const [series] = yield* seriesOf(3, (i) => ({ "日/∇θ é 😀🚀": i }))
      const svg = yield* svgOf(series!)
      assert.include(svg, ">\\u{65e5}/∇θ é 😀\\u{1f680}<")
      const font = readFileSync(createRequire(import.meta.url).resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf"))
      const covered = coverage(font)
      const kept: Array<number> = []
      for (let code = 0; code < 0x110000; code++) {
        const char = String.fromCodePoint(code)
        if (Text.clean(char) === char) kept.push(code)
      }
      assert.isAbove(kept.length, 2900)
      assert.deepStrictEqual(kept.filter((code) => !covered.has(code)), [])
      assert.isTrue(covered.has(0xfffd) && covered.has(0x2026) && covered.has(0x2212))
    }))

  it("cuts no escaped character in two", () => {
    const text = Text.clean("日本語".repeat(300))
    for (const room of [100, 101, 110, 127, 140]) {
      assert.match(Text.fit(text, room, 12), /^(?:\\u\{[\da-f]+\})*…(?:\\u\{[\da-f]+\})*$/)
    }
  })

  it.effect("of ridges says over how many of the chains they are", () =>
    Effect.gen(function*() {
      const metrics = (i: number) => ({ theta: Array.from({ length: 8 }, (_, c) => noise(i * 8 + c)) })
      const subtitle = (numChains: number) =>
        Effect.map(seriesOf(20, metrics, undefined, { numChains }), ([series]) => Figure.ridges(series!, 0)?.subtitle)
      assert.strictEqual(yield* subtitle(5), "distribution over the first 5 of 8 chains")
      assert.strictEqual(yield* subtitle(8), "distribution over 8 chains")
      assert.strictEqual(yield* subtitle(100), "distribution over 8 chains")
    }))

  it.effect("of a vector metric has a row of density for each stretch of the run", () =>
    Effect.gen(function*() {
      const [series] = yield* seriesOf(120, (i) => ({ theta: Array.from({ length: 20 }, (_, c) => noise(i * 20 + c)) }))
      const figure = Figure.ridges(series!, 0, "run-1")
      const { svg } = yield* Effect.promise(() => render(figure!))
      assert.include(svg, ">step 0–9<")
      assert.include(svg, ">step 110–119<")
      assert.include(svg, "distribution over 20 chains")
      for (const [x, y] of pointsOf(svg)) assert.isTrue(x >= 0 && x <= 800.5 && y >= 0 && y <= 480.5, `${x},${y}`)
    }))
})

// -----------------------------------------------------------------------------
// Parts of pictures
// -----------------------------------------------------------------------------

describe("ticks", () => {
  const labels = (from: number, to: number) => Ticks.make([from, to], 5).labels

  it("are multiples of 1, 2 and 5, written alike", () => {
    assert.deepStrictEqual(labels(0, 1), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
    assert.deepStrictEqual(labels(-1.2, 2.7), ["−1", "0", "1", "2"])
    assert.deepStrictEqual(labels(0, 100_000), ["0", "20k", "40k", "60k", "80k", "100k"])
    assert.deepStrictEqual(labels(0, 52_000), ["0", "10,000", "20,000", "30,000", "40,000", "50,000"])
    assert.deepStrictEqual(labels(1.15e6, 1.25e6), ["1.16M", "1.18M", "1.20M", "1.22M", "1.24M"])
    assert.deepStrictEqual(labels(0, 4e-12), ["0", "1e-12", "2e-12", "3e-12", "4e-12"])
    assert.deepStrictEqual(labels(0, 0.004), ["0.000", "0.001", "0.002", "0.003", "0.004"])
    assert.deepStrictEqual(labels(0, 2e20), ["0", "0.5e20", "1.0e20", "1.5e20", "2.0e20"])
  })

  it("count from an offset where they differ in a far digit only", () => {
    const { labels, offset } = Ticks.make([1_700_000_000, 1_700_000_030], 3)
    assert.deepStrictEqual([labels, offset], [["0", "+10", "+20", "+30"], "1,700,000,000"])
  })

  it("lie in the domain in rising order, with labels that tell them apart", () => {
    const bound = fc.double({ noNaN: true, min: -1e250, max: 1e250 })
    fc.assert(fc.property(bound, bound, (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)]
      fc.pre(to - from > Math.max(Math.abs(a), Math.abs(b)) * 1e-9 && to - from > 1e-280)
      const { labels, values } = Ticks.make([from, to], 6)
      const slack = (to - from) * 1e-6
      assert.isAtLeast(values.length, 2)
      assert.isAtMost(values.length, 13)
      assert.strictEqual(new Set(labels).size, labels.length)
      for (const [i, value] of values.entries()) {
        assert.isTrue(value >= from - slack && value <= to + slack)
        assert.isTrue(i === 0 || value > values[i - 1]!)
        assert.isAtMost(labels[i]!.length, 14)
      }
    }))
  })
})

describe("a PNG with a palette", () => {
  const decode = (png: Uint8Array, width: number, height: number): ReadonlyArray<string> => {
    const bytes = Buffer.from(png)
    const chunk = (type: string) => {
      const at = bytes.indexOf(type, 0, "latin1")
      return bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at - 4))
    }
    const palette = chunk("PLTE")
    const lines = inflateSync(chunk("IDAT"))
    return Array.from({ length: width * height }, (_, i) => {
      const index = lines[Math.floor(i / width) * (width + 1) + 1 + i % width]!
      return Array.from(palette.subarray(index * 3, index * 3 + 3)).join()
    })
  }

  it("keeps up to 256 colours as they are", () => {
    fc.assert(fc.property(fc.array(fc.nat(0xffffff), { minLength: 1, maxLength: 256 }), (colors) => {
      const rgba = colors.flatMap((color) => [color & 255, color >> 8 & 255, color >> 16 & 255, 255])
      const decoded = decode(Png.encode(Uint8Array.from(rgba), colors.length, 1), colors.length, 1)
      assert.deepStrictEqual(decoded, colors.map((color) => [color & 255, color >> 8 & 255, color >> 16 & 255].join()))
    }))
  })

  it("keeps the frequent ones of more, and brings the others to one near", () => {
    // Four inks on white, at every strength that the edge of a line may have.
    const inks = [[0, 114, 178], [213, 94, 0], [36, 41, 47], [110, 119, 129]]
    const pixels = new Uint8Array(200 * 200 * 4)
    for (let i = 0; i < 40_000; i++) {
      const strength = i < 20_000 ? 0 : i % 251 / 250
      pixels.set([...inks[i % 4]!.map((channel) => Math.round(255 + (channel - 255) * strength)), 255], i * 4)
    }
    const decoded = decode(Png.encode(pixels, 200, 200), 200, 200)
    assert.strictEqual(decoded[0], "255,255,255")
    decoded.forEach((color, i) => {
      const apart = color.split(",").map((value, channel) => Math.abs(Number(value) - pixels[i * 4 + channel]!))
      assert.isBelow(Math.max(...apart), 8)
    })
  })
})

// -----------------------------------------------------------------------------
// Files
// -----------------------------------------------------------------------------

describe("draw", () => {
  it.effect("writes both files of every plot and an index that maps them, and nothing else", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const series = yield* seriesOf(30, (i) => ({
        "loss": i,
        "iter": i,
        "train/loss": i,
        "theta": [i, i + 1],
        "theta_ridge": i
      }))
      const progress: Array<readonly [number, number]> = []
      const result = yield* Plot.draw(series, {
        directory: path,
        onProgress: (done, total) => Effect.sync(() => progress.push([done, total]))
      })
      const expected = ["loss", "theta", "theta.ridge", "theta_ridge", "train/loss"].flatMap((name) => [
        `plots/mplot/${name}.png`,
        `plots/mplot/${name}.svg`
      ])
      assert.deepStrictEqual(filesIn(path), [...expected, "plots/index.json"].sort())
      const index: ReadonlyArray<{ metric: string; kind: string; files: ReadonlyArray<string> }> = JSON.parse(
        readFileSync(result.index, "utf8")
      )
      assert.deepStrictEqual(index.flatMap(({ files }) => files).sort(), expected.sort())
      assert.deepStrictEqual(
        result.plots.map(({ group, kind, metric, png }) => [group, metric, kind, relative(path, png)]),
        [
          ["", "loss", "metric", "plots/mplot/loss.png"],
          ["", "theta", "metric", "plots/mplot/theta.png"],
          ["", "theta", "ridge", "plots/mplot/theta.ridge.png"],
          ["", "theta_ridge", "metric", "plots/mplot/theta_ridge.png"],
          ["train", "train/loss", "metric", "plots/mplot/train/loss.png"]
        ]
      )
      assert.deepStrictEqual([result.failures.length, progress.length, progress.at(-1)], [0, 5, [5, 5]])
    }))

  it.effect("keeps hostile keys inside its directory", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const keys = [
        "<img src=x onerror=alert(1)>",
        "../../x",
        "../y",
        "..",
        "a".repeat(300),
        "__proto__",
        "con",
        "/etc/z"
      ]
      const series = yield* seriesOf(
        3,
        (i) => JSON.parse(`{${keys.map((key) => `${JSON.stringify(key)}:${i}`).join()}}`)
      )
      const { failures, index, plots } = yield* Plot.draw(series, { directory: path })
      assert.deepStrictEqual(failures, [])
      assert.deepStrictEqual(plots.map(({ metric }) => metric).sort(), keys.toSorted())
      for (const { png, svg } of plots) {
        for (const file of [png, svg]) {
          assert.isTrue(resolve(file).startsWith(join(path, "plots", "mplot", "/")), file)
          assert.isTrue(existsSync(file))
        }
      }
      assert.strictEqual(filesIn(path).length, 2 * keys.length + 1)
      assert.deepStrictEqual(
        JSON.parse(readFileSync(index, "utf8")).map(({ metric }: { metric: string }) => metric).sort(),
        keys.toSorted()
      )
    }))

  it.effect("loses no other plot when one cannot be written, and leaves nothing half done", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const series = yield* seriesOf(3, (i) => ({ a: i, b: i, c: i }))
      mkdirSync(join(path, "plots/mplot/b.png"), { recursive: true })
      const { failures, plots } = yield* Plot.draw(series, { directory: path })
      assert.deepStrictEqual(plots.map(({ metric }) => metric), ["a", "c"])
      assert.strictEqual(failures.length, 1)
      assert.match(failures[0]!.message, /^The plot .*b\.png could not be written/)
      assert.deepStrictEqual(filesIn(path).filter((file) => file.endsWith(".tmp")), [])
    }))

  it.effect("fails with the folder's path where there can be no folder", () =>
    Effect.gen(function*() {
      const path = yield* directory
      writeFileSync(join(path, "plots"), "")
      const error = yield* Effect.flip(Plot.draw(yield* seriesOf(3, (i) => ({ a: i })), { directory: path }))
      assert.strictEqual(error._tag, "ArtifactError")
      assert.strictEqual(error.path, join(path, "plots", "mplot"))
    }))

  it.live("of many plots gives the bytes that few give, and the same again", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const keys = Array.from({ length: 12 }, (_, i) => `m${i}`)
      const series = yield* seriesOf(30, (i) => Object.fromEntries(keys.map((key, k) => [key, noise(i + k)])))
      const many = yield* Plot.draw(series, { directory: path })
      assert.deepStrictEqual(many.plots.map(({ metric }) => metric), keys)
      const read = () => filesIn(path).map((file) => readFileSync(join(path, file), "base64"))
      const first = read()
      yield* Plot.draw(series, { directory: path })
      assert.deepStrictEqual(read(), first)
      const few = yield* Effect.promise(() => render(Figure.lines(series[0]!, 0)))
      assert.strictEqual(readFileSync(many.plots[0]!.svg, "utf8"), few.svg)
      assert.isTrue(readFileSync(many.plots[0]!.png).equals(few.png))
    }), slow)

  it.live("ends soon when interrupted, with whole files only", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const keys = Array.from({ length: 40 }, (_, i) => `m${i}`)
      const series = yield* seriesOf(3, (i) => Object.fromEntries(keys.map((key) => [key, i])))
      let seen = 0
      const started = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(Plot.draw(series, {
        directory: path,
        onProgress: (done) =>
          Effect.suspend(() => {
            seen = done
            return Deferred.succeed(started, undefined)
          })
      }))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      const files = filesIn(path)
      assert.isBelow(seen, 40)
      assert.isFalse(files.includes("plots/index.json"))
      assert.deepStrictEqual(files.filter((file) => file.endsWith(".tmp")), [])
    }), slow)
})

describe("a painter", () => {
  const program = (path: string, text: string) => {
    const file = join(path, "worker.mjs")
    writeFileSync(file, text)
    return pathToFileURL(file)
  }
  const paintWith = (text: string | undefined, times = 1) =>
    Effect.gen(function*() {
      const path = yield* directory
      const painter = yield* Painter.fromWorker(
        text === undefined ? pathToFileURL(join(path, "missing.mjs")) : program(path, text)
      )
      const [series] = yield* seriesOf(3, (i) => ({ loss: i }))
      const figure = Figure.lines(series!, 0)
      const expected = yield* Effect.promise(() => render(figure))
      for (let nth = 0; nth < times; nth++) {
        assert.strictEqual((yield* painter.paint(figure)).svg, expected.svg)
      }
    })

  const on = `import { parentPort } from "node:worker_threads"\nparentPort.on("message", () => `

  it.live("draws here where its worker cannot start", () => paintWith(undefined, 2), slow)
  it.live("draws here where its worker does not load", () => paintWith("import 'no-such-package'", 2), slow)
  it.live("draws here where its worker dies over a figure", () => paintWith(`${on}process.exit(3))`, 2), slow)
  it.live("draws here where its worker throws", () => paintWith(`${on}{ throw new Error("x") })`, 2), slow)

  it.live("fails with what its worker says", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const painter = yield* Painter.fromWorker(program(path, `${on}parentPort.postMessage({ failure: "no ink" }))`))
      const [series] = yield* seriesOf(3, (i) => ({ loss: i }))
      assert.match(String(yield* Effect.flip(painter.paint(Figure.lines(series!, 0)))), /no ink/)
    }))
})
