/**
 * What is shown, as the address says it: whoever opens the same address sees the same.
 */
import type { Axis } from "../Api.ts"

export const tabs = ["charts", "config", "system", "ranks", "report", "files"] as const

export type Tab = typeof tabs[number]

export type Band = "range" | "std" | "none"

export interface State {
  /** The runs that are shown, in the order of their colours. */
  readonly runs: ReadonlyArray<string>
  readonly tab: Tab
  /** What the list is searched for, and sorted by. */
  readonly search: string
  readonly sort: string
  readonly ascending: boolean
  /** A regular expression that metrics match. */
  readonly filter: string
  readonly axis: Axis
  readonly smooth: number
  readonly log: boolean
  readonly band: Band
  readonly range: readonly [number, number] | undefined
}

export const initial: State = {
  runs: [],
  tab: "charts",
  search: "",
  sort: "created",
  ascending: false,
  filter: "",
  axis: "step",
  smooth: 0,
  log: false,
  band: "range",
  range: undefined
}

const oneOf = <A extends string>(known: ReadonlyArray<A>, text: string | null, otherwise: A): A =>
  known.find((one) => one === text) ?? otherwise

/** What cannot be understood is as if it were not there. */
export const read = (query: string): State => {
  const given = new URLSearchParams(query)
  const range = (given.get("range") ?? "").split("~").map(Number)
  const [from, to] = range
  const smooth = Number(given.get("smooth") ?? 0)
  return {
    runs: [...new Set(given.getAll("run"))].slice(0, mostRuns),
    tab: oneOf(tabs, given.get("tab"), initial.tab),
    search: given.get("q") ?? "",
    sort: given.get("sort") ?? initial.sort,
    ascending: given.has("up"),
    filter: given.get("filter") ?? "",
    axis: oneOf(["step", "time", "relative"], given.get("x"), initial.axis),
    smooth: smooth > 0 && smooth < 1 ? smooth : 0,
    log: given.has("log"),
    band: oneOf(["range", "std", "none"], given.get("band"), initial.band),
    range: range.length === 2 && from !== undefined && to !== undefined && from < to ? [from, to] : undefined
  }
}

/** So many can be told apart by their colours. */
export const mostRuns = 8

export const write = (state: State): string => {
  const said = new URLSearchParams()
  for (const run of state.runs) said.append("run", run)
  const say = (name: string, value: string, otherwise: string): void => {
    if (value !== otherwise) said.set(name, value)
  }
  say("tab", state.tab, initial.tab)
  say("q", state.search, "")
  say("sort", state.sort, initial.sort)
  if (state.ascending) said.set("up", "1")
  say("filter", state.filter, "")
  say("x", state.axis, initial.axis)
  say("smooth", String(state.smooth), "0")
  if (state.log) said.set("log", "1")
  say("band", state.band, initial.band)
  if (state.range !== undefined) said.set("range", state.range.join("~"))
  const text = said.toString()
  return text === "" ? location.pathname : `?${text}`
}

export interface Store {
  readonly get: () => State
  /** `remember`: one can come back from it with the browser's button. */
  readonly set: (change: Partial<State>, remember?: boolean) => void
}

export const store = (changed: (state: State, before: State) => void): Store => {
  let state = read(location.search)
  addEventListener("popstate", () => {
    const before = state
    state = read(location.search)
    changed(state, before)
  })
  return {
    get: () => state,
    set: (change, remember = false) => {
      const before = state
      state = { ...state, ...change }
      // A browser refuses when there are too many in a short time; then the address comes later.
      try {
        if (remember) history.pushState(null, "", write(state))
        else history.replaceState(null, "", write(state))
      } catch {
        // The next one says it.
      }
      changed(state, before)
    }
  }
}
