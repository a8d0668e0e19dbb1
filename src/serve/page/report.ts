/**
 * A report's Markdown as elements: headings, paragraphs, lists, tables, code, pictures of the run, emphasis and links. What
 * is not understood is shown as text. Nothing is parsed as markup.
 */
import { filePath } from "./api.ts"
import { h } from "./dom.ts"

export const render = (run: string, markdown: string): ReadonlyArray<Node> => {
  const lines = markdown.split("\n")
  const nodes: Array<Node> = []
  const isTable = (line: string | undefined): boolean => line?.trimStart().startsWith("|") === true
  for (let i = 0; i < lines.length;) {
    const line = lines[i] ?? ""
    const heading = /^(#{1,6})\s+(.*)$/.exec(line)
    if (line.trim() === "" || /^<\/?(details|summary)>|^<!--/.test(line)) i++
    else if (heading !== null) {
      // The page has h1 and h2 of its own.
      const level = (["h3", "h4", "h5", "h6"] as const)[Math.min(3, (heading[1]?.length ?? 1) - 1)] ?? "h6"
      nodes.push(h(level, {}, ...inline(run, heading[2] ?? "")))
      i++
    } else if (/^(```|~~~)/.test(line)) {
      const fence = /^(`+|~+)/.exec(line)?.[0] ?? "```"
      const end = lines.findIndex((one, at) => at > i && one.startsWith(fence))
      const to = end < 0 ? lines.length : end
      nodes.push(h("pre", { tabindex: 0 }, lines.slice(i + 1, to).join("\n")))
      i = to + 1
    } else if (isTable(line)) {
      const rows: Array<ReadonlyArray<string>> = []
      for (; isTable(lines[i]); i++) rows.push(cells(lines[i] ?? ""))
      nodes.push(table(run, rows))
    } else if (/^\s*[-*]\s/.test(line)) {
      const items: Array<Node> = []
      for (; /^\s*[-*]\s/.test(lines[i] ?? ""); i++) {
        items.push(h("li", {}, ...inline(run, (lines[i] ?? "").replace(/^\s*[-*]\s/, ""))))
      }
      nodes.push(h("ul", {}, ...items))
    } else {
      const from = i
      while (
        i < lines.length && lines[i]?.trim() !== "" && !isTable(lines[i]) && !/^(#|```|~~~)/.test(lines[i] ?? "")
      ) i++
      if (i === from) i++
      nodes.push(h("p", {}, ...inline(run, lines.slice(from, i).join(" "))))
    }
  }
  return nodes
}

const cells = (line: string): ReadonlyArray<string> =>
  line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim())

const table = (run: string, [head = [], ...rows]: ReadonlyArray<ReadonlyArray<string>>): HTMLElement => {
  const body = rows.filter((row) => !row.every((cell) => /^:?-+:?$/.test(cell)))
  return h(
    "div",
    {
      class: "scroll",
      tabindex: 0,
      role: "group",
      "aria-label": `Table of ${head.filter((cell) => cell !== "").join(", ")}`
    },
    h(
      "table",
      {},
      head.some((cell) => cell !== "") &&
        h("thead", {}, h("tr", {}, ...head.map((cell) => h("th", { scope: "col" }, ...inline(run, cell))))),
      h("tbody", {}, ...body.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, ...inline(run, cell))))))
    )
  )
}

const patterns =
  /!\[([^\]]*)\]\(([^)\s]+)\)|\[([^\]]*)\]\(([^)\s]+)\)|`([^`]+)`|<code>(.*?)<\/code>|\*\*([^*]+)\*\*|\\([\\`*_{}[\]()#+\-.!|<>&])/g

const inline = (run: string, text: string): ReadonlyArray<Node> => {
  const nodes: Array<Node> = []
  let at = 0
  for (const match of text.matchAll(patterns)) {
    const [whole, alt, source, label, target, code, quoted, bold, escaped] = match
    nodes.push(document.createTextNode(entities(text.slice(at, match.index))))
    if (source !== undefined) nodes.push(picture(run, alt ?? "", source))
    else if (target !== undefined) nodes.push(link(run, entities(label ?? target), target))
    else if (code !== undefined) nodes.push(h("code", {}, code.replaceAll("\\|", "|")))
    else if (quoted !== undefined) nodes.push(h("code", {}, entities(quoted)))
    else if (bold !== undefined) nodes.push(h("strong", {}, entities(bold)))
    else nodes.push(document.createTextNode(escaped ?? whole))
    at = match.index + whole.length
  }
  nodes.push(document.createTextNode(entities(text.slice(at))))
  return nodes
}

const entities = (text: string): string =>
  text.replaceAll(
    /&#(\d{1,7});/g,
    (whole, code) => Number(code) <= 0x10ffff ? String.fromCodePoint(Number(code)) : whole
  )
    .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&")

const isWithin = (path: string): boolean => !/^[a-z][a-z0-9+.-]*:|^\/|^#/i.test(path)

const pathOf = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Only pictures of the run itself: the page loads nothing from elsewhere. */
const picture = (run: string, alt: string, source: string): Node =>
  isWithin(source) && /\.png$/i.test(source)
    ? h("img", { src: filePath(run, pathOf(source)), alt, loading: "lazy" })
    : document.createTextNode(alt)

const link = (run: string, label: string, target: string): Node =>
  /^https?:\/\//i.test(target)
    ? h("a", { href: target, rel: "noopener noreferrer", target: "_blank" }, label)
    : isWithin(target)
    ? h("a", { href: filePath(run, pathOf(target)) }, label)
    : document.createTextNode(label)
