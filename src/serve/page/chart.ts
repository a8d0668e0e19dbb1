/**
 * One metric's picture: a line for each run, its band, the smoothed line over it, and what stands under the cursor.
 *
 * The picture is made anew when other lines are in it, and gets new data otherwise. It can be used without a pointer:
 * the arrows move the cursor, + and - zoom, 0 shows all.
 */
import UPlot from "uplot"
import type { Line } from "../Api.ts"
import * as Axes from "./axes.ts"
import { announce, fill, h, swatch } from "./dom.ts"
import * as Format from "./format.ts"
import { alone, merge, nearest, type Table } from "./merge.ts"
import { color } from "./theme.ts"
import * as Values from "./values.ts"

export type { Look, Shown } from "./values.ts"

export interface Chart {
  readonly element: HTMLElement
  readonly set: (shown: ReadonlyArray<Values.Shown>, look: Values.Look) => void
  readonly width: () => number
  readonly redraw: () => void
  readonly table: () => HTMLElement
  readonly destroy: () => void
}

const sync = UPlot.sync("x")

export const xText = Values.xText

export const make = (
  metric: string,
  zoomed: (range: readonly [number, number] | undefined) => void
): Chart => {
  const canvas = h("div", { class: "canvas" })
  const readout = h("ul", { class: "readout" })
  let plot: UPlot | undefined
  let shape = ""
  let height = 0
  let shown: ReadonlyArray<Values.Shown> = []
  let look: Values.Look | undefined
  let cursor: number | undefined
  /** What the axis tells apart is not rounded away. */
  let digits: ReadonlyArray<number> = []

  const element = h("div", {
    class: "plot",
    tabindex: 0,
    role: "group",
    "aria-roledescription": "chart",
    onkeydown: (event) => keys(event),
    onblur: () => {
      cursor = undefined
      if (plot !== undefined) plot.setCursor({ left: -10, top: -10 })
      tell(undefined)
    }
  }, canvas)
  const whole = h("div", { class: "chart" }, element, readout)

  /** All that there is, or a part of it that is wide enough to show something. */
  const zoom = (wanted: readonly [number, number] | undefined): void => {
    const range = wanted === undefined ? undefined : Axes.zoomed(wanted, look?.axis ?? "step", look?.extent)
    if (wanted === undefined || range?.join() !== look?.range?.join()) zoomed(range)
  }

  /** What a run has at an x, or at its end. */
  const tell = (x: number | undefined): void => {
    if (look === undefined) return
    const { axis, band, place } = look
    fill(
      readout,
      ...shown.map(({ color, curve, label }, nth) => {
        const line = curve.band ?? { x: curve.x, mean: curve.y }
        // Without a cursor the run's last value, as it is; else what is drawn there.
        const exact = x === undefined && look?.range === undefined ? curve.last : null
        const i = x === undefined ? lastOf(line.mean) : nearest(line.x, x)
        const at = exact?.x ?? line.x[i]
        const wanted = digits[nth] ?? 0
        const parts = [Format.number(exact?.y ?? line.mean[i], Math.max(6, wanted))]
        if (curve.band !== null && band === "std") {
          parts.push(`± ${Format.number(exact?.spread?.std ?? curve.band.std[i], 3)}`)
        }
        if (curve.band !== null && band === "range") {
          const { high = curve.band.high[i], low = curve.band.low[i] } = exact?.spread ?? {}
          parts.push([low, high].map((one) => Format.number(one, Math.max(4, wanted - 1))).join(" … "))
        }
        return h(
          "li",
          {},
          swatch(color),
          shown.length > 1 && h("span", { class: "who" }, label),
          h("span", { class: "value" }, parts.join("  ")),
          h("span", { class: "where" }, at === undefined ? "no values" : xText(axis, at, place))
        )
      })
    )
  }

  const draw = (): void => {
    if (look === undefined) return
    const { log } = look
    const { columns, kinds } = lines(shown, look)
    const size = { width: Math.max(120, canvas.clientWidth), height: Math.max(120, canvas.clientHeight) }
    const now = JSON.stringify([
      kinds.map(({ kind, run }) => [kind, run]),
      look.axis,
      look.band,
      log,
      shown.map((one) => one.color)
    ])
    if (plot === undefined || now !== shape) {
      plot?.destroy()
      shape = now
      plot = new UPlot(options(size), columns, canvas)
      sync.sub(plot)
    } else plot.setData(columns, true)
    height = size.height
  }

  const options = (size: { readonly width: number; readonly height: number }): UPlot.Options => {
    const { kinds } = lines(shown, look)
    const axis = look?.axis ?? "step"
    const log = look?.log === true
    const ink = { stroke: color("ink-2"), grid: { stroke: color("grid"), width: 1 }, ticks: { stroke: color("grid") } }
    return {
      ...size,
      legend: { show: false },
      cursor: {
        drag: { x: true, y: false, setScale: false },
        sync: {
          key: "x",
          scales: ["x", null],
          // A zoom is everybody's as it is.
          filters: { pub: (type) => type === "mousemove" || type === "mouseleave" }
        },
        points: { size: 6 }
      },
      scales: {
        x: { time: axis === "time", range: (): [number, number] => Axes.xRange(look) },
        y: Axes.yScale(log)
      },
      axes: Axes.axes(axis, log, ink),
      series: [
        {},
        ...kinds.map(({ color, kind }): UPlot.Series => ({
          stroke: kind === "low" || kind === "high" ? "transparent" : kind === "raw" ? faint(color, 0.35) : color,
          width: kind === "line" || kind === "smooth" ? 1.6 : 1,
          // Of mean - std there may be a value that is next to nothing: decades for it would hide the rest.
          auto: !(log && kind === "low" && look?.band === "std"),
          points: kind === "low" || kind === "high"
            ? { show: false }
            : { size: 5, fill: kind === "raw" ? faint(color, 0.35) : color, filter: lonely }
        }))
      ],
      bands: kinds.flatMap(({ color, kind }, i) =>
        kind === "high" ? [{ series: [i + 1, i] as [number, number], fill: faint(color, 0.2) }] : []
      ),
      hooks: {
        setSelect: [(self) => {
          const { left, width } = self.select
          if (width < 4) return
          const [from, to] = [self.posToVal(left, "x"), self.posToVal(left + width, "x")]
          self.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false)
          if (to > from) zoom([from, to])
        }],
        setCursor: [(self) => {
          const { left } = self.cursor
          tell(left === undefined || left === null || left < 0 ? undefined : self.posToVal(left, "x"))
        }],
        ready: [(self) => {
          self.over.addEventListener("dblclick", () => zoom(undefined))
          touch(self, zoom)
        }]
      }
    }
  }

  const keys = (event: KeyboardEvent): void => {
    if (plot === undefined || look === undefined || event.ctrlKey || event.metaKey || event.altKey) return
    const [from, to] = Axes.xRange(look)
    const wide = to - from
    const moved = (by: number): void => {
      const at = cursor ?? (by > 0 ? from : to)
      cursor = Math.max(from, Math.min(to, at + wide * by))
    }
    const far = event.shiftKey ? 0.1 : 0.01
    if (event.key === "ArrowRight") moved(far)
    else if (event.key === "ArrowLeft") moved(-far)
    else if (event.key === "Home") cursor = from
    else if (event.key === "End") cursor = to
    else if (event.key === "0" || event.key === "Escape") zoom(undefined)
    else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const center = cursor ?? from + wide / 2
      const half = event.key === "-" ? wide : wide / 4
      zoom([center - half, center + half])
    } else return
    event.preventDefault()
    if (cursor === undefined) return
    plot.setCursor({ left: plot.valToPos(cursor, "x"), top: 10 })
    announce(`${Format.name(metric)}: ${readout.innerText.replaceAll("\n", " ")}`)
  }

  const observer = new ResizeObserver(() => {
    if (plot === undefined || canvas.clientWidth === 0) return
    if (plot.width !== canvas.clientWidth || height !== canvas.clientHeight) {
      height = canvas.clientHeight
      plot.setSize({ width: canvas.clientWidth, height: canvas.clientHeight })
    }
  })
  observer.observe(canvas)

  return {
    element: whole,
    set: (given, how) => {
      shown = given
      look = how
      digits = given.map(({ curve }) => Format.digits(Values.lineOf(curve).y))
      element.setAttribute("aria-label", Values.described(metric, given, how))
      draw()
      tell(cursor)
    },
    width: () => Math.max(120, canvas.clientWidth - Axes.room.y),
    redraw: () => {
      shape = ""
      draw()
    },
    table: () => look === undefined ? h("div") : Values.table(shown, look),
    destroy: () => {
      observer.disconnect()
      if (plot !== undefined) sync.unsub(plot)
      plot?.destroy()
    }
  }
}

/** Where not every point is drawn, those are that no line goes through. */
const lonely = (plot: UPlot, series: number, all: boolean): Array<number> | null =>
  all ? null : alone(plot.data[0], plot.data[series] ?? [], plot.posToVal(1, "x") - plot.posToVal(0, "x"))

/** A finger that is drawn across zooms, as a mouse does; up and down it moves the page. */
const touch = (plot: UPlot, zoom: (range: readonly [number, number]) => void): void => {
  let from: number | undefined
  const at = (event: PointerEvent): number => event.clientX - plot.over.getBoundingClientRect().left
  const select = (left: number, width: number): void =>
    plot.setSelect({ left, width, top: 0, height: width === 0 ? 0 : plot.over.clientHeight }, false)
  plot.over.addEventListener("pointerdown", (event) => {
    from = event.pointerType === "touch" ? at(event) : undefined
  })
  plot.over.addEventListener("pointermove", (event) => {
    if (from === undefined) return
    plot.setCursor({ left: at(event), top: 10 })
    select(Math.min(from, at(event)), Math.abs(at(event) - from))
  })
  plot.over.addEventListener("pointerup", (event) => {
    if (from === undefined) return
    const [left, right] = [Math.min(from, at(event)), Math.max(from, at(event))]
    from = undefined
    select(0, 0)
    if (right - left <= 12) return
    const range = [plot.posToVal(left, "x"), plot.posToVal(right, "x")] as const
    plot.setCursor({ left: -10, top: -10 })
    zoom(range)
  })
  plot.over.addEventListener("pointercancel", () => {
    from = undefined
    select(0, 0)
  })
}

// What is drawn

type Kind = "line" | "raw" | "smooth" | "low" | "high"

interface Column {
  readonly kind: Kind
  readonly run: number
  readonly color: string
}

const lines = (shown: ReadonlyArray<Values.Shown>, look: Values.Look | undefined) => {
  const tables: Array<Table> = []
  const kinds: Array<Column> = []
  // The low edge of a band goes down to the bottom where a scale of powers does not have it; all else has a gap there.
  const positive = (values: ReadonlyArray<number | null>, otherwise: number | null): ReadonlyArray<number | null> =>
    look?.log === true ? values.map((value) => value === null || value > 0 ? value : otherwise) : values
  for (const [run, { color, curve }] of shown.entries()) {
    const column = (kind: Kind, values: ReadonlyArray<number | null>) => {
      kinds.push({ kind, run, color })
      return positive(values, kind === "low" ? 0 : null)
    }
    const { band, smooth } = curve
    if (band === null) tables.push({ x: curve.x, columns: [column(smooth === null ? "line" : "raw", curve.y)] })
    else {
      const columns = look?.band === "none" ? [] : [
        column("low", look?.band === "std" ? around(band.mean, band.std, -1) : band.low),
        column("high", look?.band === "std" ? around(band.mean, band.std, 1) : band.high)
      ]
      columns.push(column(smooth === null ? "line" : "raw", band.mean))
      tables.push({ x: band.x, columns })
    }
    if (smooth !== null) tables.push({ x: smooth.x, columns: [column("smooth", smooth.y)] })
  }
  const merged = merge(tables)
  const columns: UPlot.AlignedData = [merged.x, ...merged.columns]
  return { columns, kinds }
}

const around = (
  mean: Line["y"],
  std: Line["y"],
  sign: number
): ReadonlyArray<number | null> => mean.map((y, i) => y === null ? null : y + sign * (std[i] ?? 0))

const faint = (hex: string, alpha: number): string => `${hex}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`

const lastOf = (values: ReadonlyArray<number | null>): number => {
  for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null) return i
  return -1
}
