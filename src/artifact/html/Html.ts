/**
 * HTML from foreign text: names, values and messages that may hold anything, and must stay what they are.
 *
 * All that is foreign goes through {@link text}, which leaves no character in it that could end a text, an attribute in
 * double quotes, or an element. Nothing here takes a style or a handler: the page's policy would refuse it.
 *
 * @since 0.5.0
 */
import { escaped } from "../../internal/oneLine.ts"
import { count, type Format, type Lines } from "../report/Format.ts"

/** Characters of a name, a value or a message: at most so many, unless more are asked for. */
const maxLength = 200

// -----------------------------------------------------------------------------
// Text
// -----------------------------------------------------------------------------

const references: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;",
  "`": "&#96;"
}

/**
 * Text that is nothing but text, on one line, in an element or in an attribute.
 *
 * @category text
 * @since 0.5.0
 */
export const text = (value: string, max = maxLength): string =>
  escaped(value.toWellFormed(), max).replaceAll(/[&<>"'`]/g, (char) => references[char] ?? char)

/**
 * JSON that can stand in a script element: nothing in it can end or open one, or a comment.
 *
 * @category text
 * @since 0.5.0
 */
export const json = (value: string): string =>
  value.replaceAll(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

// -----------------------------------------------------------------------------
// The format
// -----------------------------------------------------------------------------

/**
 * The format. No foreign text is longer than `longest`. A link is its text: the file is to be read where nothing is
 * beside it.
 *
 * @category constructors
 * @since 0.5.0
 */
export const html = (longest: number): Format => {
  const plain = (value: string, max = maxLength): string => text(value, Math.min(max, longest))
  return {
    plain,
    code: (value, max) => value === "" ? "" : `<code>${plain(value, max)}</code>`,
    link: (label) => label,
    anchor: (label, id) => `<a href="#${id}">${label}</a>`,
    heading: (level, title) => [`<h${level}${level === 2 ? ` id="${idOf(title)}"` : ""}>${title}</h${level}>`],
    paragraph: (content) => [`<p>${content}</p>`],
    list: (items) => items.length === 0 ? [] : ["<ul>", ...items.map((item) => `<li>${item}</li>`), "</ul>"],
    table,
    folded: (rows, lines) =>
      rows <= 12 ? lines : [`<details><summary>${count(rows)} entries</summary>`, ...lines, "</details>"]
  }
}

/**
 * Where a section is: its title is ours.
 *
 * @category text
 * @since 0.5.0
 */
export const idOf = (title: string): string => title.toLowerCase().replaceAll(/[^a-z]+/g, "-")

const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  numbers = head.length
): Lines => {
  const properties = head.length === 2 && head[1] === ""
  const cell = (content: string, column: number): string =>
    column === 0 && content !== ""
      ? `<th scope="row">${content}</th>`
      : `<td${column >= numbers ? ` class="number"` : ""}>${content}</td>`
  const body = ["<tbody>", ...rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`), "</tbody>", "</table>"]
  if (properties) return [`<table class="properties">`, `<caption class="unseen">${head[0]}</caption>`, ...body]
  const titles = head.map((title, column) =>
    `<th scope="col"${column >= numbers ? ` class="number"` : ""}>${title}</th>`
  )
  return [
    // A wide table moves in its own window, for who has no pointer, too.
    `<div class="scroll" tabindex="0" role="group" aria-label="Table of ${head.join(", ")}">`,
    "<table>",
    `<thead><tr>${titles.join("")}</tr></thead>`,
    ...body,
    "</div>"
  ]
}
