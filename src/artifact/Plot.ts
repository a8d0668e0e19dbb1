/**
 * Metric plots: a picture of each metric of a run, as SVG and as PNG, and ridge plots of vector metrics.
 *
 * A plot shows the metric's values, paler where something is drawn over them: the mean across ranks or chains with a
 * band of one standard deviation (without one: from the smallest to the largest), else the trend. Everything is written
 * under `plots/mplot/`, in a folder for each group that has a name:
 *
 *     plots/mplot/<group>/<metric>.svg and .png
 *     plots/mplot/<group>/<metric>_ridge.svg and .png
 *     plots/index.json                                  which file is of which metric
 *
 * The same series give the same SVG on every machine, and the same PNG: fonts are our own, text is not measured, and
 * colours go by a metric's place in the run.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { join } from "node:path"
import { makeDirectory } from "../internal/makeDirectory.ts"
import { ArtifactError } from "./ArtifactError.ts"
import * as Figure from "./plot/Figure.ts"
import * as Painter from "./plot/Painter.ts"
import type { Series } from "./Series.ts"
import { writeFile } from "./writeFile.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The two files of one plot. `group` is the group's name, `metric` the full key.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlotFile {
  readonly group: string
  readonly metric: string
  readonly kind: "metric" | "ridge"
  readonly svg: string
  readonly png: string
}

/**
 * What was drawn, in the order of the series, what could not be, and the path of the index.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlotFiles {
  readonly plots: ReadonlyArray<PlotFile>
  readonly failures: ReadonlyArray<ArtifactError>
  readonly index: string
}

/**
 * `directory` is that of the run; `runId` stands in every plot; `onProgress` is run after each plot.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly directory: string
  readonly runId?: string | undefined
  readonly onProgress?: ((done: number, total: number) => Effect.Effect<void>) | undefined
}

// -----------------------------------------------------------------------------
// Drawing
// -----------------------------------------------------------------------------

/**
 * Draws the series that are to be drawn. A plot that fails is among the `failures` and costs no other; what is there
 * already is replaced. Fails where not even a folder or the index can be written.
 *
 * Many plots are drawn by worker threads, which end with the effect.
 *
 * @category drawing
 * @since 0.1.0
 */
export const draw = (series: ReadonlyArray<Series>, options: Options): Effect.Effect<PlotFiles, ArtifactError> =>
  Effect.scoped(Effect.gen(function*() {
    const plots = plan(series, options)
    for (const folder of new Set(plots.map((plot) => plot.folder))) yield* makeFolder(folder)
    const painters = yield* Painter.forPictures(plots.length)
    const failed: Array<ArtifactError | undefined> = []
    let taken = 0
    let done = 0
    const work = Effect.fnUntraced(function*(painter: Painter.Painter) {
      while (taken < plots.length) {
        const nth = taken++
        const plot = plots[nth]!
        failed[nth] = yield* Effect.match(drawOne(plot, painter), {
          onFailure: (error) => error,
          onSuccess: () => undefined
        })
        done++
        if (options.onProgress !== undefined) yield* options.onProgress(done, plots.length)
      }
    })
    yield* Effect.forEach(painters, work, { concurrency: "unbounded", discard: true })
    const drawn = plots.filter((_, nth) => failed[nth] === undefined)
    const index = join(options.directory, "plots", "index.json")
    yield* makeFolder(join(options.directory, "plots"))
    yield* writeFile("plot index", index, indexText(drawn))
    return { plots: drawn.map(({ file }) => file), failures: failed.filter((error) => error !== undefined), index }
  }))

/** A plot to be drawn. Its figure is made when its turn comes. */
interface Plot {
  readonly folder: string
  /** Its path below `plots/mplot`, without an ending. */
  readonly name: string
  readonly file: PlotFile
  readonly figure: () => Figure.Figure | undefined
}

const plan = (all: ReadonlyArray<Series>, { directory, runId }: Options): ReadonlyArray<Plot> =>
  all.filter(({ drawn }) => drawn).flatMap((series, nth): Array<Plot> => {
    const { group, variable } = series
    const folders = group.name === "" ? [] : [group.file]
    const folder = join(directory, "plots", "mplot", ...folders)
    const make = (kind: PlotFile["kind"], stem: string, figure: Plot["figure"]): Plot => ({
      folder,
      name: [...folders, stem].join("/"),
      file: {
        group: group.name,
        metric: variable.key,
        kind,
        svg: join(folder, `${stem}.svg`),
        png: join(folder, `${stem}.png`)
      },
      figure
    })
    const lines = make("metric", variable.file, () => Figure.lines(series, nth, runId))
    return series.ridges === undefined
      ? [lines]
      : [lines, make("ridge", ridgeStem(series), () => Figure.ridges(series, nth, runId))]
  })

/** A metric may itself be called `x_ridge`; no metric's file has a dot in it. */
const ridgeStem = ({ group, variable }: Series): string => {
  const stem = `${variable.file}_ridge`
  const taken = group.variables.some((other) => other.file.toLowerCase() === stem.toLowerCase())
  return taken ? `${variable.file}.ridge` : stem
}

const drawOne = ({ figure, file }: Plot, painter: Painter.Painter): Effect.Effect<void, ArtifactError> =>
  Effect.gen(function*() {
    const made = yield* Effect.try({ try: figure, catch: failure(file.svg) })
    if (made === undefined) return
    const { png, svg } = yield* Effect.mapError(painter.paint(made), failure(file.svg))
    yield* writeFile("plot", file.svg, svg)
    yield* writeFile("plot", file.png, png)
  })

const failure = (path: string) => (cause: unknown) => new ArtifactError({ artifact: "plot", path, cause })

const indexText = (plots: ReadonlyArray<Plot>): string => {
  const entries = plots.map(({ file: { group, kind, metric }, name }) => ({
    group,
    metric,
    kind,
    files: [`plots/mplot/${name}.svg`, `plots/mplot/${name}.png`]
  }))
  return `${JSON.stringify(entries, null, 2)}\n`
}

// -----------------------------------------------------------------------------
// Files
// -----------------------------------------------------------------------------

const makeFolder = (path: string): Effect.Effect<void, ArtifactError> =>
  Effect.try({
    try: () => makeDirectory(path),
    catch: (cause) => new ArtifactError({ artifact: "folder of plots", path, cause })
  })
