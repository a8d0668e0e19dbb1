/** The configurations of the runs that are shown, side by side; what differs is marked. */
import type { Selected } from "./charts.ts"
import { fill, h, own, swatch } from "./dom.ts"

export const show = (host: HTMLElement, selected: ReadonlyArray<Selected>): void => {
  const several = selected.length > 1
  const only = h("input", { type: "checkbox", checked: several, onchange: () => draw() })
  const place = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Configuration" })
  const draw = (): void => {
    const keys = [...new Set(selected.flatMap(({ run }) => Object.keys(run?.config ?? {})))].sort()
    const rows = keys.map((key) => ({ key, values: selected.map(({ run }) => own(run?.config, key)) }))
      .map((row) => ({ ...row, differs: new Set(row.values).size > 1 }))
    const shown = several && only.checked ? rows.filter((row) => row.differs) : rows
    if (shown.length === 0) {
      fill(place, h("p", { class: "note" }, rows.length === 0 ? "No configuration was given." : "Nothing differs."))
      return
    }
    fill(
      place,
      h(
        "table",
        { class: "config" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "Key"),
            ...selected.map(({ color, label }) => h("th", { scope: "col" }, swatch(color), label))
          )
        ),
        h(
          "tbody",
          {},
          ...shown.map(({ differs, key, values }) =>
            h(
              "tr",
              { class: differs ? "differs" : undefined },
              h("th", { scope: "row" }, key, differs && h("span", { class: "unseen" }, " (differs)")),
              ...values.map((value) => h("td", {}, value ?? "–"))
            )
          )
        )
      )
    )
  }
  fill(host, several && h("label", { class: "field" }, only, " Only what differs"), place)
  draw()
}
