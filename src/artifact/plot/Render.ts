/**
 * From a figure to the bytes of its files: Vega draws the SVG, resvg turns it into a PNG with the DejaVu font that is
 * shipped, whatever fonts the machine has. Both libraries are loaded at the first picture.
 *
 * @since 0.1.0
 */
import type * as Resvg from "@resvg/resvg-js"
import { createRequire } from "node:module"
import type * as Vega from "vega"
import type { Figure } from "./Figure.ts"
import * as Png from "./Png.ts"
import * as Spec from "./Spec.ts"

/**
 * A picture, ready to be written.
 *
 * @category models
 * @since 0.1.0
 */
export interface Picture {
  readonly svg: string
  readonly png: Uint8Array
}

/** Device pixels per CSS pixel of the PNG. */
const zoom = 1.5

/**
 * Draws a figure.
 *
 * @category drawing
 * @since 0.1.0
 */
export const render = async (figure: Figure): Promise<Picture> => {
  const { font, resvg, specs, vega } = await (loaded ??= load())
  const view = new vega.View(specs[figure.kind], { renderer: "none", logLevel: vega.Error })
  try {
    for (const name of ["title", "subtitle", "color", "plot", "x", "y", "legend", "message"] as const) {
      view.signal(name, figure[name])
    }
    view.data("legend", figure.legend.map((entry) => ({ ...entry })))
    for (const [name, rows] of Object.entries(dataOf(figure))) view.data(name, rows)
    const svg = await view.toSVG()
    const image = new resvg.Resvg(svg, {
      font: { loadSystemFonts: false, fontFiles: [font], defaultFontFamily: "DejaVu Sans" },
      fitTo: { mode: "zoom", value: zoom }
    })
    const { height, pixels, width } = image.render()
    return { svg, png: Png.encode(pixels, width, height) }
  } finally {
    view.finalize()
  }
}

interface Loaded {
  readonly vega: typeof Vega
  readonly resvg: typeof Resvg
  readonly specs: { readonly [K in Figure["kind"]]: Vega.Runtime }
  readonly font: string
}

let loaded: Promise<Loaded> | undefined

const load = async (): Promise<Loaded> => {
  const [vega, resvg] = await Promise.all([import("vega"), import("@resvg/resvg-js")])
  return {
    vega,
    resvg,
    specs: { lines: vega.parse(Spec.lines), ridges: vega.parse(Spec.ridges) },
    font: createRequire(import.meta.url).resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf")
  }
}

/** The rows of each data set of the specification. */
const dataOf = (figure: Figure): Record<string, Array<object>> => {
  if (figure.kind === "ridges") {
    return {
      ridges: figure.ridges.flatMap(({ base, opacity, x, y }) =>
        Array.from(x, (at, i) => ({ base, opacity, x: at, y: y[i] }))
      )
    }
  }
  return {
    bands: figure.bands.flatMap(({ opacity, to, x, y }) =>
      Array.from(x, (at, i) => ({ opacity, x: at, y: y[i], to: to[i] }))
    ),
    lines: figure.lines.flatMap(({ opacity, width, x, y }, nth) =>
      Array.from(x, (at, i) => ({ nth, opacity, width, x: at, y: y[i] }))
    ),
    dots: Array.from(figure.dots.x, (x, i) => ({ x, y: figure.dots.y[i] }))
  }
}
