/**
 * Which sheets of a record can be told in one entry: where its keys are in sheets of their own, these may differ in the ranks
 * that are in them, and in the how manieth they are.
 *
 * @since 0.3.0
 */
import { momentFields } from "../Frame.ts"
import * as RankSet from "../RankSet.ts"
import { type Columns, place } from "./Columns.ts"
import type { Mergeable, Merger } from "./Merger.ts"
import * as Sheets from "./Sheets.ts"

/** Sheets of the same number, with the same ranks. */
export interface Alike {
  readonly n: number
  readonly ranks: RankSet.RankSet
  readonly sheets: Array<Sheets.Sheet>
}

/** Who is in something that is to be told. */
const ranksOf = ({ has, parts }: Mergeable, below: ReadonlyArray<number>): RankSet.RankSet => {
  const rows = below.filter((rank) => has[rank] === Sheets.by.row).sort((a, b) => a - b)
  return parts.reduce((set, part) => RankSet.union(set, part.ranks), RankSet.of(rows))
}

/** Those of these sheets in which something is to be told. */
export const alike = (
  sheets: ReadonlyArray<Sheets.Sheet>,
  below: ReadonlyArray<number>
): ReadonlyArray<Alike> => {
  const all: Array<Alike> = []
  for (const sheet of sheets) {
    const ranks = ranksOf(sheet, below)
    if (ranks.length === 0) continue
    const one = all.find(({ n, ranks: others }) => n === sheet.n && RankSet.equals(ranks, others))
    if (one === undefined) all.push({ n: sheet.n, ranks, sheets: [sheet] })
    else one.sheets.push(sheet)
  }
  return all
}

/** What sheets say together, which have these columns. */
export const momentsOf = (merger: Merger, sheets: ReadonlyArray<Sheets.Sheet>, columns: Columns): Float64Array => {
  const moments = new Float64Array(columns.keys.length * momentFields)
  if (sheets.length === 1) merger.merge(sheets[0]!, moments)
  else {
    for (const sheet of sheets) {
      const own = new Float64Array(sheet.width * momentFields)
      merger.merge(sheet, own)
      place(own, sheet.columns, moments, columns)
    }
  }
  return moments
}
