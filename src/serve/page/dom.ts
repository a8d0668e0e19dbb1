/**
 * Elements, made in one call. Text becomes text nodes and nothing is ever parsed as markup, so a metric's name is what
 * is shown, whatever stands in it.
 */

export type Child = Node | string | null | undefined | false

type Handlers = {
  readonly [K in keyof HTMLElementEventMap as `on${K}`]?: (event: HTMLElementEventMap[K]) => void
}

type Attributes = { readonly [name: string]: string | number | boolean | undefined | ((event: never) => void) }

/** `on..` are listeners; true sets an attribute without a value, false and undefined leave it out. */
export const h = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Handlers & Attributes = {},
  ...children: ReadonlyArray<Child>
): HTMLElementTagNameMap[K] => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), (event) => Reflect.apply(value, element, [event]))
    } else if (value === true) element.setAttribute(name, "")
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value))
  }
  append(element, children)
  return element
}

/** Puts new contents in place of the old ones. */
export const fill = (element: Element, ...children: ReadonlyArray<Child>): void => {
  element.replaceChildren()
  append(element, children)
}

const append = (element: Element, children: ReadonlyArray<Child>): void => {
  for (const child of children) if (child !== null && child !== undefined && child !== false) element.append(child)
}

/** The element of the page that has this id. */
export const place = (id: string): HTMLElement => {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`The page has no #${id}`)
  return element
}

/** Tells who listens to the page. */
export const announce = (text: string): void => {
  place("status").textContent = text
}

/** A coloured spot; colours are properties, for the page takes no style in markup. */
export const swatch = (color: string): HTMLElement => {
  const spot = h("span", { class: "swatch", "aria-hidden": "true" })
  spot.style.setProperty("background", color)
  return spot
}

/** What an object itself has under a name: names come from the job, and may be `constructor`. */
export const own = <A>(record: Readonly<Record<string, A>> | undefined, key: string): A | undefined =>
  record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined
