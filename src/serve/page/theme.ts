/** Dark and light: as the system says, or as it was chosen here. */
import { h } from "./dom.ts"

const themes = ["auto", "light", "dark"] as const

type Theme = typeof themes[number]

const kept = (): Theme => {
  try {
    return themes.find((one) => one === localStorage.getItem("theme")) ?? "auto"
  } catch {
    return "auto"
  }
}

const apply = (theme: Theme): void => {
  document.documentElement.dataset["theme"] = theme
  try {
    localStorage.setItem("theme", theme)
  } catch {
    // Then it lasts as long as the page.
  }
}

/** The choice, and a call whenever colours are others. */
export const chooser = (changed: () => void): HTMLElement => {
  const select = h("select", {
    id: "theme",
    onchange: () => {
      apply(themes.find((one) => one === select.value) ?? "auto")
      changed()
    }
  }, ...themes.map((one) => h("option", { value: one, selected: one === kept() }, one)))
  apply(kept())
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed)
  return h("span", { class: "field" }, h("label", { for: "theme" }, "Theme"), select)
}

/** A colour of the style sheet, as it is now. */
export const color = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

/** The colours of runs, told apart also by who does not tell red from green. */
export const runColor = (i: number): string => color(`run-${i % 8}`)
