/** What tabs of one run show: its report, its ranks, its files. */
import type { Run } from "../Api.ts"
import * as Api from "./api.ts"
import { fill, h } from "./dom.ts"
import * as Format from "./format.ts"
import * as Report from "./report.ts"

const failed = (host: HTMLElement) => (error: unknown): void =>
  fill(host, h("p", { class: "note problem" }, error instanceof Error ? error.message : String(error)))

export const report = (host: HTMLElement, run: string): Promise<void> =>
  Api.report(run).then(({ markdown }) =>
    fill(
      host,
      ...markdown === null
        ? [
          h(
            "p",
            { class: "note" },
            "There is no report yet: it is written when the run ends, or by ezpz-stream finalize."
          )
        ]
        : [h("div", { class: "report" }, ...Report.render(run, markdown))]
    )
  ).catch(failed(host))

export const ranks = (host: HTMLElement, run: string): Promise<void> =>
  Api.ranks(run).then(({ notes, tables }) =>
    fill(
      host,
      ...notes.map((note) => h("p", { class: "note" }, note)),
      ...tables.map(({ columns, rows, title }) =>
        h(
          "div",
          { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
          h(
            "table",
            {},
            h("caption", {}, title),
            h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)))),
            h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell)))))
          )
        )
      )
    )
  ).catch(failed(host))

export const files = (host: HTMLElement, run: Run): void => {
  const row = (href: string, name: string, kind: string, size: string): HTMLElement =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href, download: "" }, name)),
      h("td", {}, kind),
      h("td", { class: "number" }, size)
    )
  fill(
    host,
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Files" },
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
  )
}
