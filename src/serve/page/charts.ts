/**
 * The charts of the runs that are shown: a card for each metric, by group, filled when it comes into view, and read again
 * when a run has grown or the look has changed. What one zooms into is what all show.
 */
import type { Run, Series } from "../Api.ts"
import * as Api from "./api.ts"
import * as Chart from "./chart.ts"
import { announce, fill, h } from "./dom.ts"
import * as Format from "./format.ts"
import type { State, Store } from "./state.ts"

export interface Selected {
  readonly id: string
  readonly label: string
  readonly color: string
  readonly run: Run | undefined
  /** Why there is no run, where that is known. */
  readonly problem?: string | undefined
}

export interface Charts {
  readonly show: (system: boolean, selected: ReadonlyArray<Selected>, state: State) => void
  /** Reads again what is in view; `now`: what is under way is not wanted any more. */
  readonly refresh: (now: boolean) => void
  readonly redraw: () => void
}

/** `settled`: the look for which this is how it stays. */
interface Answer extends Series {
  readonly settled: string | undefined
}

interface Card {
  readonly key: string
  readonly element: HTMLElement
  readonly host: HTMLElement
  /** Where links to the records are: beside the title, and below the chart where there are several. */
  readonly link: HTMLAnchorElement
  readonly links: HTMLElement
  linked: string
  chart: Chart.Chart | undefined
  seen: boolean
  readonly answers: Map<string, Answer>
}

/** So many cards at a time: a run may have thousands of metrics. */
const batch = 48
const keysAtOnce = 24

export const make = (host: HTMLElement, store: Store, complain: (problem: string | undefined) => void): Charts => {
  const cards = new Map<string, Card>()
  const grid = h("div", { class: "groups" })
  const more = h("button", {
    type: "button",
    class: "more",
    onclick: () => {
      limit += batch
      layOut()
    }
  })
  const empty = h("p", { class: "note" })
  host.append(empty, grid, more)
  let limit = batch
  let laidOut = ""
  let selected: ReadonlyArray<Selected> = []
  let state = store.get()
  let system = false
  let running: AbortController | undefined
  let again = false
  let generation = 0
  let filtered: { readonly keys: ReadonlySet<string> } | undefined
  let filtering = ""

  const seen = new IntersectionObserver((entries) => {
    let some = false
    for (const { isIntersecting, target } of entries) {
      const card = [...cards.values()].find((one) => one.element === target)
      if (card === undefined) continue
      card.seen = isIntersecting
      some ||= isIntersecting
    }
    if (some) refresh(false)
  }, { rootMargin: "200px" })

  const cardOf = (key: string): Card => {
    const there = cards.get(key)
    if (there !== undefined) return there
    const host = h("div", { class: "host" })
    const wide = h("button", {
      type: "button",
      class: "quiet",
      "aria-pressed": "false",
      onclick: () => {
        const now = card.element.classList.toggle("wide")
        wide.setAttribute("aria-pressed", String(now))
        refresh(false)
      }
    }, "Enlarge")
    const values = h("button", { type: "button", class: "quiet", onclick: () => showTable(card) }, "Values")
    const link = h("a", { class: "quiet", hidden: true }, "CSV")
    const links = h("p", { class: "meta", hidden: true })
    const title = Format.name(key)
    for (const [element, what] of [[wide, "Enlarge"], [values, "Values of"]] as const) {
      element.setAttribute("aria-label", `${what} ${title}`)
    }
    const card: Card = {
      key,
      element: h(
        "article",
        { class: "card" },
        h("header", {}, h("h4", { title }, title), h("span", { class: "tools" }, wide, values, link)),
        host,
        links
      ),
      host,
      link,
      links,
      linked: "",
      chart: undefined,
      seen: false,
      answers: new Map()
    }
    cards.set(key, card)
    seen.observe(card.element)
    return card
  }

  /** A link for each run that has the metric. */
  const linkTo = (card: Card, shown: ReadonlyArray<Pick<Selected, "id" | "label">>): void => {
    const { key, link, links } = card
    const now = JSON.stringify(shown.map(({ id, label }) => [id, label]))
    // Links that are made anew would lose the focus.
    if (now === card.linked) return
    card.linked = now
    const [only] = shown
    link.hidden = shown.length !== 1
    if (only !== undefined) link.href = Api.csvPath(only.id, [key])
    link.setAttribute("aria-label", `CSV of ${Format.name(key)}`)
    links.hidden = shown.length < 2
    const anchors = shown.map(({ id, label }) => {
      const what = `CSV of ${Format.name(key)}, ${label}`
      return h("a", { class: "quiet", href: Api.csvPath(id, [key]), "aria-label": what }, label)
    })
    fill(links, ...links.hidden ? [] : ["CSV:", ...anchors.flatMap((one) => [" ", one])])
  }

  const drop = (card: Card): void => {
    seen.unobserve(card.element)
    card.chart?.destroy()
    cards.delete(card.key)
  }

  const showTable = (card: Card): void => {
    const table = card.chart?.table()
    if (table === undefined) return
    const title = Format.name(card.key)
    const dialog = h(
      "dialog",
      { "aria-label": `Values of ${title}`, onclose: () => dialog.remove() },
      h("header", {}, h("h2", {}, title), h("button", { type: "button", onclick: () => dialog.close() }, "Close")),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Values" }, table)
    )
    document.body.append(dialog)
    dialog.showModal()
  }

  /** Asks what matches, again when there are more metrics. */
  const filter = (): void => {
    const { filter } = state
    const now = JSON.stringify([filter, selected.map(({ id, run }) => [id, run?.metrics.length])])
    if (now === filtering) return
    filtering = now
    if (filter === "" || selected.length === 0) {
      filtered = undefined
      complain(undefined)
      return
    }
    void Api.filter(selected.map(({ id }) => id), filter).then(({ keys, problem }) => {
      if (now !== filtering) return
      complain(problem === null ? undefined : `Not a regular expression: ${problem}`)
      if (problem === null) filtered = { keys: new Set(keys) }
      layOut()
      refresh(false)
    }, (error: unknown) => complain(error instanceof Error ? error.message : String(error)))
  }

  const layOut = (): void => {
    const keys = new Map<string, string>()
    for (const { run } of selected) {
      for (const metric of run?.metrics ?? []) if (metric.system === system) keys.set(metric.key, metric.group)
    }
    // Until it is known what matches, what was shown stays.
    const wanted = [...keys].filter(([key]) => state.filter === "" || filtered === undefined || filtered.keys.has(key))
    const here = wanted.slice(0, limit)
    const sizes = new Map<string, number>()
    for (const [, group] of wanted) sizes.set(group, (sizes.get(group) ?? 0) + 1)
    const now = JSON.stringify([here, [...sizes]])
    const loading = selected.some(({ problem, run }) => run === undefined && problem === undefined)
    // Its problem says that there is none, or why it cannot be read.
    const missing = selected.flatMap(({ label, problem, run }) =>
      run === undefined && problem !== undefined ? [`${problem.replace(/\.$/, "")}: ${Format.name(label)}`] : []
    )
    empty.hidden = wanted.length > 0
    empty.textContent = loading
      ? "Loading …"
      : missing.length > 0 && keys.size === 0
      ? missing.join("; ")
      : keys.size > 0
      ? `None of ${keys.size} metrics matches.`
      : system
      ? "No samples of the machine: they are taken for the wandb and mlflow backends."
      : "No numbers have been logged yet."
    if (now === laidOut) return
    laidOut = now
    const groups = new Map<string, Array<string>>()
    for (const [key, group] of here) groups.set(group, [...groups.get(group) ?? [], key])
    for (const card of cards.values()) if (!here.some(([key]) => key === card.key)) drop(card)
    // An element that is put elsewhere loses the focus.
    const focused = document.activeElement
    fill(
      grid,
      ...[...groups].map(([group, members]) =>
        h(
          "section",
          {},
          h("h3", {}, group === "" ? "metrics" : Format.name(group), h("small", {}, ` ${sizes.get(group) ?? 0}`)),
          h("div", { class: "cards" }, ...members.map((key) => cardOf(key).element))
        )
      )
    )
    if (focused instanceof HTMLElement && grid.contains(focused)) focused.focus({ preventScroll: true })
    more.hidden = wanted.length <= limit
    more.textContent = `Show ${Math.min(batch, wanted.length - limit)} more of ${wanted.length} metrics`
  }

  const look = (card: Card): Chart.Look => {
    let [from, to] = [Infinity, -Infinity]
    for (const { from: a, to: b } of [...cards.values()].flatMap((one) => [...one.answers.values()])) {
      if (a !== null && a < from) from = a
      if (b !== null && b > to) to = b
    }
    if (from > to) {
      for (const { curves } of card.answers.values()) {
        for (const { x } of curves) {
          from = Math.min(from, x[0] ?? from)
          to = Math.max(to, x.at(-1) ?? to)
        }
      }
    }
    return {
      axis: state.axis,
      log: state.log,
      band: state.band,
      range: state.range,
      extent: from <= to ? [from, to] : undefined
    }
  }

  const draw = (card: Card): void => {
    const shown = selected.flatMap(({ color, id, label }) => {
      const curve = card.answers.get(id)?.curves[0]
      return curve === undefined ? [] : [{ id, label, color, curve }]
    })
    linkTo(card, shown)
    if (card.chart === undefined) {
      if (shown.length === 0) return
      card.chart = Chart.make(card.key, (range) => {
        store.set({ range }, true)
        announce(
          range === undefined
            ? "All is shown"
            : `Zoomed to ${range.map((x) => Chart.xText(state.axis, x)).join(" to ")}`
        )
      })
      card.host.append(card.chart.element)
    }
    card.chart.set(shown, look(card))
  }

  const read = async (signal: AbortSignal): Promise<void> => {
    const visible = [...cards.values()].filter((card) => card.seen)
    const width = Math.max(...visible.map((card) => card.chart?.width() ?? card.host.clientWidth), 120)
    const { axis, range, smooth } = state
    const look = JSON.stringify([axis, range, smooth, width])
    const put = (answer: Series, fine: boolean): void => {
      for (const curve of answer.curves) {
        // What lies behind us does not change any more: it need not be read again.
        const past = range !== undefined && answer.to !== null && range[1] < answer.to && (fine || !curve.coarse)
        cards.get(curve.key)?.answers.set(answer.run, { ...answer, curves: [curve], settled: past ? look : undefined })
      }
    }
    const wanted = selected.flatMap(({ id, run }) => {
      const known = new Set(run?.metrics.map((metric) => metric.key))
      const keys = visible.filter((card) => known.has(card.key) && card.answers.get(id)?.settled !== look)
        .map((card) => card.key)
      return Array.from({ length: Math.ceil(keys.length / keysAtOnce) }, (_, i) => ({
        run: id,
        keys: keys.slice(i * keysAtOnce, (i + 1) * keysAtOnce)
      }))
    })
    for (const one of wanted) put(await Api.series({ ...one, axis, range, smooth, width, fine: false }, signal), false)
    for (const card of cards.values()) if (card.seen) draw(card)
    if (range === undefined || signal.aborted) return
    // What is in the server's memory is too coarse for this: it reads the log again, chart by chart.
    for (const card of visible) {
      for (const [run, answer] of card.answers) {
        if (answer.curves[0]?.coarse !== true || answer.settled === look) continue
        put(await Api.series({ run, keys: [card.key], axis, range, smooth, width, fine: true }, signal), true)
        if (card.seen) draw(card)
      }
    }
  }

  const refresh = (now: boolean): void => {
    if (now) {
      running?.abort()
      running = undefined
    }
    if (running !== undefined) {
      again = true
      return
    }
    const mine = running = new AbortController()
    const current = ++generation
    again = false
    void read(mine.signal).then(
      () => undefined,
      (error: unknown) => {
        // A run that is gone keeps what was seen of it; the list says so.
        if (!mine.signal.aborted) console.warn(error instanceof Error ? error.message : error)
      }
    ).then(() => {
      if (current !== generation) return
      running = undefined
      if (again) setTimeout(() => refresh(false), 100)
    })
  }

  return {
    show: (isSystem, nowSelected, nowState) => {
      const other = isSystem !== system || nowState.axis !== state.axis
      const ids = new Set(nowSelected.map((one) => one.id))
      const fresh = nowState.filter !== state.filter || other
      system = isSystem
      selected = nowSelected
      state = nowState
      if (fresh) limit = batch
      for (const card of cards.values()) {
        for (const id of card.answers.keys()) if (!ids.has(id) || other) card.answers.delete(id)
      }
      filter()
      layOut()
      // What is there is shown at once, in the new range; what is finer comes when it has been read.
      if (!other) { for (const card of cards.values()) if (card.chart !== undefined) draw(card) }
      refresh(true)
    },
    refresh,
    redraw: () => {
      for (const card of cards.values()) card.chart?.redraw()
    }
  }
}
