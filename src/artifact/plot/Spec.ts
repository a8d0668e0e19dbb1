/**
 * The two Vega specifications that all pictures are drawn with. They are parsed once; a figure only brings values for
 * their signals and data. Everything has its place already, so nothing depends on how a machine measures text.
 *
 * @since 0.1.0
 */
import type * as Vega from "vega"
import * as Figure from "./Figure.ts"
import * as Text from "./Text.ts"

const ink = "#24292f"
const faint = "#6e7781"
const grid = "#e6e9ed"

const signals = ["title", "subtitle", "color", "plot", "x", "y", "legend", "message"].map((name) => ({
  name,
  value: null
}))

const font = { value: Text.family }
const still = { interactive: false, aria: false } as const

const text = (
  encode: Vega.TextEncodeEntry,
  from?: string
): Vega.Mark => ({
  type: "text",
  ...still,
  ...(from === undefined ? {} : { from: { data: from } }),
  encode: { enter: { font, fill: { value: ink }, ...encode } }
})

const axis = (orient: "left" | "bottom", scale: "x" | "y"): Vega.Axis => ({
  orient,
  scale,
  aria: false,
  zindex: 0,
  grid: true,
  gridColor: grid,
  domain: false,
  ticks: false,
  labelPadding: orient === "left" ? 8 : 9,
  labelFont: Text.family,
  labelFontSize: 11,
  labelColor: faint,
  labelOverlap: false,
  labelFlush: false,
  labelBound: false,
  values: { signal: `${scale}.values` },
  encode: { labels: { update: { text: { signal: `${scale}.labels[indexof(${scale}.values, datum.value)]` } } } }
})

const header: ReadonlyArray<Vega.Mark> = [
  text({ x: { value: 28 }, y: { value: 34 }, text: { signal: "title" }, fontSize: { value: 17 } }),
  text({
    x: { value: 28 },
    y: { value: 55 },
    text: { signal: "subtitle" },
    fontSize: { value: 12 },
    fill: { value: faint }
  })
]

const legend: ReadonlyArray<Vega.Mark> = [
  {
    type: "rect",
    ...still,
    from: { data: "legend" },
    encode: {
      enter: {
        x: { field: "x" },
        width: { value: 22 },
        yc: { value: 51 },
        height: { signal: "datum.mark === 'band' ? 11 : datum.width" },
        fill: { signal: "color" },
        fillOpacity: { field: "opacity" }
      }
    }
  },
  text({
    x: { field: "x", offset: 28 },
    y: { value: 55 },
    text: { field: "label" },
    fontSize: { value: 11 },
    fill: { value: ink }
  }, "legend")
]

const axisTitles: ReadonlyArray<Vega.Mark> = [
  text({
    x: { signal: "plot.left + plot.width / 2" },
    y: { value: Figure.height - 14 },
    text: { signal: "x.title" },
    fontSize: { value: 12 },
    align: { value: "center" }
  }),
  text({
    x: { value: 24 },
    y: { signal: "plot.top + plot.height / 2" },
    text: { signal: "y.title" },
    fontSize: { value: 12 },
    align: { value: "center" },
    angle: { value: -90 }
  })
]

const message: Vega.Mark = text({
  x: { signal: "plot.left + plot.width / 2" },
  y: { signal: "plot.top + plot.height / 2" },
  text: { signal: "message" },
  fontSize: { value: 15 },
  fill: { value: faint },
  align: { value: "center" }
})

const picture = (
  data: ReadonlyArray<string>,
  axes: Array<Vega.Axis>,
  marks: Array<Vega.Mark>
): Vega.Spec => ({
  width: Figure.width,
  height: Figure.height,
  padding: 0,
  autosize: "none",
  background: "#ffffff",
  signals,
  data: ["legend", ...data].map((name) => ({ name, values: [] })),
  scales: [
    {
      name: "x",
      type: "linear",
      zero: false,
      nice: false,
      domain: { signal: "x.domain" },
      range: { signal: "[0, plot.width]" }
    },
    {
      name: "y",
      type: "linear",
      zero: false,
      nice: false,
      domain: { signal: "y.domain" },
      range: { signal: "[plot.height, 0]" }
    }
  ],
  marks: [
    ...header,
    ...legend,
    ...axisTitles,
    {
      type: "group",
      ...still,
      encode: {
        enter: {
          x: { signal: "plot.left" },
          y: { signal: "plot.top" },
          width: { signal: "plot.width" },
          height: { signal: "plot.height" }
        }
      },
      // Grid lines reach as far as the signals of these names say.
      signals: [
        { name: "width", update: "plot.width" },
        { name: "height", update: "plot.height" }
      ],
      axes,
      marks
    },
    message
  ]
})

const x = { scale: "x", field: "x" }
const y = { scale: "y", field: "y" }
const color = { signal: "color" }
const defined = { signal: "isValid(datum.y)" }

/**
 * Lines over bands over a grid.
 *
 * @category specifications
 * @since 0.1.0
 */
export const lines: Vega.Spec = picture(["bands", "lines", "dots"], [axis("left", "y"), axis("bottom", "x")], [
  {
    type: "area",
    ...still,
    from: { data: "bands" },
    encode: {
      enter: { x, y, y2: { scale: "y", field: "to" }, defined, fill: color, fillOpacity: { field: "opacity" } }
    }
  },
  {
    type: "group",
    ...still,
    from: { facet: { name: "line", data: "lines", groupby: "nth" } },
    marks: [{
      type: "line",
      ...still,
      from: { data: "line" },
      encode: {
        enter: {
          x,
          y,
          defined,
          stroke: color,
          strokeWidth: { field: "width" },
          strokeOpacity: { field: "opacity" },
          strokeJoin: { value: "round" },
          strokeCap: { value: "round" }
        }
      }
    }]
  },
  {
    type: "symbol",
    ...still,
    from: { data: "dots" },
    encode: { enter: { x, y, size: { value: 26 }, fill: color } }
  }
])

/**
 * Densities over their base lines, row by row.
 *
 * @category specifications
 * @since 0.1.0
 */
export const ridges: Vega.Spec = picture(["ridges"], [
  { ...axis("left", "y"), grid: false },
  axis("bottom", "x")
], [
  {
    type: "group",
    ...still,
    from: { facet: { name: "ridge", data: "ridges", groupby: "base" } },
    marks: [
      {
        type: "area",
        ...still,
        from: { data: "ridge" },
        encode: {
          enter: {
            x,
            y,
            y2: { scale: "y", field: "base" },
            interpolate: { value: "monotone" },
            fill: { value: "#ffffff" }
          }
        }
      },
      {
        type: "area",
        ...still,
        from: { data: "ridge" },
        encode: {
          enter: {
            x,
            y,
            y2: { scale: "y", field: "base" },
            interpolate: { value: "monotone" },
            fill: color,
            fillOpacity: { field: "opacity" }
          }
        }
      },
      {
        type: "line",
        ...still,
        from: { data: "ridge" },
        encode: {
          enter: {
            x,
            y,
            interpolate: { value: "monotone" },
            stroke: { value: "#ffffff" },
            strokeWidth: { value: 1.2 }
          }
        }
      }
    ]
  }
])
