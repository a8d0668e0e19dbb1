/**
 * Slots in which records have keys in common but not all of them.
 *
 * Each key is in one stack there. The stacks of a record's keys are looked up, and those that have others, too, are cut in
 * two with all sheets that are in them: so keys that always come together stay together, and there are as few as can be.
 *
 * @since 0.3.0
 */
import { momentFields } from "../Frame.ts"
import { type Columns, type Reading, someOf } from "./Columns.ts"
import type { Pool } from "./Pool.ts"
import * as Sheets from "./Sheets.ts"

/** Puts a rank's numbers where they belong: in these sheets, undefined where one is let go of. */
export const putRow = (
  pool: Pool,
  slot: Sheets.Slot,
  rank: number,
  columns: Columns,
  from: Reading["from"],
  numbers: Float64Array,
  at: number
): ReadonlyArray<Sheets.Sheet | undefined> =>
  blocksOf(pool, slot, columns).map((block) => {
    const sheet = Sheets.nextSheet(pool, slot, block.stack, rank)
    if (sheet !== undefined) Sheets.putRow(pool, sheet, rank, from, numbers, at, block.at)
    return sheet
  })

/** Puts what an aggregator says where it belongs; undefined where one of its ranks is there already: then nothing is taken. */
export const putPart = (
  pool: Pool,
  slot: Sheets.Slot,
  columns: Columns,
  n: number,
  part: Sheets.Part
): ReadonlyArray<Sheets.Sheet> | undefined => {
  const whole = Sheets.stackOf(slot, columns)
  const blocks = whole === undefined ? blocksOf(pool, slot, columns) : [{ stack: whole, at: undefined }]
  const sheets: Array<Sheets.Sheet> = []
  for (const { stack } of blocks) {
    const sheet = Sheets.sheetAt(pool, slot, stack, n)
    if (sheet === undefined || !Sheets.isFree(sheet, part.ranks)) return undefined
    sheets.push(sheet)
  }
  for (const [i, { at }] of blocks.entries()) {
    Sheets.putPart(pool, sheets[i]!, at === undefined ? part : partOf(part, at))
  }
  return sheets
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** So many sets of keys are known in a slot. */
const most = 4096

/** The stacks that have the columns of a record, and nothing else. */
const blocksOf = (pool: Pool, slot: Sheets.Slot, columns: Columns): ReadonlyArray<Sheets.Block> => {
  const { blocks, of } = slot.mixed!
  const known = blocks.get(columns)
  if (known !== undefined) return known
  const found = new Map<Sheets.Stack, Array<string>>()
  const fresh: Array<string> = []
  for (const key of columns.keys) {
    const stack = of.get(key)
    if (stack === undefined) fresh.push(key)
    else if (found.get(stack)?.push(key) === undefined) found.set(stack, [key])
  }
  const stacks: Array<Sheets.Stack> = []
  for (const [stack, keys] of found) {
    stacks.push(keys.length === stack.columns.keys.length ? stack : split(pool, slot, stack, keys))
  }
  const none = of.get(undefined)
  if (columns.keys.length === 0 && none !== undefined) stacks.push(none)
  else if (fresh.length > 0 || columns.keys.length === 0) {
    const stack = Sheets.addStack(slot, someOf(columns, fresh))
    for (const key of Sheets.keysOf(stack.columns)) of.set(key, stack)
    stacks.push(stack)
  }
  const made = stacks.map((stack) => ({ stack, at: placesOf(stack.columns, columns) }))
  if (blocks.size >= most) blocks.clear()
  blocks.set(columns, made)
  return made
}

/** Cuts a stack in two: gives the one that has these keys. */
const split = (
  pool: Pool,
  slot: Sheets.Slot,
  stack: Sheets.Stack,
  keys: ReadonlyArray<string>
): Sheets.Stack => {
  const { blocks, of } = slot.mixed!
  const { columns, first, next, sheets } = stack
  const inside = new Set(keys)
  slot.stacks.splice(slot.stacks.indexOf(stack), 1)
  // Others' records were in it, too.
  blocks.clear()
  const halves = [keys, columns.keys.filter((key) => !inside.has(key))].map((some) => {
    const half = Sheets.addStack(slot, someOf(columns, some))
    half.first = first
    half.next = next?.slice()
    half.sheets.length = first
    for (const key of some) of.set(key, half)
    return { half, at: placesOf(half.columns, columns) }
  })
  for (let n = first; n < sheets.length; n++) {
    const sheet = sheets[n]
    if (sheet === undefined) continue
    sheet.pieces = halves.map(({ at, half }) => cut(pool, sheet, Sheets.addSheet(pool, slot, half, n), at))
    pool.free(sheet)
  }
  return halves[0]!.half
}

/** Some columns of a sheet, in a sheet of their own. */
const cut = (pool: Pool, sheet: Sheets.Sheet, piece: Sheets.Sheet, at: Int32Array): Sheets.Sheet => {
  const { has, parts, values, width } = sheet
  piece.has.set(has)
  piece.given = sheet.given
  piece.isTold = sheet.isTold
  piece.cutFrom = sheet
  const rows = values.length / width
  if (rows * at.length > piece.values.length) Sheets.grow(pool, piece, rows)
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < at.length; k++) piece.values[row * at.length + k] = values[row * width + at[k]!]!
  }
  for (const part of parts) Sheets.addPart(pool, piece, partOf(part, at))
  return piece
}

/** What a part says of some columns. */
const partOf = ({ moments, ranks, source }: Sheets.Part, at: Int32Array): Sheets.Part => {
  const some = new Float64Array(at.length * momentFields)
  for (let k = 0; k < at.length; k++) {
    some.set(moments.subarray(at[k]! * momentFields, (at[k]! + 1) * momentFields), k * momentFields)
  }
  return { source, ranks, moments: some }
}

const placesOf = (some: Columns, all: Columns): Int32Array =>
  Int32Array.from(some.keys, (key, i) => some === all ? i : all.indexOf.get(key)!)
