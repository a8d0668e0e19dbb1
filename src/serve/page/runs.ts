/** The list of runs: searched, sorted, one of them or several shown. */
import type { Listed, Runs } from "../Api.ts"
import { fill, h, own, swatch } from "./dom.ts"
import * as Format from "./format.ts"
import { mostRuns, type State, type Store } from "./state.ts"
import { runColor } from "./theme.ts"

export interface List {
  readonly set: (runs: Runs) => void
  readonly show: (state: State) => void
}

export const make = (host: HTMLElement, store: Store): List => {
  let all: ReadonlyArray<Listed> = []
  let drawn = ""
  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: "name, lr=0.1 …",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => store.set({ search: search.value })
  })
  const sort = h("select", { id: "sort", onchange: () => store.set({ sort: sort.value }) })
  const direction = h("button", {
    type: "button",
    class: "direction",
    onclick: () => store.set({ ascending: !store.get().ascending })
  })
  const count = h("span", { id: "count" })
  const toggle = h("button", {
    type: "button",
    class: "toggle",
    "aria-expanded": "false",
    "aria-controls": "list",
    onclick: () => {
      const open = host.classList.toggle("open")
      toggle.setAttribute("aria-expanded", String(open))
    }
  }, "Runs")
  const full = h("p", { class: "note full", role: "status" })
  const list = h("ul", { class: "list" })
  const notes = h("div")
  host.append(
    h("div", { class: "side-head" }, h("h2", {}, toggle, " ", count)),
    h(
      "div",
      { class: "side-body", id: "list" },
      h("div", { class: "field wide" }, h("label", { for: "search" }, "Search"), search),
      h(
        "div",
        { class: "row" },
        h("div", { class: "field wide" }, h("label", { for: "sort" }, "Sort by"), sort),
        direction
      ),
      full,
      list,
      notes
    )
  )

  const draw = (state: State): void => {
    if (state.runs.length < mostRuns) full.textContent = ""
    if (document.activeElement !== search) search.value = state.search
    direction.textContent = state.ascending ? "↑" : "↓"
    direction.setAttribute("aria-label", state.ascending ? "Ascending" : "Descending")
    const words = state.search.toLowerCase().split(/\s+/).filter((word) => word !== "")
    const found = all.filter((run) => {
      const text = textOf(run)
      return words.every((word) => text.includes(word))
    })
    found.sort(comparing(state.sort, state.ascending))
    count.textContent = found.length === all.length ? `${all.length}` : `${found.length} of ${all.length}`
    const varying = varies(all)
    const now = JSON.stringify([found, state.runs, state.sort, Math.floor(Date.now() / 30_000)])
    if (now === drawn) return
    drawn = now
    const focused = document.activeElement instanceof HTMLElement && list.contains(document.activeElement)
      ? document.activeElement.dataset["focus"]
      : undefined
    fill(list, ...found.map((run) => item(run, state, varying)))
    if (found.length === 0) {
      list.append(h("li", { class: "note" }, all.length === 0 ? "No runs yet." : "No run matches."))
    }
    if (focused !== undefined) list.querySelector<HTMLElement>(`[data-focus="${CSS.escape(focused)}"]`)?.focus()
  }

  const item = (run: Listed, state: State, varying: ReadonlyArray<string>): HTMLElement => {
    const place = state.runs.indexOf(run.id)
    const name = titleOf(run)
    const sorted = sortedBy(run, state.sort)
    const settings = varying.filter((key) => Object.hasOwn(run.config, key)).map((key) => `${key}=${run.config[key]}`)
    const box = h("input", {
      type: "checkbox",
      checked: place >= 0,
      "aria-label": `Show ${name}`,
      "data-focus": `box ${run.id}`,
      onchange: () => {
        const { runs } = store.get()
        if (runs.includes(run.id)) store.set({ runs: runs.filter((id) => id !== run.id) }, true)
        else if (runs.length < mostRuns) store.set({ runs: [...runs, run.id] }, true)
        else {
          // None of the others goes for it: they would all change their colours.
          box.checked = false
          full.textContent = `${mostRuns} runs at a time`
        }
      }
    })
    return h(
      "li",
      { class: place >= 0 ? "run shown" : "run" },
      box,
      h(
        "div",
        {},
        h(
          "a",
          {
            href: `?run=${encodeURIComponent(run.id)}`,
            "aria-current": place === 0 ? "true" : undefined,
            "data-focus": `name ${run.id}`,
            onclick: (event) => {
              if (event.ctrlKey || event.metaKey || event.shiftKey) return
              event.preventDefault()
              store.set({ runs: [run.id], range: undefined }, true)
            }
          },
          place >= 0 && swatch(runColor(place)),
          name
        ),
        h("span", { class: `state ${run.state}` }, run.state),
        h(
          "p",
          { class: "meta" },
          [
            run.project,
            run.step === null ? "" : `step ${Format.number(run.step)}`,
            Format.ago(run.updatedAt)
          ].filter((part) => part !== "").join(" · ")
        ),
        settings.length > 0 && h("p", { class: "meta config" }, settings.join(" · ")),
        sorted !== undefined && h("p", { class: "meta sorted" }, sorted),
        run.problem !== null && h("p", { class: "meta problem" }, run.problem)
      )
    )
  }

  const offer = (): void => {
    const metrics = [...new Set(all.flatMap((run) => Object.keys(run.last)))].slice(0, 200)
    const settings = [...new Set(all.flatMap((run) => Object.keys(run.config)))].slice(0, 200)
    const option = (value: string, text: string) => h("option", { value, selected: store.get().sort === value }, text)
    fill(
      sort,
      option("created", "start"),
      option("updated", "last record"),
      option("name", "name"),
      option("state", "state"),
      option("step", "step"),
      metrics.length > 0 && h("optgroup", { label: "Last value of" }, ...metrics.map((key) => option(`m:${key}`, key))),
      settings.length > 0 &&
        h("optgroup", { label: "Configuration" }, ...settings.map((key) => option(`c:${key}`, key)))
    )
  }

  return {
    set: (runs) => {
      all = runs.runs
      if (document.activeElement !== sort) offer()
      fill(notes, ...runs.notes.map((note) => h("p", { class: "note" }, note)))
      draw(store.get())
    },
    show: draw
  }
}

export const titleOf = (run: { readonly name: string; readonly id: string }): string =>
  Format.name(run.name === "" ? run.id : run.name)

/** What a search looks into. */
const textOf = (run: Listed): string =>
  [run.name, run.id, run.project, run.state, ...Object.entries(run.config).map(([key, value]) => `${key}=${value}`)]
    .join("\n").toLowerCase()

/** Settings that are not the same in all runs: they tell them apart. */
const varies = (runs: ReadonlyArray<Listed>): ReadonlyArray<string> => {
  const first = new Map<string, string>()
  const found = new Set<string>()
  for (const { config } of runs) {
    for (const key in config) {
      const value = config[key] ?? ""
      const known = first.get(key)
      if (known === undefined) first.set(key, value)
      else if (known !== value) found.add(key)
    }
  }
  return [...found].slice(0, 4)
}

const sortedBy = (run: Listed, sort: string): string | undefined => {
  const key = sort.slice(2)
  if (sort.startsWith("m:")) return `${key} = ${Format.number(own(run.last, key))}`
  const setting = sort.startsWith("c:") ? own(run.config, key) : undefined
  return setting === undefined ? undefined : `${key} = ${setting}`
}

/** What has no value comes last, whichever way it is sorted. */
const comparing = (sort: string, ascending: boolean) => {
  const sign = ascending ? 1 : -1
  const valueOf = (run: Listed): string | number | undefined => {
    const key = sort.slice(2)
    const text = sort.startsWith("m:")
      ? own(run.last, key)
      : sort.startsWith("c:")
      ? own(run.config, key)
      : undefined
    if (text !== undefined) return text === "" || Number.isNaN(Number(text)) ? text : Number(text)
    if (sort.startsWith("m:") || sort.startsWith("c:")) return undefined
    return sort === "name"
      ? titleOf(run)
      : sort === "state"
      ? run.state
      : sort === "step"
      ? run.step ?? undefined
      : sort === "updated"
      ? run.updatedAt
      : run.createdAt
  }
  return (a: Listed, b: Listed): number => {
    const [x, y] = [valueOf(a), valueOf(b)]
    if (x === undefined || y === undefined) return x === y ? b.createdAt - a.createdAt : x === undefined ? 1 : -1
    const order = typeof x === "number" && typeof y === "number"
      ? x - y
      : String(x).localeCompare(String(y), "en", { numeric: true })
    return order === 0 ? b.createdAt - a.createdAt : sign * order
  }
}
