/**
 * Lines with different x on one: uPlot takes one column of x for all.
 *
 * A value that a line does not have at some x is undefined there, which is passed over; null stays a gap. Where a line
 * has several points at one x, each gets its own place.
 */

export interface Table {
  readonly x: ReadonlyArray<number>
  readonly columns: ReadonlyArray<ReadonlyArray<number | null>>
}

export interface Merged {
  readonly x: Array<number>
  readonly columns: Array<Array<number | null | undefined>>
}

export const merge = (tables: ReadonlyArray<Table>): Merged => {
  const x: Array<number> = []
  const columns = tables.flatMap((table) => table.columns.map(() => new Array<number | null | undefined>()))
  const at = tables.map(() => 0)
  for (;;) {
    let least = Infinity
    for (const [i, table] of tables.entries()) {
      const here = table.x[at[i] ?? 0]
      if (here !== undefined && here < least) least = here
    }
    if (least === Infinity) return { x, columns }
    let column = 0
    x.push(least)
    for (const [i, table] of tables.entries()) {
      const index = at[i] ?? 0
      const has = table.x[index] === least
      for (const values of table.columns) columns[column++]?.push(has ? values[index] ?? null : undefined)
      if (has) at[i] = index + 1
    }
  }
}

/** The index of the value that is nearest to an x; -1 where there is none. */
export const nearest = (xs: ReadonlyArray<number>, x: number): number => {
  let [from, to] = [0, xs.length - 1]
  while (from < to) {
    const middle = (from + to) >> 1
    if ((xs[middle] ?? Infinity) < x) from = middle + 1
    else to = middle
  }
  const here = xs[from]
  const before = xs[from - 1]
  return here === undefined ? -1 : before !== undefined && x - before < Math.abs(here - x) ? from - 1 : from
}

/** The values that make no line: between gaps they stand alone, or closer to each other than `apart`. */
export const alone = (
  xs: ArrayLike<number>,
  ys: ArrayLike<number | null | undefined>,
  apart: number
): Array<number> => {
  const found: Array<number> = []
  let stretch: Array<number> = []
  const end = (): void => {
    const wide = (xs[stretch.at(-1) ?? -1] ?? NaN) - (xs[stretch[0] ?? -1] ?? NaN)
    if (wide < apart) { for (const i of stretch) found.push(i) }
    stretch = []
  }
  for (let i = 0; i < ys.length; i++) {
    const y = ys[i]
    if (y === null) end()
    else if (y !== undefined) stretch.push(i)
  }
  end()
  return found
}
