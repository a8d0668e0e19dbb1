/**
 * The script of report.html, which no server is behind: the data is in the page. Each picture becomes a chart when it
 * comes into view; what one zooms into is what all with the same axis show.
 */
import { type Curve, type Data, unpack } from "../../artifact/html/Codec.ts"
import type { Curve as Shown, Line } from "../Api.ts"
import * as Chart from "./chart.ts"
import { announce, fill, h, own, place } from "./dom.ts"
import type { Band } from "./state.ts"
import { runColor } from "./theme.ts"

type Range = readonly [number, number]

interface Card {
  readonly name: string
  readonly article: HTMLElement
  readonly curve: Curve
  readonly shown: Shown
  chart: Chart.Chart | undefined
}

const data: Data = JSON.parse(place("data").textContent)
const places = data.places.map(unpack)

const shownOf = ({ band, key, last, points, trend, values }: Curve): Shown => {
  const line = (one: { readonly x: number; readonly y: Line["y"] } | undefined): Line =>
    one === undefined ? { x: [], y: [] } : { x: places[one.x] ?? [], y: one.y }
  return {
    key,
    points,
    coarse: false,
    last: last ?? null,
    ...line(values),
    smooth: trend === undefined ? null : line(trend),
    band: band === undefined ? null : { ...band, x: places[band.x] ?? [] }
  }
}

// What is shown

let log = false
let band: Band = "range"
let wanted = ""
const ranges = new Map<Curve["axis"], Range>()
const extents = new Map<Curve["axis"], Range>()

const cards: Array<Card> = []
for (const article of document.querySelectorAll("article")) {
  const curve = own(data.curves, String(Number(article.id.replace("plot-", "")) - 1))
  if (curve === undefined) continue
  const shown = shownOf(curve)
  const x = shown.band?.x ?? shown.x
  const [from, to] = [x[0], x.at(-1)]
  if (from !== undefined && to !== undefined) {
    const known = extents.get(curve.axis) ?? [from, to]
    extents.set(curve.axis, [Math.min(known[0], from), Math.max(known[1], to)])
  }
  cards.push({ name: article.querySelector("h4")?.textContent ?? "", article, curve, shown, chart: undefined })
}

const draw = ({ chart, curve, shown }: Card): void =>
  chart?.set([{ label: curve.key, color: runColor(0), curve: shown }], {
    axis: "step",
    place: curve.axis,
    log,
    band,
    range: ranges.get(curve.axis),
    extent: extents.get(curve.axis)
  })

const drawAll = (): void => {
  for (const card of cards) draw(card)
}

const zoom = (axis: Curve["axis"], range: Range | undefined): void => {
  if (range === undefined) ranges.delete(axis)
  else ranges.set(axis, range)
  whole.disabled = ranges.size === 0
  announce(
    range === undefined ? "All is shown" : `Zoomed to ${range.map((x) => Chart.xText("step", x, axis)).join(" to ")}`
  )
  drawAll()
}

// Charts

const begin = (card: Card): void => {
  if (card.chart !== undefined) return
  const { article, curve, name } = card
  const chart = card.chart = Chart.make(name, (range) => zoom(curve.axis, range))
  const wide = h("button", {
    type: "button",
    class: "quiet",
    "aria-pressed": "false",
    onclick: () => {
      wide.setAttribute("aria-pressed", String(article.classList.toggle("wide")))
    }
  }, "Enlarge")
  const values = h("button", { type: "button", class: "quiet", onclick: () => showTable(name, chart) }, "Values")
  wide.setAttribute("aria-label", `Enlarge ${name}`)
  values.setAttribute("aria-label", `Values of ${name}`)
  article.querySelector("header")?.append(h("span", { class: "tools" }, wide, values))
  article.append(h("div", { class: "host" }, chart.element))
  article.classList.add("live")
  draw(card)
}

const showTable = (name: string, chart: Chart.Chart): void => {
  const dialog = h(
    "dialog",
    { "aria-label": `Values of ${name}`, onclose: () => dialog.remove() },
    h("header", {}, h("h2", {}, name), h("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Values" }, chart.table())
  )
  document.body.append(dialog)
  dialog.showModal()
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    const card = isIntersecting ? cards.find((one) => one.article === target) : undefined
    if (card === undefined) continue
    seen.unobserve(target)
    begin(card)
  }
}, { rootMargin: "200px" })
for (const { article } of cards) seen.observe(article)

// The toolbar

/** All words are in the name, in any order: an expression could take for ever. */
const filter = (): void => {
  const words = wanted.toLowerCase().split(/\s+/)
  let matching = 0
  for (const article of document.querySelectorAll("article")) {
    const name = article.querySelector("h4")?.textContent.toLowerCase() ?? ""
    article.hidden = !words.every((word) => name.includes(word))
    if (!article.hidden) matching++
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = section.querySelector("article:not([hidden])") === null
  }
  none.hidden = matching > 0
}

const none = h("p", { class: "note", hidden: true }, "No metric matches.")
const whole = h("button", {
  type: "button",
  disabled: true,
  onclick: () => {
    for (const axis of ranges.keys()) zoom(axis, undefined)
  }
}, "Show all")

const search = h("input", {
  type: "search",
  id: "filter",
  placeholder: "words in the name",
  oninput: () => {
    wanted = search.value
    filter()
  }
})
const scale = h("input", {
  type: "checkbox",
  onchange: () => {
    log = scale.checked
    drawAll()
  }
})
const bands: ReadonlyArray<readonly [Band, string]> = [["range", "smallest to largest"], ["std", "± std"], [
  "none",
  "none"
]]
const spread = h("select", {
  onchange: () => {
    band = bands.find(([name]) => name === spread.value)?.[0] ?? "range"
    drawAll()
  }
}, ...bands.map(([value, title]) => h("option", { value }, title)))

const toolbar = document.getElementById("toolbar")
if (toolbar !== null && cards.length > 0) {
  toolbar.className = "toolbar"
  fill(
    toolbar,
    h("label", { class: "field" }, "Metrics ", search),
    h("label", { class: "field" }, scale, "Log scale"),
    cards.some((card) => card.shown.band !== null) && h("label", { class: "field" }, "Band ", spread),
    whole
  )
  toolbar.after(none)
}

// Looks

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const { chart } of cards) chart?.redraw()
  drawAll()
})

/** On paper nothing can be opened. */
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true
})
