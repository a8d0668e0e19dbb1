/** How charts look: what of them is shown, over what, how smooth, and back from a zoom. */
import { h } from "./dom.ts"
import type { State, Store } from "./state.ts"

export interface Toolbar {
  readonly element: HTMLElement
  readonly show: (state: State) => void
  readonly complain: (problem: string | undefined) => void
}

export const make = (store: Store): Toolbar => {
  const problem = h("span", { class: "problem", id: "filter-problem", role: "alert" })
  const filter = h("input", {
    type: "search",
    id: "filter",
    placeholder: "regular expression",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "filter-problem",
    oninput: () => store.set({ filter: filter.value })
  })
  const axis = choice("axis", ["step", "time", "relative"], (value) => store.set({ axis: value, range: undefined }))
  const band = choice("band", ["range", "std", "none"], (value) => store.set({ band: value }))
  const smooth = h("input", {
    type: "range",
    id: "smooth",
    min: 0,
    max: 0.99,
    step: 0.01,
    oninput: () => store.set({ smooth: Number(smooth.value) })
  })
  const shown = h("output", { for: "smooth" })
  const log = h("input", { type: "checkbox", id: "log", onchange: () => store.set({ log: log.checked }) })
  const all = h(
    "button",
    { type: "button", id: "all", onclick: () => store.set({ range: undefined }, true) },
    "Show all"
  )
  // A label around its control would be read with all that can be chosen.
  const field = (name: string, control: HTMLElement, ...more: ReadonlyArray<HTMLElement>): HTMLElement =>
    h("span", { class: "field" }, h("label", { for: control.id }, name), control, ...more)
  return {
    element: h(
      "div",
      { class: "toolbar", role: "group", "aria-label": "Charts" },
      field("Metrics", filter),
      field("x", axis),
      field("Band", band),
      field("Smoothing", smooth, shown),
      field("Log scale", log),
      all,
      problem
    ),
    show: (state) => {
      if (document.activeElement !== filter) filter.value = state.filter
      axis.value = state.axis
      band.value = state.band
      smooth.value = String(state.smooth)
      shown.textContent = state.smooth.toFixed(2)
      log.checked = state.log
      all.hidden = state.range === undefined
    },
    complain: (text) => {
      problem.textContent = text ?? ""
    }
  }
}

const choice = <A extends string>(id: string, values: ReadonlyArray<A>, chosen: (value: A) => void) => {
  const select = h(
    "select",
    {
      id,
      onchange: () => {
        const value = values.find((one) => one === select.value)
        if (value !== undefined) chosen(value)
      }
    },
    ...values.map((value) => h("option", { value }, value))
  )
  return select
}
