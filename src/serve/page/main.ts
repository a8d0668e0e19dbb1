/**
 * The page: the list of runs beside what is shown of those that were chosen.
 *
 * What is shown is in the address (state.ts). Runs are read when they are chosen and when they have changed, which the
 * server tells (server-sent events); charts read what is in view.
 */
import type { Change, Listed, Run } from "../Api.ts"
import * as Api from "./api.ts"
import * as Charts from "./charts.ts"
import { fill, h, place, swatch } from "./dom.ts"
import * as Format from "./format.ts"
import * as Runs from "./runs.ts"
import { type State, store as makeStore, tabs } from "./state.ts"
import * as Tabs from "./tabs.ts"
import * as Theme from "./theme.ts"
import * as Toolbar from "./toolbar.ts"

const runs = new Map<string, Run>()
const problems = new Map<string, string>()
let listed: ReadonlyArray<Listed> = []
let stopListening = (): void => {}
let listening = ""
/** Runs of which something may have been missed. */
const doubtful = new Set<string>()
let begun = false

// -----------------------------------------------------------------------------
// Places
// -----------------------------------------------------------------------------

const store = makeStore((state, before) => {
  list.show(state)
  if (state.runs.join("\n") !== before.runs.join("\n")) choose(state)
  show(state)
})

const connection = h("span", { class: "connection" })
const root = h("span", { class: "root" })
fill(
  place("head"),
  h("h1", {}, "ezpz-stream"),
  root,
  connection,
  Theme.chooser(() => {
    show(store.get())
    charts.redraw()
    list.show(store.get())
  })
)

const list = Runs.make(place("side"), store)
const title = h("div", { class: "titles" })
const notes = h("div", { class: "notes" })
const tabList = h("div", { class: "tabs", role: "tablist", "aria-label": "Of the runs" })
const toolbar = Toolbar.make(store)
const chartHost = h("div")
const other = h("div", { class: "other" })
const panel = h(
  "div",
  { role: "tabpanel", id: "panel", "aria-labelledby": "tab-charts" },
  toolbar.element,
  chartHost,
  other
)
place("main").append(title, notes, tabList, panel)
const charts = Charts.make(chartHost, store, toolbar.complain)
const others = Tabs.make(other)

const tabButtons = tabs.map((tab) =>
  h("button", {
    type: "button",
    role: "tab",
    id: `tab-${tab}`,
    "aria-controls": "panel",
    onclick: () => store.set({ tab }, true),
    onkeydown: (event) => {
      const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0
      if (by === 0) return
      event.preventDefault()
      const next = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length] ?? tab
      store.set({ tab: next })
      place(`tab-${next}`).focus()
    }
  }, tab)
)
fill(tabList, ...tabButtons)

// -----------------------------------------------------------------------------
// Showing
// -----------------------------------------------------------------------------

const selected = (state: State): ReadonlyArray<Charts.Selected> =>
  state.runs.map((id, i) => {
    const run = runs.get(id)
    const label = run === undefined ? id : Runs.titleOf(run)
    return { id, label, color: Theme.runColor(i), run, problem: problems.get(id) }
  }).map((one, _, all) =>
    all.some(({ id, label }) => id !== one.id && label === one.label) ? { ...one, label: one.id } : one
  )

const show = (state: State): void => {
  const shown = selected(state)
  document.title = shown.length === 0 ? "ezpz-stream" : `${shown.map((one) => one.label).join(", ")} – ezpz-stream`
  fill(title, ...shown.map(heading))
  tabList.hidden = panel.hidden = shown.length === 0
  if (shown.length === 0 && begun) {
    fill(
      title,
      h("p", { class: "note" }, listed.length === 0 ? "No runs yet: they come as they begin." : "Choose a run.")
    )
  }
  const said = shown.flatMap(({ id, label, run }) =>
    [...problems.has(id) ? [problems.get(id) ?? ""] : [], ...run?.notes ?? []]
      .map((text) => shown.length > 1 ? `${label}: ${text}` : text)
  )
  fill(notes, ...said.map((text) => h("p", { class: "note" }, text)))
  for (const button of tabButtons) {
    const is = button.id === `tab-${state.tab}`
    button.setAttribute("aria-selected", String(is))
    button.tabIndex = is ? 0 : -1
  }
  panel.setAttribute("aria-labelledby", `tab-${state.tab}`)
  const isChart = state.tab === "charts" || state.tab === "system"
  toolbar.element.hidden = chartHost.hidden = !isChart
  other.hidden = isChart
  toolbar.show(state)
  if (isChart) charts.show(state.tab === "system", shown, state)
  else others.show(state.tab, shown)
}

const heading = ({ color, id, label, run }: Charts.Selected): HTMLElement => {
  if (run === undefined) return h("div", { class: "title" }, h("h2", {}, swatch(color), label))
  const facts = [
    run.project,
    // Of a log that is not read yet, what is known is a sample.
    `${run.read < 1 ? "…" : Format.number(run.records)} records`,
    run.step === null ? "" : `step ${Format.number(run.step)}`,
    run.createdAt > 0 ? `started ${Format.moment(run.createdAt)}` : "",
    run.createdAt > 0 && run.updatedAt > run.createdAt ? `over ${Format.duration(run.updatedAt - run.createdAt)}` : "",
    run.corrupt > 0 ? `${run.corrupt} corrupt lines` : "",
    run.read < 1 ? `reading, ${Math.floor(run.read * 100)}%` : ""
  ]
  return h(
    "div",
    { class: "title", "data-run": id },
    h("h2", {}, swatch(color), label, " ", h("span", { class: `state ${run.state}` }, run.state)),
    h("p", { class: "meta" }, facts.filter((fact) => fact !== "").join(" · "))
  )
}

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

const load = async (id: string): Promise<void> => {
  try {
    const run = await Api.run(id)
    if (!store.get().runs.includes(id)) return
    runs.set(id, run)
    problems.delete(id)
  } catch (error) {
    problems.set(id, error instanceof Error ? error.message : String(error))
  }
  show(store.get())
}

/** Reads what has been chosen, and listens to it. */
const choose = ({ runs: ids }: State): void => {
  for (const id of runs.keys()) if (!ids.includes(id)) runs.delete(id)
  for (const id of ids) if (!runs.has(id)) void load(id)
  const now = ids.join("\n")
  if (now === listening) return
  listening = now
  stopListening()
  doubtful.clear()
  if (ids.length === 0) return
  let before = false
  stopListening = Api.events(ids, {
    change: changed,
    connected: (is) => {
      // A server that has forgotten a run meanwhile, or is another one, counts its revisions anew.
      if (is && before) { for (const id of ids) doubtful.add(id) }
      before ||= is
      connection.textContent = is ? "live" : "not connected"
      connection.className = is ? "connection live" : "connection"
    }
  })
}

const changed = (change: Change): void => {
  const run = runs.get(change.run)
  const mayBeNew = doubtful.delete(change.run)
  if (run === undefined || change.revision === run.revision && !mayBeNew) return
  const { metrics, ...facts } = change
  // Metrics that were not there, or how it ended: then there is more to know than what was told.
  const more = metrics !== run.metrics.length || change.state !== run.state || run.read < 1 && change.read === 1
  const { read, records, revision, state, step } = facts
  const now = { ...run, read, records, revision, state, step, updatedAt: change.updatedAt }
  runs.set(change.run, now)
  if (more) void load(change.run)
  else {
    const i = store.get().runs.indexOf(change.run)
    const shown = selected(store.get())[i]
    const there = title.children[i]
    if (shown !== undefined && there !== undefined) there.replaceWith(heading(shown))
  }
  charts.refresh(false)
}

const everySeconds = 4

const readList = async (): Promise<void> => {
  try {
    const answer = await Api.runs()
    listed = answer.runs
    root.textContent = answer.root
    list.set(answer)
    const [newest] = listed
    if (store.get().runs.length === 0 && newest !== undefined && !begun) store.set({ runs: [newest.id] })
    const first = !begun
    begun = true
    if (first && newest === undefined) show(store.get())
  } catch (error) {
    connection.textContent = error instanceof Error ? error.message : String(error)
    connection.className = "connection"
  }
}

setInterval(() => {
  if (document.visibilityState === "visible") void readList()
}, everySeconds * 1000)

choose(store.get())
show(store.get())
void readList()
