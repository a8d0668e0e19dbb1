/**
 * Where everything stands on a screen of a size.
 *
 * @since 0.5.0
 */
import { densities, type State } from "./App.ts"
import type { Box } from "./Frame.ts"

/**
 * The parts of the screen. A box without height is not shown. `charts` are the boxes of a page of the grid, `across` of
 * them side by side.
 *
 * @category models
 * @since 0.5.0
 */
export interface Layout {
  readonly header: Box
  readonly tabs: Box
  readonly main: Box
  readonly ranks: Box
  readonly footer: Box
  readonly charts: ReadonlyArray<Box>
  readonly across: number
}

const ranksWidth = 58

/**
 * The layout of a state with so many charts.
 *
 * @category constructors
 * @since 0.5.0
 */
export const make = (
  { columns, density, ranks, rows }: Pick<State, "columns" | "rows" | "density" | "ranks">,
  count: number,
  grouped: boolean
): Layout => {
  const width = Math.max(1, columns)
  const height = Math.max(1, rows)
  // From a small screen goes first what can be done without.
  const headerRows = height >= 10 ? 2 : height >= 4 ? 1 : 0
  const tabRows = grouped && height >= 12 ? 1 : 0
  const footerRows = height >= 6 ? 1 : 0
  const top = headerRows + tabRows
  const between = Math.max(0, height - top - footerRows)
  const beside = ranks && width >= 2 * ranksWidth
  const below = ranks && !beside ? Math.max(0, Math.min(12, Math.floor(between / 2))) : 0
  const main = { left: 0, top, width: width - (beside ? ranksWidth + 2 : 0), height: between - below }
  const { across, boxes } = grid(main, count, density)
  return {
    header: { left: 0, top: 0, width, height: headerRows },
    tabs: { left: 0, top: headerRows, width, height: tabRows },
    main,
    ranks: beside
      ? { left: main.width + 2, top, width: ranksWidth, height: between }
      : { left: 0, top: top + main.height, width, height: below },
    footer: { left: 0, top: height - footerRows, width, height: footerRows },
    charts: boxes,
    across
  }
}

const gap = 2

/** As many charts as have their least size, no more than there are; they share what is left. */
const grid = (
  main: Box,
  count: number,
  density: number
): { readonly boxes: ReadonlyArray<Box>; readonly across: number } => {
  const least = densities[density] ?? { width: 36, height: 7 }
  let across = Math.max(1, Math.floor((main.width + gap) / (least.width + gap)))
  let down = Math.max(1, Math.floor(main.height / least.height))
  while (down > 1 && across * (down - 1) >= count) down--
  if (down === 1) across = Math.max(1, Math.min(across, count))
  const width = Math.floor((main.width + gap) / across) - gap
  const boxes: Array<Box> = []
  for (let row = 0; row < down; row++) {
    const top = Math.floor(row * main.height / down)
    const height = Math.floor((row + 1) * main.height / down) - top
    for (let column = 0; column < across; column++) {
      boxes.push({ left: main.left + column * (width + gap), top: main.top + top, width: Math.max(1, width), height })
    }
  }
  return { boxes, across }
}
