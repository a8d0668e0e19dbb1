/**
 * What the tabs beside the charts show: the configurations of the runs side by side, or of each run its report, its ranks
 * or its files, under its name where there are several.
 */
import type { Run } from "../Api.ts"
import * as Api from "./api.ts"
import type { Selected } from "./charts.ts"
import * as Config from "./config.ts"
import { type Child, fill, h, swatch } from "./dom.ts"
import * as Format from "./format.ts"
import * as Report from "./report.ts"
import type { Tab } from "./state.ts"

export interface Tabs {
  readonly show: (tab: Tab, selected: ReadonlyArray<Selected>) => void
}

type Content = ReadonlyArray<Child>

/** `of` is what of a run it depends on. */
interface Kind {
  readonly of: (run: Run) => unknown
  readonly read: (run: Run, signal: AbortSignal) => Content | Promise<Content>
}

/** What is shown of one run, and what that was made of. */
interface Part {
  readonly body: HTMLElement
  readonly left: AbortController
  run: Run | undefined
  made: string
  making: boolean
}

export const make = (host: HTMLElement): Tabs => {
  const parts = new Map<string, Part>()
  let shown: Tab | undefined
  let laidOut = ""

  const partOf = (id: string): Part => {
    const there = parts.get(id)
    if (there !== undefined) return there
    const part: Part = { body: h("div"), left: new AbortController(), run: undefined, made: "", making: false }
    parts.set(id, part)
    return part
  }

  return {
    show: (tab, selected) => {
      for (const [id, part] of parts) {
        if (tab === shown && selected.some((one) => one.id === id)) continue
        // Answers that are still to come are not wanted any more.
        part.left.abort()
        parts.delete(id)
      }
      shown = tab
      const kind = kinds[tab]
      const now = JSON.stringify([
        tab,
        selected.map(({ color, id, label, run }) => [id, label, color, kind === undefined && run?.config])
      ])
      if (now !== laidOut) {
        laidOut = now
        if (kind === undefined) Config.show(host, selected)
        else if (selected.length < 2) fill(host, ...selected.map(({ id }) => partOf(id).body))
        else {
          fill(
            host,
            ...selected.map(({ color, id, label }) =>
              h("section", { class: "part", "aria-label": label }, h("h3", {}, swatch(color), label), partOf(id).body)
            )
          )
        }
      }
      if (kind === undefined) return
      for (const { id, run } of selected) {
        const part = partOf(id)
        part.run = run
        if (!part.making) void fillPart(part, kind)
      }
    }
  }
}

/** Once more where the run has changed meanwhile. */
const fillPart = async (part: Part, { of, read }: Kind): Promise<void> => {
  const { signal } = part.left
  part.making = true
  for (let { run } = part; run !== undefined && !signal.aborted; { run } = part) {
    const now = JSON.stringify(of(run))
    if (now === part.made) break
    part.made = now
    try {
      const content = await read(run, signal)
      if (!signal.aborted) fill(part.body, ...content)
    } catch (error) {
      if (!signal.aborted) fill(part.body, problem(error))
    }
  }
  part.making = false
}

const problem = (error: unknown): HTMLElement =>
  h("p", { class: "note problem" }, error instanceof Error ? error.message : String(error))

// What is shown of a run

const report = async ({ id }: Run, signal: AbortSignal): Promise<Content> => {
  const { markdown } = await Api.report(id, signal)
  return markdown === null
    ? [
      h("p", { class: "note" }, "There is no report yet: it is written when the run ends, or by ezpz-stream finalize.")
    ]
    : [h("div", { class: "report" }, ...Report.render(id, markdown))]
}

const ranks = async ({ id }: Run, signal: AbortSignal): Promise<Content> => {
  const { notes, tables } = await Api.ranks(id, signal)
  return [
    ...notes.map((note) => h("p", { class: "note" }, note)),
    ...tables.map(({ columns, rows, title }) =>
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "group", "aria-label": title },
        h(
          "table",
          {},
          h("caption", {}, title),
          h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)))),
          h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell)))))
        )
      )
    )
  ]
}

const files = (run: Run): Content => {
  const row = (href: string, name: string, kind: string, size: string): HTMLElement =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href, download: "" }, name)),
      h("td", {}, kind),
      h("td", { class: "number" }, size)
    )
  return [
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "group", "aria-label": "Files" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, ...["File", "Kind", "Size"].map((name) => h("th", { scope: "col" }, name)))),
        h(
          "tbody",
          {},
          row(Api.csvPath(run.id, []), "all records as CSV", "made now", "–"),
          ...run.files.map(({ bytes, kind, path }) => row(Api.filePath(run.id, path), path, kind, Format.bytes(bytes)))
        )
      )
    )
  ]
}

const kinds: { readonly [name in Tab]?: Kind } = {
  report: { of: ({ state }) => state, read: report },
  ranks: { of: ({ records }) => records, read: ranks },
  files: { of: ({ files }) => files, read: files }
}
